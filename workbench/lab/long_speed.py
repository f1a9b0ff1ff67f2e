"""Requests with a long history, for ``workbench bench lcn`` and ``encode``: one user, many candidates.

Sequences and candidates are drawn at random. What a look can make of a user's events without knowing a
candidate, a system that serves makes before the request comes (ENCODE, Table 2; ambiguity E25): interests,
bucket sums, hashes, an index by category. :func:`kept` makes it and says how candidates read it::

    online = kept(model.interest, model.life, long)     # before; long (1, L)
    vector = online(query, target)                      # candidates (B, d), their codes (B, F) -> (B, size)
    logit = answering(model, sample)()                  # (B,): the whole network's prediction
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor
from torch.nn import functional

from workbench.baselines.long_history import ETA, SDIM
from workbench.baselines.whole_history import (
    MIMN,
    UBR4CTR,
    AvgPooling,
    ByCategory,
    ByOneMetric,
    DINLong,
    NoLook,
)
from workbench.errors import ConfigError
from workbench.lab.long_samples import GAPS
from workbench.methods.encode import Encode, Likeness
from workbench.methods.layers import masked_softmax
from workbench.methods.long_history import Behaviours, Interest, Life, LongHistory, LongSample, Sizes

ITEMS, CATEGORIES, SHORT = 30_000, 100, 50
SIZES_OF = Sizes(ITEMS, (7, 3, 31), (CATEGORIES, 50), (CATEGORIES, GAPS))
PORTION = 500  # candidates of a request that are judged at a time

Online = Callable[[Tensor, Tensor], Tensor]


def drawn(users: int, length: int) -> LongSample:
    """Random candidates, each of a user with full sequences."""
    generator = torch.Generator().manual_seed(0)

    def codes(size: int, *shape: int) -> Tensor:
        return torch.randint(1, size, shape, generator=generator)

    def events(n: int) -> Behaviours:
        context = [codes(size, users, n) for size in SIZES_OF.context]
        return Behaviours(codes(ITEMS, users, n), torch.stack(context, -1))

    profile = torch.stack([codes(size, users) for size in SIZES_OF.profile], -1)
    target = torch.stack([codes(size, users) for size in (ITEMS, *SIZES_OF.target)], -1)
    return LongSample(torch.arange(users), profile, target, events(SHORT), events(SHORT), events(length))


def request(sample: LongSample, repeated: bool) -> LongSample:
    """The first user with all candidates: what is known of the user once, or once a candidate."""
    count = len(sample.target) if repeated else 1

    def first(part: Tensor | Behaviours) -> Tensor | Behaviours:
        if isinstance(part, Behaviours):
            return Behaviours(first(part.item), first(part.context))
        return part[:1].expand(count, *part.shape[1:]).contiguous()

    parts = ("user", "profile", "short", "short_source", "long")
    return sample._replace(**{name: first(getattr(sample, name)) for name in parts})


def asked(candidates: int, length: int) -> LongSample:
    """A request: a user with so many events, and candidates."""
    return request(drawn(candidates, 1), repeated=False)._replace(long=drawn(1, length).long)


def predicting(model: LongHistory, sample: LongSample) -> Callable[[], None]:
    """A prediction for all candidates."""

    def run() -> None:
        with torch.inference_mode():
            model(sample)

    return run


def answering(model: LongHistory, sample: LongSample) -> Callable[[], Tensor]:
    """The same for candidates of one user of whom everything is kept that can be: logits (B,).

    Candidates are judged PORTION at a time: what is made of so many stays in a processor's cache, which
    halves every system's time.
    """
    with torch.inference_mode():
        online = kept(model.interest, model.life, sample.long)
    portions = [sample._replace(target=target) for target in sample.target.split(PORTION)]

    def judged(some: LongSample) -> Tensor:
        query, fields, read = model.besides(some)
        return model.judged(query, fields, [*read, online(query, some.target)])

    def run() -> Tensor:
        with torch.inference_mode():
            return torch.cat([judged(some) for some in portions])

    return run


def looking(model: LongHistory, sample: LongSample) -> Callable[[], Tensor]:
    """The look at the long history alone, of candidates of one user: (B, size)."""
    with torch.inference_mode():
        online = kept(model.interest, model.life, sample.long)
        query = model.life.items(sample.target[:, 0])

    def run() -> Tensor:
        with torch.inference_mode():
            return online(query, sample.target)

    return run


# --- what is made before a request ------------------------------------------------------------------------


class Events:
    """One user's events (1, L), without padding, as :class:`Likeness` compares them: vector (L, d), and its
    direction and length where the metric is of directions.
    """

    def __init__(self, life: Life, long: Behaviours, attention: Likeness) -> None:
        self.config = attention.config
        self.vector = self.direction = life.items(_items(long))
        self.length = torch.ones(len(self.vector))
        if self.config.metric == "cosine":
            self.direction, self.length = functional.normalize(self.vector, dim=1), self.vector.norm(dim=1)

    def asking(self, query: Tensor) -> Tensor:
        """Candidates (B, d) whose inner products with directions are scores."""
        if self.config.metric == "dot":
            return query / math.sqrt(query.shape[1])
        return functional.normalize(query, dim=1) * self.config.factor

    def scores(self, query: Tensor) -> Tensor:
        """Of all events: (B, d) -> (B, L)."""
        return self.asking(query) @ self.direction.T

    def read(self, query: Tensor, place: Tensor, besides: Tensor | float = 0) -> Tensor:
        """Attention to events at places (B, K), -1 for none, ``besides`` added to their scores: (B, d)."""
        there, place = place >= 0, place.clamp(min=0)
        chosen = functional.embedding(place, self.direction)
        logit = (chosen @ self.asking(query).unsqueeze(-1)).squeeze(-1) + besides
        weights = masked_softmax(logit, there) * self.length[place]
        return (weights.unsqueeze(1) @ chosen).squeeze(1)

    def pooled(self, weights: Tensor, place: Tensor) -> Tensor:
        """The weighted sum of events at places: (B, K) and (B, K) -> (B, d)."""
        return functional.embedding_bag(place, self.vector, per_sample_weights=weights, mode="sum")


@singledispatch
def kept(look: Interest, life: Life, long: Behaviours) -> Online:
    """Makes of one user's events (1, L) what a look can keep; the result reads it for candidates."""
    raise ConfigError(f"nothing is said of what {type(look).__name__} can keep of a user")


@kept.register
def _(look: NoLook, life: Life, long: Behaviours) -> Online:
    return lambda query, target: query.new_zeros(len(query), 0)


@kept.register
def _(look: AvgPooling, life: Life, long: Behaviours) -> Online:
    mean, _ = look(life, life.item[:1], long)  # whatever the candidate
    return lambda query, target: mean.expand(len(query), -1)


@kept.register
def _(look: DINLong, life: Life, long: Behaviours) -> Online:
    events = Events(life, long, look.attention)
    return lambda query, target: events.scores(query).softmax(1) @ events.vector


@kept.register
def _(look: MIMN, life: Life, long: Behaviours) -> Online:
    channel = look.remembered(life, long)
    return lambda query, target: look.asked(query, channel)[0]


@kept.register
def _(look: SDIM, life: Life, long: Behaviours) -> Online:
    """The sum of each bucket's events."""
    sums = functional.normalize(look.sums(life, long), dim=-1)
    return lambda query, target: look.chosen(
        query, sums, query.new_zeros(len(query), dtype=torch.int64)
    ).mean(1)


@kept.register
def _(look: Encode, life: Life, long: Behaviours) -> Online:
    interests, _, _ = look.offline(life, long)
    return lambda query, target: look.online(query, interests)


@kept.register
def _(look: ETA, life: Life, long: Behaviours) -> Online:
    events = Events(life, long, look.attention)
    hashes = (events.vector @ look.projection).sign().T

    def online(query: Tensor, target: Tensor) -> Tensor:
        alike = (query @ look.projection).sign() @ hashes
        return events.read(query, _top(alike, look.k).indices)

    return online


@kept.register
def _(look: ByOneMetric, life: Life, long: Behaviours) -> Online:
    events = Events(life, long, look.attention)

    def online(query: Tensor, target: Tensor) -> Tensor:
        logit, place = _top(events.scores(query), look.k)  # what finds them weighs them
        return events.pooled(logit.softmax(1), place)

    return online


@kept.register
def _(look: ByCategory, life: Life, long: Behaviours) -> Online:
    """SIM's index: each category's latest places, (categories, K)."""
    events, category = Events(life, long, look.attention), look.category[_items(long)]
    index = torch.full((int(look.category.max()) + 1, look.k), -1)
    for code in category.unique().tolist():
        latest = (category == code).nonzero()[:, 0].flip(0)[: look.k]
        index[code, : len(latest)] = latest

    def online(query: Tensor, target: Tensor) -> Tensor:
        return events.read(query, index[look.category[target[:, 0]]])

    return online


@kept.register
def _(look: UBR4CTR, life: Life, long: Behaviours) -> Online:
    """An inverted index: for each field (values, L), who has a value, and the same times the value's idf."""
    events, codes = Events(life, long, look.attention), look.fields[_items(long)]
    length, rows, having, weighted = len(codes), [], [], []
    for field, every in zip(codes.T, look.fields.T, strict=True):
        values, place = field.unique(return_inverse=True)
        row = torch.full((int(every.max()) + 1,), len(values))  # the last one is of values without events
        row[values] = torch.arange(len(values))
        has = functional.one_hot(place, len(values) + 1).T.float()
        holding = has.sum(1, keepdim=True)
        rows.append(row)
        having.append(has)
        weighted.append(has * (1 + (length - holding + 0.5) / (holding + 0.5)).log())
    later = torch.arange(length) * 1e-3 / long.item.shape[1]

    def online(query: Tensor, target: Tensor) -> Tensor:
        fields = look.fields[target[:, 0]]
        p = look.chances(fields).unsqueeze(-1).unbind(1)
        at = [row[code] for row, code in zip(rows, fields.T, strict=True)]
        scores = later.expand(len(query), -1)
        for m, index in enumerate(weighted):
            scores = torch.addcmul(scores, p[m], index[at[m]])
        place = _top(scores, look.k).indices
        shared = sum(p[m] * index[at[m].unsqueeze(1), place] for m, index in enumerate(having))
        return events.read(query, place, shared)

    return online


def _items(long: Behaviours) -> Tensor:
    """(L,) the items of the one user's events, without padding; of who has none a 0, whose vector is zero."""
    return long.item[0][long.there[0]] if long.there.any() else long.item[0, :1]


def _top(scores: Tensor, count: int) -> torch.return_types.topk:
    return scores.topk(min(count, scores.shape[1]), 1)
