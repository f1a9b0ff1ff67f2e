"""LIFT's parts as diagrams of our own: what each kind of model reads, and what LIFT is made of.

They show what Figures 1 and 2 of the paper show; neither layout nor wording is the paper's. Figures 3 and
6 are in :mod:`workbench.show.diagrams_lift_flow`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.show import style
from workbench.show.drawing import arrow, box, cell, events, path, sheet, target, text, token, vector

STEP = 0.2  # inches between two events of Figure 1
NOW = 7.62  # where "now" stands in Figure 1
CLICKS = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0])  # of user A


def four_ways() -> Figure:
    """Figure 1: four kinds of model on the same user, each with what it may read in colour."""
    with style.theme():
        figure, axes = sheet(
            11.4, 6.6, "Only LIFT reads what came next: in the logs of others, never in the user's own",
            "● clicked · ○ shown, not clicked · grey: not read · ◆ the event to predict · ◇ one like it",
        )  # fmt: skip
        axes.axvspan(NOW, 8.5, 0.2 / 6.6, 5.62 / 6.6, color=style.FAINT, alpha=0.45, lw=0, zorder=0)
        axes.plot([NOW, NOW], [0.2, 5.62], color=style.TARGET, lw=1.2, zorder=1)
        text(axes, NOW - 0.06, 5.75, "now", colour=style.TARGET, weight="bold", size=11, ha="right")
        text(axes, 8.06, 5.75, "not yet", colour=style.MUTED, style="italic")
        text(axes, 3.0, 5.75, "◀ earlier", colour=style.MUTED, ha="left")
        text(axes, 9.75, 5.75, "what the model reads", colour=style.MUTED)
        ways = (
            (5.12, 5.12, "a · Instant", "this user, this item"),
            (4.12, 4.12, "b · Sequential", "the last events\nof this user"),
            (3.0, 3.0, "c · Retrieval", "old events of this user\nthat resemble the target"),
            (1.85, 0.55, "d · LIFT", "the user's last events, and\nsimilar moments of others:\n"
             "what came before them\nand what came after"),
        )  # fmt: skip
        x = NOW - 0.34 - STEP * np.arange(len(CLICKS))[::-1]
        recent, found = x > NOW - 1.65, np.isin(np.arange(len(x)), (3, 8, 13, 17))
        for (y, line, name, words), lit in zip(ways, (x > NOW, recent, found, recent), strict=True):
            text(axes, 0.15, y + 0.16, name, ha="left", size=14, weight="bold")
            text(axes, 0.15, y - 0.04, words, ha="left", va="top", size=9.5)
            _life(axes, x, line, lit)
        for y in (4.62, 3.7, 2.48):
            axes.plot([0.15, 11.25], [y, y], color=style.FAINT, lw=1, zorder=0)
        for place in x[found]:
            arrow(axes, (place, 3.1), (NOW - 0.1, 3.14), colour=style.PAST, bend=-0.17, width=1.1)
        _others(axes, x[0])
        _inputs(axes, [(5.12, "x")])
        _inputs(axes, [(4.12, "xh")])
        _inputs(axes, [(3.0, "xh")])
        _inputs(axes, [(1.92, "rpf"), (1.22, "rpf"), (0.55, "xh")])
    return figure


def _life(axes: Axes, x: np.ndarray, y: float, lit: np.ndarray) -> None:
    """User A's events with some lit, and the target at now."""
    for where, colour in ((~lit, style.FAINT), (lit, style.PAST)):
        events(axes, x[where], y, CLICKS[where], colour)
    text(axes, x[0] - 0.2, y, "A", colour=style.MUTED, size=9)
    target(axes, NOW, y)


def _others(axes: Axes, left: float) -> None:
    """Users B and C with the context of a similar moment lit, all before the retrieval set ends."""
    end, reach = 6.42, 4 * STEP + 0.05
    for name, y, moment, seed, bend in (("B", 1.92, 4.45, 3, 0.24), ("C", 1.22, 5.05, 7, 0.1)):
        x = moment + STEP * np.arange(-15, 16)
        x = x[(x >= left - 0.01) & (x < end - 0.16) & (np.abs(x - moment) > 0.1)]
        labels = (np.arange(len(x)) * seed % 5 < 2).astype(int)
        past, future = (x < moment) & (x > moment - reach), (x > moment) & (x < moment + reach)
        shifted = x + np.where(x < moment, -0.06, 0.06)  # room for the diamond
        for where, colour in ((past, style.PAST), (future, style.FUTURE), (~(past | future), style.FAINT)):
            events(axes, shifted[where], y, labels[where], colour)
        target(axes, moment, y, asked=False, radius=0.15)
        arrow(axes, (NOW - 0.14, 0.66), (moment + 0.12, y - 0.12), colour=style.TARGET, bend=bend, width=1.1,
              dashed=True)  # fmt: skip
        text(axes, left - 0.2, y, name, colour=style.MUTED, size=9)
        for shift, word, colour in ((-0.56, "past", style.PAST), (0.56, "future", style.FUTURE_TEXT)):
            text(axes, moment + shift, y + 0.2, word, colour=colour, size=9.5, weight="bold")
    text(axes, 4.45, 2.3, "a similar moment", colour=style.TARGET, size=9)
    axes.plot([end, end], [0.98, 2.2], color=style.INK, lw=1.3)
    text(axes, end + 0.08, 1.92, "the retrieval\nset ends", size=9, ha="left")


CHIPS = {  # what a model reads: its name, its colour
    "x": ("$x$", style.TARGET),
    "h": ("$h$", style.PAST),
    "r": ("$x_r$", style.TARGET),
    "p": ("$h_r$", style.PAST),
    "f": ("$f_r$", style.FUTURE),
}


def _inputs(axes: Axes, rows: list[tuple[float, str]]) -> None:
    """What enters the model, as chips on the right of their lines; the last line leads to the answer."""
    y = rows[-1][0]
    for height, chips in rows:
        for place, chip in enumerate(chips):
            name, colour = CHIPS[chip]
            box(axes, 8.95 + 0.47 * place, height, 0.4, 0.32, name, colour=colour, size=10.5)
        start = (8.95 + 0.47 * (len(chips) - 1) + 0.22, height)
        if height == y:
            arrow(axes, start, (10.44, y))
        else:
            path(axes, start, (10.64, height), (10.64, y + 0.2))
    box(axes, 10.64, y, 0.38, 0.38, "$F$", size=12)
    arrow(axes, (10.84, y), (11.06, y))
    text(axes, 11.18, y, "$\\hat{y}$", size=13)


def architecture() -> Figure:
    """Figure 2: the encoder with the mask behaviour loss (left), the predictor (right); read upwards."""
    with style.theme():
        figure, axes = sheet(
            13.2, 7.7, "The encoder learns from hidden labels; the predictor reads its frozen vectors",
            "both halves are read from the bottom up · ● clicked · ○ not clicked · hatched: label hidden",
        )  # fmt: skip
        text(axes, 0.2, 6.85, "a · Encoder, pretrained", size=13, weight="bold", ha="left")
        text(axes, 5.35, 6.85, "b · Predictor, trained afterwards", size=13, weight="bold", ha="left")
        axes.plot([5.05, 5.05], [0.2, 7.0], color=style.FAINT, lw=1.2)
        _encoder(axes)
        _read_in(axes)
        _weigh(axes)
        _conclude(axes)
    return figure


def _encoder(axes: Axes) -> None:
    """Five events with their label tokens, the causal Transformer, and the loss at the hidden ones."""
    x = 0.75 + 0.78 * np.arange(5)
    text(axes, 0.35, 0.55, "a window of a user's events: features,\nand on them the label token", ha="left",
         colour=style.MUTED, size=9.5)  # fmt: skip
    box(axes, x[2], 3.05, 4.1, 1.5, colour=style.PAST, fill=0.08)
    text(axes, x[0] - 0.4, 3.58, "causal Transformer $E_\\omega$", ha="left", size=11, weight="bold",
         colour=style.PAST)  # fmt: skip
    for place, visible in enumerate((1, None, 0, None, 1)):
        at, name = x[place], f"{place + 1}"
        cell(axes, at, 1.0, 0.56, 0.3, f"$x_{name}$", colour=style.PAST)
        token(axes, at, 1.27, visible, 0.56)
        arrow(axes, (at, 1.44), (at, 2.26))
        for earlier in x[: place + 1]:
            axes.plot([earlier, at], [2.45, 3.3], color=style.PAST, lw=0.8, alpha=0.55, zorder=3)
        axes.plot([at, at], [2.45, 3.3], "o", color=style.PAST, ms=4, zorder=4)
        arrow(axes, (at, 3.82), (at, 4.12))
        vector(axes, at, 4.22, style.PAST, width=0.5)
        text(axes, at + 0.3, 4.42, f"$o_{name}$", size=10.5)
        if visible is None:
            arrow(axes, (at, 4.32), (at, 4.68), colour=style.TARGET)
            box(axes, at, 4.86, 0.6, 0.34, "MLP", colour=style.TARGET, size=9.5)
            arrow(axes, (at, 5.04), (at, 5.34), colour=style.TARGET)
            text(axes, at, 5.52, f"asked for $y_{name}$", size=10.5,
                 colour=style.TARGET)  # fmt: skip
    text(axes, x[2], 6.05, "mask behaviour loss:\nbinary cross-entropy, hidden labels only", size=10.5,
         colour=style.TARGET)  # fmt: skip
    arrow(axes, (x[4], 4.32), (x[4], 4.68))
    text(axes, x[4] + 0.1, 5.07, "the last state\nstands for\nthe sequence", size=9.5)


OWN, ASKED, KEY, HISTORY, COMING = 6.1, 7.7, 9.3, 10.8, 12.2  # columns of the predictor
LINES = (0.7, 1.05, 1.4)  # of the retrieved contexts


def _read_in(axes: Axes) -> None:
    """Own history, target and K retrieved contexts, and how each becomes a vector."""
    steps = 0.19 * np.arange(5)
    events(axes, OWN - 0.38 + steps, LINES[1], (0, 1, 1, 0, 1), style.PAST)
    target(axes, ASKED, LINES[1])
    for k, y in enumerate(LINES):
        target(axes, KEY, y, asked=False, radius=0.13)
        events(axes, HISTORY - 0.38 + steps, y, np.roll((1, 0, 1, 1, 0), k), style.PAST)
        events(axes, COMING - 0.38 + steps, y, np.roll((0, 1, 0, 1, 1), k), style.FUTURE)
    for x, words, colour in (
        (OWN, "own history", style.PAST), (ASKED, "target", style.TARGET), (KEY, "K keys", style.TARGET),
        (HISTORY, "their past", style.PAST), (COMING, "their future", style.FUTURE_TEXT),
    ):  # fmt: skip
        text(axes, x, 0.35, words, colour=colour, weight="bold", size=10)
    for x in (OWN, ASKED, KEY, HISTORY, COMING):
        arrow(axes, (x, 1.62), (x, 1.87))
        arrow(axes, (x, 2.33), (x, 2.6))
    box(axes, OWN, 2.1, 1.15, 0.44, "$E_\\omega$ frozen", colour=style.PAST, dashed=True)
    box(axes, (ASKED + KEY) / 2, 2.1, 2.35, 0.44, "one embedding layer", colour=style.TARGET)
    box(axes, (HISTORY + COMING) / 2, 2.1, 2.5, 0.44, "$E_\\omega$ frozen, run offline", colour=style.PAST,
        dashed=True)  # fmt: skip
    vector(axes, OWN, 2.72, style.PAST, "$h_t$")
    vector(axes, ASKED, 2.72, style.TARGET, "$x_t$")
    for k in range(3):
        for x, colour, name in (
            (KEY, style.TARGET, "x"),
            (HISTORY, style.PAST, "h"),
            (COMING, style.FUTURE, "f"),
        ):
            vector(axes, x, 2.72 + 0.22 * k, colour, f"${name}_i$" if k == 1 else "")


def _weigh(axes: Axes) -> None:
    """Key-based attention: the weights come from keys and target, and add up all three."""
    words = "key-based attention: weights $\\alpha_i$ from $x_i$ and $x_t$"
    box(axes, (KEY + COMING) / 2, 3.85, 3.9, 0.5, words, colour=style.TARGET)
    path(axes, (ASKED, 2.83), (ASKED, 3.85), (KEY - 0.5, 3.85), colour=style.TARGET)
    for x, colour, name in (
        (KEY, style.TARGET, "$x_r$"), (HISTORY, style.PAST, "$e_r^h$"), (COMING, style.FUTURE, "$e_r^f$"),
    ):  # fmt: skip
        arrow(axes, (x, 3.27), (x, 3.58))
        arrow(axes, (x, 4.12), (x, 4.4))
        vector(axes, x, 4.5, colour, name)


def _conclude(axes: Axes) -> None:
    """Interaction layer, concatenation, MLP."""
    for x in (ASKED, KEY):
        box(axes, x, 5.1, 1.2, 0.36, "interaction", size=10)
        arrow(axes, (x, 5.3), (x, 5.62))
    arrow(axes, (ASKED, 3.85), (ASKED, 4.9), colour=style.TARGET)
    arrow(axes, (KEY, 4.6), (KEY, 4.9))
    for x in (HISTORY, COMING):
        arrow(axes, (x, 4.6), (x, 5.62))
    arrow(axes, (OWN, 2.83), (OWN, 5.62))
    middle = (OWN + COMING) / 2
    box(axes, middle, 5.82, 6.9, 0.36, "concatenate")
    arrow(axes, (middle, 6.02), (middle, 6.2))
    box(axes, middle, 6.38, 1.0, 0.34, "MLP")
    arrow(axes, (middle + 0.5, 6.38), (middle + 0.95, 6.38))
    text(axes, middle + 1.1, 6.38, "$\\hat{y}_t$", size=14, colour=style.TARGET, ha="left")
