"""Where attention goes: one head over one history, and the change that DualRec's future makes (Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from workbench.errors import DataError
from workbench.show import style
from workbench.show.drawing import tint

CHANGE = LinearSegmentedColormap.from_list("change", [style.PAST, "white", style.TARGET])
NEWEST = 5  # items that count as near
UNSEEN = "#F6F7F8"  # behind what nobody may look at


def shades(direction: str) -> LinearSegmentedColormap:
    """Of masks and weights, in the colour of a direction: "past" or "future"."""
    colour = style.PAST if direction == "past" else style.FUTURE
    return LinearSegmentedColormap.from_list(direction, [UNSEEN, tint(colour, 0.85)])


def framed(axes: Axes, n: int) -> None:
    """A thin frame, and lines between the cells where there are few of them."""
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.FAINT)
    if n <= 24:
        edges = np.arange(n - 1) + 0.5
        axes.hlines(edges, -0.5, n - 0.5, color="white", lw=1.0)
        axes.vlines(edges, -0.5, n - 0.5, color="white", lw=1.0)


def attention_map(
    weights: np.ndarray, names: Sequence[str], direction: str, title: str, note: str = ""
) -> Figure:
    """Where one head looks when it reads one user's history.

    weights : (n, n) query by key, in the order of time. names : of the n items. direction : "past" or
    "future".
    """
    n = len(weights)
    if len(names) != n:
        raise DataError(f"{len(names)} names for {n} items")
    short = [name if len(name) <= 26 else name[:25] + "…" for name in names]
    with style.theme():
        side, margin = max(4.2, 0.26 * n), 0.45 + 0.083 * max(map(len, short))
        width, height = margin + side + 0.35, margin + side + 0.95
        figure = Figure(figsize=(max(width, 7.2), height))
        width = figure.get_figwidth()
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
        axes.imshow(np.sqrt(weights), cmap=shades(direction), vmin=0, vmax=1, interpolation="nearest")
        framed(axes, n)
        numbered = [f"{name}  {place}" for place, name in enumerate(short, start=1)]
        axes.set_yticks(range(n), numbered, fontsize=8.5)
        axes.set_xticks(range(n), numbered, fontsize=8.5, rotation=90)
        axes.tick_params(length=0)
        if n <= 14:
            for (query, key), share in np.ndenumerate(weights):
                if share >= 0.095:
                    dark = share > 0.35 and direction == "past"
                    axes.text(
                        key, query, f"{share:.1f}"[1:] if share < 0.95 else "1", fontsize=7.5, ha="center",
                        va="center", color="white" if dark else style.INK,
                    )  # fmt: skip
        style.headline(figure, title, note)
    return figure


def attention_change(difference: np.ndarray, small_print: str = "", shown: int | None = None) -> Figure:
    """DualRec, Figure 6: attention of DualRec's past encoder minus that of a model trained on the past alone.

    difference : (layers, n, n) query by key, the newest item last. shown : how many of the newest items.
    """
    layers, n = len(difference), min(shown or difference.shape[1], difference.shape[1])
    drawn = difference[:, -n:, -n:]
    allowed = np.tril(np.ones((n, n), dtype=bool))
    largest = float(np.abs(drawn[:, allowed]).max()) or 1.0
    itself, near = moves(difference)
    with style.theme():
        width, height = 1.9 + 3.5 * layers, 4.9
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            1, layers, squeeze=False, sharey=True,
            gridspec_kw={
                "left": 0.8 / width, "right": 1 - 1.2 / width, "top": 1 - 1.1 / height,
                "bottom": 0.7 / height,
            },
        )[0]  # fmt: skip
        ticks = [place for place in range(n) if (n - 1 - place) % (5 if n <= 25 else 10) == 0]
        for layer, axes in enumerate(panels):
            values = np.where(allowed, drawn[layer], np.nan)
            image = axes.imshow(
                values, cmap=CHANGE, norm=TwoSlopeNorm(0, -largest, largest), interpolation="nearest"
            )
            axes.set_facecolor(UNSEEN)
            told = f"itself {itself[layer]:+.3f}, newest {NEWEST} together {near[layer]:+.3f}"
            axes.set_title(f"layer {layer + 1}: {told}", fontsize=9.5, pad=5, weight="normal")
            axes.set_xlabel("item that is looked at")
            axes.set_xticks(ticks, [str(place - n + 1) for place in ticks])
            axes.set_yticks(ticks, [str(place - n + 1) for place in ticks])
        panels[0].set_ylabel("item that looks (0: the newest)")
        bar = figure.colorbar(image, cax=figure.add_axes((1 - 0.95 / width, 0.2, 0.14 / width, 0.5)))
        bar.set_label("DualRec minus the past alone", fontsize=9)
        bar.ax.tick_params(labelsize=8.5)
        style.headline(figure, _moved(itself.mean(), near.mean()), small_print)
    return figure


def moves(difference: np.ndarray, newest: int = NEWEST) -> np.ndarray:
    """(2, layers) of (layers, n, n): what an item gives, more or less, to itself; and to the ``newest`` items
    together, itself among them.

    Only places that far from the oldest one count: from the others there is nowhere else to look.
    """
    n = difference.shape[1]
    near = sum(np.eye(n, k=-back) for back in range(newest))
    rows = difference[:, newest:]
    return np.array([[(layer * part[newest:]).sum(1).mean() for layer in rows] for part in (np.eye(n), near)])


def _moved(itself: float, near: float, enough: float = 0.005) -> str:
    """The means over layers in words."""
    begin = "Beside a future encoder, attention"
    if max(abs(itself), abs(near)) < enough:
        return f"{begin} stays where it was"
    if near > enough and itself < -enough:
        return f"{begin} moves from an item itself to the few before it"
    if near > enough:
        return f"{begin} moves to the newest {NEWEST} items"
    if near < -enough:
        return f"{begin} moves to items further back"
    return f"{begin} moves among the newest {NEWEST} items"
