"""More pictures of lesson 04: what enters the MLP, what a comparison costs, what each remedy is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator

from workbench.errors import DataError
from workbench.lab.comparing import MULTIPLIED, SIDE_BY_SIDE
from workbench.lab.metrics import paired_interval
from workbench.methods.lift_config import LIFTConfig
from workbench.show import style
from workbench.show.drawing import tint

PANELS = {"auc": "all test rows", "auc_steps": "rows about step items"}


def hidden_blocks(config: LIFTConfig, fields: int, value_size: int, own_size: int) -> dict[str, int]:
    """What LIFT, Eq. 17 concatenates in this configuration: name of the part -> how many numbers it has.

    fields : M. value_size, own_size : numbers in the vector of a context and in h_t.
    """
    labelled = int(config.neighbor_label != "none")
    pairs = [n * (n - 1) // 2 for n in (fields, fields + labelled)]
    blocks = {"x inter, target": pairs[0], "x inter, neighbours": pairs[1]}
    if not config.literal_eq17:
        blocks |= {"x, target": fields * config.width, "x, neighbours": (fields + labelled) * config.width}
    for part in config.parts:
        for kind in (" ●", " ○") if config.neighbor_label == "split" else ("",):  # clicked, not clicked
            blocks[part + kind] = value_size
    if config.match and config.parts:
        vectors = len(config.parts) * (2 if config.neighbor_label == "split" else 1)
        blocks["products with h"] = 4 * vectors
    return blocks | {"own history h": own_size}


def hidden_vector(blocks: Mapping[str, int]) -> Figure:
    """The vector that the MLP reads, as a strip: a piece for each part, as long as its share of the numbers.

    blocks : of :func:`hidden_blocks`.
    """
    total = sum(blocks.values())
    with style.theme():
        figure = Figure(figsize=(11.5, 2.1))
        axes = figure.add_axes((0.015, 0.02, 0.97, 0.72))
        left = 0
        for place, (name, size) in enumerate(blocks.items()):
            colour = _colour(name)
            axes.add_patch(Rectangle((left, 0), size, 1, fc=tint(colour, 0.45), ec="white", lw=2))
            axes.text(left + size / 2, 0.5, str(size), ha="center", va="center", fontsize=10)
            high = 1.16 + 0.42 * (place % 2)  # names of thin pieces would run into each other
            axes.plot(2 * [left + size / 2], [1.0, high - 0.05], color=style.FAINT, lw=1)
            axes.text(left + size / 2, high, name, ha="center", va="bottom", fontsize=9.5, color=style.INK)
            left += size
        axes.set(xlim=(-0.03 * total, 1.03 * total), ylim=(0, 2.0))
        axes.axis("off")
        contexts = sum(size for name, size in blocks.items() if name.split()[0] in ("history", "future"))
        compared = "and a comparison with h" if "products with h" in blocks else "and no comparison with h"
        title = f"The MLP reads {total} numbers: {contexts} of them contexts, {compared}"
        style.headline(figure, title)
    return figure


def _colour(name: str) -> str:
    first = name.split()[0]
    fixed = {"history": style.PAST, "future": style.FUTURE, "products": style.TARGET}
    return fixed.get(first, style.SOURCE_DOMAIN if first == "own" else style.MUTED)


def rows_to_compare(found: pd.DataFrame, marked: int | None = None) -> Figure:
    """AUC against training rows for two vectors side by side and multiplied, with the ceiling.

    found : of :func:`workbench.lab.comparing.comparing_aucs`. marked : a number of rows to point at.
    """
    mean = found.groupby(["input", "rows"])["auc"].mean().unstack("input")
    best = found["ceiling"].mean()
    with style.theme():
        figure = Figure(figsize=(8.6, 4.3))
        axes = figure.add_axes((0.1, 0.15, 0.68, 0.66))
        for name, colour in ((MULTIPLIED, style.TARGET), (SIDE_BY_SIDE, style.PAST)):
            dots = found[found["input"] == name]
            axes.plot(dots["rows"], dots["auc"], "o", ms=4, color=colour, alpha=0.45, mew=0)
            axes.plot(mean.index, mean[name], "o-", color=colour, ms=7, mec="white")
            axes.annotate(name, (mean.index[-1], mean[name].iloc[-1]), (10, 0), textcoords="offset points",
                          va="center", color=colour, weight="bold")  # fmt: skip
        axes.plot(mean.index[[0, -1]], [best, best], color=style.INK, lw=1.4, ls="--", zorder=1)
        axes.annotate(
            "best reachable", (mean.index[0], best), (0, 4), textcoords="offset points", fontsize=9.5
        )
        axes.axhline(0.5, color=style.FAINT, lw=1)
        if marked is not None:
            axes.axvline(marked, color=style.MUTED, lw=1, ls=":")
            axes.annotate(f"the lesson's\n{marked:,} rows", (marked, 0.02), (-4, 0), ha="right", fontsize=9.5,
                          xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(mean.index, [f"{rows:,}" for rows in mean.index])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="training rows", ylabel="test AUC", ylim=(0.48, best + 0.03))
        at = mean.index[-1] if marked is None else mean.index[np.abs(mean.index - marked).argmin()]
        told = f"{mean[SIDE_BY_SIDE][at]:.2f} side by side, {mean[MULTIPLIED][at]:.2f} with products"
        seeds = found["seed"].nunique()
        small = f"does one vector agree with another? {seeds} seed{'s' if seeds > 1 else ''} of random pairs"
        style.headline(figure, f"{at:,} rows: AUC {told}", small)
    return figure


def changes(found: pd.DataFrame, reference: str, metrics: Sequence[str] = tuple(PANELS)) -> pd.DataFrame:
    """What each variant's metrics are, and how they differ from a reference's, paired over shared seeds.

    found : columns variant, seed and the metrics. Returns columns variant, metric, mean, change, low, high
    (95% interval of the change; NaN for the reference and below two seeds), seeds.

    Raises DataError where the reference is missing, or a variant was run twice with a seed.
    """
    if reference not in set(found["variant"]):
        raise DataError(f"there are no results of {reference!r}", column="variant")
    if found.duplicated(["variant", "seed"]).any():
        raise DataError("a variant was run twice with the same seed", column="seed")
    rows = []
    for metric in metrics:
        runs = found.pivot(index="seed", columns="variant", values=metric)
        for variant in dict.fromkeys(found["variant"]):
            both = runs[[variant, reference]].dropna().to_numpy()
            change = (0.0, np.nan, np.nan)
            if variant != reference:
                change = (float((both[:, 0] - both[:, -1]).mean()) if len(both) else np.nan, np.nan, np.nan)
                if len(both) > 1:
                    change = paired_interval(both[:, 0], both[:, -1])[:3]
            rows.append((variant, metric, runs[variant].mean(), *change, int(runs[variant].notna().sum())))
    return pd.DataFrame(rows, columns=["variant", "metric", "mean", "change", "low", "high", "seeds"])


def remedies_worth(
    table: pd.DataFrame, reference: str, groups: Mapping[str, Sequence[str]], small_print: str = ""
) -> Figure:
    """What is lost with each change to the reference: a panel a metric, changes in AUC with intervals.

    table : of :func:`changes`. groups : heading -> its variants, in the order to draw; the first group's
    single changes are what the title compares.
    """
    groups = {head: [v for v in some if v in set(table["variant"])] for head, some in groups.items()}
    lines = [(head, variant) for head, some in groups.items() for variant in some]
    metrics = list(dict.fromkeys(table["metric"]))
    y, at = [], 0.0
    for place, (head, _) in enumerate(lines):
        at += 1.0 if place and lines[place - 1][0] == head else 1.9
        y.append(at)
    with style.theme():
        height = 1.6 + 0.3 * (at + 0.5)
        figure = Figure(figsize=(11.5, height))
        grid = {"left": 0.2, "right": 0.985, "wspace": 0.06, "top": 1 - 1.1 / height, "bottom": 0.55 / height}
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False, gridspec_kw=grid)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            rows = table[table["metric"] == metric].set_index("variant")
            _changes(axes, rows, [variant for _, variant in lines], y)
            axes.set_title(f"{PANELS.get(metric, metric)}: {reference} {rows.loc[reference, 'mean']:.3f}",
                           fontsize=11, pad=6)  # fmt: skip
        panels[0].set_yticks(y, [variant for _, variant in lines])
        panels[0].set_ylim(at + 0.7, 0.4)
        for head, some in groups.items():
            if some:
                place = (-0.02, y[lines.index((head, some[0]))] - 0.95)
                look = {"fontsize": 9.5, "weight": "bold", "annotation_clip": False}
                panels[0].annotate(
                    head, place, xycoords=("axes fraction", "data"), ha="right", va="center", **look
                )
        style.headline(figure, _dearest(table, next(iter(groups.values())), reference), small_print)
    return figure


def _changes(axes: Axes, rows: pd.DataFrame, variants: Sequence[str], y: Sequence[float]) -> None:
    """One panel: each variant's change as a dot with its interval, its mean beside it."""
    axes.axvline(0, color=style.TARGET, lw=1.6)
    for variant, line in zip(variants, y, strict=True):
        row = rows.loc[variant]
        sure = row["low"] > 0 or row["high"] < 0
        axes.plot([row["low"], row["high"]], [line, line], color=style.INK, lw=4.5, alpha=0.35,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(row["change"], line, "o", ms=7, mec=style.INK, mew=1.5, mfc=style.INK if sure else "white")
        left = np.nanmin([row["low"], row["change"]])
        axes.annotate(f"{row['mean']:.3f}", (left, line), (-7, 0), textcoords="offset points", ha="right",
                      va="center", fontsize=9, color=style.MUTED)  # fmt: skip
    low, high = (
        np.nanmin([rows["low"], rows["change"]]),
        np.nanmax([rows["high"], rows["change"], 0 * rows["mean"]]),
    )
    room = max(high - low, 0.01)
    axes.set_xlim(low - 0.22 * room, high + 0.06 * room)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("change in AUC (filled: the 95% interval leaves 0 out)", fontsize=9.5)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", lw=0.6)
    axes.set_axisbelow(True)


def _dearest(table: pd.DataFrame, singles: Sequence[str], reference: str) -> str:
    """Of the single changes, the one that costs most, on the last metric."""
    last = table[table["metric"] == table["metric"].iloc[-1]].set_index("variant").loc[list(singles)]
    if last["change"].isna().all():
        return f"No change to {reference} was measured yet"
    worst = last.loc[last["change"].idxmin()]
    spread = "" if np.isnan(worst["low"]) else f" ± {worst['high'] - worst['change']:.3f}"
    where = PANELS.get(table["metric"].iloc[-1], table["metric"].iloc[-1])
    return f"{worst.name.capitalize()} costs most: {worst['change']:+.3f}{spread} AUC on {where}".replace(
        "-", "−"
    )


def tried_predictors(
    results: Mapping[str, tuple[float, float]], ceiling: tuple[float, float] | None
) -> Figure:
    """The predictors trained so far: test AUC on all rows and, where they are known, on step rows.

    results : words -> (AUC on all rows, on step rows or NaN), in the order of training; not empty. ceiling :
    the same two of the true probabilities, or None where nobody knows them.
    """
    words, values = list(results), np.array(list(results.values()))
    names = [
        name for name, column in zip(PANELS.values(), values.T, strict=True) if not np.isnan(column).all()
    ]
    with style.theme():
        height = 1.7 + 0.32 * max(len(words), 3)
        figure = Figure(figsize=(11.5, height))
        grid = {"left": 0.4, "right": 0.98, "wspace": 0.08, "top": 1 - 1.0 / height, "bottom": 0.5 / height}
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False, gridspec_kw=grid)[0]
        for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
            column = values[:, place]
            best = int(np.nanargmax(column))
            axes.hlines(range(len(words)), 0.48, column, color=style.FAINT, lw=1.2)
            for line, value in enumerate(column):
                axes.plot(value, line, "o", ms=8, color=style.TARGET if line == best else style.INK)
                axes.annotate(f"{value:.3f}", (value, line), (9, 0), textcoords="offset points", va="center",
                              fontsize=9.5)  # fmt: skip
            top = "" if ceiling is None else f"; best reachable {ceiling[place]:.3f}"
            axes.set_title(name, fontsize=11, pad=6)
            axes.set(xlim=(0.48, max(0.72, 1.08 * np.nanmax(column))), ylim=(max(len(words), 3) - 0.4, -0.6))
            axes.set_xlabel("test AUC, one seed" + top, fontsize=9.5)
            axes.tick_params(left=False)
            axes.spines["left"].set_visible(False)
        panels[0].set_yticks(range(len(words)), words)
        title = (
            f"{len(words)} predictors on one encoder"
            if len(words) > 1
            else "One predictor so far: flip a switch and run"
        )
        style.headline(figure, title)
    return figure
