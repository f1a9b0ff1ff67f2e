"""LIFT at work as diagrams of our own: the way of the data in two stages, and the datastore.

They show what Figures 3 and 6 of the paper show; neither layout nor wording is the paper's.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.show import style
from workbench.show.drawing import arrow, box, cell, events, path, sheet, step, target, text, vector

STEPS = 0.19 * np.arange(5) - 0.38  # five events around a point


def workflow() -> Figure:
    """Figure 3: the encoder is pretrained (stage 1), then used in five steps a prediction (stage 2)."""
    with style.theme():
        figure, axes = sheet(
            12.6, 6.5, "First the encoder learns to read sequences; then five steps lead to each prediction",
            "steps 3 and 4 do not depend on the target: for the contexts they are done once, offline",
        )  # fmt: skip
        box(axes, 2.15, 2.95, 3.9, 5.3, colour=style.MUTED, fill=0.06, zorder=0)
        box(axes, 8.45, 2.95, 7.9, 5.3, colour=style.MUTED, fill=0.06, zorder=0)
        text(axes, 0.4, 5.3, "Stage 1: pretrain", ha="left", size=13, weight="bold")
        text(axes, 4.7, 5.3, "Stage 2: predict", ha="left", size=13, weight="bold")
        _pretrain(axes)
        _retrieve(axes)
        _predict(axes)
    return figure


def _pretrain(axes: Axes) -> None:
    """Windows of the retrieval set, some labels hidden, train the encoder."""
    x = 2.15
    box(axes, x, 4.4, 2.5, 0.8, colour=style.INK, fill=0.0)
    for k, y in enumerate((4.63, 4.4, 4.17)):
        events(axes, x - 1.0 + 0.2 * np.arange(11), y, np.arange(11) * (k + 2) % 7 < 3, style.MUTED, 0.07)
    text(axes, x, 4.95, "retrieval set", size=10.5, weight="bold")
    arrow(axes, (x, 3.98), (x, 3.6))
    text(axes, x + 0.12, 3.8, "windows of L events", ha="left", size=9.5)
    for left, labels in ((0.75, (1, None, 0, None, 0)), (2.4, (None, 1, None, None, 0))):
        box(axes, left + 0.58, 3.38, 1.3, 0.36, colour=style.MUTED, fill=0.0)
        events(axes, left + 0.58 + 1.16 * STEPS, 3.38, labels, style.PAST, 0.085)
    arrow(axes, (x, 3.16), (x, 2.55))
    text(axes, x + 0.12, 2.88, "hatched: label hidden", ha="left", size=9.5)
    box(axes, x, 2.28, 2.2, 0.5, "encoder $E_\\omega$, learning", colour=style.PAST)
    arrow(axes, (x, 2.03), (x, 1.5))
    box(
        axes,
        x,
        1.22,
        2.6,
        0.52,
        "mask behaviour loss:\nwhat were the hidden labels?",
        colour=style.TARGET,
        size=9.5,
    )
    path(axes, (x - 1.3, 1.22), (x - 1.55, 1.22), (x - 1.55, 2.28), (x - 1.12, 2.28), colour=style.TARGET)


QUERY, SEARCH, FOUND = 5.35, 8.1, 10.95  # columns of stage 2


def _retrieve(axes: Axes) -> None:
    """Steps 1 and 2: the target's features find rows of others, which bring their contexts."""
    path(axes, (3.42, 4.4), (4.3, 4.4), (4.3, 5.0), (SEARCH, 5.0), (SEARCH, 4.8), width=1.2)
    text(axes, 6.2, 5.11, "searched", size=9, colour=style.MUTED)
    target(axes, QUERY, 4.5)
    text(axes, QUERY, 4.17, "target $x_t$", colour=style.TARGET, weight="bold")
    arrow(axes, (QUERY + 0.25, 4.5), (SEARCH - 0.67, 4.5), colour=style.TARGET)
    step(axes, (QUERY + SEARCH) / 2 - 0.2, 4.5, 1)
    text(axes, (QUERY + SEARCH) / 2 - 0.2, 4.24, "as query", size=9.5)
    box(axes, SEARCH, 4.5, 1.3, 0.56, "retriever\n(BM25)", size=10)
    arrow(axes, (SEARCH + 0.67, 4.5), (FOUND - 1.22, 4.5))
    step(axes, (SEARCH + FOUND) / 2 - 0.3, 4.5, 2)
    box(axes, FOUND, 4.5, 2.4, 1.0, colour=style.INK, fill=0.0)
    for k, y in enumerate((4.78, 4.5, 4.22)):
        events(axes, FOUND - 0.64 + STEPS, y, np.roll((1, 0, 1, 1, 0), k), style.PAST)
        target(axes, FOUND, y, asked=False, radius=0.12)
        events(axes, FOUND + 0.64 + STEPS, y, np.roll((0, 1, 0, 1, 1), k), style.FUTURE)
    text(axes, FOUND - 0.64, 5.11, "K pasts", colour=style.PAST, weight="bold", size=9.5)
    text(axes, FOUND + 0.64, 5.11, "K futures", colour=style.FUTURE_TEXT, weight="bold", size=9.5)


def _predict(axes: Axes) -> None:
    """Steps 3 to 5: contexts become vectors, and with the target these become a probability."""
    arrow(axes, (FOUND, 3.98), (FOUND, 2.72))
    step(axes, FOUND, 3.42, 3)
    events(axes, QUERY + STEPS, 3.42, (0, 1, 1, 0, 1), style.PAST)
    text(axes, QUERY, 3.15, "own history", colour=style.PAST, weight="bold")
    path(axes, (QUERY + 0.55, 3.42), (FOUND - 0.6, 3.42), (FOUND - 0.6, 2.72), colour=style.PAST)
    box(axes, FOUND, 2.45, 2.2, 0.5, "encoder $E_\\omega$, frozen", colour=style.PAST, dashed=True)
    path(axes, (3.27, 2.28), (4.3, 2.28), (4.3, 0.55), (FOUND, 0.55), (FOUND, 2.18), width=1.2)
    text(axes, 6.2, 0.42, "weights, fixed after stage 1", size=9, colour=style.MUTED)
    arrow(axes, (FOUND - 1.12, 2.45), (SEARCH + 0.95, 2.45))
    step(axes, (SEARCH + FOUND) / 2 - 0.07, 2.45, 4)
    vector(axes, SEARCH, 2.88, style.PAST, "$h_t$")
    for k, y in enumerate((2.62, 2.44, 2.26)):
        vector(axes, SEARCH - 0.35, y, style.PAST)
        vector(axes, SEARCH + 0.35, y, style.FUTURE, "$C_t$" if k == 1 else "")
    arrow(axes, (SEARCH, 2.12), (SEARCH, 1.55))
    step(axes, SEARCH, 1.86, 5)
    path(axes, (QUERY - 0.25, 4.5), (4.75, 4.5), (4.75, 1.25), (SEARCH - 0.77, 1.25), colour=style.TARGET)
    step(axes, 6.2, 1.25, 5)
    box(axes, SEARCH, 1.25, 1.5, 0.54, "predictor $F_\\theta$", colour=style.TARGET)
    arrow(axes, (SEARCH + 0.77, 1.25), (SEARCH + 1.3, 1.25), colour=style.TARGET)
    text(axes, SEARCH + 1.42, 1.25, "$\\hat{y}_t$", size=14, colour=style.TARGET, ha="left")


FIELDS = ("user", "item", "category", "city")
ASKED = ("Ann", "lens", "photo", "Oslo")
ROWS = (  # keys of the store: what each row shares with the query decides its rank
    ("Bea", "lens", "photo", "Rome"),
    ("Cem", "shoes", "sport", "Oslo"),
    ("Dan", "lens", "photo", "Oslo"),
    ("Eva", "camera", "photo", "Lima"),
    ("Dan", "novel", "books", "Oslo"),
    ("Eva", "tent", "sport", "Lima"),
)
BEST = (2, 0)  # rows found, best first
CELL = 0.86


def datastore() -> Figure:
    """Figure 6: raw features as keys, the two encoded halves of the context as values; how it is asked."""
    with style.theme():
        figure, axes = sheet(
            12.6, 6.4, "The datastore is searched by raw features and answers with two ready vectors",
            "written once after pretraining, so that no prediction has to run the encoder on a context",
        )  # fmt: skip
        text(axes, 0.2, 5.35, "Written once", ha="left", size=13, weight="bold")
        text(axes, 0.2, 1.95, "Asked for every prediction", ha="left", size=13, weight="bold")
        axes.plot([0.2, 5.7], [2.25, 2.25], color=style.FAINT, lw=1.2)
        _write(axes)
        _store(axes)
        _ask(axes)
    return figure


def _write(axes: Axes) -> None:
    """One interaction of the retrieval set with its windows, encoded."""
    at, y, gap = 2.5, 4.72, 0.24
    x = at + gap * np.arange(-9, 9)
    past, future = np.arange(5, 9), np.arange(10, 14)
    rest = [place for place in range(18) if place not in {*past, *future, 9}]
    events(axes, x[rest], y, np.arange(9) % 3 == 0, style.FAINT, 0.09)
    events(axes, x[past] - 0.04, y, (1, 0, 1, 1), style.PAST, 0.09)
    events(axes, x[future] + 0.04, y, (0, 1, 0, 1), style.FUTURE, 0.09)
    target(axes, at, y, asked=False)
    text(axes, at, y + 0.3, "$d_z$", colour=style.TARGET, size=12)
    axes.plot([4.6, 4.6], [y - 0.3, y + 0.35], color=style.INK, lw=1.3)
    text(axes, 4.68, y + 0.16, "the retrieval set\nends: no window\ncrosses it", ha="left", size=9, va="top")
    for middle, colour, ink, name in (
        (x[past].mean() - 0.04, style.PAST, style.PAST, "h"),
        (x[future].mean() + 0.04, style.FUTURE, style.FUTURE_TEXT, "f"),
    ):
        low, high = middle - 0.5, middle + 0.5
        axes.plot([low, low, high, high], [y - 0.16, y - 0.24, y - 0.24, y - 0.16], color=colour, lw=1.5)
        text(axes, middle + (0.36 if name == "f" else -0.36), y - 0.42, f"${name}_z$", colour=ink, size=12)
        arrow(axes, (middle, y - 0.24), (middle, 3.92))
        arrow(axes, (middle, 3.4), (middle, 3.14))
        vector(axes, middle, 3.03, colour, width=0.74)
    arrow(axes, (3.75, 3.03), (5.95, 3.03))
    text(axes, 4.85, 3.15, "one row for every\ninteraction $d_z$", size=9.5, va="bottom")
    box(axes, at, 3.66, 2.5, 0.48, "encoder $E_\\omega$, frozen", colour=style.PAST, dashed=True)


LEFT, TOP, HIGH = 6.56, 4.53, 0.6  # of the store
PAIRS = (10.45, 11.42)  # columns of its values


def _store(axes: Axes) -> None:
    """Keys and values of six rows, the best two for the query lit."""
    box(axes, 9.15, 3.1, 6.3, 3.98, colour=style.MUTED, fill=0.06, zorder=0)
    text(axes, LEFT + 1.5 * CELL, 5.3, "key: raw features $x_z$", weight="bold", size=11)
    text(axes, sum(PAIRS) / 2, 5.3, "value: encoded context", weight="bold", size=11)
    for place, field in enumerate(FIELDS):
        text(axes, LEFT + place * CELL, TOP + 0.32, field, colour=style.MUTED, size=9)
    for x, name, ink in zip(PAIRS, "hf", (style.PAST, style.FUTURE_TEXT), strict=True):
        text(axes, x, TOP + 0.32, f"$E_\\omega({name}_z)$", colour=ink, size=10.5)
    for line, row in enumerate(ROWS):
        y = TOP - line * HIGH
        if line in BEST:
            box(axes, 9.1, y, 6.05, 0.46, colour=style.TARGET, fill=0.08, zorder=1)
        for place, value in enumerate(row):
            same = value == ASKED[place]
            cell(axes, LEFT + place * CELL, y, CELL - 0.06, 0.28, value, size=9,
                 colour=style.TARGET if same else style.MUTED, fill=0.3 if same else 0.0)  # fmt: skip
        for x, colour in zip(PAIRS, (style.PAST, style.FUTURE), strict=True):
            vector(axes, x, y, colour, width=0.74, turn=line)


def _ask(axes: Axes) -> None:
    """The target's features as the query, and the K best pairs as the answer."""
    target(axes, 0.45, 1.3)
    for place, (field, value) in enumerate(zip(FIELDS, ASKED, strict=True)):
        x = 1.1 + place * CELL
        text(axes, x, 1.56, field, colour=style.MUTED, size=9)
        cell(axes, x, 1.3, CELL - 0.06, 0.28, value, colour=style.TARGET, fill=0.3, size=9)
    arrow(axes, (4.2, 1.3), (5.95, 1.3), colour=style.TARGET)
    text(axes, 5.0, 1.42, "BM25: rare values\ncount most", size=9.5, va="bottom")
    words = (
        "The more of the query a key shares (deep cells), the higher its rank.\n"
        "The K = 2 best rows go to the predictor, key and values."
    )
    text(axes, 0.2, 0.7, words, ha="left", linespacing=1.5)
    for rank, line in enumerate(BEST, start=1):
        step(axes, 12.3, TOP - line * HIGH, rank)
