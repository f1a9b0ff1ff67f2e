"""LIFT's experiments on logs of clicks alone: from small files in the raw formats, by the command, to AUC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.data.sources import SOURCES
from workbench.errors import ConfigError, DataError
from workbench.lab import lift_trials
from workbench.lab.lift_settings import SETTINGS, TINY
from workbench.lab.lift_trials import EXPERIMENTS, measure, trials

ROWS, DAYS, START = 1500, 60, datetime(2014, 5, 11, tzinfo=UTC)
FAST = {**TINY, "pretrain_epochs": 1, "epochs": 1}


def events(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """(user, item, kind of action, day) of 30 users and 40 items, in no order."""
    draws = (rng.integers(1, 31, ROWS), rng.integers(1, 41, ROWS), rng.integers(0, 2, ROWS))
    return list(zip(*(part.tolist() for part in (*draws, rng.integers(0, DAYS, ROWS))), strict=True))


def taobao(folder: Path, rng: np.random.Generator) -> None:
    seconds = 1_511_539_200 + rng.integers(0, 9 * 86_400, ROWS)
    lines = [
        f"{user},{item},{item % 5 + 1},{('pv', 'buy')[act]},{at}"
        for (user, item, act, _), at in zip(events(rng), seconds, strict=True)
    ]
    (folder / "UserBehavior.csv").write_text("\n".join(lines) + "\n")


def tmall(folder: Path, rng: np.random.Generator) -> None:
    lines = ["user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"]
    for user, item, act, day in events(rng):
        on = (START + timedelta(day)).strftime("%m%d")
        lines.append(f"{user},{item},{item % 5 + 1},{item % 3 + 1},{item % 7 or ''},{on},{2 * act}")
    (folder / "user_log_format1.csv").write_text("\n".join(lines) + "\n")
    people = [f"{user},{user % 4},{user % 2}" for user in range(1, 31)]
    (folder / "user_info_format1.csv").write_text("\n".join(["user_id,age_range,gender", *people]) + "\n")


def alipay(folder: Path, rng: np.random.Generator) -> None:
    lines = ["use_ID,sel_ID,ite_ID,cat_ID,act_ID,time"]
    for user, item, act, day in events(rng):
        on = (START + timedelta(day)).strftime("%Y%m%d")
        lines.append(f"{user},{item % 3 + 1},{item},{item % 5 + 1},{act},{on}")
    (folder / "ijcai2016_taobao.csv").write_text("\n".join(lines) + "\n")


def lastfm(folder: Path, rng: np.random.Generator) -> None:
    lines = []
    for (user, item, _, day), second in zip(events(rng), rng.integers(0, 86_400, ROWS), strict=True):
        at = (START + timedelta(day, int(second))).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"user_{user:06}\t{at}\t\tartist {item % 5}\t\ttrack {item}")
    (folder / SOURCES["lastfm-1k"].files[0]).write_text("\n".join(lines) + "\n")
    people = [
        f"user_{user:06}\t{'mf'[user % 2]}\t{20 + user % 3}\tPeru\tFeb 1, 2006" for user in range(1, 31)
    ]
    (folder / "userid-profile.tsv").write_text("\n".join(["#id\tgender\tage\tcountry\tregistered", *people]))


WRITERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "taobao-sample": taobao,
    "taobao": taobao,
    "tmall": tmall,
    "alipay": alipay,
    "lastfm-1k": lastfm,
}
READ = {
    "taobao-sample": ("user", "item", "category"),
    "taobao": ("user", "item", "category"),
    "tmall": ("user", "item", "category", "seller", "brand", "age", "gender"),
    "alipay": ("user", "item", "category", "seller"),
    "lastfm-1k": ("user", "item", "artist", "gender", "age", "country"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files for all data sets, everything else in a temporary folder."""
    for variable in ("HOME", "DATA", "CACHE"):
        monkeypatch.setenv(f"WORKBENCH_{variable}", str(tmp_path / variable))
    (tmp_path / "HOME" / "notebooks").mkdir(parents=True)
    monkeypatch.setattr("workbench.lab.lift.SEQUENCES", 50)
    for name, write in WRITERS.items():
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], rows=None, users=None, items=None))
        (tmp_path / "DATA" / name).mkdir(parents=True)
        write(tmp_path / "DATA" / name, np.random.default_rng(0))
    for cached in (lift_trials._log, lift_trials._about, lift_trials._data, lift_trials._encoded):
        cached.cache_clear()


def test_every_log_of_the_paper_has_settings() -> None:
    assert {*WRITERS, "ml-1m"} == {name for name in SETTINGS if not name.startswith("world")}


def test_the_command_measures_all_variants_on_a_log_of_clicks() -> None:
    given = [word for name, value in FAST.items() for word in ("--set", f"{name}={value}")]
    done = CliRunner().invoke(
        app,
        ["measure", "lift_contexts", "--dataset", "taobao", "--seeds", "0", *given],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    for variant in EXPERIMENTS["lift_contexts"]:
        (line,) = [line for line in done.output.splitlines() if line.startswith(f"{variant}  ")]
        assert (
            0.3 < float(line.removeprefix(variant).split()[0]) < 0.8
        )  # nothing to learn: nobody prefers anything


@pytest.mark.parametrize("dataset", ["tmall", "alipay", "lastfm-1k"])
def test_each_format_gives_a_number(dataset: str) -> None:
    (trial,) = trials("lift_contexts", dataset, [0], ["future and history"], **FAST)
    found = measure(trial)
    assert 0.3 < found["auc"] < 0.8
    assert all(map(math.isfinite, found.values()))


@pytest.mark.parametrize("name", ["GBDT", "DeepFM", "RIM", "SIM"])
def test_compared_systems_run_on_such_a_log(name: str) -> None:
    (trial,) = trials("lift_table2", "tmall", [0], [name], **FAST)
    assert 0.3 < measure(trial)["auc"] < 0.8


@pytest.mark.parametrize("dataset", WRITERS)
def test_no_network_reads_what_only_clicks_have(dataset: str) -> None:
    trial = trials("lift_contexts", dataset, [0], ["history"], **FAST)[0]
    data = lift_trials._data(dataset, 0, *lift_trials._key(trial.config))
    assert data.log.fields == READ[dataset]
    assert data.table.fields == READ[dataset][1:]
    assert data.log.label.mean() == 0.5
    assert trial.fingerprint == data.log.fingerprint


def test_the_seed_of_a_trial_does_not_change_the_drawn_rows() -> None:
    asked = trials("lift_contexts", "alipay", range(3), **FAST)
    assert len({trial.fingerprint for trial in asked}) == 1


def test_fewer_users_are_another_log_and_null_means_everybody() -> None:
    few, more, everybody = (
        trials("lift_contexts", "taobao", [0], ["history"], **FAST, users=users)[0] for users in (5, 30, None)
    )
    assert few.fingerprint != more.fingerprint == everybody.fingerprint
    assert few.config["users"] == 5
    log, _, _ = lift_trials._log("taobao", 0, None, 5)
    assert len(np.unique(log.user)) == 5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="number of users must be a whole number from 1, not 0"):
        trials("lift_contexts", "taobao", [0], **FAST, users=0)
    with pytest.raises(ConfigError, match="unknown setting 'users'"):
        trials("lift_contexts", "taobao-sample", [0], users=5)
    with pytest.raises(ConfigError, match="unknown data set with settings for LIFT 'yelp'"):
        trials("lift_contexts", "yelp", [0])


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "DATA" / "taobao" / "UserBehavior.csv").unlink()
    with pytest.raises(DataError, match=r"Taobao is not at hand; missing: UserBehavior\.csv"):
        trials("lift_contexts", "taobao", [0])
