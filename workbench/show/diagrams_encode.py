"""ENCODE, Figure 2: a history is folded into K interests offline, and a request reads these K online.

Not the paper's drawing. The events on the sphere are made up; their clusters, the weights inside clusters
and those of the candidate come from the method's own code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from torch.nn import functional

from workbench.methods.clustering import ClusterConfig, centres, cluster
from workbench.methods.encode import EncodeConfig, attend, extract, within
from workbench.show import style
from workbench.show.drawing import arrow, box, cell, path, sheet, step, target, text, tint, vector

COLOURS = (style.PAST, style.SOURCE_DOMAIN, style.TARGET_DOMAIN)  # of the interests, the darkest first
NAMES = ("$u_1$", "$u_2$", "$u_K$")
LENGTH = 60  # events drawn
CONFIG = EncodeConfig(clusters=ClusterConfig(clusters=len(COLOURS)))
ROWS = (5.85, 5.42, 4.99)  # heights of the clusters, when they are laid out
GAP = 0.125  # between events of a row
PLACES = (6.65, 8.15, 9.65)  # where the interests stand in the store
BALL, RADIUS = (5.55, 5.4), 0.74  # the sphere


class Example(NamedTuple):
    """A life of L events: h (L, 3) on the sphere, label (L,), centre (K, 3), inside (L,) weights of Eq. 8,
    between (K,) weights of Eq. 10.
    """

    h: np.ndarray
    label: np.ndarray
    centre: np.ndarray
    inside: np.ndarray
    between: np.ndarray


def example() -> Example:
    """Three interests that come back in turn, clustered and weighed by the method."""
    rng = np.random.default_rng(4)
    middle = np.array([[-0.52, 0.38, 0.76], [0.6, 0.3, 0.74], [-0.05, -0.66, 0.75]])
    visits = np.repeat(rng.integers(0, 3, LENGTH), rng.integers(1, 5, LENGTH))[:LENGTH]
    spread = rng.normal(0, 0.15, (LENGTH, 3))
    h = functional.normalize(torch.tensor(middle[visits] + spread, dtype=torch.float32), dim=-1)[None]
    label = cluster(h, torch.ones(h.shape[:2], dtype=torch.bool), CONFIG.clusters)
    inside = within(h, label, CONFIG)
    offline = extract(h[0], torch.arange(LENGTH)[None], inside, label, len(COLOURS))
    candidate = torch.tensor([[0.14, 0.2, 0.8]])
    _, between = attend(candidate, offline, CONFIG)
    found = (h, label, centres(h, label, len(COLOURS)), inside, between)
    return Example(*(part[0].numpy() for part in found))


def pipeline() -> Figure:
    """Figure 2: the offline stage on top, the store of interests, and the online stage that reads it."""
    life = example()
    with style.theme():
        figure, axes = sheet(
            13.6, 8.55, "ENCODE: a life is folded into K interests offline; a request only meets these K",
            "dark: compares by the cosine, the one metric of both stages · dashed: in training only · "
            f"drawn are $L$ = {LENGTH} events and $K$ = {len(COLOURS)} interests; the paper has $K$ = 30",
        )  # fmt: skip
        _stage(axes, 5.68, 4.1, "Offline", "for each user, when there are new events",
               "a user costs $O(Ldm + TKLm + Lm)$", style.PAST)  # fmt: skip
        _stage(axes, 1.41, 2.58, "Online", "for each request, with $B$ candidates",
               "a request costs $O(BKd)$", style.TARGET)  # fmt: skip
        _history(axes, life)
        _reduction(axes)
        _clustering(axes, life)
        _extraction(axes, life)
        _store(axes)
        _inputs(axes)
        _attentions(axes, life)
        _prediction(axes)
    return figure


def _stage(axes: Axes, y: float, height: float, name: str, when: str, cost: str, colour: str) -> None:
    """The frame of a stage, centred on y, with its name on the left and its cost on the right."""
    box(axes, 6.8, y, 13.3, height, colour=colour, fill=0.05, zorder=0)
    top = y + height / 2 - 0.25
    text(axes, 0.35, top, name, size=14, weight="bold", colour=colour, ha="left")
    text(axes, 1.32, top - 0.015, when, size=11, ha="left")
    text(axes, 13.25, top, cost, size=12, colour=colour, ha="right")


def _card(axes: Axes, x: float, width: float, number: int, name: str, cost: str) -> None:
    """One of the three offline steps, centred on x: its frame, its name and what it costs."""
    box(axes, x, 5.22, width, 2.7, colour=style.MUTED, fill=0, zorder=1)
    left = x - width / 2
    step(axes, left + 0.27, 6.32, number)
    text(axes, left + 0.52, 6.31, name, size=11.5, weight="bold", ha="left")
    text(axes, x + width / 2 - 0.12, 6.31, f"$O({cost})$", size=10.5, colour=style.PAST, ha="right")


def _compared(axes: Axes, x: float, y: float, width: float, words: str, *, dashed: bool = False) -> None:
    """A step that compares by the cosine: white words on a dark box."""
    box(axes, x, y, width, 0.58, colour=style.INK, fill=0.85, dashed=dashed)
    text(axes, x, y, words, size=10.5, colour="white", linespacing=1.3)


def _interest(axes: Axes, x: float, y: float, k: int) -> None:
    """u_k, twice as wide as a vector of four numbers: it is in R^d."""
    vector(axes, x - 0.25, y, COLOURS[k], width=0.5, turn=k)
    vector(axes, x + 0.25, y, COLOURS[k], NAMES[k], width=0.5, turn=k + 2)


def _history(axes: Axes, life: Example) -> None:
    """The whole life as a strip, coloured by what will turn out to be its interests."""
    for x, label in zip(np.linspace(0.44, 13.16, LENGTH), life.label, strict=True):
        cell(axes, x, 7.16, 0.17, 0.2, colour=COLOURS[label], fill=0.9)
    words = "long history: events $s_1 \\ldots s_L$ in $\\mathbb{R}^d$"
    text(axes, 2.0, 6.82, words, size=10.5, ha="left")
    text(axes, 13.25, 6.86, "time ▶", ha="right", colour=style.MUTED)


def _reduction(axes: Axes) -> None:
    """Eq. 4, and under it the triplet that trains it."""
    arrow(axes, (1.85, 7.04), (1.85, 6.6))
    _card(axes, 1.85, 3.1, 1, "reduce", "Ldm")
    box(axes, 1.85, 5.76, 2.8, 0.58, "$h = W_h^T s$ (Eq. 4)\n"
        "$\\mathbb{R}^d \\rightarrow \\mathbb{R}^m$, $m = 4$", colour=style.PAST)  # fmt: skip
    anchor, near, far = (1.1, 4.88), (1.75, 5.1), (2.85, 4.88)
    for other in (near, far):
        axes.plot(*zip(anchor, other, strict=True), color=style.MUTED, lw=1.2, zorder=2)
    for (x, y), words, up in ((anchor, "anchor", -0.19), (near, "positive", 0.19), (far, "negative", -0.19)):
        axes.add_artist(Circle((x, y), 0.075, fc=style.PAST, lw=0, zorder=4))
        text(axes, x, y + up, words, size=9.5)
    _compared(axes, 1.85, 4.26, 2.8, "$L_{aux}$ trains $W_h$ alone (Eq. 6)\n"
              "margin: the gap in $\\mathbb{R}^d$ (Eq. 7)", dashed=True)  # fmt: skip
    arrow(axes, (0.62, 4.57), (0.62, 5.45), colour=style.INK, dashed=True)


def _clustering(axes: Axes, life: Example) -> None:
    """The events as points on a sphere, and a ring around the centre of each cluster."""
    arrow(axes, (3.42, 5.4), (4.24, 5.4))
    text(axes, 3.82, 5.6, "$h_1 \\ldots h_L$", size=10.5)
    vector(axes, 3.82, 5.2, style.PAST)
    _card(axes, BALL[0], 2.6, 2, "cluster", "TKLm")
    axes.add_artist(Circle(BALL, RADIUS, fc=tint(style.FAINT, 0.35), ec=style.MUTED, lw=1.2, zorder=2))
    axes.add_artist(Ellipse(BALL, 2 * RADIUS, 0.45, fc="none", ec=style.FAINT, lw=1.1, zorder=2))
    for (x, y, _), label in zip(life.h, life.label, strict=True):
        place = (BALL[0] + RADIUS * x, BALL[1] + RADIUS * y)
        axes.add_artist(Circle(place, 0.045, fc=COLOURS[label], ec="white", lw=0.5, zorder=3))
    for x, y, _ in life.centre:
        _centre(axes, BALL[0] + RADIUS * x, BALL[1] + RADIUS * y)
    _compared(axes, BALL[0], 4.26, 2.3, "K-means on the sphere\n1 − cosine (Eq. 11)")


def _centre(axes: Axes, x: float, y: float) -> None:
    """The centre of a cluster: a ring with a point."""
    axes.add_artist(Circle((x, y), 0.09, fc="white", ec=style.INK, lw=1.4, zorder=5))
    axes.add_artist(Circle((x, y), 0.03, fc=style.INK, lw=0, zorder=5))


def _extraction(axes: Axes, life: Example) -> None:
    """A row for each cluster: its centre asks, its events answer, the darker the more; out comes u_k."""
    arrow(axes, (6.87, 5.4), (7.23, 5.4))
    _card(axes, 9.2, 3.9, 3, "extract", "Lm")
    for k, y in enumerate(ROWS):
        _centre(axes, 7.52, y)
        weights = np.sort(life.inside[life.label == k])[::-1]
        for place, weight in enumerate(weights / weights[0]):
            cell(axes, 7.77 + GAP * place, y, GAP - 0.03, 0.2, colour=COLOURS[k], fill=0.06 + 0.94 * weight)
        arrow(axes, (11.17, y), (11.5, y), colour=COLOURS[k])
        _interest(axes, 12.1, y, k)
    words = "attention inside each cluster (Eqs. 8, 9)\nquery: the centre · darker: more weight"
    _compared(axes, 9.2, 4.26, 3.6, words)
    arrow(axes, (9.2, 7.04), (9.2, 6.6))
    words = "values: $s$ in $\\mathbb{R}^d$, weights: from $h$ in $\\mathbb{R}^m$"
    text(axes, 9.35, 6.82, words, size=10.5, ha="left")
    text(axes, 12.3, 6.31, "$K$ interests in $\\mathbb{R}^d$", size=10.5)


def _store(axes: Axes) -> None:
    """A shelf between the stages, on which each user has a place."""
    text(axes, 0.35, 3.17, "Store", size=14, weight="bold", ha="left")
    text(axes, 1.32, 3.17, "memory-mapped,\n$Kd$ numbers a user", size=10, ha="left")
    for x, words in ((3.45, "user 1"), (4.3, "…"), (12.88, "user N")):
        cell(axes, x, 3.17, 0.75, 0.54, words, colour=style.MUTED, fill=0.1, size=10)
    cell(axes, 7.76, 3.17, 5.6, 0.54, colour=style.INK, fill=0)
    text(axes, 5.5, 3.17, "this user", size=10, weight="bold")
    for k, x in enumerate(PLACES):
        _interest(axes, x, 3.17, k)
    path(axes, (12.1, 4.8), (12.1, 3.17), (10.59, 3.17), colour=style.INK, width=1.8)


def _inputs(axes: Axes) -> None:
    """What a request brings."""
    box(axes, 1.85, 1.45, 3.1, 0.44, colour=style.TARGET)
    target(axes, 0.72, 1.45, radius=0.16)
    text(axes, 2.05, 1.45, "candidate $x_t$, one of $B$", size=10.5)
    box(axes, 1.85, 0.91, 3.1, 0.44, "real-time: 50 latest clicks", colour=style.PAST)
    box(axes, 1.85, 0.4, 3.1, 0.38, "profile, context", colour=style.MUTED)


def _attentions(axes: Axes, life: Example) -> None:
    """The candidate between what it asks: K interests above, the latest clicks below."""
    for k, x in enumerate(PLACES):
        arrow(axes, (x, 2.9), (x, 2.3), colour=COLOURS[k], width=1 + 3.5 * life.between[k])
    text(axes, 6.45, 2.47, "wider: more weight", colour=style.MUTED, ha="right")
    _compared(axes, 8.15, 2.0, 4.2, "attention over $K$ interests (Eq. 10)\nquery: the candidate")
    box(axes, 8.15, 0.91, 4.2, 0.44, "target attention on these clicks (DIN)", colour=style.PAST)
    arrow(axes, (3.42, 1.45), (10.75, 1.45), colour=style.TARGET)
    for y in (1.7, 1.14):
        arrow(axes, (8.15, 1.45), (8.15, y), colour=style.TARGET)
    for start, end, y in ((3.42, 6.03, 0.91), (10.27, 10.75, 0.91), (3.42, 10.75, 0.4), (10.27, 10.75, 2.0)):
        arrow(axes, (start, y), (end, y))
    text(axes, 10.5, 2.17, "$I$", size=11)


def _prediction(axes: Axes) -> None:
    """Everything side by side, and an MLP: Eq. 1."""
    box(axes, 11.12, 1.22, 0.7, 2.0, "side\nby\nside", size=10)
    box(axes, 12.05, 1.22, 0.75, 0.9, "MLP")
    arrow(axes, (11.49, 1.22), (11.66, 1.22))
    arrow(axes, (12.44, 1.22), (12.62, 1.22))
    text(axes, 13.02, 1.3, "p(click)", size=11, weight="bold", colour=style.TARGET)
    text(axes, 13.02, 1.1, "Eq. 1", colour=style.TARGET)
