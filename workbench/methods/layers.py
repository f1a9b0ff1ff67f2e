"""Shared blocks of the networks: field embedding, MLP, attention one can look into, feature interaction.

Every block takes tensors whose leading dimensions are free ("..."), and every attention is a pure
function that returns its weights, so that they can be drawn and checked by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError, unknown

MASKED, ABSENT = 2, 3  # label tokens beside 0 and 1: hidden from the network; no event here


class Events(NamedTuple):
    """Interactions as a network reads them.

    codes : (..., M) int64 codes of the M categorical fields, 0 where unknown or where nothing is.
    label : (...) int64, 0 or 1, 0 where nothing is.
    there : (...) bool, False for padding.
    """

    codes: Tensor
    label: Tensor
    there: Tensor

    @property
    def token(self) -> Tensor:
        """(...) int64 label tokens: 0, 1, or ABSENT for padding."""
        return torch.where(self.there, self.label, ABSENT)


class Sample(NamedTuple):
    """What is known of B targets; a model names in ``needs`` the parts it reads beside ``target``.

    target : (B,) events; their label is y, which no ``forward`` may read.
    history : (B, L) own events strictly before the target, oldest first; or encoded, (B, v).
    found : (B, S) own events that a search in the long own history found, best first.
    neighbours : (B, K) retrieved rows d_r of LIFT, Section 4.3, best first.
    past, future : (B, K, L) what each neighbour's user did before and after, oldest first; or encoded by
        E_ω (LIFT, Eq. 6), (B, K, v).
    """

    target: Events
    history: Events | Tensor | None = None
    found: Events | None = None
    neighbours: Events | None = None
    past: Events | Tensor | None = None
    future: Events | Tensor | None = None


class FieldEmbedding(nn.Module):
    """One w-dimensional vector for every value of every field (LIFT, Section 4.2, Eq. 15).

    sizes : rows of each field's table, code 0 included; width : w; std : of the normal start. Code 0
    ("unknown") is the zero vector and stays it. Fields share one table, each with its own rows.
    """

    def __init__(self, sizes: Sequence[int], width: int, std: float = 0.1) -> None:
        super().__init__()
        self.sizes, self.width = tuple(sizes), width
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = nn.Parameter(torch.randn(sum(sizes), width) * std)

    def forward(self, codes: Tensor) -> Tensor:
        """codes (..., M) -> (..., M, w)."""
        if codes.shape[-1] != len(self.sizes):
            raise ConfigError(
                f"expected {len(self.sizes)} fields in the last dimension, got {codes.shape[-1]}"
            )
        return functional.embedding(codes + self.offsets, self.table) * (codes > 0).unsqueeze(-1)

    def of(self, field: int) -> Tensor:
        """One field's table (sizes[field], w), with the zero vector for code 0."""
        rows = self.table[self.offsets[field] + 1 : self.offsets[field] + self.sizes[field]]
        return functional.pad(rows, (0, 0, 1, 0))


class MLP(nn.Sequential):
    """Linear layers with ReLU and dropout between them; the last layer is linear."""

    def __init__(self, sizes: Sequence[int], dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers.append(nn.Linear(a, b))
            if i < len(sizes) - 2:
                layers += [nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)


class ActivationUnit(nn.Module):
    """How much each event matters for the target: a(e_j, v) of DIN (Zhou et al. 2018, formula (3)).

    A small network on event e_j, target v, their difference and their product. Its output is the
    weight as it is, without a softmax, so that a strong interest has a large sum. Padding gets 0.

    The first layer is linear, W_1 e + W_2 v + W_3 (e - v) + W_4 (e * v), so the difference only adds
    W_3 to W_1 and takes it from W_2: three matrices say the same, and v is multiplied once, not L times.
    """

    def __init__(self, size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.event = nn.Linear(size, hidden[0])
        self.target = nn.Linear(size, hidden[0], bias=False)
        self.product = nn.Linear(size, hidden[0], bias=False)
        self.rest = nn.Sequential(nn.ReLU(inplace=True), MLP((*hidden, 1)))

    def forward(self, events: Tensor, target: Tensor, there: Tensor) -> Tensor:
        """events (B, L, d), target (B, d), there (B, L) -> weights (B, L), any real numbers.

        Events of one row (1, L, d) are everybody's.
        """
        if len(events) == 1 and len(target) > 1:
            first = self._of_one(events[0], target)
        else:
            v = target.unsqueeze(-2)
            first = self.event(events) + self.target(v) + self.product(events * v)
        return self.rest(first).squeeze(-1) * there

    def _of_one(self, events: Tensor, target: Tensor) -> Tensor:
        """The first layer for events (L, d) of everybody and targets (B, d): (B, L, h).

        W_2 v + W_4 (e * v) is (W_2 + W_4 diag(e)) v: one product of matrices, and no (B, L, d) before it.
        """
        by_event = self.target.weight + self.product.weight * events.unsqueeze(1)  # (L, h, d)
        first = torch.addmm(self.event(events).flatten(), target, by_event.flatten(0, 1).T)
        return first.unflatten(1, by_event.shape[:2])


def masked_softmax(scores: Tensor, there: Tensor) -> Tensor:
    """Softmax over the last dimension among the entries that are there; all zero where none is.

    scores (..., K) and there (..., K) bool -> weights (..., K) that sum to 1, or to 0.
    """
    weights = torch.softmax(scores.masked_fill(~there, torch.finfo(scores.dtype).min), dim=-1)
    return weights * there


def below(count: Tensor) -> Tensor:
    """A random whole number from 0 to below each of some counts (...), from torch's generator."""
    drawn = (torch.rand(count.shape, device=count.device) * count).long()
    return drawn.minimum(count - 1)  # a product may be rounded up


def aggregate(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sum: weights (..., K), values (..., K, d) -> (..., d); values (1, K, d) are everybody's."""
    if weights.dim() == 2 and values.dim() == 3 and len(values) == 1:
        return weights @ values[0]
    return (weights.unsqueeze(-2) @ values).squeeze(-2)


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product self-attention (Vaswani et al. 2017, Section 3.2)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} heads do not divide a width of {width}")
        self.heads, self.dropout = heads, dropout
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, d), allowed (B or 1, T, T) bool, True where query t may see key s.

        Returns (B, T, d) and the weights (B, heads, T, T); a query that may see nothing gets zeros.
        """
        q, k, v = self._split(x, 3, 0)
        weights = masked_softmax(q @ k.mT / math.sqrt(q.shape[-1]), allowed.unsqueeze(1))
        dropped = functional.dropout(weights, self.dropout, self.training)
        return self._join(dropped @ v), weights

    def answer(self, queries: Tensor, x: Tensor, there: Tensor) -> Tensor:
        """What the same attention gives at queries that stand after a sequence: each sees it, and itself.

        queries (B, Q, d), x (B, T, d), there (B, T) bool -> (B, Q, d). Equal to :meth:`forward` on the
        sequence with one query appended, without that attention's T + Q squared.
        """
        q, own_k, own_v = self._split(queries, 3, 0)
        k, v = self._split(x, 2, 1)
        scores = torch.cat([q @ k.mT, (q * own_k).sum(-1, keepdim=True)], -1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~functional.pad(there, (0, 1), value=True)[:, None, None], -torch.inf)
        weights = functional.dropout(torch.softmax(scores, -1), self.dropout, self.training)
        return self._join(weights[..., :-1] @ v + weights[..., -1:] * own_v)

    def _split(self, x: Tensor, parts: int, first: int) -> Tensor:
        """``parts`` of queries, keys and values, from the ``first`` on: each (B, heads, T, d / heads)."""
        B, T, d = x.shape
        weight, bias = self.into.weight[first * d :], self.into.bias[first * d :]
        return functional.linear(x, weight, bias).view(B, T, parts, self.heads, -1).permute(2, 0, 3, 1, 4)

    def _join(self, heads: Tensor) -> Tensor:
        """(B, heads, T, d / heads) -> (B, T, d)."""
        return self.out(heads.transpose(1, 2).flatten(-2))


class TransformerBlock(nn.Module):
    """Self-attention and feed-forward, each normalised before and added back."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Arguments and returns as in :class:`SelfAttention`."""
        attended, weights = self.attention(self.first(x), allowed)
        return self._fed(x + self.dropout(attended)), weights

    def answer(self, queries: Tensor, x: Tensor, there: Tensor) -> Tensor:
        """Queries after a sequence, as in :meth:`SelfAttention.answer`: -> (B, Q, d)."""
        attended = self.attention.answer(self.first(queries), self.first(x), there)
        return self._fed(queries + self.dropout(attended))

    def _fed(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.feed(self.second(x)))


def through(blocks: Iterable[TransformerBlock], x: Tensor, allowed: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Block after block: x (B, T, d), allowed (B or 1, T, T) -> (B, T, d) and each one's weights."""
    weights = []
    for block in blocks:
        x, seen = block(x, allowed)
        weights.append(seen)
    return x, weights


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Zero a share of the numbers at random and scale up the rest, as torch does.

    On a processor it decides by 16 random bits a number, which takes a quarter of the time.
    """
    if not training or share == 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, share)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    goes = bits[: x.numel()].view(x.shape) < round(share * 2**16) - 2**15
    return x.masked_fill(goes, 0) * (1 / (1 - share))


def windows(x: Tensor, length: int) -> Tensor:
    """(B, T, d) -> (B, T, L, d): the L events up to each one, oldest first, zeros before the first."""
    return functional.pad(x, (0, 0, length - 1, 0)).unfold(1, length, 1).mT


def visible(there: Tensor, causal: bool) -> Tensor:
    """(B, T, T) bool: which event may each position look at? Real ones, and if causal none after itself."""
    T = there.shape[-1]
    allowed = there.unsqueeze(-2).expand(*there.shape, T)
    return allowed & torch.ones(T, T, dtype=torch.bool, device=there.device).tril() if causal else allowed


def last_state(states: Tensor, there: Tensor) -> Tensor:
    """State of the last event that is there: (..., T, d), (..., T) -> (..., d); zero where none is."""
    T = there.shape[-1]
    places = torch.arange(1, T + 1, device=there.device) * there
    last = places.argmax(-1)
    chosen = states.gather(-2, last[..., None, None].expand(*last.shape, 1, states.shape[-1])).squeeze(-2)
    return chosen * there.any(-1, keepdim=True)


def mean_state(states: Tensor, there: Tensor) -> Tensor:
    """Mean state of the events that are there: (..., T, d), (..., T) -> (..., d); zero where none is."""
    count = there.sum(-1, keepdim=True).clamp(min=1)
    return (states * there.unsqueeze(-1)).sum(-2) / count


class Interaction(nn.Module):
    """LIFT, Eq. 16: inter(a_i, a_j) of every pair of field embeddings.

    kind "inner" is <a_i, a_j>; "kernel" is a_i^T W_ij a_j; "micro" is a small network on [a_i, a_j]
    (Qu et al. 2018, PIN), one for all pairs here, told the pair by its own bias.
    """

    KINDS = ("inner", "kernel", "micro")

    def __init__(self, kind: str, fields: int, width: int, hidden: int = 8) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise unknown("interaction", kind, self.KINDS)
        self.kind = kind
        first, second = torch.triu_indices(fields, fields, 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.size = len(first)
        if kind == "kernel":
            self.kernel = nn.Parameter(torch.eye(width).repeat(self.size, 1, 1))
        elif kind == "micro":
            self.into, self.out = nn.Linear(2 * width, hidden), nn.Linear(hidden, 1)
            self.pair = nn.Parameter(torch.zeros(self.size, hidden))

    def forward(self, fields: Tensor) -> Tensor:
        """fields (..., M, w) -> (..., M (M - 1) / 2), pairs in the order (1,2), (1,3), ... (M-1,M)."""
        if self.kind == "inner":  # all products at once are cheaper than gathering the pairs
            M = fields.shape[-2]
            return (fields @ fields.mT).flatten(-2).index_select(-1, self.first * M + self.second)
        a, b = fields[..., self.first, :], fields[..., self.second, :]
        if self.kind == "kernel":
            return torch.einsum("...pw,pwu,...pu->...p", a, self.kernel, b)
        return self.out(torch.relu(self.into(torch.cat([a, b], -1)) + self.pair)).squeeze(-1)
