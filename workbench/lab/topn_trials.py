"""LIFT's Table 3 as trials: which item does a user click next? Five sequence models, RIM and LIFT.

``workbench measure lift_table3 --dataset ml-1m --seeds 0-2`` runs what is missing.

The protocol is that of :mod:`workbench.lab.ranking`. Sequence models learn from all clicks of the retrieval
and train part; RIM and LIFT, which score one candidate at a time, from clicks of the train part and drawn
negatives (:mod:`workbench.lab.candidates`). All else is the same for all: the questions, how many own clicks
are read, step size and weight decay, and that the epoch with the best NDCG@10 on the validation questions is
kept. Among all items RIM and LIFT rank with a search and a forward pass per item, so that only ``full``
questions are asked so; the same ones of every model.

Settings were chosen by NDCG@10 on the validation part of ``world:small``, seed 0, where 3e-3 suits all models
among step sizes from 3e-4 to 1e-2. Reading 50 clicks gained FPMC, TransRec and SASRec nothing over the 20
that RIM and LIFT read.

Departure: GRU4Rec and SASRec are trained, as NARM is, by the cross-entropy over all items, which the same
choice preferred to their papers' losses: .439 to .425 with TOP1, .384 to .342 with one negative a step. FPMC
and TransRec keep S-BPR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from workbench.baselines.next_item import FPMC, NARM, GRU4Rec, SASRec, TransRec
from workbench.baselines.retrieval import RIM
from workbench.data import load
from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import ConfigError, unknown, whole
from workbench.lab.candidates import Candidates, list_score, rank_all, rank_lists
from workbench.lab.datastore import Datastore
from workbench.lab.experiments import variants_of
from workbench.lab.lift import LIFTData, Recipe, made, pretrain, pretraining_windows, recall
from workbench.lab.ranking import (
    Questions,
    Ranked,
    TopN,
    all_items,
    ask,
    measured,
    rank,
    rank_score,
    sequence_loss,
    training_sequences,
)
from workbench.lab.samples import Samples
from workbench.lab.store import Trial
from workbench.lab.tensors import Table
from workbench.lab.training import Fit, Loss, click_loss, fit
from workbench.methods.lift import LIFT
from workbench.methods.lift_config import REMEDIES, LIFTConfig
from workbench.methods.next_item import LOSSES, NextItem

SEQUENTIAL: dict[str, type[NextItem]] = {
    model.__name__: model for model in (FPMC, TransRec, NARM, GRU4Rec, SASRec)
}
EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    "lift_table3": {
        "FPMC": {"loss": "bpr"},
        "TransRec": {"loss": "bpr"},
        "NARM": {"loss": "softmax"},
        "GRU4Rec": {"loss": "softmax"},
        "SASRec": {"loss": "softmax"},
        "RIM": {},
        "LIFT": {},
    }
}
SHOWN = ("NDCG@10", "MRR", "full NDCG@10")  # of what a trial measures

# length: own clicks that any model reads, and L; practice: at most so many clicks, each with its drawn
# negatives, for RIM and LIFT to learn from.
TASK = {"targets": 2000, "negatives": 99, "train_negatives": 9, "full": 100, "length": 20}
ALL = {**TASK, "practice": 20_000, "shift": True, "epochs": 40, "patience": 8, "lr": 3e-3, "batch": 256}
SEQUENCES = {"batch": 64}  # windows of clicks; the others' are candidates
SETTINGS: dict[str, dict[str, object]] = {
    "world:small": {"pretrain_epochs": 60},
    "world:tiny": {
        "targets": 40, "negatives": 20, "train_negatives": 1, "full": 3, "practice": 100, "length": 8, "k": 4,
        "width": 2, "size": 8, "heads": 2, "layers": 1, "probes": 4, "pretrain_epochs": 2, "epochs": 2,
    },
    "ml-1m": {"epochs": 8, "pretrain_epochs": 6, "pretrain_batch": 128},
    "lastfm-1k": {"epochs": 8, "full": 10, "pretrain_epochs": 1, "pretrain_batch": 256},
}  # fmt: skip
BATCH = 512  # windows that an encoder reads at once: more is slower
VERSION = 1  # of what a configuration gives; goes up when the same one gives other numbers
_TRAINING = ("epochs", "patience", "batch", "lr", "weight_decay")


def trials(
    experiment: str = "lift_table3",
    dataset: str = "world:small",
    seeds: Sequence[int] = range(3),
    variants: Sequence[str] | None = None,
    **settings: object,
) -> list[Trial]:
    """The trials of an experiment, those of a seed next to each other: they share the questions.

    variants : some of the experiment's, default all. settings : on top of the data set's and the variants'
    own. A configuration holds what its variant reads, so that LIFT's knobs leave the others' results alone.

    Raises ConfigError for a name or a setting that is not known, and for values that make no sense, before
    any work.
    """
    chosen = variants_of(EXPERIMENTS, experiment, variants)
    if dataset not in SETTINGS:
        raise unknown("data set with settings for top-N", dataset, SETTINGS)
    configs = {name: _config(dataset, name, changes, settings) for name, changes in chosen.items()}
    found = []
    for seed in seeds:
        fingerprint = load(dataset, seed).fingerprint
        found += [Trial(variant, dataset, fingerprint, seed, dict(c)) for variant, c in configs.items()]
    return found


def _config(
    dataset: str, variant: str, changes: Mapping[str, object], settings: Mapping[str, object]
) -> dict[str, object]:
    """All that a variant reads, as plain JSON values."""
    base = {**asdict(replace(LIFTConfig(), **REMEDIES)), **asdict(Recipe()), **ALL}
    del base["start"]  # every trial of LIFT is pretrained
    for name in settings:
        if name not in {*base, "loss"}:
            raise unknown("setting", name, {*base, "loss"})
    network = SEQUENCES if variant in SEQUENTIAL else {}
    config = {**base, **network, **SETTINGS[dataset], **changes, **settings}
    _of(LIFTConfig, config), _of(Recipe, config), _of(TopN, config)
    for name in ("targets", "full", "practice"):
        whole(name, config[name])
    if not 0 <= config["weight_decay"] < float("inf"):
        raise ConfigError(f"weight_decay is 0 or above, not {config['weight_decay']!r}")
    if config.get("loss", LOSSES[0]) not in LOSSES:
        raise unknown("loss", config["loss"], LOSSES)
    config["hidden"] = list(config["hidden"])
    if variant in SEQUENTIAL:
        read = {*TASK, *_TRAINING, "loss"}
    else:
        read = {*TASK, *_TRAINING, "k", "practice"} if variant == "RIM" else set(base)
    return {"model": variant, "version": VERSION} | {n: v for n, v in config.items() if n in read}


def measure(trial: Trial) -> dict[str, float]:
    """HR, NDCG and MRR on the test part: among stored negatives, and ("full ...") among all items.

    Beside them what the epoch was chosen by, which one it was and how many there were.
    """
    config, seed = trial.config, trial.seed
    task = _task(trial.dataset, replace(_of(TopN, config), seed=seed), config["full"])
    if config["model"] in SEQUENTIAL:
        ranked, fitted = _sequential(task, config, seed)
    else:
        maker, samples = _candidates(task, config["k"], config["practice"])
        if config["model"] == "RIM":
            model = made(lambda: RIM(maker.table.sizes), seed)
            ranked, fitted = _clicked(model, maker, samples, task, config, seed)
        else:
            with TemporaryDirectory() as folder:  # what all items retrieve is nearly the whole retrieval set
                ranked, fitted = _lift(maker, samples, task, config, seed, Path(folder))
    chosen = {"NDCG@10 validation": fitted.best_score, "best_epoch": fitted.best_epoch}
    return measured(ranked) | chosen | {"epochs_run": len(fitted.history)}


@dataclass(frozen=True, eq=False)
class Task:
    """What all variants of a data set and seed are asked. few : questions for a ranking of all items."""

    log: Interactions
    split: TimeSplit
    protocol: TopN
    valid: Questions
    test: Questions
    few: Questions


@lru_cache(maxsize=1)
def _task(dataset: str, protocol: TopN, full: int) -> Task:
    log = load(dataset, protocol.seed)
    split = global_time_split(log)
    fewer = replace(protocol, targets=max(protocol.targets // 4, 1))
    valid = ask(log, split.rows("validation"), "validation", fewer)
    test = ask(log, split.rows("test"), "test", protocol)
    return Task(log, split, protocol, valid, test, test.spread(full))


@lru_cache(maxsize=1)
def _candidates(task: Task, k: int, practice: int) -> tuple[Candidates, dict[str, Samples]]:
    """Events, nothing encoded: practice for the train part, lists of candidates for the others."""
    known = tuple(f for f in task.log.fields if f != "user")
    maker = Candidates.of(task.log, task.split, k, task.protocol.length, table=Table(task.log, known))
    samples = {"train": maker.practice(task.protocol, practice)}
    for part, asked in (("validation", task.valid), ("test", task.test)):
        samples[part] = maker.samples(asked.rows, asked.candidates)
    return maker, samples


def _sequential(task: Task, config: Mapping[str, object], seed: int) -> tuple[Ranked, Fit]:
    log, length, kind = task.log, config["length"], SEQUENTIAL[config["model"]]
    user, sequences = training_sequences(log, task.split.train.stop, length)
    how = {"length": length} if kind is SASRec else {}
    model = made(lambda: kind(log.size("user"), log.size("item"), loss=config["loss"], **how), seed)
    loss, score = sequence_loss(user, sequences), rank_score(task.valid)
    fitted = _trained(model, loss, len(user), score, config, seed)
    scores = all_items(model)
    return Ranked(rank(scores, task.test).sampled, rank(scores, task.few).full), fitted


def _lift(
    maker: Candidates,
    samples: Mapping[str, Samples],
    task: Task,
    config: Mapping[str, object],
    seed: int,
    folder: Path,
) -> tuple[Ranked, Fit]:
    method, table = _of(LIFTConfig, config), maker.table
    known = Histories.of(task.log, stop=task.split.retrieval.stop)
    windows = torch.from_numpy(pretraining_windows(known, method.length))
    data = LIFTData(task.log, task.split, table, samples, known, windows)
    encoder, _ = pretrain(data, method, seed, _of(Recipe, config))
    store = Datastore.build(encoder.eval(), table, task.log, task.split, folder)
    sides = {"past": store.history, "future": store.future}
    encoded = {part: some.encoded(recall(encoder, some, BATCH), **sides) for part, some in samples.items()}
    model = made(lambda: LIFT(table.sizes, method, encoder), seed, 2).freeze()
    return _clicked(model, maker.encoded(**sides), encoded, task, config, seed)


def _clicked(
    model: nn.Module,
    maker: Candidates,
    samples: Mapping[str, Samples],
    task: Task,
    config: Mapping[str, object],
    seed: int,
) -> tuple[Ranked, Fit]:
    """A model for clicks, trained and asked."""
    train, score = samples["train"], list_score(samples["validation"], task.valid)
    fitted = _trained(model, click_loss(train), len(train), score, config, seed)
    return Ranked(
        rank_lists(model, samples["test"], task.test), rank_all(model, maker, task.few, BATCH)
    ), fitted


def _trained(
    model: nn.Module,
    loss: Loss,
    count: int,
    score: Callable[[nn.Module], float],
    config: Mapping[str, object],
    seed: int,
) -> Fit:
    return fit(model, loss, count, score=score, seed=seed, **{name: config[name] for name in _TRAINING})


def _of(kind: type, config: Mapping[str, object]):
    """The part of a flat configuration that belongs to a dataclass."""
    mine = {f.name: config[f.name] for f in fields(kind) if f.name in config}
    return kind(**mine | ({"hidden": tuple(mine["hidden"])} if "hidden" in mine else {}))
