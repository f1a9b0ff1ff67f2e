"""Windows against brute force: never another user, never past the end, always in time order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError, DataError


def log(events: list[tuple[int, int]], clock: str = "seconds") -> Interactions:
    """A table of (user, time) pairs, every event another item."""
    users, times = zip(*events, strict=True)
    frame = pd.DataFrame({"user": users, "item": range(1, len(events) + 1), "timestamp": times, "label": 1})
    return Interactions.from_frame(frame, name="toy", clock=clock)


EVENTS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 12)), min_size=1, max_size=40)


def test_a_history_worked_by_hand() -> None:
    # rows in time order:      0       1       2       3       4       5
    data = log([(1, 10), (2, 20), (1, 30), (1, 40), (2, 50), (1, 60)])
    histories = Histories.of(data)
    assert histories.of_user(1).tolist() == [0, 2, 3, 5]
    assert histories.of_user(2).tolist() == [1, 4]
    rows = np.array([3, 4, 0])
    start, stop = histories.before(rows, 2)
    assert histories.window(start, stop, 2).tolist() == [[0, 2], [1, -1], [-1, -1]]
    start, stop = histories.after(rows, 2)
    assert histories.window(start, stop, 2).tolist() == [[5, -1], [-1, -1], [2, 3]]
    # Cut at row 3, its future does not exist.
    cut = Histories.of(data, stop=4)
    assert len(cut) == 4
    assert cut.window(*cut.after(np.array([3]), 2), 2).tolist() == [[-1, -1]]
    assert cut.of_user(2).tolist() == [1]
    with pytest.raises(DataError, match="row 4 is not one of the 4 rows"):
        cut.before(np.array([4]), 2)
    with pytest.raises(DataError, match="row -1"):
        cut.after(np.array([-1]), 2)
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        histories.before(rows, 0)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS, length=st.integers(1, 8), share=st.floats(0, 1))
def test_windows_against_brute_force(events: list[tuple[int, int]], length: int, share: float) -> None:
    data = log(events)
    stop = max(1, round(share * len(data)))
    histories = Histories.of(data, stop)
    rows = np.arange(stop)
    before = histories.window(*histories.before(rows, length), length)
    after = histories.window(*histories.after(rows, length), length)
    for row in rows:
        own = [r for r in range(stop) if data.user[r] == data.user[row]]  # rows are in time order
        at = own.index(row)
        past, future = own[max(0, at - length) : at], own[at + 1 : at + 1 + length]
        assert before[row].tolist() == past + [-1] * (length - len(past))
        assert after[row].tolist() == future + [-1] * (length - len(future))


@settings(max_examples=100, deadline=None)
@given(events=EVENTS, length=st.integers(1, 8), share=st.floats(0, 1))
def test_no_window_crosses_a_user_or_the_end_or_turns_time_around(
    events: list[tuple[int, int]], length: int, share: float
) -> None:
    data = log(events)
    stop = max(1, round(share * len(data)))
    histories = Histories.of(data, stop)
    rows = np.arange(stop)
    for side, sign in ((histories.before, -1), (histories.after, 1)):
        window = histories.window(*side(rows, length), length)
        inside = window >= 0
        assert (window[inside] < stop).all()
        assert (data.user[window] == data.user[rows][:, None])[inside].all()
        gap = (data.timestamp[window] - data.timestamp[rows][:, None]) * sign
        assert (gap[inside] >= 0).all()
        assert ((window - rows[:, None]) * sign > 0)[inside].all()  # never the row itself
        assert (np.diff(inside.astype(int), axis=1) <= 0).all()  # padding on the right only
        ahead = np.diff(window, axis=1)[inside[:, 1:]]
        assert (ahead > 0).all()  # oldest first


@settings(max_examples=60, deadline=None)
@given(events=EVENTS)
def test_every_row_has_one_place(events: list[tuple[int, int]]) -> None:
    data = log(events)
    histories = Histories.of(data)
    assert sorted(histories.events.tolist()) == list(range(len(data)))
    assert histories.events[histories.place].tolist() == list(range(len(data)))
    for user in range(data.size("user")):
        own = histories.of_user(user)
        assert own.tolist() == np.flatnonzero(data.user == user).tolist()


def test_windows_of_any_shape() -> None:
    histories = Histories.of(log([(1, t) for t in range(5)]))
    rows = np.array([[4, 3], [2, 0]])
    window = histories.window(*histories.before(rows, 2), 2)
    assert window.tolist() == [[[2, 3], [1, 2]], [[0, 1], [-1, -1]]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 9))
def test_strictly_before_holds_no_event_of_the_rows_own_second(seed, length):
    """Against the definition, on a log full of ties; `before` keeps such events, so the two must differ."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user": rng.integers(1, 4, 80),
            "item": rng.integers(1, 9, 80),
            "timestamp": rng.integers(0, 12, 80),
            "label": 1,
        }
    )
    log = Interactions.from_frame(frame, name="ties", duplicates="keep")
    histories, rows = Histories.of(log), np.arange(80)
    window = histories.window(*histories.strictly_before(rows, length), length)
    for row in rows:
        earlier = np.flatnonzero((log.user == log.user[row]) & (log.timestamp < log.timestamp[row]))
        assert window[row][window[row] >= 0].tolist() == earlier[-length:].tolist()
    assert (window != histories.window(*histories.before(rows, length), length)).any()
