"""Search in the own history against brute force, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import random_log

from workbench.errors import ConfigError
from workbench.lab.own_search import best_matching, item_side, same_category
from workbench.methods.retrieval import inverse_document_frequency


def earlier_rows(log, row: int, until: int | None) -> list[int]:
    """Own events of a strictly earlier second, oldest first."""
    own = (log.user == log.user[row]) & (log.timestamp < log.timestamp[row])
    return [r for r in np.flatnonzero(own) if until is None or r < until]


def padded(rows: list[int], size: int) -> list[int]:
    return (rows + [-1] * size)[:size]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 9), until=st.sampled_from([None, 0, 60, 120]))
def test_the_last_events_of_the_category_newest_first(seed, size, until):
    log = random_log(seed)
    rows = np.arange(len(log))
    found = same_category(log, rows, size, until)
    category = log.columns["category"]
    for row in rows[::7]:
        alike = [r for r in earlier_rows(log, row, until) if category[r] == category[row]]
        assert found[row].tolist() == padded(alike[::-1], size)


def test_without_a_category_the_same_item_is_found():
    log = random_log(1)
    without = replace(log, columns={k: v for k, v in log.columns.items() if k != "category"})
    for row, found in enumerate(same_category(without, np.arange(len(log)), 3)):
        alike = [r for r in earlier_rows(log, row, None) if log.item[r] == log.item[row]]
        assert found.tolist() == padded(alike[::-1], 3)


def test_an_unknown_category_is_like_nothing():
    log = random_log(1)
    category = log.columns["category"].copy()
    category[category == 1] = 0
    found = same_category(replace(log, columns={**log.columns, "category": category}), np.arange(200), 3)
    assert (found[category == 0] == -1).all()
    assert (found[category == 2] >= 0).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 9),
    until=st.sampled_from([None, 0, 60, 120]),
    counted=st.sampled_from([1, 90, 200]),
)
def test_the_best_matching_events(seed, size, until, counted):
    log = random_log(seed)
    fields = ("item", "category")
    codes = log.codes(fields)
    unknown = np.random.default_rng(seed).random(codes.shape) < 0.1
    codes[unknown] = 0
    log = replace(log, columns={**log.columns, **dict(zip(fields, codes.T, strict=True))})
    rows = np.arange(0, len(log), 5)
    found = best_matching(log, rows, size, counted, fields=fields, until=until)
    for row, got in zip(rows, found, strict=True):
        # In field order and in double precision, so that equal scores are equal.
        scores = {
            r: sum(
                float(inverse_document_frequency((codes[:counted, j] == codes[row, j]).sum(), counted))
                for j in range(2)
                if codes[r, j] == codes[row, j] > 0
            )
            for r in earlier_rows(log, row, until)
        }
        best = sorted((r for r in scores if scores[r] > 0), key=lambda r: (-scores[r], -r))
        assert got.tolist() == padded(best, size)


def test_item_side_fields_differ_within_a_user():
    log = random_log(3)
    assert item_side(log) == ("item", "category")  # not the user, and not the age, which each user keeps
    same = best_matching(log, np.arange(100, 200), 4, 100)
    assert (same == best_matching(log, np.arange(100, 200), 4, 100, fields=("item", "category"))).all()


def test_values_must_be_counted_somewhere():
    log = random_log(3)
    for counted in (0, 201):
        with pytest.raises(ConfigError, match="values are counted among the first 1 to 200 rows"):
            best_matching(log, np.arange(10), 4, counted)
