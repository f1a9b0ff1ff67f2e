"""Models for clicks as rankers: any item in the place of a target's own, with what is retrieved for it.

LIFT, Section 5 (Table 3), ranks with RIM and LIFT, which score one candidate at a time. A candidate is the
target's row with another item and everything that the item determines (category, brand, ...); the rest of
the row (user, age, ...) stays. Contexts are retrieved anew for each candidate (LIFT, Eq. 4); the user's own
history is the same for all of them, and holds clicks only: the protocol of :mod:`workbench.lab.ranking`.

    maker = Candidates.of(log, split, k=10, length=20, table=Table(log, fields))
    train = maker.practice(protocol)                   # clicks of the train part, each with negatives
    valid, test = (ask(log, split.rows(p), p, protocol) for p in ("validation", "test"))
    lists = maker.samples(valid.rows, valid.candidates)
    fit(model, click_loss(train), len(train), epochs=10, score=list_score(lists, valid), patience=2)
    tested = maker.samples(test.rows, test.candidates)
    measured(Ranked(rank_lists(model, tested, test), rank_all(model, maker, test.spread(100))))

For LIFT, these samples take the place of those in a :class:`workbench.lab.lift_data.LIFTData`. Which rows all
items retrieve is not known before, so ranking among all of them wants a whole datastore,
``maker.encoded(store.history, store.future)``.

A candidate costs a search and a forward pass: ranking among all items multiplies both by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.interactions import Interactions
from workbench.data.negatives import draw_negatives
from workbench.data.splits import TimeSplit
from workbench.errors import ConfigError, DataError, unknown, whole
from workbench.lab.contexts import Retriever
from workbench.lab.metrics import Ranks, full_ranks, rank_metrics, ranks
from workbench.lab.own_search import item_side, own_bounds
from workbench.lab.ranking import Clicks, Questions, TopN, joined, own_clicks
from workbench.lab.samples import Samples, refuse_late_contexts
from workbench.lab.tensors import Table, Windows
from workbench.lab.training import predict

SEARCHED_AT_ONCE = 100_000  # queries: a search holds about 60 K bytes for each
PAIRS_AT_ONCE = 30_000  # of a question and an item, when all items are ranked


def item_fields(log: Interactions) -> tuple[str, ...]:
    """The fields that change with the item: ``item``, and those it determines and the user does not.

    A field determined by both, such as one that is constant, says nothing about a candidate.
    """
    return ("item", *(f for f in item_side(log) if f != "item" and _conflict(log, f) is None))


def item_codes(log: Interactions, fields: Sequence[str]) -> np.ndarray:
    """(V, F) int32 codes of the fields for every item code; 0 for items without a row.

    Raises ConfigError for an unknown field or a list without ``item``; DataError where an item has two
    values of a field: it does not determine it, so nobody knows what the candidate would have had.
    """
    for field in fields:
        if field not in log.fields:
            raise unknown("field", field, log.fields)
    if "item" not in fields:
        raise ConfigError(f"the item itself must be among the fields it determines, not only {fields}")
    for field in fields:
        if (row := _conflict(log, field)) is not None:
            raise DataError(
                f"item {log.value('item', log.item[row])} has two values of it",
                file=log.name,
                row=row + 1,
                column=field,
                fix="Leave the field out; candidates then keep the target's value",
            )
    table = np.zeros((log.size("item"), len(fields)), np.int32)
    table[log.item] = log.codes(fields)
    table[0] = 0
    return table


def _conflict(log: Interactions, field: str) -> int | None:
    """The first row whose value of the field differs from that of its item's first row."""
    first = np.zeros(log.size("item"), np.int64)
    first[log.item[::-1]] = np.arange(len(log))[::-1]
    codes = log.columns[field]
    wrong = np.flatnonzero((codes != codes[first[log.item]]) & (log.item > 0))
    return int(wrong[0]) if wrong.size else None


@dataclass(frozen=True, eq=False)
class Candidates:
    """Makes samples of any candidates in the places of some targets; see :meth:`of`.

    table : the log's events, with the fields a model reads. changes : fields a candidate changes, with
    their ``codes`` (V, F). past, future : windows around the rows of the retrieval set.
    """

    log: Interactions
    split: TimeSplit
    table: Table
    retriever: Retriever
    clicks: Clicks
    changes: tuple[str, ...]
    codes: np.ndarray
    k: int
    length: int
    past: Windows
    future: Windows
    values: tuple[Tensor | np.ndarray, Tensor | np.ndarray] | None = None

    @classmethod
    def of(
        cls,
        log: Interactions,
        split: TimeSplit,
        k: int = 10,
        length: int = 20,
        *,
        table: Table | None = None,
        fields: Sequence[str] | None = None,
        idf: str = "clipped",
        changes: Sequence[str] | None = None,
    ) -> Candidates:
        """A maker for one split.

        k, length : K and L; table : as in :func:`workbench.lab.samples.prepare`; fields, idf : of the
        retriever; changes : fields that the item determines, default :func:`item_fields`.

        Raises ConfigError for a K that is not from 1 to the rows of the retrieval set, an L below 1, an
        unknown field, and a table without the item; DataError as :func:`item_codes` and the retriever do.
        """
        for name, value, most in (("K", k, split.retrieval.stop), ("L", length, len(log))):
            whole(name, value, 1, most)
        changes = item_fields(log) if changes is None else tuple(changes)
        codes = item_codes(log, changes)
        table = Table(log) if table is None else table
        if "item" not in table.fields:
            raise ConfigError(f"a model that ranks items must read the item, not only {table.fields}")
        retriever = Retriever(log, split, fields, idf)
        known = retriever.histories
        anchors = np.arange(len(known))
        return cls(
            log, split, table, retriever, own_clicks(log), changes, codes, k, length,
            Windows.of(known, known.before(anchors, len(known)), length, True, table.device),
            Windows.of(known, known.after(anchors, len(known)), length, False, table.device),
        )  # fmt: skip

    def encoded(self, past: Tensor | np.ndarray, future: Tensor | np.ndarray) -> Candidates:
        """The same maker with vectors (R, v) instead of events around the retrieved rows (LIFT, Eq. 11)."""
        return replace(self, values=(past, future))

    def samples(self, rows: np.ndarray, items: np.ndarray) -> Samples:
        """Samples of B x C candidates, those of one target next to each other.

        rows : (B,) clicks of the log, later than the retrieval set; items : (B, C) item codes in their
        place. A sample is labelled 1 where the item is the target's own, else 0.

        Raises DataError for a row that is no click or not later than the retrieval set, an item without
        a row in the log, and shapes that do not fit.
        """
        rows, items = np.asarray(rows, np.int64), np.asarray(items, np.int64)
        self._refuse(rows, items)
        row, item = np.repeat(rows, items.shape[1]), items.ravel()
        label = (item == self.log.item[row]).astype(np.int8)
        neighbours = np.empty((len(row), self.k), np.int32)
        for at in range(0, len(row), SEARCHED_AT_ONCE):
            some = slice(at, at + SEARCHED_AT_ONCE)
            neighbours[some] = self.retriever.index.search(
                self._with_item(row[some], item[some], self.retriever.fields),
                self.k,
                time=self.log.timestamp[row[some]],
                owner=self.log.user[row[some]],
            ).rows
        table = self.table.followed_by(self._with_item(row, item, self.table.fields), label)
        places = np.arange(len(row)) + len(self.log)
        samples = Samples(
            table,
            torch.from_numpy(places).to(table.device),
            self._history(rows, items.shape[1]),
            neighbours=torch.from_numpy(neighbours).to(table.device),
            past=self.past,
            future=self.future,
        )
        # A candidate is asked about at its target's moment.
        refuse_late_contexts(self.log, replace(samples, rows=torch.from_numpy(row)))
        return samples if self.values is None else samples.encoded(past=self.values[0], future=self.values[1])

    def practice(self, protocol: TopN, most: int | None = None) -> Samples:
        """What a model for clicks trains on: clicks of the train part and negatives for each.

        most : so many clicks at the most, drawn at random by the protocol's seed; default all.

        Negatives are items of which the user has no row up to the end of the train part. (What happens
        later must not be left out: "never a negative" would give away the answers.)
        """
        known = self.log.rows(slice(0, self.split.train.stop))
        rows = self.split.rows("train")
        rows = rows[self.log.label[rows] == 1]
        if not len(rows):
            raise DataError("the train part has no click", file=self.log.name, column="label")
        if most is not None and most < len(rows):
            rows = np.sort(np.random.default_rng(protocol.seed).choice(rows, most, replace=False))
        drawn = draw_negatives(
            known, self.log.user[rows], purpose="train", count=protocol.train_negatives, seed=protocol.seed
        )
        return self.samples(rows, np.concatenate([self.log.item[rows][:, None], drawn], axis=1))

    def _with_item(self, row: np.ndarray, item: np.ndarray, fields: Sequence[str]) -> np.ndarray:
        """(n, M) codes of rows with another item."""
        columns = [
            self.codes[item, self.changes.index(f)] if f in self.changes else self.log.columns[f][row]
            for f in fields
        ]
        return np.stack(columns, axis=1)

    def _history(self, rows: np.ndarray, copies: int) -> Windows:
        """Own clicks at earlier seconds, the same windows for each candidate of a target."""
        clicked, histories = self.clicks
        bounds = own_bounds(histories, np.searchsorted(clicked, rows))
        as_rows = replace(histories, events=clicked[histories.events])
        bounds = tuple(np.repeat(part, copies) for part in bounds)
        return Windows.of(as_rows, bounds, self.length, True, self.table.device)

    def _refuse(self, rows: np.ndarray, items: np.ndarray) -> None:
        if rows.ndim != 1 or items.ndim != 2 or len(rows) != len(items) or not items.size:
            raise DataError(f"targets must be (B,), candidates (B, C), not {rows.shape} and {items.shape}")
        if rows.min() < 0 or rows.max() >= len(self.log) or (self.log.label[rows] != 1).any():
            raise DataError("every target must be a row of the log with label 1", file=self.log.name)
        missing = (items < 1) | (items >= len(self.codes))
        missing[~missing] = self.codes[items[~missing], self.changes.index("item")] == 0
        if missing.any():
            at = np.argwhere(missing)[0]
            raise DataError(
                f"item code {items[tuple(at)]} has no row in the log", row=int(at[0]) + 1, column="item"
            )


# --- ranking ----------------------------------------------------------------------------------------------


def rank_lists(model: nn.Module, lists: Samples, asked: Questions, batch: int = 2048) -> Ranks:
    """Ranks of the answers among their negatives; ``lists = maker.samples(asked.rows, asked.candidates)``."""
    scores = predict(model, lists, batch).reshape(asked.candidates.shape)
    return ranks(scores[:, 0], scores[:, 1:])


def list_score(lists: Samples, asked: Questions, k: int = 10) -> Callable[[nn.Module], float]:
    """NDCG@k among the stored negatives, for :func:`workbench.lab.training.fit`."""
    return lambda model: rank_metrics(rank_lists(model, lists, asked), (k,))[f"NDCG@{k}"]


def rank_all(model: nn.Module, maker: Candidates, asked: Questions, batch: int = 2048) -> Ranks:
    """Ranks of the answers among all items: a search and a forward pass for each question and item.

    For thousands of items ask a part of the questions, ``asked.spread(100)``, and say so.
    """
    items = np.flatnonzero(maker.codes[:, maker.changes.index("item")])
    at_once, found = max(PAIRS_AT_ONCE // len(items), 1), []
    for at in range(0, len(asked), at_once):
        some = asked.some(np.arange(at, min(at + at_once, len(asked))))
        pairs = maker.samples(some.rows, np.tile(items, (len(some), 1)))
        scores = np.full((len(some), len(maker.codes)), -np.inf)
        scores[:, items] = predict(model, pairs, batch).reshape(len(some), -1)
        found.append(full_ranks(scores, some.target, some.out))
    return joined(found)
