"""LCN (Hou et al. 2024): items of two domains brought together, and three looks at a lifelong sequence.

CRP (Section 4.1) is a loss on item embeddings and nothing else: items that one user chose within a short
time attract each other, within a domain and across, and items of different users repel each other. A model
that was trained with it predicts exactly as one that was not. LAP (Section 4.2) is an
:class:`workbench.methods.long_history.Interest`: all events, the best K1 of them, the best K2 of those.

    model = LongHistory(sizes, lambda life: Pyramid(life, PyramidConfig()), width=64)
    training_loss(model, sample, label, CRPConfig()).backward()      # Eq. 14

Departures
----------
* A weight of Eq. 8 and 10 is the score as printed, divided by the number of events that are there, else the
  sum grows with the length; it may be negative. ``weights="softmax"`` is the other reading (ambiguity N6):
  weights that add up to 1. The scores rank the same events first either way.
* Keys and values of Eq. 9-11 are never made: (W^Q q)(W^K e) is ((W^K)^T W^Q q) e, and a weighted sum of
  W^V e is W^V of the weighted sum. The numbers are the same, K times fewer products.
* Eq. 13's mean is over one vector (N7), so it is H itself; ``per_item`` is the other reading.
* A row without a pair gives no term and |B| counts the others (N3); of a batch of one user there are no
  negatives, so there is no loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError, unknown, whole
from workbench.methods.layers import aggregate, below, masked_softmax
from workbench.methods.long_history import (
    Attention,
    Behaviours,
    Interest,
    Level,
    Life,
    LongHistory,
    LongSample,
    best,
    everywhere,
    masked,
)

TYPES = ("target", "source", "cross")


@dataclass(frozen=True)
class CRPConfig:
    """Knobs of Eq. 3-6 and 14. Raises ConfigError for values that make no sense.

    weight : lambda_CRP; target, source, cross : lambda_PT, lambda_PS, lambda_PC; tau : temperature;
    negatives : M of each type a batch; denominator : of Eq. 3-5, "literal" (negatives alone) or "infonce",
    which adds the positive (ambiguity N1).
    """

    weight: float = 0.1
    target: float = 1.0
    source: float = 1.0
    cross: float = 1.0
    tau: float = 0.1
    negatives: int = 4096
    denominator: str = "literal"

    def __post_init__(self) -> None:
        for name in ("weight", *TYPES, "tau"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"{name} is a number from 0, not {value!r}")
        if self.tau == 0:
            raise ConfigError("tau is above 0: similarities are divided by it")
        whole("negatives", self.negatives)
        if self.denominator not in ("literal", "infonce"):
            raise unknown("denominator", self.denominator, ("literal", "infonce"))


class Pairs(NamedTuple):
    """Item codes of one type: positive (R, 2) of the rows that have such a pair, negative (M, 2)."""

    positive: Tensor
    negative: Tensor


def draw_pairs(sample: LongSample, negatives: int) -> dict[str, Pairs]:
    """Section 4.1.1: one positive pair of each type a row, and M negatives of each for the whole batch.

    Both come from short sequences alone. The two items of a negative pair belong to different users
    (ambiguity N2); it draws from torch's generator.
    """
    here, there = sample.short.item, sample.short_source.item
    both = (here > 0).any(1) & (there > 0).any(1)
    one = [_one(item[both]) for item in (here, there)]
    positive = {
        "target": _two(here[(here > 0).sum(1) > 1]),
        "source": _two(there[(there > 0).sum(1) > 1]),
        "cross": torch.cat(one, 1),
    }
    sides = {"target": (here, here), "source": (there, there), "cross": (here, there)}
    return {
        kind: Pairs(positive[kind], _of_strangers(sample.user, *sides[kind], negatives)) for kind in TYPES
    }


def _one(item: Tensor) -> Tensor:
    """(B, 1) an item of each row (B, N), all of which hold some."""
    count = (item > 0).sum(1)
    return item.gather(1, below(count).unsqueeze(1))


def _two(item: Tensor) -> Tensor:
    """(B, 2) items at two different places of each row (B, N), all of which hold at least two."""
    count = (item > 0).sum(1)
    first, second = below(count), below(count - 1)
    return item.gather(1, torch.stack([first, second + (second >= first)], 1))


def _of_strangers(user: Tensor, first: Tensor, second: Tensor, count: int) -> Tensor:
    """(M, 2) items of ``first`` and of ``second`` (B, N) in rows of different users; (0, 2) of one user."""
    mine, theirs = ((item > 0).any(1).nonzero().squeeze(1) for item in (first, second))
    order = user[theirs].argsort()
    owners = user[theirs][order]
    low, high = (torch.searchsorted(owners, user[mine], right=right) for right in (False, True))
    others = len(theirs) - (high - low)
    mine, low, high, others = (part[others > 0] for part in (mine, low, high, others))
    if not len(mine):
        return first.new_empty(0, 2)
    drawn = torch.randint(len(mine), (count,), device=user.device)
    place = below(others[drawn])
    place = place + (place >= low[drawn]) * (high - low)[drawn]  # the user's own rows are stepped over
    rows = (first[mine[drawn]], second[theirs[order[place]]])
    return torch.cat([_one(row) for row in rows], 1)


def contrastive_loss(table: Tensor, pairs: Pairs, tau: float, denominator: str = "literal") -> Tensor:
    """Eq. 3-5 for one type of pairs, a scalar; 0 where there are no positives or no negatives.

    table (V, d) item embeddings. The literal form is logsumexp_j(n_j / tau) - mean_i(p_i / tau), with the
    cosines p and n of positive and negative pairs: it may be negative, and the negatives' part is the same
    for every row.
    """
    if not len(pairs.positive) or not len(pairs.negative):
        return table.sum() * 0
    positive, negative = (_cosine(table, part) / tau for part in pairs)
    apart = torch.logsumexp(negative, 0)
    below = torch.logaddexp(positive, apart) if denominator == "infonce" else apart
    return (below - positive).mean()


def _cosine(table: Tensor, pair: Tensor) -> Tensor:
    return functional.cosine_similarity(*functional.embedding(pair, table).unbind(1), dim=-1)


def crp_loss(table: Tensor, sample: LongSample, config: CRPConfig) -> Tensor:
    """Eq. 6, a scalar; types of weight 0 have no part in it."""
    pairs = draw_pairs(sample, config.negatives)
    losses = [
        getattr(config, kind) * contrastive_loss(table, pairs[kind], config.tau, config.denominator)
        for kind in TYPES
        if getattr(config, kind)
    ]
    return sum(losses, table.sum() * 0)


def training_loss(
    model: LongHistory, sample: LongSample, label: Tensor, crp: CRPConfig | None = None
) -> Tensor:
    """Eq. 14: cross-entropy of the clicks (Eq. 2), and lambda_CRP times Eq. 6 where ``crp`` is given."""
    clicks = functional.binary_cross_entropy_with_logits(model(sample), label.float())
    if crp is None or not crp.weight:
        return clicks
    return clicks + crp.weight * crp_loss(model.life.item, sample, crp)


# --- the attention pyramid ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PyramidConfig:
    """Knobs of Eq. 7-13. Raises ConfigError for values that make no sense.

    k1, k2 : events that the median and the focused scope see; None leaves the level out (Table 3).
    heads : l of Eq. 12; integrate : all levels' vectors, or the last one's alone (Figure 5a).
    weights : "literal" or "softmax", see the module; per_item : Eq. 13 over items (ambiguity N7).
    """

    k1: int | None = 200
    k2: int | None = 50
    heads: int = 4
    integrate: bool = True
    weights: str = "literal"
    per_item: bool = False

    def __post_init__(self) -> None:
        for name in ("k1", "k2"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        whole("heads", self.heads)
        if self.weights not in ("literal", "softmax"):
            raise unknown("weights", self.weights, ("literal", "softmax"))
        if self.k1 is not None and self.k2 is not None and self.k2 > self.k1:
            raise ConfigError(f"the focused scope sees some of the {self.k1} events, not {self.k2}")


class Pyramid(Interest):
    """LAP, Section 4.2: complete, median and focused scope, each reading what the one below left."""

    def __init__(self, life: Life, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        self.median = Attention(life, 1) if config.k1 is not None else None
        self.focused = Attention(life, config.heads) if config.k2 is not None else None
        d = life.width
        self.feed = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d)) if self.focused else None
        levels = 1 + (self.median is not None) + (self.focused is not None)
        self.size = d * levels if config.integrate else d

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; the weights of the focused scope have heads, (B, h, K2)."""
        here, place = long, everywhere(long)
        scores = self._complete(life, query, long)
        weights = self._weights(scores)
        seen, levels = [life.pooled(weights, long.item)], [Level("complete", place, weights)]
        if self.median is not None:
            here, place = best(here, place, scores, self.config.k1)
            scores = life.event_scores(self.median.asked(query).squeeze(1), here)
            weights = self._weights(scores)
            pooled = life.event_pooled(weights, here)
            seen.append(self.median.projected(pooled.unsqueeze(1)))
            levels.append(Level("median", place, weights))
        if self.focused is not None:
            here, place = best(here, place, scores, self.config.k2)
            events = life.events(here)
            scores = self.focused.scores(query, events)
            weights = masked_softmax(scores, here.there.unsqueeze(1))
            seen.append(self._fed(weights, events, here.there) * here.there.any(1, keepdim=True))
            levels.append(Level("focused", place, weights))
        return torch.cat(seen, 1) if self.config.integrate else seen[-1], levels

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores of the median scope for the K1 events that reach it (N18), else of the complete."""
        scores = self._complete(life, query, long)
        if self.median is None or self.focused is None:
            return scores
        reach = scores.topk(min(self.config.k1, scores.shape[1]), 1).indices
        median = life.event_scores(self.median.asked(query).squeeze(1), long)
        return torch.full_like(median, -torch.inf).scatter(1, reach, median.gather(1, reach))

    def exact(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores of the last level for all events, mean over heads, before the softmax."""
        last = self.focused or self.median
        if last is None:
            return self._complete(life, query, long)
        return last.over(life, query, long)

    def _complete(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Eq. 7."""
        return masked(life.scores(query, long.item), long)

    def _weights(self, scores: Tensor) -> Tensor:
        """Of Eq. 8 and 10, from scores (B, K) that are -inf where nothing is."""
        there = scores > -torch.inf
        if self.config.weights == "softmax":
            return masked_softmax(scores, there)
        return scores.masked_fill(~there, 0) / there.sum(1, keepdim=True).clamp(min=1)

    def _fed(self, weights: Tensor, events: Tensor, there: Tensor) -> Tensor:
        """Eq. 12-13; the mean of ``per_item`` is over the events that are there (B, K)."""
        if not self.config.per_item:
            return self.feed(self.focused.values(weights, events))
        alone = weights.unsqueeze(-1) * torch.einsum("bks,hcs->bhkc", events, self.focused.v)
        return aggregate(
            there / there.sum(1, keepdim=True).clamp(min=1), self.feed(alone.transpose(1, 2).flatten(2))
        )
