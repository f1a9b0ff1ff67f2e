"""Search in a user's own long history: which of all earlier events speak of this target?

SIM (Pi et al. 2020), hard search: the events of the target's category. UBR4CTR (Qin et al. 2020): the
events that share the target's features, best BM25 score first. Both look strictly before the target.

Departures
----------
* SIM: where a log has no field ``category``, events of the same item are found (ambiguity E21).
* UBR: the paper learns which of the target's features to ask for; here all item-side features are
  asked for, and a sum of clipped IDFs ranks the events as in LIFT, Section 4.3.
* As in LIFT's retriever, an unknown value (code 0) matches nothing, and an event that shares nothing
  is not found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError
from workbench.methods.retrieval import inverse_document_frequency

SEARCHES = ("category", "bm25")


def own_bounds(
    histories: Histories, rows: np.ndarray, until: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of ``histories.events`` with everything a group has strictly before each row's time.

    rows : (n,) row numbers; until : only events among the first ``until`` rows of the log (a history
    frozen at that row). Returns (start, stop), each (n,) int64.
    """
    start, stop = histories.strictly_before(rows, len(histories))
    if until is not None:
        counts = np.bincount(histories.user[:until], minlength=len(histories.offsets) - 1)
        stop = np.minimum(stop, (histories.offsets[:-1] + counts)[histories.user[rows]])
    return start, stop


def same_category(log: Interactions, rows: np.ndarray, size: int, until: int | None = None) -> np.ndarray:
    """SIM, hard search: the last ``size`` own events of each row's category, newest first.

    Without a field ``category``, of the same item. ``until`` as in :func:`own_bounds`.

    Returns (n, size) int64 row numbers, -1 where there are fewer.
    """
    codes = log.columns["category" if "category" in log.columns else "item"]
    _, group = np.unique(log.user.astype(np.int64) * (int(codes.max()) + 1) + codes, return_inverse=True)
    histories = Histories.grouped(group, int(group.max()) + 1, log.timestamp)
    start, stop = own_bounds(histories, rows, until)
    place = stop[:, None] - 1 - np.arange(size)
    inside = (place >= start[:, None]) & (codes[rows] > 0)[:, None]
    return np.where(inside, histories.events[np.maximum(place, 0)], -1)


def best_matching(
    log: Interactions,
    rows: np.ndarray,
    size: int,
    counted: int,
    *,
    fields: Sequence[str] | None = None,
    until: int | None = None,
    histories: Histories | None = None,
) -> np.ndarray:
    """UBR: the ``size`` own events with the highest sum of clipped IDFs over the fields they share.

    rows : (n,) row numbers; counted : values are counted among the first so many rows of the log (for
    instance the retrieval set); fields : default :func:`item_side`; ``until`` as in
    :func:`own_bounds`; histories : of the whole log, if they are at hand.

    Returns (n, size) int64 row numbers, best first, among equals the newest (the last in the log's
    order) first, -1 where fewer events share something with the row.
    """
    if not 1 <= counted <= len(log):
        raise ConfigError(f"values are counted among the first 1 to {len(log)} rows, not {counted}")
    fields = tuple(fields) if fields is not None else item_side(log)
    codes = log.codes(fields)
    sizes = [log.size(field) for field in fields]
    counts = [np.bincount(codes[:counted, j], minlength=size) for j, size in enumerate(sizes)]
    idf = np.concatenate([inverse_document_frequency(count, counted) for count in counts])
    base = np.concatenate(([0], np.cumsum(sizes[:-1])))
    idf[base] = 0.0  # code 0
    histories = Histories.of(log) if histories is None else histories
    start, stop = own_bounds(histories, rows, until)
    found = np.full((len(rows), size), -1, np.int64)
    _best(codes, idf, base, histories.events, start, stop, np.asarray(rows, np.int64), found)
    return found


def item_side(log: Interactions) -> tuple[str, ...]:
    """The fields that say something about an event of one user: those that differ within some user."""
    first = np.zeros(log.size("user"), np.int64)
    first[log.user[::-1]] = np.arange(len(log))[::-1]  # each user's first row
    return tuple(name for name, codes in log.columns.items() if (codes != codes[first[log.user]]).any())


@nb.njit(cache=True, nogil=True)
def _best(codes, idf, base, events, start, stop, rows, found):
    """Fill found (n, S) with the best events of events[start:stop] for each row; see best_matching."""
    size = found.shape[1]
    scores = np.empty(size)
    for i in range(len(rows)):
        held = 0
        for place in range(stop[i] - 1, start[i] - 1, -1):  # newest first
            event, score = events[place], 0.0
            for j in range(codes.shape[1]):
                if codes[event, j] == codes[rows[i], j]:
                    score += idf[base[j] + codes[event, j]]
            if score <= 0.0 or (held == size and score <= scores[size - 1]):
                continue
            at = held if held < size else size - 1
            while at > 0 and scores[at - 1] < score:
                scores[at], found[i, at] = scores[at - 1], found[i, at - 1]
                at -= 1
            scores[at], found[i, at] = score, event
            held = min(held + 1, size)
