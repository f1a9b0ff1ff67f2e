"""Looks at a long sequence that LCN and ENCODE are compared with: SIM soft, ETA, SDIM, TWIN.

Each is an :class:`workbench.methods.long_history.Interest`: a general search over all events, an exact
search among the K best. They stand in one network, share its embeddings, and end in the same attention, so
that what differs is the search: beside LCN multi-head attention over e^h || e^c, beside ENCODE
:class:`workbench.methods.encode.Likeness`. :mod:`workbench.baselines.whole_history` has ENCODE's others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import whole
from workbench.methods.encode import EncodeConfig, Likeness
from workbench.methods.layers import masked_softmax
from workbench.methods.long_history import (
    Attention,
    Behaviours,
    Interest,
    Level,
    Life,
    LongSample,
    best,
    everywhere,
    inner,
    masked,
)


class TwoStages(Interest):
    """A general search gives (B, L) scores; the K best events meet the candidate in an attention.

    k : K events that the exact search sees; heads : of its attention; alike : has the attention of ENCODE's
    systems in place of one with heads.
    """

    def __init__(self, life: Life, k: int = 50, heads: int = 4, alike: EncodeConfig | None = None) -> None:
        super().__init__()
        whole("k", k)
        self.k, self.size = k, life.width
        self.attention = Attention(life, heads) if alike is None else Likeness(life, alike)

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; the exact search's weights have heads, (B, h, K)."""
        with torch.no_grad():  # a choice has no gradient
            scores = self.searched(life, query, long)
        return self.among_best(life, query, long, scores)

    def among_best(
        self, life: Life, query: Tensor, long: Behaviours, scores: Tensor
    ) -> tuple[Tensor, list[Level]]:
        """The exact search among the K events with the highest scores (B, L), -inf for padding and for events
        that are out of the question.
        """
        here, place = best(long, everywhere(long), scores, self.k)
        events, found = life.events(here), scores.gather(1, place) > -torch.inf
        weights = masked_softmax(self.scores(life, query, events), found.unsqueeze(1))
        return self.attention.values(weights, events), [Level("exact", place, weights)]

    def scores(self, life: Life, query: Tensor, events: Tensor) -> Tensor:
        """Of the exact search, (B, h, K), for events (B, K, size)."""
        return self.attention.scores(query, events)

    def exact(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """As in :class:`Interest`."""
        return self.attention.over(life, query, long)


class SIMSoft(TwoStages):
    """SIM, soft search (Pi et al. 2020): the events with the largest inner products."""

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """As in :class:`Interest`."""
        return masked(life.scores(query, long.item), long)


class ETA(TwoStages):
    """ETA (Chen et al. 2021): the events whose SimHash (ENCODE, Eq. 3) shares most bits with the candidate's.

    Departure: the random projection is drawn once, not in every forward pass, so that a prediction is one.
    """

    def __init__(
        self, life: Life, k: int = 50, heads: int = 4, alike: EncodeConfig | None = None, bits: int = 32
    ) -> None:
        super().__init__(life, k, heads, alike)
        self.register_buffer("projection", torch.randn(life.width, bits))

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Bits in common minus bits apart."""
        signs = ((x @ self.projection).sign() for x in (query, life.item))
        return masked(inner(*signs, long.item), long)


class TWIN(TwoStages):
    """TWIN (Chang et al. 2023): both searches score with the same attention.

    A score is q W_h e^h + W_c e^c: what a context says is one number a head, whatever the candidate.
    Departure: the K events with the best means over heads are kept.
    """

    def __init__(self, life: Life, k: int = 50, heads: int = 4) -> None:
        super().__init__(life, k, heads)
        self.context = nn.Linear(life.size - life.width, heads, bias=False)

    def scores(self, life: Life, query: Tensor, events: Tensor) -> Tensor:
        """As in :class:`TwoStages`."""
        item = self.attention.asked(query)[..., : life.width]
        return item @ events[..., : life.width].mT + self.context(events[..., life.width :]).mT

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """The same as :meth:`exact`: that is TWIN's point."""
        return self.exact(life, query, long)

    def exact(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """As in :class:`Interest`."""
        item = self.attention.asked(query)[..., : life.width].mean(1)
        context = self.context.weight.mean(0).expand(len(query), -1)
        return life.event_scores(torch.cat([item, context], 1), long)


class SDIM(Interest):
    """SDIM (Cao et al. 2022): events that fall into the candidate's hash bucket are summed up, no search
    (ENCODE, Eq. 2a).

    groups of ``bits`` random hyperplanes each give every item a bucket; a group's vector is the sum of the
    events in the candidate's bucket, of length 1, and the interest the mean over groups. What a user's
    buckets hold does not depend on the candidate: it is summed up once a sequence, serving and training.
    """

    shares = True

    def __init__(self, life: Life, groups: int = 16, bits: int = 3) -> None:
        super().__init__()
        self.groups, self.bits, self.size = groups, bits, life.width
        self.register_buffer("projection", torch.randn(life.width, groups * bits))

    def buckets(self, vectors: Tensor) -> Tensor:
        """(..., d) -> (..., groups) numbers from 0 to 2^bits - 1."""
        signs = (vectors @ self.projection > 0).unflatten(-1, (self.groups, self.bits))
        return (signs * 2 ** torch.arange(self.bits, device=vectors.device)).sum(-1)

    def met(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """(B, L, groups) bool: does an event share the candidate's bucket?"""
        return self.buckets(query).unsqueeze(1) == self.buckets(life.item)[long.item]

    def sums(self, life: Life, long: Behaviours) -> Tensor:
        """The sum of the events in every bucket of U users: (U, groups, 2^bits, d), zero where none is."""
        codes, event = long.item.unique(return_inverse=True)
        count = life.item.new_zeros(len(event), len(codes)).scatter_add(
            1, event, long.there.to(life.item.dtype)
        )
        items = functional.embedding(codes, life.item)
        bucket = self.buckets(items.detach())
        found = [
            count[:, one] @ items[one] for g in bucket.T for one in (g == b for b in range(2**self.bits))
        ]
        return torch.stack(found, 1).unflatten(1, (self.groups, -1))

    def chosen(self, query: Tensor, kept: Tensor, row: Tensor) -> Tensor:
        """(B, groups, d) the candidates' (B, d) buckets, of kept (U, groups, 2^bits, d) in rows (B,)."""
        group = torch.arange(self.groups, device=row.device)
        place = (row.unsqueeze(1) * self.groups + group) * 2**self.bits + self.buckets(query)
        return functional.embedding(place, kept.flatten(0, 2))

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; candidates of one row share its buckets, and no level is given then."""
        if sample.row is None:
            return self(life, query, sample.long)
        kept = functional.normalize(self.sums(life, sample.long), dim=-1)
        return self.chosen(query, kept, sample.row).mean(1), []

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; events times their weights are the vector."""
        row = torch.arange(len(query), device=query.device) % len(long.item)
        sums = self.chosen(query, self.sums(life, long), row)
        length = sums.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        met = self.met(life, query, long) & long.there.unsqueeze(-1)
        weights = (met.to(query.dtype) @ (1 / length)).squeeze(-1) / self.groups
        return (sums / length).mean(1), [Level("buckets", everywhere(long), weights)]

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """In how many groups an event shares the candidate's bucket."""
        return masked(self.met(life, query, long).float().mean(-1), long)

    def exact(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Cosines, which shared buckets estimate."""
        cosines = inner(functional.normalize(query, dim=1), functional.normalize(life.item, dim=1), long.item)
        return masked(cosines, long)


LOOKS: dict[str, type[Interest]] = {"SIM soft": SIMSoft, "ETA": ETA, "SDIM": SDIM, "TWIN": TWIN}
