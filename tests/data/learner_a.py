"""Learner A: boosted trees that can use LIFT's contexts only through counted overlaps.

It tests the world, not LIFT: if a learner this plain gains from the futures of retrieved
interactions, and stops gaining when succession is off, the phenomenon is in the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from sklearn.ensemble import HistGradientBoostingClassifier

from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.data.world import World
from workbench.methods.retrieval import BM25Index

FIELDS = ("category", "brand", "price_band", "age_band", "gender", "city")
RETRIEVED_BY = ("item", *FIELDS)
LEVELS = ("item", "category", "brand")
NEIGHBOURS, LENGTH, DECAY = 10, 20, 0.8


@dataclass(frozen=True)
class Features:
    """Feature blocks of train and test rows (Q, .), and the rows they belong to."""

    rows: np.ndarray  # (Q,) row numbers of the world's table
    train: np.ndarray  # (Q,) bool
    blocks: dict[str, np.ndarray]


SETTINGS = {
    "none": ("base",),
    "history": ("base", "history"),
    "history 2L": ("base", "history 2L"),
    "future": ("base", "future"),
    "both": ("base", "history", "future"),
}


def features(world: World) -> Features:
    """Features of every train and test row, split 60/20/20 by global time."""
    data = world.interactions
    split = global_time_split(data, shares=(0.6, 0.2, 0.0, 0.2))
    cut = split.retrieval.stop
    rows = np.concatenate([split.rows("train"), split.rows("test")])
    keys = data.codes(RETRIEVED_BY)
    index = BM25Index(keys[:cut], time=data.timestamp[:cut], owner=data.user[:cut], fields=RETRIEVED_BY)
    found = index.search(keys[rows], NEIGHBOURS, time=data.timestamp[rows], owner=data.user[rows]).rows
    own = _nearest_first(Histories.of(data), "before", rows, LENGTH)
    known = Histories.of(data, stop=cut)  # a context never crosses the end of the retrieval set
    codes = data.codes(LEVELS)

    def overlaps(side: str, length: int) -> np.ndarray:
        context = _nearest_first(known, side, np.arange(cut), length)
        return count_overlaps(own, found, context, codes, data.label)

    base = [data.codes(FIELDS)[rows], _own_counts(own, rows, codes, data.label)]
    base += [_item_rate(data.item, data.label, cut)[data.item[rows]], _neighbour_labels(found, data.label)]
    blocks = {
        "base": np.column_stack(base),
        "history": overlaps("before", LENGTH),
        "history 2L": overlaps("before", 2 * LENGTH),
        "future": overlaps("after", LENGTH),
    }
    return Features(rows, rows < split.train.stop, blocks)


def predict(world: World, given: Features, setting: str) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the test rows, and the predicted probability of a click on each."""
    x = np.column_stack([given.blocks[name] for name in SETTINGS[setting]])
    model = HistGradientBoostingClassifier(
        max_iter=80,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        l2_regularization=10.0,  # the more features a setting has, the more an unbridled tree overfits
        early_stopping=False,
        random_state=0,
    )
    model.fit(x[given.train], world.interactions.label[given.rows[given.train]])
    return given.rows[~given.train], model.predict_proba(x[~given.train])[:, 1]


def _nearest_first(histories: Histories, side: str, rows: np.ndarray, length: int) -> np.ndarray:
    """(Q, length) rows of the same user before or after each row, nearest first, padded with -1."""
    if side == "after":
        return histories.window(*histories.after(rows, length), length)
    start, stop = histories.strictly_before(rows, length)
    back = stop[:, None] - 1 - np.arange(length)
    return np.where(back >= start[:, None], histories.events[np.maximum(back, 0)], -1)


def _own_counts(own: np.ndarray, rows: np.ndarray, codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How often the user lately clicked and passed over anything, and the target's values: (Q, 8)."""
    sides = [(label[own] == wanted) & (own >= 0) for wanted in (1, 0)]  # own: (Q, L)
    counts = [side.sum(1) for side in sides]
    for level in range(codes.shape[1]):
        same = codes[own, level] == codes[rows, level][:, None]
        counts += [(same & side).sum(1) for side in sides]
    return np.column_stack(counts)


def _item_rate(item: np.ndarray, label: np.ndarray, cut: int) -> np.ndarray:
    """Smoothed click rate of every item code before the cut."""
    shown = np.bincount(item[:cut], minlength=item.max() + 1)
    clicked = np.bincount(item[:cut], weights=label[:cut], minlength=item.max() + 1)
    return (clicked + 5 * label[:cut].mean()) / (shown + 5)


def _neighbour_labels(found: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean label of the retrieved rows, and how many there are: (Q, 2)."""
    there = found >= 0
    return np.column_stack([(label[found] * there).sum(1) / np.maximum(there.sum(1), 1), there.sum(1)])


@njit(cache=True)
def count_overlaps(own, found, context, codes, label):
    """Count the pairs (own event, event in the context of a retrieved row) that share a value.

    own : (Q, L) recent events of the query's user; found : (Q, K) retrieved rows; context : (R, L')
    events around each row of the retrieval set; own and context nearest first, all padded with -1.
    codes : (n, levels) values of every row at each level; label : (n,).
    Returns (Q, levels * 2 * 8) counts by level, by weight (1, or DECAY to the distances of both events)
    and by own label x context event's label x retrieved row's label.
    """
    levels = codes.shape[1]
    mine = np.zeros((levels, codes.max() + 1, 2, 2), np.float32)  # value, own label, weight
    out = np.zeros((len(own), levels, 2, 2, 2, 2), np.float32)
    for q in range(len(own)):
        for i, event in enumerate(own[q]):
            for level in range(levels if event >= 0 else 0):
                mine[level, codes[event, level], label[event], 0] += 1.0
                mine[level, codes[event, level], label[event], 1] += DECAY**i
        for row in found[q]:
            for j, event in enumerate(context[row] if row >= 0 else context[0, :0]):
                if event < 0:
                    break
                fade = DECAY**j
                for level in range(levels):
                    for a in range(2):
                        seen = mine[level, codes[event, level], a]
                        if seen[0] > 0:
                            out[q, level, 0, a, label[event], label[row]] += seen[0]
                            out[q, level, 1, a, label[event], label[row]] += seen[1] * fade
        for event in own[q]:
            for level in range(levels if event >= 0 else 0):
                mine[level, codes[event, level]] = 0.0
    return out.reshape(len(own), levels * 16)
