"""Models that read what a search found: SIM and UBR in the user's own past, RIM among all users' rows.

The search itself is done before: ``sample.found`` and ``sample.neighbours`` hold its results, best
first. Every forward returns logits (B,), and with ``return_weights`` also its attention. None reads
the target's label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.baselines.blocks import (
    EventEmbedding,
    bilinear,
    bilinear_scores,
    check_network,
    events_of,
)
from workbench.methods.layers import (
    MLP,
    ActivationUnit,
    FieldEmbedding,
    Interaction,
    Sample,
    SelfAttention,
    aggregate,
    masked_softmax,
    visible,
)


class SIM(nn.Module):
    """Search-based Interest Model (Pi et al. 2020): a long history searched, a short one read whole.

    Over the events z_j that hard search found (those of the target's category), each head i weighs
    att^i = softmax_j(<W_b^i z_j, W_a^i e_a>) and the long interest is [att^1 z, ..., att^q z]. The
    short history is weighed by DIN's unit. logit = MLP([e_a, long, short]).

    Departures: no time-interval embedding (events carry no clock here); DIN instead of DIEN for the
    short history; with hard search there is no search network to train along.
    """

    needs = frozenset({"history", "found"})

    def __init__(
        self,
        sizes: Sequence[int],
        width: int = 16,
        heads: int = 2,
        head_width: int = 16,
        mlp: Sequence[int] = (128, 64),
        unit: Sequence[int] = (36,),
        dropout: float = 0.2,
    ) -> None:
        check_network(
            sizes=sizes, width=width, heads=heads, head_width=head_width, mlp=mlp, unit=unit, dropout=dropout
        )
        super().__init__()
        self.heads = heads
        self.embed = EventEmbedding(sizes, width)
        size = self.embed.size
        self.keys = nn.Linear(size, heads * head_width, bias=False)
        self.query = nn.Linear(size, heads * head_width, bias=False)
        self.unit = ActivationUnit(size, unit)
        self.head = MLP(((heads + 2) * size, *mlp, 1), dropout)

    def forward(
        self, sample: Sample, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Logits (B,), and on request {"history": (B, L) as DIN's, "found": (B, heads, S)}."""
        history, found = events_of(sample, "history"), events_of(sample, "found")
        target, recent, z = self.embed.hidden(sample.target), self.embed(history), self.embed(found)
        short = self.unit(recent, target, history.there)
        keys = self.keys(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, S, head_width)
        scores = bilinear_scores(keys, self.query(target).unflatten(-1, (self.heads, -1)))
        long = masked_softmax(scores, found.there.unsqueeze(1))
        interests = (long @ z).flatten(1)  # (B, heads (M + 1) w)
        logits = self.head(torch.cat([target, interests, aggregate(short, recent)], -1)).squeeze(-1)
        return (logits, {"history": short, "found": long}) if return_weights else logits


class UBR(nn.Module):
    """User Behavior Retrieval, UBR4CTR (Qin et al. 2020): attention over own events found by BM25.

    A selector (self-attention over the target's fields, then a small network with a sigmoid) gives
    each field the chance p_m of being part of the query. r = sum_j softmax_j(s_j) b_j over the found
    events b_j; logit = MLP([r, x]).

    Departures: the paper draws the query's fields from p, searches anew in every epoch, and trains
    the selector by REINFORCE with the predictor's gain as reward. Here the search is done once, with
    all fields, and the selection is soft: s_j = b_j^T W x + sum_m p_m 1[b_jm = x_m], a search score
    with p in the place of the IDFs, which lets an ordinary gradient train the selector. What a
    selected query would have brought in beyond the found events is lost. No batch norm.
    """

    needs = frozenset({"found"})

    def __init__(
        self,
        sizes: Sequence[int],
        width: int = 16,
        heads: int = 2,
        select: Sequence[int] = (20, 10),
        mlp: Sequence[int] = (200, 80),
        dropout: float = 0.2,
    ) -> None:
        check_network(sizes=sizes, width=width, heads=heads, select=select, mlp=mlp, dropout=dropout)
        super().__init__()
        self.embed = EventEmbedding(sizes, width)
        self.norm, self.mix = nn.LayerNorm(width), SelfAttention(width, heads)
        self.select = MLP((width, *select, 1))
        self.attend = bilinear(self.embed.size)
        self.head = MLP((2 * self.embed.size, *mlp, 1), dropout)

    def selection(self, codes: Tensor) -> Tensor:
        """p_m, the chance that a field of the target is part of the query: (B, M) -> (B, M)."""
        fields, known = self.embed.fields(codes), codes > 0
        mixed, _ = self.mix(self.norm(fields), visible(known, causal=False))
        return torch.sigmoid(self.select(fields + mixed)).squeeze(-1) * known

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B,), and on request the weights (B, S), which add to 1, or to 0 if nothing was found."""
        found, codes = events_of(sample, "found"), sample.target.codes
        target, events = self.embed.hidden(sample.target), self.embed(found)
        agrees = (found.codes == codes.unsqueeze(1)).to(events.dtype)  # (B, S, M); p is 0 for unknown
        scores = bilinear_scores(events, self.attend(target)) + bilinear_scores(agrees, self.selection(codes))
        weights = masked_softmax(scores, found.there)
        logits = self.head(torch.cat([aggregate(weights, events), target], -1)).squeeze(-1)
        return (logits, weights) if return_weights else logits


class RIM(nn.Module):
    """Retrieval & Interaction Machine (Qin et al. 2021): the target row and its K retrieved rows.

    a_k = softmax_k(x_k^T W x_t); the neighbours' fields r = sum_k a_k x_k and labels l = sum_k a_k y_k
    (y_k an embedding of the label) are averaged with the same weights. All pairs of the 2 M + 1
    vectors (fields of x_t, fields of r, l) give inner products p; logit = MLP([x_t, r, p, l]).

    Departures from the authors' code: no batch norm of the input, l is not fed to the last layer a
    second time, no bias in the query, and W starts as a scaled identity, as in our LIFT.
    """

    needs = frozenset({"neighbours"})

    def __init__(
        self, sizes: Sequence[int], width: int = 16, mlp: Sequence[int] = (200, 80), dropout: float = 0.2
    ) -> None:
        check_network(sizes=sizes, width=width, mlp=mlp, dropout=dropout)
        super().__init__()
        vectors = 2 * len(sizes) + 1
        self.fields = FieldEmbedding(sizes, width)
        self.labels = nn.Embedding(2, width)
        nn.init.normal_(self.labels.weight, std=0.1)
        self.attend = bilinear(len(sizes) * width)
        self.interact = Interaction("inner", vectors, width)
        self.head = MLP((vectors * width + self.interact.size, *mlp, 1), dropout)

    def vectors(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """The fields of x_t, those of r, and l: (B, 2 M + 1, w), and the weights (B, K)."""
        neighbours = events_of(sample, "neighbours")
        target = self.fields(sample.target.codes)  # (B, M, w)
        keys = self.fields(neighbours.codes).flatten(-2)  # (B, K, M w)
        scores = bilinear_scores(keys, self.attend(target.flatten(-2)))
        weights = masked_softmax(scores, neighbours.there)
        rows = aggregate(weights, keys).view_as(target)
        label = aggregate(weights, self.labels(neighbours.label)).unsqueeze(1)
        return torch.cat([target, rows, label], 1), weights

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B,), and on request a_k (B, K), which add to 1, or to 0 without neighbours."""
        vectors, weights = self.vectors(sample)
        logits = self.head(torch.cat([vectors.flatten(1), self.interact(vectors)], -1)).squeeze(-1)
        return (logits, weights) if return_weights else logits
