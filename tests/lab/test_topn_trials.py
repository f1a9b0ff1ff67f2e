"""LIFT's Table 3 as trials: all variants answer the same questions, and nonsense is refused before work."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import ConfigError
from workbench.lab import topn_trials
from workbench.lab.experiments import sweep
from workbench.lab.lift_trials import typed
from workbench.lab.store import Store, Trial
from workbench.lab.topn_trials import EXPERIMENTS, SEQUENTIAL, SETTINGS, measure, trials

NAME = "lift_table3"
VARIANTS = list(EXPERIMENTS[NAME])
SEED = 3
METRICS = [f"{m}@{k}" for m in ("HR", "NDCG") for k in (1, 5, 10)] + ["MRR"]
TARGETS = SETTINGS["world:tiny"]["targets"]


def one(variant: str, seed: int = SEED, **settings) -> Trial:
    (trial,) = trials(NAME, "world:tiny", [seed], [variant], **settings)
    return trial


@pytest.fixture(autouse=True)
def few_sequences(monkeypatch) -> None:
    monkeypatch.setattr("workbench.lab.lift.SEQUENCES", 50)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    """Every variant's numbers, where every question is also asked among all items."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.lab.lift.SEQUENCES", 50)
        return {variant: measure(one(variant, full=TARGETS)) for variant in VARIANTS}


class TestNumbers:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_they_are_shares(self, measured, variant) -> None:
        found = dict(measured[variant])
        assert found.pop("epochs_run") == 2
        assert found.pop("best_epoch") in (1, 2)
        assert set(found) == {*METRICS, *(f"full {name}" for name in METRICS), "NDCG@10 validation"}
        assert all(math.isfinite(value) and 0 <= value <= 1 for value in found.values())

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_more_competitors_never_help(self, measured, variant) -> None:
        """The stored negatives are among all items: no answer stands higher among these than among those."""
        found = measured[variant]
        assert all(found[f"full {name}"] <= found[name] for name in METRICS)
        assert found["full MRR"] < found["MRR"]

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_what_each_metric_says_of_the_others(self, measured, variant) -> None:
        for kind in ("", "full "):
            hits = [measured[variant][f"{kind}HR@{k}"] for k in (1, 5, 10)]
            gains = [measured[variant][f"{kind}NDCG@{k}"] for k in (1, 5, 10)]
            assert hits == sorted(hits)
            assert gains == sorted(gains)
            assert gains[0] == hits[0]
            assert all(g <= h for g, h in zip(gains, hits, strict=True))
            assert hits[0] <= measured[variant][f"{kind}MRR"] <= hits[2] + (1 - hits[2]) / 11

    def test_variants_differ(self, measured) -> None:
        assert len({found["MRR"] for found in measured.values()}) == len(VARIANTS)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_the_same_seed_gives_the_same_numbers(self, measured, variant) -> None:
        topn_trials._task.cache_clear()
        topn_trials._candidates.cache_clear()
        torch.rand(3)  # whatever was drawn in between
        assert measure(one(variant, full=TARGETS)) == measured[variant]

    def test_another_seed_gives_others(self, measured) -> None:
        assert measure(one("FPMC", SEED + 1, full=TARGETS)) != measured["FPMC"]

    @pytest.mark.parametrize("variant", ["SASRec", "RIM", "LIFT"])
    def test_the_epoch_that_validation_prefers_is_kept(self, monkeypatch, variant) -> None:
        """Whatever comes after it: the numbers are those of a training that ends there."""

        def scripted(*_):
            scores = iter([0.1, 0.9, 0.2, 0.3])
            return lambda model: next(scores)

        monkeypatch.setattr(topn_trials, "rank_score", scripted)
        monkeypatch.setattr(topn_trials, "list_score", scripted)
        shorter, longer = (measure(one(variant, epochs=epochs, lr=0.05)) for epochs in (2, 4))
        assert (longer["best_epoch"], longer["NDCG@10 validation"]) == (2, 0.9)
        assert longer == {**shorter, "epochs_run": 4}
        assert measure(one(variant, epochs=4, lr=0.05, patience=1))["epochs_run"] == 3


class TestQuestions:
    @pytest.fixture
    def asked(self, monkeypatch) -> list[tuple[str, object]]:
        """(what was called, questions), as the variants ask for scores and ranks."""
        calls = []

        def spied(name: str, place: int):
            original = getattr(topn_trials, name)

            def call(*args, **options):
                calls.append((name, args[place]))
                return original(*args, **options)

            monkeypatch.setattr(topn_trials, name, call)

        for name, place in (
            ("rank_score", 0), ("rank", 1), ("list_score", 1), ("rank_lists", 2), ("rank_all", 2)
        ):  # fmt: skip
            spied(name, place)
        return calls

    def test_all_variants_are_asked_the_same(self, asked) -> None:
        """To choose the epoch by, among stored negatives, and among all items, in this order."""
        answered = {}
        for variant in VARIANTS:
            topn_trials._task.cache_clear()
            topn_trials._candidates.cache_clear()
            asked.clear()
            measure(one(variant))
            answered[variant] = list(asked)
        for variant, found in answered.items():
            names = [name for name, _ in found]
            clicked = ["list_score", "rank_lists", "rank_all"]
            assert names == (["rank_score", "rank", "rank"] if variant in SEQUENTIAL else clicked)
            for (_, mine), (_, first) in zip(found, answered["FPMC"], strict=True):
                for part in ("rows", "user", "target", "candidates", "history"):
                    np.testing.assert_array_equal(getattr(mine, part), getattr(first, part))
                for mine_out, first_out in zip(mine.out, first.out, strict=True):
                    np.testing.assert_array_equal(mine_out, first_out)
        valid, test, few = (questions for _, questions in answered["LIFT"])
        split = topn_trials._task(*self.task()).split
        assert set(valid.rows) <= set(split.rows("validation"))
        assert set(test.rows) <= set(split.rows("test"))
        assert set(few.rows) < set(test.rows)
        assert (len(valid), len(test), len(few)) == (10, 40, 3)

    def task(self) -> tuple:
        config = one("RIM").config
        protocol = replace(topn_trials._of(topn_trials.TopN, config), seed=SEED)
        return "world:tiny", protocol, config["full"]

    def test_lists_of_candidates_are_those_questions(self) -> None:
        """Item by item; and what RIM and LIFT read of the user is what the sequence models read."""
        task = topn_trials._task(*self.task())
        maker, samples = topn_trials._candidates(task, 4, 100)
        place = maker.table.fields.index("item")
        for part, questions in (("validation", task.valid), ("test", task.test)):
            batch = samples[part].batch(torch.arange(len(samples[part])), {"history"})
            shape = questions.candidates.shape
            np.testing.assert_array_equal(batch.target.codes[:, place].view(shape), questions.candidates)
            history = batch.history.codes[:, :, place].view(*shape, -1)
            assert questions.history.any()
            for candidate in range(shape[1]):
                np.testing.assert_array_equal(history[:, candidate], questions.history)
            assert samples[part].label.view(shape)[:, 0].all()
            assert samples[part].label.sum() == len(questions)

    def test_practice_is_cut_by_clicks(self) -> None:
        task = topn_trials._task(*self.task())
        _, some = topn_trials._candidates(task, 4, 30)
        assert some["train"].label.view(30, -1).tolist() == [[1, 0]] * 30
        _, every = topn_trials._candidates(task, 4, 10_000)
        clicks = task.log.label[task.split.rows("train")].sum()
        assert every["train"].label.sum() == clicks > 30


class TestTrials:
    def test_variants_are_never_taken_for_each_other(self, tmp_path) -> None:
        """Where equal settings mean one trial, they differ at least in the model they name."""
        asked, calls, store = trials(NAME, "world:tiny", range(2)), [], Store(tmp_path, None)
        for trial in asked * 2:
            sweep(NAME, [trial], lambda t: calls.append(t) or {"MRR": 0.5}, store, shared=True)
        assert [(t.seed, t.variant) for t in calls] == [(s, v) for s in range(2) for v in VARIANTS]

    def test_a_setting_concerns_those_who_read_it(self) -> None:
        def changed(**settings) -> set[str]:
            return {v for v in VARIANTS if one(v, **settings).key(NAME) != one(v).key(NAME)}

        assert changed(pretrain_epochs=3) == {"LIFT"}
        assert changed(k=3) == changed(practice=20) == {"RIM", "LIFT"}
        assert changed(loss="bce") == set(SEQUENTIAL)
        assert changed(targets=30) == changed(epochs=3) == changed(length=6) == set(VARIANTS)

    @pytest.mark.parametrize("dataset", [name for name in SETTINGS if name.startswith("world")])
    def test_every_setting_that_a_data_set_has_is_read(self, dataset) -> None:
        read = {name for trial in trials(NAME, dataset, [0]) for name in trial.config}
        assert set(SETTINGS[dataset]) <= read

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("lift_table9", "world:tiny", "0", None, []), "unknown experiment 'lift_table9'"),
            ((NAME, "netflix", "0", None, []), "unknown data set with settings for top-N"),
            ((NAME, "world:tiny", "0..4", None, []), "seeds are"),
            ((NAME, "world:tiny", "0", "FPMC,DERT", []), "unknown variant 'DERT'"),
            ((NAME, "world:tiny", "0", None, ["colour=1"]), "unknown setting 'colour'"),
            ((NAME, "world:tiny", "0", None, ["start=joint"]), "unknown setting 'start'"),
            ((NAME, "world:tiny", "0", None, ["loss=hinge"]), "unknown loss 'hinge'"),
            ((NAME, "world:tiny", "0", None, ["targets=null"]), "targets must be a whole number from 1"),
            ((NAME, "world:tiny", "0", None, ["full=0"]), "full must be"),
            ((NAME, "world:tiny", "0", None, ["practice=0.5"]), "practice must be"),
            ((NAME, "world:tiny", "0", None, ["negatives=0"]), "negatives must be"),
            ((NAME, "world:tiny", "0", None, ["train_negatives=-1"]), "train_negatives must be"),
            ((NAME, "world:tiny", "0", None, ["length=0"]), "length must be a whole number from 1"),
            ((NAME, "world:tiny", "0", None, ["epochs=0"]), "epochs must be a whole number from 1"),
            ((NAME, "world:tiny", "0", None, ["patience=0"]), "patience must be a whole number"),
            ((NAME, "world:tiny", "0", None, ["lr=0"]), "lr is above 0"),
            ((NAME, "world:tiny", "0", None, ["weight_decay=-1"]), "weight_decay is 0 or above"),
            ((NAME, "world:tiny", "0", "FPMC", ["mask_ratio=2"]), "mask_ratio"),
        ],
    )
    def test_what_makes_no_sense_is_refused_before_any_work(self, monkeypatch, words, message) -> None:
        def load(*_):
            raise AssertionError("the data were loaded")

        monkeypatch.setattr(topn_trials, "load", load)
        with pytest.raises(ConfigError, match=message):
            typed(*words, trials)

    def test_from_the_command_line(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
        (tmp_path / "notebooks").mkdir()
        words = ["measure", NAME, "--dataset", "world:tiny", "--seeds", "0-1", "--variants", "FPMC,RIM"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert "full NDCG@10" in done.output
        records = Store().records(NAME).values()
        assert sorted((r["variant"], r["seed"]) for r in records) == [
            ("FPMC", 0), ("FPMC", 1), ("RIM", 0), ("RIM", 1)
        ]  # fmt: skip
        wrong = CliRunner().invoke(app, ["measure", "lift_table9"])
        assert (wrong.exit_code, NAME in wrong.output) == (2, True)
