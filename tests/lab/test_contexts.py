"""Contexts cannot reach their query's time: attacked over random logs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split, refuse_leak
from workbench.errors import ConfigError, DataError
from workbench.lab.contexts import Retriever


def random_log(seed: int, rows: int, users: int, items: int, days: int) -> Interactions:
    """A log with many equal times (days), so that cuts fall into ties."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user": rng.integers(1, users + 1, rows),
            "item": rng.integers(1, items + 1, rows),
            "category": rng.integers(1, 4, rows),
            "timestamp": rng.integers(0, days, rows) * 86_400,
            "label": rng.integers(0, 2, rows),
        }
    )
    return Interactions.from_frame(frame, name="random", duplicates="keep")


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(30, 400),
    users=st.integers(2, 12),
    days=st.integers(8, 60),
    k=st.integers(1, 10),
    length=st.integers(1, 30),
)
def test_no_context_reaches_its_query(seed, rows, users, days, k, length):
    log = random_log(seed, rows, users, items=15, days=days)
    try:
        split = global_time_split(log, (0.5, 0.25, 0.0, 0.25))
    except DataError:
        return  # too few distinct days for three parts: refused, nothing to search
    retriever = Retriever(log, split)
    for part in ("train", "test"):
        asked = split.rows(part)
        contexts = retriever.retrieve(asked, min(k, len(retriever.index)), length)
        query_time = log.timestamp[asked]
        for what in ("history", "future"):
            window = contexts.events(what, length)  # (B, K, L)
            times = np.where(window >= 0, log.timestamp[window], -1)
            refuse_leak(times, query_time)
            # and the windows hold what they say: the retrieved row's own user, nobody else
            owner = log.user[contexts.rows][..., None]
            assert (log.user[window] == owner)[window >= 0].all()
        assert (log.user[contexts.rows] != log.user[asked][:, None])[contexts.rows >= 0].all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 12))
def test_contexts_are_the_neighbours_past_and_future(seed, length):
    """Against the definition of Eq. 1, row by row."""
    log = random_log(seed, 200, 6, 10, 50)
    split = global_time_split(log, (0.6, 0.2, 0.0, 0.2))
    retriever = Retriever(log, split)
    contexts = retriever.retrieve(split.rows("test")[:5], 4, length)
    history, future = contexts.events("history", length), contexts.events("future", length)
    for b, j in np.argwhere(contexts.rows >= 0):
        row = contexts.rows[b, j]
        same_user = np.flatnonzero(log.user[: split.retrieval.stop] == log.user[row])
        want_past = same_user[same_user < row][-length:]
        want_future = same_user[same_user > row][:length]
        assert history[b, j][history[b, j] >= 0].tolist() == want_past.tolist()
        assert future[b, j][future[b, j] >= 0].tolist() == want_future.tolist()


def test_a_split_whose_retrieval_set_reaches_the_queries_is_refused():
    log = random_log(0, 100, 5, 10, 20)
    shared_second = int(np.flatnonzero(np.diff(log.timestamp) == 0)[-1]) + 1
    forged = TimeSplit(
        slice(0, shared_second), slice(shared_second, len(log)), slice(len(log), len(log)), slice(0, 0)
    )
    with pytest.raises(DataError, match="leak"):
        Retriever(log, forged).retrieve(np.array([shared_second]), 3, 5)


def test_a_log_without_a_clock_has_nothing_earlier():
    log = replace(random_log(0, 100, 5, 10, 20), clock="order")
    with pytest.raises(DataError, match="without timestamps"):
        Retriever(log, TimeSplit(slice(0, 60), slice(60, 80), slice(80, 80), slice(80, 100)))


@pytest.mark.parametrize("part", [slice(0, 60, 2), slice(5, 60), slice(0, 0), slice(0, None), slice(0, 101)])
def test_a_retrieval_set_that_is_not_the_first_rows_is_refused(part):
    log = random_log(0, 100, 5, 10, 20)
    with pytest.raises(DataError, match="first rows"):
        Retriever(log, TimeSplit(part, slice(60, 80), slice(80, 80), slice(80, 100)))


@pytest.mark.parametrize("rows", [[-1], [100], [1.0], [True]])
def test_targets_that_are_not_rows_are_refused(rows):
    log = random_log(0, 100, 5, 10, 20)
    with pytest.raises(DataError, match="row numbers"):
        Retriever(log, global_time_split(log)).retrieve(np.array(rows), 1, 3)


def test_unknown_parts_of_a_context_are_refused():
    log = random_log(0, 100, 5, 10, 20)
    split = global_time_split(log)
    contexts = Retriever(log, split).retrieve(split.rows("test")[:2], 2, 3)
    assert contexts.events("future", 3).shape == (2, 2, 3)
    with pytest.raises(ConfigError, match="unknown part"):
        contexts.events("present", 3)


def test_times_that_are_not_numbers_are_late():
    with pytest.raises(DataError, match="leak"):
        refuse_leak(np.array([[np.nan]]), np.array([1.0]))
    with pytest.raises(DataError, match="leak"):
        refuse_leak(np.array([[1.0]]), np.array([np.nan]))


def test_bad_configuration_is_refused():
    log = random_log(0, 100, 5, 10, 20)
    split = global_time_split(log)
    with pytest.raises(ConfigError, match="unknown field 'colour'"):
        Retriever(log, split, fields=("item", "colour"))
    with pytest.raises(ConfigError, match="at least one field"):
        Retriever(log, split, fields=())
    with pytest.raises(ConfigError, match="L must be"):
        Retriever(log, split).retrieve(split.rows("test")[:1], 3, 0)


def test_matches_say_which_fields_agree():
    log = random_log(2, 300, 5, 10, 20)
    split = global_time_split(log)
    retriever = Retriever(log, split)
    row = int(split.rows("test")[0])
    contexts = retriever.retrieve(np.array([row]), 5, 3)
    matched = retriever.matches(row, contexts.rows[0])
    idf = retriever.index.idf(log.codes(retriever.fields)[row])
    np.testing.assert_allclose(matched @ idf, contexts.scores[0])
