"""The training-inference gap (DualRec, Section 1): what a model loses when its future is hidden.

Asked are items in the middle of the rows of users nobody learnt from. A masked model answers twice: with both
sides there, P(i | past, future), as in its training, and with the past alone, P(i | past), as in its use. A
model that reads the past has one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.baselines.masked_items import BERT4Rec
from workbench.data.histories import Histories
from workbench.errors import DataError
from workbench.lab.dualrec_trials import window_loss
from workbench.lab.leave_one_out import NextItemTask, Sequences
from workbench.lab.training import Loss, asking, fit
from workbench.methods.next_item import NextItem, full_softmax

BOTH, PAST = READS = ("both sides", "past")


def middles(task: NextItemTask) -> Tensor:
    """(n, T) item codes: the newest T = ``task.length`` items of each user who has so many and did not train;
    the one asked for stands at T // 2.

    Raises DataError when there is nobody to ask.
    """
    histories = Histories.of(task.log)
    long_enough = np.flatnonzero(np.diff(histories.offsets) >= task.length)
    others = np.setdiff1d(long_enough, task.learners)
    if not len(others):
        raise DataError(
            f"nobody with {task.length} items is left to ask",
            file=task.log.name,
            fix="Train on a share of the users (train_users), and read shorter rows",
        )
    stop = histories.offsets[others + 1]
    rows = histories.window(stop - task.length, stop, task.length)
    return torch.from_numpy(task.log.item[rows].astype(np.int64))


def losses(model: NextItem, rows: Tensor) -> dict[str, float]:
    """Cross-entropy among all items of the middles of rows (n, T): by what is read of them.

    Only a BERT4Rec is asked with "both sides".
    """
    place = rows.shape[1] // 2
    rows = rows.to(next(model.parameters()).device)
    nobody = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    vectors, bias = model.vectors()
    with asking(model):
        queries = {PAST: model(nobody, rows[:, :place])}
        if isinstance(model, BERT4Rec):
            hidden = torch.zeros_like(rows, dtype=torch.bool)
            hidden[:, place] = True
            queries = {BOTH: model.read(rows, hidden)[0][:, place], **queries}
        found = {
            reads: float(full_softmax(query, rows[:, place], vectors, bias)) / len(rows)
            for reads, query in queries.items()
        }
    return found


class Learner(NamedTuple):
    """A model to train, and its epochs; with ``prefixes`` on so many random prefixes of each row instead of
    the row, so that it meets rows of every length, as it will in use."""

    model: NextItem
    epochs: int
    prefixes: int = 0


def watched(
    learners: Mapping[str, Learner], task: NextItemTask, lr: float, seed: int, batch: int = 64
) -> pd.DataFrame:
    """Train each learner, and ask it after every epoch: columns model, reads, epoch, loss."""
    asked, training, found = middles(task), task.training, []
    for name, (model, epochs, prefixes) in learners.items():

        def note(
            epoch: int, epochs: int, step: int, steps: int, history: list, name=name, model=model
        ) -> None:
            if step == steps:
                found.extend((name, reads, epoch, loss) for reads, loss in losses(model, asked).items())

        loss = prefix_loss(training, prefixes) if prefixes else window_loss(training, model)
        fit(
            model, loss, len(training), epochs=epochs, batch=batch, lr=lr, clip=5.0, seed=seed,
            alike=training.read, on_progress=note,
        )  # fmt: skip
    return pd.DataFrame(found, columns=["model", "reads", "epoch", "loss"])


def prefix_loss(training: Sequences, prefixes: int) -> Loss:
    """The model's own loss on so many prefixes of every row, of 2 items up to all, each as likely."""

    def loss(model: NextItem, index: Tensor) -> Tensor:
        index = index.repeat(prefixes)
        device = next(model.parameters()).device
        rows = training.windows(index).to(device)
        length = (rows > 0).sum(1)
        more = (torch.rand(len(rows), device=device) * (length - 1)).long()
        kept = 2 + more.clamp(max=length - 2)
        rows = rows * (torch.arange(rows.shape[1], device=device) < kept[:, None])
        return model.training_loss(training.user[index].to(device), rows[:, : int(kept.max())])

    return loss
