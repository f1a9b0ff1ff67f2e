"""The cross-entropy over all items that never holds all scores, beside the library's."""

import pytest
import torch
from torch.nn import functional

from workbench.methods import next_item
from workbench.methods.next_item import full_softmax


def drawn(steps: int, items: int = 11, biased: bool = True, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    query = torch.randn(steps, 5, dtype=dtype, requires_grad=True)
    vectors = torch.randn(items, 5, dtype=dtype, requires_grad=True)
    bias = torch.randn(items, dtype=dtype, requires_grad=True) if biased else None
    return query, torch.randint(1, items, (steps,)), vectors, bias, torch.rand(steps, dtype=dtype)


def library(query, target, vectors, bias, weight) -> torch.Tensor:
    scores = query @ vectors[1:].T + (0 if bias is None else bias[1:])
    return (functional.cross_entropy(scores, target - 1, reduction="none") * weight).sum()


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("steps", [1, 3, 4, 8, 9])
def test_loss_and_gradients_are_the_librarys(monkeypatch, steps: int, biased: bool) -> None:
    monkeypatch.setattr(next_item, "AT_ONCE", 4)
    given = drawn(steps, biased=biased)
    wanted = [x for x in given[:4] if x is not None and x.requires_grad]
    mine, theirs = full_softmax(*given), library(*given)
    assert torch.isclose(mine, theirs, rtol=1e-6)
    both = [torch.autograd.grad(3 * loss, wanted) for loss in (mine, theirs)]
    for a, b in zip(*both, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert not both[0][1][0].any()  # code 0 is no item


def test_the_gradients_are_those_of_finite_differences() -> None:
    query, target, vectors, bias, weight = drawn(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda q, v, b: full_softmax(q, target, v, b, weight), (query, vectors, bias)
    )


def test_large_scores_do_not_overflow() -> None:
    query, target, vectors, bias, weight = drawn(4)
    given = (query * 300, target, vectors, bias, weight)
    assert torch.isclose(full_softmax(*given), library(*given), rtol=1e-5)


def test_all_steps_weigh_one_by_default() -> None:
    query, target, vectors, bias, _ = drawn(4)
    assert torch.isclose(
        full_softmax(query, target, vectors, bias), library(query, target, vectors, bias, 1.0)
    )


def test_no_steps_cost_nothing() -> None:
    query, target, vectors, bias, weight = drawn(0)
    loss = full_softmax(query, target, vectors, bias, weight)
    loss.backward()
    assert loss == 0
    assert not vectors.grad.any()
