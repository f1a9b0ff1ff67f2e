"""Next-item models that learn to fill in hidden items: BERT4Rec and S3-Rec (DualRec, Section 4.1.3).

This is masked item prediction, MIP: a Transformer without causal mask reads a row with some items hidden, and
what it foretells of them comes from both sides. A prediction has one side only; DualRec, Section 1, calls
the difference the training-inference gap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.baselines.blocks import check_network
from workbench.baselines.next_item import SASRec
from workbench.errors import ConfigError
from workbench.methods.layers import TransformerBlock, last_state, through, visible
from workbench.methods.next_item import NextItem, full_softmax, table


def hide(sequence: Tensor, ratio: float) -> Tensor:
    """(B, T) bool: which items to hide, each with chance ``ratio``; at least one of each row that has any."""
    there = sequence > 0
    draw = torch.rand(sequence.shape, device=sequence.device).masked_fill(~there, 2.0)
    return there & ((draw < ratio) | (draw == draw.amin(-1, keepdim=True)))


class BERT4Rec(NextItem):
    """BERT4Rec (Sun et al. 2019, Section 3): what stands at [MASK]? Asked of hidden items, then of the next.

    x_t = emb(i_t) + p_t; blocks without causal mask; a query is GELU(W h_t + b), an item's score its inner
    product with the item's embedding, and a bias. Trained by the Cloze task: cross-entropy over all items at
    hidden places. Prediction appends [MASK] to the history; one of ``length`` events loses its first, so that
    [MASK] stands at a place that training knows.

    Departures: blocks normalise first. Places count from the first event. The authors also train on rows of
    which the last item alone is hidden, the case of a prediction; ``last`` is the chance of such a row.
    """

    def __init__(
        self,
        users: int,
        items: int,
        width: int = 64,
        length: int = 50,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        mask_ratio: float = 0.2,
        last: float = 0.1,
    ) -> None:
        check_network(dropout=dropout, width=width, length=length, layers=layers, heads=heads)
        for name, value in (("mask_ratio", mask_ratio), ("last", last)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, not {value}")
        super().__init__(users, items, "softmax")
        self.mask_ratio, self.last = mask_ratio, last
        self.item, self.mask = table(items, width), nn.Parameter(torch.randn(width) * 0.1)
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width)
        )
        self.bias = nn.Parameter(torch.zeros(items))

    def read(self, sequence: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, T, width) at every place of rows (B, T), and the weights (layers, B, heads, T, T).

        hidden : (B, T) bool, where [MASK] stands, whatever the row has there.
        """
        T = sequence.shape[1]
        if len(self.place) < T:
            raise ConfigError(f"{T} events, but the model was made for {len(self.place)}")
        x = torch.where(hidden.unsqueeze(-1), self.mask, self.item(sequence)) + self.place[:T]
        allowed = visible((sequence > 0) | hidden, causal=False)
        x, weights = through(self.blocks, self.dropout(x), allowed)
        return self.head(x), torch.stack(weights)

    def forward(self, user: Tensor, history: Tensor, return_weights: bool = False):
        """Query (B, width) at a [MASK] after the history, zero where there is none. Users are not read."""
        count = (history > 0).sum(1, keepdim=True)
        left_out = (count - len(self.place) + 1).clamp(min=0)
        place = torch.arange(min(history.shape[1] + 1, len(self.place)), device=history.device)
        row = functional.pad(history, (0, 1)).gather(1, (left_out + place).clamp(max=history.shape[1]))
        hidden = place == count - left_out
        states, weights = self.read(row, hidden)
        query = last_state(states, hidden) * (count > 0)
        return (query, weights) if return_weights else query

    def vectors(self) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`."""
        return self.item.weight, self.bias

    def steps(self, length: Tensor) -> Tensor:
        """As in :class:`NextItem`: hidden items, on average."""
        return self.mask_ratio * length

    def mean_loss(self, user: Tensor, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """Cloze: mean cross-entropy over the hidden items of rows (B, T)."""
        there = sequence > 0
        final = there & (there.cumsum(1) == there.sum(1, keepdim=True))
        only_last = torch.rand(len(sequence), 1, device=sequence.device) < self.last
        hidden = torch.where(only_last, final, hide(sequence, self.mask_ratio))
        states, _ = self.read(sequence, hidden)
        vectors, bias = self.vectors()
        count = hidden.sum()
        return full_softmax(states[hidden], sequence[hidden], vectors, bias) / count.clamp(min=1), count


class S3Rec(SASRec):
    """S3-Rec (Zhou et al. 2020, Section 4.2) with its masked item prediction alone: SASRec, pretrained.

    :meth:`pretraining_loss` hides items of a row that is read from both sides; afterwards the same weights
    are trained as SASRec's, with a causal mask. A hidden item has a vector of its own.

    Departure: hidden items are told from all others, not from one drawn negative.
    """

    def __init__(self, users: int, items: int, mask_ratio: float = 0.2, **sasrec) -> None:
        if not 0 < mask_ratio <= 1:
            raise ConfigError(f"mask_ratio must lie above 0 and at most at 1, not {mask_ratio}")
        super().__init__(users, items, **sasrec)
        self.mask_ratio, self.mask = mask_ratio, nn.Parameter(torch.zeros(self.item.embedding_dim))

    def pretraining_loss(self, sequence: Tensor) -> Tensor:
        """MIP: mean cross-entropy over hidden items of rows (B, T)."""
        hidden = hide(sequence, self.mask_ratio)
        x = torch.where(hidden.unsqueeze(-1), self.mask, self.item(sequence))
        states, _ = self.encode(x, visible(sequence > 0, causal=False))
        vectors, _ = self.vectors()
        return full_softmax(states[hidden], sequence[hidden], vectors) / hidden.sum().clamp(min=1)
