"""Looks at a long history that ENCODE is compared with (Section 4.3): none, all of it, what a search finds.

They stand in one network (:mod:`workbench.methods.long_history`) and share its embeddings. Whatever meets
the candidate in the end meets it in one and the same target attention,
:class:`workbench.methods.encode.Likeness`, so that systems differ in which events come that far.

``fields`` (V, F) are codes of what is known of each item, the item itself first: hard search asks for equal
categories, UBR4CTR for equal fields.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.baselines.long_history import ETA, SDIM, TwoStages
from workbench.errors import whole
from workbench.methods.encode import EncodeConfig, Likeness, Reduction
from workbench.methods.layers import MLP, FieldEmbedding, SelfAttention, masked_softmax, visible
from workbench.methods.long_history import (
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


class NoLook(Interest):
    """DIN of ENCODE's tables: the long history is not read (the real-time sequence is, by all systems)."""

    size = 0

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`: (B, 0) and no level."""
        return query.new_zeros(len(query), 0), []


class AvgPooling(Interest):
    """The mean of all events, whatever the candidate."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self.size = life.width

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`."""
        weights = long.there / long.there.sum(1, keepdim=True).clamp(min=1)
        weights = weights.expand(len(query), -1)
        return life.pooled(weights, long.item), [Level("all", everywhere(long), weights)]


class DINLong(Interest):
    """DIN-L: target attention over all events, the upper bound that ENCODE stays beside."""

    def __init__(self, life: Life, config: EncodeConfig) -> None:
        super().__init__()
        self.size, self.attention = life.width, Likeness(life, config)

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`."""
        scores = self.attention.over(life, query, long)
        weights = masked_softmax(scores, scores > -torch.inf)
        return life.pooled(weights, long.item), [Level("all", everywhere(long), weights)]


class ByCategory(TwoStages):
    """SIM, hard search (Pi et al. 2020): the latest events of the candidate's category."""

    def __init__(self, life: Life, fields: Tensor, config: EncodeConfig, k: int = 50) -> None:
        super().__init__(life, k, alike=config)
        self.register_buffer("category", fields[:, min(1, fields.shape[1] - 1)], persistent=False)

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`. Where items have no field that tells their kind, by item (E21)."""
        category, long = self.category[sample.long.item], sample.long
        same = (category == self.category[sample.target[:, :1]]) & long.there
        return self.among_best(life, query, long, torch.where(same, everywhere(long).float(), -torch.inf))


class UBR4CTR(TwoStages):
    """UBR4CTR (Qin et al. 2020): the events that share most with the fields that a selector chooses.

    A selector (self-attention over the candidate's fields) gives each field the chance p_m of being part of
    the query; an event's score is sum_m p_m idf_m over the fields it shares with the candidate, idf_m taken
    among the user's events; ties go to the latest.

    Departure: the paper draws the query from p and trains the selector by REINFORCE; here p weighs the
    fields, and joins the attention of the events that were found, so that an ordinary gradient reaches it.
    """

    def __init__(self, life: Life, fields: Tensor, config: EncodeConfig, k: int = 50, heads: int = 2) -> None:
        super().__init__(life, k, alike=config)
        self.register_buffer("fields", fields, persistent=False)
        self.embed = FieldEmbedding([int(codes.max()) + 1 for codes in fields.T], life.width)
        self.mix = SelfAttention(life.width, heads)
        self.select = MLP((life.width, life.width, 1))

    def chances(self, codes: Tensor) -> Tensor:
        """p_m: (B, F) codes of the candidate -> (B, F), 0 for unknown fields."""
        known, fields = codes > 0, self.embed(codes)
        mixed, _ = self.mix(fields, visible(known, causal=False))
        return self.select(fields + mixed).squeeze(-1).sigmoid() * known

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; two events that share as much are told apart by which is later."""
        codes, long = self.fields[sample.target[:, 0]], sample.long
        p = self.chances(codes).unsqueeze(1)
        same = ((self.fields[long.item] == codes.unsqueeze(1)) & long.there.unsqueeze(-1)).to(p.dtype)
        count, holding = long.there.sum(1, keepdim=True), same.sum(1)
        idf = (1 + (count - holding + 0.5) / (holding + 0.5)).log().unsqueeze(1)
        with torch.no_grad():
            later = everywhere(long) * 1e-3 / long.item.shape[1]
            scores = masked((same * p * idf).sum(-1) + later, long)
        here, place = best(long, everywhere(long), scores, self.k)
        events = life.events(here)
        shared = (same * p).sum(-1).gather(1, place)  # p joins the attention, or no gradient would reach it
        logit = self.attention.scores(query, events) + shared.unsqueeze(1)
        weights = masked_softmax(logit, here.there.unsqueeze(1))
        return self.attention.values(weights, events), [Level("exact", place, weights)]


class ByReduction(TwoStages):
    """ETA-ENCODE (Section 4.6.3): the search in ENCODE's m dimensions, by its distance."""

    def __init__(self, life: Life, config: EncodeConfig, k: int = 50) -> None:
        super().__init__(life, k, alike=config)
        self.reduction = Reduction(life.width, config)

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """Cosines in R^m."""
        asked = functional.normalize(self.reduction(query), dim=1)
        return masked(inner(asked, functional.normalize(self.reduction(life.item), dim=1), long.item), long)

    def aside(self, life: Life, long: Behaviours) -> Tensor:
        """As in :class:`Interest`: the reduction's own loss."""
        return self.reduction.loss(life, long)


class ByOneMetric(TwoStages):
    """TWIN as ENCODE's Section 4.3 has it: the search ranks by the very scores of target attention (E22).

    Here it is ETA-TA of Section 4.6.3 as well: ETA's network with just this search.
    """

    def searched(self, life: Life, query: Tensor, long: Behaviours) -> Tensor:
        """The same as :meth:`exact`."""
        return self.exact(life, query, long)


class MIMN(Interest):
    """MIMN (Pi et al. 2019): a memory of a few slots, written event by event and asked by the candidate.

    A controller reads the memory, writes to it with erase and add vectors (Graves et al. 2014), and each
    slot has a GRU that goes on with what was written where (the induction unit). The candidate attends to
    slots and channels.

    Departures: addressing by content alone, no balancing of use (its regularisation), and the memory starts
    from learnt vectors. It reads every event in turn: L steps one after the other, to be kept, not repeated,
    in serving.
    """

    shares = True

    def __init__(self, life: Life, config: EncodeConfig, slots: int = 8) -> None:
        super().__init__()
        whole("slots", slots)
        d = life.width
        self.size, self.attention = d, Likeness(life, config)
        self.memory = nn.Parameter(torch.randn(slots, d) * 0.1)
        self.controller = nn.GRUCell(2 * d, d)
        self.asks = nn.Linear(d, 3 * d)  # a key, an erase vector and an add vector
        self.induction = nn.GRUCell(2 * d, d)

    def remembered(self, life: Life, long: Behaviours) -> Tensor:
        """(B, L) events -> (B, slots, d), the channels after the last event."""
        events, there = life.items(long.item), long.there
        rows, (slots, d) = len(events), self.memory.shape
        memory = self.memory.expand(rows, -1, -1)
        channel, state = torch.zeros_like(memory), events.new_zeros(rows, d)
        seen = events.new_zeros(rows, d)
        for event, now in zip(events.unbind(1), there.unbind(1), strict=True):
            now = now[:, None]
            state = torch.where(now, self.controller(torch.cat([event, seen], 1), state), state)
            key, erase, add = self.asks(state).chunk(3, 1)
            address = functional.cosine_similarity(memory, key.unsqueeze(1), dim=-1)
            address = (self.attention.config.beta * address).softmax(1).unsqueeze(-1)  # (B, slots, 1)
            changed = memory * (1 - address * erase.sigmoid().unsqueeze(1)) + address * add.unsqueeze(1)
            memory = torch.where(now.unsqueeze(-1), changed, memory)
            seen = (address * memory).sum(1)
            heard = torch.cat([memory, event.unsqueeze(1).expand_as(memory)], -1).flatten(0, 1)
            grown = self.induction(heard, channel.flatten(0, 1)).unflatten(0, (rows, slots))
            channel = channel + now.unsqueeze(-1) * address * (grown - channel)
        return channel

    def read(self, life: Life, query: Tensor, sample: LongSample) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; candidates of one row share its memory."""
        channel = self.remembered(life, sample.long)
        return self.asked(query, channel if sample.row is None else channel.index_select(0, sample.row))

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; no level: no event has a weight any more."""
        return self.asked(query, self.remembered(life, long))

    def asked(self, query: Tensor, channel: Tensor) -> tuple[Tensor, list[Level]]:
        """What candidates (B, d) read in a memory, theirs or everybody's."""
        weights = self.attention.scores(query, channel).softmax(-1)
        return self.attention.values(weights, channel), []  # without events all channels are zero


LOOKS: dict[str, Callable[[Life, EncodeConfig, Tensor, int], Interest]] = {
    "DIN": lambda life, config, fields, k: NoLook(),
    "AvgPooling": lambda life, config, fields, k: AvgPooling(life),
    "DIN-L": lambda life, config, fields, k: DINLong(life, config),
    "SIM hard": lambda life, config, fields, k: ByCategory(life, fields, config, k),
    "UBR4CTR": lambda life, config, fields, k: UBR4CTR(life, fields, config, k),
    "ETA": lambda life, config, fields, k: ETA(life, k, alike=config, bits=2 * life.width),
    "ETA-ENCODE": lambda life, config, fields, k: ByReduction(life, config, k),
    "TWIN": lambda life, config, fields, k: ByOneMetric(life, k, alike=config),
    "SDIM": lambda life, config, fields, k: SDIM(life),
    "MIMN": lambda life, config, fields, k: MIMN(life, config),
}
