"""What is timed is the real thing: the same users for all peers, and the steps it says."""

from __future__ import annotations

import torch
from torch.nn import functional

from workbench.lab import dualrec_speed
from workbench.lab.dualrec_speed import drawn, library_dropout, measurements, passes
from workbench.methods import dualrec


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
