"""What pretraining on masked behaviours learns (LIFT, Section 4.2): windows, yardsticks, trials of lesson 03.

    found = sweep(EXPERIMENT, trials(seeds=range(3)), measure)

An encoder is scored on windows that begin where its training data end, and, whatever share of labels was
hidden in training, by one question: :func:`one_hidden_auc`. Scored at its own mask ratio an encoder that
learnt at a high one would look worse than it is, because it is asked more with less to go by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.data import load
from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.lab.lift import made, masked_auc, pretraining_windows
from workbench.lab.store import Trial
from workbench.lab.tensors import Table
from workbench.lab.training import fit
from workbench.methods.layers import Events, last_state, mean_state
from workbench.methods.lift import Encoder, mask_behaviours, pretrain_loss
from workbench.methods.lift_config import LIFTConfig

EXPERIMENT = "lift_masked_labels"
RATIOS = ("last", 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
SPREADS = (0.1, 0.3)  # of the encoder's feature embeddings at the start; else it is 1
CONFIG: dict[str, object] = {
    "mask_ratio": 0.3,
    "spread": 1.0,
    "length": 20,
    "epochs": 45,
    "batch": 64,
    "lr": 1e-3,
}


def later_windows(log: Interactions, split: TimeSplit, length: int) -> Tensor:
    """Every user's rows of the train part cut into windows of L, as S_pretrain is cut: (n, L) int64, then -1.

    Pretraining reads the retrieval set, which is over when the train part begins.
    """
    rows = split.rows("train")
    later = Histories.grouped(log.user[rows], log.size("user"), log.timestamp[rows])
    windows = pretraining_windows(later, length)
    return torch.from_numpy(np.where(windows >= 0, windows + rows[0], -1))


def one_hidden_auc(encoder: Encoder, table: Table, windows: Tensor, draws: int = 3, seed: int = 0) -> float:
    """AUC of behaviours that are hidden alone: one of each window, at random, ``draws`` times.

    This is what a prediction asks: one unknown label, after a history whose labels are all known.
    """
    return masked_auc(encoder, table, windows.repeat(draws, 1), 1 / windows.shape[1], seed)


def representations(encoder: Encoder, events: Events) -> dict[str, Tensor]:
    """One vector a sequence, three ways: events (B, T) -> name -> (B, v), for "answers" one number a probe.

    Every number is centred and scaled over the B sequences, so that distances do not hang on one of them.
    """
    with torch.no_grad():
        states = encoder(events)
        vectors = {
            "final state": last_state(states, events.there),
            "mean state": mean_state(states, events.there),
            "answers": encoder.behaviour(encoder.ask(events, encoder.probes[None])),
        }
    return {name: (v - v.mean(0)) / v.std(0).clamp(min=1e-6) for name, v in vectors.items()}


def trials(dataset: str = "world:small", seeds: Sequence[int] = range(3), **settings: object) -> list[Trial]:
    """Every mask ratio, and the feature embeddings' starts at ratio 0.3; ``settings`` as in CONFIG."""
    changes = {f"ratio {ratio}": {"mask_ratio": ratio} for ratio in RATIOS}
    changes |= {f"spread {spread}": {"spread": spread} for spread in SPREADS}
    return [
        Trial.on(load(dataset, seed), variant, seed, {**CONFIG, **settings, **change})
        for seed in seeds
        for variant, change in changes.items()
    ]


def measure(trial: Trial) -> dict[str, object]:
    """AUC on later windows and mean training loss, at the end and after every epoch."""
    config = LIFTConfig(length=trial.config["length"], mask_ratio=trial.config["mask_ratio"])
    log = load(trial.dataset, trial.seed)
    split = global_time_split(log)
    table = Table(log, [field for field in log.fields if field != "user"])
    known = Histories.of(log, stop=split.retrieval.stop)
    windows = torch.from_numpy(pretraining_windows(known, config.length))
    later = later_windows(log, split, config.length)
    encoder = made(lambda: Encoder(table.sizes, config), trial.seed)
    encoder.embedding.table.data.mul_(trial.config["spread"])

    def loss(model: Encoder, index: Tensor) -> Tensor:
        events = table.events(windows[index])
        return pretrain_loss(model, events, mask_behaviours(events.there, config.mask_ratio))

    fitted = fit(
        encoder, loss, len(windows), epochs=trial.config["epochs"], batch=trial.config["batch"],
        lr=trial.config["lr"], weight_decay=0.01, seed=trial.seed,
        score=lambda model: one_hidden_auc(model, table, later),
    )  # fmt: skip
    scores = [epoch["score"] for epoch in fitted.history]
    return {
        "auc": scores[-1],
        "auc_epochs": scores,
        "loss_epochs": [epoch["loss"] for epoch in fitted.history],
    }
