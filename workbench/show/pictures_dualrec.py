"""The pictures of lesson 05: what each head sees, the training-inference gap, and where attention goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.errors import DataError
from workbench.show import style
from workbench.show.drawing import tint

CHANGE = LinearSegmentedColormap.from_list("change", [style.PAST, "white", style.TARGET])
UNSEEN = "#F6F7F8"  # behind what nobody may look at


def _shades(direction: str) -> LinearSegmentedColormap:
    colour = style.PAST if direction == "past" else style.FUTURE
    return LinearSegmentedColormap.from_list(direction, [UNSEEN, tint(colour, 0.85)])


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
            axes.imshow(seen[place], cmap=_shades(direction), vmin=0, vmax=1, interpolation="nearest")
            whole = sizes[place] >= n - 1
            axes.set_title(
                f"head {place + 1}: {'all' if whole else sizes[place]}", fontsize=10, pad=4, weight="normal"
            )
            axes.set_xticks([0, n - 1], ["1", str(n)])
            axes.set_yticks([0, n - 1], ["1", str(n)] if place % across == 0 else ["", ""])
            axes.tick_params(length=0, labelsize=8.5)
            _framed(axes, n)
        figure.supxlabel("item that is looked at", fontsize=10, color=style.INK, y=0.1 / height)
        figure.supylabel("position that looks", fontsize=10, color=style.INK, x=0.1 / width)
        side = "before" if direction == "past" else "after"
        style.headline(
            figure,
            f"The {direction} encoder: each head sees so many items {side} a position",
            f"{heads} heads, {n} items; windows {', '.join(map(str, sizes))} (Eq. 8), and the item itself",
        )
    return figure


def _framed(axes: Axes, n: int) -> None:
    """A thin frame, and lines between the cells where there are few of them."""
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.FAINT)
    if n <= 24:
        edges = np.arange(n - 1) + 0.5
        axes.hlines(edges, -0.5, n - 0.5, color="white", lw=1.0)
        axes.vlines(edges, -0.5, n - 0.5, color="white", lw=1.0)


def loss_with_and_without(curves: pd.DataFrame, small_print: str = "") -> Figure:
    """The training-inference gap: loss on the same items with the future there and with it hidden.

    curves : columns model, reads ("both sides" or "past"), epoch, loss. One model reads both ways; the others
    have no future to lose.
    """
    gapped = curves.groupby("model")["reads"].nunique().idxmax()
    looks = {"both sides": (style.MUTED, "--"), "past": (style.TARGET, "-")}
    with style.theme():
        figure = Figure(figsize=(9.4, 4.7))
        axes = figure.add_axes((0.085, 0.14, 0.6, 0.68))
        ends = {}
        others = iter((style.PAST, style.SOURCE_DOMAIN))
        for (model, reads), rows in curves.groupby(["model", "reads"], sort=False):
            colour, line = looks[reads] if model == gapped else (next(others), "-")
            axes.plot(rows["epoch"], rows["loss"], color=colour, ls=line, lw=2.4)
            told = {"both sides": "future there,\nas in training", "past": "future hidden,\nas in use"}[reads]
            name = f"{model}, {told}" if model == gapped else f"{model}:\ntrained as it is used"
            ends[name] = (rows["loss"].iloc[-1], colour)
        last = curves["epoch"].max()
        wide = curves[curves["model"] == gapped].pivot(index="epoch", columns="reads", values="loss")
        axes.fill_between(wide.index, wide["both sides"], wide["past"], color=style.TARGET, alpha=0.09, lw=0)
        heights = _apart([loss for loss, _ in ends.values()], axes.get_ylim(), 0.125)
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


def _apart(values: Sequence[float], limits: tuple[float, float], gap: float) -> list[float]:
    """The heights of labels, moved up in order so that no two are nearer than a share of the axis."""
    least, order = gap * (limits[1] - limits[0]), np.argsort(values)
    heights = np.asarray(values, dtype=float).copy()
    for lower, upper in pairwise(order):
        heights[upper] = max(heights[upper], heights[lower] + least)
    return (heights - (heights - np.asarray(values)).mean()).tolist()


def attention_map(
    weights: np.ndarray, names: Sequence[str], direction: str, title: str, note: str = ""
) -> Figure:
    """Where one head looks when it reads one user's history.

    weights : (n, n) query by key, in the order of time. names : of the n items. direction : "past" or
    "future".
    """
    n = len(weights)
    if len(names) != n:
        raise DataError(f"{len(names)} names for {n} items")
    short = [name if len(name) <= 26 else name[:25] + "…" for name in names]
    with style.theme():
        side, margin = max(4.2, 0.26 * n), 0.45 + 0.083 * max(map(len, short))
        width, height = margin + side + 0.35, margin + side + 0.95
        figure = Figure(figsize=(max(width, 7.2), height))
        width = figure.get_figwidth()
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
        axes.imshow(np.sqrt(weights), cmap=_shades(direction), vmin=0, vmax=1, interpolation="nearest")
        _framed(axes, n)
        numbered = [f"{name}  {place}" for place, name in enumerate(short, start=1)]
        axes.set_yticks(range(n), numbered, fontsize=8.5)
        axes.set_xticks(range(n), numbered, fontsize=8.5, rotation=90)
        axes.tick_params(length=0)
        if n <= 14:
            for (query, key), share in np.ndenumerate(weights):
                if share >= 0.095:
                    dark = share > 0.35 and direction == "past"
                    axes.text(
                        key, query, f"{share:.1f}"[1:] if share < 0.95 else "1", fontsize=7.5, ha="center",
                        va="center", color="white" if dark else style.INK,
                    )  # fmt: skip
        style.headline(figure, title, note)
    return figure


def attention_change(difference: np.ndarray, small_print: str = "", shown: int | None = None) -> Figure:
    """DualRec, Figure 6: attention of DualRec's past encoder minus that of a model trained on the past alone.

    difference : (layers, n, n) query by key, the newest item last. shown : how many of the newest items.
    """
    layers, n = len(difference), shown or difference.shape[1]
    drawn = difference[:, -n:, -n:]
    allowed = np.tril(np.ones((n, n), dtype=bool))
    largest = float(np.abs(drawn[:, allowed]).max()) or 1.0
    near = diagonal_change(difference)
    with style.theme():
        width, height = 1.9 + 3.5 * layers, 4.9
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            1, layers, squeeze=False, sharey=True,
            gridspec_kw={
                "left": 0.8 / width, "right": 1 - 1.2 / width, "top": 1 - 1.1 / height,
                "bottom": 0.7 / height,
            },
        )[0]  # fmt: skip
        ticks = [place for place in range(n) if (n - 1 - place) % (5 if n <= 25 else 10) == 0]
        for layer, axes in enumerate(panels):
            values = np.where(allowed, drawn[layer], np.nan)
            image = axes.imshow(
                values, cmap=CHANGE, norm=TwoSlopeNorm(0, -largest, largest), interpolation="nearest"
            )
            axes.set_facecolor(UNSEEN)
            axes.set_title(
                f"layer {layer + 1}   diagonal {near[layer]:+.3f}", fontsize=10.5, pad=5, weight="normal"
            )
            axes.set_xlabel("item that is looked at")
            axes.set_xticks(ticks, [str(place - n + 1) for place in ticks])
            axes.set_yticks(ticks, [str(place - n + 1) for place in ticks])
        panels[0].set_ylabel("item that looks (0: the newest)")
        bar = figure.colorbar(image, cax=figure.add_axes((1 - 0.95 / width, 0.2, 0.14 / width, 0.5)))
        bar.set_label("less  ← with the future →  more", fontsize=9)
        bar.ax.tick_params(labelsize=8.5)
        style.headline(figure, _moved(near), small_print)
    return figure


def diagonal_change(difference: np.ndarray) -> np.ndarray:
    """(layers,) mean of (layers, n, n) on the diagonal: what an item gives to itself, more or less.

    The oldest place is left out: whatever looks from there has itself alone to look at.
    """
    return np.array([np.diagonal(layer)[1:].mean() for layer in difference])


def _moved(near: np.ndarray, enough: float = 0.005) -> str:
    if (np.abs(near) < enough).all():
        return "Trained with the future, attention stays where it was"
    if (near > -enough).all():
        return "Trained with the future, attention moves to the newest items"
    if (near < enough).all():
        return "Trained with the future, attention moves away from the newest items"
    to = " and ".join(str(layer + 1) for layer in np.flatnonzero(near >= enough))
    return f"Attention moves to the newest items in layer {to}, and away from them elsewhere"


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
                words[over], (1.03, 0.92 - place), xycoords="axes fraction", color=colour, fontsize=10,
                weight="bold", va="top",
            )  # fmt: skip
        axes.axvline(0, color=style.INK, lw=1)
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set(ylim=(len(kinds) - 0.4, -0.6), xlabel=f"{metric} of DualRec minus {metric} of the other")
        axes.tick_params(left=False)
        axes.spines["left"].set_visible(False)
        style.headline(figure, _worth(gains, kinds), small_print)
    return figure


def _worth(gains: pd.DataFrame, kinds: Sequence[str]) -> str:
    """The future is worth something where DualRec beats all three."""
    sure = gains.assign(above=gains["low"] > 0).groupby("data", sort=False)["above"].all()
    below = gains.assign(below=gains["high"] < 0).groupby("data", sort=False)["below"].any()
    if sure.all():
        return "The user's own future helps, beyond a second encoder, in all of these data"
    if sure.any():
        return "The user's own future helps, beyond a second encoder, with " + ", ".join(sure.index[sure])
    if below.all():
        return "Here the future encoder helps nowhere: something simpler does better in all of these data"
    return "Nowhere here does the user's own future do better than both controls and the past alone"
