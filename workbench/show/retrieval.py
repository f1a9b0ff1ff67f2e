"""The explorer of lesson 02: drag K, L and the weights of fields, see whom LIFT retrieves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from workbench.data.histories import Histories
from workbench.lab.contexts import Retriever
from workbench.show.explorer import Explorer, dial, slider
from workbench.show.timelines import Timelines, context_timeline, gather, upcoming


def retrieval_explorer(
    retriever: Retriever,
    rows: Sequence[int],
    names: Sequence[str],
    *,
    k: int = 10,
    length: int = 20,
) -> Explorer:
    """Explore what the retriever finds for some target rows (test rows, say).

    rows : the targets the first knob runs over. names : item code -> name to print. Every answer is a
    fresh search of the whole retrieval set.
    """
    log, own = retriever.log, Histories.of(retriever.log)
    most = min(30, len(retriever.index))

    def draw(target: int, K: int, L: int, **weights: float) -> tuple[Figure, str]:
        row = int(rows[target - 1])
        contexts = retriever.retrieve(np.array([row]), K, L, weights=weights)
        lines = gather(retriever, own, row, contexts, L, names, weights)
        return context_timeline(lines), _numbers(lines, K, L, log.item, names)

    knobs = {"target": slider("target", 1, 1, len(rows)), "K": slider("K", k, 1, most)}
    knobs["L"] = slider("L", length, 1, 50)
    knobs |= {field: dial(f"× {field.removesuffix('_band')}", 1.0, 0.0, 3.0) for field in retriever.fields}
    return Explorer(draw, knobs, height=680, alt="Timelines of the target and its retrieved neighbours")


def _numbers(lines: Timelines, k: int, length: int, items: np.ndarray, names: Sequence[str]) -> str:
    """The line above the picture: what was found, in numbers."""
    past, future = (int((part[1:] >= 0).sum()) for part in (lines.past, lines.future))
    found = len(lines.scores)
    parts = [f"<b>K = {k}, L = {length}</b>: {found} neighbours, {past} past and {future} future events"]
    if found:
        parts.append(f"scores {lines.scores[0]:.2f} to {lines.scores[-1]:.2f}")
        parts.append(f"{int(lines.now.sum())} of {found} filled at their now")
    coming = [f"{escape(name)} ({count})" for name, count in upcoming(lines, items, names, most=3)]
    if coming:
        parts.append("most often filled next: " + ", ".join(coming))
    return " · ".join(parts)
