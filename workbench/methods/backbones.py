"""Backbones of DualRec that do not attend: GRU4Rec and FMLP-Rec (DualRec, Sections 3.6.2 and 4.4).

A backbone reads a row in one direction, oldest item first or newest first; see
:class:`workbench.methods.dualrec.DualRec`, which owns the embeddings.

Departures
----------
* "Multi-scale inputs" (Section 3.4.1) are not described; instead of heads, h equal parts of the state are
  compared (ambiguity D18).
* FMLP-Rec's filters mix all places of a window, so it foretells from the last place of a window only. Every
  prefix of a row is a window of its own (D22), with zeros before it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.methods.layers import last_state, windows


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

    F is the Fourier transform over the n places of a window, W (n/2 + 1, d) complex and learned.
    """

    def __init__(self, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.length = length
        self.filter = nn.Parameter(torch.randn(length // 2 + 1, width, 2) * 0.02)
        self.first, self.second = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., n, d) -> the same shape."""
        spectrum = torch.fft.rfft(x, dim=-2, norm="ortho") * torch.view_as_complex(self.filter)
        filtered = torch.fft.irfft(spectrum, self.length, dim=-2, norm="ortho")
        return self._fed(self.first(x + self.dropout(filtered)))

    def last(self, x: Tensor) -> Tensor:
        """The last place of :meth:`forward` alone, (..., n, d) -> (..., d): the filter is a circular
        convolution."""
        kernel = torch.fft.irfft(torch.view_as_complex(self.filter), self.length, dim=0)
        filtered = torch.einsum("...nd,nd->...d", x, kernel.flip(0))
        return self._fed(self.first(x[..., -1, :] + self.dropout(filtered)))

    def _fed(self, x: Tensor) -> Tensor:
        return self.second(x + self.feed(x))


class FMLP(Backbone):
    """FMLP-Rec: learned places, then layers of :class:`Filter`; only the last place foretells."""

    def __init__(self, length: int, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.length, self.heads = length, heads
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.norm, self.dropout = nn.LayerNorm(width, eps=1e-12), nn.Dropout(dropout)
        self.layers = nn.ModuleList(Filter(length, width, dropout) for _ in range(layers))

    def forward(self, x: Tensor, sign: int) -> Read:
        """As in :class:`Backbone`."""
        states = self._filtered(windows(x, self.length))
        return Read(states, [states.unflatten(-1, (self.heads, -1))], [])

    def query(self, x: Tensor, there: Tensor, sign: int) -> tuple[Tensor, list[Tensor]]:
        """As in :class:`Backbone`, from one window a row instead of one an item."""
        count = there.sum(1)
        place = torch.arange(self.length, device=x.device) - self.length + count[:, None]  # in the row
        rows = torch.arange(len(x), device=x.device)[:, None]
        window = x[rows, place.clamp(0, x.shape[1] - 1)] * (place >= 0).unsqueeze(-1)
        return self._filtered(window) * (count > 0).unsqueeze(-1), []

    def _filtered(self, x: Tensor) -> Tensor:
        """Windows (..., n, d) -> what the layers make of the last place, (..., d)."""
        x = self.dropout(self.norm(x + self.place))
        for layer in self.layers[:-1]:
            x = layer(x)
        return self.layers[-1].last(x)
