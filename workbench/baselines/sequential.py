"""Models of one user's own history: DIN, DIEN and BERT4Rec, as click models.

A history holds the last L exposures with their labels; see :mod:`workbench.baselines.blocks` for what
that changes in all three. Every forward returns logits (B,), and with ``return_weights`` also its
attention. None reads the target's label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.baselines.blocks import (
    EventEmbedding,
    bilinear_scores,
    check_network,
    events_of,
)
from workbench.errors import ConfigError
from workbench.methods.layers import (
    MASKED,
    MLP,
    ActivationUnit,
    Events,
    Sample,
    TransformerBlock,
    aggregate,
    masked_softmax,
    through,
    visible,
)


class DIN(nn.Module):
    """Deep Interest Network (Zhou et al. 2018): the history, weighed by what it says about the target.

    v_U = sum_j a(e_j, v_A) e_j (formula (3)); logit = MLP([v_A, v_U]). The weights a are not
    normalised. Departures: ReLU instead of Dice, no mini-batch-aware L2, and where the paper's unit
    takes an outer product, ours takes difference and product.
    """

    needs = frozenset({"history"})

    def __init__(
        self,
        sizes: Sequence[int],
        width: int = 16,
        mlp: Sequence[int] = (128, 64),
        unit: Sequence[int] = (36,),
        dropout: float = 0.2,
    ) -> None:
        check_network(sizes=sizes, width=width, mlp=mlp, unit=unit, dropout=dropout)
        super().__init__()
        self.embed = EventEmbedding(sizes, width)
        self.unit = ActivationUnit(self.embed.size, unit)
        self.head = MLP((2 * self.embed.size, *mlp, 1), dropout)

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B,), and on request the weights (B, L), any real numbers."""
        history = events_of(sample, "history")
        target, events = self.embed.hidden(sample.target), self.embed(history)
        weights = self.unit(events, target, history.there)
        logits = self.head(torch.cat([target, aggregate(weights, events)], -1)).squeeze(-1)
        return (logits, weights) if return_weights else logits


class AUGRU(nn.Module):
    """GRU whose update gate is turned down by attention (Zhou et al. 2019, "interest evolving layer").

    u = a_t * sigmoid(W_u i_t + U_u h + b_u), r = sigmoid(W_r i_t + U_r h + b_r),
    c = tanh(W_c i_t + r * U_c h + b_c), h' = (1 - u) * h + u * c. With a_t = 0 the state stays.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.into = nn.Linear(size, 3 * hidden)  # W and b of u, r and c
        self.back = nn.Linear(hidden, 3 * hidden, bias=False)  # U of u, r and c

    def forward(self, inputs: Tensor, attention: Tensor) -> Tensor:
        """inputs (B, L, d), attention (B, L) -> the state after the last of them, (B, hidden)."""
        h = inputs.new_zeros(len(inputs), self.back.in_features)
        for into, a in zip(self.into(inputs).unbind(1), attention.unbind(1), strict=True):
            iu, ir, ic = into.chunk(3, -1)
            bu, br, bc = self.back(h).chunk(3, -1)
            u = a.unsqueeze(-1) * torch.sigmoid(iu + bu)
            c = torch.tanh(ic + torch.sigmoid(ir + br) * bc)
            h = (1 - u) * h + u * c
        return h


class DIEN(nn.Module):
    """Deep Interest Evolution Network (Zhou et al. 2019): interests from a GRU, followed by an AUGRU.

    h_1..h_L = GRU(e_1..e_L); a_t = softmax_t(h_t W e_A); h'_L = AUGRU(h, a); logit = MLP([e_A, h'_L]).
    Training adds alpha times :meth:`auxiliary_loss`.

    Departures: in the auxiliary loss the next behaviour is told from an item drawn at random; here
    the log itself says which next exposures were not clicked, and these are the negatives. The
    paper's inner product h_t . e_{t+1} needs states as long as embeddings; here a linear map stands
    between, so that ``hidden`` is free. ReLU instead of Dice.
    """

    needs = frozenset({"history"})

    def __init__(
        self,
        sizes: Sequence[int],
        width: int = 16,
        hidden: int = 64,
        mlp: Sequence[int] = (128, 64),
        dropout: float = 0.2,
    ) -> None:
        check_network(sizes=sizes, width=width, hidden=hidden, mlp=mlp, dropout=dropout)
        super().__init__()
        self.embed = EventEmbedding(sizes, width)
        self.extract = nn.GRU(self.embed.size, hidden, batch_first=True)
        self.attend = nn.Linear(self.embed.size, hidden, bias=False)
        self.evolve = AUGRU(hidden, hidden)
        self.expect = nn.Linear(hidden, len(sizes) * width)
        self.head = MLP((self.embed.size + hidden, *mlp, 1), dropout)

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B,), and on request a_t (B, L), which add to 1, or to 0 without a history."""
        history = events_of(sample, "history")
        target = self.embed.hidden(sample.target)
        interests, _ = self.extract(self.embed(history))  # (B, L, hidden); padding comes after all events
        weights = masked_softmax(bilinear_scores(interests, self.attend(target)), history.there)
        logits = self.head(torch.cat([target, self.evolve(interests, weights)], -1)).squeeze(-1)
        return (logits, weights) if return_weights else logits

    def auxiliary_loss(self, sample: Sample) -> Tensor:
        """Mean over all t of the log loss of y_{t+1} given sigma(<A h_t, e_{t+1}>); 0 without such pairs.

        e_{t+1} are the fields of the next event, without its label.
        """
        history = events_of(sample, "history")
        interests, _ = self.extract(self.embed(history))
        following = self.embed.fields(history.codes[:, 1:]).flatten(-2)  # (B, L-1, M w)
        scores = (self.expect(interests[:, :-1]) * following).sum(-1)
        return mean_log_loss(scores, history.label[:, 1:], history.there[:, 1:])


class BERT4Rec(nn.Module):
    """BERT4Rec (Sun et al. 2019) as a click model: fill in the blank, here a label instead of an item.

    The row is [history..., target], each an event with its label token, the target's MASKED; a
    Transformer without causal mask reads it, and the logit is read at the target. That is the paper's
    last-item mask, the case a prediction meets. Its Cloze task on the rest of the row is
    :meth:`auxiliary_loss`: hidden labels of the history are predicted from both sides.

    Departures: labels are masked, not items. Fields and token are projected to ``hidden``. Positions
    count back from the target (0), so that "the latest event" is one position whatever the length.
    Blocks normalise first. The paper masks and predicts in one pass; here the click loss always sees
    the true history, and the Cloze task is a pass of its own that a fit may leave out.
    """

    needs = frozenset({"history"})

    def __init__(
        self,
        sizes: Sequence[int],
        width: int = 16,
        length: int = 20,
        hidden: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        mask_ratio: float = 0.2,
    ) -> None:
        check_network(
            sizes=sizes,
            width=width,
            length=length,
            hidden=hidden,
            layers=layers,
            heads=heads,
            dropout=dropout,
        )
        if not 0 < mask_ratio <= 1:
            raise ConfigError(f"mask_ratio must lie above 0 and at most at 1, not {mask_ratio}")
        super().__init__()
        self.length, self.mask_ratio = length, mask_ratio
        self.embed = EventEmbedding(sizes, width)
        self.into = nn.Linear(self.embed.size, hidden)
        self.place = nn.Parameter(torch.randn(length + 1, hidden) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(hidden, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, 1)

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B,), and on request the weights (layers, B, heads, L+1, L+1), the target last."""
        history = events_of(sample, "history")
        logits, weights = self.read(sample.target, history, history.token)
        return (logits[:, -1], weights) if return_weights else logits[:, -1]

    def auxiliary_loss(self, sample: Sample) -> Tensor:
        """Cloze: mean log loss of history labels hidden at random, each with chance ``mask_ratio``."""
        history = events_of(sample, "history")
        drawn = torch.rand(history.there.shape, device=history.there.device) < self.mask_ratio
        asked = drawn & history.there
        logits, _ = self.read(sample.target, history, torch.where(asked, MASKED, history.token))
        return mean_log_loss(logits[:, :-1], history.label, asked)

    def read(self, target: Events, history: Events, token: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, L+1) of every event's label, given label tokens (B, L), and the attention."""
        if history.there.shape[-1] > self.length:
            raise ConfigError(f"{history.there.shape[-1]} events of history, but length is {self.length}")
        row = torch.cat([self.embed(history, token), self.embed.hidden(target).unsqueeze(1)], 1)
        there = functional.pad(history.there, (0, 1), value=True)
        back = there.flip(-1).cumsum(-1).flip(-1) - 1  # events after this one: 0 at the target
        x = self.into(row) + self.place[back]
        x, weights = through(self.blocks, x, visible(there, causal=False))
        return self.head(self.norm(x)).squeeze(-1), torch.stack(weights)


def mean_log_loss(logits: Tensor, label: Tensor, where: Tensor) -> Tensor:
    """Binary cross-entropy in nats, mean over the entries where ``where`` is True; 0 if there are none."""
    loss = functional.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none")
    return (loss * where).sum() / where.sum().clamp(min=1)
