"""What pretraining on masked behaviours learns (LIFT, Section 4.2): windows, yardsticks, trials of lesson 03.

    found = known(EXPERIMENT, trials(), measure)  # as kept; see workbench.lab.kept

An encoder is scored on windows that begin where its training data end, and, whatever share of labels was
hidden in training, by one question: :func:`one_hidden_auc`. Scored at its own mask ratio an encoder that
learnt at a high one would look worse than it is, because it is asked more with less to go by.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from workbench.data import load
from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import unknown
from workbench.lab.lift import forget_unseen, fresh_encoder, masked_auc
from workbench.lab.lift_data import LIFTData, pretraining_windows
from workbench.lab.lift_trials import VERSION
from workbench.lab.metrics import auc
from workbench.lab.samples import Samples
from workbench.lab.store import Trial
from workbench.lab.tensors import Table
from workbench.lab.training import fit
from workbench.methods.layers import Events
from workbench.methods.lift import Encoder, mask_behaviours, pretrain_loss
from workbench.methods.lift_config import LIFTConfig

READINGS = {"last": "final state", "mean": "mean state", "ask": "answers"}  # of LIFTConfig.represent

EXPERIMENT = "lift_masked_labels"
RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0, "last")
SPREADS = (0.3, 0.1)  # of the encoder's feature embeddings at the start, where it is not 1
CONFIG: dict[str, object] = {
    "mask_ratio": 0.3, "spread": 1.0, "length": 20, "epochs": 25, "batch": 64, "lr": 1e-3,
    "version": VERSION,
}  # fmt: skip


def later_windows(log: Interactions, split: TimeSplit, length: int) -> Tensor:
    """Every user's rows of the train part cut into windows of L, as S_pretrain is cut: (n, L) int64, then -1.

    Pretraining reads the retrieval set, which is over when the train part begins.
    """
    rows = split.rows("train")
    later = Histories.grouped(log.user[rows], log.size("user"), log.timestamp[rows])
    windows = pretraining_windows(later, length)
    return torch.from_numpy(np.where(windows >= 0, windows + rows[0], -1))


def one_hidden_auc(encoder: Encoder, table: Table, windows: Tensor, draws: int = 3, seed: int = 0) -> float:
    """AUC of behaviours that are hidden alone: one of each window (n, L), at random, ``draws`` times.

    This is what a prediction asks: one unknown label, after a history whose labels are all known.
    """
    return masked_auc(encoder, table, windows.repeat(draws, 1), 1 / windows.shape[1], seed)


def reading(encoder: Encoder, represent: str) -> Encoder:
    """The same weights, their states read off another way (a key of READINGS)."""
    other = copy.copy(encoder)
    other.config = replace(encoder.config, represent=represent)
    return other


def representations(encoder: Encoder, events: Events) -> dict[str, np.ndarray]:
    """One vector a sequence, read off three ways: events (B, T) -> READINGS' name -> (B, numbers).

    Every number is centred and scaled over the B sequences, so that distances do not hang on one of them.
    """
    result = {}
    for represent, name in READINGS.items():
        with torch.no_grad():
            vectors = reading(encoder, represent).represent(events).cpu().numpy()
        result[name] = (vectors - vectors.mean(0)) / np.maximum(vectors.std(0), 1e-6)
    return result


def vector_matching_auc(samples: Samples) -> float:
    """AUC of asking, without any training: is the own history like the neighbours' pasts, not their futures?

    The score of lesson 02 (:func:`workbench.lab.matching.match_scores`) on vectors instead of counts: the
    cosine of h_t with the sum of the clicked neighbours' pasts, minus that with their futures.

    samples : encoded by :func:`workbench.lab.lift.encode`. Vectors are centred and scaled over all contexts.
    """
    every = torch.arange(len(samples))
    sample = samples.batch(every, ("history", "neighbours", "past", "future"))
    contexts = torch.cat([sample.past, sample.future])
    known = contexts.any(-1)  # an empty window is the zero vector, and stays it
    centre, scale = contexts[known].mean(0), contexts[known].std(0).clamp(min=1e-6)
    clicked = (sample.neighbours.label * sample.neighbours.there).unsqueeze(-1)

    def compared(vectors: Tensor) -> Tensor:
        return (vectors - centre) / scale * vectors.any(-1, keepdim=True)

    own = compared(sample.history[:, : len(centre)])
    past, future = ((compared(part) * clicked).sum(1) for part in (sample.past, sample.future))
    score = functional.cosine_similarity(own, past) - functional.cosine_similarity(own, future)
    return auc(sample.target.label.cpu().numpy(), score.cpu().numpy())


# --- trials ------------------------------------------------------------------------------------------------


def trials(
    dataset: str = "world:small",
    seeds: Sequence[int] = range(3),
    ratios: Sequence[float | str] = RATIOS,
    spreads: Sequence[float] = SPREADS,
    **settings: object,
) -> list[Trial]:
    """Every mask ratio; and feature embeddings that start smaller, at the default ratio.

    settings : as in CONFIG, such as ``epochs=60``; ConfigError for any other.
    """
    for name in settings:
        if name not in CONFIG:
            raise unknown("setting", name, CONFIG)
    changes = {f"ratio {ratio}": {"mask_ratio": ratio} for ratio in ratios}
    changes |= {f"spread {spread}": {"spread": spread} for spread in spreads}
    logs = {seed: load(dataset, seed) for seed in seeds}
    return [
        Trial.on(logs[seed], variant, seed, {**CONFIG, **settings, **change})
        for seed in seeds
        for variant, change in changes.items()
    ]


def measure(trial: Trial) -> dict[str, object]:
    """AUC on later windows and mean training loss, at the end and after every epoch."""
    config = LIFTConfig(length=trial.config["length"], mask_ratio=trial.config["mask_ratio"])
    log = load(trial.dataset, trial.seed)
    data = LIFTData.of(log, global_time_split(log), config)
    later = later_windows(log, data.split, config.length)
    encoder = fresh_encoder(data, config, trial.seed)
    encoder.embedding.table.data.mul_(trial.config["spread"])
    forget_unseen(encoder, data)

    def loss(model: Encoder, index: Tensor) -> Tensor:
        events = data.table.events(data.windows[index])
        return pretrain_loss(model, events, mask_behaviours(events.there, config.mask_ratio))

    fitted = fit(
        encoder, loss, len(data.windows), epochs=trial.config["epochs"], batch=trial.config["batch"],
        lr=trial.config["lr"], weight_decay=0.01, seed=trial.seed,
        score=lambda model: one_hidden_auc(model, data.table, later),
    )  # fmt: skip
    scores = [epoch["score"] for epoch in fitted.history]
    return {"auc": scores[-1], "auc_epochs": scores, "loss_epochs": [one["loss"] for one in fitted.history]}


def curves(found: pd.DataFrame, variants: dict[str, str]) -> pd.DataFrame:
    """AUC after every epoch, one row each: columns variant, seed, epoch, value.

    variants : of the trials -> what they are to be called, in this order.
    """
    rows = [
        (name, one.seed, epoch, value)
        for variant, name in variants.items()
        for one in found[found["variant"] == variant].itertuples()
        for epoch, value in enumerate(one.auc_epochs, start=1)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "value"])
