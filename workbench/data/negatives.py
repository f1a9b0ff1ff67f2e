"""Negatives: for each evaluated row, items its user never touched; drawn once, stored, reused.

DualRec, Section 4.1.2, ranks one positive among 99 negatives, the same ones for every model. Our
reading (ambiguity D21): uniform over the items of the log that the user has no row with, in any part
of the log. Training, validation and test draw from different streams of one seed, so that a model
chosen on the validation negatives has not seen those of the test.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError, unknown

PURPOSES = ("validation", "test", "train")
# Our own branch below the user's seed: the plain children 0, 1, … of a seed belong to whoever spawns
# generators from it, and negatives must not repeat the random numbers that made the data.
_BRANCH = zlib.crc32(b"negatives")


def draw_negatives(
    interactions: Interactions, users: np.ndarray, *, purpose: str, count: int = 99, seed: int = 0
) -> np.ndarray:
    """Uniform negatives without repetition within a row.

    Parameters
    ----------
    interactions : the *whole* log. Items in it that no row of the user names, in any part and with
        either label, can be drawn; items without a row in it cannot.
    users : (B,) user codes, one an evaluated row; a user may come several times.
    purpose : ``"train"``, ``"validation"`` or ``"test"``: which stream of the seed. To train on, draw
        from the part of the log that training knows: what a user meets later must be drawn like the rest.

    Returns
    -------
    (B, count) int32 item codes, distinct within a row and in random order, so that the first c
    columns are c uniform negatives themselves. The same arguments give the same numbers.

    Raises DataError for a user that the log does not have, or that has fewer than ``count`` other
    items, by name; ConfigError for an unknown purpose, a count below 1 or a negative seed.
    """
    if purpose not in PURPOSES:
        raise unknown("purpose of negatives", purpose, PURPOSES)
    if count < 1 or seed < 0:
        raise ConfigError(f"count must be at least 1 and the seed at least 0, not {count} and {seed}")
    users = _known_users(interactions, users)
    appears = np.bincount(interactions.item, minlength=interactions.size("item")) > 0
    appears[0] = False  # code 0 is "unknown", not an item
    catalogue = np.flatnonzero(appears)
    key, start = _own_items(interactions, users, catalogue)
    own = np.diff(start)[users]
    others = len(catalogue) - own
    short = np.flatnonzero(others < count)
    if short.size:
        at = short[0]
        raise DataError(
            f"user {interactions.value('user', users[at])} has {own[at]} of the {len(catalogue)} items, "
            f"so only {others[at]} can be negatives, not {count}",
            file=interactions.name,
            row=int(at) + 1,
            fix="Ask for fewer negatives or leave this user out",
        )
    stream = np.random.SeedSequence(seed, spawn_key=(_BRANCH, PURPOSES.index(purpose)))
    rank = _distinct_below(others, count, np.random.default_rng(stream))  # (B, count)
    # The r-th other item stands r places plus the own items that come before it into the catalogue.
    stride = len(catalogue) + 1
    before = np.searchsorted(key, users[:, None] * stride + rank, side="right") - start[users][:, None]
    return catalogue[rank + before].astype(np.int32)


def _known_users(interactions: Interactions, users: np.ndarray) -> np.ndarray:
    users = np.asarray(users)
    if users.ndim != 1 or len(users) == 0 or not np.issubdtype(users.dtype, np.integer):
        raise DataError(f"users must be (B,) integer codes, at least one, not {users.shape} {users.dtype}")
    users = users.astype(np.int64)
    has_rows = np.bincount(interactions.user, minlength=interactions.size("user")) > 0
    has_rows[0] = False
    bad = (users < 1) | (users >= len(has_rows))
    bad[~bad] = ~has_rows[users[~bad]]
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(
            f"user code {users[at]} has no row in the log",
            file=interactions.name,
            row=at + 1,
            column="user",
            fix="Draw from the whole log, not from one part of a split",
        )
    return users


def _own_items(
    interactions: Interactions, users: np.ndarray, catalogue: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each own item of an asked user, how many *other* items stand before it in the catalogue.

    Returns (p,) ascending keys ``user * (items + 1) + others before it``, and (U + 1,) starts of each
    user's stretch. Counting a user's keys up to r tells which own items the r-th other item has passed.
    """
    asked = np.zeros(interactions.size("user"), dtype=bool)
    asked[users] = True
    rows = np.flatnonzero(asked[interactions.user] & (interactions.item > 0))
    items = len(catalogue)
    place = np.searchsorted(catalogue, interactions.item[rows])
    owner, place = np.divmod(np.unique(interactions.user[rows].astype(np.int64) * items + place), items)
    start = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=len(asked)))))
    others_before = place - (np.arange(len(owner)) - start[owner])
    return owner * (items + 1) + others_before, start


def _distinct_below(limit: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(B, count) int64: in row b, ``count`` distinct numbers below ``limit[b]``, every choice alike.

    Robert Floyd's method, all rows at once: never a second try. Step j draws from the first
    limit - count + j + 1 numbers; if that one is taken, the largest of them, which cannot be, is.
    """
    chosen = np.empty((count, len(limit)), dtype=np.int64)
    for step in range(count):
        largest = limit - count + step
        drawn = rng.integers(0, largest, endpoint=True)
        taken = (chosen[:step] == drawn).any(axis=0)
        chosen[step] = np.where(taken, largest, drawn)
    return rng.permuted(chosen.T, axis=1)  # Floyd's order is not random, only his choice


@dataclass(frozen=True, eq=False)
class StoredNegatives:
    """Negatives of one data set and purpose, as they are kept on disk.

    users : (B,) int32 user codes; items : (B, count) int32 item codes, row by row.
    fingerprint : of the log they were drawn from; seed and purpose: of the draw.
    """

    users: np.ndarray
    items: np.ndarray
    fingerprint: str
    seed: int
    purpose: str

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.users.shape != self.items.shape[:1]:
            raise DataError(f"{self.items.shape} negatives do not fit {self.users.shape} users")

    @classmethod
    def draw(
        cls, interactions: Interactions, users: np.ndarray, *, purpose: str, count: int = 99, seed: int = 0
    ) -> StoredNegatives:
        """Draw with :func:`draw_negatives` and keep what it was drawn from."""
        items = draw_negatives(interactions, users, purpose=purpose, count=count, seed=seed)
        return cls(np.asarray(users, dtype=np.int32), items, interactions.fingerprint, seed, purpose)

    def save(self, path: str | os.PathLike) -> None:
        """Write an .npz file: whole or not at all (a temporary name in the same folder, renamed)."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez_compressed(
                    file,
                    users=self.users,
                    items=self.items,
                    fingerprint=self.fingerprint,
                    seed=self.seed,
                    purpose=self.purpose,
                )
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike, interactions: Interactions, purpose: str) -> StoredNegatives:
        """Read negatives back, for this log and this purpose only.

        Raises DataError for a file that is missing, broken or not of this kind, that was drawn from
        another log, or for the other purpose.
        """
        try:
            # Opened here: numpy leaves a broken file open when it does the opening.
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                stored = cls(
                    file["users"],
                    file["items"],
                    str(file["fingerprint"]),
                    int(file["seed"]),
                    str(file["purpose"]),
                )
        except FileNotFoundError as error:
            raise DataError("there is no such file", file=path, fix="Draw the negatives first") from error
        except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError("not a file of stored negatives", file=path, fix="Draw them again") from error
        if stored.fingerprint != interactions.fingerprint:
            raise DataError(
                f"drawn from another log: fingerprint {stored.fingerprint}, but {interactions.name} has "
                f"{interactions.fingerprint}",
                file=path,
                fix="Draw negatives for this log",
            )
        if stored.purpose != purpose:
            raise DataError(f"these are {stored.purpose} negatives, not {purpose} negatives", file=path)
        return stored
