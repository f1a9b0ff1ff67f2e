"""Leave-one-out by hand: who is asked what, what was known before, and what a model may learn from."""

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError
from workbench.lab.leave_one_out import NextItemTask


def log(*sequences: str, extra: str = "uvwxyz") -> Interactions:
    """One user a word, one item a letter, in time order; a last user has all other letters."""
    rows = [(f"user {i}", item, t, 1) for i, word in enumerate(sequences) for t, item in enumerate(word)]
    rows += [("zoe", item, t, 1) for t, item in enumerate(extra)]
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp", "label"])
    return Interactions.from_frame(frame, name="tiny")


def letters(task: NextItemTask, codes: np.ndarray) -> list[str]:
    return ["".join(task.log.value("item", int(c)) for c in row if c) for row in np.atleast_2d(codes)]


def test_the_last_item_is_asked_for_and_the_one_before_in_validation() -> None:
    task = NextItemTask.of(log("abcde", "ab"), length=3, negatives=2)
    assert [task.log.value("user", u) for u in task.test.user] == ["user 0", "zoe"]
    assert letters(task, task.test.target[:1])[0] + letters(task, task.test.history[:1])[0] == "ebcd"
    assert (
        letters(task, task.validation.target[:1])[0] + letters(task, task.validation.history[:1])[0] == "dabc"
    )


def test_a_model_learns_from_all_but_the_last_two() -> None:
    task = NextItemTask.of(log("abcdef", "abcd"), length=4, negatives=2)
    training = task.training
    assert letters(task, training.windows(torch.arange(len(training))).numpy()) == ["abcd", "uvwx"]
    assert [task.log.value("user", int(u)) for u in training.user] == ["user 0", "zoe"]  # user 1 has two left


def test_a_share_of_the_users_is_trained_on_and_all_are_asked() -> None:
    world = load("world:tiny", 0)
    whole, half, fifth = (NextItemTask.of(world, 8, 20, train_users=share) for share in (1.0, 0.5, 0.2))
    learners = [set(task.training.user.tolist()) for task in (fifth, half, whole)]
    assert learners[0] < learners[1] < learners[2]
    assert [len(task.learners) for task in (fifth, half)] == [
        round(share * len(whole.learners)) for share in (0.2, 0.5)
    ]
    assert (fifth.test.user == whole.test.user).all()
    with pytest.raises(ConfigError, match="train_users"):
        NextItemTask.of(world, 8, 20, train_users=0.0)


def test_of_a_long_sequence_any_stretch_is_read() -> None:
    task = NextItemTask.of(log("abcdefgh"), length=3, negatives=2)
    torch.manual_seed(0)
    drawn = {letters(task, task.training.windows(torch.tensor([0])).numpy())[0] for _ in range(60)}
    assert drawn == {"abc", "bcd", "cde", "def"}
    assert task.training.read[0] == 3


def test_windows_are_as_wide_as_their_longest() -> None:
    training = NextItemTask.of(log("abcdefgh"), length=50, negatives=2).training
    assert training.windows(torch.tensor([1, 0])).shape == (2, 6)
    assert training.windows(torch.tensor([1])).shape == (1, 4)


def test_negatives_are_none_of_the_users_items_and_differ_between_the_parts() -> None:
    task = NextItemTask.of(load("world:tiny", 0), length=8, negatives=20)
    for asked in (task.validation, task.test):
        for user, items in zip(asked.user, asked.stored.items, strict=True):
            own = task.log.item[task.log.user == user]
            assert not np.isin(items, own).any()
            assert len(set(items)) == 20
    assert not np.array_equal(task.validation.stored.items, task.test.stored.items)


def test_rows_that_nobody_clicked_are_left_out() -> None:
    whole = load("world:tiny", 0)
    assert not whole.label.all()
    task = NextItemTask.of(whole, length=8, negatives=20)
    assert task.log.label.all()
    assert len(task.log) == whole.label.sum()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs three items"):
        NextItemTask.of(log("abcde"), length=2)
    with pytest.raises(DataError, match="no user has three events"):
        NextItemTask.of(log("ab", extra="uv"), length=3, negatives=1)
    with pytest.raises(DataError, match="negatives"):
        NextItemTask.of(log("abcde"), length=3, negatives=50)
