"""Metrics against hand-worked numbers, brute force over tie orders, scikit-learn and scipy."""

from itertools import permutations
from math import inf, isinf, log, log2, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import ndcg_score, roc_auc_score

from workbench.errors import ConfigError, DataError
from workbench.lab.metrics import (
    auc,
    full_ranks,
    gauc,
    log_loss,
    paired_interval,
    rank_metrics,
    ranks,
    row_metrics,
)

few = settings(max_examples=60, deadline=None)
# Scores from a small set, so that ties are common.
clicks = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-2, 2), st.integers(0, 3)), min_size=2, max_size=40
)


def columns(rows):
    return (np.array(column) for column in zip(*rows, strict=True))


# --- AUC, LogLoss, GAUC ---------------------------------------------------------------------------------


def test_auc_by_hand():
    # Pairs (positive, negative): .8>.1, .8>.5, .5=.5 (half), .5>.1 -> 3.5 of 4.
    assert auc([1, 0, 1, 0], [0.8, 0.1, 0.5, 0.5]) == 3.5 / 4


@few
@given(clicks)
def test_auc_is_the_share_of_pairs_won_and_agrees_with_sklearn(rows):
    label, score, _ = columns(rows)
    if label.min() == label.max():
        with pytest.raises(DataError, match="both classes"):
            auc(label, score)
        return
    gap = np.subtract.outer(score[label == 1], score[label == 0])
    assert auc(label, score) == pytest.approx(((gap > 0) + (gap == 0) / 2).mean(), abs=1e-12)
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert auc(label, score) == pytest.approx(1 - auc(label, -score), abs=1e-12)


def test_auc_takes_infinite_scores_booleans_and_float32():
    label = np.array([True, False, True])
    assert auc(label, np.array([inf, -inf, 0.0], dtype=np.float32)) == 1.0
    assert auc(label, [-inf, -inf, -inf]) == 0.5


def test_log_loss_by_hand_and_by_sklearn():
    label, p = [1, 0, 0], [0.5, 0.25, 0.0]
    assert log_loss(label, p) == pytest.approx((log(2) + log(4 / 3)) / 3)
    rng = np.random.default_rng(0)
    label, p = rng.integers(0, 2, 1000), rng.random(1000)
    assert log_loss(label, p) == pytest.approx(sklearn_log_loss(label, p), rel=1e-12)


def test_log_loss_clips_nothing():
    assert isinf(log_loss([1, 0], [0.0, 0.5]))
    assert isinf(log_loss([0, 1], [1.0, 0.5]))
    assert log_loss([0, 0], [0.0, 0.0]) == 0.0  # one class is fine here
    assert log_loss([0], [1e-20]) == pytest.approx(1e-20, rel=1e-12, abs=0)  # 1 - p alone would round to 1


def test_gauc_by_hand():
    label = [1, 0, 0, 0, 1, 0, 1, 1]
    score = [3, 1, 2, 4, 2, 9, 0, 1]
    user = ["a", "a", "a", "a", "b", "b", "c", "c"]  # c clicked everything: no AUC
    # a: beats two of three -> 2/3 on 4 rows; b: 0 on 2 rows.
    weighted = gauc(label, score, user)
    assert weighted.value == pytest.approx((4 * 2 / 3 + 2 * 0) / 6)
    assert weighted[1:] == (2, 1, 2)
    assert gauc(label, score, user, weighted=False).value == pytest.approx((2 / 3 + 0) / 2)


def test_equal_scores_in_two_groups_are_no_tie_between_them():
    assert gauc([1, 0, 0, 1, 0], [7, 7, 7, 7, 7], [1, 1, 1, 2, 2]).value == 0.5


def test_gauc_does_not_see_differences_between_users():
    """Scores that only know how often a user clicks: good AUC, no order within a user."""
    user = np.repeat(np.arange(4), 10)
    label = np.concatenate([np.arange(10) < clicked for clicked in (1, 3, 7, 9)]).astype(int)
    score = user.astype(float)
    assert auc(label, score) > 0.8
    assert gauc(label, score, user).value == 0.5


@few
@given(clicks)
def test_gauc_is_the_mean_of_sklearn_auc_over_groups(rows):
    label, score, group = columns(rows)
    parts = [group == g for g in np.unique(group)]
    usable = [part for part in parts if 0 < label[part].sum() < part.sum()]
    if not usable:
        with pytest.raises(DataError, match="none of the"):
            gauc(label, score, group)
        return
    each = [roc_auc_score(label[part], score[part]) for part in usable]
    rows_of = [part.sum() for part in usable]
    result = gauc(label, score, group)
    assert result.value == pytest.approx(np.average(each, weights=rows_of), abs=1e-12)
    assert gauc(label, score, group, weighted=False).value == pytest.approx(np.mean(each), abs=1e-12)
    assert result.groups + result.dropped_groups == len(parts)
    assert result.dropped_rows == len(label) - sum(rows_of)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc([0, 0], [0.1, 0.2]), "all 2 labels are 0"),
        (lambda: auc([0, 1], [0.1, nan]), "row 2, column 'score': 1 of 2 values are NaN"),
        (lambda: auc([0, 2], [0.1, 0.2]), "row 2, column 'label': the label is 2"),
        (lambda: auc([0, nan], [0.1, 0.2]), "the label is nan"),
        (lambda: auc([], []), "no rows"),
        (lambda: auc([0, 1, 1], [0.1, 0.2]), "shape"),
        (lambda: auc([[0, 1]], [[0.1, 0.2]]), "must be"),
        (lambda: gauc([0, 1], [0.1, 0.2], [1]), "groups for"),
        (lambda: log_loss([0, 1], [0.5, 1.5]), "row 2, column 'probability': 1.5 is not a probability"),
        (lambda: log_loss([0, 1], [-0.1, 0.5]), "not a probability"),
        (lambda: log_loss([0, 1], [0.5, nan]), "NaN"),
        (lambda: log_loss([], []), "no rows"),
    ],
)
def test_bad_clicks_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


# --- ranking --------------------------------------------------------------------------------------------


def test_ties_by_hand():
    """One candidate above, two tied: places 2, 3, 4, each with chance 1/3."""
    scores = np.array([[0.9, 0.5, 0.5, 0.1]])
    found = ranks([0.5], scores)
    assert (found.first[0], found.last[0], found.mean[0]) == (2, 4, 3.0)
    metrics = rank_metrics(found, ks=(1, 3, 5))
    assert metrics == pytest.approx(
        {
            "HR@1": 0,
            "NDCG@1": 0,
            "HR@3": 2 / 3,  # places 2 and 3
            "NDCG@3": (1 / log2(3) + 1 / 2) / 3,
            "HR@5": 1,
            "NDCG@5": (1 / log2(3) + 1 / 2 + 1 / log2(5)) / 3,
            "MRR": 13 / 36,  # (1/2 + 1/3 + 1/4) / 3
        }
    )
    assert ranks([0.5], scores, ties="optimistic").mean[0] == 2
    assert ranks([0.5], scores, ties="pessimistic").mean[0] == 4
    assert rank_metrics(ranks([0.5], scores, ties="optimistic"), ks=(2,))["HR@2"] == 1
    assert rank_metrics(ranks([0.5], scores, ties="pessimistic"), ks=(3,))["HR@3"] == 0


def test_a_model_that_knows_nothing_gets_what_guessing_gets():
    """The point of the tie rule: equal scores must win nothing and lose nothing."""
    metrics = rank_metrics(ranks(np.zeros(7), np.zeros((7, 99))))
    assert metrics["HR@1"] == pytest.approx(0.01)
    assert metrics["HR@10"] == pytest.approx(0.10)
    assert metrics["MRR"] == pytest.approx(sum(1 / r for r in range(1, 101)) / 100)
    assert rank_metrics(ranks(np.zeros(7), np.zeros((7, 99)), ties="optimistic"))["HR@1"] == 1
    assert rank_metrics(ranks(np.zeros(7), np.zeros((7, 99)), ties="pessimistic"))["HR@10"] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(1, 5))
def test_mean_ties_are_the_average_over_all_orders(positive, candidates, k):
    """Shuffle the list in every way, sort it stably, look where the positive went."""
    entries = [(positive, True), *((score, False) for score in candidates)]
    places = []
    for order in permutations(range(len(entries))):
        ranked = sorted((entries[i] for i in order), key=lambda entry: -entry[0])
        places.append(next(place for place, entry in enumerate(ranked, start=1) if entry[1]))
    found = ranks([positive], [candidates])
    metrics = rank_metrics(found, ks=(k,))
    assert found.mean[0] == pytest.approx(np.mean(places))
    assert metrics[f"HR@{k}"] == pytest.approx(np.mean([place <= k for place in places]))
    assert metrics[f"NDCG@{k}"] == pytest.approx(np.mean([(p <= k) / log2(1 + p) for p in places]))
    assert metrics["MRR"] == pytest.approx(np.mean([1 / place for place in places]))
    assert ranks([positive], [candidates], ties="optimistic").mean[0] == min(places)
    assert ranks([positive], [candidates], ties="pessimistic").mean[0] == max(places)


@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_ndcg_agrees_with_sklearn_ties_included(k):
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 8, (200, 20)).astype(float)
    relevance = np.zeros_like(scores)
    relevance[:, 0] = 1
    ours = rank_metrics(ranks(scores[:, 0], scores[:, 1:]), ks=(k,))[f"NDCG@{k}"]
    assert ours == pytest.approx(ndcg_score(relevance, scores, k=k), abs=1e-12)


def test_row_metrics_are_what_the_means_are_of():
    found = ranks([0.5, 0.5], [[0.1, 0.2], [0.9, 0.1]])
    rows = row_metrics(found, ks=(1,))
    assert rows["HR@1"].tolist() == [1, 0]
    assert rows["MRR"].tolist() == pytest.approx([1, 0.5])
    assert rank_metrics(found, ks=(1,))["MRR"] == pytest.approx(0.75)
    assert list(rank_metrics(found)) == ["HR@1", "NDCG@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"]


def test_masked_candidates_do_not_count_whatever_they_score():
    scores = np.array([[0.9, nan, inf], [0.9, 0.5, 0.1]])
    mask = np.array([[True, False, False], [True, True, True]])
    found = ranks([0.5, 0.5], scores, mask)
    assert found.first.tolist() == [2, 2]
    assert found.last.tolist() == [2, 3]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_full_ranks_by_brute_force(data):
    items = data.draw(st.integers(2, 8))
    rows = data.draw(st.integers(1, 4))
    some_items = st.lists(st.integers(0, items - 1), max_size=6)  # repeats, 0 and the target included
    scores = np.array(data.draw(st.lists(st.integers(0, 2), min_size=rows * items, max_size=rows * items)))
    scores = scores.reshape(rows, items).astype(np.float32)
    target = np.array(data.draw(st.lists(st.integers(1, items - 1), min_size=rows, max_size=rows)))
    out = [data.draw(some_items) for _ in range(rows)]
    offsets = np.cumsum([0, *map(len, out)])
    mask = np.zeros((rows, items), dtype=bool)
    for row, listed in enumerate(out):
        mask[row, listed] = True
    compressed = full_ranks(
        scores, target, (offsets, np.array([item for listed in out for item in listed], dtype=np.int32))
    )
    dense = full_ranks(scores, target, mask)
    for row in range(rows):
        rivals = [i for i in range(1, items) if i != target[row] and i not in out[row]]
        own = scores[row, target[row]]
        above = sum(scores[row, i] > own for i in rivals)
        level = sum(scores[row, i] == own for i in rivals)
        assert (compressed.first[row], compressed.last[row]) == (above + 1, above + level + 1)
        assert (dense.first[row], dense.last[row]) == (above + 1, above + level + 1)


def test_padding_never_competes():
    scores = np.array([[9.0, 1.0, 0.5]])
    assert full_ranks(scores, [1]).mean[0] == 1


def test_full_and_stored_candidates_agree():
    """Stored negatives that are all the other items must give the full ranking."""
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 5, (6, 9)).astype(float)
    target = rng.integers(1, 9, 6)
    others = np.array([[i for i in range(1, 9) if i != t] for t in target])
    rows = np.arange(6)
    for ties in ("mean", "optimistic", "pessimistic"):
        stored = ranks(scores[rows, target], scores[rows[:, None], others], ties=ties)
        full = full_ranks(scores, target, ties=ties)
        assert stored.first.tolist() == full.first.tolist()
        assert stored.last.tolist() == full.last.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ranks([1.0], [[0.5]], ties="middle"), ConfigError, "'middle'; known: mean"),
        (lambda: ranks([1.0, 2.0], [[0.5]]), DataError, "must be"),
        (lambda: ranks([nan], [[0.5]]), DataError, "'positive_score'.*NaN"),
        (lambda: ranks([1.0, 1.0], [[0.5], [nan]]), DataError, "row 2, column 'candidate_scores'"),
        (lambda: ranks(np.empty(0), np.empty((0, 3))), DataError, "no rows"),
        (lambda: ranks([1.0], [[0.5]], mask=[[1]]), DataError, "booleans"),
        (lambda: ranks([1.0], [[0.5]], mask=[True]), DataError, "mask must be"),
        (lambda: rank_metrics(ranks([1.0], [[0.5]]), ks=(0,)), ConfigError, "whole number"),
        (lambda: rank_metrics(ranks([1.0], [[0.5]]), ks=(2.5,)), ConfigError, "whole number"),
        (lambda: full_ranks([[0.0, 1.0]], [0]), DataError, "item 0 is not one of the columns 1 to 1"),
        (lambda: full_ranks([[0.0, 1.0]], [2]), DataError, "item 2"),
        (lambda: full_ranks([[0.0, 1.0]], [1.0]), DataError, "integers"),
        (lambda: full_ranks([[0.0, nan]], [1]), DataError, "NaN"),
        (lambda: full_ranks([[0.0, 1.0]], [1, 1]), DataError, "must be"),
        (lambda: full_ranks(np.empty((0, 3)), np.empty(0, int)), DataError, "no rows"),
        (lambda: full_ranks([[0.0, 1.0]], [1], (np.array([0, 1]), np.array([5]))), DataError, "item 5"),
        (lambda: full_ranks([[0.0, 1.0]], [1], (np.array([0]), np.array([1]))), DataError, "offsets"),
        (
            lambda: full_ranks([[0.0, 1.0]] * 2, [1, 1], ([0, 2, 1], [1])),
            DataError,
            "offsets of exclude fall",
        ),
    ],
)
def test_bad_rankings_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- intervals ------------------------------------------------------------------------------------------


def test_paired_interval_by_hand():
    # Differences 1, 2, 3: mean 2, s = 1; t for 2 degrees of freedom at 95% is 4.303 (any t table).
    found = paired_interval([2, 4, 6], [1, 2, 3])
    assert found.mean == 2
    assert found.n == 3
    assert found.high - 2 == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert 2 - found.low == pytest.approx(4.3027 / 3**0.5, rel=1e-4)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_paired_interval_agrees_with_scipy(level):
    a, b = np.random.default_rng(3).normal(size=(2, 8))
    expected = ttest_rel(a, b).confidence_interval(level)
    found = paired_interval(a, b, level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_pairing_is_what_narrows_the_interval():
    """Seeds move both variants together; only the pairing takes that out."""
    rng = np.random.default_rng(4)
    seed_effect = rng.normal(scale=1.0, size=10)
    a, b = seed_effect + 0.1 + rng.normal(scale=0.01, size=10), seed_effect
    paired = paired_interval(a, b)
    assert paired.low > 0
    broken = paired_interval(a, np.roll(b, 1))
    assert broken.low < 0 < broken.high


def test_paired_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 1, (2000, 5)), rng.normal(0.0, 1, (2000, 5))
    found = [paired_interval(x, y, 0.9) for x, y in zip(a, b, strict=True)]
    covered = np.mean([interval.low <= 0.3 <= interval.high for interval in found])
    assert covered == pytest.approx(0.9, abs=0.03)  # the standard error is 0.007


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: paired_interval([1], [2]), DataError, "two seeds"),
        (lambda: paired_interval([1, 2], [1, 2, 3]), DataError, "one length"),
        (lambda: paired_interval([1, nan], [1, 2]), DataError, "row 2"),
        (lambda: paired_interval([1, inf], [1, inf]), DataError, "no finite difference"),
        (lambda: paired_interval([1, 2], [1, 2], level=95), ConfigError, "between 0 and 1"),
    ],
)
def test_bad_pairs_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
