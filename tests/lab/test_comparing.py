"""The task of telling whether two vectors agree: its probabilities, and who learns it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import norm

from workbench.lab import comparing
from workbench.lab.comparing import MULTIPLIED, SIDE_BY_SIDE, Compared, comparing_aucs, pairs


def test_the_label_is_drawn_with_the_probability_of_the_scaled_inner_product():
    some = pairs(20_000, 9, 0)
    by_hand = [
        1 / (1 + np.exp(-float(a @ b) / 3)) for a, b in zip(some.first[:5], some.second[:5], strict=True)
    ]
    np.testing.assert_allclose(some.truth[:5], by_hand, rtol=1e-5)
    for low in np.arange(0.1, 0.9, 0.2):  # clicks are as frequent as they are likely, in every tenth
        within = (some.truth >= low) & (some.truth < low + 0.2)
        expected, n = some.truth[within].mean(), int(within.sum())
        assert abs(some.label[within].mean() - expected) < norm.ppf(0.9999) * 0.5 / n**0.5


def test_a_seed_gives_the_same_pairs_and_another_seed_others():
    assert torch.equal(pairs(5, 3, 1, 2).first, pairs(5, 3, 1, 2).first)
    assert not torch.equal(pairs(5, 3, 1, 2).first, pairs(5, 3, 1, 3).first)


def test_products_are_weighted_inner_products():
    model = Compared(3, multiplied=True)
    with torch.no_grad():
        model.metric.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]))
    seen = []
    model.mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(torch.tensor([[1.0, 2, 3]]), torch.tensor([[4.0, 5, 6]]))
    assert seen[0].tolist() == [[1, 2, 3, 4, 5, 6, 4, 10, 18, 32]]


def test_side_by_side_has_no_products():
    assert Compared(3, multiplied=False).mlp[0].in_features == 6


def test_products_learn_from_few_rows_what_side_by_side_does_not(monkeypatch):
    monkeypatch.setattr(comparing, "TEST", 3_000)
    monkeypatch.setattr(comparing, "VALIDATION", 1_000)
    found = comparing_aucs(rows=(800,), size=16, seeds=(0,)).set_index("input")
    assert found.loc[MULTIPLIED, "auc"] > found.loc[SIDE_BY_SIDE, "auc"] + 0.1
    assert found.loc[MULTIPLIED, "auc"] < found.loc[MULTIPLIED, "ceiling"] + 0.01
    assert abs(found.loc[SIDE_BY_SIDE, "auc"] - 0.5) < 0.06
