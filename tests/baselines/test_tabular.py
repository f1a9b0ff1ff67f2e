"""Boosted trees and DeepFM: columns by hand and by brute force, the pairs of the factorisation machine."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from workbench.baselines.tabular import GBDT, DeepFM, RowColumns, earlier
from workbench.errors import ConfigError, DataError
from workbench.lab.metrics import auc
from workbench.methods.layers import Events, Sample


def rows(n: int, sizes: tuple[int, ...], seed: int = 0):
    """Random codes (n, M), labels and times with ties, unsorted."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in sizes], axis=1).astype(np.int32)
    return codes, rng.integers(0, 2, n).astype(np.int8), rng.integers(0, n // 3, n)


# --- columns --------------------------------------------------------------------------------------------


def test_earlier_counts_rows_of_strictly_earlier_times():
    codes, label, time = rows(60, (4,))
    code = codes[:, 0]
    count, clicks = earlier(code, label, time)
    for i in range(60):
        before = (code == code[i]) & (time < time[i])
        assert (count[i], clicks[i]) == (before.sum(), label[before].sum())


def test_columns_by_hand():
    """Values 2, 2, 1, 2 at times 1, 2, 2, 3 with labels 1, 0, 1, 0, and a prior of two rows."""
    columns = RowColumns((4,), prior=2)
    codes, time = np.array([[2], [2], [1], [2]]), np.array([1, 2, 2, 3])
    place, rate, count = columns.of_fit(codes, np.array([1, 0, 1, 0]), time).T
    assert place.tolist() == [1, 1, 2, 1]  # 2 is the most frequent value, then 1
    np.testing.assert_allclose(np.expm1(count), [0, 1, 0, 2])
    general = [1 / 2, 2 / 3, 2 / 3, 3 / 5]  # (clicks + 1) / (rows + 2) of all earlier rows
    expected = [general[0], (1 + 2 * general[1]) / 3, general[2], (1 + 2 * general[3]) / 4]
    np.testing.assert_allclose(rate, expected)

    place, rate, count = columns.of_later(np.array([[1], [2], [3], [0]]), np.array([4, 9, 4, 4])).T
    assert place.tolist() == [2, 1, 0, 0]  # 3 was never seen, 0 is unknown
    np.testing.assert_allclose(np.expm1(count), [1, 3, 0, 0])
    np.testing.assert_allclose(rate, [(1 + 2 / 2) / 3, (1 + 2 / 2) / 5, 1 / 2, 1 / 2])  # general: 3 / 6


def test_no_row_of_the_fit_knows_its_own_label_or_a_later_one():
    codes, label, time = rows(90, (5, 7))
    before = RowColumns((5, 7), prior=5).of_fit(codes, label, time)
    for i in range(0, 90, 7):
        flipped = label.copy()
        flipped[i] = 1 - flipped[i]
        after = RowColumns((5, 7), prior=5).of_fit(codes, flipped, time)
        np.testing.assert_array_equal(after[time <= time[i]], before[time <= time[i]])
    assert (after != before).any()  # some later row does hear of it


def test_the_unknown_value_has_no_rate_of_its_own():
    codes, label, time = np.zeros((4, 1), int), np.array([1, 1, 0, 1]), np.arange(4)
    columns = RowColumns((3,), prior=2)
    place, rate, count = columns.of_fit(codes, label, time).T
    assert not place.any()
    assert not count.any()
    np.testing.assert_allclose(rate, [1 / 2, 2 / 3, 3 / 4, 3 / 5])  # the general rate alone


def test_a_field_with_many_values_keeps_its_254_most_frequent():
    often = np.repeat(np.arange(1, 255), 2)
    code = np.concatenate([np.arange(255, 401), often])  # 146 values once, before 254 values twice
    label = np.arange(len(code)) % 2
    columns = RowColumns((402,), prior=1)
    place = columns.of_fit(code[:, None], label, np.arange(len(code)))[:, 0]
    assert not place[:146].any()
    assert set(place[146:]) == set(range(1, 255))
    assert columns.of_later(np.array([[401], [1]]), np.array([9999, 9999]))[:, 0].tolist() == [0, 1]


# --- trees ----------------------------------------------------------------------------------------------


def item_rule(n: int, seed: int):
    """500 items, even ones clicked nine times of ten, odd ones once; a second field is noise."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(1, 501, n), rng.integers(1, 4, n)], axis=1)
    label = (rng.random(n) < np.where(codes[:, 0] % 2 == 0, 0.9, 0.1)).astype(np.int8)
    return codes, label


@pytest.mark.parametrize("stop", [False, True])
def test_trees_learn_a_rule_over_more_values_than_the_booster_has_categories(stop):
    codes, label = item_rule(8000, seed=0)
    time = np.arange(8000)
    later_codes, later_label = item_rule(1000, seed=1)
    later = np.full(1000, 8000)
    trees = GBDT((501, 4), trees=30, learning_rate=0.2, patience=2)
    trees.fit(codes, label, time, (later_codes, later_label, later) if stop else None)
    assert auc(later_label, trees.logits(later_codes, later)) > 0.85  # all that can be reached: 0.9
    assert (trees.booster.n_iter_ < 30) == stop


def test_trees_give_the_same_numbers_twice():
    codes, label, time = rows(400, (6, 9))
    later = np.full(400, 1000)
    one, two = (GBDT((6, 9), trees=5).fit(codes, label, time).logits(codes, later) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float64
    assert np.unique(one).size > 5


def test_rows_that_are_not_later_than_the_fit_are_refused():
    codes, label, time = rows(120, (6, 9))
    trees = GBDT((6, 9), trees=2).fit(codes, label, time)
    late = np.array([time.max() + 1, time.max()])
    with pytest.raises(DataError, match=r"row 2: the time .* is not later"):
        trees.logits(codes[:2], late)
    with pytest.raises(DataError, match="not later"):
        GBDT((6, 9), trees=2).fit(codes, label, time, validation=(codes, label, time))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c, y, t: (c[:, :1], y, t), r"codes must be \(n, 2\)"),
        (lambda c, y, t: (c, y, t[1:]), "times"),
        (lambda c, y, t: (c[:0], y[:0], t[:0]), "codes must be"),
        (lambda c, y, t: (c, y[1:], t), "label"),
        (lambda c, y, t: (c, y * 0, t), "both must occur"),
        (lambda c, y, t: (c, y * 2, t), "0 or 1"),
        (lambda c, y, t: (c + 1, y, t), "field . has the codes 0 to"),
        (lambda c, y, t: (c - 1, y, t), "field . has the codes 0 to"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(spoil, message):
    with pytest.raises(DataError, match=message):
        GBDT((6, 9), trees=2).fit(*spoil(*rows(60, (6, 9))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0}, {"leaves": 1}, {"learning_rate": 0}, {"min_leaf": 0}, {"l2": -1}, {"prior": 0},
        {"patience": 0}, {"sizes": ()}, {"prior": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_configuration_of_the_trees_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GBDT(**{"sizes": (3, 4), **wrong})


# --- DeepFM ---------------------------------------------------------------------------------------------


def test_pairs_equal_the_sum_over_all_pairs():
    v = torch.randn(3, 5, 4, dtype=torch.float64)
    expected = sum((v[:, i] * v[:, j]).sum(-1) for i, j in combinations(range(5), 2))
    torch.testing.assert_close(DeepFM.pairs(v), expected)


def test_deepfm_by_hand():
    """Embeddings a = 2, b = 3, weights 0.5, 0.25, a deep part 10 a + 100 b + 1000."""
    model = DeepFM((3, 3), width=1, mlp=())
    with torch.no_grad():
        model.fields.table.copy_(torch.tensor([[9.0, 2, 8, 9, 8, 3]]).T)
        model.first.table.copy_(torch.tensor([[9.0, 0.5, 8, 9, 8, 0.25]]).T)
        model.deep[0].weight.copy_(torch.tensor([[10.0, 100]]))
        model.deep[0].bias.fill_(1000)
    target = Events(torch.tensor([[1, 2], [1, 0]]), None, torch.ones(2, dtype=torch.bool))
    logits = model(Sample(target))
    assert logits.tolist() == [6 + 0.75 + 20 + 300 + 1000, 0.5 + 20 + 1000]  # unknown b: nothing
    assert model(Sample(target), return_weights=True)[1] is None
