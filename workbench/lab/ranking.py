"""The top-N protocol: what did this user click next, among stored negatives and among all items?

LIFT, Section 5 (Table 3), which says neither what the candidates are nor what a 1 means. Our reading
(ambiguity L19): an answer is a row with label 1 in the evaluated part; it competes with 99 stored
negatives and, beside that, with all items. Both times the others are items of which the user has no row
anywhere in the log. What a model may know of the user are the clicks at earlier seconds, wherever they lie.

    protocol = TopN(targets=2000)
    valid, test = (ask(log, split.rows(p), p, protocol) for p in ("validation", "test"))
    user, sequences = training_sequences(log, split.train.stop, protocol.length)
    model = SASRec(log.size("user"), log.size("item"), length=protocol.length)
    fit(model, sequence_loss(user, sequences), len(user), epochs=30, score=rank_score(valid), patience=3)
    measured(rank(all_items(model), test))            # {"HR@1": ..., "full HR@1": ..., ...}

Models for clicks, which score one candidate at a time, are ranked in :mod:`workbench.lab.candidates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.negatives import StoredNegatives
from workbench.data.splits import refuse_leak
from workbench.errors import ConfigError, DataError, whole
from workbench.lab.metrics import Ranks, full_ranks, rank_metrics, ranks
from workbench.lab.training import Loss, asking
from workbench.methods.next_item import NextItem

Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]  # user (b,), history (b, T) -> scores (b, V)


@dataclass(frozen=True)
class TopN:
    """What is asked and of what a model may learn; refuses what makes no sense.

    targets : answers drawn at random from the evaluated part, without repetition; None asks all.
    length : T, own clicks before the answer.
    negatives : stored candidates beside the answer.
    train_negatives : sampled negatives for each click that a model for clicks trains on (RIM's authors:
        100, some of them the user's own earlier items; ours are never, as in the evaluation).
    seed : of the drawing and of the negatives.
    """

    targets: int | None = 2000
    length: int = 50
    negatives: int = 99
    train_negatives: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None or name != "targets":
                whole(name, value, 0 if name == "seed" else 1)


@dataclass(frozen=True, eq=False)
class Questions:
    """B clicks to be foretold, and what may be known of each.

    rows : (B,) int64 ascending rows of the log, the answers; user, target : (B,) int64 codes.
    history : (B, T) int64 items of the user's last clicks at earlier seconds, oldest first, then 0.
    stored : the (B, C) negatives.
    out : compressed rows (offsets (B + 1,), items) of what does not compete among all items: those the
        user has a row with, and those without a row in the log.
    clicks, alone : label-1 rows there were to choose from, and how many of them could not be asked
        because their user has no earlier click.
    """

    rows: np.ndarray
    user: np.ndarray
    target: np.ndarray
    history: np.ndarray
    stored: StoredNegatives
    out: tuple[np.ndarray, np.ndarray]
    clicks: int
    alone: int

    @classmethod
    def about(
        cls, log: Interactions, rows: np.ndarray, windows: np.ndarray, purpose: str, negatives: int, seed: int
    ) -> Questions:
        """Questions about (B,) rows of a log, all that there were to choose from.

        windows : (B, T) rows that may be known of each, oldest first, then -1. The rest is of
        :meth:`workbench.data.negatives.StoredNegatives.draw`.
        """
        user = log.user[rows].astype(np.int64)
        return cls(
            rows=rows,
            user=user,
            target=log.item[rows].astype(np.int64),
            history=np.where(windows >= 0, log.item[windows], 0).astype(np.int64),
            stored=StoredNegatives.draw(log, user, purpose=purpose, count=negatives, seed=seed),
            out=_not_competing(log, user),
            clicks=len(rows),
            alone=0,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def candidates(self) -> np.ndarray:
        """(B, 1 + C) int64 item codes, the answer first."""
        return np.concatenate([self.target[:, None], self.stored.items], axis=1)

    def some(self, places: np.ndarray) -> Questions:
        """The questions at some places."""
        offsets, items = self.out
        counts = np.diff(offsets)[places]
        ends = np.cumsum(counts)
        inside = np.arange(counts.sum()) + np.repeat(offsets[:-1][places] - (ends - counts), counts)
        kept = self.stored
        return replace(
            self,
            rows=self.rows[places],
            user=self.user[places],
            target=self.target[places],
            history=self.history[places],
            stored=replace(kept, users=kept.users[places], items=kept.items[places]),
            out=(np.concatenate(([0], ends)), items[inside]),
        )

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, Questions]]:
        """All questions in parts of like lengths, histories cut to the longest, and their places here."""
        length = (self.history > 0).sum(1)
        order = np.argsort(length, kind="stable")
        for at in range(0, len(order), size):
            places = order[at : at + size]
            part = self.some(places)
            yield places, replace(part, history=part.history[:, : max(length[places[-1]], 1)])

    def spread(self, count: int) -> Questions:
        """So many of the questions (or all, if there are fewer) at even distances, from first to last."""
        if count < 1:
            raise ConfigError(f"at least one question must be asked, not {count}")
        return self.some(np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)))


def ask(log: Interactions, rows: np.ndarray, purpose: str, protocol: TopN) -> Questions:
    """Questions about the clicks among some rows of a log, such as ``split.rows("test")``.

    purpose : "validation" or "test", which stream of the seed the negatives come from.

    Raises ConfigError for an unknown purpose; DataError when no row is a click whose user clicked before,
    when a user has fewer other items than negatives, and for rows that the log does not have.
    """
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    if len(rows) and not 0 <= rows[0] <= rows[-1] < len(log):
        raise DataError(f"questions are about rows 0 to {len(log) - 1} of the log", file=log.name)
    clicks = own_clicks(log)
    answers = np.searchsorted(clicks.rows, rows[log.label[rows] == 1])  # places among the clicks
    start, stop = clicks.histories.strictly_before(answers, protocol.length)
    asked = answers[stop > start]
    if not len(asked):
        raise DataError(
            f"none of the {len(answers)} clicks has an earlier click of its user",
            file=log.name,
            column="label",
            fix="Ask about another part, or load more of the log",
        )
    if protocol.targets is not None and protocol.targets < len(asked):
        rng = np.random.default_rng(protocol.seed)
        asked = np.sort(rng.choice(asked, protocol.targets, replace=False))
    windows = clicks.windows(asked, protocol.length)
    targets = clicks.rows[asked]
    seen = np.where(windows >= 0, log.timestamp[windows], np.iinfo(np.int64).min)
    refuse_leak(seen, log.timestamp[targets], "click of the history")
    found = Questions.about(log, targets, windows, purpose, protocol.negatives, protocol.seed)
    return replace(found, clicks=len(answers), alone=int((stop == start).sum()))


class Clicks(NamedTuple):
    """The label-1 rows of a log. rows : (n,) ascending row numbers; histories : of them, by user."""

    rows: np.ndarray
    histories: Histories

    def windows(self, places: np.ndarray, length: int) -> np.ndarray:
        """(B, length) rows of the log: the last clicks before each click, oldest first, then -1.

        places : (B,) which of the clicks; "before" is at an earlier second.
        """
        found = self.histories.window(*self.histories.strictly_before(places, length), length)
        return np.where(found >= 0, self.rows[found], -1)

    def before(self, user: np.ndarray, timestamp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in ``ordered`` the clicks of each user before each moment lie: start and stop, (m,) each."""
        time = self.histories.timestamp
        base = int(time.min()) if len(time) else 0
        span = max(int(time.max()) - base if len(time) else 0, int(timestamp.max()) - base) + 2
        key = self.histories.user[self.histories.events] * np.int64(span)
        key = key + (time[self.histories.events] - base)
        moment = np.clip(timestamp - base, 0, span - 1)
        stop = np.searchsorted(key, user * np.int64(span) + moment, side="left")
        return self.histories.offsets[user], stop

    @property
    def ordered(self) -> np.ndarray:
        """(n,) row numbers in the log, grouped by user, oldest first."""
        return self.rows[self.histories.events]


def own_clicks(log: Interactions, stop: int | None = None, among: np.ndarray | None = None) -> Clicks:
    """The clicks among the first ``stop`` rows (default: all), and among those of a mask (n,)."""
    clicked = log.label == 1 if among is None else (log.label == 1) & among
    rows = np.flatnonzero(clicked[:stop])
    return Clicks(rows, Histories.grouped(log.user[rows], log.size("user"), log.timestamp[rows]))


def _not_competing(log: Interactions, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compressed rows, one a user of ``users``: items the user has a row with, and items without a row."""
    people, who = np.unique(users, return_inverse=True)
    theirs = np.flatnonzero(np.isin(log.user, people))
    items = log.size("item")
    pair = np.unique(np.searchsorted(people, log.user[theirs]) * items + log.item[theirs])
    owner, own = np.divmod(pair, items)
    nobody = np.flatnonzero(np.bincount(log.item, minlength=items) == 0)
    starts = np.searchsorted(owner, np.arange(1, len(people)))
    lists = [np.concatenate([some, nobody]) for some in np.split(own, starts)]
    offsets = np.concatenate(([0], np.cumsum([len(lists[w]) for w in who])))
    return offsets, np.concatenate([lists[w] for w in who])


# --- training a next-item model ---------------------------------------------------------------------------


def training_sequences(log: Interactions, stop: int, length: int) -> tuple[Tensor, Tensor]:
    """Every user's clicks among the first ``stop`` rows, cut into windows of T + 1.

    A window begins with the last click of the one before, so that every click but a user's first is the
    target of exactly one step. LIFT, Section 5.1: models that retrieve nothing train on the retrieval and
    the train part, so ``stop`` is ``split.train.stop``.

    Returns user (n,) and item codes (n, T + 1), int64, padded with 0 on the right.

    Raises ConfigError for a length below 1, DataError when no user has two clicks.
    """
    if length < 1:
        raise ConfigError(f"a history holds at least one event, not {length}")
    rows, histories = own_clicks(log, stop)
    counts = np.diff(histories.offsets)
    windows = -(-np.maximum(counts - 1, 0) // length)  # the first click is nobody's target
    if not windows.any():
        raise DataError(f"nobody clicked twice in the first {stop} rows", file=log.name)
    user = np.repeat(np.arange(len(counts)), windows)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(windows) - windows, windows)
    start = histories.offsets[user] + nth * length
    found = histories.window(start, np.minimum(start + length + 1, histories.offsets[user + 1]), length + 1)
    items = np.where(found >= 0, log.item[rows[found]], 0).astype(np.int64)
    return torch.from_numpy(user), torch.from_numpy(items)


def sequence_loss(user: Tensor, sequences: Tensor) -> Loss:
    """The model's own loss on some sequences, for :func:`workbench.lab.training.fit`."""
    return lambda model, index: model.training_loss(user[index], sequences[index])


def rank_score(asked: Questions, metric: str = "NDCG@10", batch: int = 512) -> Callable[[NextItem], float]:
    """A metric such as HR@1 or MRR among the stored negatives, for :func:`workbench.lab.training.fit`."""
    ks = [int(k) for k in metric.split("@")[1:]]
    batches = [some for _, some in asked.batches(batch)]

    def score(model: NextItem) -> float:
        device = next(model.parameters()).device
        parts = []
        for some in batches:
            told = (some.user, some.history, some.candidates)
            parts.append(model.score(*(torch.from_numpy(x).to(device) for x in told)).cpu().numpy())
        scores = np.concatenate(parts)
        return rank_metrics(ranks(scores[:, 0], scores[:, 1:]), ks)[metric]

    return score


# --- ranking ----------------------------------------------------------------------------------------------


class Ranked(NamedTuple):
    """Where the answers stand among their stored negatives, and among all items."""

    sampled: Ranks
    full: Ranks


def all_items(model: NextItem) -> Scorer:
    """A next-item model's scores of all items, in evaluation mode, for :func:`rank`."""

    def scores(user: np.ndarray, history: np.ndarray) -> np.ndarray:
        device = next(model.parameters()).device
        with asking(model):
            found = model.score_all(*(torch.from_numpy(x).to(device) for x in (user, history)))
        return found.cpu().numpy()

    return scores


def rank(scores: Scorer, asked: Questions, batch: int = 256) -> Ranked:
    """Rank the answers by scores of all items: one of a network (:func:`all_items`), or a function such as
    ``lambda user, history: popularity.scores(history)``.
    """
    order, sampled, full = [], [], []
    for places, some in asked.batches(batch):
        found = scores(some.user, some.history)
        order.append(places)
        sampled.append(_among_stored(found, some))
        full.append(full_ranks(found, some.target, some.out))
    back = np.argsort(np.concatenate(order))
    return Ranked(joined(sampled).at(back), joined(full).at(back))


def _among_stored(scores: np.ndarray, asked: Questions) -> Ranks:
    listed = np.take_along_axis(scores, asked.candidates, axis=1)
    return ranks(listed[:, 0], listed[:, 1:])


def joined(parts: list[Ranks]) -> Ranks:
    """The ranks of several batches as one."""
    return Ranks(np.concatenate([p.first for p in parts]), np.concatenate([p.last for p in parts]))


def measured(ranked: Ranked) -> dict[str, float]:
    """HR@1, 5, 10, NDCG@1, 5, 10 and MRR among the stored negatives; and, as "full HR@1" ..., among all."""
    full = rank_metrics(ranked.full)
    return rank_metrics(ranked.sampled) | {f"full {name}": value for name, value in full.items()}
