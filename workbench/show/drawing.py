"""The few strokes from which the diagrams are made. One unit is one inch, and (0, 0) is bottom left.

Clicked is filled, not clicked hollow, masked hatched; the target is a diamond with a question mark, so that
it is told from the past, which is as dark, in a greyscale print too. Shapes are added as artists, not as
patches: the page's limits are fixed, and working them out anew for every shape is what an explorer would
wait for.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle, RegularPolygon

from workbench.show import style

HATCH = "//////"
Point = tuple[float, float]


def sheet(width: float, height: float, title: str, note: str = "") -> tuple[Figure, Axes]:
    """An empty page of so many inches; the title stands on top, the note in small print under it.

    Call it inside ``style.theme()``.
    """
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    figure.suptitle(
        title, x=0.15 / width, y=1 - 0.12 / height, ha="left", va="top", fontsize=15, weight="bold"
    )
    text(axes, 0.15, height - 0.56, note, size=10, colour=style.MUTED, ha="left")
    return figure, axes


def text(axes: Axes, x: float, y: float, words: str, *, size: float = 10, **look: object) -> None:
    """Words centred on a point; ``colour`` and any other property of matplotlib's text."""
    look = {"ha": "center", "va": "center", "color": look.pop("colour", style.INK), "zorder": 6, **look}
    axes.text(x, y, words, fontsize=size, **look)


def tint(colour: str, share: float = 0.14) -> tuple[float, float, float]:
    """The colour mixed into white; opaque, unlike alpha, so that lines under it do not shine through."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def box(
    axes: Axes, x: float, y: float, width: float, height: float, words: str = "", *, colour: str = style.INK,
    size: float = 10.5, fill: float = 0.14, dashed: bool = False, zorder: float = 2,
) -> None:  # fmt: skip
    """A rounded box centred on (x, y); ``fill`` is how much of its colour the inside has."""
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.09",
        facecolor=tint(colour, fill), edgecolor=colour, lw=1.3, ls="--" if dashed else "-", zorder=zorder,
    )  # fmt: skip
    axes.add_artist(shape)
    text(axes, x, y, words, size=size, linespacing=1.35)


def arrow(
    axes: Axes, start: Point, end: Point, *, colour: str = style.MUTED, bend: float = 0, dashed: bool = False,
    width: float = 1.5,
) -> None:  # fmt: skip
    """A line from point to point; ``bend`` curves it, to the right of its way where positive."""
    shape = FancyArrowPatch(
        start, end, arrowstyle="-|>,head_length=5,head_width=2.6", connectionstyle=f"arc3,rad={bend}",
        color=colour, lw=width, ls=(0, (4, 2.5)) if dashed else "-", shrinkA=0, shrinkB=0, zorder=3,
    )  # fmt: skip
    axes.add_artist(shape)


def path(axes: Axes, *points: Point, colour: str = style.MUTED, width: float = 1.5) -> None:
    """A line with corners; its last stretch is an arrow."""
    if len(points) > 2:
        axes.plot(*zip(*points[:-1], strict=True), color=colour, lw=width, zorder=3, solid_joinstyle="round")
    arrow(axes, points[-2], points[-1], colour=colour, width=width)


def events(
    axes: Axes, x: Sequence[float], y: float, labels: Sequence[int | None], colour: str, radius: float = 0.078
) -> None:
    """A row of events: label 1 filled, 0 hollow, None masked."""
    for place, label in zip(x, labels, strict=True):
        face = colour if label == 1 else "white"
        look = {"hatch": HATCH} if label is None else {}
        axes.add_artist(
            Circle((place, y), radius, facecolor=face, edgecolor=colour, lw=1.2, zorder=4, **look)
        )


def target(axes: Axes, x: float, y: float, *, asked: bool = True, radius: float = 0.17) -> None:
    """The target as a diamond with a question mark; not ``asked``: the hollow one of a similar moment."""
    face = style.TARGET if asked else "white"
    shape = RegularPolygon((x, y), 4, radius=radius, fc=face, ec=style.TARGET, lw=1.6, zorder=5)
    axes.add_artist(shape)
    if asked:
        text(axes, x, y - 0.005, "?", size=54 * radius, colour="white", weight="bold")


def cell(
    axes: Axes, x: float, y: float, width: float, height: float, words: str = "", *, colour: str = style.INK,
    fill: float = 0.14, hatch: bool = False, size: float = 9.5,
) -> None:  # fmt: skip
    """A square-cornered cell centred on (x, y), hatched where something is hidden."""
    corner = (x - width / 2, y - height / 2)
    look = {"hatch": HATCH, "edgecolor": style.MUTED} if hatch else {"edgecolor": colour}
    axes.add_artist(Rectangle(corner, width, height, facecolor=tint(colour, fill), lw=1.1, zorder=4, **look))
    back = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.2}} if hatch and words else {}
    text(axes, x, y, words, size=size, **back)


def token(axes: Axes, x: float, y: float, label: int | None, size: float = 0.36) -> None:
    """The label token that stands beside an event's features: 1 filled, 0 hollow, MSK (None) hatched."""
    if label is None:
        cell(axes, x, y, size, 0.24, "MSK" if size > 0.3 else "", fill=0.0, hatch=True, size=7.5)
    else:
        cell(axes, x, y, size, 0.24, fill=float(label))
        text(axes, x, y, str(label), size=9, colour="white" if label else style.INK, weight="bold")


def vector(
    axes: Axes, x: float, y: float, colour: str, words: str = "", *, width: float = 0.62, turn: int = 0
) -> None:
    """An embedding as four cells of uneven depth, which ``turn`` shifts; its name is on the right."""
    each, high = width / 4, 0.15
    for place in range(4):
        corner = (x - width / 2 + place * each, y - high / 2)
        depth = (0.85, 0.35, 0.6, 0.2, 0.75)[(place + turn) % 5]
        axes.add_artist(Rectangle(corner, each, high, fc=tint(colour, depth), ec=colour, lw=0.9, zorder=4))
    text(axes, x + width / 2 + 0.07, y, words, ha="left", size=11)


def step(axes: Axes, x: float, y: float, number: int) -> None:
    """The number of a step, white on a dark disc."""
    axes.add_artist(Circle((x, y), 0.15, facecolor=style.INK, lw=0, zorder=5))
    text(axes, x, y - 0.01, str(number), size=10, colour="white", weight="bold")
