"""A click model with a long history: one network, in which only the look at the long history differs.

LCN, Sections 3 and 5.1.4, and ENCODE, Section 3: profile, candidate and short sequences are read the same
way by every system, and a module called an *interest* reads the long sequence. So what differs between two
systems of a table is what the reader sees.

    model = LongHistory(sizes, config, lambda life: Pyramid(life, config))
    probability = model(sample).sigmoid()            # Eq. 1 of LCN

The long sequence is what costs. Where it is long beside the catalogue, nothing of width d is made for all of
its L events of all candidates: the inner products with all item embeddings are one matrix product, of which L
numbers are looked up, and a weighted sum over L events is a weighted sum over items. Candidates that ask
about one user at one moment, as in a request, may share profile and sequences: parts of a sample that have
one row are everybody's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.layers import MLP, ActivationUnit, FieldEmbedding, aggregate

DENSE = 64  # a table of up to so many items for each event of a sequence is multiplied as a whole


class Behaviours(NamedTuple):
    """What B users did, oldest first. item : (B, L) int64 codes, 0 where nothing is, on the right;
    context : (B, L, C) codes of what is known of each event beside its item, 0 where nothing is; cluster :
    (B, L) int64, in which an offline stage has found each event to be (ENCODE), -1 where nothing is.
    """

    item: Tensor
    context: Tensor
    cluster: Tensor | None = None

    @property
    def there(self) -> Tensor:
        """(B, L) bool, False for padding."""
        return self.item > 0


class LongSample(NamedTuple):
    """What is known of B candidates; their labels are not among it.

    user : (B,) codes; profile : (B, P) codes; target : (B, F) codes of the candidate, its item first;
    short : (B, N) events of the target domain; short_source : (B, N) of the source domain, None where there
    is one domain; long : (B, L) of the source domain. row : where candidates share long sequences, and
    ``long`` has each once, (B,) the row of each candidate; for a look that ``shares``.
    """

    user: Tensor
    profile: Tensor
    target: Tensor
    short: Behaviours
    short_source: Behaviours | None
    long: Behaviours
    row: Tensor | None = None


@dataclass(frozen=True)
class Sizes:
    """Rows of the embedding tables, code 0 included: of items (all domains, each item with a code of its
    own), of each profile field, of each further field of a candidate, and of each field of a context.
    """

    items: int
    profile: tuple[int, ...]
    target: tuple[int, ...]
    context: tuple[int, ...]


class Life(nn.Module):
    """Item and context embeddings, and how a long sequence is read by them.

    items : codes there are; contexts : codes of each context field; width : d; every table starts N(0, std).
    """

    def __init__(self, items: int, contexts: Sequence[int], width: int, std: float) -> None:
        super().__init__()
        self.item = nn.Parameter(torch.randn(items, width) * std)
        self.context = FieldEmbedding(contexts, width, std)
        self.width = width
        self.size = width * (1 + len(contexts))  # of e^h || e^c

    def items(self, code: Tensor) -> Tensor:
        """e^h or e^v: (...) codes -> (..., d), zero for code 0."""
        return functional.embedding(code, self.item) * (code > 0).unsqueeze(-1)

    def events(self, behaviours: Behaviours) -> Tensor:
        """e^h || e^c: (..., L, size), zero for padding."""
        context = self.context(behaviours.context).flatten(-2)
        return torch.cat([self.items(behaviours.item), context], -1)

    def scores(self, query: Tensor, item: Tensor) -> Tensor:
        """Inner products of (B, d) with the items of (B, L) events: (B, L), of no meaning for padding."""
        return inner(query, self.item, item)

    def event_scores(self, query: Tensor, behaviours: Behaviours) -> Tensor:
        """Inner products of (B, size) with e^h || e^c of (B, L) events: (B, L), -inf for padding."""
        item, *fields = query.split(self.width, 1)
        found = self.scores(item, behaviours.item)
        for field, asked in enumerate(fields):
            found = found + inner(asked, self.context.of(field), behaviours.context[..., field])
        return masked(found, behaviours)

    def pooled(self, weights: Tensor, item: Tensor) -> Tensor:
        """sum_k w_k e_k over (B, L) events: (B, d)."""
        return weighted_sum(weights, self.item, item)

    def event_pooled(self, weights: Tensor, behaviours: Behaviours) -> Tensor:
        """sum_k w_k (e^h_k || e^c_k) over (B, L) events: (B, size)."""
        fields = enumerate(behaviours.context.unbind(-1))
        context = [weighted_sum(weights, self.context.of(field), code) for field, code in fields]
        return torch.cat([self.pooled(weights, behaviours.item), *context], 1)


def inner(query: Tensor, table: Tensor, code: Tensor) -> Tensor:
    """Inner products of (B, c) with rows (B, L) of a table (V, c): (B, L). One row (1, L) is everybody's."""
    if len(code) == 1:
        return query @ functional.embedding(code[0], table).T
    if _dense(table, code):
        return (query @ table.T).gather(1, code)
    return (query.unsqueeze(1) @ functional.embedding(code, table).mT).squeeze(1)


def weighted_sum(weights: Tensor, table: Tensor, code: Tensor) -> Tensor:
    """sum_k w_k of the rows (B, L) of a table (V, c): (B, c). One row (1, L) is everybody's."""
    if len(code) == 1:
        return weights @ functional.embedding(code[0], table)
    if torch.is_grad_enabled() and _dense(table, code):  # forwards the slower way, backwards the faster
        return weights.new_zeros(len(code), len(table)).scatter_add(1, code, weights) @ table
    return functional.embedding_bag(code, table, per_sample_weights=weights, mode="sum")


def _dense(table: Tensor, code: Tensor) -> bool:
    return len(table) <= DENSE * code.shape[1]


class Level(NamedTuple):
    """One attention level over a long sequence.

    place : (B, K) places in the sequence, best first where a search chose them, else 0 .. L-1; weights :
    (B, K), or (B, h, K) with heads, zero where nothing is; below zero where a reading allows it.
    """

    name: str
    place: Tensor
    weights: Tensor


class Interest(nn.Module):
    """How a long sequence is read. A subclass sets ``size`` of its vector and gives :meth:`levels`.

    It holds no embeddings: ``life`` comes with every call.
    """

    size: int
    shares = False  # whether candidates of one row of ``long`` may share what was made of it

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """Candidate e^v (B, d) and events -> vector (B, size), zero without events, and the levels."""
        raise NotImplementedError

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """What a network calls: :meth:`forward`, unless a subclass asks for more than ``sample.long``."""
        return self(life, query, sample.long)

    def aside(self, life: Life, long: Behaviours) -> Tensor:
        """A loss of its own on a batch of events, a scalar, weighted as it enters the sum (ENCODE, Eq. 6)."""
        return life.item.new_zeros(())

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores (B, L) by which the last but one level would rank all events; -inf for padding."""
        raise NotImplementedError

    def exact(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores (B, L) which the last level would give all events; -inf for padding."""
        raise NotImplementedError


def consistency(searched: Tensor, exact: Tensor, top: int = 50) -> Tensor:
    """LCN, Eq. text-1 (Section 5.2.2): of the events that the last level ranks highest, the share that the
    search ranks as high.

    Scores (B, L) of all events, -inf for padding -> (B,) from 0 to 1; NaN for a row of no more than ``top``
    events, of which nothing can be missed.
    """
    count = min(top, exact.shape[1])
    wanted, found = (
        torch.zeros_like(exact).scatter(1, x.topk(count, 1).indices, 1) for x in (exact, searched)
    )
    shared = (wanted * found * (searched > -torch.inf)).sum(1) / top
    return shared.masked_fill((exact > -torch.inf).sum(1) <= top, torch.nan)


class Attention(nn.Module):
    """LCN, Eq. 9-11: a candidate asks K events, with any number of heads."""

    def __init__(self, life: Life, heads: int) -> None:
        super().__init__()
        d = life.width
        if d % heads:
            raise ConfigError(f"{heads} heads do not divide a width of {d}")
        self.heads, self.size = heads, d // heads
        self.q = nn.Linear(d, d, bias=False)
        self.k, self.v = (nn.Parameter(torch.empty(heads, d // heads, life.size)) for _ in range(2))
        for weight in (self.k, self.v):
            nn.init.xavier_uniform_(weight.view(d, life.size))

    def scores(self, query: Tensor, events: Tensor) -> Tensor:
        """(B, d), (B, K, size) -> r, (B, h, K), before a softmax."""
        return self.asked(query) @ events.mT

    def over(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Scores (B, L) of all events, the mean over heads, -inf for padding."""
        return life.event_scores(self.asked(query).mean(1), long)

    def asked(self, query: Tensor) -> Tensor:
        """(B, d) -> (W^K)^T W^Q q / sqrt(d/h) of each head, (B, h, size): r is its product with an event."""
        heads = self.q(query).unflatten(1, (self.heads, -1)) / math.sqrt(self.size)
        return torch.einsum("bhc,hcs->bhs", heads, self.k)

    def values(self, weights: Tensor, events: Tensor) -> Tensor:
        """(B, h, K), (B, K, size) -> the heads' weighted sums of W^V e, side by side, (B, d)."""
        return self.projected(weights @ events)

    def projected(self, pooled: Tensor) -> Tensor:
        """Each head's weighted sum of events (B, h, size) times its W^V, side by side: (B, d)."""
        return torch.einsum("bhs,hcs->bhc", pooled, self.v).flatten(1)


def masked(scores: Tensor, long: Behaviours) -> Tensor:
    """(B, L) scores, -inf for padding."""
    return torch.where(long.there, scores, -torch.inf)


def everywhere(long: Behaviours) -> Tensor:
    """(B, L) the places of all events."""
    return torch.arange(long.item.shape[1], device=long.item.device).expand(long.item.shape)


def best(long: Behaviours, place: Tensor, scores: Tensor, count: int) -> tuple[Behaviours, Tensor]:
    """The events with the highest of (B, L) scores, best first, and their places: (B, K), K <= L each."""
    index = scores.topk(min(count, scores.shape[1]), 1).indices
    item, place, *context = (
        code.expand(scores.shape).gather(1, index) for code in (long.item, place, *long.context.unbind(-1))
    )
    return Behaviours(item, torch.stack(context, -1)), place


class TargetAttention(nn.Module):
    """DIN (Zhou et al. 2018) on the items of a short sequence: sum_k a(e_k, e^v) e_k."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = ActivationUnit(width, (width,))

    def forward(self, life: Life, query: Tensor, short: Behaviours) -> Tensor:
        """(B, d), (B, N) events -> (B, d)."""
        events = life.items(short.item)
        return aggregate(self.unit(events, query, short.there), events)


class LongHistory(nn.Module):
    """p(y = 1 | user, candidate, profile, sequences) of LCN, Eq. 1, and ENCODE, Eq. 1, as a logit.

    Departures, for all systems alike: beside every vector that was read stands its product with the
    candidate, number by number, as in the public code of DIN; a network learns little of likeness without.
    The user's number has no embedding (LCN, Section 5.1.4, has one): a small log would be known by heart.
    Contexts are the category and how long ago (ambiguity N8 names two more).

    interest : makes the module that reads the long sequence, from the embeddings. domains : 2 where the
    sample has a short sequence of the source domain beside that of the target.
    """

    def __init__(
        self,
        sizes: Sizes,
        interest: Callable[[Life], Interest],
        *,
        width: int = 64,
        hidden: Sequence[int] = (256, 128),
        dropout: float = 0.0,
        domains: int = 2,
        std: float = 0.1,
    ) -> None:
        if domains not in (1, 2):
            raise ConfigError(f"there are one or two domains, not {domains!r}")
        super().__init__()
        self.life = Life(sizes.items, sizes.context, width, std)
        self.fields = FieldEmbedding((*sizes.profile, *sizes.target), width, std)
        self.short = nn.ModuleList(TargetAttention(width) for _ in range(domains))
        self.interest = interest(self.life)
        known = width * (1 + len(sizes.profile) + len(sizes.target))
        size = known + 2 * (domains * width + self.interest.size)
        self.head = MLP((size, *hidden, 1), dropout)

    def forward(self, sample: LongSample, return_levels: bool = False):
        """Logits (B,), and on request the levels of the look at the long sequence."""
        query, fields, read = self.besides(sample)
        interest, levels = self.interest.read(self.life, query, sample)
        logit = self.judged(query, fields, [*read, interest])
        return (logit, levels) if return_levels else logit

    def besides(self, sample: LongSample) -> tuple[Tensor, Tensor, list[Tensor]]:
        """All but the long sequence: candidates (B, d), fields (B, f), short sequences as read, (B, d)."""
        query = self.life.items(sample.target[:, 0])
        profile = sample.profile.expand(len(query), -1)
        fields = self.fields(torch.cat([profile, sample.target[:, 1:]], 1)).flatten(1)
        sequences = [sample.short, sample.short_source][: len(self.short)]
        read = [look(self.life, query, one) for look, one in zip(self.short, sequences, strict=True)]
        return query, fields, read

    def judged(self, query: Tensor, fields: Tensor, read: Sequence[Tensor]) -> Tensor:
        """Logits (B,) of what :meth:`besides` gives; last in ``read`` is the long sequence as read."""
        read = torch.cat(list(read), 1)
        matched = read * query.repeat(1, read.shape[1] // query.shape[1])
        return self.head(torch.cat([query, fields, read, matched], 1)).squeeze(1)
