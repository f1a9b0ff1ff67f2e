"""The papers' data set tables beside what is counted here: counts by hand, and nothing invented."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from workbench.data.interactions import Interactions
from workbench.data.sources import SOURCES
from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab import datasets, published
from workbench.lab.datasets import SOURCES_OF, beside_published, side_by_side

WORLD = make_world("tiny").interactions


def small_log(name: str) -> Interactions:
    """Four rows of two users and two items: a density of 100%."""
    frame = pd.DataFrame({"user": [1, 1, 2, 2], "item": [5, 6, 5, 6], "timestamp": [1, 2, 3, 4], "label": 1})
    return Interactions.from_frame(frame, name=name, note="made by hand")


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch):
    """Pretend that only these data sets are there, each with the four rows above."""

    def pretend(*names: str) -> None:
        monkeypatch.setattr(datasets, "locate", lambda name: Path(name) if name in names else None)
        monkeypatch.setattr(datasets, "load_source", small_log)

    return pretend


@pytest.mark.parametrize("table", SOURCES_OF)
def test_every_printed_number_is_there_once_and_unchanged(table: str) -> None:
    printed = published.table(table)
    frame = beside_published(table, WORLD, look=False)
    both = printed.merge(frame, on=["dataset", "metric"], validate="one_to_one")
    assert len(both) == len(printed)
    assert (both["value"] == both["published"]).all()
    assert {name for names in SOURCES_OF[table].values() for name in names} <= set(SOURCES)


def test_without_looking_only_the_world_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "locate", lambda name: pytest.fail("looked"))
    frame = beside_published("dualrec_table1", WORLD, look=False)
    assert dict(frame.groupby("state", sort=False).size()) == {"not looked for": 16, "generated": 4}
    assert frame.loc[frame["state"] == "not looked for", "ours"].isna().all()
    world = frame[frame["state"] == "generated"].set_index("metric")["ours"]
    assert world["interactions"] == len(WORLD)
    assert world["density_pct"] == pytest.approx(100 * len(WORLD) / (world["users"] * world["items"]))


def test_what_is_absent_has_no_number(at_hand) -> None:
    at_hand("yelp")
    frame = beside_published("dualrec_table1", WORLD).set_index(["dataset", "metric"])
    assert frame.loc["Beauty", "ours"].isna().all()
    assert set(frame.loc["Beauty", "state"]) == {"not at hand"}
    assert set(frame.loc["Beauty", "fingerprint"]) == {""}
    assert frame.loc["Yelp", "ours"].to_dict() == {
        "users": 2,
        "items": 2,
        "interactions": 4,
        "density_pct": 100,
    }
    assert set(frame.loc["Yelp", "verdict"]) == {"differs"}
    assert set(frame.loc["Yelp", "note"]) == {"made by hand"}


def test_a_sample_is_called_one_and_gives_way_to_the_whole(at_hand) -> None:
    at_hand("taobao-sample")
    assert set(beside_published("lift_table1", WORLD).set_index("dataset").loc["Taobao", "state"]) == {
        "sample"
    }
    at_hand("taobao-sample", "taobao")
    rows = beside_published("lift_table1", WORLD).set_index("dataset").loc["Taobao"]
    assert set(rows["state"]) == {"counted"}
    assert set(rows["source"]) == {"taobao"}


@pytest.mark.parametrize(
    ("metric", "printed", "counted", "verdict"),
    [
        ("users", 22_363, 22_363, "same"),
        ("users", 22_363, 22_364, "differs"),
        ("density_pct", 0.07, 0.0734, "same"),
        ("density_pct", 0.07, 0.0751, "differs"),
        ("density_pct", 0.07, None, ""),
        ("users", None, 80, ""),
    ],
)
def test_verdicts_go_to_the_printed_digits(
    metric: str, printed: float | None, counted: float | None, verdict: str
) -> None:
    row = pd.DataFrame({"metric": [metric], "published": [printed], "ours": [counted]})
    row[["published", "ours"]] = row[["published", "ours"]].astype("float64")
    assert datasets._verdicts(row).tolist() == [verdict]


def test_the_table_to_read() -> None:
    wide = side_by_side(beside_published("dualrec_table1", WORLD, look=False))
    assert [dataset for dataset, _ in wide.index] == ["Beauty", "Sports", "Toys", "Yelp", "world:tiny"]
    assert wide.loc[("Yelp", "not looked for"), ("interactions", "paper")] == "316,354"
    assert wide.loc[("Yelp", "not looked for"), ("density_pct", "paper")] == "0.05"
    assert wide.loc[("Yelp", "not looked for"), ("users", "ours")] == ""
    assert wide.loc[("world:tiny", "generated"), ("users", "ours")] == "80"


def test_an_unknown_table() -> None:
    with pytest.raises(ConfigError, match="unknown table of data sets 'lift_table2'; known: dualrec_table1"):
        beside_published("lift_table2", WORLD)


@pytest.mark.skipif("WORKBENCH_DATA" not in os.environ, reason="WORKBENCH_DATA is not set: no real data")
@pytest.mark.parametrize("table", SOURCES_OF)
def test_real_data_counts_as_printed(table: str) -> None:
    frame = beside_published(table, WORLD)
    whole = frame[frame["state"] == "counted"]
    if whole.empty:
        pytest.skip("none of the table's data sets is at hand")
    assert set(whole["verdict"]) == {"same"}
