"""Tables and windows gather what the log and its histories say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import random_log

from workbench.data.histories import Histories
from workbench.errors import ConfigError
from workbench.lab.tensors import Table, Windows

CPU = torch.device("cpu")


class TestTable:
    def test_events_are_the_rows_of_the_log_in_the_order_of_the_fields(self) -> None:
        log = random_log(0)
        table = Table(log, ("category", "item"))
        rows = torch.tensor([[0, 7, -1], [199, -1, 3]])
        events = table.events(rows)
        assert events.codes.shape == (2, 3, 2)
        assert (events.codes.dtype, events.label.dtype) == (torch.int64, torch.int64)
        assert events.there.tolist() == [[True, True, False], [True, False, True]]
        for at in [(0, 0), (0, 1), (1, 0), (1, 2)]:
            row = int(rows[at])
            assert events.codes[at].tolist() == [log.columns["category"][row], log.item[row]]
            assert events.label[at] == log.label[row]
        for at in [(0, 2), (1, 1)]:  # nothing is there: the reserved code and label 0
            assert events.codes[at].tolist() == [0, 0]
            assert events.label[at] == 0

    def test_codes_stay_small_and_sizes_count_the_reserved_code(self) -> None:
        log = random_log(0)
        table = Table(log)
        assert table.fields == log.fields
        assert table.sizes == tuple(log.size(field) for field in log.fields)
        assert (table.codes.dtype, table.label.dtype) == (torch.int32, torch.int8)
        assert torch.equal(table.codes, torch.from_numpy(log.codes(log.fields)))
        assert torch.equal(table.label, torch.from_numpy(log.label))
        assert len(table) == len(log)
        assert all(int(table.codes[:, j].max()) < size for j, size in enumerate(table.sizes))

    def test_one_row_number_is_a_shape_too(self) -> None:
        events = Table(random_log(0)).events(torch.tensor(5))
        assert events.codes.shape == (4,)
        assert events.label.shape == ()

    def test_rows_that_do_not_exist_are_refused(self) -> None:
        for row in (200, -2):
            with pytest.raises(IndexError):
                Table(random_log(0)).events(torch.tensor([row]))

    def test_bad_fields_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="unknown field 'colour'"):
            Table(random_log(0), ("item", "colour"))
        for fields in ((), ("item", "item")):
            with pytest.raises(ConfigError, match="at least one field, each named once"):
                Table(random_log(0), fields)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 30))
def test_windows_are_those_of_the_histories(seed, length):
    histories = Histories.of(random_log(seed))
    rows = np.arange(200)
    for bounds, newest in ((histories.before, True), (histories.after, False)):
        # ranges of any length in, windows of L out; the histories cut the ranges themselves
        windows = Windows.of(histories, bounds(rows, 200), 1, newest, CPU)
        windows = replace(windows, length=length)
        expected = histories.window(*bounds(rows, length), length)
        assert windows.shape == expected.shape
        assert np.array_equal(windows[:], expected)
        assert np.array_equal(windows[10:20:3], expected[10:20:3])
        asked = torch.tensor([[5, -1], [199, 0]])
        got = windows[asked]
        assert got.dtype == torch.int64
        assert np.array_equal(got[[0, 1, 1], [0, 0, 1]], expected[[5, 199, 0]])
        assert (got[0, 1] == -1).all(), "no anchor, no window"


def test_the_latest_event_of_any_window():
    histories = Histories.of(random_log(4))
    rows = np.arange(200)
    for bounds, newest in ((histories.before, True), (histories.after, False)):
        ranges = bounds(rows, 200)
        latest = Windows.of(histories, ranges, 3, newest, CPU).latest()
        everything = histories.window(*ranges, 200)
        assert np.array_equal(latest, everything.max(axis=1))
