"""What CTR models train on: for every target of a part, the row numbers of what may be known of it.

LIFT, Sections 3 and 4.3. Contexts stay row numbers, or ranges of them, until a batch is asked for; the
search for neighbours runs once a split and is stored, so that training never waits for it.

A target's own history may lie anywhere before the target (ambiguity L14); what surrounds a neighbour
ends with the retrieval set (L15). Both are checked for every sample when the samples are made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, refuse_leak
from workbench.errors import ConfigError, DataError, unknown, whole
from workbench.lab.own_search import SEARCHES, best_matching, own_bounds, same_category
from workbench.lab.retrieved import retrieved_rows
from workbench.lab.tensors import Table, Windows
from workbench.methods.layers import Events, Sample

NEEDS = frozenset(Sample._fields) - {"target"}
TARGET_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Samples:
    """One part of a split, ready to be cut into batches.

    Attributes
    ----------
    table : where the events come from.
    rows : (n,) int64 row numbers of the targets.
    history : windows (n, L) of own events strictly before each target.
    found : (n, S) rows found in the own long history, best first, -1 for none.
    neighbours : (n, K) retrieved rows, best first, -1 for none.
    past, future : windows (R, L) around every row of the retrieval set; shared by all parts. What
        surrounds the neighbours of sample i is ``past[neighbours[i]]``.
    own, encoded_past, encoded_future : (n, v), (R, v), (R, v) vectors that replace the events, see
        :meth:`encoded`.
    """

    table: Table
    rows: Tensor
    history: Windows
    found: Tensor | None = None
    neighbours: Tensor | None = None
    past: Windows | None = None
    future: Windows | None = None
    own: Tensor | np.ndarray | None = None
    encoded_past: Tensor | np.ndarray | None = None
    encoded_future: Tensor | np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def label(self) -> Tensor:
        """(n,) int8 labels y of the targets."""
        return self.table.label[self.rows]

    @property
    def has(self) -> frozenset[str]:
        """The parts of a :class:`Sample` that can be asked for."""
        return frozenset(name for name in NEEDS if getattr(self, name) is not None)

    def some(self, index: np.ndarray) -> Samples:
        """Only the targets at these positions; what surrounds the retrieval set's rows stays whole."""
        index = np.asarray(index)  # fits arrays, and tensors on any device
        history = replace(self.history, start=self.history.start[index], stop=self.history.stop[index])
        lines = {k: v[index] for k in ("found", "neighbours", "own") if (v := getattr(self, k)) is not None}
        return replace(self, rows=self.rows[index], history=history, **lines)

    def resized(self, length: int) -> Samples:
        """The same samples with windows of another L: no search, no copy.

        Raises ConfigError for samples that are :meth:`encoded`: their vectors are of the old windows.
        """
        whole("L", length)
        if any(values is not None for values in (self.own, self.encoded_past, self.encoded_future)):
            raise ConfigError(
                f"these samples hold vectors of windows of {self.history.length} events: choose L before "
                "encoding them"
            )
        windows = {name: getattr(self, name) for name in ("history", "past", "future")}
        return replace(self, **{k: w and replace(w, length=length) for k, w in windows.items()})

    def encoded(
        self,
        own: Tensor | np.ndarray | None = None,
        past: Tensor | np.ndarray | None = None,
        future: Tensor | np.ndarray | None = None,
    ) -> Samples:
        """The same samples with vectors instead of events (LIFT, Eq. 11: values encoded beforehand).

        own : (n, v) one vector a target; past, future : (R, v) one a row of the retrieval set. Tensors,
        or arrays, which may be memory-mapped: only what a batch needs is read.

        Raises ConfigError for an array of another number of lines.
        """
        sizes = {"own": len(self), "past": len(self.past or ()), "future": len(self.future or ())}
        given = {k: v for k, v in {"own": own, "past": past, "future": future}.items() if v is not None}
        for name, values in given.items():
            if values.ndim != 2 or len(values) != sizes[name]:
                raise ConfigError(
                    f"{name} must be ({sizes[name]}, v) encoded values, not {tuple(values.shape)}"
                )
        return replace(self, **{k if k == "own" else f"encoded_{k}": v for k, v in given.items()})

    def batch(self, index: Tensor, needs: Collection[str] = ()) -> Sample:
        """The targets at some positions 0 .. n-1, with the parts that ``needs`` names and no others.

        index : (B,) int64. Raises ConfigError for a part nobody knows or these samples do not have.
        """
        for name in needs:
            if name not in self.has:
                raise unknown("part of these samples", name, self.has)
        index = index.to(self.table.device)
        parts: dict[str, Events | Tensor] = {}
        if "history" in needs:
            parts["history"] = self._values(self.own, self.history, index)
        if "found" in needs:
            parts["found"] = self.table.events(self.found[index])
        if not {"neighbours", "past", "future"}.isdisjoint(needs):
            rows = self.neighbours.index_select(0, index).long()  # (B, K)
            if "neighbours" in needs:
                parts["neighbours"] = self.table.events(rows)
            if "past" in needs:
                parts["past"] = self._values(self.encoded_past, self.past, rows)
            if "future" in needs:
                parts["future"] = self._values(self.encoded_future, self.future, rows)
        return Sample(self.table.events(self.rows[index]), **parts)

    def _values(
        self, encoded: Tensor | np.ndarray | None, windows: Windows, anchors: Tensor
    ) -> Events | Tensor:
        """Encoded values (..., v) of some anchors, zero where there is none, else the windows' events."""
        if encoded is None:
            return self.table.events(windows[anchors])
        if isinstance(encoded, Tensor):
            places = anchors.to(encoded.device).clamp(min=0)
            values = encoded.index_select(0, places.flatten()).view(*anchors.shape, -1)
        else:
            values = torch.from_numpy(encoded.take(anchors.cpu().numpy(), axis=0))  # for -1 the last line
        values, none = values.to(self.table.device, torch.float32), anchors < 0
        return values.masked_fill_(none.unsqueeze(-1), 0.0) if none.any() else values


def prepare(
    log: Interactions,
    split: TimeSplit,
    k: int = 10,
    length: int = 20,
    *,
    found: int | None = None,
    search: str = "category",
    parts: Sequence[str] = TARGET_PARTS,
    table: Table | None = None,
    fields: Sequence[str] | None = None,
    idf: str = "clipped",
    same_user: bool = False,
    freeze: bool = False,
    cache: Path | None = None,
) -> dict[str, Samples]:
    """Samples of some parts of a split: own history, retrieved neighbours and what surrounds them.

    Parameters
    ----------
    k, length : K and L.
    found : S, for models that search in the own long history; ``search`` says how: "category" (SIM) or
        "bm25" (UBR), see :mod:`workbench.lab.own_search`.
    table : the log as tensors, with the fields a model reads; default all of them, on the CPU.
    fields, idf, same_user : of the retriever, see :class:`workbench.lab.contexts.Retriever`.
    freeze : own histories end where the part begins, instead of just before each target (L14).
    cache : folder for the retrieved rows, see :func:`workbench.lab.retrieved.retrieved_rows`.

    Before any work, raises ConfigError for a K that is not from 1 to the rows of the retrieval set, an
    L or S below 1, an unknown field, part, search or IDF rule, and DataError for a part without rows or
    with labels of one class only. Raises DataError for a split that would let a context reach its query.
    """
    whole("L", length)
    _refuse_own_search(found, search)
    rows = {part: split.rows(part) for part in parts}
    for part, targets in rows.items():
        if part == "retrieval":
            raise ConfigError("rows of the retrieval set cannot look themselves up; see targets_only")
        _refuse_one_class(log, targets, part)
    neighbours = retrieved_rows(
        log, split, parts, k, fields=fields, idf=idf, same_user=same_user, folder=cache
    )
    table = Table(log) if table is None else table
    known = Histories.of(log, stop=split.retrieval.stop)
    anchors = np.arange(len(known))
    past = Windows.of(known, known.before(anchors, len(known)), length, True, table.device)
    future = Windows.of(known, known.after(anchors, len(known)), length, False, table.device)
    histories = Histories.of(log)
    result = {}
    for part, targets in rows.items():
        own = targets_only(
            log, targets, length, found=found, search=search, counted=len(known), table=table,
            until=int(targets[0]) if freeze else None, histories=histories,
        )  # fmt: skip
        result[part] = replace(own, neighbours=_tensor(neighbours[part], table), past=past, future=future)
        refuse_late_contexts(log, result[part])
    return result


def targets_only(
    log: Interactions,
    rows: np.ndarray,
    length: int = 20,
    *,
    found: int | None = None,
    search: str = "category",
    counted: int | None = None,
    table: Table | None = None,
    until: int | None = None,
    histories: Histories | None = None,
) -> Samples:
    """Samples of any rows of a log without neighbours: for models that retrieve nothing from others.

    Those may train on the retrieval and the train part alike.

    rows : (n,) row numbers; ``counted``: search "bm25" counts values among so many first rows of the log
    (default: those before the first target; the retrieval set, where targets are in it); ``until``: own
    histories end at this row; ``histories``: of the whole log, if they are at hand. The rest is as in
    :func:`prepare`.
    """
    whole("L", length)
    _refuse_own_search(found, search)
    rows = np.asarray(rows, dtype=np.int64)
    _refuse_one_class(log, rows, "asked-for")
    table = Table(log) if table is None else table
    histories = Histories.of(log) if histories is None else histories
    own = Windows.of(histories, own_bounds(histories, rows, until), length, True, table.device)
    samples = Samples(table, torch.from_numpy(rows).to(table.device), own)
    if found is not None and search == "category":
        samples = replace(samples, found=_tensor(same_category(log, rows, found, until), table))
    elif found is not None:
        counted = int(rows.min()) if counted is None else counted
        best = best_matching(log, rows, found, counted, until=until, histories=histories)
        samples = replace(samples, found=_tensor(best, table))
    refuse_late_contexts(log, samples)
    return samples


def refuse_late_contexts(log: Interactions, samples: Samples) -> None:
    """Raise DataError if anything in the samples is not strictly earlier than its target.

    For windows of any length, and for what surrounds *any* row of the retrieval set, not only the
    neighbours found so far.
    """
    query = log.timestamp[samples.rows.cpu().numpy()]

    def check(rows: Tensor, times: np.ndarray, what: str) -> None:
        rows = rows.cpu().numpy()
        refuse_leak(np.where(rows >= 0, log.timestamp[rows], np.iinfo(np.int64).min), times, what)

    check(samples.history.latest(), query, "own event")
    if samples.found is not None:
        check(samples.found, query, "found event")
    if samples.neighbours is None:
        return
    check(samples.neighbours, query, "neighbour")
    end = len(samples.past)
    first = query.min(keepdims=True)
    for name in ("past", "future"):
        latest = getattr(samples, name).latest().max().reshape(1)
        if latest >= end:
            raise DataError(
                f"the {name} of a neighbour reaches row {int(latest)}, beyond the retrieval set's {end} rows"
            )
        check(latest, first, f"{name} of a neighbour")


def _tensor(rows: np.ndarray, table: Table) -> Tensor:
    """Row numbers on the table's device, in 32 bits where they fit."""
    small = np.int32 if len(table) < 2**31 else np.int64
    return torch.from_numpy(rows.astype(small)).to(table.device)


def _refuse_own_search(found: int | None, search: str) -> None:
    if search not in SEARCHES:
        raise unknown("search in the own history", search, SEARCHES)
    if found is not None:
        whole("S, the number of found events,", found)


def _refuse_one_class(log: Interactions, rows: np.ndarray, part: str) -> None:
    if len(rows) == 0:
        raise DataError(f"the {part} part has no rows", file=log.name, fix="Leave it out of parts")
    first = log.label[rows[0]]
    if (log.label[rows] == first).all():
        raise DataError(
            f"all {len(rows)} labels of the {part} part are {first}: there is nothing to predict",
            file=log.name,
            column="label",
        )
