"""The retriever against Eq. 12-13 by hand, by brute force and through rank-bm25."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ConfigError, DataError
from workbench.methods.retrieval import (
    IDF_RULES,
    BM25Index,
    inverse_document_frequency,
    rank_bm25_scores,
    rank_scores,
    top_k,
)

# Five rows one can check by hand: item, category, city.
FIVE = np.array([[1, 1, 1], [1, 1, 2], [2, 1, 1], [3, 2, 1], [4, 2, 3]])
FIVE_TIMES = np.array([10, 20, 30, 40, 50])
LATER = np.array([60])


def search_one(index: BM25Index, query: list[int], k: int, **options) -> tuple[list[int], list[float]]:
    found = index.search(np.array([query]), k, time=np.array([10**9]), **options)
    return found.rows[0].tolist(), found.scores[0].tolist()


def test_idf_by_hand():
    # N = 5, N(x) = 2: log(3.5 / 2.5); N(x) = 3: log(2.5 / 3.5) < 0.
    assert inverse_document_frequency(2, 5) == pytest.approx(math.log(1.4))
    assert inverse_document_frequency(3, 5, "literal") == pytest.approx(-math.log(1.4))
    assert inverse_document_frequency(3, 5) == 0.0
    assert inverse_document_frequency(3, 5, "lucene") == pytest.approx(math.log(1 + 2.5 / 3.5))
    assert inverse_document_frequency(0, 5) == pytest.approx(math.log(11))


def test_five_rows_by_hand():
    # Query (item 1, category 2, city 3). Item 1 and category 2 are in two rows each, city 3 in one.
    two, one = math.log(3.5 / 2.5), math.log(4.5 / 1.5)
    scores = rank_scores(FIVE, np.array([1, 2, 3]))
    assert scores == pytest.approx([two, two, 0, two, two + one])
    rows, got = search_one(BM25Index(FIVE, FIVE_TIMES), [1, 2, 3], 5)
    assert rows == [4, 3, 1, 0, -1]  # best, then ties newest first; row 2 shares nothing
    assert got == pytest.approx([two + one, two, two, two, 0])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("copies", [1, 100])
def test_the_newest_wins_between_equal_scores_of_different_fields(flip, copies):
    """A row that matches only item 1 and one that matches only city 1, both worth the same IDF.

    With 100 copies the lists are long ones, which are not read whole.
    """
    old, new, other = [[1, 2]] * copies, [[2, 1]] * copies, [[3, 3]] * (3 * copies)
    keys = np.array(old + new + other)[:, ::-1] if flip else np.array(old + new + other)
    time = np.concatenate([np.zeros(copies), np.ones(copies), np.zeros(3 * copies)]).astype(int)
    rows, _ = search_one(BM25Index(keys, time), [1, 1], 1)
    assert rows == [copies]  # the first row of the newer second


def test_every_field_of_the_sum_counts():
    """Fails if the index matched on the rarest field alone (the idea of Eq. 12 is the sum)."""
    keys = np.array([[1, 1], [1, 2], [2, 1], [3, 3], [4, 3], [5, 4], [6, 5]])
    rows, _ = search_one(BM25Index(keys, np.arange(7)), [1, 1], 3)
    assert rows[0] == 0


def test_frequent_values_are_clipped_by_default_and_negative_when_literal():
    keys = np.array([[1, 1], [2, 1], [3, 1], [4, 1], [5, 2], [6, 3]])  # a 1 fills 4 of 6 rows
    time = np.arange(6)
    rare, frequent = math.log(5.5 / 1.5), math.log(2.5 / 4.5)
    assert search_one(BM25Index(keys, time), [1, 1], 2) == ([0, -1], pytest.approx([rare, 0]))
    literal = search_one(BM25Index(keys, time, idf="literal"), [1, 1], 2)
    assert literal == ([0, -1], pytest.approx([rare + frequent, 0]))
    rows, scores = search_one(BM25Index(keys, time, idf="lucene"), [1, 1], 2)
    assert rows == [0, 3]
    assert scores == pytest.approx(
        [math.log(1 + 5.5 / 1.5) + math.log(1 + 2.5 / 4.5), math.log(1 + 2.5 / 4.5)]
    )


def brute_force(keys, time, owner, queries, query_owner, k, rule, multipliers):
    """Eqs. 12-13 row by row; the same user's rows out; ties newest first, then by row number."""
    rows, scores = [], []
    for query, mine in zip(queries, query_owner, strict=True):
        matches = (keys == query) & (query > 0)
        idf = inverse_document_frequency(matches.sum(axis=0), len(keys), rule) * multipliers
        score = np.zeros(len(keys))
        for field in range(keys.shape[1]):
            score += np.where(matches[:, field], idf[field], 0.0)
        score[owner == mine] = 0.0
        best = top_k(score, time, k)
        rows.append(np.pad(best, (0, k - len(best)), constant_values=-1))
        scores.append(np.pad(score[best], (0, k - len(best))))
    return np.array(rows), np.array(scores)


@st.composite
def logs(draw):
    """Small skewed logs with repeated times, several users and values that only queries have."""
    rows = draw(st.integers(1, 1500))
    fields = draw(st.integers(1, 8))
    seed = draw(st.integers(0, 2**32 - 1))
    values = draw(st.lists(st.integers(1, 200), min_size=fields, max_size=fields))
    rng = np.random.default_rng(seed)
    column = [np.minimum(rng.zipf(1.2, rows + 6), v) - (rng.random(rows + 6) < 0.05) for v in values]
    table = np.stack(column, axis=1).astype(np.int32)  # code 0, unknown, appears on both sides
    for copy in range(1, fields):  # fields that say the same, so that most patterns cannot occur
        if draw(st.booleans()):
            table[:rows, copy] = table[:rows, 0] % 5 + 1
    table[rows, 0] += 1000  # a value the keys have never seen
    return table[:rows], table[rows:], rng.integers(0, 30, rows), rng.integers(0, 5, rows), rng


@settings(max_examples=150, deadline=None)
@given(log=logs(), rule=st.sampled_from(IDF_RULES), wanted=st.integers(1, 25))
def test_index_equals_brute_force(log, rule, wanted):
    keys, queries, time, owner, rng = log
    k = min(wanted, len(keys))
    multipliers = rng.choice([0.0, 0.5, 1.0, 2.0], keys.shape[1])
    query_owner = rng.integers(0, 6, len(queries))
    index = BM25Index(keys, time, owner, idf=rule)
    weights = dict(zip(index.fields, multipliers, strict=True))
    found = index.search(queries, k, time=np.full(len(queries), 30), owner=query_owner, weights=weights)
    rows, scores = brute_force(keys, time, owner, queries, query_owner, k, rule, multipliers)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)


def test_long_posting_lists_equal_brute_force():
    """Lists far beyond READ_WHOLE, so that pairs and early stopping are at work."""
    rng = np.random.default_rng(3)
    keys = np.stack([np.minimum(rng.zipf(1.2, 40_000), v) for v in (5000, 300, 40, 8)], axis=1)
    time, owner = rng.integers(0, 5000, len(keys)), rng.integers(0, 50, len(keys))
    queries, query_owner = keys[rng.integers(0, len(keys), 40)], rng.integers(0, 50, 40)
    index = BM25Index(keys, time, owner)
    found = index.search(queries, 30, time=np.full(40, 5000), owner=query_owner)
    rows, scores = brute_force(keys, time, owner, queries, query_owner, 30, "clipped", np.ones(4))
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.scores, scores)


def test_threads_do_not_change_the_answer():
    rng = np.random.default_rng(0)
    keys = rng.integers(1, 50, (3000, 4))
    queries = rng.integers(1, 50, (500, 4))
    index = BM25Index(keys, rng.integers(0, 9, 3000))
    one = index.search(queries, 7, time=np.full(500, 9), threads=1)
    many = index.search(queries, 7, time=np.full(500, 9), threads=3)
    np.testing.assert_array_equal(one.rows, many.rows)


def test_a_second_process_can_use_the_cached_kernel():
    """Kernels are compiled once and cached on disk; with numba's own sort inside, reloading one crashed."""
    search = (
        "import numpy as np; from workbench.methods.retrieval import BM25Index;"
        "keys = np.random.default_rng(0).integers(1, 9, (500, 8));"
        "found = BM25Index(keys, np.arange(500)).search(keys[:300], 5, time=np.full(300, 500));"
        "print(found.rows.sum())"
    )
    answers = [
        subprocess.run([sys.executable, "-c", search], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert answers[0] == answers[1] != ""


def test_rank_bm25_agrees_where_no_value_fills_half_the_rows():
    rng = np.random.default_rng(1)
    keys = rng.integers(1, 30, (400, 5))
    for query in keys[:10]:
        np.testing.assert_allclose(rank_bm25_scores(keys, query), rank_scores(keys, query))


def test_a_code_beyond_32_bits_is_an_unknown_value_not_another_one():
    assert search_one(BM25Index(FIVE, FIVE_TIMES), [1 + 2**32, 2, 3], 3)[0] == [4, 3, -1]
    assert search_one(BM25Index(FIVE, FIVE_TIMES), [-1, 2, 3], 3)[0] == [4, 3, -1]


def test_own_rows_are_left_out_only_when_owners_are_named():
    index = BM25Index(FIVE, FIVE_TIMES, owner=np.array([7, 8, 7, 8, 7]))
    assert 4 in search_one(index, [4, 2, 3], 3)[0]
    assert 4 not in search_one(index, [4, 2, 3], 3, owner=np.array([7]))[0]


@pytest.mark.parametrize("time", [[50], [49], [-1]])
def test_queries_that_are_not_later_than_every_key_are_refused(time):
    with pytest.raises(DataError, match="leak"):
        BM25Index(FIVE, FIVE_TIMES).search(np.array([[1, 1, 1]]), 1, time=np.array(time))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ConfigError, "K must be", lambda i: i.search(FIVE[:1], 6, time=LATER)),
        (ConfigError, "K must be", lambda i: i.search(FIVE[:1], 0, time=LATER)),
        (
            ConfigError,
            "unknown field 'colour'",
            lambda i: i.search(FIVE[:1], 1, time=LATER, weights={"colour": 1}),
        ),
        (ConfigError, "weight of", lambda i: i.search(FIVE[:1], 1, time=LATER, weights={"item": -1})),
        (ConfigError, "without owners", lambda i: i.search(FIVE[:1], 1, time=LATER, owner=np.array([1]))),
        (DataError, "queries must be", lambda i: i.search(FIVE[:1, :2], 1, time=LATER)),
        (DataError, "one time a query", lambda i: i.search(FIVE[:2], 1, time=LATER)),
        (ConfigError, "unknown IDF rule", lambda i: BM25Index(FIVE, FIVE_TIMES, idf="bm26")),
        (DataError, "keys must be", lambda i: BM25Index(FIVE[:0], FIVE_TIMES[:0])),
        (DataError, "codes from 0", lambda i: BM25Index(-FIVE, FIVE_TIMES)),
        (DataError, "codes from 0", lambda i: BM25Index(FIVE + 2**32, FIVE_TIMES)),
        (DataError, "codes from 0", lambda i: BM25Index(FIVE / 2, FIVE_TIMES)),
        (DataError, "queries must be whole", lambda i: i.search(FIVE[:1] + 0.5, 1, time=LATER)),
        (DataError, "times must be whole", lambda i: i.search(FIVE[:1], 1, time=np.array([np.nan]))),
        (DataError, "times must be whole", lambda i: BM25Index(FIVE, FIVE_TIMES + 0.9)),
        (DataError, "owners must be", lambda i: BM25Index(FIVE, FIVE_TIMES, owner=FIVE_TIMES - 11)),
        (ConfigError, "must differ", lambda i: BM25Index(FIVE, FIVE_TIMES, fields=("a", "b", "a"))),
        (ConfigError, "K must be", lambda i: i.search(FIVE[:1], 2.5, time=LATER)),
        (ConfigError, "one thread", lambda i: i.search(FIVE[:1], 1, time=LATER, threads=0)),
        (ConfigError, "weight of", lambda i: i.search(FIVE[:1], 1, time=LATER, weights={"item": np.inf})),
        (ConfigError, "weight of", lambda i: i.search(FIVE[:1], 1, time=LATER, weights={"item": "2"})),
        (DataError, "time has 4", lambda i: BM25Index(FIVE, FIVE_TIMES[:4])),
        (ConfigError, "at most 12", lambda i: BM25Index(np.ones((2, 13), int), np.arange(2))),
    ],
)
def test_bad_input_is_refused_with_its_reason(error, message, call):
    with pytest.raises(error, match=message):
        call(BM25Index(FIVE, FIVE_TIMES, fields=("item", "category", "city")))
