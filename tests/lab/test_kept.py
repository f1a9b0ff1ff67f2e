"""Kept results: what is known, what is missing, nothing run unasked; claims with hand-worked intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.errors import ConfigError
from workbench.lab import published
from workbench.lab.claims import equivalences, strongest, verdicts, weakest
from workbench.lab.kept import complete, context_scores, known, long
from workbench.lab.store import Store, Trial

ASKED = [Trial(variant, "ml-1m", "f" * 16, seed) for variant in ("LIFT", "RIM") for seed in (0, 1)]


def measured(trial: Trial) -> dict[str, float]:
    return {"auc": 0.7 + 0.1 * trial.seed, "logloss": 0.5}


def refused(trial: Trial) -> dict[str, float]:
    raise AssertionError("a trial was run unasked")


def test_what_is_there_is_read_and_what_is_missing_is_named(tmp_path):
    store = Store(tmp_path / "own", tmp_path / "kept")
    for trial in ASKED[:3]:
        store.write("e", trial, measured(trial), 90.0)
    found = known("e", ASKED, refused, store=store)
    assert found.frame[["variant", "seed"]].to_numpy().tolist() == [["LIFT", 0], ["LIFT", 1], ["RIM", 0]]
    assert "RIM (1)" in found.missing
    assert "about 2 minutes" in found.missing  # RIM's other seed took 90 s
    assert found.note.startswith("2 seeds (5 minutes, ")
    assert found.note.endswith("1 of 4 trials missing")


def test_other_settings_are_not_mixed_in(tmp_path):
    store = Store(tmp_path / "own")
    other = Trial("LIFT", "ml-1m", "f" * 16, 0, {"k": 3})
    for trial in (ASKED[0], other):
        store.write("e", trial, measured(trial), 1.0)
    assert len(known("e", ASKED[:1], refused, store=store).frame) == 1


def test_nothing_known_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ConfigError, match=r"none of the 4 trials of e on ml-1m.*fresh = True"):
        known("e", ASKED, refused, store=Store(tmp_path))


def test_fresh_runs_what_is_kept_already(tmp_path):
    store = Store(tmp_path / "own", tmp_path / "kept")
    for trial in ASKED:
        store.write("e", trial, {"auc": 0.1}, 1.0)
    store.keep("e")
    again = Store(tmp_path / "new", tmp_path / "kept")
    assert known("e", ASKED, refused, store=again).frame["auc"].tolist() == 4 * [0.1]
    found = known("e", ASKED, measured, fresh=True, store=again)
    assert found.frame["auc"].tolist() == pytest.approx([0.7, 0.8, 0.7, 0.8])
    assert found.missing == ""


def test_long_says_it_as_the_paper_prints_it():
    found = pd.DataFrame(
        {"variant": ["rnn"], "dataset": ["ml-1m"], "seed": [3], "auc": [0.7], "logloss": [0.6]}
    )
    rows = long(found, {"rnn": "RNN"}).to_dict("records")
    same = {"dataset": "ML-1M", "method": "RNN", "seed": 3}
    assert rows == [{**same, "metric": "AUC", "value": 0.7}, {**same, "metric": "LogLoss", "value": 0.6}]
    assert {"ML-1M"} < set(published.table("lift_table3")["dataset"])


def contexts(seeds: dict[str, int], succession: float = 1.0) -> pd.DataFrame:
    rows = [(variant, seed, succession, 0.7 + 0.01 * seed, 0.6, 0.9, 0.8)
            for variant, count in seeds.items() for seed in range(count)]  # fmt: skip
    columns = ["variant", "seed", "succession", "auc", "auc_steps", "ceiling", "ceiling_steps"]
    return pd.DataFrame(rows, columns=columns)


def test_only_complete_seeds_are_paired():
    half = contexts({"history": 3, "no context": 2, "future and history": 5})
    assert sorted(complete(half)["seed"].unique()) == [0, 1]
    scores, ceiling = context_scores(pd.concat([half, contexts({"history": 5, "no context": 1}, 0.0)]))
    assert set(scores["world"]) == {"succession 1"}  # one seed gives no interval
    assert set(scores["context"]) == {"history", "none", "both"}
    assert scores.groupby("rows").size().to_dict() == {"all test rows": 6, "step rows": 6}
    assert ceiling == {
        ("succession 1", "all test rows"): pytest.approx(0.9),
        ("succession 1", "step rows"): pytest.approx(0.8),
    }
    assert context_scores(contexts({"history": 1}))[0].empty


def scores(**values: list[float]) -> pd.DataFrame:
    rows = [
        (variant, seed, auc, 1 - auc) for variant, aucs in values.items() for seed, auc in enumerate(aucs)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "auc", "logloss"])


def test_a_verdict_is_the_sign_of_a_paired_interval():
    """By hand: differences .01, .02, .03 have mean .02, s = .01, t(2; .975) = 4.3027: ± .02484."""
    found = scores(A=[0.71, 0.82, 0.93], B=[0.70, 0.80, 0.90], C=[0.60, 0.701, 0.80], D=[0.5])
    told = verdicts(
        found,
        [("L01", "A", "B", "auc"), ("L02", "A", "B", "logloss"), ("L03", "A", "C", "auc"),
         ("L04", "C", "A", "logloss"), ("L05", "A", "D", "auc"), ("L06", "A", "E", "auc")],
    )  # fmt: skip
    first = told.iloc[0]
    assert first["difference"] == pytest.approx(0.02)
    assert first["low"] == pytest.approx(0.02 - 4.302653 * 0.01 / np.sqrt(3))
    assert told["difference"][1] == pytest.approx(0.02)  # a smaller LogLoss is better
    assert told["verdict"].tolist() == [
        "cannot tell", "cannot tell", "holds", "the reverse holds", "too few seeds", "too few seeds",
    ]  # fmt: skip
    assert told["seeds"].tolist() == [3, 3, 3, 3, 1, 0]
    assert told["text"][0] == "LIFT beats every CTR baseline in AUC on all three datasets."


def test_strongest_and_weakest_look_at_what_was_run():
    found = scores(A=[0.7], B=[0.8])
    assert strongest(found, ["A", "B", "Z"]) == "B"
    assert strongest(found, ["A", "B"], "logloss") == "B"
    assert weakest(found, ["A", "B", "Z"], "logloss") == weakest(found, ["B", "A"]) == "A"
    assert strongest(found, ["Y", "Z"]) == "Y"


@pytest.mark.parametrize(
    ("lead", "verdict"),
    [(0.0001, "holds"), (0.0030, "does not hold"), (-0.0030, "does not hold"), (0.0020, "cannot tell")],
)
def test_to_do_equally_well_the_whole_interval_has_to_lie_within_the_margin(lead, verdict):
    noise = np.array([-2e-4, 1e-4, 1e-4])
    found = pd.DataFrame(
        [("a", s, 0.7 + 0.01 * s + lead + noise[s]) for s in range(3)]
        + [("b", s, 0.7 + 0.01 * s) for s in range(3)],
        columns=["variant", "seed", "AUC"],
    )
    told = equivalences(found, [("E02", "a", "b", "AUC")], 0.002, paper="ENCODE").iloc[0]
    assert told["verdict"] == verdict
    assert told["difference"] == pytest.approx(lead)
    one = equivalences(found[found["seed"] == 0], [("E02", "a", "b", "AUC")], 0.002, paper="ENCODE").iloc[0]
    assert one["verdict"] == "too few seeds"
