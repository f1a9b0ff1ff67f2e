"""The one training loop: every network of the workbench is trained, stopped, resumed and scored here.

    fitted = fit(model, click_loss(train), len(train), epochs=15, score=click_score(validation), patience=3)
    probability = predict(model, test)

Lightning Fabric does devices, precision and several processes: without ``fabric`` the model trains where
it lies; with one (``fabric run``, torchrun) each step's batch is shared out among the processes.

Whatever is random in an epoch (order, dropout, masks) is drawn from torch's generators, which are seeded
from (seed, epoch) for as long as the loop runs. So a resumed run draws what an uninterrupted one would
have drawn, and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError, DataError, whole
from workbench.lab import checkpoints
from workbench.lab.metrics import auc

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from workbench.lab.samples import Samples

Loss = Callable[[nn.Module, Tensor], Tensor]
SECONDS_BETWEEN_REPORTS = 0.1


@dataclass
class Fit:
    """How a training went.

    history : one entry a finished epoch: ``epoch`` (from 1), ``loss`` (mean over the samples),
        ``score`` (where one was asked for) and ``seconds``.
    best_epoch : whose weights the model has now; 0 when no epoch was finished.
    ended : "epochs" (all done), "patience" (no better score for too long) or "stopped" (by ``stop``).
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    ended: str = "epochs"

    @property
    def best_score(self) -> float:
        """Score of the best epoch; NaN where there is none."""
        return self.history[self.best_epoch - 1].get("score", math.nan) if self.best_epoch else math.nan


def fit(
    model: nn.Module,
    loss: Loss,
    samples: int | Callable[[int], int],
    *,
    epochs: int,
    batch: int = 256,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    optimizer: torch.optim.Optimizer | None = None,
    clip: float | None = None,
    score: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    plateau: int | None = None,
    alike: Tensor | Callable[[int], Tensor] | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int, int, int, list[dict[str, float]]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
    fabric: Fabric | None = None,
) -> Fit:
    """Train a model in place and leave it in evaluation mode with its best weights.

    Parameters
    ----------
    loss : (model, index (B,) int64) -> scalar, the mean over these samples. It calls the model it is
        handed (which may be wrapped), not one it knows from elsewhere.
    samples : how many there are, n; the loop shuffles 0 .. n-1 and cuts it into batches. A function is
        called with the number of each epoch (from 1), may prepare that epoch's samples, and returns n.
    optimizer : default AdamW on the parameters that want gradients, with ``lr`` and ``weight_decay``.
    clip : largest norm of all gradients together.
    score : model -> higher is better, asked after every epoch, in evaluation mode and without gradients.
        The weights of the best epoch are kept; without a score, those of the last.
    patience : end after so many epochs in a row without a better score.
    plateau : halve the learning rate after so many epochs in a row without a better score.
    alike : (n,) one number a sample, such as its length: a batch holds samples with like numbers, the
        batches of an epoch come in random order. A function gives those of each epoch (from 1).
    on_progress : (epoch, epochs, step, steps, history), a few times a second and after each epoch.
    stop : asked before every step; once true, the unfinished epoch does not count.
    checkpoint : file written after every epoch. If it is there, training goes on where it ended: it may
        ask for more epochs, but must be the same in every other respect.
    fabric : a launched ``lightning_fabric.Fabric``; default one process on the model's device.

    Raises ConfigError before any work for values that make no sense and for a checkpoint of another
    training, and DataError when a loss or a score is not finite.
    """
    fixed = None if callable(samples) else samples
    _refuse_settings(
        epochs=epochs, batch=batch, patience=patience, plateau=plateau, seed=seed, clip=clip, lr=lr,
        samples=fixed,
    )  # fmt: skip
    if score is None and (patience is not None or plateau is not None):
        raise ConfigError("patience and plateau wait for a better score: give a score too")
    if isinstance(alike, Tensor) and fixed is not None and alike.shape != (fixed,):
        raise ConfigError(f"alike has one number for each of {fixed} samples, not {tuple(alike.shape)}")
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ConfigError("the model has no parameters to train")
    fabric = fabric or _single_process(trained[0].device)
    optimizer = optimizer or torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay)
    settings = {"seed": seed, "batch": batch, "clip": clip, "samples": fixed, "plateau": plateau}
    about = checkpoints.about(model, optimizer, settings)
    fitted, best = Fit(), {}
    if checkpoint is not None and checkpoint.exists():
        progress, best = checkpoints.load(checkpoint, about, model, optimizer)
        fitted = Fit(**progress)
        if len(fitted.history) > epochs:
            raise ConfigError(
                f"{checkpoint.name} has {len(fitted.history)} epochs already, more than {epochs}"
            )
    rates = [group["lr"] for group in optimizer.param_groups]
    network, stepper = fabric.setup(model, optimizer)
    for epoch in range(len(fitted.history) + 1, epochs + 1):
        if patience is not None and len(fitted.history) - fitted.best_epoch >= patience:
            fitted.ended = "patience"
            break
        began = time.perf_counter()
        with seeded(seed, epoch):
            n = samples(epoch) if callable(samples) else samples
            near = alike(epoch) if callable(alike) else alike
        _refuse_settings(samples=n)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 ** halvings([entry.get("score") for entry in fitted.history], plateau)
        cut = shuffled(n, batch, torch.Generator().manual_seed(_mixed(seed, epoch)), near)
        report = _Report(epoch, epochs, len(cut), fitted.history, on_progress)
        with seeded(seed, epoch, fabric.global_rank):
            mean = _epoch(network, stepper, loss, cut, clip, fabric, stop, report)
            if mean is None:
                fitted.ended = "stopped"
                break
            entry = {"epoch": epoch, "loss": mean}
            if score is not None:
                entry["score"] = _scored(network, score, epoch)
        fitted.history.append(entry | {"seconds": time.perf_counter() - began})
        if score is None or not fitted.best_epoch or entry["score"] > fitted.best_score:
            fitted.best_epoch, best = epoch, checkpoints.copied(model)
        if checkpoint is not None and fabric.is_global_zero:
            progress = {"history": fitted.history, "best_epoch": fitted.best_epoch}
            checkpoints.save(checkpoint, about, progress, model, optimizer, best)
        report.end()
    if fitted.best_epoch:
        model.load_state_dict(best)
    model.eval()
    return fitted


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    cut: list[Tensor],
    clip: float | None,
    fabric: Fabric,
    stop: Callable[[], bool] | None,
    report: _Report,
) -> float | None:
    """One pass over the batches: the mean loss, or None when it was stopped."""
    network.train()
    total = torch.zeros((), device=fabric.device)
    for step, index in enumerate(cut, start=1):
        if stop is not None and fabric.broadcast(stop()):
            return None
        value = loss(network, share(index, fabric.global_rank, fabric.world_size))
        optimizer.zero_grad()
        fabric.backward(value)
        if clip is not None:
            fabric.clip_gradients(network, optimizer, max_norm=clip)
        optimizer.step()
        total += value.detach() * len(index)
        report.step(step, total)  # reads the loss now and then only: on a GPU, reading it means waiting
    return float(fabric.all_reduce(total)) / sum(map(len, cut))


def shuffled(n: int, batch: int, generator: torch.Generator, alike: Tensor | None = None) -> list[Tensor]:
    """Samples 0 .. n-1 in random order, cut into batches; with ``alike``, each of like numbers."""
    order = torch.randperm(n, generator=generator)
    if alike is None:
        return batches(order, batch)
    cut = batches(order[alike[order].argsort(stable=True)], batch)
    return [cut[i] for i in torch.randperm(len(cut), generator=generator)]


def halvings(scores: list[float], plateau: int | None) -> int:
    """How often the learning rate has been halved: each time so many epochs in a row gave no better score."""
    best, waited, count = -math.inf, 0, 0
    for score in scores if plateau is not None else ():
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited == plateau:
            waited, count = 0, count + 1
    return count


def batches(order: Tensor, batch: int) -> list[Tensor]:
    """Batches of so many samples; a last sample alone joins the batch before it, for batch norm's sake."""
    cut = list(order.split(batch))
    return [*cut[:-2], torch.cat(cut[-2:])] if len(cut) > 1 and len(cut[-1]) == 1 else cut


def share(index: Tensor, rank: int, processes: int) -> Tensor:
    """The part of a batch (B,) that one of several processes works on: all parts have the same length.

    Where the batch does not divide, its first samples are worked on twice.
    """
    if processes == 1:
        return index
    missing = -len(index) % processes
    return torch.cat([index, index.repeat(1 + missing // len(index))[:missing]])[rank::processes]


def _scored(network: nn.Module, score: Callable[[nn.Module], float], epoch: int) -> float:
    network.eval()
    with torch.no_grad():
        value = float(score(network))
    if not math.isfinite(value):
        raise DataError(f"the score after epoch {epoch} is {value}")
    return value


class _Report:
    """Tells how far an epoch is, now and then, and notices on these occasions when it has gone astray."""

    def __init__(self, epoch: int, epochs: int, steps: int, history: list, tell: Callable | None) -> None:
        self.epoch, self.epochs, self.steps, self.history, self.tell = epoch, epochs, steps, history, tell
        self.last = time.perf_counter()

    def step(self, step: int, total: Tensor) -> None:
        now = time.perf_counter()
        if step < self.steps and now - self.last < SECONDS_BETWEEN_REPORTS:
            return
        self.last = now
        if not torch.isfinite(total):
            raise DataError(
                f"the loss is not finite in epoch {self.epoch} (seen after step {step} of {self.steps})",
                fix="Lower the learning rate, clip the gradients, or look for features that are not finite",
            )
        if self.tell is not None and step < self.steps:
            self.tell(self.epoch, self.epochs, step, self.steps, self.history)

    def end(self) -> None:
        if self.tell is not None:
            self.tell(self.epoch, self.epochs, self.steps, self.steps, self.history)


# --- what a model for clicks needs ------------------------------------------------------------------------


def click_loss(samples: Samples) -> Loss:
    """LIFT, Eq. 18: binary cross-entropy of a CTR model on some samples, for :func:`fit`."""

    def loss(model: nn.Module, index: Tensor) -> Tensor:
        sample = samples.batch(index, model.needs)
        return functional.binary_cross_entropy_with_logits(model(sample), sample.target.label.float())

    return loss


def click_score(samples: Samples) -> Callable[[nn.Module], float]:
    """AUC of a CTR model on some samples, for :func:`fit`."""
    label = samples.label.cpu().numpy()
    return lambda model: auc(label, predict(model, samples))


def predict(model: nn.Module, samples: Samples, batch: int = 2048) -> np.ndarray:
    """(n,) float64 click probabilities of a CTR model, in evaluation mode.

    The sigmoid is taken in double precision, so that no probability of a finite logit is exactly 1.
    """
    with asking(model):
        parts = [
            model(samples.batch(index, model.needs)).double().sigmoid().cpu()
            for index in torch.arange(len(samples)).split(batch)
        ]
    return torch.cat(parts).numpy()


@contextmanager
def asking(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards, even after an error, the mode there was before."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


# --- randomness -------------------------------------------------------------------------------------------


@contextmanager
def seeded(*words: int) -> Iterator[None]:
    """Torch's generators start from these words inside, and go on outside as if nothing had happened."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_mixed(*words))
        yield


def _mixed(*words: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


# --- refusals ---------------------------------------------------------------------------------------------


def _refuse_settings(**settings: float | None) -> None:
    for name, value in settings.items():
        if value is None:
            continue
        if name in ("clip", "lr"):
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ConfigError(f"{name} must be a number above 0, not {value!r}")
        else:
            whole(name, value, 0 if name == "seed" else 1)


def _single_process(device: torch.device) -> Fabric:
    from lightning_fabric import Fabric

    where = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=where)
