"""One look for every picture: the same colour means the same thing in all lessons.

The hues are from the Okabe-Ito palette, which colour-blind readers can tell apart; past is dark and
future is light, so that the two also differ in a greyscale print.
"""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

TARGET = "#C2185B"  # the interaction that is being predicted
PAST = "#0072B2"  # cool: what happened before
FUTURE = "#E69F00"  # warm: what happened after
FUTURE_TEXT = "#8A5A00"  # the same hue, dark enough for words on white
SOURCE_DOMAIN = "#009E73"
TARGET_DOMAIN = "#56B4E9"
INK = "#22262B"
MUTED = "#7A828C"  # secondary text: 4.5:1 on white
FAINT = "#D9DDE2"  # grids and empty slots
PARTS = {"retrieval": "#0072B2", "train": "#56B4E9", "validation": "#B9A7D6", "test": "#C2185B"}
SERIES = ("#C2185B", "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#7A828C")

RC = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "svg.fonttype": "none",
}

LETTERS = 14.5  # of small print to an inch, about


_DRAWING = threading.RLock()


@contextmanager
def theme() -> Iterator[None]:
    """A context in which figures are drawn in the book's style: ``with theme(): ...``.

    Matplotlib's settings are one for all threads, and a widget may draw in one while a cell draws in another.
    So one thread draws at a time; otherwise the last to leave would leave the book's settings behind.
    """
    with _DRAWING, mpl.rc_context(RC):
        yield


def headline(figure: Figure, title: str, small_print: str = "") -> None:
    """The message on top and the small print under it, at the same distances in a figure of any height.

    Small print that is wider than the figure goes on in a second line.
    """
    height = figure.get_figheight()
    small_print = textwrap.fill(small_print, int(LETTERS * figure.get_figwidth()))
    top = {"x": 0.012, "ha": "left", "va": "top"}
    figure.suptitle(title, y=1 - 0.12 / height, fontsize=13.5, weight="bold", **top)
    figure.text(s=small_print, y=1 - 0.45 / height, fontsize=9.5, color=MUTED, **top)


def apart(values: Sequence[float], limits: tuple[float, float], gap: float = 0.055) -> list[float]:
    """The heights of labels moved apart, in order, so that no two are nearer than a share of the axis."""
    least = gap * (limits[1] - limits[0])
    order = np.argsort(values)
    heights = np.asarray(values, dtype=float)[order]
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + least)
    result = np.empty(len(heights))
    result[order] = heights
    return result.tolist()
