"""The pictures of lesson 05: what each head sees, the training-inference gap, what the parts are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.errors import DataError
from workbench.show import style
from workbench.show.pictures_attention import framed, shades


def head_windows(seen: np.ndarray, sizes: Sequence[int], direction: str) -> Figure:
    """DualRec, Figure 2(c) and (d): which items each head of an encoder lets a position look at.

    seen : (h, n, n) bool, position by item, both in the order of time. sizes : h windows (Eq. 8). direction :
    "past" or "future".
    """
    if seen.ndim != 3 or len(seen) != len(sizes):
        raise DataError(f"{len(sizes)} windows do not fit masks of {seen.shape}")
    heads, n = len(seen), seen.shape[1]
    across = min(heads, 4)
    down = -(-heads // across)
    with style.theme():
        width, height = 0.9 + 2.25 * max(across, 3), 1.35 + 2.45 * down
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            down, across, squeeze=False,
            gridspec_kw={
                "left": 0.75 / width, "right": (0.75 + 2.25 * across - 0.25) / width, "top": 1 - 1.1 / height,
                "bottom": 0.55 / height, "wspace": 0.12, "hspace": 0.28,
            },
        )  # fmt: skip
        for place, axes in enumerate(panels.flat):
            if place >= heads:
                axes.set_visible(False)
                continue
            axes.imshow(seen[place], cmap=shades(direction), vmin=0, vmax=1, interpolation="nearest")
            whole = sizes[place] >= n - 1
            axes.set_title(
                f"head {place + 1}: {'all' if whole else sizes[place]}", fontsize=10, pad=4, weight="normal"
            )
            axes.set_xticks([0, n - 1], ["1", str(n)])
            axes.set_yticks([0, n - 1], ["1", str(n)] if place % across == 0 else ["", ""])
            axes.tick_params(length=0, labelsize=8.5)
            framed(axes, n)
        figure.supxlabel("item that is looked at", fontsize=10, color=style.INK, y=0.1 / height)
        figure.supylabel("position that looks", fontsize=10, color=style.INK, x=0.1 / width)
        side = "before" if direction == "past" else "after"
        style.headline(
            figure,
            f"The {direction} encoder: each head sees so many items {side} a position",
            f"{heads} heads, {n} items; windows {', '.join(map(str, sizes))} (Eq. 8), and the item itself",
        )
    return figure


def loss_with_and_without(curves: pd.DataFrame, small_print: str = "") -> Figure:
    """The training-inference gap: loss on the same items with the future there and with it hidden.

    curves : columns model, reads ("both sides" or "past"), epoch, loss. The first model is asked both ways;
    the others were trained as they are used, and are asked so.
    """
    gapped = curves["model"].iloc[0]
    looks = {"both sides": (style.MUTED, "--"), "past": (style.TARGET, "-")}
    with style.theme():
        figure = Figure(figsize=(9.4, 4.7))
        axes = figure.add_axes((0.085, 0.14, 0.6, 0.68))
        ends, last = {}, curves["epoch"].max()
        others = iter((style.PAST, style.SOURCE_DOMAIN))
        for (model, reads), rows in curves.groupby(["model", "reads"], sort=False):
            colour, line = looks[reads] if model == gapped else (next(others), "-")
            axes.plot(rows["epoch"], rows["loss"], color=colour, ls=line, lw=2.4)
            told = {"both sides": "future there,\nas in training", "past": "future hidden,\nas in use"}[reads]
            name = f"{model}, {told}" if model == gapped else model
            ends[name] = (rows["loss"].iloc[-1], colour)
            ended = rows["epoch"].iloc[-1]  # a model that stopped earlier keeps its loss
            axes.plot([ended, last], [rows["loss"].iloc[-1]] * 2, color=colour, lw=1, ls=":")
        wide = curves[curves["model"] == gapped].pivot(index="epoch", columns="reads", values="loss")
        axes.fill_between(wide.index, wide["both sides"], wide["past"], color=style.TARGET, alpha=0.09, lw=0)
        heights = style.apart([loss for loss, _ in ends.values()], axes.get_ylim(), 0.125)
        for (name, (loss, colour)), y in zip(ends.items(), heights, strict=True):
            axes.annotate(
                f"{name} {loss:.2f}", (last, loss), (last * 1.03, y), color=colour, fontsize=9.5, va="center",
                weight="bold", annotation_clip=False, textcoords="data",
            )  # fmt: skip
        axes.set(xlim=(curves["epoch"].min(), last), xlabel="epoch", ylabel="loss on items of other users")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        gap = float((wide["past"] - wide["both sides"]).iloc[-1])
        style.headline(
            figure, f"Hide the future from a model that was trained with it: + {gap:.2f} loss", small_print
        )
    return figure


GAINS = {"Past-Only": style.INK, "past twice": style.PAST, "stranger": style.FUTURE}


def gain_over_controls(
    gains: pd.DataFrame, metric: str, words: Mapping[str, str], small_print: str = ""
) -> Figure:
    """What DualRec gains over the past alone and over the two controls, in several kinds of data.

    gains : columns data, over (of GAINS), gain, low, high; what is drawn are means and 95% intervals.
    words : over -> what it is called.
    """
    kinds = list(dict.fromkeys(gains["data"]))
    with style.theme():
        height = 1.75 + 0.72 * len(kinds)
        figure = Figure(figsize=(9.4, height))
        axes = figure.add_axes((0.2, 0.62 / height, 0.54, 1 - 1.6 / height))
        for y in range(len(kinds)):
            axes.axhspan(y - 0.42, y + 0.42, color=style.FAINT, alpha=0.3, lw=0)
        for shift, (over, colour) in zip((-0.24, 0.0, 0.24), GAINS.items(), strict=True):
            for row in gains[gains["over"] == over].itertuples():
                y = kinds.index(row.data) + shift
                axes.plot([row.low, row.high], [y, y], color=colour, lw=4, alpha=0.4, solid_capstyle="butt")
                axes.plot(row.gain, y, "o", ms=7, color=colour, mec="white")
            place = 0.16 * list(GAINS).index(over)
            axes.annotate(
                words[over], (1.03, 0.92 - place), xycoords="axes fraction", fontsize=10,
                weight="bold", va="top", color=style.FUTURE_TEXT if colour == style.FUTURE else colour,
            )  # fmt: skip
        axes.axvline(0, color=style.INK, lw=1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set(ylim=(len(kinds) - 0.4, -0.6), xlabel=f"{metric} of DualRec minus {metric} of the other")
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        style.headline(figure, _worth(gains, kinds), small_print)
    return figure


def _worth(gains: pd.DataFrame, kinds: Sequence[str]) -> str:
    """The future is worth something where DualRec beats all three."""
    if gains.groupby("data")["over"].nunique().min() < len(GAINS):
        return "DualRec against those of its three opponents that have been run"
    sure = gains.assign(above=gains["low"] > 0).groupby("data", sort=False)["above"].all()
    below = gains.assign(below=gains["high"] < 0).groupby("data", sort=False)["below"].any()
    if sure.all():
        return "The user's own future helps, beyond a second encoder, in all of these data"
    if sure.any():
        return "The user's own future helps, beyond a second encoder, with " + ", ".join(sure.index[sure])
    if below.all():
        return "The future encoder helps nowhere: something simpler does better"
    return "Nowhere does the own future beat the past alone and both controls"


def loss_parts(parts: Mapping[str, float]) -> Figure:
    """Eq. 14 as a bar: the past encoder's cross-entropy, the future encoder's, and the transfer."""
    looks = {
        "past": ("α · past", style.PAST), "future": ("(1 − α) · future", style.FUTURE),
        "transfer": ("β · transfer", style.SOURCE_DOMAIN),
    }  # fmt: skip
    with style.theme():
        figure = Figure(figsize=(9.0, 1.75))
        axes = figure.add_axes((0.02, 0.3, 0.96, 0.3))
        left, total = 0.0, sum(parts.values())
        for place, (name, value) in enumerate(parts.items()):
            words, colour = looks[name]
            axes.barh(0, value, left=left, color=colour, height=0.8)
            axes.annotate(
                f"{words} = {value:.3f}", (0.34 * place, -0.75), xycoords="axes fraction", fontsize=10.5,
                color=style.FUTURE_TEXT if name == "future" else colour, weight="bold",
            )  # fmt: skip
            left += value
        axes.set(xlim=(0, max(total, 1e-6)), ylim=(-0.5, 0.5))
        axes.axis("off")
        largest = max(parts, key=parts.get)
        whose = "The transfer makes" if largest == "transfer" else f"The {largest} encoder's answers make"
        style.headline(figure, f"{whose} up {parts[largest] / max(total, 1e-9):.0%} of the loss")
    return figure


def tried_weights(
    results: Mapping[tuple[float, float], float],
    metric: str,
    background: Mapping[str, pd.DataFrame],
    small_print: str = "",
) -> Figure:
    """A metric against alpha and against beta, as they are tried, over what is known from before.

    results : (alpha, beta) -> value. background : "alpha" or "beta" -> kept results, columns setting, seed,
    value, the other one at its default.
    """
    known = [frame["value"] for frame in background.values()]
    values = np.concatenate([list(results.values()), *known])
    room = max(np.ptp(values), 0.01)
    with style.theme():
        figure = Figure(figsize=(9.4, 4.3))
        panels = figure.subplots(
            1, 2, sharey=True,
            gridspec_kw={"left": 0.1, "right": 0.98, "top": 0.79, "bottom": 0.15, "wspace": 0.06},
        )  # fmt: skip
        what = {"alpha": "α, the past encoder's share", "beta": "β, the weight of the transfer"}
        for place, (axes, name) in enumerate(zip(panels, what, strict=True)):
            if name in background:
                seeds = background[name].groupby("setting")["value"].agg(["mean", "std"])
                axes.plot(seeds.index, seeds["mean"], "o-", color=style.MUTED, ms=4, lw=1.4)
                axes.fill_between(
                    seeds.index, seeds["mean"] - seeds["std"], seeds["mean"] + seeds["std"],
                    color=style.MUTED, alpha=0.15, lw=0,
                )  # fmt: skip
            for weights, value in results.items():
                axes.plot(weights[place], value, "o", ms=9, color=style.TARGET, mec="white")
            axes.set_xlabel(what[name])
            axes.grid(axis="y", lw=0.6)
            axes.set_axisbelow(True)
        panels[1].set_xscale("symlog", linthresh=0.01, linscale=0.4)
        panels[1].set_xticks([0, 0.01, 0.1, 1, 5], ["0", ".01", ".1", "1", "5"])
        panels[1].minorticks_off()
        panels[0].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5]))
        panels[0].yaxis.set_major_formatter("{x:.3f}")
        panels[0].set(
            ylabel=metric, ylim=(values.min() - 0.15 * room, values.max() + 0.15 * room), xlim=(0, 1)
        )
        best = max(results, key=results.get)
        title = f"α = {best[0]:g} and β = {best[1]:g}: {metric} {results[best]:.3f}"
        if len(results) > 1:
            title = f"Of {len(results)} tried, α = {best[0]:g} and β = {best[1]:g} do best so far"
        style.headline(figure, title, small_print)
    return figure
