"""What trials of LCN and of ENCODE share: the log of a trial, its configuration, the kinds of its items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import TypeVar

import numpy as np

from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.data.world import World, make_world
from workbench.errors import ConfigError, unknown
from workbench.lab.long_samples import KINDS, LongData
from workbench.lab.store import Trial

Knobs = TypeVar("Knobs")


def of_seeds(
    configs: Mapping[str, Mapping[str, object]],
    dataset: str,
    seeds: Sequence[int],
    knobs: Mapping[str, object],
) -> list[Trial]:
    """A trial a variant and seed, those of a seed next to each other. configs : variant -> configuration."""
    found = []
    for seed in seeds:
        fingerprint = log_of(dataset, seed, knobs).fingerprint
        found += [Trial(name, dataset, fingerprint, seed, dict(config)) for name, config in configs.items()]
    return found


def without_knobs(
    settings: Mapping[str, object], known: Iterable[str], knobs: Iterable[str]
) -> dict[str, object]:
    """The settings that are no knobs of the world; ConfigError for one that is neither known nor a knob."""
    names = {*known, *knobs}
    for name in settings:
        if name not in names:
            raise unknown("setting", name, names)
    return {name: value for name, value in settings.items() if name not in set(knobs)}


def taken(kind: type[Knobs], config: Mapping[str, object]) -> Knobs:
    """A dataclass of what a configuration says of its fields; the others as they are by default."""
    return kind(**{field.name: config[field.name] for field in fields(kind) if field.name in config})


def where_known(**measured: float) -> dict[str, float]:
    """Those that are numbers: NaN says that there was nothing to measure."""
    return {name: value for name, value in measured.items() if not np.isnan(value)}


def log_of(dataset: str, seed: int, knobs: Mapping[str, object]) -> Interactions:
    """The log of a trial; ConfigError for knobs of what is no world."""
    if dataset.startswith("world"):
        return world_of(dataset, seed, **knobs).interactions
    if knobs:
        raise ConfigError(f"{', '.join(knobs)} are knobs of the world, and {dataset} is as it is")
    return load(dataset, seed)


@lru_cache(maxsize=1)
def world_of(dataset: str, seed: int, **knobs: object) -> World:
    """The world of a trial; the last one is kept."""
    return make_world(dataset.partition(":")[2], seed, **knobs)


def item_kinds(dataset: str, seed: int, knobs: Iterable[tuple[str, object]], data: LongData) -> np.ndarray:
    """(V,) topics in the world, else the field that tells an item's kind; -1 where there is none."""
    if dataset.startswith("world"):
        return world_of(dataset, seed, **dict(knobs)).items.topic
    kinds = np.full(data.sizes.items, -1)
    field = next((name for name in data.log.fields if name in KINDS), None)
    if field is not None:
        kinds[data.log.item] = data.log.columns[field]
    return kinds
