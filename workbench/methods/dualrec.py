"""DualRec (Zhang et al. 2022): a second encoder reads the future while training, and stays at home later.

The past encoder foretells the next item, the future encoder the previous one (Section 3.3); they share the
embedding layer, that is items (the output layer too) and relative positions, and nothing else. Every head of
every layer sees a window of its own size (Eq. 8-9), and what the two encoders' heads hold is drawn together
by a symmetric KL divergence (Eq. 10-11). Prediction asks the past encoder alone.

    model = DualRec(items, DualRecConfig())
    model.training_loss(user, sequence).backward()      # Eq. 14
    model.score_all(user, history)                      # (B, V)

The future of a sequence is the past of the reversed sequence. So the future encoder is a past encoder that
is handed the row backwards, its positions counted as negative distances; padding, on the right in either
case, comes after everything and is seen by nobody.

Departures
----------
* Rows are padded on the right and cut to the longest of their batch instead of padded on the left to n (D7).
* The KL of Eq. 10 is between softmaxes over the d/h numbers of a head, mean over positions, sum over heads,
  mean over layers (D4), at the two states that foretell the same target (D5).
* Eq. 14's sums are means over targets, every target of a training set weighing the same (``per``).
* Position biases are added to the scaled scores, one table for all layers and both encoders (D8).
* PFF has the inner width d (D19); dropout on embeddings, attention and both sub-layers' outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workbench.errors import ConfigError
from workbench.methods.backbones import FMLP, Backbone, Read, Recurrent
from workbench.methods.dualrec_config import DualRecConfig, window_sizes
from workbench.methods.layers import dropout
from workbench.methods.next_item import NextItem, full_softmax, table

AT_ONCE = 4096  # items of a batch; a larger one is read part by part, again for its gradient, to save memory


def backwards(sequence: Tensor, length: Tensor) -> Tensor:
    """Rows (B, T, ...) read from their last item to their first, padding staying on the right.

    length : (B,) items of each row.
    """
    places = length[:, None] - 1 - torch.arange(sequence.shape[1], device=sequence.device)
    rows = torch.arange(len(sequence), device=sequence.device)[:, None]
    there = (places >= 0).view(*places.shape, *[1] * (sequence.dim() - 2))
    return sequence[rows, places.clamp(min=0)] * there


def window_mask(length: int, sizes: list[int] | None, windows: str = "inclusive") -> Tensor:
    """Eq. 9, S_j(X, sigma): may query i look at key j? (h, T, T) bool; (1, T, T) where sizes are None.

    Both are counted in reading direction, so that the mask of the future encoder is the same, mirrored.
    """
    place = torch.arange(length)
    back = place[:, None] - place  # how many items before the query
    if sizes is None:
        return (back >= 0)[None]
    reach = torch.tensor(sizes)[:, None, None] + (windows == "inclusive")
    return (back >= 0) & (back < reach)


class Bias(nn.Module):
    """Eq. 3: one number for each head and relative distance -n+1 .. n-1, in a table for both encoders."""

    def __init__(self, length: int, heads: int) -> None:
        super().__init__()
        self.length = length
        self.table = nn.Parameter(torch.randn(2 * length - 1, heads) * 0.02)

    def forward(self, length: int, sign: int) -> Tensor:
        """(h, T, T) for queries i and keys j of a row read forwards (sign 1) or backwards (-1)."""
        place = torch.arange(length, device=self.table.device)
        distance = sign * (place[:, None] - place).clamp(min=0)  # keys after the query are never seen
        return self.table[distance + self.length - 1].permute(2, 0, 1)


class Sinusoids(nn.Module):
    """Relative positions of Transformer-XL (Dai et al. 2019, Section 3.3), as the authors' code has them.

    A score is ((q_i + u) k_j + (q_i + v) W r_{i-j}) / sqrt(d/h), with fixed sinusoids r and learned u, v, W.
    """

    def __init__(self, length: int, width: int, heads: int) -> None:
        super().__init__()
        rate = 10_000 ** (-torch.arange(0, width, 2) / width)
        angle = torch.arange(length)[:, None] * rate
        self.register_buffer("r", torch.cat([angle.sin(), angle.cos()], -1)[:, :width], persistent=False)
        self.into = nn.Linear(width, width, bias=False)
        self.u, self.v = (nn.Parameter(torch.randn(heads, 1, width // heads) * 0.02) for _ in range(2))

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """q, k (B, h, T, d/h) -> scores (B, h, T, T), not yet divided by sqrt(d/h)."""
        T, (heads, _, size) = q.shape[2], self.u.shape
        r = self.into(self.r[:T]).view(T, heads, size).transpose(0, 1)  # (h, T, d/h), by distance
        place = torch.arange(T, device=q.device)
        distance = (place[:, None] - place).clamp(min=0).expand(*q.shape[:2], T, T)
        return (q + self.u) @ k.mT + ((q + self.v) @ r.mT).gather(-1, distance)


class DualSelfAttention(nn.Module):
    """Eq. 4-5 and 9: heads that see windows of different sizes."""

    def __init__(self, config: DualRecConfig, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, dropout
        self.into = nn.Linear(config.width, 3 * config.width, bias=False)  # W^Q, W^K, W^V of all heads
        self.out = nn.Linear(config.width, config.width, bias=False)  # W^O
        sinusoids = config.positions == "sinusoids"
        self.sinusoids = Sinusoids(config.length, config.width, config.heads) if sinusoids else None

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, d), bias (h or 1, T, T), -inf where a query may not see a key, but itself always.

        Returns (B, T, d), heads (B, T, h, d/h) and weights (B, h, T, T).
        """
        B, T, d = x.shape
        q, k, v = self.into(x).view(B, T, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scale = 1 / math.sqrt(d // self.heads)
        scores = (q * scale) @ k.mT if self.sinusoids is None else self.sinusoids(q, k) * scale
        weights = torch.softmax((scores + bias).mT, -2).mT  # keys down: a softmax along short rows is slow
        heads = (dropout(weights, self.dropout, self.training) @ v).transpose(1, 2)
        return self.out(heads.flatten(2)), heads, weights


class Layer(nn.Module):
    """Eq. 6-7: attention and feed-forward, each added to its input and then normalised."""

    def __init__(self, config: DualRecConfig, dropout: float) -> None:
        super().__init__()
        d = config.width
        self.attention = DualSelfAttention(config, dropout)
        self.feed = nn.Sequential(
            nn.Linear(d, d), nn.GELU() if config.activation == "gelu" else nn.ReLU(), nn.Linear(d, d)
        )
        self.first, self.second = (
            nn.LayerNorm(d, eps=1e-12) if config.norm else nn.Identity() for _ in range(2)
        )
        self.dropout, self.residual = dropout, config.residual

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As in :class:`DualSelfAttention`."""
        attended, heads, weights = self.attention(x, bias)
        h = self.first(self._added(x, attended))  # H^(l)
        return self.second(self._added(h, self.feed(h))), heads, weights

    def _added(self, x: Tensor, change: Tensor) -> Tensor:
        change = dropout(change, self.dropout, self.training)
        return x + change if self.residual else change


class Transformer(Backbone):
    """Section 3.2: the base encoder. ``bias`` is Eq. 3's table, which belongs to both encoders."""

    def __init__(self, config: DualRecConfig, bias: Bias | None, dropout: float) -> None:
        super().__init__()
        self.config, self.bias = config, bias
        absolute = config.positions == "absolute"
        self.place = nn.Parameter(torch.randn(config.length, config.width) * 0.02) if absolute else None
        self.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config.layers))

    def forward(self, x: Tensor, sign: int) -> Read:
        """x (B, T, d) in reading direction; sign : 1 for a row read forwards, -1 backwards."""
        config, T = self.config, x.shape[1]
        everywhere = config.windows == "all" or (config.windows_in_training_only and not self.training)
        sizes = None if everywhere else window_sizes(config.heads, config.length)
        allowed = window_mask(T, sizes, config.windows).to(x.device)
        bias = x.new_zeros(allowed.shape) if self.bias is None else self.bias(T, sign)
        bias = bias.masked_fill(~allowed, -torch.inf)
        x = x if self.place is None else x + self.place[:T]
        if not x.requires_grad or x.shape[:2].numel() <= AT_ONCE:
            return self._layers(x, bias)
        parts = [
            checkpoint(self._layers, rows, bias, use_reentrant=False)._replace(weights=[])
            for rows in x.split(max(AT_ONCE // T, 1))
        ]
        heads = [torch.cat(layer) for layer in zip(*(part.heads for part in parts), strict=True)]
        return Read(torch.cat([part.states for part in parts]), heads, [])

    def _layers(self, x: Tensor, bias: Tensor) -> Read:
        heads, weights = [], []
        for layer in self.layers:
            x, head, weight = layer(x, bias)
            heads.append(head)
            weights.append(weight.detach())
        return Read(x, heads, weights)


def symmetric_kl(a: Tensor, b: Tensor) -> Tensor:
    """Eq. 10-11: (D_KL(p||q) + D_KL(q||p)) / 2 of p, q = softmax of a, b (..., n, c): (..., n).

    The sum is that of (p - q)(log p - log q). As p - q sums to 0, the normalisers of the logarithms drop out
    and (p - q)(a - b) is left.
    """
    p, q = (torch.softmax(x.mT, -2).mT for x in (a, b))
    return ((p - q) * (a - b)).sum(-1) / 2


class DualRec(NextItem):
    """Sections 3.3 to 3.5; ``score_all`` answers what Eq. 1 asks, which item comes next.

    items : codes there are, 0 included; users are not read. ``config.encoders`` leaves one encoder out
    (Table 5), or asks one in both directions (Table 3, w/o DE). A future encoder alone foretells the item
    before its row, so it is given the history with the newest item first (ambiguity D11).
    """

    def __init__(self, items: int, config: DualRecConfig) -> None:
        super().__init__(1, items, "softmax")
        self.config = config
        # GRU4Rec has no layer norm: from a small start it hardly learns
        recurrent = config.backbone == "gru4rec"
        self.item = table(items, config.width, std=0.1 if recurrent else 0.02)
        biased = config.backbone == "transformer" and config.positions == "bias"
        bias = Bias(config.length, config.heads) if biased else None
        self.past = _encoder(config, bias, config.dropout) if config.encoders != "future" else None
        if config.encoders in ("both", "future"):
            self.future = _encoder(config, bias, config.dropout if config.future_dropout else 0.0)
        else:
            self.future = self.past if config.encoders == "one" else None
        if not recurrent:
            self.apply(_normal_start)

    def read(self, sequence: Tensor, direction: str = "past") -> Read:
        """What one encoder makes of sequences (B, T) of item codes, in its own reading direction."""
        if direction == "future":
            sequence = backwards(sequence, (sequence > 0).sum(1))
        return self._encoded(self.embedded(sequence), direction)

    def _encoded(self, x: Tensor, direction: str) -> Read:
        return self.past(x, 1) if direction == "past" else self.future(x, -1)

    def embedded(self, sequence: Tensor) -> Tensor:
        """Eq. 2: (B, T) item codes -> (B, T, d), zero for padding."""
        if sequence.shape[1] > self.config.length:
            raise ConfigError(f"{sequence.shape[1]} items, but the model was made for {self.config.length}")
        return dropout(self.item(sequence), self.config.dropout, self.training)

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the past encoder, o^p_t after every item: (B, T, d), and weights (layers, B, h, T, T)."""
        read = self.read(history)
        return read.states, _stacked(read.weights)

    def forward(self, user: Tensor, history: Tensor, return_weights: bool = False):
        """Query (B, d) after the last item (Section 3.5.2), and on request the attention."""
        # a future encoder takes the newest item for the nearest of those that are still to come
        encoder, sign = (self.future, -1) if self.past is None else (self.past, 1)
        query, weights = encoder.query(self.embedded(history), history > 0, sign)
        return (query, _stacked(weights)) if return_weights else query

    def vectors(self) -> tuple[Tensor, None]:
        """The item embeddings (V, d), which are the output layer too (Eq. 12)."""
        return self.item.weight, None

    def steps(self, length: Tensor) -> Tensor:
        """Targets of each encoder in sequences of some lengths (n,): (n,)."""
        return (length - (2 if self.config.targets == "inner" else 1)).clamp(min=0)

    def mean_loss(self, user: Tensor, sequence: Tensor) -> tuple[Tensor, int]:
        """Eq. 14 of sequences (B, T) of at most n items, and how many targets each encoder had."""
        config, length = self.config, (sequence > 0).sum(1)
        alpha = {"past": 1.0, "future": 0.0}.get(config.encoders, config.alpha)
        shares = {"past": alpha, "future": 1 - alpha}
        rows = self.rows(sequence, length)
        if not config.transfers:
            rows = {direction: pair for direction, pair in rows.items() if shares[direction] > 0}
        looked_up = self.embedded(torch.cat([read for read, _ in rows.values()])).chunk(len(rows))
        reads = {direction: self._encoded(x, direction) for direction, x in zip(rows, looked_up, strict=True)}
        there = self.asked(length, sequence.shape[1])
        query = torch.cat([read.states[:, :-1][there] for read in reads.values()])
        query = dropout(query, config.dropout * config.output_dropout, self.training)
        target = torch.cat([foretold[:, 1:][there] for _, foretold in rows.values()])
        weight = query.new_tensor([shares[direction] for direction in rows]).repeat_interleave(
            int(there.sum())
        )
        count = len(query) // len(rows)
        loss = full_softmax(query, target, self.item.weight, weight=weight) / max(count, 1)
        if config.transfers:
            loss = loss + config.beta * self.transfer(reads["past"], reads["future"], length)
        return loss, count

    def rows(self, sequence: Tensor, length: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """What each encoder reads and what it is to foretell, (B, T) each, in its reading direction."""
        back = backwards(sequence, length)
        return {"past": (sequence, sequence), "future": (back, back)}

    def asked(self, length: Tensor, T: int) -> Tensor:
        """(B, T - 1) bool, in reading direction: which states but the last foretell a target?

        Eq. 14 asks both encoders about t = 2 .. n-1, so neither about the last item it reads.
        """
        return torch.arange(T - 1, device=length.device) < self.steps(length)[:, None]

    def transfer(self, past: Read, future: Read, length: Tensor) -> Tensor:
        """Eq. 10 for two Reads of the same rows, each in its direction: a mean, but the sum over heads."""
        compared = [self._compared(p, f, length) for p, f in zip(past.heads, future.heads, strict=True)]
        return sum(symmetric_kl(p, f).sum() / max(len(p), 1) for p, f in compared) / len(compared)

    def _compared(self, past: Tensor, future: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Heads (B, T, h, c) of both -> the pairs that Eq. 10 compares, (pairs, h, c) each."""
        if self.config.transfer == "mean":
            there = torch.arange(past.shape[1], device=length.device) < length[:, None]
            return tuple((x * there[..., None, None]).sum(1) / self.config.length for x in (past, future))
        # past state a has seen items 0..a; the future state that foretells a + 1 has seen a + 2 and later
        last = length - (3 if self.config.transfer == "target" else 1)
        row, place = (torch.arange(past.shape[1], device=length.device) <= last[:, None]).nonzero().T
        return past[row, place], future[row, last[row] - place]


def _encoder(config: DualRecConfig, bias: Bias | None, dropout: float) -> Backbone:
    sizes = {"width": config.width, "heads": config.heads, "layers": config.layers, "dropout": dropout}
    if config.backbone == "gru4rec":
        return Recurrent(**sizes)
    return FMLP(config.length, **sizes) if config.backbone == "fmlp" else Transformer(config, bias, dropout)


def _stacked(weights: list[Tensor]) -> Tensor | None:
    return torch.stack(weights) if weights else None


def _normal_start(module: nn.Module) -> None:
    """Weights N(0, 0.02) and no biases, as the authors start."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
