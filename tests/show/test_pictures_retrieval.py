"""The still pictures of lesson 02 hold what they are given, odd cases included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.errors import DataError
from workbench.show.pictures_retrieval import DAY, context_clock, field_worth, matching_gain

NONE = np.array([], dtype=int)


def clock(past, future, now):
    return context_clock(
        past, future, np.array(now, dtype=int), boundary=50 * DAY, query=60 * DAY, what="test"
    )


def test_every_event_and_every_now_lies_on_the_clock_s_axis():
    """The earliest now may be of a neighbour without a past, and need not be the first one."""
    figure = clock([np.array([20 * DAY]), NONE], [np.array([40 * DAY]), NONE], [30 * DAY, 5 * DAY])
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    drawn = np.concatenate([line.get_xdata() for line in axes.lines if line.get_marker() in ("o", "|", "D")])
    assert left < min(drawn) == 5
    assert right > max(drawn) == 60


def test_a_target_without_neighbours_has_a_clock_too():
    assert "over before the query" in clock([], [], []).get_suptitle()


def test_fields_stand_in_order_of_what_a_match_is_worth_on_an_average_row():
    """By hand: gender (.2 + .4) / 2 = .3; item 6: twenty times as much. The rare gender does not decide."""
    worth = {"gender": np.array([[0.2, 0.5], [0.4, 0.5]]), "item": np.array([[6.0, 1.0]])}
    (axes,) = field_worth(worth, rows=10).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["item", "gender"]
    assert axes.get_title(loc="left") == "Sharing the item tells 20 times what sharing the gender does"


def test_matching_shows_every_seed_and_the_mean():
    results = pd.DataFrame(
        [("on", "past", 0, 0.6), ("on", "past", 1, 0.7), ("off", "past", 0, 0.4), ("off", "past", 1, 0.5)],
        columns=["world", "looks_at", "seed", "auc"],
    )
    on, off = matching_gain(results, {"on": 0.9}).axes
    assert on.collections[0].get_offsets()[:, 1].tolist() == [0.6, 0.7]
    assert "0.650" in [text.get_text() for text in on.texts]
    assert on.get_ylim()[1] > 0.9
    assert off.get_ylim()[0] < 0.4
    with pytest.raises(DataError, match="no results"):
        matching_gain(results[:0])
