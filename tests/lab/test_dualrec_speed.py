"""What is timed is the real thing: the same users for all peers, and the steps it says."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from workbench.lab import dualrec_speed
from workbench.lab.dualrec_speed import drawn, growth, library_dropout, measurements, padded_loss, passes
from workbench.methods import dualrec
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig

ITEMS = 30


def test_drawn_sequences_are_as_long_as_those_of_beauty() -> None:
    training = drawn(5000, 100)
    assert 6.5 < training.count.float().mean() < 7.3
    assert training.count.min() == 3
    assert training.windows(torch.tensor([0])).shape[1] == training.read[0]
    assert drawn(7, 100, 12).count.tolist() == [12] * 7


def test_all_systems_train_on_the_same_users(monkeypatch) -> None:
    monkeypatch.setattr(dualrec_speed, "BATCH", 8)
    training, seen = drawn(64, 50), []
    real = type(training).windows

    def windows(self, index: torch.Tensor) -> torch.Tensor:
        seen.append(index)
        return real(self, index)

    monkeypatch.setattr(type(training), "windows", windows)
    users = []
    for run in passes(training, 50, 2).values():
        seen.clear()
        run()
        assert [len(index) for index in seen] == [8] * 4  # every second batch
        users.append(sorted(torch.cat(seen).tolist()))
    assert users[0] == users[1] == users[2]


def test_the_peers_have_the_librarys_dropout_and_only_they() -> None:
    own = dualrec.dropout
    with library_dropout():
        assert dualrec.dropout is functional.dropout
    assert dualrec.dropout is own


def test_every_row_is_measured() -> None:
    found = list(measurements("tiny"))
    assert {row.peer for row in found} == {"padded", "plain", "past encoder alone"}
    assert {"predict", "train, items=200", "train, length=5"} < {row.case for row in found}
    assert all(row.median_s > 0 for row in found)


def test_growth_times_the_same_systems_at_every_setting() -> None:
    found = growth("tiny")
    assert set(map(tuple, found[["knob", "setting"]].to_numpy())) == {
        ("items", 200), ("items", 400), ("length", 5), ("length", 8),
    }  # fmt: skip
    assert found.groupby("knob")["system"].agg(set).map(len).tolist() == [3, 3]
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize("every_position", [True, False])
def test_the_padded_peers_have_the_same_loss_and_gradients(every_position: bool) -> None:
    torch.manual_seed(0)
    some = torch.randint(1, ITEMS, (3, 12)) * (torch.arange(12) < torch.tensor([12, 9, 5])[:, None])
    model = DualRec(ITEMS, DualRecConfig(length=12, width=16, heads=4, dropout=0.0))
    with torch.no_grad():  # a start far from zero, so that every part has a say
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.item.weight[0] = 0
    ours = model.training_loss(torch.zeros(3), some)
    theirs = padded_loss(model, some, every_position)
    assert torch.isclose(ours, theirs, rtol=1e-5)
    pairs = (torch.autograd.grad(loss, list(model.parameters())) for loss in (ours, theirs))
    for a, b in zip(*pairs, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
