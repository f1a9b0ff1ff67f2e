"""From users and items to events: the sampling of the embedded world, its loop compiled.

The world itself, with the story behind these steps, is in :mod:`workbench.data.world`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.data.world_config import WorldConfig
from workbench.data.world_entities import SIGN, STEP, TASTE, Items, Users, stream

NEW_SESSION = 1 / 8  # probability that an event opens a session
MEAN_GAP = 60.0  # seconds between two events of a session
JUMP = 0.06  # probability of a jump to any need, when nothing succeeds anything


class Rates(NamedTuple):
    """What the kernel needs of a WorldConfig, with the knobs applied."""

    mix_taste: float
    mix_sign: float
    interests: int
    life: float  # share of the log an interest is alive
    stay: float
    f_session: float
    f_other: float
    b_in: float
    b_out: float
    m_match: float
    b_m: float
    a_m: float
    f_ready: float
    f_passed: float
    b_g: float
    a_g: float
    advance: float
    jump: float
    topics: int
    needs: int

    @classmethod
    def of(cls, config: WorldConfig, source: bool = False) -> Rates:
        """The rates of the target domain, or of the source domain, where every event is a taste."""
        once = 1 / config.interests
        derived = {
            "mix_taste": 1.0 if source else config.mix[0],
            "mix_sign": 0.0 if source else config.mix[1],
            "life": once + (1 - once) * config.interest_longevity,
            "a_g": config.succession * config.a_g,
            "advance": config.succession * config.adv,
            "jump": JUMP * (1 - config.succession),
        }
        return cls(*(derived[name] if name in derived else getattr(config, name) for name in cls._fields))


class People(NamedTuple):
    """Users as the kernel sees them, 0-based: who they are and how many events they have."""

    offsets: np.ndarray  # (U + 1,) int64; user u owns events offsets[u]:offsets[u + 1]
    starts: np.ndarray  # session starts in seconds, users one after another, each in order
    interests: np.ndarray  # (U, M) int32 topics
    weights: np.ndarray  # (U, M)
    preference: np.ndarray  # (U,) preferred price
    need: np.ndarray  # (U,) first need, -1 without needs


class Shelf(NamedTuple):
    """Items as the kernel sees them, by item code, and the groups they are drawn from.

    Groups, with T topics and S needs: tastes by topic (T), signs by need (S), steps by the need they
    leave (S), steps by the need they lead to (S), all steps (1). Group g is
    ``member[start[g]:start[g + 1]]``, drawn by ``share``, the running share of its weight.
    """

    topic: np.ndarray
    leaves: np.ndarray  # o
    leads_to: np.ndarray  # r
    quality: np.ndarray
    price: np.ndarray
    start: np.ndarray
    member: np.ndarray
    share: np.ndarray


class Log(NamedTuple):
    """What the kernel returns, one entry per event, users one after another in causal order."""

    item: np.ndarray  # item code
    second: np.ndarray  # seconds since the start of the world
    session: np.ndarray  # number of the session within the user
    kind: np.ndarray
    need: np.ndarray
    v: np.ndarray
    interest: np.ndarray
    alive: np.ndarray
    p: np.ndarray
    click: np.ndarray


# One column of uniforms per decision, so that no decision shifts the draws of another.
OPEN, START, GAP, KEEP, INTEREST, KIND, MODE, PICK, ITEM, CLICK, ADVANCE, JUMPS, TARGET = range(13)
FLIP, ORDER, N_DRAWS = 13, 14, 15  # used after the loop: label noise and order noise


@njit(cache=True, nogil=True)
def _draw(shelf, group, u):
    lo, hi = shelf.start[group], shelf.start[group + 1]
    return shelf.member[lo + min(np.searchsorted(shelf.share[lo:hi], u, side="right"), hi - lo - 1)]


@njit(cache=True, nogil=True)
def _wake(x, life, alive):
    """Fill alive (M,) at relative position x. The nudge gives a boundary to the interest it opens."""
    for m in range(len(alive)):
        alive[m] = (x - (m + 0.5) / len(alive) + life / 2 + 1e-9) % 1.0 < life


@njit(cache=True, nogil=True)
def _next_interest(last, alive, weights, stay, u_keep, u_draw):
    if last >= 0 and alive[last] and u_keep < stay:
        return last
    left = u_draw * np.sum(weights[alive])
    for m in range(len(alive)):
        if alive[m]:
            last = m
            left -= weights[m]
            if left < 0:
                break
    return last


@njit(cache=True, nogil=True)
def _taste(rates, shelf, interests, slot, alive, u):
    """(item, logit, interest slot of its topic or -1)."""
    if u[MODE] < rates.f_session:
        topic = interests[slot]
    elif u[MODE] < rates.f_session + rates.f_other:
        topic = interests[int(u[PICK] * len(interests))]
    else:
        topic = int(u[PICK] * rates.topics)
    found = -1
    for m in range(len(interests)):  # a source user may hold a topic twice: a living slot wins
        if interests[m] == topic and (found < 0 or (alive[m] and not alive[found])):
            found = m
    z = rates.b_in if found >= 0 and alive[found] else rates.b_out
    return _draw(shelf, topic, u[ITEM]), z, found


@njit(cache=True, nogil=True)
def _sign(rates, shelf, need, u):
    """(item, logit)."""
    shown = need
    if u[MODE] >= rates.m_match:
        shown = int(u[PICK] * (rates.needs - 1))
        shown += shown >= need
    z = rates.b_m + (rates.a_m if shown == need else -rates.a_m)
    return _draw(shelf, rates.topics + shown, u[ITEM]), z


@njit(cache=True, nogil=True)
def _step(rates, shelf, need, u):
    """(item, logit, v)."""
    group = rates.topics + 3 * rates.needs
    if u[MODE] < rates.f_ready:
        group = rates.topics + rates.needs + need
    elif u[MODE] < rates.f_ready + rates.f_passed:
        group = rates.topics + 2 * rates.needs + need
    item = _draw(shelf, group, u[ITEM])
    v = int(shelf.leaves[item] == need) - int(shelf.leads_to[item] == need)
    return item, rates.b_g + rates.a_g * v, v


@njit(cache=True, nogil=True)
def run(rates, people, shelf, draws):
    """Sample every event, in the order of the specification. draws: (E, N_DRAWS) uniforms -> Log."""
    n = len(draws)
    item, second, session = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int32)
    kind, need, v = np.empty(n, np.int8), np.empty(n, np.int16), np.zeros(n, np.int8)
    interest, alive_out = np.full(n, -1, np.int16), np.zeros(n, np.bool_)
    p, click = np.empty(n), np.empty(n, np.bool_)
    alive = np.zeros(rates.interests, np.bool_)
    opened = -1
    for user in range(len(people.preference)):
        first, last = people.offsets[user], people.offsets[user + 1]
        state, slot, k, now, clock = people.need[user], -1, -1, 0.0, 0.0
        for e in range(first, last):
            u = draws[e]
            if e == first or u[OPEN] < NEW_SESSION:
                k += 1
                opened += 1
                now = people.starts[opened]
                _wake((e - first) / (last - first), rates.life, alive)
                slot = _next_interest(slot, alive, people.weights[user], rates.stay, u[KEEP], u[INTEREST])
            else:
                now -= MEAN_GAP * math.log(1.0 - u[GAP])
            clock = max(clock, now)  # a session that starts early waits for the one before
            if u[KIND] < rates.mix_taste:
                kind[e] = TASTE
                item[e], z, found = _taste(rates, shelf, people.interests[user], slot, alive, u)
                interest[e] = found
                alive_out[e] = found >= 0 and alive[found]
            elif u[KIND] < rates.mix_taste + rates.mix_sign:
                kind[e] = SIGN
                item[e], z = _sign(rates, shelf, state, u)
            else:
                kind[e] = STEP
                item[e], z, v[e] = _step(rates, shelf, state, u)
            z += shelf.quality[item[e]]
            z -= 0.2 * (abs(shelf.price[item[e]] - people.preference[user]) - 1.6)
            p[e] = 1.0 / (1.0 + math.exp(-z))
            click[e] = u[CLICK] < p[e]
            second[e], session[e], need[e] = int(clock), k, state
            if click[e] and v[e] == 1 and u[ADVANCE] < rates.advance:
                state = shelf.leads_to[item[e]]
            if state >= 0 and u[JUMPS] < rates.jump:
                state = int(u[TARGET] * rates.needs)
    return Log(item, second, session, kind, need, v, interest, alive_out, p, click)


def sample(config: WorldConfig, seed: int, chunk: int, users: Users, items: Items) -> dict[str, np.ndarray]:
    """Every event of one chunk: the fields of Truth, and user (from 0), item, second, label, domain.

    Users follow each other, each in logged order; all of the target domain, then all of the source.
    """
    parts = [_sample_domain(config, seed, chunk, users, items, source=False)]
    if config.two_domains:
        parts.append(_sample_domain(config, seed, chunk, users, items, source=True))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sample_domain(
    config: WorldConfig, seed: int, chunk: int, users: Users, items: Items, source: bool
) -> dict[str, np.ndarray]:
    rng = stream(seed, "second events" if source else "events", chunk)
    n_users = len(users.need)
    mean = config.source_events if source else config.events
    counts = np.rint(mean * np.exp(rng.normal(0, 0.35, n_users) - 0.06)).astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(np.maximum(counts, 10))))
    draws = rng.random((offsets[-1], N_DRAWS))
    interests = users.source_interests if source else users.interests
    need = np.full_like(users.need, -1) if source else users.need
    starts = _session_starts(draws, offsets) * config.days * 86_400.0
    people = People(offsets, starts, interests, users.weights, users.price_preference, need)
    log = run(Rates.of(config, source), people, _shelf(config, items, 1 + source), draws)
    user = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(offsets))
    flip = draws[:, FLIP] < config.label_noise / 4  # eta / 2, with eta = label_noise / 2
    eta = 0.5 * config.label_noise
    rows = {
        "item": log.item,
        "label": (log.click ^ flip).astype(np.int8),
        "domain": np.full(len(draws), 1 + source, dtype=np.int32),
        "p_star": (1 - eta) * log.p + eta / 2,
        "clean_click": log.click,
        **{name: getattr(log, name) for name in ("kind", "need", "v", "interest", "alive", "session")},
        "causal_rank": (np.arange(len(draws)) - offsets[user]).astype(np.int32),
    }
    if config.order_noise > 0:
        order = _logged_order(config.order_noise, user, log.session, draws[:, ORDER])
        rows = {name: values[order] for name, values in rows.items()}
    return {**rows, "user": user, "second": log.second}  # times stay: events swap places under them


def _session_starts(draws: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Session starts as shares of the days, users one after another, sorted within each."""
    opens = draws[:, OPEN] < NEW_SESSION
    opens[offsets[:-1]] = True
    user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[opens]
    starts = draws[opens, START]
    return starts[np.lexsort((starts, user))]


def _logged_order(noise: float, user: np.ndarray, session: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Which event stands in each place of the log: within a session of n events, sort by
    (1 - noise) * rank + noise * n * uniform. Those keys stay below n, so adding the place of the
    session's first event sorts all sessions at once.
    """
    place = np.arange(len(user))
    opens = np.flatnonzero(np.diff(user, prepend=-1) | np.diff(session, prepend=-1))
    length = np.diff(opens, append=len(user))
    first, n = np.repeat(opens, length), np.repeat(length, length)
    return np.argsort(first + (1 - noise) * (place - first) + noise * n * u, kind="stable")


def _shelf(config: WorldConfig, items: Items, domain: int) -> Shelf:
    """The items of one domain in the groups that events are drawn from."""
    here = np.flatnonzero(items.domain == domain)
    signs, steps = here[items.kind[here] == SIGN], here[items.kind[here] == STEP]
    tastes = here[items.kind[here] == TASTE]
    topics, needs = config.topics, config.needs
    member = np.concatenate([tastes, signs, steps, steps, steps])
    group = np.concatenate(
        [
            items.topic[tastes],
            topics + items.need[signs],
            topics + needs + items.o[steps],
            topics + 2 * needs + items.r[steps],
            np.full(len(steps), topics + 3 * needs),
        ]
    )
    order = np.argsort(group, kind="stable")
    member, group = member[order], group[order]
    start = np.searchsorted(group, np.arange(topics + 3 * needs + 2))
    share = np.concatenate(
        [np.cumsum(w) / np.sum(w) for w in np.split(items.weight[member], start[1:-1]) if len(w)]
    )
    return Shelf(items.topic, items.o, items.r, items.quality, items.price_band, start, member, share)
