"""LIFT's experiments: every number of its tables and curves is a trial, run once and kept.

``workbench measure lift_contexts`` runs what is missing. A trial's configuration is complete: every knob of
:class:`LIFTConfig` and :class:`Recipe`, the world's knobs and how many rows are used.

A log of clicks alone gets unclicked rows (:mod:`workbench.data.sampled_log`). They are part of the data: the
same ones for every variant and seed.
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

from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.data.sampled_log import with_sampled_negatives
from workbench.data.some_users import some_users
from workbench.data.splits import TimeSplit, global_time_split
from workbench.data.world import World, best_reachable, make_world
from workbench.errors import ConfigError, unknown
from workbench.lab.experiments import variants_of
from workbench.lab.lift import Recipe, encode, fresh_encoder, lift, pretrain, train_predictor
from workbench.lab.lift_baselines import baseline
from workbench.lab.lift_data import LIFTData
from workbench.lab.lift_settings import BESIDE, EXPERIMENTS, SETTINGS
from workbench.lab.metrics import auc, log_loss
from workbench.lab.places import places
from workbench.lab.samples import Samples
from workbench.lab.store import Trial
from workbench.lab.training import Fit, predict
from workbench.methods.lift import Encoder
from workbench.methods.lift_config import REMEDIES, LIFTConfig
from workbench.methods.retrieval import IDF_RULES

# Readings of the paper that concern the data (ambiguities L3, L2, L14), and the fields a network reads (None:
# all but the user). A configuration names one where it differs from these: older results keep their keys.
READINGS = {"idf": "clipped", "same_user": False, "freeze": False, "fields": None}
VERSION = 2  # of what LIFT computes from a configuration; goes up when the same one gives other numbers
SHOWN = ("auc", "logloss")  # of what a trial measures
_MODEL = {f.name for f in fields(LIFTConfig)}
_RECIPE = {f.name for f in fields(Recipe)}
_TRAINING = _RECIPE - {"start", "shift"}  # how long and how fast


def trials(
    experiment: str,
    dataset: str = "world:small",
    seeds: Sequence[int] = range(5),
    variants: Sequence[str] | None = None,
    **settings,
) -> list[Trial]:
    """The trials of an experiment on a data set, those of a seed next to each other: they share much.

    variants : some of the experiment's, default all. settings : on top of the data set's, such as
    ``succession=0.0`` or one of READINGS. They hold for every variant: what a variant says of epochs, batches
    and learning rates gives way, and a setting that contradicts what a variant is, is refused.

    Raises ConfigError for a name or a setting that is not known, and for values that make no sense, before
    any work.
    """
    chosen = variants_of(EXPERIMENTS, experiment, variants)
    if dataset not in SETTINGS:
        raise unknown("data set with settings for LIFT", dataset, SETTINGS)
    may_be_set = _MODEL | _RECIPE | set(SETTINGS[dataset]) | set(READINGS) | {"second"}
    for name in settings:
        if name not in may_be_set:
            raise unknown("setting", name, may_be_set)
    configs = {name: _config(dataset, name, changes, settings) for name, changes in chosen.items()}
    drawn = _drawn({**SETTINGS[dataset], **settings})
    result = []
    for seed in seeds:
        fingerprint, columns = _about(dataset, seed, *drawn)
        for field in settings.get("fields") or ():
            if field not in columns:
                raise unknown("field", field, columns)
        result += [Trial(variant, dataset, fingerprint, seed, dict(c)) for variant, c in configs.items()]
    return result


def _config(
    dataset: str, variant: str, changes: Mapping[str, object], settings: Mapping[str, object]
) -> dict[str, object]:
    """All there is to know of a variant, as plain JSON values."""
    for name in (changes.keys() & settings.keys()) - _TRAINING:
        if settings[name] != changes[name]:
            what = f"{variant!r} has {name} = {changes[name]!r}, or it would be another variant"
            raise ConfigError(f"{what}: leave it out, or do not ask for {settings[name]!r}")
    base = {"model": "LIFT", "second": "future", "version": VERSION}
    base |= {**asdict(replace(LIFTConfig(), **REMEDIES)), **asdict(Recipe()), **READINGS}
    config = {**base, **SETTINGS[dataset], **changes, **BESIDE.get((dataset, variant), {}), **settings}
    _of(LIFTConfig, config), _of(Recipe, config)
    _refuse_readings(**{name: config[name] for name in READINGS})
    config["hidden"] = list(config["hidden"])
    if config["model"] != "LIFT":
        del config["second"], config["version"]
    if "succession" in config:
        config["succession"] = float(config["succession"])
    return {name: value for name, value in config.items() if name not in READINGS or value != READINGS[name]}


def _refuse_readings(idf: str, same_user: bool, freeze: bool, fields: list[str] | None) -> None:
    if idf not in IDF_RULES:
        raise unknown("IDF rule", idf, IDF_RULES)
    for name, value in (("same_user", same_user), ("freeze", freeze)):
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is True or False, not {value!r}")
    if fields is not None and not (isinstance(fields, list) and fields and len(set(fields)) == len(fields)):
        raise ConfigError(f'fields is a list of names, such as ["item", "user"], not {fields!r}')


def typed(
    experiment: str, dataset: str, seeds: str, variants: str | None, settings: Sequence[str], trials=trials
) -> list[Trial]:
    """Trials from words as a command line has them: seeds "0-4" or "3", settings "name=value".

    trials : what makes them, :func:`trials` or one of another module that is called alike.

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
    wanted = None if variants is None else re.split(",(?! )", variants)  # a name may have ", " in it
    return trials(experiment, dataset, range(int(first), int(last or first) + 1), wanted, **given)


def _value(text: str) -> object:
    """A setting's value: what JSON makes of the text, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def measure(trial: Trial) -> dict[str, float]:
    """AUC and LogLoss on the test targets; in the world also on step rows, and the ceiling of p*."""
    config, seed = dict(trial.config), trial.seed
    log, _, world = _log(trial.dataset, seed, *_drawn(config))
    if config["model"] == "LIFT":
        probability, test, fitted = _lift(trial.dataset, config, seed)
    else:
        probability, test, fitted = baseline(_data(trial.dataset, seed, *_key(config)), config, seed)
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


def _drawn(config: Mapping[str, object]) -> tuple[float | None, int | None]:
    """What a log depends on, besides data set and seed."""
    return config.get("succession"), config.get("users")


@lru_cache(maxsize=2)
def _log(
    dataset: str, seed: int, succession: float | None, users: int | None = None
) -> tuple[Interactions, TimeSplit, World | None]:
    if dataset.startswith("world"):
        world = make_world(dataset.partition(":")[2] or "small", seed, succession=succession)
        return world.interactions, global_time_split(world.interactions), world
    log = load(dataset)
    if users is not None:
        log = some_users(log, users)
    if log.label.all():
        log = with_sampled_negatives(log)
    return log, global_time_split(log), None


@lru_cache(maxsize=1000)
def _about(dataset: str, seed: int, *drawn: float | None) -> tuple[str, tuple[str, ...]]:
    """Fingerprint and fields of a log: to ask for them again costs nothing, and keeps no log in memory."""
    log, _, _ = _log(dataset, seed, *drawn)
    return log.fingerprint, log.fields


@lru_cache(maxsize=2)
def _data(
    dataset: str,
    seed: int,
    succession: float | None,
    k: int,
    length: int,
    targets: int | None,
    users: int | None = None,
    readings: tuple[tuple[str, object], ...] = (),
) -> LIFTData:
    log, split, _ = _log(dataset, seed, succession, users)
    data = LIFTData.of(log, split, LIFTConfig(k=k, length=length), **dict(readings))
    if targets is None:
        return data
    generator = np.random.default_rng(0)  # the same targets whatever the seed
    samples = {}
    for part, whole in data.samples.items():
        wanted = min(len(whole), targets // (4 if part == "validation" else 1))
        samples[part] = whole.some(np.sort(generator.permutation(len(whole))[:wanted]))
    return replace(data, samples=samples)


def _key(config: Mapping[str, object]) -> tuple:
    """What data are made of: the arguments of _data, after data set and seed."""
    readings = ((n, tuple(v) if n == "fields" else v) for n, v in config.items() if n in READINGS)
    names = ("succession", "k", "length", "targets", "users")
    return *(config.get(name) for name in names), tuple(readings)


# What the predictor alone reads: an encoder does not depend on it.
_PREDICTOR = {
    name: getattr(LIFTConfig(), name)
    for name in ("context", "attention", "neighbor_label", "interaction", "match", "literal_eq17", "hidden",
                 "predictor_dropout")
}  # fmt: skip


def _lift(dataset: str, config: Mapping[str, object], seed: int) -> tuple[np.ndarray, Samples, Fit]:
    method, recipe = _of(LIFTConfig, config), _of(Recipe, config)
    data = _data(dataset, seed, *_key(config))
    if recipe.start in ("joint", "history first"):
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
    how += [value for name, value in key[-1] if name == "fields"]
    name = hashlib.sha256(json.dumps(how).encode()).hexdigest()[:16]
    checkpoint = places().results.parent / "encoders" / f"{name}.safetensors"
    encoder, _ = pretrain(data, config, seed, recipe, checkpoint=checkpoint)
    return encoder, encode(data, encoder)


def _with_earlier(data: LIFTData, length: int) -> LIFTData:
    """The same with [z - 2L, z - L) in the place of every future."""
    past = next(iter(data.samples.values())).past
    earlier = replace(past, stop=torch.maximum(past.start, past.stop - length))
    return replace(data, samples={part: replace(s, future=earlier) for part, s in data.samples.items()})
