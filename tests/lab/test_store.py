"""The store: a record for every question, found again by the question and by nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from logs import random_log

from workbench.errors import ConfigError, DataError
from workbench.lab.runs import code_state
from workbench.lab.store import Store, Trial

TRIAL = Trial("LIFT", "world:tiny", "abcdef", 3, {"K": 10, "parts": ["history", "future"]})


class TestKeys:
    def test_the_same_question_has_the_same_key(self) -> None:
        again = Trial("LIFT", "world:tiny", "abcdef", 3, {"parts": ("history", "future"), "K": 10})
        assert TRIAL.key("table2") == again.key("table2")
        assert len(TRIAL.key("table2")) == 16

    @pytest.mark.parametrize(
        "changes",
        [
            {"variant": "RIM"},
            {"dataset": "world:small"},
            {"fingerprint": "abcdee"},
            {"seed": 4},
            {"config": {"K": 11, "parts": ["history", "future"]}},
            {"config": {"K": 10}},
            {"config": {"K": 10, "parts": ["future", "history"]}},
        ],
    )
    def test_whatever_is_asked_differently_has_another(self, changes) -> None:
        assert replace(TRIAL, **changes).key("table2") != TRIAL.key("table2")
        assert TRIAL.key("table3") != TRIAL.key("table2")

    def test_a_trial_on_a_log_names_its_data(self) -> None:
        log = random_log(0)
        assert Trial.on(log, "RIM", 1, {"K": 5}) == Trial("RIM", "random", log.fingerprint, 1, {"K": 5})
        assert Trial.on(log, "RIM", 1).config == {}

    @pytest.mark.parametrize("config", [{"K": math.nan}, {"K": object()}, {"K": {1, 2}}])
    def test_settings_are_plain_json(self, config) -> None:
        with pytest.raises(ConfigError, match="settings must be plain JSON values"):
            replace(TRIAL, config=config).key("table2")

    @pytest.mark.parametrize("name", ["seed", "variant", "seconds", "key"])
    def test_a_setting_cannot_hide_a_column(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"a setting cannot be called '{name}'"):
            replace(TRIAL, config={name: 1}).key("table2")


class TestRecords:
    def test_what_was_asked_and_answered_and_by_which_code(self, tmp_path) -> None:
        store = Store(tmp_path)
        store.write("table2", TRIAL, {"auc": 0.75}, 12.341)
        ((key, record),) = store.records("table2").items()
        assert key == TRIAL.key("table2")
        finished = record.pop("finished")
        assert finished.endswith("Z")
        assert record == {
            "key": key,
            "experiment": "table2",
            "variant": "LIFT",
            "dataset": "world:tiny",
            "fingerprint": "abcdef",
            "seed": 3,
            "config": {"K": 10, "parts": ["history", "future"]},
            "metrics": {"auc": 0.75},
            "seconds": 12.34,
            **code_state(),
        }
        assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json")] == [
            f"table2/{key}.json"
        ]

    def test_experiments_do_not_mix(self, tmp_path) -> None:
        store = Store(tmp_path)
        store.write("table2", TRIAL, {"auc": 0.75}, 1.0)
        assert store.records("table3") == {}

    def test_a_failure_is_no_record_and_goes_when_there_is_one(self, tmp_path) -> None:
        store = Store(tmp_path)
        store.write_failure("table2", TRIAL, "Traceback\nValueError: no")
        assert store.records("table2") == {}
        (path,) = (tmp_path / "table2").iterdir()
        assert json.loads(path.read_text())["error"] == ["Traceback", "ValueError: no"]
        store.write("table2", TRIAL, {"auc": 0.75}, 1.0)
        assert not path.exists()
        assert len(store.records("table2")) == 1

    def test_the_checkout_s_own_places(self, checkout) -> None:
        Store().write("table2", TRIAL, {"auc": 0.75}, 1.0)
        key = TRIAL.key("table2")
        assert (checkout.root / "runs" / "results" / "table2" / f"{key}.json").exists()
        assert Store().keep("table2") == checkout.root / "figures" / "results" / "table2.json"

    def test_a_broken_record_is_named(self, tmp_path) -> None:
        (tmp_path / "table2").mkdir()
        (tmp_path / "table2" / "0123.json").write_text("{")
        with pytest.raises(DataError, match=r"0123\.json: not a stored result"):
            Store(tmp_path).records("table2")

    @pytest.mark.parametrize("name", ["", "Table2", "a/b", "..", "a b"])
    def test_names_are_simple(self, tmp_path, name: str) -> None:
        with pytest.raises(ConfigError, match="an experiment's name"):
            Store(tmp_path).records(name)


class TestKeeping:
    def test_a_clone_finds_kept_records_without_any_run(self, tmp_path) -> None:
        first, clone = Store(tmp_path / "a", tmp_path / "kept"), Store(tmp_path / "b", tmp_path / "kept")
        other = replace(TRIAL, seed=1)
        for trial, auc in ((TRIAL, 0.75), (other, 0.7)):
            first.write("table2", trial, {"auc": auc}, 1.0)
        path = first.keep("table2")
        assert clone.records("table2") == first.records("table2")
        assert [r["seed"] for r in json.loads(path.read_text())["records"]] == [1, 3], "in a fixed order"
        before = path.read_bytes()
        clone.keep("table2")  # kept ones stay kept
        assert path.read_bytes() == before

    def test_one_s_own_records_come_first(self, tmp_path) -> None:
        store = Store(tmp_path / "a", tmp_path / "kept")
        store.write("table2", TRIAL, {"auc": 0.75}, 1.0)
        store.keep("table2")
        store.write("table2", TRIAL, {"auc": 0.8}, 1.0)
        (record,) = store.records("table2").values()
        assert record["metrics"] == {"auc": 0.8}

    def test_only_the_chosen_ones(self, tmp_path) -> None:
        store = Store(tmp_path / "a", tmp_path / "kept")
        for seed in range(3):
            store.write("table2", replace(TRIAL, seed=seed), {"auc": 0.75}, 1.0)
        chosen = [replace(TRIAL, seed=seed).key("table2") for seed in (2, 0)]
        records = json.loads(store.keep("table2", chosen).read_text())["records"]
        assert [record["seed"] for record in records] == [0, 2]

    def test_what_cannot_be_kept(self, tmp_path) -> None:
        store = Store(tmp_path / "a", tmp_path / "kept")
        with pytest.raises(ConfigError, match="there are no results of 'table2' to keep"):
            store.keep("table2")
        store.write("table2", TRIAL, {"auc": 0.75}, 1.0)
        with pytest.raises(ConfigError, match="table2 has no result 'abc'"):
            store.keep("table2", ["abc"])
        with pytest.raises(ConfigError, match="no place for kept results"):
            Store(tmp_path / "a").keep("table2")
        assert not (tmp_path / "kept").exists()
