"""The loop: the right gradient steps, the best weights, stopping, and resuming bit for bit."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from logs import random_log
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from workbench.data.splits import global_time_split
from workbench.errors import ConfigError, DataError
from workbench.lab import checkpoints, training
from workbench.lab.metrics import auc
from workbench.lab.samples import prepare
from workbench.lab.training import (
    Fit,
    batches,
    click_loss,
    click_score,
    fit,
    halvings,
    predict,
    seeded,
    share,
    shuffled,
)

POINTS = torch.linspace(-1, 1, 21)[:, None]


def network(dropout: float = 0.0) -> nn.Module:
    with seeded(7):
        return nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 1))


def squared(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
    """Distance from x^2, with noise of its own: everything that could be random is."""
    x = POINTS[index] + 0.01 * torch.randn(len(index), 1)
    return functional.mse_loss(model(x), POINTS[index] ** 2)


def closeness(model: nn.Module) -> float:
    return -float(functional.mse_loss(model(POINTS), POINTS**2))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def without_seconds(fitted: Fit) -> list[dict[str, float]]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in fitted.history]


class TestSteps:
    def test_one_step_by_hand(self) -> None:
        """f(x) = w x at w = 1, loss (w x - 0)^2 over x = 1, 3: gradient 2 w mean(x^2) = 10, w becomes 0.5."""
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        x = torch.tensor([[1.0], [3.0]])
        sgd = torch.optim.SGD(model.parameters(), lr=0.05)
        fitted = fit(model, lambda m, i: (m(x[i]) ** 2).mean(), 2, epochs=1, optimizer=sgd)
        assert model.weight.item() == pytest.approx(0.5)
        assert fitted.history[0]["loss"] == pytest.approx(5.0)

    def test_it_is_adamw_over_the_shuffled_batches(self) -> None:
        """Against a plain loop that is told the order the batches came in; the last one is short."""
        orders: list[torch.Tensor] = []

        def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
            orders.append(index)
            return functional.mse_loss(model(POINTS[index]), POINTS[index] ** 2)

        model = network()
        plain = copy.deepcopy(model)
        fitted = fit(model, loss, 21, epochs=2, batch=8, lr=0.01, weight_decay=0.1)
        assert [len(index) for index in orders] == [8, 8, 5, 8, 8, 5]
        first, second = torch.cat(orders[:3]), torch.cat(orders[3:])
        assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(21))
        assert first.tolist() not in (second.tolist(), list(range(21)))
        optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.1)
        total = 0.0
        for index in orders.copy():
            value = functional.mse_loss(plain(POINTS[index]), POINTS[index] ** 2)
            total += value.item() * len(index)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert same(model, plain)
        assert 21 * sum(entry["loss"] for entry in fitted.history) == pytest.approx(total)

    def test_clipping_bounds_the_norm_of_all_gradients_together(self) -> None:
        model = nn.Linear(2, 1, bias=False)
        before = model.weight.detach().clone()
        sgd = torch.optim.SGD(model.parameters(), lr=1.0)
        steep = torch.tensor([30.0, 40.0])
        fit(model, lambda m, i: m(steep).sum() + 0 * i.sum(), 1, epochs=1, optimizer=sgd, clip=0.5)
        assert torch.allclose(before - model.weight, torch.tensor([0.3, 0.4]), atol=1e-6)

    def test_what_wants_no_gradient_stays(self) -> None:
        model = network()
        model[0].requires_grad_(False)
        before = copy.deepcopy(model)
        fit(model, squared, 21, epochs=1)
        assert same(model[0], before[0])
        assert not same(model[3], before[3])

    def test_each_epoch_may_prepare_samples_of_its_own(self) -> None:
        seen: list[tuple[int, int]] = []
        model, asked = network(), []

        def samples(epoch: int) -> int:
            asked.append(epoch)
            return 3 * epoch

        def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
            seen.append((asked[-1], len(index)))
            return squared(model, index)

        fit(model, loss, samples, epochs=3, batch=4)
        assert seen == [(1, 3), (2, 4), (2, 2), (3, 4), (3, 5)]

    def test_dropout_works_in_training_and_not_in_scoring(self) -> None:
        modes = []

        def score(model: nn.Module) -> float:
            modes.append((model.training, torch.is_grad_enabled()))
            return 0.0

        def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
            modes.append((model.training, torch.is_grad_enabled()))
            return squared(model, index)

        model = network()
        fit(model, loss, 21, epochs=2, batch=21, score=score)
        assert modes == [(True, True), (False, False)] * 2
        assert not model.training


@pytest.mark.parametrize(("n", "sizes"), [(9, [4, 5]), (8, [4, 4]), (10, [4, 4, 2]), (4, [4]), (1, [1])])
def test_no_sample_is_left_alone(n, sizes):
    """A batch norm cannot take a batch of one."""
    order = torch.randperm(n)
    cut = batches(order, 4)
    assert [len(piece) for piece in cut] == sizes
    assert torch.equal(torch.cat(cut), order)


class TestRandomness:
    def test_the_same_seed_gives_the_same_weights(self) -> None:
        models = [network(0.3), network(0.3), network(0.3)]
        for model, seed in zip(models, (5, 5, 6), strict=True):
            torch.rand(seed)  # what happened before does not matter
            fit(model, squared, 21, epochs=2, batch=4, seed=seed)
        assert same(models[0], models[1])
        assert not same(models[0], models[2])

    def test_the_caller_s_random_numbers_are_left_alone(self) -> None:
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        first = torch.rand(1)
        fit(network(0.3), squared, 21, epochs=2)
        assert torch.equal(torch.cat([first, torch.rand(1)]), expected)

    def test_epochs_draw_different_numbers(self) -> None:
        drawn = []

        def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
            drawn.append(torch.rand(1).item())
            return squared(model, index)

        fit(network(), loss, 21, epochs=2, batch=21)
        assert drawn[0] != drawn[1]


class TestBestWeights:
    def fitted(self, scores: list[float], **options) -> tuple[Fit, list[nn.Module], nn.Module]:
        """Train with these scores; also the model after each epoch."""
        model, after = network(), []

        def score(_: nn.Module) -> float:
            after.append(copy.deepcopy(model))
            return scores[len(after) - 1]

        return fit(model, squared, 21, score=score, **options), after, model

    def test_those_of_the_highest_score_are_kept(self) -> None:
        fitted, after, model = self.fitted([1.0, 3.0, 2.0], epochs=3)
        assert (fitted.best_epoch, fitted.best_score, fitted.ended) == (2, 3.0, "epochs")
        assert same(model, after[1])
        assert not same(model, after[2])
        assert [entry["score"] for entry in fitted.history] == [1.0, 3.0, 2.0]
        assert [entry["epoch"] for entry in fitted.history] == [1, 2, 3]

    def test_a_score_below_zero_can_be_the_best(self) -> None:
        assert self.fitted([-2.0, -1.0], epochs=2)[0].best_epoch == 2

    def test_patience_waits_for_a_better_score(self) -> None:
        fitted, after, model = self.fitted([1.0, 2.0, 2.0, 1.0, 9.0], epochs=5, patience=2)
        assert (fitted.ended, len(fitted.history), fitted.best_epoch) == ("patience", 4, 2)
        assert same(model, after[1])
        assert self.fitted([1.0, 2.0, 2.0, 3.0, 2.0], epochs=5, patience=2)[0].ended == "epochs"

    def test_without_a_score_the_last_ones_are_kept(self) -> None:
        model = network()
        fitted = fit(model, squared, 21, epochs=3)
        assert fitted.best_epoch == 3
        assert not model.training
        assert math.isnan(fitted.best_score)
        assert "score" not in fitted.history[0]


class TestWatching:
    def test_progress_is_told_now_and_then_and_after_each_epoch(self, monkeypatch) -> None:
        told: list[tuple] = []

        def watch(epoch, epochs, step, steps, history) -> None:
            told.append((epoch, epochs, step, steps, len(history)))

        fit(network(), squared, 21, epochs=2, batch=8, on_progress=watch)
        assert [t for t in told if t[2] == t[3]] == [(1, 2, 3, 3, 1), (2, 2, 3, 3, 2)]
        told.clear()
        monkeypatch.setattr(training, "SECONDS_BETWEEN_REPORTS", 0.0)
        fit(network(), squared, 21, epochs=1, batch=8, on_progress=watch)
        assert told == [(1, 1, 1, 3, 0), (1, 1, 2, 3, 0), (1, 1, 3, 3, 1)]

    def test_stop_ends_within_a_step_and_keeps_the_best(self) -> None:
        asked: list[int] = []

        def stop() -> bool:
            asked.append(1)
            return len(asked) > 5  # in the middle of the second epoch

        model, whole = network(), network()
        fitted = fit(model, squared, 21, epochs=9, batch=8, stop=stop)
        assert (fitted.ended, len(fitted.history), fitted.best_epoch) == ("stopped", 1, 1)
        assert len(asked) == 6
        fit(whole, squared, 21, epochs=1, batch=8)
        assert same(model, whole), "the steps of the unfinished epoch are taken back"

    def test_stop_before_anything_was_finished(self) -> None:
        fitted = fit(network(), squared, 21, epochs=9, stop=lambda: True)
        assert (fitted.ended, fitted.history, fitted.best_epoch) == ("stopped", [], 0)
        assert math.isnan(fitted.best_score)


OPTIONS = {"batch": 4, "lr": 0.02, "weight_decay": 0.01, "score": closeness, "seed": 3}


class TestCheckpoints:
    def uninterrupted(self) -> tuple[nn.Module, Fit]:
        model = network(0.2)
        return model, fit(model, squared, 21, epochs=5, **OPTIONS)

    @pytest.mark.parametrize("how", ["fewer epochs", "stopped", "killed"])
    def test_a_resumed_run_ends_as_an_uninterrupted_one(self, tmp_path, how: str) -> None:
        path = tmp_path / "run.safetensors"
        options = OPTIONS | {"checkpoint": path}
        steps: list[int] = []

        def in_the_third_epoch() -> bool:
            steps.append(1)
            if how == "killed" and len(steps) == 15:
                raise KeyboardInterrupt
            return how == "stopped" and len(steps) == 15

        first = network(0.2)
        if how == "fewer epochs":
            fit(first, squared, 21, epochs=2, **options)
        elif how == "stopped":
            assert fit(first, squared, 21, epochs=5, stop=in_the_third_epoch, **options).ended == "stopped"
        else:
            with pytest.raises(KeyboardInterrupt):
                fit(first, squared, 21, epochs=5, stop=in_the_third_epoch, **options)
        torch.rand(11)
        resumed = network(0.2)
        nn.init.zeros_(resumed[0].weight)  # what it starts from does not matter: all is in the file
        fitted = fit(resumed, squared, 21, epochs=5, **options)
        model, expected = self.uninterrupted()
        assert same(resumed, model)
        assert without_seconds(fitted) == without_seconds(expected)
        assert fitted.best_epoch == expected.best_epoch
        assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"], "nothing temporary is left"

    def test_the_best_weights_survive_too(self, tmp_path) -> None:
        path = tmp_path / "run.safetensors"
        scores = iter([3.0, 1.0, 2.0])
        options = {"score": lambda _: next(scores), "checkpoint": path}
        best, model = network(), network()
        fit(best, squared, 21, epochs=1)
        fit(model, squared, 21, epochs=2, **options)
        resumed = network()
        fitted = fit(resumed, squared, 21, epochs=3, **options)
        assert fitted.best_epoch == 1
        assert same(resumed, best)

    def test_a_finished_run_is_only_loaded(self, tmp_path) -> None:
        path = tmp_path / "run.safetensors"
        options = OPTIONS | {"checkpoint": path}
        model, again = network(0.2), network(0.2)
        fit(model, squared, 21, epochs=2, **options)
        fitted = fit(again, None, 21, epochs=2, **options)
        assert same(model, again)
        assert fitted.ended == "epochs"
        with pytest.raises(ConfigError, match="has 2 epochs already, more than 1"):
            fit(again, None, 21, epochs=1, **options)

    def test_other_optimizers_keep_their_state(self, tmp_path) -> None:
        def trained(epochs: tuple[int, ...], path) -> nn.Module:
            for n in epochs:
                model = network()
                sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
                fit(model, squared, 21, epochs=n, optimizer=sgd, checkpoint=path)
            return model

        assert same(trained((1, 3), tmp_path / "a"), trained((3,), tmp_path / "b"))

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"seed": 4}, "seed 3 instead of 4"),
            ({"batch": 5}, "batch 4 instead of 5"),
            ({"lr": 0.1}, "optimizer"),
            ({"clip": 1.0}, "clip None instead of 1.0"),
            ({"samples": 20}, "samples 21 instead of 20"),
            ({"model": nn.Linear(1, 1)}, "weights"),
        ],
    )
    def test_another_training_s_checkpoint_is_refused(self, tmp_path, changes, what: str) -> None:
        path = tmp_path / "run.safetensors"
        options = OPTIONS | {"samples": 21, "model": network(), "epochs": 1, "checkpoint": path}
        fit(loss=squared, **options)
        with pytest.raises(
            ConfigError, match=f"run.safetensors is the checkpoint of another training, with {what}"
        ):
            fit(loss=squared, **options | changes)

    @pytest.mark.parametrize("content", [b"", b"something else", None])
    def test_a_file_that_is_no_checkpoint_is_refused(self, tmp_path, content) -> None:
        path = tmp_path / "run.safetensors"
        if content is None:
            fit(network(), squared, 21, epochs=1, checkpoint=path)
            content = path.read_bytes()[:-10]  # cut off
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"run\.safetensors is not a checkpoint"):
            fit(network(), squared, 21, epochs=1, checkpoint=path)
        assert path.read_bytes() == content

    def test_it_is_readable_by_anyone(self, tmp_path) -> None:
        path = tmp_path / "run.safetensors"
        model = network()
        fit(model, squared, 21, epochs=1, checkpoint=path)
        tensors = load_file(path)
        assert torch.equal(tensors["weights/0.weight"], model[0].weight)
        assert torch.equal(tensors["best/0.weight"], model[0].weight)

    def test_a_write_that_fails_leaves_the_last_one(self, tmp_path, monkeypatch) -> None:
        path = tmp_path / "run.safetensors"
        options = OPTIONS | {"checkpoint": path}
        fit(network(), squared, 21, epochs=1, **options)
        before = path.read_bytes()
        monkeypatch.setattr(
            "pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
        )
        with pytest.raises(OSError, match="disk full"):
            fit(network(), squared, 21, epochs=2, **options)
        assert path.read_bytes() == before
        assert checkpoints.load(path, {}, network(), torch.optim.AdamW(network().parameters()))


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"epochs": 0}, "epochs must be a whole number from 1, not 0"),
            ({"batch": 2.5}, "batch must be a whole number from 1"),
            ({"patience": 0, "score": closeness}, "patience must be a whole number from 1"),
            ({"patience": 2}, "give a score too"),
            ({"seed": -1}, "seed must be a whole number from 0"),
            ({"lr": 0.0}, "lr must be a number above 0"),
            ({"clip": math.inf}, "clip must be a number above 0"),
            ({"samples": 0}, "samples must be a whole number from 1"),
            ({"model": nn.Linear(1, 1).requires_grad_(False)}, "no parameters to train"),
        ],
    )
    def test_bad_settings_before_any_work(self, options, message: str) -> None:
        asked = {"model": network(), "loss": None, "samples": 21, "epochs": 1} | options
        with pytest.raises(ConfigError, match=message):
            fit(**asked)

    def test_an_epoch_without_samples(self) -> None:
        with pytest.raises(ConfigError, match="samples must be a whole number from 1, not 0"):
            fit(network(), squared, lambda epoch: 2 - epoch, epochs=3)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite(self, value: float) -> None:
        losses = iter([1.0, 1.0, value, 1.0, 1.0])

        def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
            return squared(model, index) * next(losses)

        with pytest.raises(DataError, match=r"the loss is not finite in epoch 2 .*Lower the learning rate"):
            fit(network(), loss, 21, epochs=3, batch=11)

    def test_a_score_that_is_not_finite(self) -> None:
        with pytest.raises(DataError, match="the score after epoch 1 is nan"):
            fit(network(), squared, 21, epochs=3, score=lambda _: math.nan)


class ItemRate(nn.Module):
    """The smallest CTR model: one number an item, and one for the mean label of its neighbours."""

    needs = frozenset({"neighbours"})

    def __init__(self, items: int) -> None:
        super().__init__()
        self.rate, self.trust = nn.Embedding(items, 1), nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(0.5)

    def forward(self, sample) -> torch.Tensor:
        seen = sample.neighbours.label.float().mean(-1)
        return self.dropout(self.rate(sample.target.codes[:, 1])).squeeze(-1) + self.trust * seen


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    log = random_log(0, rows=400)
    return prepare(log, global_time_split(log), 5, 5, cache=tmp_path_factory.mktemp("cache"))


class TestClickModels:
    def test_they_are_trained_on_one_part_and_scored_on_another(self, parts) -> None:
        with seeded(0):
            model = ItemRate(11)
        train, test = parts["train"], parts["test"]
        score = click_score(test)
        fitted = fit(model, click_loss(train), len(train), epochs=3, batch=16, lr=0.1, score=score)
        assert fitted.history[0]["loss"] > fitted.history[2]["loss"]
        probability = predict(model, test, batch=7)
        assert probability.shape == (len(test),)
        assert auc(test.label.numpy(), probability) == pytest.approx(fitted.best_score)
        # batches do not matter, nor dropout
        np.testing.assert_allclose(probability, predict(model, test), rtol=1e-12)

    def test_the_loss_is_binary_cross_entropy(self, parts) -> None:
        model, samples = ItemRate(11).eval(), parts["train"]
        index = torch.arange(len(samples))
        p, y = predict(model, samples), samples.label.numpy()
        expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        assert click_loss(samples)(model, index).item() == pytest.approx(expected, rel=1e-6)

    def test_predicting_leaves_the_model_s_mode_as_it_was(self, parts) -> None:
        model = ItemRate(11)
        predict(model.train(), parts["test"])
        assert model.training
        predict(model.eval(), parts["test"])
        assert not model.training

    def test_certain_is_not_one(self, parts) -> None:
        model = ItemRate(11)
        nn.init.constant_(model.rate.weight, 30.0)  # in single precision the sigmoid would be 1
        assert predict(model, parts["test"]).max() < 1.0


class TestSeveralProcesses:
    def test_each_batch_is_shared_out_evenly(self) -> None:
        index = torch.arange(10, 15)
        parts = [share(index, rank, 3).tolist() for rank in range(3)]
        assert [len(part) for part in parts] == [2, 2, 2]
        assert sorted(torch.tensor(parts).flatten().tolist()) == [10, 10, 11, 12, 13, 14]
        assert share(index, 0, 1).tolist() == index.tolist()
        assert [share(torch.tensor([8]), rank, 3).tolist() for rank in range(3)] == [[8], [8], [8]]

    def test_two_processes_learn_what_one_learns(self) -> None:
        """In a process of its own, since forking this one would copy its threads' locks."""
        script = """
import sys, torch
from torch import nn
from lightning_fabric import Fabric
from workbench.lab.training import fit

torch.set_num_threads(1)
x = torch.linspace(-1, 1, 24)[:, None]

def trained(fabric):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1))
    def loss(model, index):
        return nn.functional.mse_loss(model(x[index]), x[index] ** 2)
    fitted = fit(model, loss, 24, epochs=3, batch=8, clip=1.0, fabric=fabric,
                 score=lambda m: -float(loss(m, torch.arange(24))))
    return [*nn.utils.parameters_to_vector(model.parameters()).tolist(), fitted.best_score]

alone = torch.tensor(trained(None))
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
both = torch.tensor(fabric.launch(lambda fabric: trained(fabric)))
assert torch.allclose(alone, both, atol=1e-6), (alone, both)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


class TestBatchesOfLikeSamples:
    def test_they_hold_like_numbers_all_samples_and_come_in_random_order(self) -> None:
        lengths = torch.randint(1, 30, (100,), generator=torch.Generator().manual_seed(0))
        cut = shuffled(100, 10, torch.Generator().manual_seed(1), lengths)
        assert torch.cat(cut).sort().values.tolist() == list(range(100))
        spans = sorted((int(lengths[some].min()), int(lengths[some].max())) for some in cut)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert [int(lengths[some].min()) for some in cut] != [low for low, _ in spans]

    def test_who_is_with_whom_changes_from_epoch_to_epoch(self) -> None:
        cuts = [
            {
                frozenset(some.tolist())
                for some in shuffled(40, 4, torch.Generator().manual_seed(s), torch.ones(40))
            }
            for s in range(2)
        ]
        assert cuts[0] != cuts[1]

    def test_a_number_for_each_sample_is_asked_for(self) -> None:
        with pytest.raises(ConfigError, match="alike has one number for each of 8 samples"):
            fit(nn.Linear(1, 1), lambda model, index: model.weight.sum(), 8, epochs=1, alike=torch.ones(7))


class TestPlateau:
    @pytest.mark.parametrize(
        ("scores", "expected"),
        [([], 0), ([1, 2, 3], 0), ([3, 2], 0), ([3, 2, 3], 1), ([3, 2, 2, 4, 1, 1], 2), ([5, 4, 3, 2, 1], 2)],
    )
    def test_halvings_by_hand(self, scores: list[float], expected: int) -> None:
        assert halvings(scores, 2) == expected
        assert halvings(scores, None) == 0

    def test_the_learning_rate_is_halved_and_resumed(self, tmp_path) -> None:
        """With SGD on a constant slope each epoch moves the weight by the learning rate."""

        def run(epochs: int, checkpoint=None) -> float:
            model = nn.Linear(1, 1, bias=False)
            nn.init.zeros_(model.weight)
            scores = iter([1.0] * 10)
            fit(
                model, lambda model, index: model.weight.sum(), 4, epochs=epochs, batch=4, plateau=2,
                optimizer=torch.optim.SGD(model.parameters(), lr=1.0), checkpoint=checkpoint,
                score=lambda model: next(scores),
                on_progress=lambda *_: moved.append(model.weight.item()),
            )  # fmt: skip

        moved: list[float] = []
        run(6)
        assert moved == [-1.0, -2.0, -3.0, -3.5, -4.0, -4.25]
        for epochs in (4, 6):
            run(epochs, tmp_path / "checkpoint")
        assert moved[6:] == moved[:4] + moved[4:6]

    def test_it_waits_for_a_score(self) -> None:
        with pytest.raises(ConfigError, match="plateau wait for a better score"):
            fit(nn.Linear(1, 1), lambda model, index: model.weight.sum(), 8, epochs=1, plateau=2)
