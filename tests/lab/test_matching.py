"""Explicit matching: by hand on a small log, and on the world with its succession on and off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.data.world import make_world
from workbench.lab.contexts import Contexts, Retriever
from workbench.lab.matching import match_scores, matching_aucs, profiles


def small_log() -> tuple[Interactions, TimeSplit]:
    """User 1 lived through a, b, x, c, d; user 2 (the target) clicks a or c and then stands before x."""
    rows = [
        (1, "a", 1), (1, "b", 1), (1, "x", 1), (1, "c", 1), (1, "d", 0),
        (2, "c", 1), (2, "a", 0), (2, "x", 0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["user", "item", "label"]).assign(timestamp=np.arange(8))
    return Interactions.from_frame(frame, name="small"), TimeSplit(
        slice(0, 5), slice(5, 7), slice(7, 7), slice(7, 8)
    )


def found() -> tuple[Interactions, Retriever, Contexts]:
    log, split = small_log()
    retriever = Retriever(log, split, ["item"])
    return log, retriever, retriever.retrieve(np.array([7]), 1, 2)


def test_profiles_count_clicked_events_by_weight_and_scale_to_length_one():
    log, _ = small_log()
    rows = np.array([[0, 1, 4], [-1, -1, 4]])  # items a, b clicked, d not; nothing clicked
    dense = profiles(log, rows, np.array([3.0, 4.0, 9.0]), "item").toarray()
    assert dense[0, log.item[0]] == pytest.approx(0.6)
    assert dense[0, log.item[1]] == pytest.approx(0.8)
    assert dense[1].sum() == 0


def test_a_target_who_did_what_came_after_scores_low():
    """By hand: the target's clicks (c) meet the neighbour's future (c, weight 1), not its past (b, a)."""
    log, retriever, contexts = found()
    assert contexts.rows.tolist() == [[2]]
    scores = match_scores(retriever, Histories.of(log), np.array([7]), contexts, 2, "item")
    assert scores["past"][0] == 0
    assert scores["future"][0] == pytest.approx(-1)  # d was not clicked, so c is all of it
    assert scores["past and future"][0] == pytest.approx(-1)


def test_neighbours_who_did_not_click_at_their_now_are_silent():
    log, retriever, contexts = found()
    silent = log.label.copy()
    silent[2] = 0
    object.__setattr__(log, "label", silent)
    scores = match_scores(retriever, Histories.of(log), np.array([7]), contexts, 2, "item")
    assert scores["past and future"][0] == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_future_adds_what_the_world_puts_there_and_nothing_else(seed):
    """Fails if the future were another copy of the past: then subtracting it would leave nothing."""
    mean = []
    for knobs in ({}, {"adv": 0.0}, {"succession": 0.0}):
        world = make_world("small", seed=seed, **knobs)
        split = global_time_split(world.interactions)
        steps = split.rows("test")[world.truth.kind[split.test] == 2]
        mean.append(matching_aucs(world.interactions, steps, split, k=10, length=20, field="category"))
    on, nowhere, off = mean
    assert on["past and future"] > on["past"] + 0.05
    assert on["past and future"] > on["future"] + 0.01
    assert on["past"] > 0.56
    assert abs(on["neighbours' labels"] - 0.5) < 0.03
    # Clicks still depend on the place, but lead nowhere: the future is a copy of the past.
    assert nowhere["past"] > 0.62
    assert nowhere["future"] < 0.38
    assert abs(nowhere["past and future"] - 0.5) < 0.03
    for score in ("past", "future", "past and future"):
        assert abs(off[score] - 0.5) < 0.035
