"""DualRec's tables as trials: what is asked, what is measured, and a training that is killed goes on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.errors import ConfigError
from workbench.lab import dualrec_trials
from workbench.lab.dualrec_trials import EXPERIMENTS, measure, trials, window_loss
from workbench.lab.leave_one_out import NextItemTask
from workbench.methods.dualrec_config import VARIANTS

VARIANTS_OF = [(name, variant) for name, known in EXPERIMENTS.items() for variant in known]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    return tmp_path


def one(experiment: str, variant: str, **settings: object):
    (trial,) = trials(experiment, "world:tiny", [3], [variant], **settings)
    return trial


@pytest.mark.parametrize("variant", EXPERIMENTS["dualrec_table2"])
def test_all_systems_of_table_2_are_asked_the_same(variant: str, home: Path) -> None:
    found = measure(one("dualrec_table2", variant))
    assert found["epochs_run"] == 2
    shares = {k: v for k, v in found.items() if k not in ("epochs_run", "best_epoch", "epoch_seconds")}
    assert all(math.isfinite(v) and 0 <= v <= 1 for v in shares.values())
    assert found["full MRR"] < found["MRR"]
    assert not list((home / "runs").rglob("*.safetensors"))  # nothing is left to go on with


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_a_question_of_its_own(experiment: str, variant: str) -> None:
    asked = trials(experiment, "world:tiny", [0], variant=variant)
    assert len({trial.key(experiment) for trial in asked}) == len(asked)
    if variant == "paper":  # with the authors' variant some of their readings are asked for twice
        assert len({json.dumps(trial.config, sort_keys=True) for trial in asked}) == len(asked)


def test_baselines_do_not_hang_on_the_variant() -> None:
    for name in EXPERIMENTS["dualrec_table2"].keys() - {"DualRec", "DualRec (authors)"}:
        (paper,), (authors,) = (
            trials("dualrec_table2", "world:tiny", [0], [name], variant=variant) for variant in VARIANTS
        )
        assert paper.config == authors.config, name


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second = (measure(one("dualrec_table3", "DualRec", epochs=1)) for _ in range(2))
    assert {k: v for k, v in first.items() if k != "epoch_seconds"} == {
        k: v for k, v in second.items() if k != "epoch_seconds"
    }


def test_every_target_of_the_training_set_weighs_the_same() -> None:
    """Whatever batches they come in, the mean over batches is the mean over targets."""
    config = one("dualrec_table3", "w/o BIT", dropout=0.0, length=12).config
    task = NextItemTask.of(dualrec_trials.load("world:tiny", 3), 12, 20, 3)
    short = task.training.read.argsort()
    model = dualrec_trials._model(config, task)
    loss = window_loss(task.training, model)
    task.training.count[:] = task.training.count.clamp(max=12)  # one stretch each: nothing is drawn
    whole = loss(model, short)
    parts = [(loss(model, some) * len(some)).item() for some in short.split(7)]
    assert math.isclose(sum(parts) / len(short), whole.item(), rel_tol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"experiment": "dualrec_table9"}, "unknown experiment"),
        ({"dataset": "netflix"}, "unknown data set"),
        ({"variants": ["past"]}, "unknown variant"),
        ({"variant": "mine"}, "unknown variant"),
        ({"colour": 1}, "unknown setting 'colour'"),
        ({"alpha": 2.0}, "alpha is from 0 to 1"),
        ({"negatives": 0}, "negatives must be a whole number from 1"),
        ({"train_users": 0}, "train_users is above 0"),
        ({"train_users": 1.5}, "train_users is from 0 to 1"),
        ({"order_noise": "some"}, "order_noise is from 0 to 1"),
        ({"order_noise": 0.5, "dataset": "amazon-beauty"}, "a knob of the world"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(words: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trials(**{"experiment": "dualrec_table3", "dataset": "world:tiny", **words})


def test_a_trial_with_other_data_is_another_question() -> None:
    whole = one("dualrec_controls", "DualRec")
    assert one("dualrec_controls", "DualRec", order_noise=0, train_users=1).config == whole.config
    shuffled = one("dualrec_controls", "DualRec", order_noise=1)
    assert shuffled.config["order_noise"] == 1.0
    assert shuffled.fingerprint != whole.fingerprint
    quarter = one("dualrec_controls", "DualRec", train_users=0.25)
    assert quarter.fingerprint == whole.fingerprint
    assert len({trial.key("dualrec_controls") for trial in (whole, shuffled, quarter)}) == 3
    same = ("HR@1", "best_epoch", "epoch_seconds")
    found = [measure(trial) for trial in (whole, shuffled, quarter)]
    assert len({tuple(v for k, v in one.items() if k not in same) for one in found}) == 3


SCRIPT = """
import json, sys, torch
torch.set_num_threads(1)
from workbench.lab.dualrec_trials import measure, trials
(trial,) = trials("dualrec_table3", "world:tiny", [3], ["DualRec"], epochs=12, plateau=1)
print(json.dumps(measure(trial)))
"""


def test_a_killed_training_ends_with_the_numbers_of_one_that_was_not(home: Path) -> None:
    def run() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=os.environ
        )

    straight, _ = run().communicate(timeout=120)
    kills = 0
    for wait in (0.0, 0.05, 0.15):  # after the checkpoint of some epoch, at three moments of the next
        process = run()
        folder, deadline = home / "runs" / "checkpoints", time.monotonic() + 60
        before = {p: p.stat().st_mtime_ns for p in folder.glob("*.safetensors")}
        while process.poll() is None and time.monotonic() < deadline:
            now = {p: p.stat().st_mtime_ns for p in folder.glob("*.safetensors")}
            if now and now != before:
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
        process.communicate()
    assert kills
    resumed, _ = run().communicate(timeout=120)
    straight, resumed = json.loads(straight), json.loads(resumed)
    straight.pop("epoch_seconds"), resumed.pop("epoch_seconds")
    assert resumed == straight
