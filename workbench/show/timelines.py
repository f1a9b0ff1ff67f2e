"""The picture of LIFT's retrieval: the target and its neighbours, aligned at "their now"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.data.histories import Histories
from workbench.lab.contexts import Contexts, Retriever
from workbench.show import style

NOTHING = -1  # no event in this place


@dataclass(frozen=True)
class Timelines:
    """What the picture shows; line 0 is the target, lines 1 .. K its neighbours, best first.

    past, future : (K + 1, L) int8 labels of the events before and after, NOTHING where there is none;
        past ends at the last column, future starts at the first. The target's future is empty.
    shared : (K + 1, L) bool, past events whose item is also in the target user's shown past.
    now : (K,) labels of the retrieved rows. scores : (K,). matched : (K, M) bool. idf : (M,) what a
        match on each field is worth for this query, field weights included.
    future_rows : (K, L) row numbers behind ``future``, -1 where there is none.
    filled : what a filled mark means (a label of 1). question : what is asked about the target.
    """

    past: np.ndarray
    future: np.ndarray
    shared: np.ndarray
    now: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    idf: np.ndarray
    fields: tuple[str, ...]
    names: tuple[str, ...]
    future_rows: np.ndarray
    filled: str
    question: str


def gather(
    retriever: Retriever,
    own: Histories,
    row: int,
    contexts: Contexts,
    length: int,
    names: Sequence[str],
    weights: dict[str, float] | None = None,
) -> Timelines:
    """Collect the timelines of one target row from its retrieved contexts (a batch of one).

    own : histories of the whole log, from which the target user's own past is read. names : item code
    -> name to print.
    """
    log = retriever.log
    who, what = log.value("user", log.user[row]), names[log.item[row]]
    rows = contexts.rows[0][contexts.rows[0] >= 0]
    kept = len(rows)
    past_rows = _right_aligned(contexts.events("history", length)[0][:kept])
    future_rows = contexts.events("future", length)[0][:kept]
    mine = _right_aligned(own.window(*own.strictly_before(np.array([row]), length), length))  # (1, L)
    past_rows = np.concatenate([mine, past_rows])
    future = np.concatenate([np.full((1, length), -1), future_rows])
    multipliers = np.array([(weights or {}).get(field, 1.0) for field in retriever.fields])
    return Timelines(
        past=_labels(log.label, past_rows),
        future=_labels(log.label, future),
        shared=np.isin(log.item[past_rows], log.item[mine[mine >= 0]]) & (past_rows >= 0),
        now=log.label[rows],
        scores=contexts.scores[0][:kept],
        matched=retriever.matches(row, rows),
        idf=retriever.index.idf(retriever.features(row)) * multipliers,
        fields=retriever.fields,
        names=tuple(str(log.value("user", code)) for code in log.user[np.append(row, rows)]),
        future_rows=future_rows,
        filled=log.positive,
        question=f"User {who} in front of {what}: filled or hollow?   ({log.name})",
    )


def context_timeline(lines: Timelines) -> Figure:
    """Draw the target and its neighbours as aligned timelines, past left, future right.

    A filled mark is a label of 1, a hollow one of 0; dark blue past events are items the target user met
    too. Chips on the right say which fields agree, their depth how much that is worth.
    """
    neighbours, length = len(lines.scores), lines.past.shape[1]
    height = min(2.0 + 0.34 * (neighbours + 1), 6.6)
    with style.theme():
        figure = Figure(figsize=(11.5, height))
        grid = figure.add_gridspec(
            1, 2, width_ratios=[8.2, 2.6], wspace=0.02, left=0.085, right=0.985,
            top=1 - 1.25 / height, bottom=0.62 / height,
        )  # fmt: skip
        axes = figure.add_subplot(grid[0])
        chips = figure.add_subplot(grid[1], sharey=axes)
        row = 72 * (height - 1.87) / (neighbours + 1.5)  # points between two lines
        draw_lines(axes, lines, length, row)
        _draw_chips(chips, lines, min(9.0, 0.5 * row))
        axes.set_ylim(neighbours + 0.7, -0.8)
        title = "Others stood where this user stands: their future shows what came next"
        figure.suptitle(title, x=0.012, y=1 - 0.10 / height, ha="left", va="top", fontsize=14, weight="bold")
        figure.text(0.012, 1 - 0.42 / height, lines.question, va="top", fontsize=10.5, color=style.MUTED)
    return figure


def draw_lines(axes: Axes, lines: Timelines, length: int, row: float) -> None:
    """The timelines, ``row`` points apart."""
    neighbours = len(lines.scores)
    size = min(460 / (2 * length + 2), 0.62 * row, 11.0)  # of a mark, in points
    steps = np.arange(1, length + 1)
    axes.hlines(np.arange(neighbours + 1), -length - 0.5, length + 0.5, color=style.FAINT, lw=0.8, zorder=0)
    axes.axvspan(-0.5, 0.5, color=style.TARGET, alpha=0.08, lw=0)
    x = np.broadcast_to(steps - length - 1, lines.past.shape)
    _marks(axes, x, lines.past, ~lines.shared, style.TARGET_DOMAIN, size)
    _marks(axes, x, lines.past, lines.shared, style.PAST, size)
    _marks(axes, np.broadcast_to(steps, lines.future.shape), lines.future, np.True_, style.FUTURE, size)
    now = np.concatenate([[NOTHING], lines.now])[:, None]
    _marks(axes, np.zeros(now.shape), now, np.True_, style.TARGET, 1.14 * size)
    axes.scatter([0], [0], s=130, marker="D", color=style.TARGET, zorder=3)
    axes.annotate("?", (0, 0), color="white", ha="center", va="center", weight="bold", fontsize=9, zorder=4)
    axes.text(
        length / 2 + 0.5, 0, "not yet happened", color=style.MUTED, ha="center", va="center", style="italic",
        bbox={"color": "white", "pad": 2},
    )  # fmt: skip
    for place, text, colour in (
        (-length / 2 - 0.5, "◀ past", style.PAST),
        (0, "now", style.TARGET),
        (length / 2 + 0.5, "future ▶", style.FUTURE_TEXT),
    ):
        axes.annotate(text, (place, 1), xycoords=("data", "axes fraction"), color=colour, ha="center",
                      va="bottom", weight="bold", fontsize=12)  # fmt: skip
    font = min(9.0, 0.62 * row)
    for line, name in enumerate(lines.names):  # plain texts: ticks cost an explorer 30 ms
        label, look = (f"user {name}", {"color": style.TARGET, "weight": "bold"}) if line == 0 else (name, {})
        axes.text(-length - 1.2, line, label, ha="right", va="center", fontsize=font, **look)
    axes.set_xlim(-length - 0.9, length + 0.9)
    axes.set_xlabel(
        f"events before and after   (● {lines.filled}   ○ not   dark blue: in the target's shown past too)"
    )
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)


def _draw_chips(axes: Axes, lines: Timelines, width: float) -> None:
    """One column of chips a field, and the score at the far right; ``width`` is a chip's in points."""
    fields, neighbours = len(lines.fields), len(lines.scores)
    strength = lines.idf / max(float(lines.idf.max(initial=0)), 1e-9)
    row, column = np.meshgrid(np.arange(1, neighbours + 1), np.arange(fields), indexing="ij")
    hit = lines.matched
    depth = np.broadcast_to(0.15 + 0.85 * strength, hit.shape)[hit]
    axes.scatter(column[hit], row[hit], s=width**2, marker="s", color=style.TARGET, alpha=depth, lw=0)
    axes.scatter(column[~hit], row[~hit], s=12, marker="s", color=style.FAINT, lw=0)
    for place, field in enumerate(lines.fields):
        axes.text(place, 0.2, field.replace("_", " "), rotation=40, fontsize=9, rotation_mode="anchor")
    axes.text(fields + 0.7, 0.2, "score", ha="center", fontsize=9, weight="bold")
    for line, score in enumerate(lines.scores, start=1):
        axes.text(fields + 0.7, line, f"{score:.1f}", ha="center", va="center", fontsize=min(9.0, width + 1))
    axes.set_xlim(-0.9, fields + 1.6)
    axes.axis("off")


def _marks(axes: Axes, x: np.ndarray, label: np.ndarray, where: np.ndarray, colour: str, size: float) -> None:
    """Filled marks for clicks, hollow ones for the rest; ``label`` is (lines, places)."""
    for clicked in (0, 1):
        line, place = np.nonzero((label == clicked) & where)
        face = colour if clicked else "white"
        # plot, not scatter: equal marks are stamped, which is what lets an explorer answer in time
        axes.plot(x[line, place], line, "o", ms=size, mfc=face, mec=colour, mew=1.2, zorder=2)


def _right_aligned(window: np.ndarray) -> np.ndarray:
    """(K, L) left-filled rows moved so that the last event stands in the last column."""
    order = np.argsort(window >= 0, axis=-1, kind="stable")
    return np.take_along_axis(window, order, axis=-1)


def _labels(label: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.where(rows >= 0, label[rows], NOTHING).astype(np.int8)


def upcoming(
    lines: Timelines, values: np.ndarray, vocabulary: Sequence, most: int = 5
) -> list[tuple[str, int]]:
    """What came next most often: (value, number of neighbours) over clicked future events.

    values : (n,) codes of the log, one field. A neighbour counts once for each value.
    """
    counts: dict[int, int] = {}
    for line, label in zip(lines.future_rows, lines.future[1:], strict=True):
        for code in np.unique(values[line[label == 1]]):
            counts[int(code)] = counts.get(int(code), 0) + 1
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return [(str(vocabulary[code]), count) for code, count in best]
