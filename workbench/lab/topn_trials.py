"""LIFT's Table 3 as trials: which item does a user click next? Five sequence models, RIM and LIFT.

    sweep("lift_table3", trials("world:small", seeds=range(3)), measure)

The protocol is that of :mod:`workbench.lab.ranking`. Sequence models learn from all clicks of the retrieval
and train part; RIM and LIFT, which score one candidate at a time, from clicks of the train part and drawn
negatives (:mod:`workbench.lab.candidates`), and keep the epoch with the best AUC on the validation lists.
Among all items RIM and LIFT rank a search and a forward pass per item, so that only ``full`` questions are
asked so; the same ones of every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from workbench.baselines.next_item import FPMC, NARM, GRU4Rec, NextItem, SASRec, TransRec
from workbench.baselines.retrieval import RIM
from workbench.data import load
from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.errors import unknown
from workbench.lab.candidates import Candidates, rank_all, rank_lists
from workbench.lab.datastore import Datastore
from workbench.lab.lift import LIFTData, Recipe, made, pretrain, pretraining_windows, recall, train_predictor
from workbench.lab.ranking import (
    Questions,
    Ranked,
    TopN,
    all_items,
    ask,
    measured,
    ndcg_score,
    rank,
    sequence_loss,
    training_sequences,
)
from workbench.lab.samples import Samples
from workbench.lab.store import Trial
from workbench.lab.tensors import Table
from workbench.lab.training import click_loss, click_score, fit
from workbench.methods.lift_config import REMEDIES, LIFTConfig

SEQUENTIAL: dict[str, type[NextItem]] = {
    model.__name__: model for model in (FPMC, TransRec, NARM, GRU4Rec, SASRec)
}
VARIANTS = (*SEQUENTIAL, "RIM", "LIFT")
# What is set for all variants on a data set. clicks: T, own clicks that a sequence model reads; practice: at
# most so many samples for RIM and LIFT to learn from; passes, rate: epochs and step size of a sequence model.
BASE = {
    "targets": 2000, "clicks": 50, "negatives": 99, "train_negatives": 4, "full": 100, "practice": 200_000,
    "passes": 40, "rate": 2e-3, "shift": True,
}  # fmt: skip
_TASK = ("targets", "clicks", "negatives", "train_negatives", "full")
SETTINGS: dict[str, dict[str, object]] = {
    "world:small": {**BASE, "pretrain_epochs": 60},
    "world:tiny": {
        **BASE, "targets": 40, "negatives": 20, "train_negatives": 1, "full": 3, "practice": 200, "passes": 2,
        "width": 2, "size": 8, "heads": 2, "layers": 1, "probes": 4, "pretrain_epochs": 2, "epochs": 2,
    },
    "ml-1m": {**BASE, "pretrain_epochs": 6, "pretrain_batch": 128},
    "lastfm-1k": {**BASE, "full": 10, "pretrain_epochs": 1, "pretrain_batch": 256},
}  # fmt: skip


def trials(dataset: str = "world:small", seeds: Sequence[int] = range(3), **settings: object) -> list[Trial]:
    """One trial a variant and seed, with every setting in its configuration.

    Raises ConfigError for a data set or a setting that is not known, and values that make no sense.
    """
    if dataset not in SETTINGS:
        raise unknown("data set with settings for top-N", dataset, SETTINGS)
    base = {**asdict(replace(LIFTConfig(), **REMEDIES)), **asdict(Recipe()), **SETTINGS[dataset]}
    for name in settings:
        if name not in base:
            raise unknown("setting", name, base)
    config = {**base, **settings}
    config["hidden"] = list(config["hidden"])
    _protocol(config, 0), _of(LIFTConfig, config), _of(Recipe, config)
    found = []
    for seed in seeds:
        log = load(dataset, seed)
        found += [Trial(variant, dataset, log.fingerprint, seed, config) for variant in VARIANTS]
    return found


def measure(trial: Trial) -> dict[str, float]:
    """HR, NDCG and MRR on the test part: among stored negatives, and ("full ...") among all items."""
    task = _task(trial.dataset, trial.seed, tuple((n, trial.config[n]) for n in (*_TASK, "k", "length")))
    if trial.variant in SEQUENTIAL:
        return measured(_sequential(task, trial))
    samples = _samples(task, trial)
    if trial.variant == "RIM":
        model = made(lambda: RIM(task.maker.table.sizes), trial.seed)
        recipe = _of(Recipe, trial.config)
        fit(
            model, click_loss(samples["train"]), len(samples["train"]), epochs=recipe.epochs,
            batch=recipe.batch, lr=recipe.lr, weight_decay=recipe.weight_decay, patience=recipe.patience,
            seed=trial.seed, score=click_score(samples["validation"]),
        )  # fmt: skip
        return measured(_ranked(model, task.maker, samples["test"], task))
    with TemporaryDirectory() as folder:  # a datastore: which rows all items retrieve is not known before
        return measured(_lift(task, trial, samples, Path(folder)))


class _Task:
    """What all variants of a data set and seed share: the questions, and the maker of candidates."""

    def __init__(self, dataset: str, seed: int, config: dict[str, object]) -> None:
        self.log = load(dataset, seed)
        self.split = global_time_split(self.log)
        self.protocol = _protocol(config, seed)
        fewer = replace(self.protocol, targets=max(self.protocol.targets // 4, 1))
        self.valid = ask(self.log, self.split.rows("validation"), "validation", fewer)
        self.test = ask(self.log, self.split.rows("test"), "test", self.protocol)
        self.few: Questions = self.test.spread(config["full"])
        known = tuple(f for f in self.log.fields if f != "user")
        self.maker = Candidates.of(
            self.log, self.split, config["k"], config["length"], table=Table(self.log, known)
        )


@lru_cache(maxsize=1)
def _task(dataset: str, seed: int, settings: tuple) -> _Task:
    return _Task(dataset, seed, dict(settings))


def _sequential(task: _Task, trial: Trial) -> Ranked:
    log, config = task.log, trial.config
    user, sequences = training_sequences(log, task.split.train.stop, config["clicks"])
    kind = SEQUENTIAL[trial.variant]
    how = {"length": config["clicks"]} if kind is SASRec else {}
    model = made(lambda: kind(log.size("user"), log.size("item"), **how), trial.seed)
    fit(
        model, sequence_loss(user, sequences), len(user), epochs=config["passes"], lr=config["rate"],
        seed=trial.seed, score=ndcg_score(task.valid), patience=config["patience"],
    )  # fmt: skip
    scores = all_items(model)
    return Ranked(rank(scores, task.test).sampled, rank(scores, task.few).full)


def _samples(task: _Task, trial: Trial) -> dict[str, Samples]:
    """Events, nothing encoded: practice for the train part, lists of candidates for the others."""
    practice = task.maker.practice(task.protocol)
    chosen = np.random.default_rng(trial.seed).permutation(len(practice))[: trial.config["practice"]]
    lists = {"validation": task.valid, "test": task.test}
    return {"train": practice.some(np.sort(chosen))} | {
        part: task.maker.samples(asked.rows, asked.candidates) for part, asked in lists.items()
    }


def _lift(task: _Task, trial: Trial, samples: dict[str, Samples], folder: Path) -> Ranked:
    config, recipe = _of(LIFTConfig, trial.config), _of(Recipe, trial.config)
    table, known = task.maker.table, Histories.of(task.log, stop=task.split.retrieval.stop)
    windows = torch.from_numpy(pretraining_windows(known, config.length))
    encoder, _ = pretrain(
        LIFTData(task.log, task.split, table, samples, known, windows), config, trial.seed, recipe
    )
    store = Datastore.build(encoder.eval(), table, task.log, task.split, folder)
    sides = {"past": store.history, "future": store.future}
    encoded = {part: some.encoded(recall(encoder, some), **sides) for part, some in samples.items()}
    model, _ = train_predictor(encoded, encoder, config, trial.seed, recipe)
    return _ranked(model, task.maker.encoded(**sides), encoded["test"], task)


def _ranked(model: torch.nn.Module, maker: Candidates, lists: Samples, task: _Task) -> Ranked:
    return Ranked(rank_lists(model, lists, task.test), rank_all(model, maker, task.few))


def _protocol(config: dict[str, object], seed: int) -> TopN:
    names = ("targets", "negatives", "train_negatives")
    return TopN(length=config["clicks"], seed=seed, **{name: config[name] for name in names})


def _of(kind: type, config: dict[str, object]):
    """The part of a flat configuration that belongs to a dataclass."""
    mine = {f.name: config[f.name] for f in fields(kind)}
    return kind(**mine | ({"hidden": tuple(mine["hidden"])} if "hidden" in mine else {}))
