"""Sweeps run what is missing and lose nothing; tables and intervals over seeds against hand-worked ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client

from workbench.errors import ConfigError, DataError
from workbench.lab.experiments import SweepError, frame, paired, summary, sweep
from workbench.lab.metrics import paired_interval
from workbench.lab.store import Store, Trial

TRIALS = [Trial(v, "world:tiny", f"data{s}", s, {"K": 5}) for v in ("LIFT", "RIM") for s in (0, 1, 2)]


def measure(trial: Trial) -> dict[str, float]:
    """A metric that says which trial it was."""
    return {"auc": 0.7 + 0.01 * trial.seed + 0.05 * (trial.variant == "LIFT")}


class Counted:
    """A measurement that counts its calls, and fails or is interrupted at some."""

    def __init__(self, fails: tuple[int, ...] = (), error: type[BaseException] = ZeroDivisionError) -> None:
        self.calls: list[Trial] = []
        self.fails, self.error = fails, error

    def __call__(self, trial: Trial) -> dict[str, float]:
        self.calls.append(trial)
        if len(self.calls) in self.fails:
            raise self.error("on purpose")
        return measure(trial)


class TestSweeping:
    def test_every_trial_is_run_once(self, tmp_path) -> None:
        store, count = Store(tmp_path), Counted()
        first = sweep("table2", TRIALS, count, store)
        assert count.calls == TRIALS
        again = sweep("table2", TRIALS[::-1], count, store)
        assert len(count.calls) == 6, "all found in the store"
        assert first["variant"].tolist() == ["LIFT"] * 3 + ["RIM"] * 3
        assert first["seed"].tolist() == [0, 1, 2] * 2
        assert first["auc"].tolist() == [measure(trial)["auc"] for trial in TRIALS]
        pd.testing.assert_frame_equal(again[::-1].reset_index(drop=True), first)
        sweep("table2", [*TRIALS, replace(TRIALS[0], seed=9)], count, store)
        assert count.calls[6:] == [replace(TRIALS[0], seed=9)]

    def test_a_question_two_tables_ask_is_measured_once_where_settings_say_all(self, tmp_path) -> None:
        store, count = Store(tmp_path / "a", tmp_path / "kept"), Counted()
        asked = [replace(t, config={"model": t.variant, "hidden": (8, 4)}) for t in TRIALS]
        first = sweep("table2", asked, count, store, shared=True)
        assert len(count.calls) == 6
        renamed = [replace(t, variant=f"{t.variant} again") for t in asked]
        second = sweep("table5", [*renamed, replace(asked[0], seed=7)], count, store, shared=True)
        assert count.calls[6:] == [replace(asked[0], seed=7)]
        assert second["variant"].tolist()[:6] == [t.variant for t in renamed]
        assert second["auc"].tolist()[:6] == first["auc"].tolist()
        assert second["commit"].tolist()[:6] == first["commit"].tolist()
        sweep("table6", asked, count, store)
        assert len(count.calls) == 13, "not unless it is said that the variant is only a name"

    def test_kept_records_are_not_run_either(self, tmp_path) -> None:
        store, count = Store(tmp_path / "a", tmp_path / "kept"), Counted()
        sweep("table2", TRIALS, count, store)
        store.keep("table2")
        sweep("table2", TRIALS, count, Store(tmp_path / "b", tmp_path / "kept"))
        assert len(count.calls) == 6

    def test_a_failure_is_noted_the_rest_goes_on_and_only_it_is_tried_again(self, tmp_path) -> None:
        store, count = Store(tmp_path), Counted(fails=(2, 5))
        with pytest.raises(SweepError, match="2 of 6 trials of table2 failed") as caught:
            sweep("table2", TRIALS, count, store)
        assert len(count.calls) == 6
        assert "LIFT on world:tiny, seed 1, K 5: ZeroDivisionError: on purpose" in str(caught.value)
        assert [trial for trial, _ in caught.value.failures] == [TRIALS[1], TRIALS[4]]
        assert "in __call__" in caught.value.failures[0][1], "the traceback"
        assert len(store.records("table2")) == 4
        assert len(list((tmp_path / "table2").glob("*.failed.json"))) == 2
        found = sweep("table2", TRIALS, count, store)
        assert count.calls[6:] == [TRIALS[1], TRIALS[4]]
        assert len(found) == 6
        assert not list((tmp_path / "table2").glob("*.failed.json"))

    def test_an_interrupted_sweep_goes_on_where_it_ended(self, tmp_path) -> None:
        store, count = Store(tmp_path), Counted(fails=(4,), error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            sweep("table2", TRIALS, count, store)
        assert len(store.records("table2")) == 3
        sweep("table2", TRIALS, count, store)
        assert count.calls[4:] == TRIALS[3:]

    def test_one_line_as_each_trial_ends(self, tmp_path) -> None:
        said: list[str] = []
        with pytest.raises(SweepError):
            sweep("table2", TRIALS[:2], Counted(fails=(2,)), Store(tmp_path), say=said.append)
        assert said == ["LIFT on world:tiny, seed 0, K 5: 0.0 s", "LIFT on world:tiny, seed 1, K 5: failed"]

    @pytest.mark.parametrize("value", [math.nan, np.float32(math.inf), "high", None, object()])
    def test_a_metric_that_is_no_finite_number_is_a_failure(self, tmp_path, value) -> None:
        with pytest.raises(SweepError, match="the metric 'auc' must be a finite number"):
            sweep("table2", TRIALS[:1], lambda _: {"auc": value}, Store(tmp_path))

    def test_a_metric_named_like_a_setting_is_a_failure(self, tmp_path) -> None:
        with pytest.raises(SweepError, match="a metric cannot be called 'K'"):
            sweep("table2", TRIALS[:1], lambda _: {"K": 1.0}, Store(tmp_path))

    def test_numbers_of_any_kind_and_curves_are_stored(self, tmp_path) -> None:
        metrics = {"auc": np.float32(0.5), "rows": np.int64(3), "curve": np.array([0.1, 0.2])}
        found = sweep("table2", TRIALS[:1], lambda _: metrics, Store(tmp_path))
        assert found.loc[0, ["auc", "rows", "curve"]].tolist() == [0.5, 3, [0.1, 0.2]]

    def test_bad_questions_before_any_work(self, tmp_path) -> None:
        for trials, name, message in [
            ([TRIALS[0], TRIALS[1], TRIALS[0]], "table2", "asked for twice: LIFT on world:tiny, seed 0"),
            ([TRIALS[0], replace(TRIALS[1], config={"K": math.nan})], "table2", "plain JSON"),
            (TRIALS, "Table 2", "an experiment's name"),
        ]:
            with pytest.raises(ConfigError, match=message):
                sweep(name, trials, None, Store(tmp_path))


class TestOverACluster:
    @pytest.fixture
    def client(self):
        with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
            yield client

    def test_it_finds_what_one_process_finds(self, tmp_path, client) -> None:
        there = sweep("table2", TRIALS, measure, Store(tmp_path / "a"), scheduler=client)
        here = sweep("table2", TRIALS, measure, Store(tmp_path / "b"))
        columns = ["variant", "seed", "K", "auc", "key"]
        pd.testing.assert_frame_equal(there[columns], here[columns])

    def test_failures_are_noted_there_too(self, tmp_path, client) -> None:
        def fails_once(trial: Trial) -> dict[str, float]:
            return {"auc": 1 / trial.seed}

        store = Store(tmp_path)
        with pytest.raises(SweepError, match="seed 0, K 5: ZeroDivisionError") as caught:
            sweep("table2", TRIALS[:3], fails_once, store, scheduler=client)
        assert [trial for trial, _ in caught.value.failures] == TRIALS[:1]
        assert len(store.records("table2")) == 2

    def test_a_scheduler_is_found_by_its_address(self, tmp_path, client) -> None:
        address = client.scheduler_info()["address"]
        found = sweep("table2", TRIALS, measure, Store(tmp_path), scheduler=address)
        assert len(found) == 6
        assert sweep("table2", TRIALS, None, Store(tmp_path), scheduler="tcp://nowhere:1").equals(found), (
            "nothing is missing, so nobody is asked"
        )


@pytest.fixture
def found(tmp_path) -> pd.DataFrame:
    return sweep("table2", TRIALS, measure, Store(tmp_path))


class TestTables:
    def test_a_frame_holds_every_trial(self, tmp_path) -> None:
        store = Store(tmp_path)
        sweep("table2", TRIALS[::-1], measure, store)
        sweep("table2", [replace(TRIALS[0], config={"L": [1, 2]})], lambda _: {"hr": 0.1}, store)
        every = frame(store, "table2")
        settings_and_metrics = every.columns[4:8].tolist()
        assert {*settings_and_metrics[:2]} == {"K", "L"}
        assert {*settings_and_metrics[2:]} == {"auc", "hr"}
        assert every.columns.tolist() == [
            *("variant", "dataset", "fingerprint", "seed"),
            *settings_and_metrics,
            *("seconds", "commit", "dirty", "key"),
        ]
        assert every["variant"].tolist() == ["LIFT"] * 4 + ["RIM"] * 3
        other = every[every["hr"].notna()].iloc[0]
        assert other["L"] == (1, 2)
        assert np.isnan(other["K"])
        assert np.isnan(other["auc"])

    def test_an_empty_frame_has_its_columns(self, tmp_path) -> None:
        empty = frame(Store(tmp_path), "table2")
        assert len(empty) == 0
        assert {"variant", "seed", "seconds"} <= set(empty.columns)

    def test_mean_sd_and_n_by_hand(self, found) -> None:
        """LIFT .75 .76 .77: mean .76, sd .01; RIM .05 less."""
        table = summary(found, ["variant"], ["auc"])
        assert table.index.tolist() == ["LIFT", "RIM"]
        assert table.columns.tolist() == [("auc", "mean"), ("auc", "sd"), ("auc", "n")]
        assert table.loc["LIFT"].tolist() == pytest.approx([0.76, 0.01, 3])
        assert table.loc["RIM"].tolist() == pytest.approx([0.71, 0.01, 3])

    def test_seeds_are_not_averaged_with_anything_else(self, found) -> None:
        more = pd.concat([found, found.assign(K=10, key="other")])
        with pytest.raises(ConfigError, match="2 trials of one group have seed 0; they differ in K: choose"):
            summary(more, ["variant"], ["auc"])
        assert len(summary(more, ["variant", "K"], ["auc"])) == 4

    def test_groups_of_tuples(self, found) -> None:
        parts = [("history",), ("history", "future")]
        more = pd.concat([found.assign(parts=[p] * 6) for p in parts])
        table = summary(more, ["variant", "parts"], ["auc"])
        assert table.loc[("RIM", ("history", "future")), ("auc", "n")] == 3
        interval = paired(more, *({"variant": "RIM", "parts": p} for p in parts), "auc")
        assert interval.mean == 0.0

    def test_unknown_columns_are_refused(self, found) -> None:
        for by, metrics in ((["colour"], ["auc"]), (["variant"], ["hr"])):
            with pytest.raises(ConfigError, match="unknown column"):
                summary(found, by, metrics)


class TestPairs:
    def test_differences_are_taken_seed_by_seed(self, found) -> None:
        shuffled = found.assign(auc=found["auc"] + [0, 0.01, 0.02, 0, 0, 0]).sample(frac=1, random_state=0)
        interval = paired(shuffled, "LIFT", "RIM", "auc")
        expected = paired_interval(np.array([0.05, 0.06, 0.07]), np.zeros(3))
        assert interval == pytest.approx(expected)
        assert interval.mean == pytest.approx(0.06)
        # sd .01 over 3 seeds, t = 4.303: half the width is .0248
        assert interval.high - interval.mean == pytest.approx(4.3027 * 0.01 / math.sqrt(3), rel=1e-4)
        assert paired(shuffled, "RIM", "LIFT", "auc").mean == pytest.approx(-0.06)

    def test_settings_can_be_compared_too(self, found) -> None:
        more = pd.concat([found, found.assign(K=10, auc=found["auc"] + 0.02, key="other")])
        ten, five = ({"variant": "LIFT", "K": k} for k in (10, 5))
        assert paired(more, ten, five, "auc").mean == pytest.approx(0.02)
        with pytest.raises(ConfigError, match="they differ in K"):
            paired(more, "LIFT", "RIM", "auc")

    def test_seeds_without_a_partner_are_refused(self, found) -> None:
        with pytest.raises(DataError, match="only one of LIFT and RIM has seed 2"):
            paired(found[:-1], "LIFT", "RIM", "auc")

    def test_data_that_differ_are_refused(self, found) -> None:
        other = found.assign(fingerprint=[*found["fingerprint"][:4], "other", found["fingerprint"][5]])
        with pytest.raises(DataError, match="measured on different data at seed 1"):
            paired(other, "LIFT", "RIM", "auc")

    def test_bad_questions(self, found) -> None:
        with pytest.raises(ConfigError, match="unknown column 'hr'"):
            paired(found, "LIFT", "RIM", "hr")
        with pytest.raises(ConfigError, match="unknown column 'colour'"):
            paired(found, {"colour": 1}, "RIM", "auc")
        with pytest.raises(ConfigError, match="there is no trial of DIN"):
            paired(found, "DIN", "RIM", "auc")
        with pytest.raises(DataError, match="no interval"):
            paired(found[found["seed"] == 0], "LIFT", "RIM", "auc")
