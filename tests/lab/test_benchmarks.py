"""Every benchmark runs, and the speed of retrieval is measured on right answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.errors import ConfigError
from workbench.lab import bench, retrieval_speed
from workbench.lab.bench import Measurement
from workbench.lab.retrieval_speed import check_same_scores, draw_log
from workbench.methods.retrieval import rank_scores
from workbench.show import benchmarks  # noqa: F401  (registers the explorer's)

KNOWN = {"dualrec", "encode", "explorer", "interactions", "lcn", "lift", "retrieval", "world"}


def test_the_known_benchmarks_are_registered() -> None:
    assert set(bench.benchmarks()) == KNOWN


@pytest.fixture(scope="module", params=sorted(KNOWN))
def rows(request: pytest.FixtureRequest) -> list[Measurement]:
    """What a benchmark yields at the tiny size."""
    found = list(bench.run(request.param, "tiny"))
    assert {row.name for row in found} == {request.param}
    return found


def test_every_row_is_finite_and_there_once(rows: list[Measurement]) -> None:
    for row in rows:
        assert all(math.isfinite(x) and x > 0 for x in (row.ratio, row.median_s, row.peer_median_s))
    assert len({(row.case, row.peer) for row in rows}) == len(rows)


@pytest.mark.parametrize("rows", ["retrieval"], indirect=True)
def test_retrieval_has_searches_and_builds_against_both_libraries(rows: list[Measurement]) -> None:
    for case in ("1,000 keys", "build 1,000 keys", "1,000 keys, catalogue"):
        assert {row.peer for row in rows if row.case == case} == {"bm25s", "rank-bm25"}
    (row,) = [row for row in rows if (row.case, row.peer) == ("1,000 keys", "rank-bm25")]
    assert row.ratio < 0.5, "a query of rank-bm25 reads a thousand documents five times"


@pytest.mark.parametrize("rows", ["lift"], indirect=True)
def test_lift_is_measured_against_every_peer(rows: list[Measurement]) -> None:
    peers = {case: {row.peer for row in rows if row.case == case} for case in {row.case for row in rows}}
    for case in ("predict", "predict, h_t online", "remedied predict", "remedied predict, h_t online"):
        assert peers[case] == {"RIM", "BERT4Rec", "DIN"}
    assert peers["predict, K=15"] == {"RIM, K=10"}
    assert peers["pretraining step"] == {"bare network", "bare network + AdamW"}
    grown = {case.rsplit("=")[0] for case in peers if "=" in case}
    assert grown >= {
        "datastore, R",
        "predict, K",
        "predict, L",
        "predict, h_t online, L",
        "search and predict, R",
    }


class TestLog:
    def test_values_are_skewed_and_the_queries_like_the_keys(self) -> None:
        log = draw_log(20_000, 10_000)
        for table in (log.keys, log.queries):
            first, second = (np.mean(table[:, 4] == age) for age in (1, 2))
            assert first == pytest.approx(2 * second, rel=0.1)  # Zipf: half as often
            assert first == pytest.approx(1 / np.sum(1 / np.arange(1, 13)), rel=0.05)
        assert log.keys.min() == 1
        assert log.keys[:, 0].max() <= 1_000

    def test_only_in_a_catalogue_an_item_fixes_its_brand_and_category(self) -> None:
        for catalogue in (True, False):
            log = draw_log(5_000, 1_000, catalogue=catalogue)
            rows = np.concatenate([log.keys, log.queries])
            fixed = [
                len(np.unique(rows[:, [0, j]], axis=0)) == len(np.unique(rows[:, 0])) for j in range(1, 5)
            ]
            assert fixed == [catalogue, catalogue, False, False]

    def test_words_say_what_the_codes_say(self) -> None:
        log = draw_log(1_000, 200)
        documents, questions = np.array(log.documents), np.array(log.questions)
        np.testing.assert_array_equal(np.unique(documents), np.arange(documents.max() + 1))  # no gaps
        for codes, words in zip(log.queries, questions, strict=True):
            np.testing.assert_array_equal(log.keys == codes, documents == words)
        assert (questions == -1).any(), "some queries ask for what no key has"

    def test_too_few_rows(self) -> None:
        with pytest.raises(ConfigError, match="at least 1,000 rows, not 999"):
            draw_log(999)


@pytest.mark.parametrize("name", retrieval_speed.PEERS)
def test_all_systems_give_the_scores_of_the_reference(name: str) -> None:
    log = draw_log(1_000, 20)
    peer = retrieval_speed.PEERS[name]
    expected = [np.sort(rank_scores(log.keys, query, peer.idf))[::-1][:10] for query in log.queries]
    np.testing.assert_allclose(peer.build(log)(20), expected, rtol=1e-5)
    np.testing.assert_allclose(retrieval_speed.exact_index(log, peer.idf)[0](20), expected, rtol=1e-12)


def test_a_wrong_answer_is_not_timed() -> None:
    log = draw_log(1_000, 20)
    right = retrieval_speed.PEERS["bm25s"].build(log)
    check_same_scores(log, "bm25s", right)
    with pytest.raises(AssertionError, match="bm25s scores differ"):
        check_same_scores(log, "bm25s", lambda n: right(n) * 1.01)


def test_an_unknown_peer() -> None:
    with pytest.raises(ConfigError, match="unknown peer 'lucene'; known: bm25s, rank-bm25"):
        retrieval_speed.speeds(draw_log(1_000, 20), ["lucene"])
