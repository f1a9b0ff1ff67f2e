"""What a future is good for, without any network: match a user's past with the neighbours' lives.

Somebody who stands *before* a step has a past like the neighbours' pasts. Somebody who has already
taken it has a past like the neighbours' futures. Only the second comparison can tell the two apart,
and only retrieval with contexts (LIFT, Section 4.3) has a future to compare with.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit
from workbench.lab.contexts import Contexts, Retriever
from workbench.lab.metrics import auc


def profiles(log: Interactions, rows: np.ndarray, weight: np.ndarray, field: str) -> sparse.csr_matrix:
    """Weighted counts of a field's values over the clicked events of each line, scaled to length 1.

    rows : (B, E) row numbers, -1 for none; weight : broadcastable to (B, E). Returns (B, V), V the
    codes of the field; a line without clicks is all zero.
    """
    clicked = (rows >= 0) & (log.label[rows] == 1)
    line, event = np.nonzero(clicked)
    values = np.broadcast_to(weight, rows.shape)[line, event]
    codes = log.columns[field][rows[line, event]]
    counts = sparse.csr_matrix((values, (line, codes)), shape=(len(rows), log.size(field)))
    norms = np.sqrt(counts.multiply(counts).sum(axis=1)).A1
    return sparse.diags(1 / np.where(norms > 0, norms, 1)) @ counts


def match_scores(
    retriever: Retriever,
    own: Histories,
    rows: np.ndarray,
    contexts: Contexts,
    length: int,
    field: str,
    decay: float = 0.8,
    only_clicked: bool = True,
) -> dict[str, np.ndarray]:
    """Cosine of the target user's recent clicks with the neighbours' clicks before and after their now.

    Events weigh ``decay`` to the power of their distance from now. ``only_clicked`` listens only to
    neighbours whose label at their now was 1. Returns (B,) scores: ``past`` (like those about to click),
    ``future`` (minus the likeness to those who already did) and ``past and future``, their sum.
    """
    log = retriever.log
    nearest_first = decay ** np.arange(length)
    mine = own.window(*own.strictly_before(rows, length), length)
    me = profiles(log, mine, _distances(mine, nearest_first), field)
    silent = (log.label[contexts.rows] == 0) & only_clicked
    result = {}
    for part, sign in (("past", 1.0), ("future", -1.0)):
        window = contexts.events("history" if part == "past" else "future", length)  # (B, K, L)
        window = np.where(silent[..., None], -1, window)
        weight = _distances(window, nearest_first) if part == "past" else nearest_first
        flat = window.reshape(len(rows), -1)
        weight = np.broadcast_to(weight, window.shape).reshape(flat.shape)
        them = profiles(log, flat, weight, field)
        result[part] = sign * me.multiply(them).sum(axis=1).A1
    result["past and future"] = result["past"] + result["future"]
    return result


def _distances(window: np.ndarray, nearest_first: np.ndarray) -> np.ndarray:
    """Weights for windows that end just before now: the last event of each line is the nearest."""
    filled = (window >= 0).sum(axis=-1, keepdims=True)
    back = filled - 1 - np.arange(window.shape[-1])
    return nearest_first[np.clip(back, 0, None)]


def matching_aucs(
    log: Interactions,
    rows: np.ndarray,
    split: TimeSplit,
    *,
    k: int,
    length: int,
    field: str,
    only_clicked: bool = True,
) -> dict[str, float]:
    """AUC on some test rows of: the neighbours' labels alone, and each score of :func:`match_scores`."""
    retriever = Retriever(log, split)
    contexts = retriever.retrieve(rows, k, length)
    label = log.label[rows]
    known = contexts.rows >= 0
    votes = np.where(known, log.label[contexts.rows], 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    scores = {"neighbours' labels": votes}
    scores |= match_scores(
        retriever, Histories.of(log), rows, contexts, length, field, only_clicked=only_clicked
    )
    return {name: auc(label, score) for name, score in scores.items()}
