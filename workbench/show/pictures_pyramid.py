"""Three looks at a long sequence: LCN's pyramid for one candidate, and how consistent its levels are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbench.methods.long_history import Level
from workbench.show import style
from workbench.show.drawing import text

NAMES = {
    "complete": "complete scope", "median": "median scope", "focused": "focused scope",
    "exact": "exact search", "buckets": "shared buckets",
}  # fmt: skip
LEFT, RIGHT, TALL = 2.0, 10.7, 0.62


def funnel(
    levels: Sequence[Level], alike: np.ndarray, title: str, small_print: str, names: Sequence[str]
) -> Figure:
    """The levels of one candidate as strips, the widest on top; lines lead from an event to the next strip.

    levels : of one row, weights (1, K) or (1, h, K). alike : (L,) bool, events of the candidate's kind, in
    green. names : (L,) what is written on the events of the last strip. A cell of half depth has the average
    weight of its strip (without sign), a full one twice as much or more; one below zero is pale. Heads lie
    under each other, events stand in the order of time.
    """
    strips = [_strip(level) for level in levels]
    widths = _widths([place.size for place, _ in strips])
    with style.theme():
        height = 1.35 + 1.42 * len(strips)
        figure = Figure(figsize=(RIGHT + 0.3, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        before = None
        for line, (level, (place, weights)) in enumerate(zip(levels, strips, strict=True)):
            y = height - 1.0 - TALL / 2 - 1.42 * line
            middle = (LEFT + RIGHT) / 2
            edges = np.linspace(middle - widths[line] / 2, middle + widths[line] / 2, place.size + 1)
            if before is not None:
                _lines(axes, before, (place, edges, y), alike)
            _cells(axes, edges, y, weights, alike[place])
            share = f"{place.size:,} events" + (f", {alike[place].mean():.0%} alike" if place.size else "")
            text(axes, 0.15, y + 0.12, NAMES.get(level.name, level.name), ha="left", size=10.5)
            text(axes, 0.15, y - 0.12, share, ha="left", size=9, colour=style.MUTED)
            before = place, edges, y
        if before[0].size <= 12:
            place, edges, y = before
            for at, event in zip((edges[1:] + edges[:-1]) / 2, place, strict=True):
                axes.text(at + 0.06, y - TALL / 2 - 0.06, names[event], size=8.5, rotation=30, ha="right",
                          va="top", rotation_mode="anchor")  # fmt: skip
        axes.set(xlim=(0, RIGHT + 0.3), ylim=(0, height))  # pictures of strips have moved them
        style.headline(figure, title, small_print)
    return figure


def _strip(level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Places in the order of time (K,), and their weights (h, K)."""
    weights = level.weights[0].detach().numpy()
    weights = weights.reshape(-1, weights.shape[-1])
    place = level.place[0].numpy()
    order = np.argsort(place, kind="stable")
    return place[order], weights[:, order]


def _widths(counts: Sequence[int]) -> list[float]:
    """Narrower from strip to strip, none too narrow to see."""
    whole = RIGHT - LEFT
    return [whole * max((count / max(counts)) ** 0.35, 0.25) for count in counts]


def _cells(axes: Axes, edges: np.ndarray, y: float, weights: np.ndarray, alike: np.ndarray) -> None:
    """One picture for all cells of a strip: a rectangle for each of thousands would take seconds."""
    dark = (weights / (2 * np.abs(weights).mean(1, keepdims=True)).clip(1e-12)).clip(0, 1)
    hues = np.array([to_rgb(style.SOURCE_DOMAIN if same else style.MUTED) for same in alike])
    shade = 1 - (0.06 + 0.94 * dark[..., None]) * (1 - hues)  # from white to the hue
    box = (edges[0], edges[-1], y - TALL / 2, y + TALL / 2)
    axes.imshow(shade, extent=box, aspect="auto", interpolation="nearest", zorder=3)
    frame = (edges[0], y - TALL / 2), edges[-1] - edges[0], TALL
    axes.add_artist(Rectangle(*frame, fc="none", ec=style.MUTED, lw=0.9, zorder=4))


def _lines(axes: Axes, before: tuple, after: tuple, alike: np.ndarray) -> None:
    """From the events of a strip that were kept to where they stand in the next."""
    (old, old_edges, above), (new, new_edges, below) = before, after
    where = {event: at for at, event in enumerate(old)}
    ends = [
        [
            ((old_edges[where[event]] + old_edges[where[event] + 1]) / 2, above - TALL / 2),
            ((new_edges[at] + new_edges[at + 1]) / 2, below + TALL / 2),
        ]
        for at, event in enumerate(new)
    ]
    colours = [style.SOURCE_DOMAIN if alike[event] else style.MUTED for event in new]
    axes.add_collection(LineCollection(ends, colors=colours, lw=0.8, alpha=0.55, zorder=1), autolim=False)


def consistencies(
    methods: pd.DataFrame, pools: pd.DataFrame, length: int, top: int, small_print: str
) -> Figure:
    """LCN, Figure 5: of what the last level ranks highest, the share that the search before it ranks as high.

    methods : columns method, seed, value; pools : columns k1, seed, value. length : of a sequence, beyond a
    quarter of which the paper sees nothing gained; top : events that are asked for, so that a search which
    draws has top / length.
    """
    with style.theme():
        figure = Figure(figsize=(11, 4.6))
        left, right = figure.subplots(
            1, 2, gridspec_kw={"left": 0.15, "right": 0.97, "top": 0.76, "bottom": 0.15, "wspace": 0.3},
        )  # fmt: skip
        names = bars_of_seeds(left, methods, "{:.2f}".format)
        left.set(xlim=(0, 1.15), ylim=(len(names) - 0.5, -0.5), xlabel="consistency")
        left.set_title("(a) methods", fontsize=11.5, pad=18)
        mean = pools.groupby("k1")["value"].mean()
        right.plot(mean.index, mean, "-", color=style.TARGET)
        right.plot(pools["k1"], pools["value"], "o", ms=5, color=style.TARGET, alpha=0.6)
        right.axvline(length / 4, color=style.MUTED, ls=":", lw=1.2)
        right.annotate(
            "a quarter of the sequence", (length / 4, 0.95), (-5, 0), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="right", va="top", fontsize=9.5, color=style.MUTED,
        )  # fmt: skip
        left.axvline(top / length, color=style.MUTED, ls=":", lw=1.2, zorder=0)
        left.annotate("drawn", (top / length, 1), (0, 1), xycoords=("data", "axes fraction"), ha="center",
                      textcoords="offset points", fontsize=9.5, color=style.MUTED)  # fmt: skip
        right.axhline(top / length, color=style.MUTED, ls=":", lw=1.2, zorder=0)
        right.set(xscale="log", ylim=(0, 1.02), xlabel="K1", ylabel="consistency of LAP")
        right.set_xticks(mean.index, [f"{k:g}" for k in mean.index])
        right.set_xticks([], minor=True)
        right.set_title("(b) events that reach the median scope", fontsize=11.5, pad=18)
        style.headline(figure, _in_words(methods, mean), small_print)
    return figure


def bars_of_seeds(axes: Axes, rows: pd.DataFrame, written: Callable[[float], str]) -> list[str]:
    """A bar to the mean of each method, in the order of their first rows, and a dot a seed; the methods.

    rows : columns method, seed, value. written : how a mean is written beside its bar.
    """
    names = list(dict.fromkeys(rows["method"]))
    for y, name in enumerate(names):
        values = rows.loc[rows["method"] == name, "value"]
        colour = style.TARGET if name == "LAP" else style.INK
        axes.hlines(y, 0, values.mean(), color=colour, lw=7, alpha=0.25)
        axes.plot(values, [y] * len(values), "o", ms=5, color=colour, alpha=0.6)
        axes.annotate(written(values.mean()), (max(values), y), (8, 0), textcoords="offset points",
                      va="center", fontsize=10, color=colour)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    return names


def _in_words(methods: pd.DataFrame, pools: pd.Series) -> str:
    means = methods.groupby("method", sort=False)["value"].mean()
    above = [name for name in means.index.drop("LAP") if means[name] > means["LAP"]]
    named = " and ".join(above) if len(above) < 3 else f"{', '.join(above[:-1])} and {above[-1]}"
    who = f"{named} {'is' if len(above) == 1 else 'are'} more consistent than LAP"
    first, last = pools.iloc[0], pools.iloc[-1]
    how = "grows" if last > first + 0.02 else "falls" if last < first - 0.02 else "does not move"
    return f"{who if above else 'LAP is the most consistent'}; with K1 it {how}"
