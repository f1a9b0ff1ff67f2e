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
_LARGEST = np.iinfo(np.int64).max
_HALF = re.compile(r"[\ud800-\udfff]")  # a surrogate by itself: no file can hold it


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of n interactions, sorted by (timestamp, user, original row).

    Attributes
    ----------
    columns : categorical field -> (n,) int32 codes; 0 means unknown or padding, real values from 1.
        ``user`` and ``item`` are always there; ``domain`` where the source has several.
    vocabularies : field -> (v,) raw values (whole numbers or strings), indexed by code. Entry 0 only
        fills the place of code 0 ("unknown" or 0, so that the array keeps its type): a source may hold
        the same word or number as a real value, with a code from 1. See :meth:`value`.
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
        for name, codes in self.columns.items():
            words = self.vocabularies.get(name)
            if _kind(words) is None:
                what = "the vocabulary must be an array of whole numbers or of strings"
                raise DataError(what, file=self.name, column=name)
            _refuse_outside(codes, n, np.int32, len(words) - 1, name, self.name)
        _refuse_outside(self.timestamp, n, np.int64, _LARGEST, "timestamp", self.name)
        _refuse_outside(self.label, n, np.int8, 1, "label", self.name)
        if self.clock not in ("seconds", "order"):
            raise unknown("clock", self.clock, ("seconds", "order"))
        # Users in code order within a second make the order a total one (with the stable row order).
        step = np.diff(self.timestamp)
        late = np.flatnonzero((step < 0) | ((step == 0) & (np.diff(self.columns["user"]) < 0)))
        if late.size:
            fix = "Build the table with Interactions.from_frame, which sorts"
            what = "rows are not sorted by (timestamp, user)"
            raise DataError(what, file=self.name, row=int(late[0]) + 2, fix=fix)

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
        """The raw value behind a code; None for code 0, which no real value has."""
        if not 0 <= code < self.size(name):
            raise DataError(f"there is no code {code}; codes go to {self.size(name) - 1}", column=name)
        return self.vocabularies[name][code] if code else None

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
        """The table with raw values, one column a field, for looking at and for writing.

        Code 0 becomes None, a missing value, in a column of objects.
        """
        frame = {}
        for name, codes in self.columns.items():
            values = self.vocabularies[name][codes]
            frame[name] = values if codes.all() else np.where(codes == 0, None, values)
        return pd.DataFrame({**frame, "timestamp": self.timestamp, "label": self.label})

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any value of the table: provenance of results.

        Everything goes in with its length and kind, so that no two tables give the same bytes.
        """
        parts = [self.clock, self.label_rule, self.timestamp, self.label]
        for name in sorted(self.columns):
            words = self.vocabularies[name]
            if _kind(words) == "integer":
                whole = words.astype(np.uint64 if words.max() > _LARGEST else np.int64)
                parts += [name, self.columns[name], whole.dtype.str, whole]
            else:
                lengths = np.array([len(word) for word in words])
                parts += [name, self.columns[name], "text", lengths, "".join(words)]
        digest = hashlib.sha256()
        for part in parts:
            text = isinstance(part, str)
            data = memoryview(part.encode("utf-8", "surrogatepass") if text else np.ascontiguousarray(part))
            digest.update(data.nbytes.to_bytes(8))
            digest.update(data)
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
            be integers (not negative, below 2**64) or strings (not blank), one kind a column.
            Times are whole seconds or places, labels numbers or booleans.
        duplicates : what to do with rows equal in every column: ``"error"`` or ``"keep"`` (for
            sources that are known to repeat rows, such as logs at second resolution).

        Raises
        ------
        DataError : naming ``file``, row and column, for a column that is missing, there twice or not
            named by a string, an empty table, a missing value, an id of another type, negative or
            blank, a label other than 0/1, a time that is negative, not whole, or in the future, and
            repeated rows.
        """
        where = file if file is not None else name
        _refuse_gaps(frame, where)
        if duplicates not in ("error", "keep"):
            raise unknown("rule for duplicates", duplicates, ("error", "keep"))
        timestamp = _timestamps(frame["timestamp"], clock, where)
        label = _labels(frame["label"], where)
        fields = ["user", "item"] + [c for c in frame.columns if c not in ("user", "item", *RESERVED)]
        coded = {c: _coded(frame[c], where) for c in fields}
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


def _refuse(wrong: object, values: pd.Series, what: str, where: object, fix: str | None = None) -> None:
    """Raise for the first row of a column that is wrong, if there is one; {} in ``what`` is its value."""
    rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
    if rows.size:
        what = what.format(values.iloc[rows[:1]].tolist()[0])
        raise DataError(what, file=where, row=int(rows[0]) + 1, column=values.name, fix=fix)


def _refuse_outside(values: object, n: int, dtype: type, largest: int, column: str, where: object) -> None:
    """Demand what the kernels downstream rely on: (n,) numbers of this dtype from 0 to ``largest``."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.shape != (n,):
        found = f"{values.shape} {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        what = f"must be an array of {n} {np.dtype(dtype)} values, not {found}"
        raise DataError(what, file=where, column=column)
    what = f"{{}} is not between 0 and {largest}"
    _refuse((values < 0) | (values > largest), pd.Series(values, name=column, copy=False), what, where)


def _refuse_gaps(frame: pd.DataFrame, where: object) -> None:
    """Column names first, since everything else needs them; then rows and values that are not there."""
    names = frame.columns
    if odd := [name for name in names if not isinstance(name, str)]:
        raise DataError(f"column names must be strings, not {odd[0]!r}", file=where, fix="Rename the columns")
    if not names.is_unique:
        raise DataError("two columns have this name", file=where, column=names[names.duplicated()][0])
    for needed in ("user", "item", *RESERVED):
        if needed not in names:
            what = f"the column is missing; the table has {', '.join(names)}"
            raise DataError(what, file=where, column=needed)
    if len(frame) == 0:
        raise DataError("no rows", file=where, fix="The file is empty or every row was a header")
    for name in names:
        _refuse(frame[name].isna(), frame[name], "a value is missing", where)


def _coded(values: pd.Series, where: object) -> tuple[np.ndarray, np.ndarray]:
    """Codes from 1 in the order of the sorted raw values, and the vocabulary with 0 = unknown."""
    try:
        codes, uniques = pd.factorize(values)
    except (TypeError, ValueError, NotImplementedError):  # lists and the like
        raise _not_ids(values, where) from None
    raw = np.asarray(uniques)
    # Objects are looked at before coding, which takes True and 1.0 for 1.
    kind = _kind(values.to_numpy() if values.dtype == object else raw)
    if kind == "integer":
        faults = {"is negative": raw < 0, "does not fit in 64 bits": raw >= 2**64}
    elif kind == "string":
        faults = {
            "is empty or only white space": [not word.strip() for word in raw],
            "is not valid text": [not word.isascii() and bool(_HALF.search(word)) for word in raw],
        }
    else:
        raise _not_ids(values, where)
    for what, wrong in faults.items():
        _refuse(np.asarray(wrong)[codes], values, f"the id {what}", where)
    if kind == "integer":
        raw = raw.astype(np.uint64 if raw.max() > _LARGEST else np.int64)
    order = (pd.array(raw, dtype="str") if kind == "string" else raw).argsort()  # Arrow sorts words faster
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(1, len(order) + 1, dtype=np.int32)
    placeholder = np.array(["unknown" if kind == "string" else 0], raw.dtype)
    return rank[codes], np.concatenate((placeholder, raw[order]))


def _kind(values: object) -> str | None:
    """``"integer"`` or ``"string"`` for an array of nothing else, or None."""
    kind = pd.api.types.infer_dtype(values, skipna=False) if isinstance(values, np.ndarray) else None
    return kind if kind in ("integer", "string") else None


def _not_ids(values: pd.Series, where: object) -> DataError:
    """The error for the first row whose id is no whole number or string, or not what row 1 holds."""

    def kind(v: object) -> str:
        return "int" if pd.api.types.is_integer(v) else "str" if isinstance(v, str) else type(v).__name__

    allowed = {"int", "str"} & {kind(values.iloc[0])}
    others = ((row, k) for row, k in enumerate(map(kind, values), start=1) if k not in allowed)
    row, found = next(others, (1, values.dtype))
    what = f"the id is of type {found}; ids must be whole numbers throughout or strings throughout"
    return DataError(what, file=where, row=row, column=values.name)


def _timestamps(values: pd.Series, clock: str, where: object) -> np.ndarray:
    if not pd.api.types.is_integer_dtype(values):
        unit, fix = "seconds" if clock == "seconds" else "numbers", "Give a column of integers"
        if pd.api.types.is_datetime64_any_dtype(values):
            fix = 'For seconds since 1970 write frame["timestamp"].dt.as_unit("s").astype("int64")'
        _refuse([True], values, f"times must be whole {unit}, not {values.dtype}", where, fix)
    _refuse(values < 0, values, "the time {} is negative", where)
    if clock == "seconds":
        fix = "Times are seconds since 1970; divide milliseconds by 1000"
        _refuse(values > int(time.time()) + DAY, values, "the time {} lies in the future", where, fix)
    _refuse(values > _LARGEST, values, "the time {} does not fit in int64", where)
    return values.to_numpy(dtype=np.int64)


def _labels(values: pd.Series, where: object) -> np.ndarray:
    _refuse(~values.isin((0, 1)), values, "the label is {!r}, not 0 or 1", where)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_complex_dtype(values):
        what, fix = f"labels must be numbers or booleans, not {values.dtype}", 'Write astype("int8")'
        _refuse([True], values, what, where, fix)
    return values.to_numpy(dtype=np.int8)


def _refuse_duplicates(coded: pd.DataFrame, where: object) -> None:
    repeated = coded.duplicated().to_numpy()
    if repeated.any():
        what = f"the row repeats an earlier one in every column ({int(repeated.sum())} such rows)"
        fix = 'Remove the copies, or load with duplicates="keep" if the source repeats rows'
        raise DataError(what, file=where, row=int(repeated.argmax()) + 1, fix=fix)
