"""The same models ranked among few sampled items and among all: does the order of models survive?

DualRec, Section 4.1.2, and many papers rank the true next item among 99 sampled ones. Krichene and
Rendle (KDD 2020) show that such numbers can order models differently than ranking all items does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from workbench.baselines.simple import Chance, ItemKNN, MarkovChain, Popularity
from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.negatives import draw_negatives
from workbench.data.splits import TimeSplit
from workbench.errors import DataError
from workbench.lab.metrics import Ranks, full_ranks, paired_interval, ranks, row_metrics

NEGATIVES = (10, 20, 50, 99, 200, 500)


class Ranker(Protocol):
    """Anything that scores all items for B users."""

    def scores(self, recent: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class NextClicks:
    """B questions "what did this user click next?" from the test part.

    user, target : (B,) codes. recent : (B, R) items of the user's last clicks before the target, oldest
    first, 0 on the right where there are fewer; they may lie in the test part, but are always earlier.
    out : (B, items) bool, no candidates: items the user has any row with (only the target competes
    still) and items without a row in the log. What is left is what negatives are drawn from.
    """

    user: np.ndarray
    target: np.ndarray
    recent: np.ndarray
    out: np.ndarray


def next_clicks(
    log: Interactions, split: TimeSplit, *, queries: int = 2000, length: int = 20, seed: int = 0
) -> NextClicks:
    """Draw clicks of the test part whose user has clicked before (all of them, if there are fewer).

    Raises DataError when there is none.
    """
    if not log.label[split.test].any():
        raise DataError(f"the test part of {log.name} has no click")
    clicks = log.rows(log.label == 1)
    histories = Histories.of(clicks)
    first = int(log.label[: split.test.start].sum())  # clicks are in time order, so test clicks come last
    start, stop = histories.strictly_before(np.arange(first, len(clicks)), length)
    asked = first + np.flatnonzero(stop > start)
    if not len(asked):
        raise DataError(f"no test click of {log.name} has a click of its user before it")
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.choice(asked, min(queries, len(asked)), replace=False))
    rows = histories.window(*histories.strictly_before(asked, length), length)
    user = clicks.user[asked]
    people, who = np.unique(user, return_inverse=True)
    theirs = np.isin(log.user, people)
    out = np.zeros((len(people), log.size("item")), dtype=bool)
    out[np.searchsorted(people, log.user[theirs]), log.item[theirs]] = True
    out[:, np.bincount(log.item, minlength=log.size("item")) == 0] = True
    return NextClicks(user, clicks.item[asked], np.where(rows >= 0, clicks.item[rows], 0), out[who])


def counting_models(log: Interactions, split: TimeSplit, seed: int = 0) -> dict[str, Ranker]:
    """The rankers of :mod:`workbench.baselines.simple`, fitted on the clicks before the test part."""
    clicks = log.rows(slice(0, split.test.start)).rows(log.label[: split.test.start] == 1)
    user, item, items = clicks.user, clicks.item, log.size("item")
    models: dict[str, Ranker] = {
        "chance": Chance(items, seed),
        "popularity": Popularity(item, clicks.timestamp, items),
        "recent popularity": Popularity(item, clicks.timestamp, items, half_life=7.0),
        "Markov chain": MarkovChain(user, item, items),
        "item kNN": ItemKNN(user, item, items),
    }
    if log.clock == "order":
        del models["recent popularity"]  # without a clock nothing is a week old
    return models


class HitRates(NamedTuple):
    """What :func:`hit_rates` measured.

    table : a row for each model and number of ``negatives`` (in rows with ``full`` true: the mean number
        of other candidates): ``HR`` over all draws, ``sd`` between draws (0 where full), ``se`` over queries.
    hits : (model, negatives) -> (B,) chance of a hit of each query, mean over draws; negatives None: full.
    ranks : model -> ranks among all items.
    """

    table: pd.DataFrame
    hits: dict[tuple[str, int | None], np.ndarray]
    ranks: dict[str, Ranks]


def hit_rates(
    log: Interactions,
    asked: NextClicks,
    models: Mapping[str, Ranker],
    *,
    negatives: Sequence[int] = NEGATIVES,
    seeds: Sequence[int] = range(5),
    k: int = 10,
) -> HitRates:
    """HR@k of every model among sampled negatives, several draws, and among all items.

    Both use the same candidates: items the user has no row with, and the target. All models meet the
    same negatives.

    Raises DataError when a user has fewer other items than the largest number of negatives.
    """
    drawn = [
        draw_negatives(log, asked.user, purpose="test", count=max(negatives), seed=seed) for seed in seeds
    ]
    others = float((~asked.out).sum(axis=1).mean())
    rows, hits, full = [], {}, {}
    for name, model in models.items():
        scores = model.scores(asked.recent)
        positive = scores[np.arange(len(scores)), asked.target]
        sampled = [np.take_along_axis(scores, items, axis=1) for items in drawn]
        for count in negatives:
            draws = np.stack([_hits(ranks(positive, s[:, :count]), k) for s in sampled])  # (draws, B)
            hits[name, count] = draws.mean(axis=0)
            rows.append((name, count, False, _sd(draws.mean(axis=1)), hits[name, count]))
        full[name] = full_ranks(scores, asked.target, asked.out)
        hits[name, None] = _hits(full[name], k)
        rows.append((name, others, True, 0.0, hits[name, None]))
    table = pd.DataFrame(
        [(*head, of_query.mean(), _sd(of_query) / np.sqrt(len(of_query))) for *head, of_query in rows],
        columns=["model", "negatives", "full", "sd", "HR", "se"],
    )
    return HitRates(table, hits, full)


def swapped_pairs(found: HitRates, negatives: int) -> list[tuple[str, str]]:
    """Pairs (better by sampling, better by full ranking) whose order the sample turns around.

    A pair counts when the 95% intervals of both differences, paired by query, leave out zero.
    """
    return [
        (a, b)
        for a in found.ranks
        for b in found.ranks
        if _above(found, a, b, negatives) and _above(found, b, a, None)
    ]


def _above(found: HitRates, a: str, b: str, negatives: int | None) -> bool:
    return paired_interval(found.hits[a, negatives], found.hits[b, negatives]).low > 0


def _hits(found: Ranks, k: int) -> np.ndarray:
    return row_metrics(found, (k,))[f"HR@{k}"]


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
