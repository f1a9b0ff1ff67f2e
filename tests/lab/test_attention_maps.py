"""Mean attention against loops, and one history's in the order of time."""

import numpy as np
import pytest
import torch

from workbench.errors import DataError
from workbench.lab.attention_maps import attention_of, mean_attention
from workbench.lab.lift import made
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig


def model(**changes: object) -> DualRec:
    config = {"length": 6, "width": 8, "heads": 2, "layers": 2, **changes}
    return made(lambda: DualRec(12, DualRecConfig(**config)), 0)


HISTORY = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0], [10, 11, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]])


def test_the_mean_is_that_of_loops_with_the_newest_item_last() -> None:
    dual = model(dropout=0.5)
    found = mean_attention(dual, HISTORY, batch=3)
    expected, count = np.zeros((2, 6, 6)), np.zeros(6)
    for row in HISTORY:
        n = int((row > 0).sum())
        weights = attention_of(dual, row[:n]).mean(1)  # over heads
        expected[:, 6 - n :, 6 - n :] += weights
        count[6 - n :] += 1
    np.testing.assert_allclose(found, expected / count[:, None], atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert dual.training, "the model is left as it was found"


def test_places_that_no_history_reaches_stay_empty() -> None:
    found = mean_attention(model(), HISTORY[1:])
    assert not found[:, :3].any()
    assert found[:, 3:].any((1, 2)).all()


def test_one_history_is_shown_in_the_order_of_time() -> None:
    dual = model(dropout=0.0)
    past, future = (attention_of(dual, HISTORY[0], direction) for direction in ("past", "future"))
    assert past.shape == future.shape == (2, 2, 6, 6)
    assert not np.triu(past, 1).any()
    assert not np.tril(future, -1).any()
    for weights in (past, future):
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    # its first head has window 2: position 1 looks at 1, 2, 3 of the future
    assert (future[0, 0, 0, :3] > 0).all()
    assert not future[0, 0, 0, 3:].any()


def test_an_encoder_without_attention_is_refused() -> None:
    recurrent = model(backbone="gru4rec", layers=1)
    for ask in (lambda: mean_attention(recurrent, HISTORY), lambda: attention_of(recurrent, HISTORY[0])):
        with pytest.raises(DataError, match="does not attend"):
            ask()
        assert recurrent.training, "the model is left as it was found"
