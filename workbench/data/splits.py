"""Splits that keep time in order, and the guard that refuses a leak.

LIFT, Section 5.1: retrieval, train and test sets follow each other on one global clock. All rows of
one second fall on the same side of a cut, so "earlier" is always strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError, unknown

PARTS = ("retrieval", "train", "validation", "test")


@dataclass(frozen=True)
class TimeSplit:
    """Four consecutive parts of a table on one clock, as slices of its rows (they share no second)."""

    retrieval: slice
    train: slice
    validation: slice
    test: slice

    def rows(self, part: str) -> np.ndarray:
        """(n_part,) int64 row numbers of a part."""
        if part not in PARTS:
            raise unknown("part", part, PARTS)
        piece = getattr(self, part)
        return np.arange(piece.start, piece.stop)

    def sizes(self) -> dict[str, int]:
        """Rows in each part."""
        return {part: getattr(self, part).stop - getattr(self, part).start for part in PARTS}


def global_time_split(
    interactions: Interactions, shares: Sequence[float] = (0.6, 0.15, 0.05, 0.2)
) -> TimeSplit:
    """Cut a table at three moments so that the parts hold about these shares of its rows.

    Source: LIFT, Section 5.1; the shares are our reading (ambiguity L17). A cut moves back to the
    first row of its second, so a part never shares a timestamp with the next.

    Raises ConfigError for shares that are not four numbers adding to 1, DataError when the data has
    no clock (places in a sequence are not moments) or too few distinct times for the parts asked for.
    """
    if len(shares) != 4 or any(share < 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise ConfigError(f"shares must be four numbers from 0 adding to 1, not {tuple(shares)}")
    if interactions.clock != "seconds":
        raise DataError(
            "there are no timestamps, so no moment to cut at", file=interactions.name, fix="Use leave_one_out"
        )
    stamps = interactions.timestamp
    wanted = np.round(np.cumsum(shares[:3]) * len(stamps)).astype(int)
    inside = np.minimum(wanted, len(stamps) - 1)
    cuts = np.where(wanted >= len(stamps), len(stamps), np.searchsorted(stamps, stamps[inside]))
    edges = [0, *map(int, cuts), len(stamps)]
    parts = dict(zip(PARTS, (slice(a, b) for a, b in pairwise(edges)), strict=True))
    for (part, piece), share in zip(parts.items(), shares, strict=True):
        if share > 0 and piece.start >= piece.stop:
            raise DataError(
                f"the {part} part would be empty: too few distinct times for shares {tuple(shares)}",
                file=interactions.name,
            )
    return TimeSplit(**parts)


@dataclass(frozen=True)
class LeaveOneOut:
    """Each user's last row is for testing, the one before for validation (DualRec, Section 4.1).

    Attributes are ascending int64 row numbers. Users with fewer than three events only train.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def leave_one_out(interactions: Interactions) -> LeaveOneOut:
    """Split every user's sequence into all-but-two / one / one.

    Time is in order within a user only: another user's training rows may be later than a test row.
    Lesson 01 shows what that flatters.
    """
    histories = Histories.of(interactions)
    ends = histories.offsets[1:]
    long_enough = np.diff(histories.offsets) >= 3
    if not long_enough.any():
        raise DataError("no user has three events", file=interactions.name)
    test = histories.events[ends[long_enough] - 1]
    validation = histories.events[ends[long_enough] - 2]
    held_out = np.zeros(len(interactions), dtype=bool)
    held_out[test] = held_out[validation] = True
    return LeaveOneOut(np.flatnonzero(~held_out), np.sort(validation), np.sort(test))


def refuse_leak(context_time: np.ndarray, query_time: np.ndarray, what: str = "context") -> None:
    """Raise DataError if any context is not strictly earlier than its query.

    context_time : (B, ...) int64 times of what a model may look at; query_time : (B,) int64.
    """
    context_time = np.asarray(context_time)
    query = np.asarray(query_time).reshape(-1, *[1] * (context_time.ndim - 1))
    late = ~(context_time < query)  # a time that is not a number is never earlier
    if late.any():
        row = int(np.argwhere(late)[0][0])
        raise DataError(
            f"leak: a {what} at time {context_time[late][0]} is not earlier than its query "
            f"at time {np.asarray(query_time).ravel()[row]}",
            row=row + 1,
            fix="Search only rows before the queries: split by global time first",
        )
