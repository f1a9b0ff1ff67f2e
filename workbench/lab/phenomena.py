"""Whether a knob of the world does what it says: each phenomenon as a number, read from the truths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from workbench.data.world import World, best_reachable, make_world
from workbench.data.world_entities import STEP

PLACES = {1: "ready", 0: "neutral", -1: "passed"}


def click_rate_by_place(world: World) -> dict[str, float]:
    """Clicks per exposure of step items: the user is in the need it leaves (ready), the one it leads to
    (passed), or another (neutral)."""
    steps = world.truth.kind == STEP
    v, label = world.truth.v[steps], world.interactions.label[steps]
    return {name: float(label[v == place].mean()) for place, name in PLACES.items()}


def order_kept(world: World) -> dict[str, float]:
    """Rank correlation, inside sessions, of the order in which things happened and the logged order."""
    truth, log = world.truth, world.interactions
    place = np.lexsort((np.arange(len(log)), truth.session, log.user))  # logged order within sessions
    _, session = np.unique(
        np.stack([log.user[place], truth.session[place]]), axis=1, return_inverse=True
    )  # ascending along ``place``
    happened = truth.causal_rank[place].astype(float)
    happened_order = np.lexsort((happened, session))
    rank = np.empty(len(place))
    rank[happened_order] = np.arange(len(place))
    size = np.bincount(session)
    middle = (np.cumsum(size) - size + (size - 1) / 2)[session]
    logged, caused = np.arange(len(place)) - middle, rank - middle
    return {"rank correlation": float((logged * caused).sum() / (logged**2).sum())}


def interests_back(world: World) -> dict[str, float]:
    """Of the living interests a user clicked in the first tenth of the log, the share that is clicked,
    and alive, in the last tenth."""
    truth, log = world.truth, world.interactions
    target = log.columns["domain"] == 1 if "domain" in log.columns else np.ones(len(log), dtype=bool)
    events = np.bincount(log.user[target], minlength=log.size("user"))
    position = (truth.causal_rank + 0.5) / events[log.user]
    clicked = (log.label == 1) & truth.alive & target
    shape = (log.size("user"), world.config.interests)
    first, last = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for table, part in ((first, position < 0.1), (last, position > 0.9)):
        table[log.user[clicked & part], truth.interest[clicked & part]] = True
    return {"come back": float(last[first].mean())}


def interests_shared(world: World) -> dict[str, float]:
    """Share of a user's interests in the source domain that are also interests in the target domain."""
    target, source = world.users.interests[1:], world.users.source_interests[1:]
    return {"shared": float((source[:, :, None] == target[:, None, :]).any(axis=2).mean())}


def ceiling(world: World) -> dict[str, float]:
    """The best reachable AUC: that of the true probabilities p*."""
    return {"best reachable AUC": best_reachable(world, slice(None)).auc}


# knob -> the preset that has its phenomenon, and what is read from it
EFFECTS: dict[str, tuple[str, Callable[[World], dict[str, float]]]] = {
    "succession": ("small", click_rate_by_place),
    "order_noise": ("small", order_kept),
    "label_noise": ("small", ceiling),
    "interest_longevity": ("long", interests_back),
    "domain_overlap": ("two_domain", interests_shared),
}


def sweep(values: Sequence[float] = (0, 0.25, 0.5, 0.75, 1), seeds: Sequence[int] = range(3)) -> pd.DataFrame:
    """Turn every knob of EFFECTS alone, the others at their defaults.

    Returns one row a number: knob, value, seed, what, number.
    """
    rows = [
        (knob, float(value), seed, what, number)
        for knob, (preset, effect) in EFFECTS.items()
        for value in values
        for seed in seeds
        for what, number in effect(make_world(preset, seed, **{knob: value})).items()
    ]
    return pd.DataFrame(rows, columns=["knob", "value", "seed", "what", "number"])
