"""The yardsticks of pretraining: which windows, one hidden label each, vectors read off, and matching."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab import masked_labels
from workbench.lab.lift import Recipe, made, pretrain
from workbench.lab.lift_data import LIFTData
from workbench.lab.masked_labels import (
    curves,
    later_windows,
    measure,
    one_hidden_auc,
    reading,
    representations,
    trials,
    vector_matching_auc,
)
from workbench.lab.tensors import Table
from workbench.methods.layers import Events, Sample
from workbench.methods.lift import Encoder
from workbench.methods.lift_config import LIFTConfig

SMALL = LIFTConfig(length=20, width=2, size=8, heads=2, layers=1, probes=5)


@pytest.fixture(scope="module")
def log():
    return make_world("tiny", seed=4).interactions


@pytest.fixture(scope="module")
def table(log):
    return Table(log, [field for field in log.fields if field != "user"])


class Knowing:
    """A stand-in that says the true label of everything, and notes what it was asked."""

    config = SMALL

    def __init__(self) -> None:
        self.hidden: list[torch.Tensor] = []

    def __call__(self, events: Events, masked: torch.Tensor) -> torch.Tensor:
        self.hidden.append(masked)
        return events.label.float()

    def behaviour(self, states: torch.Tensor) -> torch.Tensor:
        return states


def test_later_windows_are_the_train_part_user_by_user(log):
    split = global_time_split(log)
    windows = later_windows(log, split, 5)
    rows = windows[windows >= 0].numpy()
    assert len(np.unique(rows)) == len(rows)
    alone = np.setdiff1d(split.rows("train"), rows)  # a window of one event has nothing to go by
    assert set(split.rows("train")) == set(rows) | set(alone)
    counts = np.bincount(log.user[split.rows("train")])
    assert len(alone) == (counts % 5 == 1).sum()
    for window in windows.numpy():
        window = window[window >= 0]
        assert len(set(log.user[window])) == 1
        assert (np.diff(window) > 0).all()


def test_one_label_a_window_is_hidden(log, table):
    windows = later_windows(log, global_time_split(log), 20)
    knowing = Knowing()
    assert one_hidden_auc(knowing, table, windows, draws=4) == 1.0
    hidden = torch.cat(knowing.hidden)
    assert len(hidden) == 4 * len(windows)
    assert (hidden.sum(1) == 1).all()
    assert not (hidden & (windows.repeat(4, 1) < 0)).any()
    assert len(hidden[:: len(windows)].int().argmax(1).unique()) > 1, "every draw hides the same one"


def test_another_reading_has_the_same_weights(log, table):
    encoder = made(lambda: Encoder(table.sizes, SMALL), 0).eval()
    other = reading(encoder, "ask")
    assert (encoder.config.represent, other.config.represent) == ("last", "ask")
    assert all(a is b for a, b in zip(encoder.parameters(), other.parameters(), strict=True))
    assert (encoder.value_size, other.value_size) == (8, 5)


def test_representations_are_centred_and_scaled(log, table):
    encoder = made(lambda: Encoder(table.sizes, SMALL), 0).eval()
    encoder.probes.copy_(table.codes[:5])
    events = table.events(later_windows(log, global_time_split(log), 20)[:30])
    found = representations(encoder, events)
    assert {name: values.shape for name, values in found.items()} == {
        "final state": (30, 8), "mean state": (30, 8), "answers": (30, 5),
    }  # fmt: skip
    for values in found.values():
        assert values.mean(0) == pytest.approx(np.zeros(values.shape[1]), abs=1e-5)
        assert values.std(0) == pytest.approx(np.ones(values.shape[1]), abs=1e-3)
    with torch.no_grad():
        last = encoder.represent(events).numpy()
    assert np.corrcoef(found["final state"][:, 0], last[:, 0])[0, 1] == pytest.approx(1, abs=1e-5)


class Encoded:
    """Samples of four targets, two neighbours each: the second is not to be asked, it did not click."""

    def __init__(self, own: list[list[float]], clicked: tuple[int, int] = (1, 0)) -> None:
        past = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]).repeat(4, 1, 1)
        future = torch.tensor([[[0.0, 1.0], [0.0, -1.0]]]).repeat(4, 1, 1)
        there = torch.ones(4, 2, dtype=torch.bool)
        near = Events(torch.ones(4, 2, 1, dtype=torch.int64), torch.tensor([clicked] * 4), there)
        target = Events(torch.ones(4, 1, dtype=torch.int64), torch.tensor([1, 1, 0, 0]), there[:, 0])
        extra = torch.full((4, 3), 9.0)  # what recall() adds to the value, and no context has
        self.sample = Sample(target, torch.cat([torch.tensor(own), extra], 1), None, near, past, future)

    def __len__(self) -> int:
        return 4

    def batch(self, index: torch.Tensor, needs: tuple[str, ...]) -> Sample:
        assert index.tolist() == [0, 1, 2, 3]
        return self.sample


def test_matching_by_vectors_by_hand():
    """Labels 1, 1, 0, 0. The neighbour who clicked came from (1, 0) and went to (0, 1)."""
    like_past, like_future = [1.0, 0.1], [0.1, 1.0]
    ready_first = [like_past, like_past, like_future, like_future]
    assert vector_matching_auc(Encoded(ready_first)) == 1.0
    assert vector_matching_auc(Encoded(ready_first[::-1])) == 0.0
    assert vector_matching_auc(Encoded(ready_first, clicked=(0, 1))) == 0.0, "the other one walks backwards"
    assert vector_matching_auc(Encoded(ready_first, clicked=(0, 0))) == 0.5, "nobody to ask"
    nothing = [[0.0, 0.0]] * 4
    assert vector_matching_auc(Encoded(nothing)) == 0.5, "an empty history is like nobody"


@pytest.fixture(scope="module")
def plain():
    """A trial of one epoch at the default ratio, and what it measured."""
    (trial,) = trials("world:tiny", [4], ratios=(0.3,), spreads=(), epochs=1)
    return trial, measure(trial)


def test_a_trial_gives_what_the_lesson_s_pretraining_gives(log, plain):
    _, found = plain
    assert found["auc_epochs"] == [found["auc"]]
    split, config = global_time_split(log), LIFTConfig(length=20, mask_ratio=0.3)
    data = LIFTData.of(log, split, config)
    encoder, fitted = pretrain(data, config, 4, Recipe(pretrain_epochs=1))
    assert [epoch["loss"] for epoch in fitted.history] == found["loss_epochs"]
    assert one_hidden_auc(encoder, data.table, later_windows(log, split, 20)) == found["auc"]


def test_a_smaller_start_is_another_training(plain):
    trial, found = plain
    (quiet,) = trials("world:tiny", [4], ratios=(), spreads=(0.1,), epochs=1)
    assert (trial.variant, quiet.variant) == ("ratio 0.3", "spread 0.1")
    assert {**trial.config, "spread": 0.1} == quiet.config
    assert measure(quiet)["loss_epochs"] != found["loss_epochs"]


def test_every_ratio_has_its_own_record():
    asked = trials("world:tiny", [0, 1])
    assert len({trial.key(masked_labels.EXPERIMENT) for trial in asked}) == len(asked) == 18


def test_a_setting_that_nothing_reads_is_refused():
    with pytest.raises(ConfigError, match="unknown setting 'epoch'"):
        trials("world:tiny", [0], epoch=3)


def test_curves_are_in_the_order_asked_for():
    found = pd.DataFrame(
        {"variant": ["ratio 0.3", "spread 0.1"], "seed": [4, 4], "auc_epochs": [(0.5, 0.6), (0.5, 0.51)]}
    )
    lines = curves(found, {"spread 0.1": "small", "ratio 0.3": "large"})
    assert lines["variant"].tolist() == ["small", "small", "large", "large"]
    assert lines["epoch"].tolist() == [1, 2, 1, 2]
    assert lines["value"].tolist() == [0.5, 0.51, 0.5, 0.6]
