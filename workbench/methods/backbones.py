"""Backbones of DualRec that do not attend: GRU4Rec and FMLP-Rec (DualRec, Sections 3.6.2 and 4.4).

A backbone reads a row in one direction, oldest item first or newest first; see
:class:`workbench.methods.dualrec.DualRec`, which owns the embeddings.

Departures
----------
* "Multi-scale inputs" (Section 3.4.1) are not described; instead of heads, h equal parts of the state are
  compared (ambiguity D18).
* FMLP-Rec's filters mix all places of a window, so it foretells from the last place of a window only. Every
  prefix of a row is a window of its own (D22). Places before its first item hold nothing in any layer; in
  the public code they hold their position, and all of the window's places are worked on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.methods.layers import dropout, last_state, windows


class Read(NamedTuple):
    """What an encoder makes of B sequences of T items.

    states : (B, T, d), each of what came up to its item; heads : of each layer, (B, T, h, d/h), before they
    are joined (DualRec, Eq. 9); weights : attention of each layer, (B, h, T, T), empty where nothing attends.
    """

    states: Tensor
    heads: list[Tensor]
    weights: list[Tensor]


class Backbone(nn.Module):
    """A subclass gives ``forward(x (B, T, d), sign) -> Read``; sign is -1 for a row read backwards."""

    def query(self, x: Tensor, there: Tensor, sign: int) -> tuple[Tensor, list[Tensor]]:
        """State (B, d) of the last item that is there, zero where none is, and the weights."""
        read = self(x, sign)
        return last_state(read.states, there), read.weights


class Recurrent(Backbone):
    """GRU4Rec (Hidasi et al. 2016): h_t = GRU(x_t, h_{t-1}); the score is an inner product with h_t W."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.rnn = nn.GRU(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, sign: int) -> Read:
        """As in :class:`Backbone`."""
        states = self.out(self.rnn(x)[0])
        return Read(states, [states.unflatten(-1, (self.heads, -1))], [])


class Filter(nn.Module):
    """FMLP-Rec (Zhou et al. 2022), Section 4.2: LayerNorm(x + Dropout(F^-1(W * F(x)))), then feed-forward.

    F is the Fourier transform over the n places of a window, W (n/2 + 1, d) complex and learned: a circular
    convolution with n learned numbers a feature.
    """

    def __init__(self, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.length, self.dropout = length, dropout
        self.filter = nn.Parameter(torch.randn(length // 2 + 1, width, 2) * 0.02)
        self.first, self.second = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def mixing(self, length: int) -> Tensor:
        """(T, T, d): what place t takes from place s, for windows of T items with nothing before them."""
        kernel = torch.fft.irfft(torch.view_as_complex(self.filter), self.length, dim=0)
        place = torch.arange(length, device=kernel.device)
        return kernel[(place[:, None] - place) % self.length]

    def forward(self, x: Tensor, mixed: Tensor) -> Tensor:
        """x, mixed (..., d), the latter what the filter makes of a place -> (..., d)."""
        h = self.first(x + dropout(mixed, self.dropout, self.training))
        return self.second(h + dropout(self.feed(h), self.dropout, self.training))


class FMLP(Backbone):
    """FMLP-Rec: learned places, then layers of :class:`Filter`; only the last place foretells."""

    def __init__(self, length: int, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(Filter(length, width, dropout) for _ in range(layers))

    def forward(self, x: Tensor, sign: int) -> Read:
        """As in :class:`Backbone`."""
        B, T, _ = x.shape
        there = torch.ones(T, T, dtype=torch.bool, device=x.device).tril().flip(1)  # of each item's window
        states = self._filtered(windows(x, T).flatten(0, 1), there.repeat(B, 1)).view_as(x)
        return Read(states, [states.unflatten(-1, (self.heads, -1))], [])

    def query(self, x: Tensor, there: Tensor, sign: int) -> tuple[Tensor, list[Tensor]]:
        """As in :class:`Backbone`, from one window a row instead of one an item."""
        count = there.sum(1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device) - x.shape[1] + count  # in the row
        window = x.gather(1, place.clamp(min=0).unsqueeze(-1).expand_as(x))
        return self._filtered(window, place >= 0) * (count > 0), []

    def _filtered(self, x: Tensor, there: Tensor) -> Tensor:
        """Windows (W, T, d) that end in their item, there (W, T) -> what their last place becomes, (W, d).

        Only places that are there are worked on, and the filter takes nothing from the others.
        """
        W, T, d = x.shape
        index = there.flatten().nonzero().squeeze(1)
        x = (x + self.place[-T:]).flatten(0, 1).index_select(0, index)
        x = dropout(self.norm(x), self.dropout, self.training)
        for layer in self.layers:
            grid = x.new_zeros(W * T, d).index_copy(0, index, x).view(W, T, d)
            mixing = layer.mixing(T)
            if layer is self.layers[-1]:
                return layer(grid[:, -1], torch.einsum("sd,wsd->wd", mixing[-1], grid))
            mixed = torch.einsum("tsd,wsd->wtd", mixing, grid)
            x = layer(x, mixed.flatten(0, 1).index_select(0, index))
        return x
