"""LCN, Figure 2: the network, what is trained beside it, and the pyramid."""

from __future__ import annotations

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from workbench.show import style
from workbench.show.drawing import arrow, box, sheet, text, tint

INPUTS = (  # what, symbol, height, colour
    ("profile", "", 4.75, style.MUTED),
    ("candidate", "$e^v$", 4.05, style.TARGET),
    ("latest clicks, target domain", "HT", 3.25, style.TARGET_DOMAIN),
    ("latest clicks, source domain", "HS", 2.45, style.SOURCE_DOMAIN),
    ("lifelong sequence, source domain", "LHS", 1.45, style.SOURCE_DOMAIN),
)
LEVELS = (  # name, who is seen, width, height, how
    ("complete scope", "all L events", 3.3, 1.45, "inner product"),
    ("median scope", "the best K1, with context", 2.45, 2.3, "attention"),
    ("focused scope", "the best K2", 1.6, 3.15, "multi-head attention"),
)


def network() -> Figure:
    """The whole of LCN: what a prediction uses in solid lines, what only training uses in dashed ones."""
    with style.theme():
        figure, axes = sheet(
            12.6, 6.3, "LCN: three looks at a lifelong sequence, over embeddings that two domains share",
            "after Figure 2 of the paper; dashed: in training only",
        )  # fmt: skip
        for words, symbol, y, colour in INPUTS:
            label = f"{words}\n{symbol}" if symbol else words
            box(axes, 1.55, y, 2.75, 0.58, label, colour=colour, size=9.5)
        box(axes, 4.15, 3.1, 1.1, 3.9, "embed-\ndings", colour=style.PAST, size=10.5)
        for _, _, y, _ in INPUTS:
            arrow(axes, (2.95, y), (3.58, y))
        _contrast(axes)
        _pyramid(axes)
        box(axes, 7.25, 4.05, 2.2, 0.5, "target attention on HT, HS", colour=style.INK, size=9)
        arrow(axes, (4.72, 4.05), (6.13, 4.05))
        box(axes, 11.0, 3.1, 0.75, 3.6, "side\nby\nside", size=9.5)
        arrow(axes, (8.38, 4.05), (10.6, 4.05))
        arrow(axes, (4.72, 4.75), (10.6, 4.75))
        box(axes, 12.05, 3.1, 0.75, 1.2, "MLP", size=10)
        arrow(axes, (11.4, 3.1), (11.65, 3.1))
        text(axes, 12.05, 4.05, "p(click)", size=10.5, weight="bold", colour=style.TARGET)
        arrow(axes, (12.05, 3.72), (12.05, 3.92))
    return figure


def _contrast(axes: Axes) -> None:
    """CRP, under the embeddings that it moves."""
    box(axes, 4.15, 0.45, 4.3, 0.6, "CRP: pairs of one user attract, of two users repel\n"
        "target-target, source-source, target-source", colour=style.PAST, size=9, dashed=True)  # fmt: skip
    arrow(axes, (4.15, 0.76), (4.15, 1.14), colour=style.PAST, dashed=True)


def _pyramid(axes: Axes) -> None:
    """Three levels, each narrower than the one under it, and a way out of each."""
    middle = 7.25
    for name, who, width, y, how in LEVELS:
        corners = [
            (middle - width / 2, y - 0.32), (middle + width / 2, y - 0.32),
            (middle + width / 2 - 0.25, y + 0.32), (middle - width / 2 + 0.25, y + 0.32),
        ]  # fmt: skip
        fill = tint(style.SOURCE_DOMAIN, 0.18 if width > 3 else 0.34 if width > 2 else 0.55)
        axes.add_artist(Polygon(corners, fc=fill, ec=style.SOURCE_DOMAIN, lw=1.3, zorder=2))
        text(axes, middle, y, name, size=9.5, weight="bold")
        text(axes, middle + width / 2 + 0.1, y + 0.13, f"{who}", size=8.5, ha="left", colour=style.MUTED)
        arrow(axes, (middle + width / 2 - 0.05, y - 0.08), (10.6, y - 0.08), colour=style.SOURCE_DOMAIN)
        text(axes, middle + width / 2 + 0.1, y - 0.24, how, size=8.5, ha="left", colour=style.MUTED)
    arrow(axes, (4.72, 1.45), (5.55, 1.45))
    for (_, _, _, below, _), (_, _, _, above, _) in pairwise(LEVELS):
        arrow(axes, (middle, below + 0.34), (middle, above - 0.34), colour=style.SOURCE_DOMAIN)
