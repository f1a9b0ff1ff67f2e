"""Delimited text, read fast and blamed exactly.

The fast way is Arrow's streaming reader: a file of 100 million lines passes through blocks of a few
megabytes into 32-bit numbers and dictionary codes, and never exists as Python objects. It is strict
but says little, so when it refuses a file, or a check over whole columns fails, the file is read once
more line by line to say which line and which column is wrong.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv

from workbench.errors import DataError

BLOCK = 1 << 24  # bytes parsed at a time; a line must fit into one block
AGAIN = "Download it again, or look at that line in an editor"


@dataclass(frozen=True)
class Kind:
    """What a column may hold: its Arrow type, and the values allowed in it."""

    what: str
    arrow: pa.DataType
    low: float | None = None
    high: float | None = None
    allowed: frozenset[str] = frozenset()

    def fault(self, text: str) -> str | None:
        """What is wrong with one value, or None."""
        if pa.types.is_dictionary(self.arrow):
            known = not self.allowed or text in self.allowed
            return None if known else f"{text!r} is not one of {', '.join(sorted(self.allowed))}"
        if not _PATTERNS[self.what].fullmatch(text.strip()):
            return f"{text!r} is not {self.what}"
        if pa.types.is_timestamp(self.arrow):
            return _not_a_moment(text.strip())
        number = float(text)
        if self.low is not None and number < self.low:
            return "the id is negative" if self is ID else f"{text} is below {self.low:g}"
        if self.high is not None and number > self.high:
            return f"{text} is above {self.high:g}"
        return None

    def holds(self, column: pa.Array) -> bool:
        """Whether every value of a parsed column is allowed (the fast form of ``fault``)."""
        if column.null_count:
            return False
        if self.allowed:
            return set(column.dictionary.to_pylist()) <= self.allowed
        if self.low is None or self.high is None:
            return True
        numbers = column.to_numpy(zero_copy_only=False)
        return bool(((numbers >= self.low) & (numbers <= self.high)).all())


_WORDS = pa.dictionary(pa.int32(), pa.string())
_PATTERNS = {
    "a whole number": re.compile(r"-?[0-9]{1,18}"),
    "a decimal number": re.compile(r"-?[0-9]+(\.[0-9]*)?"),
    "a moment like 2009-05-04T23:08:57Z": re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z"),
}
ID = Kind("a whole number", pa.int32(), 0, 2**31 - 1)
WHOLE = Kind("a whole number", pa.int64())
RATING = Kind("a whole number", pa.int8(), 1, 5)
FLAG = Kind("a whole number", pa.int8(), 0, 1)
STARS = Kind("a decimal number", pa.float32(), 0.5, 5)
MOMENT = Kind("a moment like 2009-05-04T23:08:57Z", pa.timestamp("s", "UTC"))
TEXT = Kind("text", _WORDS)


def one_of(*values: str) -> Kind:
    """Text from a short list."""
    return Kind("text", _WORDS, allowed=frozenset(values))


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: its columns in order under their documented names.

    header : the first line holds these names. ends_with_newline : the published file does, so a copy
    that does not was cut off. skip : columns that are counted but not read.
    """

    columns: Mapping[str, Kind]
    separator: str = ","
    header: bool = False
    ends_with_newline: bool = False
    skip: tuple[str, ...] = ()
    encoding: str = "utf-8"

    def line(self, row: int) -> int:
        """The line in the file of a 1-based row of the table."""
        return row + self.header


def read_table(path: Path, layout: Layout, block_size: int = BLOCK) -> pd.DataFrame:
    """Read a delimited file.

    Whole numbers come as int8, int32 or int64, text as categoricals, moments as UTC datetimes.

    Raises DataError naming file, line and column: a missing or empty file, a web page saved under
    the file's name, a wrong header, a wrong number of columns, a value of the wrong kind, text that
    is not in the documented encoding, a file cut off in its last line.
    """
    refuse_non_table(path, layout)
    batches = list(_batches(path, layout, block_size))
    if not batches:
        raise DataError("no rows after the header", file=path, row=1, fix=AGAIN)
    table = pa.Table.from_batches(batches)
    del batches
    frame = table.to_pandas(split_blocks=True, self_destruct=True)  # joins the blocks' dictionaries
    _refuse_cut(path, layout)
    return frame


def stream_table(path: Path, layout: Layout, block_size: int = BLOCK) -> Iterator[pd.DataFrame]:
    """The same, block by block, for files that do not fit into memory."""
    refuse_non_table(path, layout)
    for batch in _batches(path, layout, block_size):
        yield batch.to_pandas()
    _refuse_cut(path, layout)


def read_lines(path: Path, layout: Layout) -> list[list[str]]:
    """A small file as split lines (text in any encoding), each checked like the slow pass does."""
    refuse_non_table(path, layout)
    rows = []
    for number, raw in _numbered(path):
        if number == 1 and layout.header:
            continue
        if (error := _fault(raw, layout, path, number)) is not None:
            raise error
        rows.append(raw.decode(layout.encoding).split(layout.separator))
    _refuse_cut(path, layout)
    if not rows:
        raise DataError("no rows after the header", file=path, row=1, fix=AGAIN)
    return rows


def refuse_non_table(path: Path, layout: Layout | None = None) -> None:
    """Raise DataError for a file that is missing, empty, a web page, or under the wrong header."""
    if not path.is_file():
        raise DataError("the file is missing", file=path, fix="Put it there or download it again")
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if not start.strip():
        raise DataError("the file is empty", file=path, row=1, fix=AGAIN)
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<":
        raise DataError(
            "this is a web page, not data",
            file=path,
            row=1,
            fix="The server answered with a page, perhaps a login: download the file again",
        )
    if layout is not None and layout.header:
        first = start.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0]
        found = [name.strip() for name in first.decode(layout.encoding, "replace").split(layout.separator)]
        if found != list(layout.columns):
            documented = layout.separator.join(layout.columns)
            raise DataError(
                f"the header is not {documented!r}", file=path, row=1, fix="Take the original file"
            )


def _batches(path: Path, layout: Layout, block_size: int) -> Iterator[pa.RecordBatch]:
    """Arrow record batches whose values were all checked; any fault is blamed on its line."""
    kinds = {name: kind for name, kind in layout.columns.items() if name not in layout.skip}
    try:
        with pv.open_csv(path, *_options(layout, kinds, block_size)) as reader:
            for batch in reader:
                _check(batch, kinds)
                yield batch.select(list(kinds))
        if not any(kind is TEXT for kind in kinds.values()):
            _refuse_hexadecimal(path, layout)
    except (pa.ArrowInvalid, _Refused) as error:
        raise _blame(path, layout, error) from None


class _Refused(Exception):
    """A whole-column check failed somewhere in a block."""


def _options(
    layout: Layout, kinds: Mapping[str, Kind], block_size: int
) -> tuple[pv.ReadOptions, pv.ParseOptions, pv.ConvertOptions]:
    # Arrow splits at one character. "::" is read as ":" with columns between that must be empty,
    # which the null type enforces.
    names, types = [], {name: kind.arrow for name, kind in kinds.items()}
    for position, name in enumerate(layout.columns):
        for gap in range(len(layout.separator) - 1 if position else 0):
            names.append(f"gap {position} {gap}")
            types[names[-1]] = pa.null()
        names.append(name)
    return (
        pv.ReadOptions(
            column_names=names, skip_rows=int(layout.header), block_size=block_size, use_threads=True
        ),
        pv.ParseOptions(delimiter=layout.separator[0], quote_char=False, ignore_empty_lines=False),
        pv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=False,
            timestamp_parsers=[pv.ISO8601],
        ),
    )


def _check(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> None:
    for name, kind in kinds.items():
        if not kind.holds(batch.column(name)):
            raise _Refused(f"an empty or disallowed value in column {name!r}")


def _refuse_hexadecimal(path: Path, layout: Layout) -> None:
    # Arrow reads 0x1F as 31. No table of plain numbers holds an x, so one search settles it.
    with path.open("rb") as file:
        if layout.header:
            file.readline()
        while chunk := file.read(BLOCK):
            if b"x" in chunk or b"X" in chunk:
                raise _Refused("a hexadecimal number")


def _refuse_cut(path: Path, layout: Layout) -> None:
    if not layout.ends_with_newline:
        return
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            raise DataError(
                "the last line does not end: the file was cut off", file=path, row=_lines(path), fix=AGAIN
            )


def _lines(path: Path) -> int:
    return sum(1 for _ in _numbered(path))


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their 1-based numbers, without line ends and byte order mark."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.rstrip(b"\r\n")
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _blame(path: Path, layout: Layout, reason: Exception) -> DataError:
    """The error for the first faulty line of a file that the fast reader refused."""
    for number, raw in _numbered(path):
        if number == 1 and layout.header:
            continue
        if (error := _fault(raw, layout, path, number)) is not None:
            return error
    return DataError(f"the file cannot be read ({reason})", file=path, fix=AGAIN)


def _fault(raw: bytes, layout: Layout, path: Path, row: int) -> DataError | None:
    """What is wrong with one line, or None."""
    try:
        text = raw.decode(layout.encoding)
    except UnicodeDecodeError:
        return DataError(f"the line is not {layout.encoding} text", file=path, row=row, fix=AGAIN)
    if layout.encoding == "latin-1" and not raw.isascii() and _is_utf8(raw):
        return DataError(
            "the line is UTF-8, but the file is published as Latin-1",
            file=path,
            row=row,
            fix="Take the original file, not a converted copy",
        )
    if not text.strip():
        return DataError("the line is empty", file=path, row=row, fix=AGAIN)
    parts, wanted = text.split(layout.separator), len(layout.columns)
    if len(parts) != wanted:
        return DataError(f"{len(parts)} columns instead of {wanted}", file=path, row=row, fix=AGAIN)
    for part, (name, kind) in zip(parts, layout.columns.items(), strict=True):
        if name not in layout.skip and (what := kind.fault(part)) is not None:
            return DataError(what, file=path, row=row, column=name, fix=AGAIN)
    return None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _not_a_moment(text: str) -> str | None:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return f"{text!r} is not a date and time that exists"
    return None


def first_row(bad: np.ndarray) -> int:
    """The 1-based number of the first offending row."""
    return int(np.flatnonzero(bad)[0]) + 1
