"""Leave-one-out: every user's last item is asked for in the test, the one before in the validation.

DualRec, Section 4.1: sequences in time order, the answer among 99 stored negatives, the same for every model;
here among all items as well. The negatives of validation and test are drawn separately (ambiguity D21).

    task = NextItemTask.of(load("amazon-beauty"), length=50)
    model = DualRec(task.items, DualRecConfig())
    train(model, task, config, seed=0)                # workbench.lab.dualrec_trials
    measured(rank(all_items(model), task.test))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import LeaveOneOut, leave_one_out
from workbench.errors import ConfigError
from workbench.lab.ranking import Questions


@dataclass(frozen=True, eq=False)
class NextItemTask:
    """A log of sequences, and what is asked about it.

    log : the clicks of a log, nothing else; split : of its rows; length : n, items read at most;
    validation, test : one question a user; learners : codes of the users whose sequences are trained on.
    """

    log: Interactions
    split: LeaveOneOut
    length: int
    validation: Questions
    test: Questions
    learners: np.ndarray

    @classmethod
    def of(
        cls,
        log: Interactions,
        length: int = 50,
        negatives: int = 99,
        seed: int = 0,
        train_users: float = 1.0,
    ) -> NextItemTask:
        """Rows with label 0 are left out: nobody chose what they say.

        train_users : share of the users who are trained on, drawn with the seed; a smaller share is part of
        every larger one. All of them are asked.

        Raises ConfigError for a length below 3 and a share that is not above 0 and at most 1, DataError when
        no user has three clicks, or one has fewer other items than negatives.
        """
        if length < 3:
            raise ConfigError(f"a sequence needs three items to have both a past and a future, not {length}")
        if not 0 < train_users <= 1:
            raise ConfigError(f"train_users is a share above 0 and at most 1, not {train_users!r}")
        if not log.label.all():
            log = log.rows(np.flatnonzero(log.label == 1))
        histories, split = Histories.of(log), leave_one_out(log)

        def questions(purpose: str) -> Questions:
            rows = getattr(split, purpose)
            windows = histories.window(*histories.before(rows, length), length)
            return Questions.about(log, rows, windows, purpose, negatives, seed)

        learners = np.unique(log.user)
        if train_users < 1:
            some = max(round(train_users * len(learners)), 1)
            learners = np.random.default_rng(seed).permutation(learners)[:some]
        return cls(log, split, length, questions("validation"), questions("test"), learners)

    @property
    def items(self) -> int:
        """Codes of items, 0 included."""
        return self.log.size("item")

    @cached_property
    def training(self) -> Sequences:
        """All items of a learner but the last two, of those who have three left."""
        rows = self.split.train
        return Sequences.of(self.log.rows(rows[np.isin(self.log.user[rows], self.learners)]), self.length)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Users' items one after the other.

    items : (m,) int64; user : (n,) codes; start, count : (n,) of each sequence in items; length : read at
    most.
    """

    items: Tensor
    user: Tensor
    start: Tensor
    count: Tensor
    length: int

    @classmethod
    def of(cls, log: Interactions, length: int) -> Sequences:
        """The rows of every user who has three, oldest first: fewer have no item between two others."""
        histories = Histories.of(log)
        count = np.diff(histories.offsets)
        long_enough = count >= 3
        return cls(
            torch.from_numpy(log.item[histories.events].astype(np.int64)),
            torch.from_numpy(np.flatnonzero(long_enough)),
            torch.from_numpy(histories.offsets[:-1][long_enough]),
            torch.from_numpy(count[long_enough]),
            length,
        )

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def read(self) -> Tensor:
        """(n,) items that are read of each: at most ``length``."""
        return self.count.clamp(max=self.length)

    def windows(self, index: Tensor) -> Tensor:
        """(B, T) items of some sequences, padded with 0 on the right to the longest of them.

        Of a sequence that is too long, any stretch of ``length`` items, drawn from torch's generator.
        """
        read = self.read[index]
        spare = self.count[index] - read
        first = self.start[index] + (torch.rand(len(index)) * (spare + 1)).long().clamp(max=spare)
        place = torch.arange(int(read.max()))
        there = place < read[:, None]
        return self.items[torch.where(there, first[:, None] + place, 0)] * there
