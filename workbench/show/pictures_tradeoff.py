"""Accuracy against latency (ENCODE, Figure 1): what a look at a long history gives, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from workbench.errors import DataError
from workbench.show import style

# Where a name may stand beside its point, the nearest first: (x, y) in points, ha, va.
PLACES = [
    (x * far, y * far, {1: "left", 0: "center", -1: "right"}[x], {1: "bottom", 0: "center", -1: "top"}[y])
    for far in (8, 14, 22, 32, 44)
    for x, y in sorted(product((1, -1, 0), repeat=2), key=lambda way: abs(way[1]))
    if (x, y) != (0, 0)
]


def frontier(ms: Sequence[float], auc: Sequence[float]) -> np.ndarray:
    """Which of n points nothing beats: no other is as fast and as accurate, and better in one. (n,) bool."""
    time, score = (np.asarray(values, float)[:, None] for values in (ms, auc))
    as_good = (time >= time.T) & (score <= score.T)
    better = (time > time.T) | (score < score.T)
    return ~(as_good & better).any(1)


def accuracy_against_latency(
    points: pd.DataFrame, words: Mapping[str, str], *, champion: str = "ENCODE", small_print: str = ""
) -> Figure:
    """Every method a named point, up and to the left is better; a line joins those that nothing beats.

    points : columns method, ms, auc, where; sd (of auc) where it is known. words : where -> the title of its
    panel, in order; a panel without points is left out.

    Raises DataError where there is nothing to draw.
    """
    where = [name for name in words if (points["where"] == name).any()]
    if not where:
        raise DataError("there are no points to draw")
    with style.theme():
        figure = Figure(figsize=(5.6 * len(where) + (2.6 if len(where) == 1 else 0), 4.9))
        panels = figure.subplots(
            1, len(where), squeeze=False,
            gridspec_kw={"left": 0.085, "right": 0.975, "top": 0.76, "bottom": 0.14, "wspace": 0.24},
        )[0]  # fmt: skip
        for axes, name in zip(panels, where, strict=True):
            _panel(axes, points[points["where"] == name].reset_index(drop=True), champion)
            axes.set_title(words[name], fontsize=11, pad=8)
        panels[0].set_ylabel("AUC (better ↑)")
        style.headline(figure, _in_words(points, where, champion), small_print)
        FigureCanvasAgg(figure)
        for axes, name in zip(panels, where, strict=True):
            _named(axes, points[points["where"] == name], champion)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, champion: str) -> None:
    best = frontier(rows["ms"], rows["auc"])
    line = rows[best].sort_values("ms")
    axes.plot(line["ms"], line["auc"], "-", color=style.SOURCE_DOMAIN, lw=5, alpha=0.3, zorder=1)
    for row, on in zip(rows.itertuples(), best, strict=True):
        colour = style.TARGET if row.method == champion else style.INK
        sd = getattr(row, "sd", np.nan)
        if np.isfinite(sd) and sd:
            axes.plot([row.ms] * 2, [row.auc - sd, row.auc + sd], color=colour, lw=2, alpha=0.35)
        axes.plot(row.ms, row.auc, "o", ms=9, color=colour, mfc=colour if on else "white", mew=1.6, zorder=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = np.log(rows["ms"].min()), np.log(rows["ms"].max())
    edge = 0.12 * (high - low) + 0.03
    axes.set_xlim(np.exp(low - edge), np.exp(high + 1.6 * edge))
    spread = rows["auc"].max() - rows["auc"].min() + 1e-4
    axes.set_ylim(rows["auc"].min() - 0.13 * spread, rows["auc"].max() + 0.15 * spread)
    axes.set_xlabel("milliseconds a request (← better)")
    axes.grid(lw=0.5)
    axes.set_axisbelow(True)


def _named(axes: Axes, rows: pd.DataFrame, champion: str) -> None:
    """Names beside their points, each at the first place that is free; the champion chooses first."""
    renderer = axes.figure.canvas.get_renderer()
    dots = axes.transData.transform(rows[["ms", "auc"]].to_numpy())
    taken = [Bbox.from_extents(x - 8, y - 8, x + 8, y + 8) for x, y in dots]
    inside = axes.get_window_extent(renderer)
    order = sorted(rows.itertuples(), key=lambda row: (row.method != champion, row.auc))
    for row in order:
        look = {
            "fontsize": 10,
            "color": style.INK,
            "path_effects": [withStroke(linewidth=3, foreground="white")],
        }
        if row.method == champion:
            look |= {"color": style.TARGET, "weight": "bold"}
        name = axes.annotate(row.method, (row.ms, row.auc), textcoords="offset points", xytext=(0, 0), **look)
        for x, y, ha, va in PLACES:
            name.set(position=(x, y), ha=ha, va=va)
            box = name.get_window_extent(renderer).padded(1.5)
            within = inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
            if within and not any(box.overlaps(other) for other in taken):
                break
        taken.append(name.get_window_extent(renderer).padded(1.5))
        if max(abs(x), abs(y)) > 10:
            line = {"arrowstyle": "-", "color": style.MUTED, "lw": 0.8, "shrinkA": 1, "shrinkB": 5}
            axes.annotate("", (row.ms, row.auc), (x, y), textcoords="offset points", arrowprops=line)


def _in_words(points: pd.DataFrame, where: Sequence[str], champion: str) -> str:
    """Whether the champion is one of those that nothing beats, in each panel; else who beats it."""
    said = []
    for name in where:
        rows = points[points["where"] == name]
        if champion not in set(rows["method"]):
            continue
        mine, others = rows[rows["method"] == champion].iloc[0], rows[rows["method"] != champion]
        better = others[(others["ms"] <= mine["ms"]) & (others["auc"] >= mine["auc"])]
        here = {"paper": "in the paper", "ours": "here"}.get(name, name)
        said.append(f"{here} {'nothing' if better.empty else ' and '.join(better['method'])}")
    return f"As fast and as accurate as {champion}: {', '.join(said)}"
