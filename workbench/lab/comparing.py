"""How many rows does a network need until it can tell whether two vectors agree?

LIFT, Eq. 17 lays the user's history h_t and the contexts e_r^h, e_r^f side by side and leaves the rest to an
MLP. What the prediction needs is a comparison of the two. Here is that task alone, with nothing else in it,
for lesson 04: two random vectors, and clicks that come more often the better the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.lab.metrics import auc
from workbench.lab.training import fit, seeded
from workbench.methods.layers import MLP

SIDE_BY_SIDE, MULTIPLIED = "side by side", "with products"
EPOCHS, PATIENCE = 12, 3
TEST, VALIDATION = 10_000, 4_000
PRODUCTS = 4  # weighted inner products, as many as the predictor's ``match`` takes of each context


class Pairs(NamedTuple):
    """n pairs of vectors: first, second (n, v); label (n,) 0.0 or 1.0; truth (n,) the probability of 1."""

    first: Tensor
    second: Tensor
    label: Tensor
    truth: Tensor


def pairs(n: int, size: int, *seed: int) -> Pairs:
    """Standard normal vectors; P(label = 1) is the sigmoid of their inner product over sqrt(v)."""
    with seeded(*seed):
        first, second = torch.randn(2, n, size)
        truth = torch.sigmoid((first * second).sum(-1) / math.sqrt(size))
        return Pairs(first, second, torch.bernoulli(truth), truth)


class Compared(nn.Module):
    """The MLP of the predictor on [a, b], with or without weighted inner products of a and b beside them."""

    def __init__(self, size: int, multiplied: bool) -> None:
        super().__init__()
        self.metric = None
        if multiplied:
            self.metric = nn.Parameter((1 + 0.3 * torch.randn(PRODUCTS, size)) / math.sqrt(size))
        self.mlp = MLP([2 * size + PRODUCTS * multiplied, 64, 32, 1], 0.2)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, v), (B, v) -> logits (B,)."""
        hidden = [first, second]
        if self.metric is not None:
            hidden.append((first * second) @ self.metric.T)
        return self.mlp(torch.cat(hidden, -1)).squeeze(-1)


def comparing_aucs(
    rows: Sequence[int] = (1_000, 4_000, 15_000, 60_000), size: int = 32, seeds: Sequence[int] = (0,)
) -> pd.DataFrame:
    """Test AUC of both networks for each number of training rows; the best epoch by validation AUC.

    Returns columns input (SIDE_BY_SIDE or MULTIPLIED), rows, seed, auc, ceiling (AUC of the true
    probabilities on the same test rows).
    """
    found = []
    for seed in seeds:
        test, held = pairs(TEST, size, seed, 1), pairs(VALIDATION, size, seed, 2)
        best = auc(test.label.numpy(), test.truth.numpy())
        most = pairs(max(rows), size, seed, 3)
        for n in rows:
            known = Pairs(*(part[:n] for part in most))
            for name in (SIDE_BY_SIDE, MULTIPLIED):
                reached = _trained(known, held, test, name == MULTIPLIED, seed)
                found.append((name, n, seed, reached, best))
    return pd.DataFrame(found, columns=["input", "rows", "seed", "auc", "ceiling"])


def _trained(known: Pairs, held: Pairs, test: Pairs, multiplied: bool, seed: int) -> float:
    """Test AUC of one network trained on some pairs."""
    with seeded(seed):
        model = Compared(known.first.shape[1], multiplied)

    def loss(model: nn.Module, index: Tensor) -> Tensor:
        logits = model(known.first[index], known.second[index])
        return functional.binary_cross_entropy_with_logits(logits, known.label[index])

    n = len(known.label)
    fit(
        model, loss, n, epochs=EPOCHS, batch=512, lr=2e-3, weight_decay=0.01, seed=seed,
        score=lambda m: _auc(m, held), patience=PATIENCE,
    )  # fmt: skip
    return _auc(model, test)


def _auc(model: nn.Module, some: Pairs) -> float:
    with torch.no_grad():
        return auc(some.label.numpy(), model(some.first, some.second).numpy())
