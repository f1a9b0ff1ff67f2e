"""Some users of a log: their whole histories, and vocabularies without what is gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.data.interactions import Interactions
from workbench.data.some_users import some_users
from workbench.errors import ConfigError


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(1, 41, 500), "item": rng.integers(1, 900, 500)})
    frame["genre"] = rng.choice(["a", "b", "c"], 500)
    return Interactions.from_frame(
        frame.assign(timestamp=rng.permutation(500), label=1), name="toy", note="a remark"
    )


def test_the_chosen_users_keep_every_row_and_value(log):
    part, whole = some_users(log, 7), log.to_frame()
    kept = whole[whole["user"].isin(part.to_frame()["user"].unique())].reset_index(drop=True)
    assert part.to_frame().equals(kept)
    assert kept["user"].nunique() == 7


def test_nothing_that_is_gone_stays_in_a_vocabulary(log):
    part = some_users(log, 7)
    for name in part.fields:
        assert np.unique(part.columns[name]).tolist() == list(range(1, part.size(name)))
        assert part.vocabularies[name][0] == log.vocabularies[name][0]
    assert part.size("item") < 150 < log.size("item")


def test_the_same_users_every_time_and_others_with_another_seed(log):
    users = [set(some_users(log, 7, seed).to_frame()["user"]) for seed in (0, 0, 1)]
    assert users[0] == users[1] != users[2]


def test_everybody_when_there_are_no_more(log):
    assert some_users(log, 40) is log
    assert some_users(log, 10**6) is log


def test_name_and_note_say_it(log):
    part = some_users(log, 7)
    assert part.name == "toy, 7 users"
    assert part.note == "a remark; 7 of 40 users, drawn at random"


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 2.5}, {"count": True}, {"count": 3, "seed": -1}])
def test_what_makes_no_sense_is_refused(log, wrong):
    with pytest.raises(ConfigError, match="must be a whole number"):
        some_users(log, **wrong)
