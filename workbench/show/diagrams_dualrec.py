"""DualRec as diagrams of our own: what is read in training and in use, the dual network, the transfer.

They show what Figures 1 to 3 of the paper show; neither layout nor wording is the paper's. Windows and masks
are not drawn by hand: they come from the method's own code.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbench.methods.dualrec import window_mask
from workbench.methods.dualrec_config import window_sizes
from workbench.show import style
from workbench.show.drawing import arrow, box, cell, events, path, sheet, target, text, tint, vector

STEP = 0.42  # inches between two items of Figure 1
TRAINING, USE = 5.25, 10.3  # where the target stands in the two columns of Figure 1
COLOURS = {-1: style.PAST, 1: style.FUTURE}  # of what is before and after a target
SIDE = 4  # items drawn on each side of it


def three_ways() -> Figure:
    """Figure 1: three kinds of model, each in training and in use, with what it reads in colour."""
    with style.theme():
        figure, axes = sheet(
            12.5, 6.75,
            "A masked model trains with a future it will not have; DualRec's past encoder does not",
            "one user's items, drawn for one target ◆ · blue: earlier items read · orange: later items read "
            "· grey: not read · hatched: mask token",
        )  # fmt: skip
        axes.axvspan(USE, USE + 1.95, 0.25 / 6.75, 5.72 / 6.75, color=style.FAINT, alpha=0.45, lw=0, zorder=0)
        axes.plot([USE, USE], [0.25, 5.72], color=style.TARGET, lw=1.2, zorder=1)
        text(axes, TRAINING, 5.86, "in training", size=13, weight="bold")
        text(axes, USE - SIDE * STEP - 0.17, 5.86, "in use", size=13, weight="bold", ha="left")
        text(axes, USE - 0.06, 5.86, "now", colour=style.TARGET, weight="bold", size=11, ha="right")
        text(axes, USE + 0.97, 5.86, "not yet", colour=style.MUTED, style="italic")
        for y, name, words in (
            (5.15, "a · Next item", "SASRec, GRU4Rec: one encoder for\nthe past. Later items are not read."),
            (3.42, "b · Masked item", "BERT4Rec: one encoder learns from\n"
             "both sides; in use one is missing."),
            (1.68, "c · DualRec", "One encoder for each side. The past\nencoder is used just as it learned;\n"
             "the future one has taught it."),
        ):  # fmt: skip
            text(axes, 0.15, y + 0.16, name, ha="left", size=14, weight="bold")
            text(axes, 0.15, y - 0.06, words, ha="left", va="top", size=10, linespacing=1.3)
        for y in (4.12, 2.38):
            axes.plot([0.15, 12.35], [y, y], color=style.FAINT, lw=1, zorder=0)
        for y, same in ((5.0, True), (3.27, False), (1.53, True)):
            colour = style.MUTED if same else style.TARGET
            text(axes, 7.78, y, "=" if same else "≠", size=30, colour=colour, weight="bold")
            text(axes, 7.78, y - 0.36, "the same" if same else "a gap", size=10.5, colour=colour)
        _next_item(axes, 5.15)
        _masked_item(axes, 3.42)
        _dual(axes, 1.68)
    return figure


def _row(axes: Axes, x: float, y: float, future: str | None) -> None:
    """The user's items around a target at x; ``future`` is the colour of later ones, None: there are none."""
    steps = STEP * np.arange(1, SIDE + 1)
    events(axes, x - steps, y, [1] * SIDE, style.PAST, 0.13)
    if future is not None:
        events(axes, x + steps, y, [1] * SIDE, future, 0.13)
    target(axes, x, y, radius=0.2)


def _into(axes: Axes, x: float, y: float, side: int) -> None:
    """Arrows from the items of one side (-1 past, 1 future) of the target at x into what reads them."""
    for at in x + side * STEP * np.arange(1, SIDE + 1):
        arrow(axes, (at, y - 0.15), (at, y - 0.38), colour=COLOURS[side], width=1.0)


def _reader(axes: Axes, x: float, y: float, side: int, words: str) -> None:
    """An encoder under the items of one side of the target at x, which it foretells."""
    _into(axes, x, y, side)
    colour = COLOURS[side]
    middle, half = x + side * STEP * (SIDE + 1) / 2, STEP * SIDE / 2
    box(axes, middle, y - 0.55, 2 * half, 0.32, words, colour=colour, fill=0.22)
    inner, close = middle - side * half, x + side * 0.07
    path(axes, (inner, y - 0.55), (close, y - 0.55), (close, y - 0.19), colour=colour, width=1.8)


def _next_item(axes: Axes, y: float) -> None:
    """The past alone, in training as in use."""
    for x, future in ((TRAINING, style.FAINT), (USE, None)):
        _row(axes, x, y, future)
        _reader(axes, x, y, -1, "encoder")


def _masked_item(axes: Axes, y: float) -> None:
    """One encoder over both sides and a mask token; in use its right half has nothing to read."""
    for x, future in ((TRAINING, style.FUTURE), (USE, None)):
        _row(axes, x, y, future)
        for side in (-1, 1) if future else (-1,):
            _into(axes, x, y, side)
        box(axes, x, y - 0.55, STEP * (2 * SIDE + 0.9), 0.32, colour=style.INK, fill=0.1)
        cell(axes, x, y - 0.55, STEP - 0.08, 0.26, fill=0.0, hatch=True)
        arrow(axes, (x, y - 0.4), (x, y - 0.19), colour=style.INK, width=1.8)
        text(axes, x - STEP * (SIDE + 1) / 2, y - 0.55, "one encoder", size=10.5)
        if not future:
            text(axes, x + STEP * (SIDE + 1) / 2, y - 0.55, "nothing to read", size=10.5, colour=style.TARGET)


def _dual(axes: Axes, y: float) -> None:
    """An encoder for each side, their heads compared in training; the past encoder alone in use."""
    for x, future in ((TRAINING, style.FUTURE), (USE, None)):
        _row(axes, x, y, future)
        _reader(axes, x, y, -1, "past encoder")
    _reader(axes, TRAINING, y, 1, "future encoder")
    reach, low = STEP * (SIDE + 1) / 2, y - 1.0
    for side in (-1, 1):
        path(axes, (TRAINING, low), (TRAINING + side * reach, low), (TRAINING + side * reach, y - 0.73))
    text(axes, TRAINING, low - 0.17, "learn from each other", colour=style.MUTED)


HEADS, LENGTH = 4, 8  # of Figure 2's masks
SIZES = window_sizes(HEADS, LENGTH)
HEIGHTS = 2.4 + 0.8 * np.arange(HEADS)  # where its heads stand
CENTRE, ARM = 4.95, 1.95  # the middle of the dual network, and how far from it an encoder's middle is
WIDTHS = {-1: 2.8, 1: 1.3}  # the way that is left in use is thick


def dual_network() -> Figure:
    """Figure 2: the dual network (b), its masks (c, d) beside the heads that have them, and one head (a)."""
    with style.theme():
        figure, axes = sheet(
            13.5, 8.4,
            "Two encoders read a row from its two ends; heads that look equally far are pulled to agree",
            "read upwards · thick: the way to an answer in use · dashed: the side for training only · "
            f"masks of {HEADS} heads, {LENGTH} items (Eq. 8); window 2 is two items and the one that reads",
        )  # fmt: skip
        axes.plot([9.95, 9.95], [0.25, 7.55], color=style.FAINT, lw=1.2)
        text(axes, 0.15, 7.42, "b · Dual network", size=13, weight="bold", ha="left")
        text(axes, 10.2, 7.42, "a · One head, in one layer", size=13, weight="bold", ha="left")
        for side, colour, ink, words in (
            (-1, style.PAST, style.PAST, ("past encoder", "reads ▶", "c · past masks", "$o^p_{t-1}$")),
            (1, style.FUTURE, style.FUTURE_TEXT,
             ("future encoder", "◀ reads", "d · future masks", "$o^f_{t+1}$")),
        ):  # fmt: skip
            _encoder(axes, side, colour, ink, words)
            _heads(axes, side, colour)
        _embedded(axes)
        _losses(axes)
        _one_head(axes)
    return figure


def _embedded(axes: Axes) -> None:
    """The row with its target, and the one embedding layer through which both encoders read it."""
    steps = 0.55 + 0.42 * np.arange(1, 6)
    events(axes, CENTRE - steps, 0.62, [1] * 5, style.PAST, 0.13)
    events(axes, CENTRE + steps, 0.62, [1] * 5, style.FUTURE, 0.13)
    target(axes, CENTRE, 0.62, radius=0.2)
    for x, words, ink in ((-0.97, "$t-1$", style.PAST), (0, "target $t$", style.TARGET),
                          (0.97, "$t+1$", style.FUTURE_TEXT)):  # fmt: skip
        text(axes, CENTRE + x, 0.3, words, colour=ink, weight="bold", size=10.5)
    box(axes, CENTRE, 1.2, 6.6, 0.36, "item embeddings $E$, shared", colour=style.INK)


def _encoder(axes: Axes, side: int, colour: str, ink: str, words: tuple[str, ...]) -> None:
    """What stands below and above the heads of the encoder on one side (-1 past, 1 future)."""
    name, reads, masks, state = words
    x = CENTRE + side * ARM
    box(axes, x, 3.8, 2.7, 4.15, colour=colour, fill=0.06, dashed=side > 0, zorder=1)
    text(axes, x - 1.22, 1.93, name, ha="left", weight="bold", size=11.5, colour=ink)
    text(axes, x + 1.22, 1.93, reads, ha="right", size=10, colour=ink)
    text(axes, CENTRE + side * 4.15, 5.42, masks, size=10.5, weight="bold")
    text(axes, CENTRE + side * 4.15, 1.8, "row: who reads\ncolumn: what is read", size=9, colour=style.MUTED)
    box(axes, x, 5.53, 2.4, 0.46, "join, feed forward;\nthen layer 2, built alike", colour=colour, size=9.5)
    box(axes, x, 6.66, 2.7, 0.36, "scores: $o \\, E^T$, the same $E$", colour=style.INK, size=10)
    vector(axes, x, 6.19, colour, state)
    for low, high in ((0.8, 1.0), (1.4, 1.7), (5.9, 6.1), (6.28, 6.46)):
        arrow(axes, (x, low), (x, high), colour=colour, width=WIDTHS[side])


def _heads(axes: Axes, side: int, colour: str) -> None:
    """The heads of one encoder, lowest first, each with its mask outside and its vector inside."""
    x, masks = CENTRE + side * ARM, window_mask(LENGTH, SIZES).numpy()
    for head, (y, size) in enumerate(zip(HEIGHTS, SIZES, strict=True)):
        # the method counts in reading direction: the row read backwards has the same mask, mirrored
        seen = masks[head] if side < 0 else masks[head, ::-1, ::-1]
        _grid(axes, CENTRE + side * 4.15, y, 0.7, seen, colour)
        axes.plot([CENTRE + side * 3.77, x + side * 0.95], [y, y], color=colour, lw=1.2, zorder=2)
        box(axes, x + side * 0.4, y, 1.1, 0.5, f"head {head + 1}\nwindow {size}", colour=colour, size=9.5)
        arrow(axes, (x - side * 0.17, y), (x - side * 0.45, y), colour=colour)
        vector(axes, x - side * 0.8, y, colour, turn=head)
    inner = x - side * 0.8
    arrow(axes, (inner, HEIGHTS[0]), (inner, 5.28), colour=colour, width=WIDTHS[side])


def _grid(axes: Axes, x: float, y: float, size: float, shades: np.ndarray, colour: str) -> None:
    """A matrix centred on (x, y), its first row on top; a cell is as deep as its number, white for 0."""
    each = size / len(shades)
    for row, line in enumerate(shades):
        for column, shade in enumerate(line):
            corner = (x - size / 2 + column * each, y + size / 2 - (row + 1) * each)
            face = tint(colour, 0.85 * float(shade))
            axes.add_artist(Rectangle(corner, each, each, fc=face, ec=style.FAINT, lw=0.5, zorder=3))
    corner = (x - size / 2, y - size / 2)
    axes.add_artist(Rectangle(corner, size, size, fill=False, ec=colour, lw=1.1, zorder=4))


def _compared(axes: Axes, x: float, y: float, reach: float) -> None:
    """The symmetric KL divergence between a vector on the left and one on the right."""
    for side in (-1, 1):
        arrow(axes, (x + side * 0.24, y), (x + side * reach, y), colour=style.TARGET, width=1.3)
    box(axes, x, y, 0.48, 0.3, "KL", colour=style.TARGET)


def _losses(axes: Axes) -> None:
    """The three terms of Eq. 14 over what they measure, and the answer, which is all there is in use."""
    axes.plot([CENTRE, CENTRE], [HEIGHTS[0], 6.98], color=style.TARGET, lw=1, zorder=1)
    for y in HEIGHTS:
        _compared(axes, CENTRE, y, 0.8)
    terms = "$\\alpha$ · cross-entropy: next item", "$(1-\\alpha)$ · cross-entropy: item before"
    for x, words in ((-ARM, terms[0]), (0, "$+\\;\\;\\beta$ · KL  $+$"), (ARM, terms[1])):
        text(axes, CENTRE + x, 7.12, words, colour=style.TARGET)
        if x:
            arrow(axes, (CENTRE + x, 6.85), (CENTRE + x, 7.02), colour=style.TARGET, width=1.3)
    arrow(axes, (CENTRE - ARM - 1.36, 6.66), (1.3, 6.66), colour=style.PAST, width=WIDTHS[-1])
    text(axes, 0.72, 6.66, "in use:\nthe best items", weight="bold", colour=style.PAST)


def one_head() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores and bias, both made up, then mask and weights (Eq. 9) of the head in Figure 2a; (n, n) each."""
    place = np.arange(LENGTH)
    q, k = np.random.default_rng(1).normal(size=(2, LENGTH, 4))
    scores = q @ k.T / np.sqrt(q.shape[1])
    bias = 1.5 * np.exp(-np.abs(place[:, None] - place) / 2)  # the nearer, the more: as training may find
    seen = window_mask(LENGTH, SIZES).numpy()[1]
    weights = np.exp(np.where(seen, scores + bias, -np.inf))
    return scores, bias, seen, weights / weights.sum(1, keepdims=True)


def _one_head(axes: Axes) -> None:
    """Scores and bias, softmax inside the window, and the mean of values that comes of it."""
    scores, bias, _, weights = one_head()
    left, middle, right, value = 10.85, 11.55, 12.25, 13.08
    box(axes, 11.8, 0.62, 3.1, 0.36, "states $X$ of the layer below", colour=style.PAST, fill=0.06)
    for x, name in ((10.55, "$Q$"), (11.15, "$K$"), (value, "$V$")):
        arrow(axes, (x, 0.8), (x, 1.05))
        box(axes, x, 1.23, 0.44, 0.36, name, colour=style.PAST, size=12)
    for x in (10.55, 11.15):
        path(axes, (x, 1.41), (x, 1.55), (left, 1.55), (left, 1.74))
    for x, y, shades, words in (
        (left, 1.92, scores - scores.min(), "$QK^T / \\sqrt{d/h}$"),
        (right, 1.73, bias, "bias $B$ (Eq. 3):\none number for\neach distance"),
    ):
        _grid(axes, x, 2.6, 1.0, shades / shades.max(), style.MUTED)
        text(axes, x, y, words)
        axes.plot([x, x, middle], [3.14, 3.38, 3.38], color=style.MUTED, lw=1.5, zorder=3)
    text(axes, middle, 2.6, "+", size=18)
    arrow(axes, (middle, 3.38), (middle, 4.0))
    text(axes, middle + 0.12, 3.71, "softmax, inside\nthe window only", ha="left")
    _grid(axes, middle, 4.65, 1.2, weights / weights.max(), style.PAST)
    text(axes, middle + 0.7, 4.65, "weights", ha="left")
    arrow(axes, (middle, 5.29), (middle, 5.61))
    box(axes, middle, 5.8, 1.6, 0.38, "weights times $V$", colour=style.PAST)
    path(axes, (value, 1.41), (value, 5.8), (middle + 0.82, 5.8))
    arrow(axes, (middle, 6.0), (middle, 6.32))
    vector(axes, middle, 6.42, style.PAST, turn=1)
    text(axes, middle, 6.74, "a vector for each item,\nhere by head 2, window 3")


SIGMAS = (2, 3, 4)  # windows of Figure 3: by Eq. 8 those of heads 1 to 3, where there are six or more
AT, NEAREST, APART = 6.3, 2.05, 0.58  # the target, how far its neighbours are, how far items are apart
SHOWN = 6  # items on each side of the target
LEVELS = (1.95, 3.05, 4.15)  # heights of the windows


def interest_transfer() -> Figure:
    """Figure 3: what heads of three windows see before and after a target, and which vectors agree."""
    with style.theme():
        figure, axes = sheet(
            12.6, 6.15,
            "For every window, what led up to the target is pulled to agree with what came after it",
            "read upwards · drawn is our reading (D5): compared are the two states that foretell the same "
            "target, at t−1 and t+1 · window σ: σ items and the state's own (Eq. 9)",
        )  # fmt: skip
        axes.plot([AT, AT], [LEVELS[0], 4.92], color=style.TARGET, lw=1, zorder=1)
        text(axes, AT, 5.1, "sum over heads: $\\mathcal{L}_{reg}$ (Eq. 10)", colour=style.TARGET, size=11)
        for side, colour, ink, words in (
            (-1, style.PAST, style.PAST, "past encoder reads ▶"),
            (1, style.FUTURE, style.FUTURE_TEXT, "◀ future encoder reads"),
        ):
            far, align = AT + side * (NEAREST + (SHOWN - 1) * APART + 0.3), "left" if side < 0 else "right"
            text(axes, far, 5.1, words, colour=ink, weight="bold", size=13, ha=align)
            _items(axes, side, colour, ink)
            _windows(axes, side, colour)
        target(axes, AT, 0.85, radius=0.26)
        text(axes, AT, 0.36, "target $t$: read by neither", colour=style.TARGET, weight="bold")
        for head, (y, sigma) in enumerate(zip(LEVELS, SIGMAS, strict=True), start=1):
            words = f"head {head}, $\\sigma = {sigma}$: {sigma + 1} items a side"
            text(axes, AT, y + 0.34, words, size=11.5, bbox={"fc": "white", "ec": "none", "pad": 1.5})
            _compared(axes, AT, y, 0.62)
    return figure


def _places(side: int) -> np.ndarray:
    """x of the items on one side of the target, the nearest last: in reading direction."""
    return AT + side * (NEAREST + APART * np.arange(SHOWN)[::-1])


def _items(axes: Axes, side: int, colour: str, ink: str) -> None:
    """The row of items on one side; the state at the nearest foretells the target."""
    seen = window_mask(SHOWN, list(SIGMAS)).numpy()[:, -1].any(0)
    for place, x in enumerate(_places(side)):
        name = f"$t{'+' if side > 0 else '-'}{SHOWN - place}$"
        cell(axes, x, 0.85, APART - 0.08, 0.4, name, colour=colour if seen[place] else style.FAINT, fill=0.16)
    inner = AT + side * (NEAREST - 0.3)
    arrow(axes, (inner, 0.85), (AT + side * 0.32, 0.85), colour=colour)
    text(axes, (inner + AT + side * 0.3) / 2, 1.02, "foretells", colour=ink, size=10.5)


def _windows(axes: Axes, side: int, colour: str) -> None:
    """What the heads of one side see from the state next to the target, and the vectors they make of it."""
    masks = window_mask(SHOWN, list(SIGMAS)).numpy()[:, -1]
    for level, (y, seen) in enumerate(zip(LEVELS, masks, strict=True)):
        x = _places(side)[seen]
        box(axes, x.mean(), y, np.ptp(x) + APART - 0.06, 0.44, colour=colour, fill=0.1)
        events(axes, x, y, [1] * len(x), colour, 0.12)
        arrow(axes, (AT + side * (NEAREST - 0.27), y), (AT + side * 1.32, y), colour=colour)
        vector(axes, AT + side * 0.96, y, colour, turn=level)
    for place in np.flatnonzero(masks.any(0)):
        top = LEVELS[np.flatnonzero(masks[:, place])[-1]]
        axes.plot([_places(side)[place]] * 2, [1.06, top], color=colour, lw=0.9, alpha=0.45, zorder=0)
