"""Rankers that count instead of learning: chance, popularity, a Markov chain, neighbouring items.

They serve as floors, and in lesson 01 as the models that a metric has to tell apart. Each is fitted
on a log of clicks as three arrays of n rows in time order, ``user`` and ``item`` codes (from 1) and
``time`` (seconds), and the number ``items`` of item codes, the reserved 0 included. Each then scores
every item for B users from ``recent``: (B, R) codes of what they last clicked, oldest first, padded
with 0 on the right. Scores are (B, items) float64; column 0 means nothing.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

DAY = 86_400


class Chance:
    """Every item in random order: what knowing nothing gets."""

    def __init__(self, items: int, seed: int = 0) -> None:
        self.items, self.seed = items, seed

    def scores(self, recent: np.ndarray) -> np.ndarray:
        return np.random.default_rng(self.seed).random((len(recent), self.items))


class Popularity:
    """Everybody gets what most clicks went to. With a half-life, a click of that age counts one half.

    half_life : days; None counts all clicks alike. Ages are taken at the newest click.
    """

    def __init__(
        self, item: np.ndarray, time: np.ndarray, items: int, half_life: float | None = None
    ) -> None:
        days = (time[-1] - time) / DAY
        weight = np.ones(len(item)) if half_life is None else 0.5 ** (days / half_life)
        self.count = np.bincount(item, weights=weight, minlength=items)  # (items,)

    def scores(self, recent: np.ndarray) -> np.ndarray:
        return np.tile(self.count, (len(recent), 1))


class MarkovChain:
    """P(next item | last item), counted: of the clicks that followed a click on i, the share on j.

    An item that nobody clicked right after the last one scores 0, and so does everything after an
    item without a successor: this model is sure about few items and silent about the rest.
    """

    def __init__(self, user: np.ndarray, item: np.ndarray, items: int) -> None:
        order = np.argsort(user, kind="stable")  # users one after another, time order kept
        user, item = user[order], item[order]
        follows = user[1:] == user[:-1]
        pairs = (item[:-1][follows], item[1:][follows])
        count = sparse.csr_array((np.ones(len(pairs[0])), pairs), shape=(items, items))
        left = np.maximum(count.sum(axis=1), 1)
        self.chance = count.multiply(1 / left[:, None]).tocsr()  # (items, items), rows add to 1 or 0

    def scores(self, recent: np.ndarray) -> np.ndarray:
        known = (recent > 0).sum(axis=1)
        last = recent[np.arange(len(recent)), np.maximum(known - 1, 0)]
        return self.chance[last].toarray()


class ItemKNN:
    """Item-based neighbours: items clicked by the same people as the recent ones.

    Similarity of items i and j is the cosine of their columns in the user-item table:
    users of both / sqrt(users of i * users of j). The score is its sum over the recent items.
    """

    def __init__(self, user: np.ndarray, item: np.ndarray, items: int) -> None:
        pair = np.unique(user.astype(np.int64) * items + item)  # a second click adds nothing
        table = sparse.csr_array((np.ones(len(pair)), np.divmod(pair, items)), shape=(user.max() + 1, items))
        both = (table.T @ table).tocsr()  # (items, items): users of both
        scale = sparse.diags_array(1 / np.sqrt(np.maximum(both.diagonal(), 1)))
        both.setdiag(0)
        self.cosine = (scale @ both @ scale).tocsr()

    def scores(self, recent: np.ndarray) -> np.ndarray:
        row = np.repeat(np.arange(len(recent)), recent.shape[1])
        shape = (len(recent), self.cosine.shape[0])
        bag = sparse.csr_array((np.ones(recent.size), (row, recent.ravel())), shape=shape)
        return (bag @ self.cosine).toarray()  # code 0 has no users, so padding adds nothing
