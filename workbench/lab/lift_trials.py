"""LIFT's experiments: every number of its tables and curves is a trial, run once and kept.

``workbench measure lift_contexts`` runs what is missing. A trial's configuration is complete: every knob of
:class:`LIFTConfig` and :class:`Recipe`, the world's knobs and how many rows are used.

Real data at interactive size: the whole retrieval set, but targets drawn from the train, validation and test
parts (the same for every variant and seed); networks without retrieval learn from the latest ``rows`` rows
of retrieval and train set.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from workbench.baselines.ctr import CTR
from workbench.baselines.tabular import GBDT
from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.data.world import World, best_reachable, make_world
from workbench.errors import ConfigError, unknown
from workbench.lab.lift import Recipe, encode, fresh_encoder, lift, made, pretrain, train_predictor
from workbench.lab.lift_data import LIFTData
from workbench.lab.metrics import auc, log_loss
from workbench.lab.places import places
from workbench.lab.samples import Samples, targets_only
from workbench.lab.store import Trial
from workbench.lab.training import Fit, click_loss, click_score, fit, predict
from workbench.methods.lift import Encoder
from workbench.methods.lift_config import REMEDIES, LIFTConfig

# What is set for all variants on a data set; what a variant changes goes on top.
WORLD = {"targets": None, "rows": None, "succession": 1.0, "shift": True, "pretrain_epochs": 60}
REAL = {"targets": 30_000, "rows": 200_000, "shift": True, "pretrain_epochs": 6, "pretrain_batch": 128}
TINY = {  # for tests: the numbers mean nothing
    "targets": 200, "rows": 300, "width": 2, "size": 8, "heads": 2, "layers": 1, "probes": 4,
    "k": 4, "length": 8, "pretrain_epochs": 2, "epochs": 2,
}  # fmt: skip
SETTINGS: dict[str, dict[str, object]] = {
    "world:small": WORLD,
    "world:tiny": {**WORLD, **TINY},
    "ml-1m": REAL,
}
LITERAL = {
    "represent": "last", "neighbor_label": "none", "match": False, "reverse_future": False, "shift": False,
}  # fmt: skip
JOINT = {"start": "joint", "batch": 128, "lr": 1e-3, "epochs": 12, "patience": 4}
VERSION = 2  # of what LIFT computes from a configuration; goes up when the same one gives other numbers
NETWORK = {"batch": 1024, "lr": 2e-3, "epochs": 8, "patience": 2}

EXPERIMENTS: dict[str, dict[str, dict[str, object]]] = {
    # which part of the contexts is seen: Table 5, and the picture of the gain
    # ("history 2L": in the future's place the L events before the history, for a control of equal size)
    "lift_contexts": {
        "no context": {"context": "none"},
        "history": {"context": "history"},
        "history 2L": {"second": "earlier history"},
        "future": {"context": "future"},
        "future and history": {},
    },
    # each remedy taken away alone, then the paper's literal form
    "lift_remedies": {
        "LIFT": {},
        "final state": {"represent": "last"},
        "mean state": {"represent": "mean"},
        "target not asked about": {"represent": "probes"},
        "no neighbour's label": {"neighbor_label": "none"},
        "label in the key": {"neighbor_label": "key"},
        "no match": {"match": False},
        "future not reversed": {"reverse_future": False},
        "windows not shifted": {"shift": False},
        "literal": LITERAL,
        "literal, no context": {**LITERAL, "context": "none"},
        "encoder not trained": {"start": "random"},
        "equal weights": {"attention": "mean"},
    },
    "lift_table2": {
        **{name: {"model": name, **NETWORK} for name in ("GBDT", *CTR)},
        "BERT4Rec": {"model": "BERT4Rec", **NETWORK, "epochs": 3},  # its two passes take ten times DIN's one
        "LIFT w/o pretrain": JOINT,
        "LIFT": {},
        "LIFT literal w/o pretrain": {**LITERAL, **JOINT},
        "LIFT literal": LITERAL,
    },
    "lift_table4": {
        f"{kind}{' (p)' if pretrained else ''}": {"encoder": kind, **({} if pretrained else JOINT)}
        for kind in ("rnn", "encoder", "decoder")
        for pretrained in (False, True)
    },
    "lift_fig4": {str(ratio): {"mask_ratio": ratio} for ratio in ("last", 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)},
    "lift_fig7": {
        **{f"K = {k}": {"k": k} for k in (1, 2, 5, 10, 20, 40)},
        # as many steps whatever the length of a window
        **{f"L = {n}": {"length": n, "pretrain_batch": 1280 // n} for n in (5, 10, 20, 40)},
    },
}
_MODEL = {f.name for f in fields(LIFTConfig)}
_RECIPE = {f.name for f in fields(Recipe)}


def trials(
    experiment: str, dataset: str = "world:small", seeds: Sequence[int] = range(5), **settings
) -> list[Trial]:
    """The trials of an experiment on a data set, those that share an encoder next to each other.

    settings : on top of the data set's, such as ``succession=0.0``. Raises ConfigError for a name or a
    setting that is not known, and for values that make no sense, before any work.
    """
    if experiment not in EXPERIMENTS:
        raise unknown("experiment", experiment, EXPERIMENTS)
    if dataset not in SETTINGS:
        raise unknown("data set with settings for LIFT", dataset, SETTINGS)
    base = {"model": "LIFT", "second": "future", "version": VERSION}
    base |= {**asdict(replace(LIFTConfig(), **REMEDIES)), **asdict(Recipe())}
    result = []
    for seed in seeds:
        for variant, changes in EXPERIMENTS[experiment].items():
            config = {**base, **SETTINGS[dataset], **settings, **changes}
            for name in settings:
                if name not in _MODEL | _RECIPE | set(SETTINGS[dataset]) | {"second"}:
                    raise unknown("setting", name, _MODEL | _RECIPE | set(SETTINGS[dataset]))
            _of(LIFTConfig, config), _of(Recipe, config)
            log, _, _ = _log(dataset, seed, config.get("succession"))
            config["hidden"] = list(config["hidden"])
            if config["model"] != "LIFT":
                del config["second"], config["version"]
            if "succession" in config:
                config["succession"] = float(config["succession"])
            result.append(Trial(variant, dataset, log.fingerprint, seed, config))
    return result


def typed(
    experiment: str, dataset: str, seeds: str, variants: str | None, settings: Sequence[str]
) -> list[Trial]:
    """:func:`trials` from words as a command line has them: seeds "0-4" or "3", settings "name=value".

    Raises ConfigError for words that do not say what they should, and for an unknown variant.
    """
    if not re.fullmatch(r"\d+(-\d+)?", seeds):
        raise ConfigError(f"seeds are the first and the last, as in 0-4, not {seeds!r}")
    first, _, last = seeds.partition("-")
    given = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"a setting is a name and a value, as in succession=0, not {setting!r}")
        given[name] = _value(value)
    asked = trials(experiment, dataset, range(int(first), int(last or first) + 1), **given)
    if variants is None:
        return asked
    wanted = variants.split(",")
    for name in wanted:
        if name not in EXPERIMENTS[experiment]:
            raise unknown("variant", name, EXPERIMENTS[experiment])
    return [trial for trial in asked if trial.variant in wanted]


def _value(text: str) -> object:
    """A setting's value: what JSON makes of the text, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def measure(trial: Trial) -> dict[str, float]:
    """AUC and LogLoss on the test targets; in the world also on step rows, and the ceiling of p*."""
    config, seed = dict(trial.config), trial.seed
    log, _, world = _log(trial.dataset, seed, config.get("succession"))
    if config["model"] == "LIFT":
        probability, test, fitted = _lift(trial.dataset, config, seed)
    else:
        probability, test, fitted = _baseline(trial.dataset, config, seed)
    rows = test.rows.cpu().numpy()
    label = log.label[rows]
    result = {"auc": auc(label, probability), "logloss": log_loss(label, probability)}
    if fitted is not None:  # to choose by, and to see whether a training was cut short
        result |= {"auc_validation": fitted.best_score, "best_epoch": fitted.best_epoch}
        result["epochs_run"] = len(fitted.history)
    if world is not None:
        steps = world.truth.kind[rows] == 2
        result["auc_steps"] = auc(label[steps], probability[steps])
        result["logloss_steps"] = log_loss(label[steps], probability[steps])
        result["ceiling"] = best_reachable(world, rows)[0]
        result["ceiling_steps"] = best_reachable(world, rows[steps])[0]
    return result


def _of(kind: type, config: Mapping[str, object]):
    """The part of a flat configuration that belongs to a dataclass."""
    mine = {f.name: config[f.name] for f in fields(kind)}
    if "hidden" in mine:
        mine["hidden"] = tuple(mine["hidden"])
    return kind(**mine)


@lru_cache(maxsize=2)
def _log(dataset: str, seed: int, succession: float | None) -> tuple[Interactions, TimeSplit, World | None]:
    if dataset.startswith("world"):
        world = make_world(dataset.partition(":")[2] or "small", seed, succession=succession)
        return world.interactions, global_time_split(world.interactions), world
    log = load(dataset)
    return log, global_time_split(log), None


@lru_cache(maxsize=2)
def _data(
    dataset: str, seed: int, succession: float | None, k: int, length: int, targets: int | None
) -> LIFTData:
    log, split, _ = _log(dataset, seed, succession)
    data = LIFTData.of(log, split, LIFTConfig(k=k, length=length))
    if targets is None:
        return data
    generator = np.random.default_rng(0)  # the same targets whatever the seed
    samples = {}
    for part, whole in data.samples.items():
        wanted = min(len(whole), targets // (4 if part == "validation" else 1))
        samples[part] = whole.some(np.sort(generator.permutation(len(whole))[:wanted]))
    return replace(data, samples=samples)


def _key(config: Mapping[str, object]) -> tuple:
    return tuple(config.get(name) for name in ("succession", "k", "length", "targets"))


# What the predictor alone reads: an encoder does not depend on it.
_PREDICTOR = {
    name: getattr(LIFTConfig(), name)
    for name in ("context", "attention", "neighbor_label", "interaction", "match", "literal_eq17", "hidden",
                 "predictor_dropout")
}  # fmt: skip


def _lift(dataset: str, config: Mapping[str, object], seed: int) -> tuple[np.ndarray, Samples, Fit]:
    method, recipe = _of(LIFTConfig, config), _of(Recipe, config)
    data = _data(dataset, seed, *_key(config))
    if recipe.start == "joint":
        model, samples, fitted = lift(data, method, seed, recipe)
    else:
        alone = replace(method, **_PREDICTOR)
        encoder, samples = _encoded(dataset, _key(config), alone, recipe, seed, config["second"])
        model, fitted = train_predictor(samples, encoder, method, seed, recipe)
    return predict(model, samples["test"]), samples["test"], fitted


@lru_cache(maxsize=2)
def _encoded(
    dataset: str, key: tuple, config: LIFTConfig, recipe: Recipe, seed: int, second: str
) -> tuple[Encoder, Mapping[str, Samples]]:
    """A pretrained encoder (from its checkpoint, if it was trained before) and what it says."""
    data = _data(dataset, seed, *key)
    if second == "earlier history":
        config, data = replace(config, reverse_future=False), _with_earlier(data, config.length)
    elif second != "future":
        raise unknown("second part of a context", second, ("future", "earlier history"))
    if recipe.start == "random":
        encoder = fresh_encoder(data, config, seed)
        return encoder, encode(data, encoder)
    # Neither K nor what is read off the states changes the weights.
    same = replace(config, k=1, represent="last", reverse_future=False)
    how = [data.log.fingerprint, asdict(same), recipe.pretrain_epochs, recipe.pretrain_batch,
           recipe.pretrain_lr, recipe.shift, VERSION, seed]  # fmt: skip
    name = hashlib.sha256(json.dumps(how).encode()).hexdigest()[:16]
    checkpoint = places().results.parent / "encoders" / f"{name}.safetensors"
    encoder, _ = pretrain(data, config, seed, recipe, checkpoint=checkpoint)
    return encoder, encode(data, encoder)


def _with_earlier(data: LIFTData, length: int) -> LIFTData:
    """The same with [z - 2L, z - L) in the place of every future."""
    past = next(iter(data.samples.values())).past
    earlier = replace(past, stop=torch.maximum(past.start, past.stop - length))
    return replace(data, samples={part: replace(s, future=earlier) for part, s in data.samples.items()})


def _baseline(
    dataset: str, config: Mapping[str, object], seed: int
) -> tuple[np.ndarray, Samples, Fit | None]:
    """A model of Table 2: RIM on the train part, the others on retrieval and train part together."""
    data = _data(dataset, seed, *_key(config))
    parts = data.samples
    if config["model"] != "RIM":
        parts = {part: _own(data, rows.rows.cpu().numpy(), config) for part, rows in parts.items()}
        latest = np.arange(0, data.split.train.stop)[-(config["rows"] or 0) :]
        parts["train"] = _own(data, latest, config)
    if config["model"] == "GBDT":
        return _boosted(data, parts), parts["test"], None
    options = {"length": config["length"]} if config["model"] == "BERT4Rec" else {}
    model = made(lambda: CTR[config["model"]](data.table.sizes, **options), seed)
    fitted = fit(
        model, _click_loss(model, parts["train"]), len(parts["train"]), seed=seed,
        **{name: config[name] for name in ("epochs", "batch", "lr", "weight_decay", "patience")},
        score=click_score(parts["validation"]),
    )  # fmt: skip
    return predict(model, parts["test"]), parts["test"], fitted


def _own(data: LIFTData, rows: np.ndarray, config: Mapping[str, object]) -> Samples:
    """Targets with their own history alone, and what the model's search finds in it."""
    search = "bm25" if config["model"] == "UBR" else "category"
    found = config["length"] if config["model"] in ("SIM", "UBR") else None
    counted = data.split.retrieval.stop
    return targets_only(
        data.log, rows, config["length"], found=found, search=search, counted=counted, table=data.table
    )


def _click_loss(model: nn.Module, samples: Samples):
    """Cross-entropy, and what DIEN and BERT4Rec train on beside it."""
    plain = click_loss(samples)
    if not hasattr(model, "auxiliary_loss"):
        return plain

    def loss(model: nn.Module, index: torch.Tensor) -> torch.Tensor:
        return plain(model, index) + model.auxiliary_loss(samples.batch(index, model.needs))

    return loss


def _boosted(data: LIFTData, parts: Mapping[str, Samples]) -> np.ndarray:
    codes, label, time = data.table.codes.cpu().numpy(), data.log.label, data.log.timestamp

    def rows(part: str) -> np.ndarray:
        return parts[part].rows.cpu().numpy()

    told = {
        part: (codes[rows(part)], label[rows(part)], time[rows(part)]) for part in ("train", "validation")
    }
    model = GBDT(data.table.sizes).fit(*told["train"], validation=told["validation"])
    return 1 / (1 + np.exp(-model.logits(codes[rows("test")], time[rows("test")])))
