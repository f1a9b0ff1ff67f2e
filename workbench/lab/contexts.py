"""Retrieved contexts: the retriever over a split log, and what surrounds each retrieved row.

LIFT, Section 4.3: the datastore's keys are the rows of the retrieval set, its values what their users
did before and after (Eqs. 1, 4, 11). Values stay ranges of row numbers here; a picture or an encoder
asks for the events it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit
from workbench.errors import ConfigError, DataError, unknown
from workbench.methods.retrieval import BM25Index


@dataclass(frozen=True)
class Contexts:
    """The K retrieved contexts C_z of B queries.

    rows : (B, K) int64 retrieved rows of the log, best first, -1 where there are fewer than K.
    scores : (B, K) float64 rank scores (Eq. 12).
    history, future : pairs (start, stop), each (B, K) int64: ranges of ``histories`` that hold the L
        events before and after each retrieved row (Eq. 1); empty where rows is -1.
    histories : of the retrieval set, the only ones these ranges mean anything in.
    """

    rows: np.ndarray
    scores: np.ndarray
    history: tuple[np.ndarray, np.ndarray]
    future: tuple[np.ndarray, np.ndarray]
    histories: Histories

    def events(self, part: str, length: int) -> np.ndarray:
        """(B, K, length) row numbers of a part, "history" or "future", oldest first, then -1."""
        if part not in ("history", "future"):
            raise unknown("part of a context", part, ("history", "future"))
        return self.histories.window(*getattr(self, part), length)


class Retriever:
    """R of LIFT over the retrieval part of a log.

    Both the index and the histories are built from rows ``0 .. split.retrieval.stop - 1`` only, and a
    query at or before the last of them is refused. So a context that reaches its query's time, past
    or future, cannot be expressed.

    Parameters
    ----------
    fields : the features of Eq. 12; default all fields but the user (ambiguity L2: contexts come from
        other users).
    idf : rule of Eq. 13, see :mod:`workbench.methods.retrieval`.
    """

    def __init__(
        self,
        log: Interactions,
        split: TimeSplit,
        fields: Sequence[str] | None = None,
        idf: str = "clipped",
    ) -> None:
        part = split.retrieval
        if part.start != 0 or part.step not in (None, 1) or not 1 <= (part.stop or 0) <= len(log):
            raise DataError(f"the retrieval set must be the first rows of the log, not {part}")
        if log.clock != "seconds":
            raise DataError(
                "without timestamps nothing can be called earlier",
                file=log.name,
                fix="Use a log with a clock",
            )
        self.log = log
        self.fields = tuple(fields) if fields is not None else tuple(f for f in log.fields if f != "user")
        if not self.fields:
            raise ConfigError("retrieval needs at least one field")
        self.histories = Histories.of(log, stop=part.stop)
        self._codes = log.codes(self.fields)
        self.index = BM25Index(
            self._codes[part], log.timestamp[part], log.user[part], fields=self.fields, idf=idf
        )

    def retrieve(
        self,
        rows: np.ndarray,
        k: int,
        length: int,
        *,
        weights: dict[str, float] | None = None,
        same_user: bool = False,
    ) -> Contexts:
        """Contexts of some rows of the log (train, validation or test rows).

        rows : (B,) row numbers; k : K; length : L. ``same_user`` also searches the user's own rows.
        """
        rows = np.asarray(rows)
        if not np.issubdtype(rows.dtype, np.integer) or (
            rows.size and not 0 <= rows.min() <= rows.max() < len(self.log)
        ):
            raise DataError(f"targets are row numbers from 0 to {len(self.log) - 1}")
        found = self.index.search(
            self._codes[rows],
            k,
            time=self.log.timestamp[rows],
            owner=None if same_user else self.log.user[rows],
            weights=weights,
        )
        known = found.rows >= 0
        somewhere = np.where(known, found.rows, 0)
        return Contexts(
            found.rows,
            found.scores,
            _emptied(self.histories.before(somewhere, length), ~known),
            _emptied(self.histories.after(somewhere, length), ~known),
            self.histories,
        )

    def features(self, row: int) -> np.ndarray:
        """(M,) codes of one row of the log: its query x_z."""
        return self._codes[row]

    def matches(self, query: int, rows: np.ndarray) -> np.ndarray:
        """(K, M) bool: on which fields does each retrieved row agree with the query? (False for -1.)"""
        rows = np.asarray(rows)
        mine = self.features(query)
        return (self._codes[np.maximum(rows, 0)] == mine) & (mine > 0) & (rows >= 0)[:, None]


def _emptied(bounds: tuple[np.ndarray, np.ndarray], where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges with those at ``where`` made empty."""
    start, stop = bounds
    return np.where(where, 0, start), np.where(where, 0, stop)
