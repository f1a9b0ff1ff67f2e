"""Splits: cuts that never share a second, leave-one-out by hand, and the guard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.data.interactions import Interactions
from workbench.data.splits import PARTS, global_time_split, leave_one_out, refuse_leak
from workbench.errors import ConfigError, DataError


def log(users: list[int], times: list[int], clock: str = "seconds") -> Interactions:
    """A table of these users and times, every event another item."""
    frame = pd.DataFrame({"user": users, "item": range(1, len(users) + 1), "timestamp": times, "label": 1})
    return Interactions.from_frame(frame, name="toy", clock=clock)


def test_a_split_worked_by_hand() -> None:
    data = log([1] * 10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    split = global_time_split(data, (0.5, 0.2, 0.1, 0.2))
    assert split.sizes() == {"retrieval": 5, "train": 2, "validation": 1, "test": 2}
    assert split.rows("train").tolist() == [5, 6]
    # A cut inside a second moves back to its first row.
    data = log([1] * 10, [1, 2, 3, 4, 4, 4, 7, 8, 9, 10])
    assert global_time_split(data, (0.5, 0.2, 0.1, 0.2)).sizes()["retrieval"] == 3
    with pytest.raises(ConfigError, match="unknown part 'dev'"):
        split.rows("dev")


@settings(max_examples=200, deadline=None)
@given(
    times=st.lists(st.integers(0, 40), min_size=4, max_size=80),
    weights=st.tuples(*[st.integers(0, 5)] * 4),
)
def test_parts_cover_the_table_and_share_no_second(times: list[int], weights: tuple[int, ...]) -> None:
    assume(sum(weights) > 0)
    shares = tuple(weight / sum(weights) for weight in weights)
    data = log([1 + k % 3 for k in range(len(times))], times)
    # By hand: a cut lies at the first row of the second that the wanted row belongs to.
    stamps, edges = data.timestamp.tolist(), [0]
    for wanted in np.round(np.cumsum(shares[:3]) * len(stamps)).astype(int).tolist():
        edges.append(stamps.index(stamps[wanted]) if wanted < len(stamps) else len(stamps))
    edges.append(len(stamps))
    if any(share > 0 and a >= b for share, a, b in zip(shares, edges[:-1], edges[1:], strict=True)):
        with pytest.raises(DataError, match="would be empty"):
            global_time_split(data, shares)
        return
    split = global_time_split(data, shares)
    assert [(getattr(split, p).start, getattr(split, p).stop) for p in PARTS] == list(pairwise(edges))
    rows = np.concatenate([split.rows(part) for part in PARTS])
    assert rows.tolist() == list(range(len(data)))
    parts = [data.timestamp[split.rows(part)] for part in PARTS]
    for k, earlier in enumerate(parts):
        for later in parts[k + 1 :]:
            assert not len(earlier) or not len(later) or earlier.max() < later.min()


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0.5, 0.5), (1.2, -0.2, 0, 0)])
def test_shares_must_add_up(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="four numbers"):
        global_time_split(log([1, 1], [1, 2]), shares)


def test_too_few_times_or_none() -> None:
    with pytest.raises(DataError, match="the train part would be empty"):
        global_time_split(log([1] * 8, [3] * 8), (0.0, 0.5, 0.0, 0.5))
    with pytest.raises(DataError, match="no timestamps"):
        global_time_split(log([1] * 10, list(range(10)), clock="order"))


def test_leave_one_out_by_hand() -> None:
    #           row:    0  1  2  3  4  5  6  7
    data = log([1, 2, 1, 3, 1, 3, 1, 3], [1, 2, 3, 4, 5, 6, 7, 8])
    split = leave_one_out(data)
    assert split.test.tolist() == [6, 7]
    assert split.validation.tolist() == [4, 5]
    assert split.train.tolist() == [0, 1, 2, 3]  # user 2 has one event: it only trains
    with pytest.raises(DataError, match="no user has three events"):
        leave_one_out(log([1, 1, 2], [1, 2, 3]))


@settings(max_examples=80, deadline=None)
@given(events=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=3, max_size=40))
def test_leave_one_out_against_brute_force(events: list[tuple[int, int]]) -> None:
    data = log(*map(list, zip(*events, strict=True)))
    own = {user: np.flatnonzero(data.user == user).tolist() for user in set(data.user.tolist())}
    long = [rows for rows in own.values() if len(rows) >= 3]
    assume(long)
    split = leave_one_out(data)
    assert split.test.tolist() == sorted(rows[-1] for rows in long)
    assert split.validation.tolist() == sorted(rows[-2] for rows in long)
    everything = np.concatenate([split.train, split.validation, split.test])
    assert sorted(everything.tolist()) == list(range(len(data)))
    assert (np.diff(split.train) > 0).all()


@settings(max_examples=100, deadline=None)
@given(
    query=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    width=st.integers(1, 4),
    data=st.data(),
)
def test_the_guard_refuses_exactly_what_is_not_earlier(
    query: list[int], width: int, data: st.DataObject
) -> None:
    row = st.lists(st.integers(0, 9), min_size=width, max_size=width)
    context = data.draw(st.lists(row, min_size=len(query), max_size=len(query)))
    late = [k for k, row in enumerate(context) if any(time >= query[k] for time in row)]
    if not late:
        refuse_leak(np.array(context), np.array(query))
        return
    with pytest.raises(DataError, match="leak: a context") as told:
        refuse_leak(np.array(context), np.array(query))
    assert told.value.row == late[0] + 1


def test_the_guard_says_which_times() -> None:
    times = np.array([[[1, 2], [3, 3]], [[1, 9], [2, 2]]])
    with pytest.raises(DataError, match="a neighbour at time 9 is not earlier than its query at time 8"):
        refuse_leak(times, np.array([8, 8]), "neighbour")
    refuse_leak(times, np.array([8, 10]), "neighbour")
    with pytest.raises(DataError):
        refuse_leak(np.array([5]), np.array([5]))  # the same second is not earlier
    refuse_leak(np.empty((2, 0)), np.array([1, 1]))
