"""Sequence files: one user a line, events oldest first, with or without times and domains."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.parsers import Parser, Raw
from workbench.data.tables import AGAIN, refuse_non_table
from workbench.errors import DataError


def sequences(name: str, times: str | None = None) -> Parser:
    """The parser of "user item item ..." files, one user a line, oldest first (S3-Rec's format).

    Without ``times`` the clock is the position in the user's sequence. ``times`` names a file
    "user t t ...", aligned with the first, for the users whose moments are known; the others are
    left out, and the note counts them.
    """

    def parse(folder: Path) -> Raw:
        file = folder / name
        events, lines = _sequence_file(file)
        total, note = sum(map(len, events.values())), ""
        if times is None:
            stamps = {user: range(len(items)) for user, items in events.items()}
        else:
            file = folder / times  # what can still be wrong is wrong there
            stamps, lines = _aligned_times(file, events)
            absent = len(events) - len(stamps)
            note = f"{absent} of {len(events)} users have no timestamps and are left out" if absent else ""
        return _flat(stamps, events, lines, file, total, note)

    return parse


def _flat(
    stamps: dict[int, Sequence[int]],
    events: dict[int, list[int]],
    lines: dict[int, int],
    file: Path,
    total: int,
    note: str,
) -> Raw:
    """One row per event, in file order, of the users that have stamps."""
    lengths = [len(stamps[user]) for user in stamps]
    line_of_row = np.repeat([lines[user] for user in stamps], lengths)
    frame = pd.DataFrame(
        {
            "user": np.repeat(np.fromiter(stamps, np.int64), lengths),
            "item": np.concatenate([events[user] for user in stamps]),
            "timestamp": np.concatenate([np.asarray(stamps[user]) for user in stamps]),
            "label": np.ones(sum(lengths), np.int8),
        }
    )
    return Raw(frame, file, total, lambda row: int(line_of_row[row - 1]), note)


def _sequence_file(path: Path) -> tuple[dict[int, list[int]], dict[int, int]]:
    """user -> numbers, and user -> line, of a file "user number number ..."."""
    numbers: dict[int, list[int]] = {}
    lines: dict[int, int] = {}
    for line, raw in _lines(path):
        parts = raw.split()
        if (odd := next((part for part in parts if not _is_number(part)), None)) is not None:
            raise DataError(_not_a_number(odd), file=path, row=line, fix=AGAIN)
        if len(parts) < 2:
            raise DataError("not 'user number number ...'", file=path, row=line, fix=AGAIN)
        user, *rest = map(int, parts)
        if user in lines:
            raise DataError(f"user {user} appears twice, first in line {lines[user]}", file=path, row=line)
        numbers[user], lines[user] = rest, line
    return numbers, lines


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of a file that ends with one."""
    refuse_non_table(path)
    text = path.read_bytes()
    lines = text.splitlines()
    if not text.endswith(b"\n"):
        what = "the last line does not end: the file was cut off"
        raise DataError(what, file=path, row=len(lines), fix=AGAIN)
    yield from enumerate(lines, start=1)


def _is_number(part: bytes) -> bool:
    return part.isdigit() and len(part) < 19


def _not_a_number(part: bytes) -> str:
    shown = part.decode("utf-8", "replace")
    return f"{shown} is negative" if part[:1] == b"-" else f"{shown!r} is not a whole number"


def _aligned_times(path: Path, events: dict[int, list[int]]) -> tuple[dict[int, list[int]], dict[int, int]]:
    """user -> times, checked against the sequences they belong to, and user -> line."""
    times, lines = _sequence_file(path)
    for user, stamps in times.items():
        if user not in events:
            raise DataError(f"user {user} has times but no items", file=path, row=lines[user])
        if len(stamps) != len(events[user]):
            what = f"{len(stamps)} times for {len(events[user])} items of user {user}"
            raise DataError(what, file=path, row=lines[user], fix=AGAIN)
        _refuse_unsorted(stamps, user, path, lines[user])
    return times, lines


def _refuse_unsorted(stamps: Sequence[int], user: int, path: Path, line: int) -> None:
    if any(later < earlier for earlier, later in pairwise(stamps)):
        raise DataError(
            f"the times of user {user} are not in order, though the file promises it",
            file=path,
            row=line,
            fix=AGAIN,
        )


def cross_domain(prefix: str) -> Parser:
    """The parser of a two-domain Amazon pair: "user item|time item|time ...", oldest first.

    Source: the released data of "ABXI" (WWW 2025). map_item_50.txt is JSON, ASIN -> [item id, 0 or
    1]; domain 0 becomes ``target``, 1 becomes ``source``.
    """

    def parse(folder: Path) -> Raw:
        file = folder / f"{prefix}_50_preprocessed.txt"
        domain = _domains(folder / "map_item_50.txt")
        rows: list[tuple[int, int, int]] = []
        lines: list[int] = []
        first: dict[int, int] = {}
        for line, raw in _lines(file):
            user, events = _timed_line(raw, file, line)
            if (earlier := first.setdefault(user, line)) != line:
                raise DataError(f"user {user} appears twice, first in line {earlier}", file=file, row=line)
            for item, _ in events:
                if item not in domain:
                    what = f"item {item} is not in map_item_50.txt"
                    raise DataError(what, file=file, row=line, fix="Take both files from the same folder")
            rows.extend((user, item, time) for item, time in events)
            lines.extend([line] * len(events))
        user, item, time = np.array(rows).T
        side = pd.Categorical.from_codes([domain[i] for i in item.tolist()], ["target", "source"])
        frame = pd.DataFrame({"user": user, "item": item, "domain": side, "timestamp": time})
        return Raw(frame.assign(label=np.int8(1)), file, len(frame), lambda row: lines[row - 1])

    return parse


def _timed_line(raw: bytes, file: Path, line: int) -> tuple[int, list[tuple[int, int]]]:
    """The user and the (item, time) pairs of one line."""
    user, _, rest = raw.partition(b" ")
    pairs = [part.split(b"|") for part in rest.split()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise DataError("the line is not 'user item|time item|time ...'", file=file, row=line, fix=AGAIN)
    for part in (user, *(number for pair in pairs for number in pair)):
        if not _is_number(part):
            raise DataError(_not_a_number(part), file=file, row=line, fix=AGAIN)
    events = [(int(item), int(time)) for item, time in pairs]
    _refuse_unsorted([time for _, time in events], int(user), file, line)
    return int(user), events


def _domains(path: Path) -> dict[int, int]:
    """item id -> domain (0 or 1), from the JSON map of ASINs."""
    refuse_non_table(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        domain = {int(item): int(side) for item, side in content.values()}
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", file=path, row=error.lineno, fix=AGAIN) from None
    except (UnicodeDecodeError, TypeError, ValueError, AttributeError):
        raise DataError("not a map from ASIN to [item id, domain]", file=path, row=1, fix=AGAIN) from None
    if not set(domain.values()) <= {0, 1}:
        raise DataError("a domain is not 0 or 1", file=path, row=1, fix=AGAIN)
    return domain
