"""The two controls: what their second encoders read, and that all else is DualRec's."""

from dataclasses import replace

import pytest
import torch

from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig
from workbench.methods.dualrec_controls import PastTwice, Stranger

ITEMS = 30
SMALL = DualRecConfig(length=12, width=16, heads=4, layers=2, dropout=0.0)


def rows(*lengths: int) -> torch.Tensor:
    drawn = torch.randint(1, ITEMS, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    return drawn * (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])


def test_twice_the_past_reads_no_future_and_compares_like_with_like() -> None:
    torch.manual_seed(0)
    model, some, length = PastTwice(ITEMS, SMALL), rows(6, 4), torch.tensor([6, 4])
    assert all(torch.equal(part, some) for pair in model.rows(some, length).values() for part in pair)
    place = torch.arange(6).expand(2, -1)[..., None, None]
    past, future = model._compared(place, place + 10, length)
    assert past.flatten().tolist() == [0, 1, 2, 3, 0, 1]
    assert torch.equal(past + 10, future)
    assert not torch.equal(model.future.bias.table, model.past.bias.table)
    model.future.load_state_dict(model.past.state_dict())
    assert torch.isclose(model.transfer(model.read(some), model.read(some), length), torch.tensor(0.0))


def test_twice_the_past_can_compare_means_of_heads_as_the_authors_do() -> None:
    model = PastTwice(ITEMS, replace(SMALL, transfer="mean"))
    ones, length = torch.ones(2, 6, 4, 4), torch.tensor([6, 4])
    past, future = model._compared(ones, 2 * ones, length)
    assert torch.allclose(past[:, 0, 0], length / SMALL.length)
    assert torch.allclose(future, 2 * past)


def test_a_stranger_reads_anothers_row_and_foretells_this_one() -> None:
    torch.manual_seed(0)
    some, length = rows(*[6] * 40), torch.full((40,), 6)
    (read, foretold) = Stranger(ITEMS, SMALL).rows(some, length)["future"]
    assert torch.equal(foretold, some.flip(1))
    assert sorted(read.tolist()) == sorted(foretold.tolist())
    assert (read != foretold).any(1).all(), "somebody is their own stranger"


@pytest.mark.parametrize("kind", [PastTwice, Stranger])
def test_they_predict_with_the_past_encoder_and_cost_as_much(kind: type) -> None:
    torch.manual_seed(0)
    model, plain = kind(ITEMS, SMALL), DualRec(ITEMS, SMALL)
    sizes = [sum(p.numel() for p in one.parameters()) for one in (model, plain)]
    assert sizes[0] - sizes[1] == (model.future.bias.table.numel() if kind is PastTwice else 0)
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("future.")}
    plain.load_state_dict(kept, strict=False)
    user, history = torch.zeros(2, dtype=torch.int64), rows(6, 4)
    assert torch.equal(model.eval()(user, history), plain.eval()(user, history))
    assert torch.isfinite(model.training_loss(user, history))
