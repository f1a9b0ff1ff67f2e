"""Interactions: the validated table every data set becomes, and its vocabularies.

An interaction d_z = (x_z, y_z) (LIFT, Section 3) is one row: categorical fields x_z (user, item and
whatever else the source knows) as integer codes, a 0/1 label y_z, and a time. Everything downstream
(splits, histories, retrieval) relies on the order fixed here: (timestamp, user, original row).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.errors import DataError, unknown

RESERVED = ("timestamp", "label")
DAY = 86_400


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of n interactions, sorted by (timestamp, user, original row).

    Attributes
    ----------
    columns : categorical field -> (n,) int32 codes; 0 means unknown or padding, real values from 1.
        ``user`` and ``item`` are always there; ``domain`` where the source has several.
    vocabularies : field -> (v,) raw values, indexed by code; entry 0 stands for "unknown".
    timestamp : (n,) int64, seconds since 1970 (UTC), or an order index when ``clock == "order"``.
    label : (n,) int8, 0 or 1; ``label_rule`` says what a 1 means in this source.
    name : data set name as it is printed; ``note`` is a remark every result from it must carry.
    """

    columns: Mapping[str, np.ndarray]
    vocabularies: Mapping[str, np.ndarray]
    timestamp: np.ndarray
    label: np.ndarray
    name: str
    clock: str = "seconds"
    label_rule: str = "1 = clicked"
    note: str = ""
    source_row: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.timestamp)
        if n == 0:
            raise DataError(f"{self.name}: no interactions")
        for needed in ("user", "item"):
            if needed not in self.columns:
                raise DataError(f"{self.name}: the field {needed!r} is missing")
        for name, codes in {**self.columns, "label": self.label}.items():
            if codes.shape != (n,):
                raise DataError(f"{self.name}: {codes.shape} values for {n} rows", column=name)
        if self.clock not in ("seconds", "order"):
            raise unknown("clock", self.clock, ("seconds", "order"))
        # Users in code order within a second make the order a total one (with the stable row order).
        step = np.diff(self.timestamp)
        late = np.flatnonzero((step < 0) | ((step == 0) & (np.diff(self.columns["user"]) < 0)))
        if late.size:
            raise DataError(
                "rows are not sorted by (timestamp, user)",
                file=self.name,
                row=int(late[0]) + 2,
                fix="Build the table with Interactions.from_frame, which sorts",
            )

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the categorical fields, user and item first."""
        return tuple(self.columns)

    @property
    def user(self) -> np.ndarray:
        """(n,) int32 user codes."""
        return self.columns["user"]

    @property
    def item(self) -> np.ndarray:
        """(n,) int32 item codes."""
        return self.columns["item"]

    @property
    def positive(self) -> str:
        """What a label of 1 means, in a few words for a legend: ``label_rule`` up to its first remark."""
        return re.split(r"[,(;]", self.label_rule.removeprefix("1 = "))[0].strip()

    def size(self, name: str) -> int:
        """Number of codes of a field, the reserved 0 included (the rows of an embedding table)."""
        if name not in self.vocabularies:
            raise unknown("field", name, self.fields)
        return len(self.vocabularies[name])

    def codes(self, fields: Sequence[str]) -> np.ndarray:
        """(n, M) int32 codes of the named fields, contiguous, in the order given."""
        for name in fields:
            if name not in self.columns:
                raise unknown("field", name, self.fields)
        return np.stack([self.columns[name] for name in fields], axis=1)

    def value(self, name: str, code: int) -> object:
        """The raw value behind a code."""
        return self.vocabularies[name][code]

    def rows(self, keep: slice | np.ndarray) -> Interactions:
        """The table restricted to some rows (a slice, a mask or ascending row numbers).

        Vocabularies stay, so that codes mean the same in every part of a split.
        """
        return replace(
            self,
            columns={name: codes[keep] for name, codes in self.columns.items()},
            timestamp=self.timestamp[keep],
            label=self.label[keep],
            source_row=None if self.source_row is None else self.source_row[keep],
        )

    def to_frame(self) -> pd.DataFrame:
        """The table with raw values, one column a field, for looking at and for writing."""
        frame = pd.DataFrame({name: self.vocabularies[name][codes] for name, codes in self.columns.items()})
        return frame.assign(timestamp=self.timestamp, label=self.label)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any value of the table: provenance of results."""
        digest = hashlib.sha256(f"{self.clock}|{self.label_rule}".encode())
        for name in sorted(self.columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.columns[name]).data)
            digest.update("\n".join(map(str, self.vocabularies[name])).encode())
        digest.update(np.ascontiguousarray(self.timestamp).data)
        digest.update(np.ascontiguousarray(self.label).data)
        return digest.hexdigest()[:16]

    def statistics(self) -> dict[str, float]:
        """The numbers of a data set table: counts, density, click rate, days."""
        users, items = len(np.unique(self.user)), len(np.unique(self.item))
        days = float("nan")
        if self.clock == "seconds":
            days = (int(self.timestamp[-1]) - int(self.timestamp[0])) / DAY
        return {
            "interactions": len(self),
            "users": users,
            "items": items,
            "fields": len(self.fields),
            "density": len(self) / (users * items),
            "events per user": len(self) / users,
            "click rate": float(self.label.mean()),
            "days": days,
        }

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        name: str,
        clock: str = "seconds",
        label_rule: str = "1 = clicked",
        note: str = "",
        file: object = None,
        duplicates: str = "error",
    ) -> Interactions:
        """Validate a raw table, code its fields and sort it.

        Parameters
        ----------
        frame : columns ``user``, ``item``, ``timestamp``, ``label`` and any further fields. Ids may
            be integers (not negative) or strings (not empty).
        duplicates : what to do with rows equal in every column: ``"error"`` or ``"keep"`` (for
            sources that are known to repeat rows, such as logs at second resolution).

        Raises
        ------
        DataError : naming ``file``, row and column, for a missing column, an empty table, a missing
            value, a negative id, a label other than 0/1, a time that is negative, not whole, or in
            the future, and repeated rows.
        """
        where = file if file is not None else name
        for needed in ("user", "item", *RESERVED):
            if needed not in frame.columns:
                raise DataError(
                    f"the column is missing; the table has {', '.join(map(str, frame.columns))}",
                    file=where,
                    column=needed,
                )
        if len(frame) == 0:
            raise DataError("no rows", file=where, fix="The file is empty or every row was a header")
        if duplicates not in ("error", "keep"):
            raise unknown("rule for duplicates", duplicates, ("error", "keep"))
        timestamp = _timestamps(frame["timestamp"], clock, where)
        label = _labels(frame["label"], where)
        fields = ["user", "item"] + [c for c in frame.columns if c not in ("user", "item", *RESERVED)]
        coded = {c: _coded(frame[c], c, where) for c in fields}
        columns = {c: codes for c, (codes, _) in coded.items()}
        if duplicates == "error":
            _refuse_duplicates(pd.DataFrame({**columns, "timestamp": timestamp, "label": label}), where)
        order = np.lexsort((columns["user"], timestamp))  # stable: original row breaks what is left
        return cls(
            columns={c: codes[order] for c, codes in columns.items()},
            vocabularies={c: values for c, (_, values) in coded.items()},
            timestamp=timestamp[order],
            label=label[order],
            name=name,
            clock=clock,
            label_rule=label_rule,
            note=note,
            source_row=order,
        )


def _first(bad: np.ndarray) -> int:
    """The 1-based number of the first offending row."""
    return int(np.flatnonzero(bad)[0]) + 1


def _coded(values: pd.Series, name: str, where: object) -> tuple[np.ndarray, np.ndarray]:
    """Codes from 1 in the order of the sorted raw values, and the vocabulary with 0 = unknown."""
    _refuse_missing(values, name, where)
    if isinstance(values.dtype, pd.CategoricalDtype):  # its own order may be that of first appearance
        values = values.cat.reorder_categories(sorted(values.cat.categories))
    codes, uniques = pd.factorize(values, sort=True)
    raw = np.asarray(uniques)
    kind = pd.api.types.infer_dtype(raw, skipna=False)
    if kind not in ("integer", "string"):
        raise DataError(f"ids must be whole numbers or strings, not {kind}", file=where, column=name)
    if kind == "integer" and raw.dtype.kind == "O":
        raw = raw.astype(np.int64)
    wrong = raw == "" if kind == "string" else raw < 0
    if wrong.any():
        what = "the id is empty" if kind == "string" else "the id is negative"
        raise DataError(what, file=where, row=_first(np.isin(codes, np.flatnonzero(wrong))), column=name)
    vocabulary = np.concatenate((np.array(["unknown" if kind == "string" else 0], raw.dtype), raw))
    return (codes + 1).astype(np.int32), vocabulary


def _refuse_missing(values: pd.Series, name: str, where: object) -> None:
    missing = values.isna().to_numpy()
    if missing.any():
        raise DataError("a value is missing", file=where, row=_first(missing), column=name)


def _timestamps(values: pd.Series, clock: str, where: object) -> np.ndarray:
    _refuse_missing(values, "timestamp", where)
    if not pd.api.types.is_integer_dtype(values):
        raise DataError(
            f"times must be whole {'seconds' if clock == 'seconds' else 'numbers'}, not {values.dtype}",
            file=where,
            row=1,
            column="timestamp",
        )
    stamps = values.to_numpy(dtype=np.int64)
    if (stamps < 0).any():
        raise DataError("the time is negative", file=where, row=_first(stamps < 0), column="timestamp")
    if clock == "seconds":
        future = stamps > time.time() + DAY
        if future.any():
            raise DataError(
                f"the time {stamps[future][0]} lies in the future",
                file=where,
                row=_first(future),
                column="timestamp",
                fix="Times are seconds since 1970; divide milliseconds by 1000",
            )
    return stamps


def _labels(values: pd.Series, where: object) -> np.ndarray:
    wrong = ~values.isin((0, 1)).to_numpy()
    if wrong.any():
        raise DataError(
            f"the label is {values[wrong].tolist()[0]!r}, not 0 or 1",
            file=where,
            row=_first(wrong),
            column="label",
        )
    return values.to_numpy(dtype=np.int8)


def _refuse_duplicates(coded: pd.DataFrame, where: object) -> None:
    repeated = coded.duplicated().to_numpy()
    if repeated.any():
        raise DataError(
            f"the row repeats an earlier one in every column ({int(repeated.sum())} such rows)",
            file=where,
            row=_first(repeated),
            fix='Remove the copies, or load with duplicates="keep" if the source repeats rows',
        )
