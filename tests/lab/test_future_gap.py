"""The training-inference gap: who is asked, what is read, and a gap that a known model has."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from workbench.baselines.masked_items import BERT4Rec
from workbench.data import load
from workbench.errors import DataError
from workbench.lab.future_gap import BOTH, PAST, Learner, losses, middles, prefix_loss, watched
from workbench.lab.leave_one_out import NextItemTask
from workbench.lab.lift import made
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import DualRecConfig


@pytest.fixture(scope="module")
def task() -> NextItemTask:
    return NextItemTask.of(load("world:tiny", 0), 8, 20, train_users=0.5)


def masked(task: NextItemTask) -> BERT4Rec:
    return made(
        lambda: BERT4Rec(1, task.items, width=8, length=8, layers=1, heads=2, dropout=0.3, last=0.0), 0
    )


def dual(task: NextItemTask) -> DualRec:
    return made(lambda: DualRec(task.items, DualRecConfig(length=8, width=8, heads=2, layers=1)), 0)


def test_only_users_that_nobody_learnt_from_are_asked(task: NextItemTask) -> None:
    rows = middles(task)
    assert rows.shape[1] == 8
    log, newest = task.log, {}
    for user in np.setdiff1d(np.unique(log.user), task.learners):
        items = log.item[log.user == user]
        if len(items) >= 8:
            newest[user] = items[-8:].tolist()
    assert sorted(rows.tolist()) == sorted(newest.values())


def test_nobody_left_to_ask_is_an_error() -> None:
    with pytest.raises(DataError, match="left to ask"):
        middles(NextItemTask.of(load("world:tiny", 0), 8, 20))


def test_losses_are_cross_entropies_of_the_item_in_the_middle(task: NextItemTask) -> None:
    model, rows = masked(task), middles(task)
    found = losses(model, rows)
    assert model.training
    model.eval()
    hidden = torch.zeros_like(rows, dtype=torch.bool)
    hidden[:, 4] = True
    with torch.no_grad():
        for reads, query in {
            BOTH: model.read(rows, hidden)[0][:, 4],
            PAST: model(torch.zeros(len(rows), dtype=torch.int64), rows[:, :4]),
        }.items():
            scores = query @ model.item.weight.T + model.bias
            scores[:, 0] = -torch.inf
            assert found[reads] == pytest.approx(
                functional.cross_entropy(scores, rows[:, 4]).item(), rel=1e-5
            )


def test_what_comes_later_moves_one_loss_only(task: NextItemTask) -> None:
    rows = middles(task)
    later = rows.clone()
    later[:, 5:] = rows.flip(0)[:, 5:]
    model = masked(task)
    before, after = losses(model, rows), losses(model, later)
    assert before[PAST] == after[PAST]
    assert before[BOTH] != after[BOTH]
    assert losses(dual(task), rows) == losses(dual(task), later)


def test_the_target_itself_is_never_read(task: NextItemTask) -> None:
    """All targets become one item: its loss is that of a model that is not told so."""
    rows = middles(task)
    other = rows.clone()
    other[:, 4] = 1
    for model in (masked(task), dual(task)):
        model.eval()
        told = [losses(model, some) for some in (rows, other)]
        scores = model.score_all(torch.zeros(len(rows), dtype=torch.int64), rows[:, :4])
        scores[:, 0] = -torch.inf  # padding
        share = -functional.log_softmax(scores.double(), -1)[:, 1].mean().item()
        assert told[1][PAST] == pytest.approx(share, rel=1e-4)


def test_every_epoch_of_every_model_is_noted(task: NextItemTask) -> None:
    learners = {"masked": Learner(masked(task), 3, prefixes=2), "dual": Learner(dual(task), 2)}
    found = watched(learners, task, lr=1e-3, seed=0)
    assert found.groupby(["model", "reads"])["epoch"].agg(list).to_dict() == {
        ("masked", BOTH): [1, 2, 3], ("masked", PAST): [1, 2, 3], ("dual", PAST): [1, 2],
    }  # fmt: skip
    assert found["loss"].between(1, 12).all()


def test_prefixes_of_all_lengths_are_read_as_often(task: NextItemTask) -> None:
    class Probe(torch.nn.Linear):
        def training_loss(self, user: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            self.told = user, rows
            return rows.sum()

    probe, training = Probe(1, 1), task.training
    training = replace(training, count=training.count.clamp(max=8))  # nothing to draw but the prefix
    index = (training.count == 8).nonzero()[:1, 0]
    row = training.windows(index)[0]
    torch.manual_seed(0)
    prefix_loss(training, 7_000)(probe, index)
    user, rows = probe.told
    assert (user == training.user[index]).all()
    lengths = (rows > 0).sum(1)
    assert all(torch.equal(one[:n], row[:n]) for one, n in zip(rows[:200], lengths[:200], strict=True))
    counts = lengths.bincount(minlength=9)[2:]
    assert counts.sum() == 7_000
    assert (counts - 1_000).abs().max() < 150  # five standard errors
