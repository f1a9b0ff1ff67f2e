"""Histories: every user's events in order, and "the L before" and "the L after" any of them.

LIFT, Section 3: the history h_z is the last L interactions before d_z, the future f_z the next L
after it, c_z = (h_z, f_z) (Eq. 1). Here both are *ranges* of one flat array (compressed sparse rows),
so that a million contexts cost two integers each until somebody asks for their events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Histories:
    """Per-user order of the rows ``0 .. n-1`` of a table.

    Attributes
    ----------
    events : (n,) int64 row numbers, grouped by user, in time order within a user.
    offsets : (U + 1,) int64; user code u owns ``events[offsets[u]:offsets[u + 1]]``.
    place : (n,) int64; ``events[place[row]] == row``.
    user, timestamp : (n,) user codes and times of the rows.
    """

    events: np.ndarray
    offsets: np.ndarray
    place: np.ndarray
    user: np.ndarray
    timestamp: np.ndarray

    @classmethod
    def of(cls, interactions: Interactions, stop: int | None = None) -> Histories:
        """Histories of the first ``stop`` rows (all by default).

        ``stop`` is how a future is kept from crossing the end of the retrieval set (ambiguity L15):
        rows from ``stop`` on do not exist here, so no window can reach them.
        """
        return cls.grouped(interactions.user[:stop], interactions.size("user"), interactions.timestamp[:stop])

    @classmethod
    def grouped(cls, group: np.ndarray, groups: int, timestamp: np.ndarray) -> Histories:
        """Histories of other groups of rows than a user's, such as a user's rows of one category.

        group : (n,) codes from 0 to ``groups - 1``, which take the place of users; timestamp : (n,),
        ascending as in any log.
        """
        events = np.argsort(group, kind="stable")  # rows are in time order already
        offsets = np.concatenate(([0], np.cumsum(np.bincount(group, minlength=groups))))
        place = np.empty_like(events)
        place[events] = np.arange(len(events))
        return cls(events, offsets, place, group, timestamp)

    def __len__(self) -> int:
        return len(self.events)

    def of_user(self, user: int) -> np.ndarray:
        """Row numbers of one user's events, oldest first."""
        return self.events[self.offsets[user] : self.offsets[user + 1]]

    def before(self, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """h_z of Eq. 1: ``(start, stop)`` into ``events`` of the last ``length`` events before each row."""
        rows = self._checked(rows, length)
        here = self.place[rows]
        return np.maximum(here - length, self.offsets[self.user[rows]]), here

    def strictly_before(self, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Like :meth:`before`, but only of events at an earlier time than the row's.

        What a model may know of a *target's* own user (ambiguity L14): rows of the same second stand in
        the order of the source's file, which says nothing about which came first.
        """
        rows = self._checked(rows, length)
        stop = self._moment[self.place[rows]]
        return np.maximum(stop - length, self.offsets[self.user[rows]]), stop

    @cached_property
    def _moment(self) -> np.ndarray:
        """(n,) for each place in ``events``, the first place of the same user at the same time."""
        user, time = self.user[self.events], self.timestamp[self.events]
        begins = np.concatenate(([True], (np.diff(user) != 0) | (np.diff(time) != 0)))
        return np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))

    def after(self, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """f_z of Eq. 1: ``(start, stop)`` into ``events`` of the next ``length`` events after each row."""
        rows = self._checked(rows, length)
        here = self.place[rows] + 1
        return here, np.minimum(here + length, self.offsets[self.user[rows] + 1])

    def window(self, start: np.ndarray, stop: np.ndarray, length: int) -> np.ndarray:
        """Row numbers of ranges as a dense array.

        Returns (..., length) int64, oldest first, padded with -1 on the right.
        """
        position = np.asarray(start)[..., None] + np.arange(length)
        inside = position < np.asarray(stop)[..., None]
        return np.where(inside, self.events[np.minimum(position, len(self.events) - 1)], -1)

    def _checked(self, rows: np.ndarray, length: int) -> np.ndarray:
        if length < 1:
            raise ConfigError(f"the context length L must be at least 1, not {length}")
        rows = np.asarray(rows)
        if rows.size and not np.issubdtype(rows.dtype, np.integer):
            raise DataError(f"rows are named by whole numbers, not {rows.dtype}")
        rows = rows.astype(np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self.events)):
            raise DataError(
                f"row {int(rows.min() if rows.min() < 0 else rows.max())} is not one of the "
                f"{len(self.events)} rows these histories cover"
            )
        return rows
