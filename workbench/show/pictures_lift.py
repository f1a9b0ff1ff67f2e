"""The pictures of lessons 03 and 04: what is hidden and asked, and which neighbours are believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from workbench.errors import DataError
from workbench.show import style
from workbench.show.drawing import HATCH, arrow, cell, events, sheet, text, tint, token, vector
from workbench.show.timelines import Timelines, draw_lines

BELIEF = LinearSegmentedColormap.from_list("belief", ["white", "#E58AB0", style.TARGET, "#4A0A25"])


def masked_row(
    labels: np.ndarray,
    masked: np.ndarray,
    names: Sequence[str] | None = None,
    probability: np.ndarray | None = None,
) -> Figure:
    """One user's events with their label tokens, the causal mask under them, and what is asked at the bottom.

    labels : (T,) 0/1, oldest first. masked : (T,) bool, labels that are hidden. names : (T,) words over the
    events. probability : (T,) what a model says of a click; its loss is then written under what is asked.

    Raises DataError for arrays of different lengths, nothing masked, or probabilities outside (0, 1).
    """
    labels, masked = np.asarray(labels), np.asarray(masked, dtype=bool)
    total, hidden = len(labels), int(masked.sum())
    if masked.shape != labels.shape or not hidden:
        raise DataError(f"{hidden} of {len(masked)} labels are masked, in a row of {total}: nothing to ask")
    said = None if probability is None else np.asarray(probability, dtype=np.float64)
    if said is not None and (said.shape != labels.shape or not ((said > 0) & (said < 1)).all()):
        raise DataError(f"the row needs {total} probabilities between 0 and 1", column="probability")
    width = min(0.9, 9.2 / total)  # of a column, in inches
    high = min(0.3, 0.8 * width)
    top = 1.05 + (0.75 if names is not None else 0.1)
    height = top + 0.62 + total * high + (1.4 if said is not None else 0.85)
    with style.theme():
        figure, axes = sheet(
            max(2.6 + total * width, 9.2), height,
            f"{hidden} of {total} labels are hidden; each is asked from its features and the past",
            "a column is a position: the event on top, whom it sees in the middle, what is asked of it below",
        )  # fmt: skip
        x = 2.3 + width * (np.arange(total) + 0.5)
        y = height - top
        for place, name in zip(x, names if names is not None else (), strict=names is not None):
            text(axes, place - 0.05, y + 0.17, name, size=8.5, rotation=35, ha="left", va="bottom",
                 rotation_mode="anchor")  # fmt: skip
        shown = [None if hide else int(label) for label, hide in zip(labels, masked, strict=True)]
        events(axes, x, y, shown, style.PAST, min(0.12, 0.36 * width))
        for place, label in zip(x, shown, strict=True):
            token(axes, place, y - 0.32, label, min(0.42, 0.86 * width))
        _who_sees_whom(axes, x, y - 0.62, width, high, shown)
        _asked(axes, x, y - 0.62 - total * high, labels, masked, said)
        for line, words in ((y, "events"), (y - 0.32, "label tokens")):
            text(axes, 2.15, line, words, ha="right")
    return figure


def _who_sees_whom(
    axes: Axes, x: np.ndarray, top: float, width: float, high: float, shown: Sequence[int | None]
) -> None:
    """Column i sees the rows up to i: features and label, or, hatched, features only."""
    for row, label in enumerate(shown):
        y, left = top - (row + 0.5) * high, x[row] - 0.46 * width
        # A stripe a row, cut into cells by white lines: one shape where an explorer would wait for twenty.
        look = {"fc": tint(style.PAST, 0.5), "lw": 0}
        if label is None:
            look = {"fc": tint(style.PAST, 0.1), "ec": style.PAST, "lw": 0.8, "hatch": HATCH}
        stripe = x[-1] + 0.46 * width - left
        axes.add_artist(Rectangle((left, y - 0.43 * high), stripe, 0.86 * high, zorder=2, **look))
        events(axes, [x[row] - 0.5 * width - 0.14], y, [label], style.PAST, 0.3 * high)
        if label is None:  # its own label is hidden from itself
            own = Rectangle((left, y - 0.43 * high), 0.92 * width, 0.86 * high, fill=False, zorder=5)
            own.set(edgecolor=style.TARGET, lw=1.8)
            axes.add_artist(own)
    cuts, depth = x[:-1] + 0.5 * width, np.arange(1, len(x))
    axes.vlines(cuts, top - depth * high, top, color="white", lw=72 * 0.08 * width, zorder=3)
    middle = top - len(x) * high / 2
    text(axes, 0.15, middle, "causal mask:\na position sees\nitself and what\nwas before it", ha="left")
    if len(x) > 5:  # room beside the triangle
        _key(axes, x[0] - 0.4 * width, top - (len(x) - 2.2) * high)


def _key(axes: Axes, x: float, y: float) -> None:
    cell(axes, x, y, 0.24, 0.2, colour=style.PAST, fill=0.5)
    text(axes, x + 0.2, y, "features and label", ha="left", size=9)
    axes.add_artist(
        Rectangle(
            (x - 0.12, y - 0.36), 0.24, 0.2, fc=tint(style.PAST, 0.1), ec=style.PAST, lw=0.6, hatch=HATCH
        )
    )
    text(axes, x + 0.2, y - 0.26, "features only", ha="left", size=9)


def _asked(
    axes: Axes, x: np.ndarray, y: float, labels: np.ndarray, masked: np.ndarray, said: np.ndarray | None
) -> None:
    """Outputs under the mask: those of hidden labels are asked, the others carry no loss."""
    step = x[1] - x[0] if len(x) > 1 else 0.6
    font = 9 if step > 0.4 else 7
    for at, label, hide in zip(x, labels, masked, strict=True):
        vector(axes, at, y - 0.22, style.TARGET if hide else style.MUTED, width=min(0.8 * step, 0.62))
        if hide:
            arrow(axes, (at, y - 0.3), (at, y - 0.5), colour=style.TARGET, width=1.2)
            events(axes, [at], y - 0.63, [int(label)], style.TARGET, min(0.1, 0.3 * step))
        else:
            text(axes, at, y - 0.63, "–", colour=style.MUTED)
    words = [("outputs", 0.22, style.INK), ("asked: clicked?", 0.63, style.TARGET)]
    if said is not None:
        loss = -np.log(np.where(labels == 1, said, 1 - said))
        words += [("said", 0.92, style.INK), (f"loss, mean {loss[masked].mean():.2f}", 1.17, style.TARGET)]
        for place in np.flatnonzero(masked):
            text(axes, x[place], y - 0.92, f"{said[place]:.2f}", size=font)
            text(axes, x[place], y - 1.17, f"{loss[place]:.2f}", size=font, colour=style.TARGET)
    for line, below, colour in words:
        text(axes, 2.15, y - below, line, ha="right", colour=colour)


def attention_heatmap(
    weights: np.ndarray, labels: np.ndarray, names: Sequence[str] | None = None, chosen: int | None = None
) -> Figure:
    """Key attention of B targets over their K neighbours, best match first; those who trust few on top.

    weights : (B, K) of LIFT's key attention, rows adding up to 1 (or 0: no neighbour). labels : (B,) 0/1 of
    the targets. names : (B,) words beside the rows. chosen : the row to outline.

    Raises DataError for weights that are none, and for a number of labels that is not B.
    """
    weights = _attention(weights)
    targets, neighbours = weights.shape
    if len(labels) != targets:
        raise DataError(f"{len(labels)} labels for {targets} targets", column="labels")
    order = np.argsort(-weights.max(axis=1), kind="stable")
    title = f"On average the best match holds {weights[weights.any(axis=1), 0].mean():.0%} of the attention"
    height = 1.9 + 0.24 * targets
    with style.theme():
        figure = Figure(figsize=(max(8.4, 3.2 + 0.42 * neighbours), height), layout="constrained")
        axes = figure.add_subplot()
        at = None if chosen is None else int(np.flatnonzero(order == chosen)[0])
        image = _heat(axes, weights[order], at)
        x = np.full(targets, -1.1)
        for clicked in (0, 1):
            line = np.flatnonzero(np.asarray(labels)[order] == clicked)
            face = style.TARGET if clicked else "white"
            axes.plot(x[line], line, "o", ms=6, mfc=face, mec=style.TARGET, clip_on=False)
        for line, row in enumerate(order if names is not None else ()):
            axes.text(-1.7, line, names[row], ha="right", va="center", fontsize=8.5)
        axes.set_xlabel("neighbour, best match first")
        axes.set_ylabel("targets (● clicked  ○ not)", labelpad=18 if names is None else 80)
        bar = figure.colorbar(image, ax=axes, shrink=min(1, 8 / targets), format=PercentFormatter(1, 0))
        bar.set_label("attention")
        style.headline(figure, f"{title} (equal shares: {1 / neighbours:.0%})")
        figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.45 / height))
    return figure


def believed(lines: Timelines, weights: np.ndarray, chosen: int) -> Figure:
    """Which neighbours were believed: a target's timelines, most believed first, beside all targets.

    lines : the chosen target's timelines. weights : (B, K) key attention of B targets, among them it, in the
    order of retrieval. chosen : its row.

    Raises DataError where the row does not weigh exactly the neighbours that the timelines show.
    """
    weights = _attention(weights)
    mine, count = weights[chosen], len(lines.scores)
    if count > len(mine) or not np.isclose(mine[:count].sum(), 1, atol=1e-3):
        what = f"the weights of row {chosen} do not belong to the {count} neighbours drawn"
        raise DataError(what, row=chosen)
    order = np.argsort(-mine[:count], kind="stable")
    half = int(np.searchsorted(np.cumsum(mine[order]), 0.5 - 1e-9)) + 1
    height = min(2.2 + 0.34 * (count + 1), 6.8)
    with style.theme():
        figure = Figure(figsize=(13, height))
        grid = {"top": 1 - 1.35 / height, "bottom": 0.68 / height}
        left = grid | {"left": 0.075, "right": 0.755, "wspace": 0.02}
        axes, bars = figure.subplots(1, 2, sharey=True, width_ratios=[8.2, 2.1], gridspec_kw=left)
        heat = figure.add_gridspec(1, 1, left=0.815, right=0.985, **grid)
        row = 72 * (height - 2.03) / (count + 1.5)
        draw_lines(axes, _reordered(lines, order), lines.past.shape[1], row)
        axes.set_ylim(count + 0.7, -0.8)
        _bars(bars, mine[order], order, row)
        everyone = figure.add_subplot(heat[0])
        _heat(everyone, weights, chosen)
        everyone.set(xlabel="neighbour, by match", ylabel=f"{len(weights)} targets")
        everyone.set_title("all targets", fontsize=11, pad=6)
        verb = "holds" if half == 1 else "hold"
        title = f"{half} of {count} neighbours {verb} half of the attention"
        style.headline(figure, title, lines.question)
    return figure


def _attention(weights: np.ndarray) -> np.ndarray:
    """(B, K) weights; refuses what is no attention. A target without neighbours has a row of zeros."""
    weights = np.asarray(weights, dtype=np.float64)
    sums = weights.sum(axis=-1)
    if weights.ndim != 2 or (weights < 0).any() or not np.all((np.abs(sums - 1) < 1e-3) | (sums == 0)):
        raise DataError(f"attention is (targets, K) weights that add up to 1 a row, not {weights.shape}")
    return weights


def _reordered(lines: Timelines, order: np.ndarray) -> Timelines:
    """The same target, its neighbours in another order."""
    both = np.append(0, order + 1)
    return replace(
        lines, past=lines.past[both], future=lines.future[both], shared=lines.shared[both],
        now=lines.now[order], scores=lines.scores[order], matched=lines.matched[order],
        future_rows=lines.future_rows[order],
        names=tuple(lines.names[line] for line in both),
    )  # fmt: skip


def _bars(axes: Axes, weights: np.ndarray, order: np.ndarray, row: float) -> None:
    """Each neighbour's attention, and which match it was; lines are ``row`` points apart.

    Where they are too close to be read, only every second (third, ...) line is labelled.
    """
    y = np.arange(1, len(weights) + 1)
    axes.barh(y, weights, height=0.62, color=style.TARGET, alpha=0.85, lw=0)
    axes.vlines(1 / len(weights), 0.45, len(weights) + 0.5, color=style.INK, lw=1, ls=":")
    axes.text(1 / len(weights), len(weights) + 0.6, "equal\nshares", va="top", fontsize=8.5)
    font = max(6.0, min(9.0, 0.72 * row))
    every = math.ceil(1.15 * font / row)
    for line, weight, rank in list(zip(y, weights, order, strict=True))[::every]:
        axes.annotate(f"{weight:.0%}", (weight, line), (4, 0), textcoords="offset points", va="center",
                      fontsize=font, bbox={"color": "white", "pad": 0.6})  # fmt: skip
        axes.text(1.0, line, f"match {rank + 1}", va="center", ha="right", fontsize=font,
                  color=style.MUTED, transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlim(0, 2.4 * max(weights.max(), 1.5 / len(weights)))
    axes.axis("off")
    axes.annotate("attention", (0, 1), (2, 0), xycoords="axes fraction", textcoords="offset points",
                  color=style.TARGET, weight="bold", fontsize=12, va="bottom")  # fmt: skip


def _heat(axes: Axes, weights: np.ndarray, chosen: int | None) -> object:
    """The weights as a heatmap, one row outlined; returns the image, for a colour bar."""
    neighbours = weights.shape[1]
    image = axes.imshow(weights, cmap=BELIEF, vmin=0, aspect="auto", interpolation="nearest")
    ends = sorted({1, neighbours})
    axes.set_xticks([end - 1 for end in ends], ends)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)
    if chosen is not None:
        axes.add_patch(
            Rectangle((-0.5, chosen - 0.5), neighbours, 1, fill=False, ec=style.INK, lw=1.8, clip_on=False)
        )
        axes.annotate("▶", (-0.6, chosen), ha="right", va="center", fontsize=9, annotation_clip=False)
    return image
