"""How well a model does: AUC, LogLoss and GAUC for clicks; HR@k, NDCG@k and MRR for ranking.

Click metrics: LIFT, Section 5.2; LCN, Section 5.1.3; ENCODE, Section 4.1. Ranking metrics: LIFT,
Section 5.2; DualRec, Section 4.1.2 (one positive among 99 stored negatives).

The tie rule (ambiguity D21). The papers do not say what an equal score is worth. In AUC a tied pair
counts one half, as everywhere. In a ranking, a positive tied with t candidates is equally likely to
stand at any of the t + 1 places they share once the tie is broken at random, and every metric here is
the *expected value* over those places. So the mean rank is the half rank, better + 1 + t/2, and a
model that scores everything alike gets HR@k = k / (number of candidates + 1), what guessing gets:
neither 1 (ties won) nor 0 (ties lost). ``ties="optimistic"`` and ``"pessimistic"`` are those extremes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from workbench.errors import ConfigError, DataError, unknown

TIE_RULES = ("mean", "optimistic", "pessimistic")


class GroupedAUC(NamedTuple):
    """GAUC, and what it leaves out: groups without both a 0 and a 1 have no AUC."""

    value: float
    groups: int
    dropped_groups: int
    dropped_rows: int


class Interval(NamedTuple):
    """A mean difference and its confidence interval over n pairs."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where B positives stand among their candidates; 1 is the top.

    first, last : (B,) int64. The positive is equally likely at each place from first to last; without
        a tie, or under an optimistic or pessimistic rule, the two are equal.
    """

    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def at(self, places: np.ndarray) -> Ranks:
        """Those of some positives."""
        return Ranks(self.first[places], self.last[places])

    @property
    def mean(self) -> np.ndarray:
        """(B,) expected ranks: a positive tied with t candidates loses t/2 places."""
        return (self.first + self.last) / 2


# --- clicks -------------------------------------------------------------------------------------------


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Chance that a random positive scores above a random negative; a tied pair counts one half.

    label : (n,) 0/1; score : (n,) any real scale, higher for more likely.

    Raises DataError for labels of one class only, labels other than 0/1, NaN scores, empty input and
    shapes that do not fit.
    """
    label, score = _clicks(label, score, "score")
    value, _ = _auc_by_group(label, score, np.zeros(len(label), dtype=np.int64))
    if np.isnan(value[0]):
        raise DataError(f"all {len(label)} labels are {int(label[0])}: AUC needs both classes")
    return float(value[0])


def gauc(label: np.ndarray, score: np.ndarray, group: np.ndarray, weighted: bool = True) -> GroupedAUC:
    """GAUC: the mean of each group's own AUC (LCN, Section 5.1.3; our reading is ambiguity N17).

    group : (n,) ids, usually users. Groups with one class have no AUC; they are left out and counted
    in the result. ``weighted``: weigh a group by its rows (impressions), else all groups alike.

    Raises DataError as :func:`auc`, and when no group has both classes.
    """
    label, score = _clicks(label, score, "score")
    group = np.asarray(group)
    if group.shape != label.shape:
        raise DataError(f"{group.shape} groups for {label.shape} labels", column="group")
    _, index = np.unique(group, return_inverse=True)
    value, rows = _auc_by_group(label, score, index)
    usable = ~np.isnan(value)
    if not usable.any():
        raise DataError(f"none of the {len(value)} groups has both classes, so there is no GAUC")
    mean = np.average(value[usable], weights=rows[usable] if weighted else None)
    left_out = rows[~usable]
    return GroupedAUC(float(mean), int(usable.sum()), len(left_out), int(left_out.sum()))


def log_loss(label: np.ndarray, probability: np.ndarray) -> float:
    """LogLoss: the mean of -[y ln p + (1 - y) ln(1 - p)], in nats.

    label : (n,) 0/1; probability : (n,) in [0, 1]. Nothing is clipped: a certain and wrong prediction
    (p = 0 for a click) costs infinity, and so does a float32 sigmoid that saturated. Take the sigmoid
    in float64 to avoid that.

    Raises DataError for probabilities outside [0, 1] and as :func:`auc`, except that one class is fine.
    """
    label, p = _clicks(label, probability, "probability")
    outside = (p < 0) | (p > 1)
    if outside.any():
        raise DataError(
            f"{p[outside][0]} is not a probability",
            row=int(np.flatnonzero(outside)[0]) + 1,
            column="probability",
            fix="LogLoss takes probabilities from 0 to 1; apply the sigmoid to logits first",
        )
    with np.errstate(divide="ignore"):  # ln 0 = -inf is meant
        return float(-np.mean(np.where(label == 1, np.log(p), np.log1p(-p))))


def _auc_by_group(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC by the rank sum of the positives, in every group at once.

    group : (n,) int codes 0 .. G-1, all in use. Returns (G,) values, NaN for one class, and (G,) rows.
    """
    order = np.lexsort((score, group))
    label, score, group = label[order], score[order], group[order]
    rows = np.bincount(group)
    place = np.arange(len(group)) - np.repeat(np.cumsum(rows) - rows, rows)  # from 0 within the group
    new_run = np.ones(len(group), dtype=bool)  # a run is a stretch of equal scores in one group
    new_run[1:] = (score[1:] != score[:-1]) | (group[1:] != group[:-1])
    starts = np.flatnonzero(new_run)
    lengths = np.diff(np.append(starts, len(group)))
    rank = np.repeat(place[starts] + (lengths + 1) / 2, lengths)  # mean rank of the run, from 1
    positives = np.bincount(group, weights=label)
    pairs = positives * (rows - positives)
    wins = np.bincount(group, weights=rank * label) - positives * (positives + 1) / 2
    return np.divide(wins, pairs, out=np.full(len(rows), np.nan), where=pairs > 0), rows


def _clicks(label: np.ndarray, score: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Checked (n,) float64 labels and scores."""
    label, score = np.asarray(label), np.asarray(score, dtype=np.float64)
    if label.ndim != 1 or label.shape != score.shape:
        raise DataError(f"{name}s have shape {score.shape}, labels {label.shape}; both must be (n,)")
    if len(label) == 0:
        raise DataError("there are no rows to evaluate")
    wrong = (label != 0) & (label != 1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"the label is {label[row]}, not 0 or 1", row=row + 1, column="label")
    _refuse_nan(score, name)
    return label.astype(np.float64), score


def _refuse_nan(values: np.ndarray, name: str) -> None:
    bad = np.isnan(values)
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} of {values.size} values are NaN",
            row=int(np.argwhere(bad)[0][0]) + 1,
            column=name,
            fix="The model diverged or was fed a missing value",
        )


# --- ranking ------------------------------------------------------------------------------------------


def ranks(
    positive_score: np.ndarray,
    candidate_scores: np.ndarray,
    mask: np.ndarray | None = None,
    ties: str = "mean",
) -> Ranks:
    """Rank each positive among its own candidates, such as stored negatives.

    positive_score : (B,); candidate_scores : (B, C), the positive not among them; mask : (B, C) bool,
    True where a candidate is real (False for padding, whose scores do not matter). ``ties``: see the
    module; one of ``TIE_RULES``.

    Raises ConfigError for an unknown tie rule, DataError for NaN scores, no rows, and shapes that do
    not fit.
    """
    positive, candidates = np.asarray(positive_score), np.asarray(candidate_scores)
    if positive.ndim != 1 or candidates.ndim != 2 or len(positive) != len(candidates):
        raise DataError(
            f"positives must be (B,) and candidates (B, C), not {positive.shape} and {candidates.shape}"
        )
    _refuse_nan(positive, "positive_score")
    above, equal = candidates > positive[:, None], candidates == positive[:, None]
    if mask is None:
        _refuse_nan(candidates, "candidate_scores")
    else:
        mask = _bool_mask(mask, candidates.shape)
        _refuse_nan(np.where(mask, candidates, 0.0), "candidate_scores")
        above, equal = above & mask, equal & mask
    return _ranks(np.count_nonzero(above, axis=1), np.count_nonzero(equal, axis=1), ties)


def full_ranks(
    score_matrix: np.ndarray,
    target: np.ndarray,
    exclude: tuple[np.ndarray, np.ndarray] | np.ndarray | None = None,
    ties: str = "mean",
) -> Ranks:
    """Rank each target among all items.

    score_matrix : (B, I), column = item code; column 0 is padding and never competes.
    target : (B,) item codes, from 1.
    exclude : items that do not compete either, such as those a user already has: compressed rows
        ``(offsets (B + 1,), items)`` or a (B, I) bool mask, True = out. The target itself always
        stays in: a user may come back to an item.

    Raises as :func:`ranks`, and DataError for a target or an excluded item without a column.
    """
    scores, target = np.asarray(score_matrix), np.asarray(target)
    if scores.ndim != 2 or target.shape != scores.shape[:1]:
        raise DataError(f"scores must be (B, I) and targets (B,), not {scores.shape} and {target.shape}")
    rows, items = scores.shape
    _refuse_nan(scores, "score_matrix")
    _refuse_foreign(target, items, "target", lowest=1)
    positive = scores[np.arange(rows), target]
    above = np.count_nonzero(scores > positive[:, None], axis=1)
    equal = np.count_nonzero(scores == positive[:, None], axis=1)
    # Counting all columns and taking back the few that do not compete spares a copy of the matrix.
    row, item = _pairs_out(exclude, scores.shape)
    row = np.concatenate((row, np.arange(rows), np.arange(rows)))
    item = np.concatenate((item, np.zeros(rows, dtype=np.int64), target))
    row, item = np.divmod(np.unique(row * items + item), items)  # an item may be listed twice
    out, own = scores[row, item], positive[row]
    above -= np.bincount(row[out > own], minlength=rows)
    equal -= np.bincount(row[out == own], minlength=rows)
    return _ranks(above, equal, ties)


def row_metrics(ranks: Ranks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, np.ndarray]:
    """HR@k, NDCG@k for each k, and MRR, of every row: name -> (B,) float64 in [0, 1].

    One relevant item a row, so at rank r: HR@k = 1[r <= k], NDCG@k = 1[r <= k] / log2(1 + r), and the
    reciprocal rank 1/r is not cut off. Each is averaged over the places from ``first`` to ``last``.

    Raises ConfigError for a k that is not a whole number from 1.
    """
    if not all(isinstance(k, int | np.integer) and k >= 1 for k in ks):
        raise ConfigError(f"every k must be a whole number from 1, not {list(ks)}")
    first, last = ranks.first, ranks.last
    place = np.arange(1, int(last.max()) + 1)
    discounts = np.concatenate(([0.0], np.cumsum(1 / np.log2(1 + place))))
    reciprocals = np.concatenate(([0.0], np.cumsum(1 / place)))
    shared = last - first + 1
    result = {}
    for k in ks:
        low, high = np.minimum(first - 1, k), np.minimum(last, k)  # places low+1 .. high count
        result[f"HR@{k}"] = (high - low) / shared
        result[f"NDCG@{k}"] = (discounts[high] - discounts[low]) / shared
    result["MRR"] = (reciprocals[last] - reciprocals[first - 1]) / shared
    return result


def rank_metrics(ranks: Ranks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """Means over the rows of :func:`row_metrics`: name -> value, from HR@k to MRR."""
    return {name: float(values.mean()) for name, values in row_metrics(ranks, ks).items()}


def _ranks(above: np.ndarray, equal: np.ndarray, ties: str) -> Ranks:
    """From the number of candidates above and level with each positive to its places."""
    if ties not in TIE_RULES:
        raise unknown("tie rule", ties, TIE_RULES)
    if len(above) == 0:
        raise DataError("there are no rows to evaluate")
    best, worst = above + 1, above + equal + 1
    return Ranks(worst if ties == "pessimistic" else best, best if ties == "optimistic" else worst)


def _pairs_out(exclude, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The (row, item) pairs of either form of ``exclude``, checked."""
    rows, items = shape
    if exclude is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if not isinstance(exclude, tuple):
        row, item = np.nonzero(_bool_mask(exclude, shape))
        return row, item
    offsets, item = (np.asarray(part) for part in exclude)
    if offsets.shape != (rows + 1,) or offsets[0] != 0 or offsets[-1] != len(item):
        raise DataError(
            f"exclude needs {rows + 1} offsets from 0 to its {len(item)} items, not {offsets.shape}"
        )
    if (np.diff(offsets) < 0).any():
        raise DataError("the offsets of exclude fall", row=int(np.argmax(np.diff(offsets) < 0)) + 1)
    _refuse_foreign(item, items, "exclude", lowest=0)
    return np.repeat(np.arange(rows), np.diff(offsets)), item


def _bool_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != shape or mask.dtype != bool:
        raise DataError(f"the mask must be {shape} booleans, not {mask.shape} {mask.dtype}")
    return mask


def _refuse_foreign(codes: np.ndarray, items: int, name: str, lowest: int) -> None:
    if codes.size and not np.issubdtype(codes.dtype, np.integer):
        raise DataError(f"item codes must be integers, not {codes.dtype}", column=name)
    bad = (codes < lowest) | (codes >= items)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"item {codes[at]} is not one of the columns {lowest} to {items - 1}", row=at + 1, column=name
        )


# --- differences over seeds ---------------------------------------------------------------------------


def paired_interval(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> Interval:
    """Confidence interval of the mean of a - b over paired runs, usually seeds.

    a, b : (n,) one metric of two variants, pair by pair on the same seed (same data, same split), so
    that what the seed does to both cancels. Student's t with n - 1 degrees of freedom:
    mean ± t * s / sqrt(n). It assumes independent pairs and near-normal differences; with few seeds
    it is wide, as it should be. The same formula serves for rows instead of seeds.

    Raises DataError for fewer than two pairs, unequal lengths or values that are not finite, and
    ConfigError for a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"the confidence level must lie between 0 and 1, not {level}")
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise DataError(f"pairs need two lists of one length, not {a.shape} and {b.shape}")
    n = len(a)
    if n < 2:
        raise DataError(f"{n} pair(s) give no interval", fix="Run at least two seeds; five or more tell more")
    bad = ~(np.isfinite(a) & np.isfinite(b))
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"the pair {a[at]}, {b[at]} has no finite difference", row=at + 1)
    difference = a - b
    mean = difference.mean()
    half = stdtrit(n - 1, (1 + level) / 2) * difference.std(ddof=1) / np.sqrt(n)
    return Interval(float(mean), float(mean - half), float(mean + half), n)
