"""LIFT from a log to predictions: pretrain E_ω, ask it about every context, train F_θ on the answers.

data = LIFTData.of(log, global_time_split(log), config)
model, samples, _ = lift(data, config, seed=0)
probabilities = predict(model, samples["test"])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import qr
from torch import Tensor
from torch.nn import functional

from workbench.errors import ConfigError, unknown, whole
from workbench.lab.lift_data import LIFTData, pretraining_windows
from workbench.lab.metrics import auc
from workbench.lab.samples import Samples
from workbench.lab.tensors import Table
from workbench.lab.training import Fit, click_loss, click_score, fit, seeded
from workbench.methods.layers import Events
from workbench.methods.lift import LIFT, Encoder, mask_behaviours, pretrain_loss, reverse
from workbench.methods.lift_config import LIFTConfig

CANDIDATES, SEQUENCES = 16, 1000  # each probe is chosen among so many interactions, by so many sequences
STARTS = ("pretrained", "joint", "history first", "random")
TOGETHER = 8  # targets of one item that stay together in a batch of joint training


@dataclass(frozen=True)
class Recipe:
    """How LIFT is trained; what the paper leaves open (published/hyperparameters) and we settled on.

    start : "pretrained" (then frozen, Eq. 8); "joint" (without pretraining, E and F end to end, L9);
        "history first" (end to end, too, but first with an F that reads the own history only: all at once,
        a network soon knows 15,000 targets by heart and never compares events); or "random" (E frozen as it
        was drawn, a control).
    shift : cut the windows for pretraining anew every epoch, beginning at another event; the paper's are
        fixed, so that each event has the same company in all epochs.
    """

    start: str = "pretrained"
    shift: bool = False
    pretrain_epochs: int = 45
    pretrain_batch: int = 64
    pretrain_lr: float = 1e-3
    epochs: int = 20
    patience: int = 4
    batch: int = 256
    lr: float = 3e-4
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise unknown("start", self.start, STARTS)
        if not isinstance(self.shift, bool):
            raise ConfigError(f"shift is True or False, not {self.shift!r}")
        for name, least in (
            ("pretrain_batch", 1),
            ("pretrain_epochs", 1),
            ("epochs", 1),
            ("patience", 1),
            ("batch", 2),
        ):
            whole(name, getattr(self, name), least)
        for name in ("pretrain_lr", "lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is above 0, not {getattr(self, name)!r}")


def masked_auc(
    encoder: Encoder, table: Table, windows: Tensor, ratio: float | str | None = None, seed: int = 0
) -> float:
    """AUC of the masked behaviours of some windows, masked at ``ratio`` (default: as the encoder trains)."""
    generator = torch.Generator().manual_seed(seed)
    ratio = encoder.config.mask_ratio if ratio is None else ratio
    scores, labels = [], []
    with torch.no_grad():
        for rows in windows.split(1024):
            events = table.events(rows)
            masked = mask_behaviours(events.there.cpu(), ratio, generator).to(events.there.device)
            scores.append(encoder.behaviour(encoder(events, masked)[masked]).cpu())
            labels.append(events.label[masked].cpu())
    return auc(torch.cat(labels).numpy(), torch.cat(scores).numpy())


def pretrain(
    data: LIFTData,
    config: LIFTConfig,
    seed: int,
    recipe: Recipe = Recipe(),
    *,
    held_out: Tensor | None = None,
    checkpoint: Path | None = None,
    on_progress: Callable | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Encoder, Fit]:
    """Eq. 7: the encoder that minimises the mask-behaviour loss over S_pretrain.

    held_out : windows to leave out and to score (masked AUC) after every epoch.
    """
    encoder = fresh_encoder(data, config, seed)
    score, windows = None, data.windows
    if held_out is not None:
        score = lambda model: masked_auc(model, data.table, held_out)  # noqa: E731

    def cut(epoch: int) -> int:
        nonlocal windows
        if recipe.shift:
            first = int(np.random.default_rng([seed, epoch]).integers(config.length))
            windows = torch.from_numpy(pretraining_windows(data.known, config.length, first))
        if held_out is not None:  # no event of a held-out window, whatever the cut
            gone = held_out[held_out >= 0].to(windows.device)
            windows = windows[~torch.isin(windows, gone).any(-1)]
        return len(windows)

    def loss(model: Encoder, index: Tensor) -> Tensor:
        events = data.table.events(windows[index])
        return pretrain_loss(model, events, mask_behaviours(events.there, config.mask_ratio))

    fitted = fit(
        encoder, loss, cut, epochs=recipe.pretrain_epochs, batch=recipe.pretrain_batch,
        lr=recipe.pretrain_lr, weight_decay=0.01, seed=seed, score=score,
        checkpoint=checkpoint, on_progress=on_progress, stop=stop,
    )  # fmt: skip
    forget_unseen(encoder, data)
    choose_probes(encoder, data, seed)
    return encoder, fitted


def made(build: Callable, *words: int):
    """A module whose start is drawn from these words, whatever was drawn before."""
    with seeded(*words):
        return build()


def fresh_encoder(data: LIFTData, config: LIFTConfig, seed: int) -> Encoder:
    """An encoder as it is drawn, with the first random probes."""
    encoder = made(lambda: Encoder(data.table.sizes, config), seed, 1).to(data.table.device)
    choose_probes(encoder, data, seed, trained=False)
    return encoder


def forget_unseen(encoder: Encoder, data: LIFTData) -> None:
    """Values that the retrieval set does not have become "unknown": nothing was learnt of them."""
    embedding = encoder.embedding
    seen = torch.zeros(len(embedding.table), dtype=torch.bool, device=data.table.device)
    for codes in data.table.codes[: len(data.known)].split(2**20):
        seen[(codes + embedding.offsets).flatten()] = True
    with torch.no_grad():
        embedding.table[~seen] = 0.0


def choose_probes(encoder: Encoder, data: LIFTData, seed: int, trained: bool = True) -> None:
    """Set the encoder's probes: the interactions of the retrieval set whose answers tell sequences apart.

    Of CANDIDATES random ones for each probe, those that a QR decomposition with column pivoting of the
    answers (sequences x candidates, centred) takes first: each time the one least explained by those
    taken before. An encoder that has learnt nothing yet gets the first random ones.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = len(data.samples["train"].past)
    picked = torch.randint(0, rows, (CANDIDATES * encoder.config.probes,), generator=generator)
    candidates = data.table.events(picked).codes
    chosen = torch.arange(encoder.config.probes)
    if trained and encoder.config.asks:
        anchors = torch.randint(0, rows, (SEQUENCES,), generator=generator)
        with torch.no_grad():
            answers = torch.cat(
                [
                    encoder.behaviour(encoder.ask(data.table.events(window), candidates[None])).cpu()
                    for window in data.samples["train"].past[anchors].split(256)
                ]
            )
        order = qr((answers - answers.mean(0)).numpy(), mode="r", pivoting=True)[1]
        chosen = torch.from_numpy(order[: encoder.config.probes].astype(np.int64))
    encoder.probes.copy_(candidates[chosen.to(candidates.device)])


def encode(
    data: LIFTData, encoder: Encoder, parts: Sequence[str] | None = None, batch: int = 2048
) -> dict[str, Samples]:
    """Samples of some parts (default all) with vectors for events, in memory: Eq. 6, and h_t.

    Only what surrounds rows that some target of these parts retrieved is encoded. The other lines are there
    too, and zero: neighbours are row numbers of the retrieval set, so its R lines are held on the device
    (about 10 MB a side for 100,000 rows). A store that outlives the process and is read from disk is
    :mod:`workbench.lab.datastore`.
    """
    parts = tuple(data.samples) if parts is None else parts
    some, training = data.samples[parts[0]], encoder.training
    encoder.eval()
    near = torch.cat([data.samples[part].neighbours.flatten() for part in parts]).unique()
    near = near[near >= 0].long()
    values = {}
    with torch.no_grad():
        for side in ("past", "future"):
            values[side] = torch.zeros(len(some.past), encoder.value_size, device=data.table.device)
            for rows in near.split(batch):
                values[side][rows] = encoder.represent(context_events(encoder, some, side, rows))
    own = {part: recall(encoder, data.samples[part], batch) for part in parts}
    encoder.train(training)
    return {part: data.samples[part].encoded(own[part], **values) for part in parts}


def context_events(encoder: Encoder, samples: Samples, side: str, rows: Tensor) -> Events:
    """What surrounds rows (N,) of the retrieval set on one side, in the order this encoder reads it."""
    events = samples.table.events(getattr(samples, side)[rows])
    return reverse(events) if side == "future" and encoder.config.reverse_future else events


def recall(encoder: Encoder, samples: Samples, batch: int = 2048) -> Tensor:
    """h_t of every sample, (n, own_size)."""
    done = []
    with torch.no_grad():
        for index in torch.arange(len(samples)).split(batch):
            sample = samples.batch(index, ("history",))
            done.append(encoder.recall(sample.history, sample.target.codes))
    return torch.cat(done)


def train_predictor(
    samples: Mapping[str, Samples],
    encoder: Encoder,
    config: LIFTConfig,
    seed: int,
    recipe: Recipe = Recipe(),
    **how,
) -> tuple[LIFT, Fit]:
    """Eq. 8: F_θ alone on the encoded train part, the best epoch by AUC on the validation part.

    ``how`` goes to :func:`workbench.lab.training.fit` (checkpoint, on_progress, stop).
    """
    table = samples["train"].table
    model = made(lambda: LIFT(table.sizes, config, encoder), seed, 2).to(table.device).freeze()
    fitted = fit(
        model, click_loss(samples["train"]), len(samples["train"]), epochs=recipe.epochs, batch=recipe.batch,
        lr=recipe.lr, weight_decay=recipe.weight_decay, seed=seed, patience=recipe.patience,
        score=click_score(samples["validation"]), **how,
    )  # fmt: skip
    return model, fitted


def train_jointly(
    data: LIFTData, encoder: Encoder, config: LIFTConfig, seed: int, recipe: Recipe, **how
) -> tuple[LIFT, Fit]:
    """Without pretraining: E_ω and F_θ together, end to end (ambiguity L9).

    Targets of one item share most of their neighbours. So a batch is made of groups of TOGETHER targets
    that follow each other when sorted by item, and each distinct context in it is encoded once.
    """
    train = data.samples["train"]
    model = made(lambda: LIFT(data.table.sizes, config, encoder), seed, 2).to(data.table.device)
    item = data.log.item[train.rows.cpu().numpy()]
    groups = torch.from_numpy(np.argsort(item, kind="stable")).split(TOGETHER)

    def loss(model: LIFT, index: Tensor) -> Tensor:
        targets = torch.cat([groups[i] for i in index])
        sample = train.batch(targets, ("history", "neighbours"))
        near, place = train.neighbours[targets].long().clamp(min=0).unique(return_inverse=True)
        there = sample.neighbours.there.unsqueeze(-1)
        encoded = {
            side: model.encoder.represent(context_events(model.encoder, train, side, near))[place] * there
            for side in model.needs & {"past", "future"}
        }
        logits = model(sample._replace(**encoded))
        return functional.binary_cross_entropy_with_logits(logits, sample.target.label.float())

    def score(model: LIFT) -> float:
        return click_score(encode(data, model.encoder, ("validation",))["validation"])(model)

    fitted = fit(
        model, loss, len(groups), epochs=recipe.epochs, batch=max(recipe.batch // TOGETHER, 1), lr=recipe.lr,
        weight_decay=recipe.weight_decay, seed=seed, patience=recipe.patience, score=score, **how,
    )  # fmt: skip
    return model, fitted


def lift(
    data: LIFTData,
    config: LIFTConfig,
    seed: int,
    recipe: Recipe = Recipe(),
) -> tuple[LIFT, Mapping[str, Samples], Fit]:
    """The whole of LIFT: a trained model, the samples it reads, and how the (last) training went.

    ``predict(model, samples["test"])`` gives probabilities.
    """
    if recipe.start == "pretrained":
        encoder, _ = pretrain(data, config, seed, recipe)
    else:
        encoder = fresh_encoder(data, config, seed)
    if recipe.start == "history first":
        encoder = train_jointly(data, encoder, replace(config, context="none"), seed, recipe)[0].encoder
        choose_probes(encoder, data, seed)
    if recipe.start in ("joint", "history first"):
        model, fitted = train_jointly(data, encoder, config, seed, recipe)
        return model, encode(data, model.encoder), fitted
    samples = encode(data, encoder)
    model, fitted = train_predictor(samples, encoder, config, seed, recipe)
    return model, samples, fitted
