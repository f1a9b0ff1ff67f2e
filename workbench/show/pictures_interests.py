"""A life falls into interests: ENCODE's clusters along one history, on the plane, and beside the truth."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbench.show import style
from workbench.show.drawing import text

# Paul Tol's "muted" hues, which colour-blind readers can tell apart, in an order of uneven depth
HUES = (
    "#332288", "#DDCC77", "#117733", "#CC6677", "#88CCEE", "#882255", "#44AA99", "#AA4499", "#999933",
)  # fmt: skip
REST = "#B4BAC1"  # of what is not among the largest
STRETCHES, TICKS, HIGH = 100, 500, 20  # parts of the strip; columns of the rows, and dots from row to row


def largest(code: np.ndarray, most: int = len(HUES)) -> np.ndarray:
    """The codes from 0 that are met most often in (n,), the most frequent first; -1 is no code."""
    found, count = np.unique(code[code >= 0], return_counts=True)
    return found[np.argsort(-count, kind="stable")][:most]


def hues(code: np.ndarray) -> np.ndarray:
    """(n,) codes -> (n,) colours: a hue for each of the largest, grey for the rest."""
    colour = np.full(len(code), REST, dtype=object)
    for hue, one in zip(HUES, largest(code), strict=False):
        colour[code == one] = hue
    return colour


def life_beside_interests(
    kind: np.ndarray, interests: int, candidates: int, width: int, seconds: tuple[float, float],
    small_print: str,
) -> Figure:  # fmt: skip
    """What a request multiplies if it asks all events, and if it asks some interests; lengths are to scale.

    kind : (L,) of a user's events, -1 where unknown, their hue. width : d. seconds : for all candidates of a
    request, with all events and with the interests.
    """
    length, (left, right) = len(kind), (0.15, 10.85)
    with style.theme():
        figure = Figure(figsize=(11, 2.95))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        scale = (right - left) / length
        rows = ((1.5, length, "events", seconds[0]), (0.35, interests, "interests", seconds[1]))
        for y, count, name, took in rows:
            products = candidates * count * width / 1e6
            said = f"{candidates:,} candidates × {count:,} {name} × {width} numbers"
            said += f" = {products:,.1f} million products: {1000 * took:.1f} ms"
            text(axes, left, y - 0.17, said, ha="left", size=10.5)
            axes.add_artist(Rectangle((left, y), count * scale, 0.55, fc="none", ec=style.MUTED, lw=0.9))
        x = left + scale * (np.arange(length) + 0.5)
        _ticks(axes, x, rows[0][0] + 0.02, rows[0][0] + 0.53, hues(kind), 72 * scale)
        axes.add_artist(Rectangle((left, rows[1][0]), interests * scale, 0.55, fc=style.TARGET, lw=0))
        axes.set(xlim=(0, 11), ylim=(0, 2.95))
        title = f"{interests} interests stand for {length:,} events"
        style.headline(figure, f"{title}: {length / interests:.0f} times less to multiply", small_print)
    return figure


def _ticks(axes: Axes, x: np.ndarray, low: float, high: float, colour: object, width: float) -> None:
    """An upright line for each event."""
    ends = np.stack([np.stack([x, np.full(len(x), y, float)], 1) for y in (low, high)], 1)
    axes.add_collection(LineCollection(ends, colors=colour, lw=width, capstyle="butt"), autolim=False)


class Curve(NamedTuple):
    """How well clusters agree with kinds: value (n,) at so many clusters (n,), of which ``now`` is one;
    planted : kinds of this user, None where nobody knows.
    """

    clusters: Sequence[int]
    value: Sequence[float]
    planted: int | None
    now: int


def life_in_interests(
    label: np.ndarray, xy: np.ndarray, kind: np.ndarray, kinds: Sequence[str], title: str, small_print: str,
    curve: Curve | None = None,
) -> Figure:  # fmt: skip
    """One history cut into its clusters, along time and on the plane.

    label : (L,) clusters of events, the oldest first. xy : (L, 2) places by t-SNE. kind : (L,) of the events'
    items, -1 where unknown. kinds : the words for each. The row on top has the cluster that is met most often
    in each stretch of the history; every other row has the events of one of the nine largest clusters, and in
    grey under them all events of the kind that is met most often in that cluster. curve : drawn at the
    bottom, the present number of clusters marked by a disc.
    """
    more = 1.65 if curve else 0.0
    height = 4.85 + more
    order = largest(label)
    with style.theme():
        figure = Figure(figsize=(11.5, height))

        def place(left: float, bottom: float, width: float, high: float) -> Axes:
            return figure.add_axes((left, bottom / height, width, high / height))

        _rows(place(0.055, 0.4 + more, 0.395, 3.65), label, kind, kinds, order)
        _plane(place(0.62, 0.3, 0.37, height - 1.1), xy, label, order)
        if curve:
            _small_curve(place(0.055, 0.55, 0.395, 1.05), curve)
        style.headline(figure, title, small_print)
    return figure


def _rows(axes: Axes, label: np.ndarray, kind: np.ndarray, kinds: Sequence[str], order: np.ndarray) -> None:
    """One picture for all rows: a line for each of thousands of events is what an explorer would wait for."""
    rest = ~np.isin(label, order)
    named = ["life", *(str(row + 1) for row in range(len(order))), *["rest"] * bool(rest.any())]
    bins = np.arange(len(label)) * min(TICKS, len(label)) // len(label)
    shade = np.ones((len(HUES) + 2, HIGH, bins[-1] + 1, 3))
    stretch = np.arange(len(label)) * min(STRETCHES, len(label)) // len(label)
    hue = dict(zip(order, map(to_rgb, HUES), strict=False))
    for part in np.unique(stretch):
        here = stretch == part
        shade[0, 1:15, bins[here]] = hue.get(largest(label[here], 1)[0], to_rgb(REST))
    _beside(axes, 0, f"most frequent of {len(label) // (stretch[-1] + 1)} clicks")
    for row, one in enumerate(order, 1):
        here = label == one
        shade[row, 1:11, bins[here]] = hue[one]
        said = _events(here.sum())
        if len(main := largest(kind[here], 1)):
            same = kind == main[0]
            shade[row, 13:18, bins[same]] = to_rgb(style.MUTED)
            said += f", {same[here].mean():.0%} {textwrap.shorten(kinds[main[0]], 16, placeholder='…')}"
        _beside(axes, row, said)
    if rest.any():
        shade[len(order) + 1, 1:11, bins[rest]] = to_rgb(REST)
        _beside(axes, len(order) + 1, _events(rest.sum()))
    extent = (0, len(label), len(shade) - 0.5, -0.5)
    axes.imshow(shade.reshape(-1, *shade.shape[2:]), extent=extent, aspect="auto", interpolation="nearest")
    axes.axis("off")  # ticks take longer to draw than all they stand beside
    axes.set(xlim=(0, len(label)), ylim=(len(shade) - 0.5, -0.55))
    for row, name in enumerate(named):
        _beside(axes, row, name, left=True)
    below = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 9.5}
    middle = "clicks, oldest first; grey: all clicks on a row's main kind"
    for x, words in ((0, "1"), (len(label) / 2, middle), (len(label), f"{len(label):,}")):
        axes.annotate(words, (x, 0), (0, -4), va="top", ha="center", **below)


def _events(count: int) -> str:
    return f"{count} event" + ("s" if count != 1 else "")


def _beside(axes: Axes, row: int, words: str, left: bool = False) -> None:
    axes.annotate(words, (0 if left else 1, row), (-5 if left else 5, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", va="center", ha="right" if left else "left",
                  fontsize=9.5 if left else 8.5)  # fmt: skip


def _plane(axes: Axes, xy: np.ndarray, label: np.ndarray, order: np.ndarray) -> None:
    rest, colour = ~np.isin(label, order), hues(label)
    for here, size in ((rest, 2.8), (~rest, 3.9)):
        for hue in set(colour[here]):
            axes.plot(*xy[here & (colour == hue)].T, "o", ms=size, mew=0, color=hue)
    taken, room = [], 0.06 * np.ptp(xy, axis=0)
    for row, one in enumerate(order):
        middle = _densest(xy[label == one])
        while any((np.abs(middle - other) < room).all() for other in taken):
            middle = middle + np.array([room[0], 0])  # beside a number that is there
        taken.append(middle)
        axes.annotate(
            str(row + 1), middle, ha="center", va="center", fontsize=9, weight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": HUES[row], "lw": 1.5, "alpha": 0.9},
        )  # fmt: skip
    axes.axis("off")
    frame = {"fc": "none", "ec": style.FAINT, "lw": 1.2, "transform": axes.transAxes, "clip_on": False}
    axes.add_artist(Rectangle((0, 0), 1, 1, **frame))


def _densest(xy: np.ndarray) -> np.ndarray:
    """The point of a cloud with the nearest neighbours: it lies on the cloud, unlike the middle of two."""
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    return xy[np.sort(apart, 1)[:, : 1 + len(xy) // 3].sum(1).argmin()]


def _small_curve(axes: Axes, curve: Curve) -> None:
    at = list(curve.clusters).index(curve.now)
    axes.plot(curve.clusters, curve.value, "-", color=style.INK, lw=1.6)
    axes.plot(curve.clusters[at], curve.value[at], "o", ms=8, color=style.TARGET)
    axes.annotate(f"{curve.value[at]:.2f}", (curve.clusters[at], curve.value[at]), (0, 7),
                  textcoords="offset points", ha="center", fontsize=9.5, color=style.TARGET)  # fmt: skip
    axes.set(ylim=(0, 1.05), xlabel="K, clusters", ylabel="ARI", yticks=(0, 0.5, 1))
    if curve.planted:
        _planted(axes, curve.planted)
    axes.tick_params(labelsize=9)


def _planted(axes: Axes, planted: int) -> None:
    axes.axvline(planted, color=style.MUTED, ls=":", lw=1.2, zorder=0)
    axes.annotate(f"{planted} planted", (planted, 1), (4, -1), xycoords=("data", "axes fraction"), va="top",
                  textcoords="offset points", fontsize=9, color=style.MUTED)  # fmt: skip


def rounds_on_a_circle(
    degrees: np.ndarray, centres: Sequence[np.ndarray], labels: Sequence[np.ndarray], small_print: str
) -> Figure:
    """k-means on a circle, a panel a round: events join the nearest centre, then centres move.

    degrees : (n,) directions of events. centres : a round's (K,) directions when events choose; labels : a
    round's (n,) choices. The last round is one in which nobody moved.
    """
    marks, colours = ("o", "s", "^"), (style.PAST, style.FUTURE, style.SOURCE_DOMAIN)

    def at(angle: np.ndarray, radius: float = 1.0) -> np.ndarray:
        return radius * np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))])

    with style.theme():
        figure = Figure(figsize=(3.6 * len(labels), 3.1))
        panels = figure.subplots(
            1, len(labels), squeeze=False,
            gridspec_kw={"left": 0.02, "right": 0.98, "top": 0.72, "bottom": 0.02, "wspace": 0.05},
        )[0]  # fmt: skip
        for turn, (axes, middle, label) in enumerate(zip(panels, centres, labels, strict=True), 1):
            axes.plot(*at(np.linspace(-12, 192, 120)), color=style.FAINT, lw=1.2, zorder=0)
            for k, centre in enumerate(middle):
                end = at(centre, 0.8)
                axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colours[k], "lw": 2})
                aside = at(centre, 0.55) + at(centre + (90 if k else -90), 0.16)
                axes.text(*aside, f"{centre:.0f}°", ha="center", va="center", fontsize=9)
                axes.plot(*at(degrees[label == k]), marks[k], ms=11, color=colours[k], ls="", mec="white")
            for angle in degrees:
                axes.text(*at(angle, 1.17), f"{angle:.0f}°", ha="center", va="center", fontsize=9)
            axes.set(xlim=(-1.4, 1.4), ylim=(-0.25, 1.35), aspect="equal", xticks=[], yticks=[])
            axes.axis("off")
            moved = len(label) if turn == 1 else int((label != labels[turn - 2]).sum())
            said = "the first choice" if turn == 1 else f"{moved} move" if moved else "nobody moves"
            axes.set_title(f"round {turn}: {said}", fontsize=11, loc="center", weight="normal")
        title = f"Events choose the nearest arrow, arrows follow them: done after {len(labels)} rounds"
        style.headline(figure, title, small_print)
    return figure


def agreement_by_clusters(rows: pd.DataFrame, planted: int | None, what: str, small_print: str) -> Figure:
    """How well clusters agree with the kinds of items as K grows, a line for each number of dimensions.

    rows : columns m, clusters, user, value (adjusted Rand index). A band has half of the users. planted : the
    number of interests a user has, where one knows. what : the kinds, in words.
    """
    looks = (":", "--", "-", "-.")
    with style.theme():
        figure = Figure(figsize=(9.5, 4.3))
        axes = figure.add_axes((0.08, 0.14, 0.8, 0.64))
        peaks, ends, last = {}, {}, rows["clusters"].max()
        for place, (m, part) in enumerate(rows.groupby("m")):
            by = part.groupby("clusters")["value"]
            mean, colour = by.mean(), style.SERIES[place]
            half = by.quantile(0.25), by.quantile(0.75)
            axes.fill_between(mean.index, *half, color=colour, alpha=0.13, lw=0)
            axes.plot(mean.index, mean, looks[place % 4], color=colour)
            peaks[m], ends[m] = int(mean.idxmax()), mean[last]
            axes.plot(peaks[m], mean.max(), "o", ms=8, color=colour)
            axes.annotate(f"K = {peaks[m]}", (peaks[m], mean.max()), (0, 8), textcoords="offset points",
                          ha="center", fontsize=9.5, color=style.INK)  # fmt: skip
        top = min(1.2 * rows.groupby(["m", "clusters"])["value"].mean().max(), 1.05)
        axes.set(ylim=(0, top), xlim=(0, last), xlabel="K, clusters of a user",
                 ylabel=f"agreement with {what} (ARI)")  # fmt: skip
        heights = style.apart(list(ends.values()), axes.get_ylim(), 0.06)
        for place, (m, y) in enumerate(zip(ends, heights, strict=True)):
            axes.annotate(f"m = {m}", (last, y), (6, 0), textcoords="offset points", va="center", fontsize=10,
                          color=style.SERIES[place])  # fmt: skip
        if planted:
            _planted(axes, planted)
        best = f"K = {min(peaks.values())}" + (
            f" to {max(peaks.values())}" if len(set(peaks.values())) > 1 else ""
        )
        title = f"Clusters agree best with {what} at {best}"
        style.headline(figure, f"{title}; planted are {planted}" if planted else title, small_print)
    return figure


def weight_and_count(rows: pd.DataFrame, what: str, small_print: str) -> Figure:
    """How much of an interest is what most events of its cluster are: in a mean, and by Eq. 8.

    rows : columns m, mean (share of events of the kind met most often in a cluster) and weight (its share of
    the weights of Eq. 8), means over clusters. what : a kind, in words.
    """
    with style.theme():
        figure = Figure(figsize=(9.5, 1.7 + 0.5 * len(rows)))
        height = figure.get_figheight()
        axes = figure.add_axes((0.1, 0.55 / height, 0.85, 1 - 1.6 / height))
        for y, row in enumerate(rows.itertuples(index=False)):
            axes.annotate("", (row.weight, y), (row.mean, y),
                          arrowprops={"arrowstyle": "-|>", "color": style.PAST, "lw": 1.6, "shrinkA": 5,
                                      "shrinkB": 5})  # fmt: skip
            axes.plot(row.mean, y, "o", ms=9, mfc="white", mec=style.INK, mew=1.5)
            axes.plot(row.weight, y, "o", ms=9, color=style.PAST)
            for value, side in ((row.mean, "right"), (row.weight, "left")):
                axes.annotate(f"{value:.0%}", (value, y), (-9 if side == "right" else 9, 0), va="center",
                              textcoords="offset points", ha=side, fontsize=10)  # fmt: skip
        for x, words, side in (
            (rows["mean"].iloc[0], "a mean", "right"),
            (rows["weight"].iloc[0], "Eq. 8", "left"),
        ):
            axes.annotate(words, (x, 0), (0, 12), textcoords="offset points", ha=side, fontsize=10)
        axes.set_yticks(range(len(rows)), [f"m = {m}" for m in rows["m"]])
        low = rows["mean"].min()
        axes.set(
            ylim=(len(rows) - 0.4, -0.8),
            xlim=(max(low - 0.12, 0), min(rows["weight"].max() + 0.1, 1.05)),
            xlabel=f"part of an interest that is the main {what}",
        )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        first, last = (rows.iloc[at] for at in (0, -1))
        gains = [f"{100 * (row['weight'] - row['mean']):.0f}" for row in (first, last)]
        gains[0] += " point" if gains[0] == "1" else " points"
        title = f"Eq. 8 adds {gains[0]} to a cluster's main {what} at m = {first['m']:.0f}"
        style.headline(figure, f"{title}, and {gains[1]} at m = {last['m']:.0f}", small_print)
    return figure
