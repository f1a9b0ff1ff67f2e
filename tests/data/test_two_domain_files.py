"""LCN's public data in its raw files: Tianchi 56, whose ads fall into two domains by category."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import rawfiles

from workbench.data import load
from workbench.data.sources import SOURCES
from workbench.lab import lcn_trials
from workbench.lab.long_samples import LongData


@pytest.fixture(autouse=True)
def _ads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows in the published format, in a folder of their own."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    whole = SOURCES["taobao-ads"]
    monkeypatch.setitem(SOURCES, "taobao-ads", replace(whole, rows=None, users=None, items=None))
    rawfiles.write("taobao-ads", tmp_path / "taobao-ads", rows=400)


def test_a_trial_reads_what_the_publisher_ships() -> None:
    small = {"epochs": 1, "batch": 64, "negatives": 32, "width": 8, "hidden": [8]}
    (trial,) = lcn_trials.trials("lcn_table1", "taobao-ads", [0], ["LCN"], **small)
    assert (trial.config["long"], lcn_trials.shrunk(200, trial.config)) == (500, 200)
    found = lcn_trials.measure(trial)
    assert 0 <= found["AUC"] <= 1
    assert 0 <= found["pairs told apart"] <= 1


def test_what_describes_a_user_or_a_place_is_no_field_of_an_item() -> None:
    data = LongData.of(load("taobao-ads"), short=5, long=20)
    assert data.target.shape[1] == 1 + len(("category", "campaign", "customer", "brand"))
    assert data.profile.shape[1] == 8
