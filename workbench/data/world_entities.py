"""Who and what there is in the embedded world: items with hidden places, users with hidden tastes.

The world itself, with the story behind these numbers, is in :mod:`workbench.data.world`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from workbench.data.world_config import WorldConfig
from workbench.errors import whole

KINDS = ("taste", "sign", "step")
TASTE, SIGN, STEP = range(3)
AGE_BANDS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55 and over")
GENDERS = ("woman", "man")
CITIES = 30
PRICES = 5
STREAMS = ("items", "users", "events", "second items", "second interests", "second events")


@dataclass(frozen=True, eq=False)
class Items:
    """Items by their code in the table; entry 0 is reserved. Arrays (items + 1,).

    ``kind`` indexes KINDS. Visible: ``category``, ``brand``, ``price_band``, ``domain`` (codes).
    Hidden: ``topic`` of a taste; ``need`` of a sign; ``chain``, ``stage``, ``o`` (the need it leaves)
    and ``r`` (the need it leads to) of a step; ``quality`` (logit); ``weight`` (relative exposure).
    """

    kind: np.ndarray
    category: np.ndarray
    brand: np.ndarray
    price_band: np.ndarray
    domain: np.ndarray
    topic: np.ndarray
    need: np.ndarray
    chain: np.ndarray
    stage: np.ndarray
    o: np.ndarray
    r: np.ndarray
    quality: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Users:
    """Users by their code in the table; entry 0 is reserved. Arrays (users + 1,) or (users + 1, M).

    Visible: ``age_band``, ``gender``, ``city`` (codes). Hidden: ``price_preference``, ``need`` (the
    first one), ``interests`` (topics) with their ``weights``, and ``source_interests``, the same slots
    in the source domain (equal to ``interests`` where there is none).
    """

    age_band: np.ndarray
    gender: np.ndarray
    city: np.ndarray
    price_preference: np.ndarray
    need: np.ndarray
    interests: np.ndarray
    weights: np.ndarray
    source_interests: np.ndarray


def stream(seed: int, purpose: str, chunk: int = 0) -> np.random.Generator:
    """The random numbers of one purpose (and one chunk of users), independent of all others."""
    whole("seed", seed, 0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(purpose), chunk)))


def draw_items(config: WorldConfig, seed: int) -> tuple[Items, np.ndarray]:
    """What all users share: the items, and the affinity D of demographics to topics (6, 2, T)."""
    rng = stream(seed, "items")
    affinity = rng.normal(0, 0.5, (len(AGE_BANDS), len(GENDERS), config.topics))
    chains = rng.permuted(np.tile(np.arange(config.needs), (config.chains, 1)), axis=1)  # (C, S)
    counts = (config.taste_items, config.sign_items, config.step_items)
    parts = [_place(config, rng, counts, chains, domain=1)]
    if config.two_domains:
        rng = stream(seed, "second items")
        parts.append(_place(config, rng, (config.source_items, 0, 0), chains, domain=2))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return reserved_first(Items(**joined)), affinity


def _place(
    config: WorldConfig,
    rng: np.random.Generator,
    counts: tuple[int, int, int],
    chains: np.ndarray,
    domain: int,
) -> dict[str, np.ndarray]:
    """Items of one domain: hidden places and visible fields drawn apart, then shuffled together."""
    n, needs = sum(counts), config.needs
    kind = np.repeat(np.arange(3, dtype=np.int8), counts)

    def balanced(which: int, places: int) -> np.ndarray:
        out = np.full(n, -1, dtype=np.int32)
        out[kind == which] = rng.permutation(np.arange(counts[which]) % max(places, 1))
        return out

    topic = balanced(TASTE, config.topics)
    need = balanced(SIGN, needs)
    cell = balanced(STEP, config.chains * needs)
    chain, stage, o, r = (np.full(n, -1, dtype=np.int32) for _ in range(4))
    steps = np.flatnonzero(kind == STEP)
    if len(steps):
        chain[steps], stage[steps] = np.divmod(cell[steps], needs)
        o[steps] = chains[chain[steps], stage[steps]]
        r[steps] = chains[chain[steps], (stage[steps] + 1) % needs]
    generic = needs + rng.integers(config.n_generic, size=n)
    weight = np.exp(rng.normal(0, 0.5, n))
    items = {
        "kind": kind,
        "category": np.where(kind == SIGN, need, generic).astype(np.int32) + 1,
        "brand": rng.integers(config.n_brand, size=n, dtype=np.int32) + 1,
        "price_band": rng.integers(PRICES, size=n, dtype=np.int32) + 1,
        "domain": np.full(n, domain, dtype=np.int32),
        **{"topic": topic, "need": need, "chain": chain, "stage": stage, "o": o, "r": r},
        "quality": rng.normal(0, 0.3, n),
        "weight": np.where(kind == STEP, 1.0, weight),
    }
    order = rng.permutation(n)
    return {name: values[order] for name, values in items.items()}


def draw_users(config: WorldConfig, seed: int, chunk: int, n: int, affinity: np.ndarray) -> Users:
    """One chunk of ``n`` users, without the reserved entry. affinity: D, (6, 2, T)."""
    rng = stream(seed, "users", chunk)
    age, gender = rng.integers(len(AGE_BANDS), size=n), rng.integers(len(GENDERS), size=n)
    odds = 1 / np.arange(1, CITIES + 1)
    city = rng.choice(CITIES, size=n, p=odds / odds.sum())
    preference = np.clip(1 + 0.6 * age + rng.normal(0, 0.7, n), 1, PRICES)
    interests = _best_topics(affinity[age, gender] + rng.gumbel(size=(n, config.topics)), config.interests)
    weights = rng.dirichlet(np.full(config.interests, 3.0), size=n)
    need = rng.integers(config.needs, size=n) if config.needs else np.full(n, -1)
    source = interests
    if config.two_domains:
        rng = stream(seed, "second interests", chunk)
        other = _best_topics(rng.gumbel(size=(n, config.topics)), config.interests)
        source = np.where(rng.random(interests.shape) < config.domain_overlap, interests, other)
    age, gender, city = (1 + codes.astype(np.int32) for codes in (age, gender, city))
    return Users(age, gender, city, preference, need.astype(np.int16), interests, weights, source)


def _best_topics(score: np.ndarray, count: int) -> np.ndarray:
    """(U, T) scores -> (U, count) int32 topics, best first."""
    return np.argsort(-score, axis=1)[:, :count].astype(np.int32)


def reserved_first(table: Items | Users) -> Items | Users:
    """Put the reserved entry 0 in front of every array: code 0, truth -1, number nan."""
    codes = ("category", "brand", "price_band", "domain", "age_band", "gender", "city")
    grown = {}
    for field in fields(table):
        values = getattr(table, field.name)
        empty = np.nan if values.dtype.kind == "f" else 0 if field.name in codes else -1
        grown[field.name] = np.concatenate([np.full_like(values[:1], empty), values])
    return type(table)(**grown)
