"""Next-item models of DualRec's Table 2 that read the user and the last L items: Caser and HGN.

Both answer after every event: the windows of the L items up to each event lie side by side, padded with the
zero vector where a history is shorter. See :mod:`workbench.methods.next_item` for the interface.

Departures, for both: a step foretells the next item alone, not the next three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.baselines.blocks import check_network
from workbench.methods.layers import windows
from workbench.methods.next_item import NextItem, table


class Caser(NextItem):
    """Convolutional sequence embedding (Tang & Wang 2018, Section 3).

    The window is an L x d image. Filters of h x d, h = 1 .. L, slide over it and keep their maximum; vertical
    filters of L x 1 are weighted sums of the items. z = relu(W [both] + b); score_j = <[z, P_u], w_j> + b_j.
    """

    def __init__(
        self,
        users: int,
        items: int,
        width: int = 64,
        length: int = 5,
        wide: int = 16,
        tall: int = 4,
        dropout: float = 0.5,
        loss: str = "bce",
    ) -> None:
        check_network(dropout=dropout, width=width, length=length, wide=wide, tall=tall)
        super().__init__(users, items, loss)
        self.length = length
        self.item, self.user = table(items, width), table(users, width)
        self.across = nn.ModuleList(nn.Conv1d(width, wide, h) for h in range(1, length + 1))
        self.down = nn.Linear(length, tall, bias=False)
        self.into = nn.Linear(wide * length + tall * width, width)
        self.dropout = nn.Dropout(dropout)
        self.out, self.bias = table(items, 2 * width), nn.Parameter(torch.zeros(items))

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, None]:
        """As in :class:`NextItem`, D = 2 width; no attention."""
        B, T = history.shape
        images = windows(self.item(history), self.length).flatten(0, 1).mT  # (B T, d, L)
        found = [torch.relu(filters(images)).amax(-1) for filters in self.across]
        z = torch.cat([*found, self.down(images).flatten(1)], -1)
        z = torch.relu(self.into(self.dropout(z))).view(B, T, -1)
        return torch.cat([z, self.user(user).unsqueeze(1).expand_as(z)], -1), None

    def vectors(self) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`."""
        return self.out.weight, self.bias


class HGN(NextItem):
    """Hierarchical gating networks (Ma et al. 2019, Section 4): which features count, and which items.

    Feature gate: s_i = x_i * sigmoid(W_1 x_i + W_2 u + b); instance gate: alpha_i = sigmoid(w_3 s_i + W_4 u),
    m = sum_i alpha_i s_i / sum_i alpha_i; score_j = <u, w_j> + <m, w_j> + sum_i <x_i, w_j>. Trained by BPR.

    Departure: b_j is left to the optimizer as in the authors' code, where the paper has none.
    """

    def __init__(self, users: int, items: int, width: int = 64, length: int = 5, loss: str = "bpr") -> None:
        check_network(dropout=0.0, width=width, length=length)
        super().__init__(users, items, loss)
        self.length = length
        self.item, self.user = table(items, width), table(users, width)
        self.feature, self.feature_user = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.instance, self.instance_user = (
            nn.Linear(width, 1, bias=False),
            nn.Linear(width, length, bias=False),
        )
        self.out, self.bias = table(items, width), nn.Parameter(torch.zeros(items))

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`, D = width, and alpha (B, T, L), shares of the window's items."""
        u = self.user(user)[:, None, None]  # (B, 1, 1, d)
        x = windows(self.item(history), self.length)
        there = windows((history > 0).unsqueeze(-1).to(x.dtype), self.length).squeeze(-1)
        gated = x * torch.sigmoid(self.feature(x) + self.feature_user(u))
        alpha = torch.sigmoid(self.instance(gated).squeeze(-1) + self.instance_user(u).squeeze(1)) * there
        alpha = alpha / alpha.sum(-1, keepdim=True).clamp(min=1e-8)
        m = (alpha.unsqueeze(-1) * gated).sum(-2)
        return u.squeeze(1) + m + x.sum(-2), alpha

    def vectors(self) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`."""
        return self.out.weight, self.bias
