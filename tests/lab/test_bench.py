"""The timing harness: turns, statistics against hand-worked numbers, registry, output."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import workbench.lab.benchmarks  # noqa: F401  (registers before a test swaps the registry for a toy)
from workbench.errors import ConfigError
from workbench.lab import bench
from workbench.lab.bench import Measurement, Timing, compare, measure


def test_cases_take_turns() -> None:
    calls: list[str] = []
    timings = measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, warmup=2)
    assert calls == ["a", "b"] * 6  # two to warm up, one for memory, three timed
    assert [len(t.seconds) for t in timings.values()] == [3, 3]


def test_statistics_by_hand() -> None:
    own, peer = Timing((1.0, 2.0, 6.0, 3.0, 4.0), 0.0), Timing((2.0, 2.0, 2.0, 12.0, 4.0), 0.0)
    assert own.median_s == 3.0
    assert own.spread == pytest.approx((4.0 - 2.0) / 3.0)
    # Pairs: 0.5, 1, 3, 0.25, 1. The ratio of medians would be 1.5, and blind to the round's mood.
    assert own.ratio(peer) == 1.0


def test_a_machine_that_slows_down_does_not_move_the_ratio() -> None:
    mood = np.array([1.0, 1.0, 5.0, 9.0, 2.0])
    assert Timing(tuple(2 * mood), 0.0).ratio(Timing(tuple(mood), 0.0)) == 2.0


def test_sleeping_and_memory_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum([0.0, 0.5] * 2))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    timing = measure({"a": lambda: np.ones(5_000_000).sum()}, repeats=2, warmup=0)["a"]
    assert timing.seconds == (0.5, 0.5)
    if not math.isnan(timing.peak_mb):  # 40 MB; the collector may shift it a little
        assert 35 < timing.peak_mb < 60


def test_compare_gives_a_row_per_peer() -> None:
    systems = {"ours": lambda: None, "p": lambda: sum(range(10_000)), "q": lambda: None}
    rows = list(compare("toy", case="tiny", systems=systems, repeats=3))
    assert [(row.name, row.case, row.peer) for row in rows] == [("toy", "tiny", "p"), ("toy", "tiny", "q")]
    assert rows[0].ratio < 1
    assert rows[0].median_s == rows[1].median_s


def test_nothing_to_measure() -> None:
    with pytest.raises(ConfigError, match="needs a peer"):
        next(compare("toy", case="c", systems={"ours": print}))
    with pytest.raises(ConfigError, match="0 repeats"):
        measure({"a": print}, repeats=0)


ROW = Measurement("toy", "1,000 rows", "peer", 0.5, 1e-3, 2e-3, 0.1, math.nan)


def test_json_has_the_agreed_keys_and_no_nan() -> None:
    row = json.loads(ROW.to_json(), parse_constant=pytest.fail)
    timing = ["ratio", "median_s", "peer_median_s", "spread", "peak_mb", "peer_peak_mb"]
    assert list(row) == ["name", "case", "peer", *timing, "note"]
    assert row["peak_mb"] is None
    assert row["ratio"] == 0.5


def test_the_table_lines_up() -> None:
    header, row = bench.table([ROW])
    assert len(header) == len(row)
    assert " ".join(row.split()) == "toy 1,000 rows peer 0.500 1.0 ms 2.0 ms 10% - -"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.8e-5, "18.0 us"), (4e-4, "400 us"), (0.0015, "1.5 ms"), (0.9995, "1.0 s")]
)
def test_times_have_units(seconds: float, text: str) -> None:
    assert bench._time(seconds) == text


def test_seconds_are_per_unit_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    timings = measure({"a": lambda: None, "b": lambda: None}, repeats=2, warmup=0, units={"a": 4})
    assert timings["a"].seconds == (0.25, 0.25)
    assert timings["b"].seconds == (1.0, 1.0)


def test_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_REGISTRY", {})
    bench.benchmark("toy", help="a toy")(lambda size: [ROW] if size == "full" else [])
    assert list(bench.run("toy", "full")) == [ROW]
    assert list(bench.run("toy", "quick")) == []
    with pytest.raises(ConfigError, match="two benchmarks are called 'toy'"):
        bench.benchmark("toy", help="again")(lambda size: [])
    with pytest.raises(ConfigError, match="unknown benchmark 'x'; known: "):
        bench.run("x")
    with pytest.raises(ConfigError, match="unknown size 'huge'; known: full, quick, tiny"):
        bench.run("toy", "huge")
