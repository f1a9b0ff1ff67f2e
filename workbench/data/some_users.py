"""A part of a log that is too long for the machine: all rows of some of its users."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from workbench.data.interactions import Interactions
from workbench.errors import whole

_BRANCH = zlib.crc32(b"some users")  # our own stream below the seed, as in workbench.data.negatives


def some_users(log: Interactions, count: int, seed: int = 0) -> Interactions:
    """All rows of ``count`` users drawn at random; of every user, if there are no more.

    Whole histories stay whole, unlike those of randomly drawn rows. Vocabularies shrink to what is left, so
    that an embedding table holds nothing that never comes: codes mean something else than in ``log``.

    Raises ConfigError for a count below 1 or a seed below 0.
    """
    for name, value, least in (("the number of users", count, 1), ("the seed", seed, 0)):
        whole(name, value, least)
    users = np.flatnonzero(np.bincount(log.user))
    if count >= len(users):
        return log
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BRANCH,)))
    chosen = np.zeros(log.size("user"), bool)
    chosen[rng.choice(users, count, replace=False)] = True
    part = log.rows(chosen[log.user])
    columns, vocabularies = {}, {}
    for name, codes in part.columns.items():
        here = np.bincount(codes, minlength=part.size(name)) > 0
        here[0] = True  # code 0 stays what it is
        columns[name] = (np.cumsum(here, dtype=np.int32) - np.int32(1))[codes]
        vocabularies[name] = part.vocabularies[name][here]
    return replace(
        part,
        columns=columns,
        vocabularies=vocabularies,
        name=f"{log.name}, {count:,} users",
        note="; ".join(filter(None, (log.note, f"{count:,} of {len(users):,} users, drawn at random"))),
    )
