"""Next-item models of LIFT's Table 3: FPMC, TransRec, NARM, GRU4Rec and SASRec, behind one interface.

Each reads a user and the items of the own clicks so far, and answers with a query vector; an item's
score is an inner product and a bias, score_j = <query, vector_j> + b_j, so that all items are scored by
one matrix product. ``user`` is (B,) codes; ``history`` (B, T) item codes, oldest first, padded with 0 on
the right. A query exists after *every* event of a history, so one pass over a sequence trains on each of
its steps. An empty history has a query of its own only in FPMC and TransRec; elsewhere it is zero.

Departures, for all of them
---------------------------
* The papers' regularisers are left to the optimizer's weight decay, and their own SGD or Adagrad
  schedules to whoever trains. One loop serves all.
* Windows of a sequence are read from their first event on, whatever came before.
* ``loss`` starts as the paper's own; any of ``LOSSES`` may take its place, so that networks can be
  compared under one loss. Sampled negatives are uniform over all items; those that occur in the window
  itself are left out, which is the uniform draw from the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.baselines.blocks import check_network
from workbench.errors import ConfigError
from workbench.methods.layers import TransformerBlock, through, visible
from workbench.methods.next_item import NextItem, table


class FPMC(NextItem):
    """Factorising Personalised Markov Chains (Rendle et al. 2010), with baskets of one item.

    score = <V_u^UI, V_i^IU> + <V_l^LI, V_i^IL>: what the user likes plus what follows the last item l.
    Trained by S-BPR. Departure: user factors start at zero, so that a user who was not there in training
    is asked about the last item only.
    """

    def __init__(self, users: int, items: int, width: int = 32, loss: str = "bpr") -> None:
        check_network(dropout=0.0, width=width)
        super().__init__(users, items, loss)
        self.user = table(users, width, std=0.0)
        self.last = table(items, width)
        self.item = table(items, 2 * width)  # V^IU and V^IL side by side

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, None]:
        """As in :class:`NextItem`, D = 2 width; no attention."""
        taste = self.user(user).unsqueeze(1).expand(-1, history.shape[1], -1)
        return torch.cat([taste, self.last(history)], -1), None

    def forward(self, user: Tensor, history: Tensor, return_weights: bool = False):
        """As in :class:`NextItem`; without a history, the user's part alone."""
        query = torch.cat([self.user(user), self.last(_last(history))], -1)
        return (query, None) if return_weights else query

    def vectors(self) -> tuple[Tensor, None]:
        """As in :class:`NextItem`."""
        return self.item.weight, None


class TransRec(NextItem):
    """Translation-based recommendation (He et al. 2017, Section 3): a user moves from item to item.

    score = b_j - ||gamma_l + t + t_u - gamma_j||^2, with gamma in the unit ball; t is everybody's
    translation, t_u the user's own. Trained by S-BPR.

    As an inner product: with q = gamma_l + t + t_u the query is [2 q, -||q||^2], the item's vector
    [gamma_j, 1] and its bias b_j - ||gamma_j||^2. Departure: gamma is scaled into the ball where it is
    read instead of after every step, which constrains it alike.
    """

    def __init__(self, users: int, items: int, width: int = 32, loss: str = "bpr") -> None:
        check_network(dropout=0.0, width=width)
        super().__init__(users, items, loss)
        self.user = table(users, width, std=0.0)  # a user without clicks moves as everybody does
        self.everybody = nn.Parameter(torch.randn(width) * 0.1)
        self.item = table(items, width)
        self.bias = nn.Parameter(torch.zeros(items))

    def gamma(self) -> Tensor:
        """The items' places in the unit ball, (V, width)."""
        return self.item.weight / self.item.weight.norm(dim=-1, keepdim=True).clamp(min=1.0)

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, None]:
        """As in :class:`NextItem`, D = width + 1; no attention."""
        start = functional.embedding(history, self.gamma())
        place = start + (self.everybody + self.user(user)).unsqueeze(1)
        return torch.cat([2 * place, -place.square().sum(-1, keepdim=True)], -1), None

    def forward(self, user: Tensor, history: Tensor, return_weights: bool = False):
        """As in :class:`NextItem`; without a history, from the origin."""
        query = self.states(user, _last(history).unsqueeze(1))[0].squeeze(1)
        return (query, None) if return_weights else query

    def vectors(self) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`."""
        gamma = self.gamma()
        return functional.pad(gamma, (0, 1), value=1.0), self.bias - gamma.square().sum(-1)


class GRU4Rec(NextItem):
    """Session-based recommendations with recurrent networks (Hidasi et al. 2016): r = W h_T + b.

    h_1..h_T = GRU(x_1..x_T); each item has one vector where it is read and another in W. Trained by TOP1:
    what the other sequences of the batch have at the same step are negatives, popular items more often.

    Departures: the paper found one-hot inputs a little better than an embedding, which is what x is here;
    no tanh on the scores; sequences are unrolled whole instead of session-parallel.
    """

    def __init__(
        self,
        users: int,
        items: int,
        width: int = 64,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.2,
        loss: str = "top1",
    ) -> None:
        check_network(dropout=dropout, width=width, hidden=hidden, layers=layers)
        super().__init__(users, items, loss)
        self.item, self.out = table(items, width), table(items, hidden)
        self.bias = nn.Parameter(torch.zeros(items))
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(width, hidden, layers, batch_first=True)

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, None]:
        """As in :class:`NextItem`, D = hidden; no attention. Users are not read."""
        return self.rnn(self.dropout(self.item(history)))[0], None  # padding comes after all events

    def vectors(self) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`."""
        return self.out.weight, self.bias


class NARM(NextItem):
    """Neural Attentive Recommendation Machine (Li et al. 2017, Section 3): a GRU and attention.

    h = GRU(x); global c^g_t = h_t; local c^l_t = sum_{j <= t} alpha_tj h_j with
    alpha_tj = v^T sigma(A_1 h_t + A_2 h_j), not normalised; score = emb_i^T B [c^g_t, c^l_t]. Trained by
    the cross-entropy over all items.

    Departure: the paper cuts each session into all its prefixes; here one pass gives every prefix its
    own attention, which is the same loss.
    """

    def __init__(
        self,
        users: int,
        items: int,
        width: int = 64,
        hidden: int = 64,
        dropout: float = 0.25,
        decoder_dropout: float = 0.5,
        loss: str = "softmax",
    ) -> None:
        check_network(dropout=dropout, width=width, hidden=hidden)
        check_network(dropout=decoder_dropout)
        super().__init__(users, items, loss)
        self.item = table(items, width)
        self.rnn = nn.GRU(width, hidden, batch_first=True)
        self.asks, self.asked = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))  # A_1 and A_2
        self.v = nn.Linear(hidden, 1, bias=False)
        self.decode = nn.Linear(2 * hidden, width, bias=False)  # B
        self.before, self.after = nn.Dropout(dropout), nn.Dropout(decoder_dropout)

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`, D = width, and alpha (B, T, T), any real numbers. Users are not read."""
        h, _ = self.rnn(self.before(self.item(history)))  # (B, T, H)
        mixed = torch.sigmoid(self.asks(h).unsqueeze(2) + self.asked(h).unsqueeze(1))  # (B, T, T, H)
        alpha = self.v(mixed).squeeze(-1) * visible(history > 0, causal=True)
        return self.decode(self.after(torch.cat([h, alpha @ h], -1))), alpha

    def vectors(self) -> tuple[Tensor, None]:
        """As in :class:`NextItem`."""
        return self.item.weight, None


class SASRec(NextItem):
    """Self-attentive sequential recommendation (Kang & McAuley 2018, Section III): a causal Transformer.

    x_t = sqrt(d) emb(i_t) + p_t; blocks of self-attention and feed-forward that see no later event;
    score = <F_T, emb_i>, with the table of the inputs. Trained by binary cross-entropy with one negative
    a step.

    Departures: our shared block has a feed-forward layer four times as wide with GELU (the paper: as
    wide, with ReLU). Places count from the window's first event, not back from its last, since windows
    are padded on the right.
    """

    def __init__(
        self,
        users: int,
        items: int,
        width: int = 64,
        length: int = 50,
        layers: int = 2,
        heads: int = 1,
        dropout: float = 0.2,
        loss: str = "bce",
    ) -> None:
        check_network(dropout=dropout, width=width, length=length, layers=layers, heads=heads)
        super().__init__(users, items, loss)
        self.item = table(items, width, std=width**-0.5)
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """As in :class:`NextItem`, D = width, and weights (layers, B, heads, T, T). Users are not read."""
        T = history.shape[1]
        if len(self.place) < T:
            raise ConfigError(f"{T} events of history, but the model was made for length {len(self.place)}")
        return self.encode(self.item(history), visible(history > 0, causal=True))

    def encode(self, x: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Item vectors (B, T, width), which of them each may see (B, T, T) -> as :meth:`states`."""
        x = self.dropout(x * self.item.embedding_dim**0.5 + self.place[: x.shape[1]])
        x, weights = through(self.blocks, x, allowed)
        return self.norm(x), torch.stack(weights)

    def vectors(self) -> tuple[Tensor, None]:
        """As in :class:`NextItem`."""
        return self.item.weight, None


def _last(history: Tensor) -> Tensor:
    """The last item of histories (B, T), 0 for an empty one: (B,)."""
    at = (history > 0).sum(-1, keepdim=True) - 1
    return history.gather(1, at.clamp(min=0)).squeeze(1)


TOP_N = {"FPMC": FPMC, "TransRec": TransRec, "NARM": NARM, "GRU4Rec": GRU4Rec, "SASRec": SASRec}
