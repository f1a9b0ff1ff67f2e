"""DualRec's tables and figures as trials: leave-one-out, among stored negatives and among all items.

``workbench measure dualrec_table5 --dataset amazon-beauty --seeds 0-2`` runs what is missing.

Training is the authors': Adam, weight decay 1e-4, gradients clipped at 5, batches of 256 users, the learning
rate halved after 5 epochs and training ended after 10 without a better MRR on the validation negatives. Ours:
batches hold users with like numbers of items, and every target weighs the same. A training that was
interrupted goes on from its last epoch.

``variant`` of the method: what the paper says, or what its authors' code does (``DualRecConfig``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.baselines.masked_items import BERT4Rec, S3Rec
from workbench.baselines.next_item_windows import HGN, Caser
from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.data.world import make_world
from workbench.errors import ConfigError, unknown, whole
from workbench.lab.attention_maps import mean_attention
from workbench.lab.experiments import variants_of
from workbench.lab.leave_one_out import NextItemTask, Sequences
from workbench.lab.lift import made
from workbench.lab.places import places
from workbench.lab.ranking import all_items, measured, rank, rank_score
from workbench.lab.store import Metrics, Trial
from workbench.lab.training import Fit, Loss, fit
from workbench.methods.dualrec import DualRec
from workbench.methods.dualrec_config import AUTHORS, VARIANTS, DualRecConfig
from workbench.methods.dualrec_controls import PastTwice, Stranger
from workbench.methods.next_item import NextItem

PAST, FUTURE = ({"encoders": one, "beta": 0.0} for one in ("past", "future"))  # nothing to transfer
# The same whatever variant of DualRec they are set beside.
PLAIN = {
    "targets": "all", "activation": "gelu", "future_dropout": True, "output_dropout": False,
    "windows_in_training_only": False,
}  # fmt: skip
SASREC = {**PLAIN, "positions": "absolute", "windows": "all", "transfer": "target"}
BACKBONES: dict[str, dict[str, object]] = {
    "SASRec": SASREC,
    "GRU4Rec": {**SASREC, "backbone": "gru4rec", "layers": 1},
    "FMLP-Rec": {**SASREC, "backbone": "fmlp"},
}
DUAL: dict[str, type[DualRec]] = {"DualRec": DualRec, "past twice": PastTwice, "stranger": Stranger}
# Models of other papers, with the knobs that a trial of theirs has beside the training's.
_ENCODER = ("width", "length", "layers", "heads", "dropout", "mask_ratio")
OTHERS: dict[str, tuple[type[NextItem], tuple[str, ...]]] = {
    "Caser": (Caser, ("width", "dropout")),
    "HGN": (HGN, ("width",)),
    "BERT4Rec": (BERT4Rec, _ENCODER),
    "S3-Rec": (S3Rec, (*_ENCODER, "loss")),
}
EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    "dualrec_table2": {
        "GRU4Rec": {**BACKBONES["GRU4Rec"], **PAST},
        "Caser": {"model": "Caser"},
        "HGN": {"model": "HGN"},
        "SASRec": {**BACKBONES["SASRec"], **PAST},
        "S3-Rec": {
            "model": "S3-Rec",
            "heads": 2,
            "mask_ratio": 0.2,
            "loss": "softmax",
            "pretrain_epochs": 20,
        },
        "BERT4Rec": {"model": "BERT4Rec", "heads": 2, "mask_ratio": 0.2},
        "FMLP-Rec": {**BACKBONES["FMLP-Rec"], **PAST},
        "DualRec": {},
        "DualRec (authors)": AUTHORS,
    },
    "dualrec_table3": {
        "DualRec": {},
        "w/o DE": {"encoders": "one"},
        "w/o BIT": {"beta": 0.0},
        "w/o RPE": {"positions": "none"},
        "w/o LN": {"norm": False},
        "w/o RC": {"residual": False},
    },
    "dualrec_table4": {
        name: {**changes, **more}
        for backbone, changes in BACKBONES.items()
        for name, more in (
            (backbone, PAST),
            (f"Dual{backbone}", {"beta": 0.0}),
            (f"Dual{backbone}+BIT", {"windows": "inclusive"} if backbone == "SASRec" else {}),
        )
    },
    "dualrec_table5": {"Past-Only": PAST, "Future-Only": FUTURE, "w/o BIT": {"beta": 0.0}, "DualRec": {}},
    "dualrec_fig4": {f"alpha {a}": {"alpha": a} for a in (0.1, 0.3, 0.5, 0.7, 0.9)},
    "dualrec_fig5": {f"beta {b}": {"beta": b} for b in (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0)},
    # one head, as in the paper's figure; what is kept is the mean attention of the test histories
    "dualrec_fig6": {
        "Past-Only": {**PAST, "heads": 1, "attention": True},
        "w/o BIT": {"beta": 0.0, "heads": 1, "attention": True},
        "DualRec": {"heads": 1, "attention": True},
    },
    "dualrec_controls": {
        "Past-Only": PAST,
        "past twice": {"model": "past twice"},
        "stranger": {"model": "stranger"},
        "DualRec": {},
        "past twice, no transfer": {"model": "past twice", "beta": 0.0},
        "stranger, no transfer": {"model": "stranger", "beta": 0.0},
        "DualRec, no transfer": {"beta": 0.0},
    },
    # what the authors' code does, each thing alone, and all of it
    "dualrec_readings": {
        "paper": {},
        "sinusoids": {"positions": "sinusoids"},
        "exclusive windows": {"windows": "exclusive"},
        "windows in training only": {"windows_in_training_only": True},
        "mean heads": {"transfer": "mean", "beta": 0.1},
        "all targets": {"targets": "all"},
        "GELU": {"activation": "gelu"},
        "future without dropout": {"future_dropout": False},
        "output dropout": {"output_dropout": True},
        "authors": AUTHORS,
        "authors, no output dropout": {**AUTHORS, "output_dropout": False},
    },
}
SHOWN = ("HR@5", "NDCG@5", "NDCG@10", "MRR", "full NDCG@10")

TRAINING = {
    "epochs": 150, "patience": 10, "plateau": 5, "batch": 256, "lr": 1e-3, "weight_decay": 1e-4, "clip": 5.0,
}  # fmt: skip
SETTINGS: dict[str, dict[str, object]] = {
    "amazon-beauty": {},
    "yelp": {},
    "world:small": {
        "epochs": 100, "batch": 64, "lr": 2e-3, "length": 20, "width": 32, "heads": 4, "dropout": 0.2,
    },
    "world:tiny": {"epochs": 2, "length": 8, "width": 8, "heads": 2, "layers": 1, "negatives": 20},
}  # fmt: skip
# In the world some models know nothing but popularity for tens of epochs (of 16 steps), then learn: where
# models of many kinds stand beside each other, all have the time that the latest of them needs.
_LATE = {"epochs": 200, "patience": 60, "plateau": 30}
LONGER = {("dualrec_table2", "world:small"): _LATE, ("dualrec_table4", "world:small"): _LATE}
# What data there is: how far the world's events are shuffled in their sessions (order_noise), and the share
# of all users whose sequences are trained on.
DATA = {"order_noise": 0.0, "train_users": 1.0}
# A configuration names one of these where it differs: results from before they were knobs keep their keys.
UNNAMED = {**DATA, "output_dropout": False}
VERSION = 1  # of what a configuration gives; goes up when the same one gives other numbers


def trials(
    experiment: str,
    dataset: str = "amazon-beauty",
    seeds: Sequence[int] = range(1),
    variants: Sequence[str] | None = None,
    variant: str = "paper",
    **settings: object,
) -> list[Trial]:
    """The trials of an experiment, those of a seed next to each other.

    variants : some of the experiment's, default all. variant : "paper" or "authors", on which the
    experiment's changes are made. settings : on top of the data set's and the variants' own, or one of DATA.

    Raises ConfigError for a name or a setting that is not known, and for values that make no sense, before
    any work.
    """
    chosen = variants_of(EXPERIMENTS, experiment, variants)
    for what, name, known in (
        ("data set with settings for next-item models", dataset, SETTINGS),
        ("variant", variant, VARIANTS),
    ):
        if name not in known:
            raise unknown(what, name, known)
    longer = LONGER.get((experiment, dataset), {})
    configs = {
        name: _config(dataset, {**VARIANTS[variant], **changes, **longer}, settings)
        for name, changes in chosen.items()
    }
    found = []
    for seed in seeds:
        fingerprint = _log(dataset, seed, settings.get("order_noise", 0.0)).fingerprint
        found += [Trial(name, dataset, fingerprint, seed, dict(config)) for name, config in configs.items()]
    return found


def _config(dataset: str, changes: Mapping[str, object], settings: Mapping[str, object]) -> dict[str, object]:
    """All that a trial reads, as plain JSON values."""
    base = {"model": "DualRec", "negatives": 99, **asdict(DualRecConfig()), **TRAINING}
    for name in settings:
        if name not in {*base, *DATA}:
            raise unknown("setting", name, {*base, *DATA})
    data = {name: _share(name, value) for name, value in settings.items() if name in DATA}
    if data.get("train_users") == 0:
        raise ConfigError("train_users is above 0: somebody must be trained on")
    settings = {name: value for name, value in settings.items() if name not in DATA}
    config = {**base, **SETTINGS[dataset], **changes, **settings}
    if config["model"] in DUAL:
        _method(config)
    else:
        read = {"model", "negatives", "length", "pretrain_epochs", *OTHERS[config["model"]][1], *TRAINING}
        config = {name: value for name, value in config.items() if name in read}
    whole("negatives", config["negatives"])
    config = {"version": VERSION, **config, **data}
    return {name: x for name, x in config.items() if name not in UNNAMED or x != UNNAMED[name]}


def _share(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name} is from 0 to 1, not {value!r}")
    return float(value)


@lru_cache(maxsize=1)
def _log(dataset: str, seed: int, order_noise: float) -> Interactions:
    if not order_noise:
        return load(dataset, seed)
    if not dataset.startswith("world"):
        raise ConfigError(f"order_noise is a knob of the world, and {dataset} is as it is")
    return make_world(dataset.partition(":")[2], seed, order_noise=order_noise).interactions


def _method(config: Mapping[str, object]) -> DualRecConfig:
    return DualRecConfig(**{f.name: config[f.name] for f in fields(DualRecConfig) if f.name in config})


def measure(trial: Trial) -> Metrics:
    """HR, NDCG and MRR on the test items: among stored negatives, and ("full ...") among all items."""
    config = trial.config
    data = {name: config.get(name, usual) for name, usual in DATA.items()}
    task = _task(trial.dataset, config["length"], config["negatives"], trial.seed, **data)
    model = made(lambda: _model(config, task), trial.seed)
    key = replace(trial, variant="").key("dualrec")  # the same whatever the trial is called
    checkpoint = places().results.parent / "checkpoints" / f"{key}.safetensors"
    fitted = train(model, task, config, trial.seed, checkpoint)
    found = measured(rank(all_items(model), task.test))
    if config.get("attention"):
        found["attention map"] = mean_attention(model, torch.from_numpy(task.test.history)).round(5).tolist()
    checkpoint.unlink()
    seconds = float(np.median([epoch["seconds"] for epoch in fitted.history]))
    return found | {
        "MRR validation": fitted.best_score, "best_epoch": fitted.best_epoch,
        "epochs_run": len(fitted.history), "epoch_seconds": seconds,
    }  # fmt: skip


def _model(config: Mapping[str, object], task: NextItemTask) -> NextItem:
    if config["model"] in DUAL:
        return DUAL[config["model"]](task.items, _method(config))
    kind, knobs = OTHERS[config["model"]]
    return kind(task.log.size("user"), task.items, **{name: config[name] for name in knobs})


@lru_cache(maxsize=1)
def _task(
    dataset: str, length: int, negatives: int, seed: int, order_noise: float, train_users: float
) -> NextItemTask:
    return NextItemTask.of(_log(dataset, seed, order_noise), length, negatives, seed, train_users)


def train(
    model: NextItem,
    task: NextItemTask,
    config: Mapping[str, object],
    seed: int,
    checkpoint: Path | None = None,
) -> Fit:
    """The authors' way to train, on batches of like lengths."""
    training = task.training
    begun = checkpoint is not None and checkpoint.exists()  # its weights were pretrained
    if config.get("pretrain_epochs") and not begun:
        pretrain(model, training, config, seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"], fused=True
    )
    named = ("epochs", "patience", "plateau", "batch", "clip")
    return fit(
        model, window_loss(training, model), len(training), seed=seed, optimizer=optimizer,
        alike=training.read, score=rank_score(task.validation, "MRR"), checkpoint=checkpoint,
        **{name: config[name] for name in named},
    )  # fmt: skip


def pretrain(model: S3Rec, training: Sequences, config: Mapping[str, object], seed: int) -> Fit:
    """S3-Rec's first stage; afterwards the model is trained like the others."""

    def loss(model: S3Rec, index: Tensor) -> Tensor:
        return model.pretraining_loss(training.windows(index).to(model.mask.device))

    named = ("batch", "lr", "weight_decay")
    return fit(
        model, loss, len(training), epochs=config["pretrain_epochs"], seed=seed, alike=training.read,
        **{name: config[name] for name in named},
    )  # fmt: skip


def window_loss(training: Sequences, model: NextItem) -> Loss:
    """The model's own loss, every step of the training set weighing the same."""
    per = float(model.steps(training.read).double().mean())

    def loss(model: NextItem, index: Tensor) -> Tensor:
        device = next(model.parameters()).device
        user, windows = training.user[index].to(device), training.windows(index).to(device)
        return model.training_loss(user, windows, per)

    return loss
