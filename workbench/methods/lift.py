"""LIFT, Look into the Future: the past *and future* of similar interactions as context for a prediction.

Reads beside the paper: what is masked (Eqs. 9-10), the encoder E_ω (Eqs. 5-7), what a datastore keeps of a
context (Eqs. 6, 11), the predictor F_θ (Eqs. 14-18), and both together (Eqs. 3 and 8). The retriever R
(Eqs. 4, 12, 13) is :mod:`workbench.methods.retrieval`; windows c_z = (h_z, f_z) (Eq. 1) are
:mod:`workbench.data.histories`.

Departures, each a switch of :class:`LIFTConfig` whose default is the paper's literal form:

- ``represent``: the paper takes the final state o_T. The loss of Eq. 10 reaches only states of *masked*
  events, and o_T is not masked, so nothing ever trained it. "ask" appends masked interactions ("probes")
  to a sequence and takes the encoder's answers to them, and to the target itself for h_t; "probes" leaves
  the target out; "mean" is the mean state.
- ``neighbor_label``: Eq. 11 leaves the label of the retrieved interaction out (ambiguity L1). "key" appends
  its embedding to the key; "split" also sums the contexts of clicked and of other neighbours apart.
- ``match``: Eq. 17 concatenates h_t, e_r^h and e_r^f. ``match`` also gives the predictor inner products of
  h_t with each of them, the interaction of Eq. 16 between sequences.
- ``reverse_future``: the last state of a future in order of time is the one furthest from the retrieved
  interaction (L8). Reversed, the nearest event comes last.
- Eq. 17 lists x_inter only; as its text says, the embeddings themselves are fed in too, unless
  ``literal_eq17`` (L12).

Where the paper is silent (L23, L11, and the MLP): v = 32, w = 8 and four heads, which two cores train in a
minute; pre-norm blocks; W of Eq. 14 starts near I / sqrt(Mw); the predictor normalises its input over the
batch; the encoder's embeddings start with standard deviation 1: from 0.1 the transformer did not learn to
compare events in the time given (lesson 03).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.layers import (
    MASKED,
    MLP,
    Events,
    FieldEmbedding,
    Interaction,
    Sample,
    TransformerBlock,
    aggregate,
    last_state,
    masked_softmax,
    mean_state,
    through,
    visible,
)
from workbench.methods.lift_config import LIFTConfig


def mask_behaviours(there: Tensor, ratio: float | str, generator: torch.Generator | None = None) -> Tensor:
    """Eq. 9: which behaviours of a sequence are masked.

    there : (B, T) bool, at least one True in each line. Returns (B, T) bool: in each line exactly
    round(ratio * events), at least 1, drawn afresh at every call; for "last" the last event alone.
    """
    events = there.sum(-1, keepdim=True)
    if ratio == "last":
        return there & (torch.arange(there.shape[-1], device=there.device) == events - 1)
    draw = torch.rand(there.shape, generator=generator, device=there.device).masked_fill(~there, 2.0)
    return draw.argsort(-1).argsort(-1) < (ratio * events).round().clamp(min=1)


class Encoder(nn.Module):
    """E_ω (Section 4.2): a sequence of interactions to one vector (Eq. 5), and the head of Eq. 10.

    sizes : rows of the table of each of the M fields. Kinds: "decoder" sees no later event (the paper's
    choice), "encoder" sees all, "rnn" is a GRU (Table 4).
    """

    def __init__(self, sizes: list[int], config: LIFTConfig) -> None:
        super().__init__()
        v = config.size
        self.config = config
        self.embedding = FieldEmbedding(sizes, config.width, std=1.0)
        self.into = nn.Linear(len(sizes) * config.width, v)
        self.token = nn.Embedding(4, v)  # 0, 1, MSK, and nothing there
        if config.encoder == "rnn":
            between = config.dropout if config.layers > 1 else 0.0  # a GRU drops between its layers only
            self.rnn = nn.GRU(v, v, config.layers, batch_first=True, dropout=between)
        else:
            self.place = nn.Parameter(torch.randn(config.length, v) * 0.1)
            self.blocks = nn.ModuleList(
                TransformerBlock(v, config.heads, config.dropout) for _ in range(config.layers)
            )
        self.norm = nn.LayerNorm(v)
        self.head = MLP([v, v, 1])
        self.register_buffer("probes", torch.zeros(config.probes, len(sizes), dtype=torch.int64))

    @property
    def value_size(self) -> int:
        """Numbers in the representation of a sequence: v, or one for each probe."""
        return self.config.probes if self.config.asks else self.config.size

    @property
    def own_size(self) -> int:
        """Numbers in h_t as :meth:`recall` gives it."""
        return self.value_size + (self.config.size + 1 if self.config.represent == "ask" else 0)

    def forward(self, events: Events, masked: Tensor | None = None, return_weights: bool = False):
        """States O of a sequence: events (B, T), masked (B, T) bool -> (B, T, v).

        With ``return_weights`` also the attention of each layer, a list of (B, heads, T, T).
        """
        x = self._read(events, masked)
        if self.config.encoder == "rnn":
            states = self.norm(self.rnn(x)[0])
            return (states, []) if return_weights else states
        x, weights = through(self.blocks, x, visible(events.there, self.config.encoder == "decoder"))
        return (self.norm(x), weights) if return_weights else self.norm(x)

    def ask(self, events: Events, queries: Tensor) -> Tensor:
        """States at masked interactions that follow a sequence, each as if it alone came next.

        events (B, T), queries (B or 1, Q, M) codes -> (B, Q, v). A query sees the sequence and itself; no
        event sees a query, not even where the encoder is bidirectional. Of L events the first is left
        out: with the query they would be L + 1, and no such place was ever trained.
        """
        events = newest(events, self.config.length - 1)
        B, Q = len(events.there), queries.shape[1]
        x, end = self._read(events), events.there.sum(-1)
        q = self.into(self.embedding(queries).flatten(-2)) + self.token.weight[MASKED]  # (B or 1, Q, v)
        if self.config.encoder == "rnn":
            state = self._after(x, end).repeat_interleave(Q, 1)
            step = q.expand(B, -1, -1).flatten(0, 1).unsqueeze(1)
            return self.norm(self.rnn(step, state)[0]).view(B, Q, -1)
        q = q + self.place[end].unsqueeze(1)
        allowed = visible(events.there, self.config.encoder == "decoder")
        for block in self.blocks:
            q = block.answer(q, x, events.there)
            if block is not self.blocks[-1]:
                x, _ = block(x, allowed)
        return self.norm(q)

    def behaviour(self, states: Tensor) -> Tensor:
        """Logits of MLP(o_i) in Eq. 10: (..., v) -> (...)."""
        return self.head(states).squeeze(-1)

    def represent(self, events: Events) -> Tensor:
        """Eq. 5: s = E_ω(s), (B, T) events -> (B, value_size); zero for an empty sequence (L15)."""
        if self.config.asks:
            answers = self.behaviour(self.ask(events, self.probes[None]))
            return answers * events.there.any(-1, keepdim=True)
        states = self(events)
        pool = last_state if self.config.represent == "last" else mean_state
        return pool(states, events.there)

    def recall(self, history: Events, target: Tensor) -> Tensor:
        """h_t of Eq. 17: the target user's own history, (B, L) events -> (B, own_size).

        "ask" puts first what the encoder says of the target itself: target (B, M) codes, no label.
        """
        if self.config.represent != "ask":
            return self.represent(history)
        queries = torch.cat([self.probes.expand(len(target), -1, -1), target[:, None]], 1)
        states = self.ask(history, queries)
        said = self.behaviour(states)
        own = said[:, :-1] * history.there.any(-1, keepdim=True)  # as represent gives it
        return torch.cat([own, states[:, -1], said[:, -1:]], -1)

    def _read(self, events: Events, masked: Tensor | None = None) -> Tensor:
        """What enters the network: features, label token and place of every event, (B, T, v)."""
        T = events.there.shape[1]
        token = events.token if masked is None else torch.where(masked, MASKED, events.token)
        x = self.into(self.embedding(events.codes).flatten(-2)) + self.token(token)
        if self.config.encoder == "rnn":
            return x
        if len(self.place) < T:
            raise ConfigError(f"the encoder was made for sequences of {len(self.place)} events, not {T}")
        return x + self.place[:T]

    def _after(self, x: Tensor, end: Tensor) -> Tensor:
        """The GRU's state after the last event, (layers, B, v); padding does not move it."""
        state = x.new_zeros(self.config.layers, len(x), self.config.size)
        for t in range(x.shape[1]):
            _, moved = self.rnn(x[:, t : t + 1], state)
            state = torch.where((t < end)[None, :, None], moved, state)
        return state


def pretrain_loss(encoder: Encoder, events: Events, masked: Tensor) -> Tensor:
    """Eq. 10 (the summand of Eq. 7): mean binary cross-entropy of the masked behaviours alone."""
    logits = encoder.behaviour(encoder(events, masked)[masked])
    return functional.binary_cross_entropy_with_logits(logits, events.label[masked].float())


def key_attention(keys: Tensor, target: Tensor, W: Tensor, there: Tensor) -> Tensor:
    """Eq. 14: α_i = softmax_i(x_i^T W x_t) over the K retrieved keys; nothing is scaled.

    keys (B, K, D), target (B, E), W (D, E), there (B, K) bool -> (B, K), zero where nothing is.
    """
    # A row times many columns: torch multiplies that several times faster than many rows times a column.
    return masked_softmax(((target @ W.T).unsqueeze(1) @ keys.mT).squeeze(1), there)


class Predictor(nn.Module):
    """F_θ (Section 4.4): target, own history and aggregated contexts to a logit (Eqs. 14-18).

    value_size, own_size : of the encoder whose vectors it will be given.
    """

    def __init__(self, sizes: list[int], config: LIFTConfig, value_size: int, own_size: int) -> None:
        super().__init__()
        M, w = len(sizes), config.width
        self.config, self.value_size = config, value_size
        self.embedding = FieldEmbedding(sizes, w)  # its own table, not the encoder's (L10)
        labelled = int(config.neighbor_label != "none")
        self.label = nn.Embedding(2, w) if labelled else None
        start = torch.eye((M + labelled) * w, M * w) / (M * w) ** 0.5
        self.W = nn.Parameter(start + 0.01 * torch.randn_like(start))
        self.target_inter = Interaction(config.interaction, M, w)
        self.key_inter = Interaction(config.interaction, M + labelled, w)
        vectors = len(config.parts) * (2 if config.neighbor_label == "split" else 1)
        self.values_norm = nn.BatchNorm1d(value_size, affine=False)
        if config.match and vectors:
            self.metric = nn.Parameter((1 + 0.3 * torch.randn(vectors, 4, value_size)) / value_size**0.5)
        size = self.target_inter.size + self.key_inter.size + vectors * value_size + own_size
        size += 0 if config.literal_eq17 else (2 * M + labelled) * w
        size += vectors * 4 if config.match else 0
        self.norm = nn.BatchNorm1d(size)
        self.dropout = nn.Dropout(config.predictor_dropout)
        self.mlp = MLP([size, *config.hidden, 1], config.predictor_dropout)

    def forward(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Sample with encoded history (B, own_size), past and future (B, K, value_size).

        Returns logits (B,) and the key attention α (B, K).
        """
        target, near = self.embedding(sample.target.codes), sample.neighbours
        keys = self.embedding(near.codes)  # (B, K, M, w)
        if self.label is not None:
            keys = torch.cat([keys, self.label(near.label).unsqueeze(-2)], -2)
        weights = near.there / near.there.sum(-1, keepdim=True).clamp(min=1)
        if self.config.attention == "key":
            weights = key_attention(keys.flatten(-2), target.flatten(-2), self.W, near.there)
        key = aggregate(weights, keys.flatten(-2)).unflatten(-1, keys.shape[-2:])  # x_r, (B, M, w)
        hidden = [self.target_inter(target), self.key_inter(key)]
        if not self.config.literal_eq17:
            hidden += [target.flatten(-2), key.flatten(-2)]
        own, contexts = self._aggregated(sample, weights)
        if contexts is not None:
            hidden.append(contexts.flatten(-2))  # e_r^h and e_r^f of Eq. 17
            if self.config.match:
                both = own[:, None, : self.value_size] * contexts
                products = (both.transpose(0, 1) @ self.metric.mT).transpose(0, 1)  # (B, S, 4)
                hidden.append(products.flatten(-2))
        hidden = torch.cat([*hidden, own], -1)
        return self.mlp(self.dropout(self.norm(hidden))).squeeze(-1), weights

    def _aggregated(self, sample: Sample, weights: Tensor) -> tuple[Tensor, Tensor | None]:
        """h_t, and Eq. 14a: the contexts summed by α, for every part (and label), (B, S, value_size)."""
        parts = [getattr(sample, {"history": "past", "future": "future"}[p]) for p in self.config.parts]
        size, own = self.value_size, sample.history
        every = torch.cat([own[:, :size], *(part.flatten(0, 1) for part in parts)])
        real = every.abs().sum(-1, keepdim=True) > 0  # an empty sequence stays zero (L15)
        every = self.values_norm(every) * real  # one centre and scale for all, or they cannot be compared
        own = torch.cat([every[: len(own)], own[:, size:]], -1)
        if not parts:
            return own, None
        values = torch.cat([*every[len(own) :].view(len(parts), *weights.shape, size)], -1)
        by = weights.unsqueeze(1)
        if self.config.neighbor_label == "split":
            clicked = sample.neighbours.label.unsqueeze(1)
            by = torch.cat([by * clicked, by * (1 - clicked)], 1)  # (B, 2, K)
        sums = (by @ values).unflatten(-1, (len(parts), size))  # (B, 1 or 2, parts, value_size)
        return own, sums.transpose(1, 2).flatten(1, 2)


class LIFT(nn.Module):
    """Eq. 3: F_θ(x_t, h_t, C_t), with E_ω inside for whatever part of a sample is not encoded yet.

    After pretraining freeze the encoder (Eq. 8): then the predictor alone is trained, on stored vectors.
    Without pretraining both are trained end to end on windows of events (ambiguity L9).
    """

    def __init__(self, sizes: list[int], config: LIFTConfig, encoder: Encoder | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(sizes, config) if encoder is None else encoder
        self.predictor = Predictor(sizes, config, self.encoder.value_size, self.encoder.own_size)
        parts = {"history": "past", "future": "future"}
        self.needs = frozenset({"history", "neighbours", *(parts[part] for part in config.parts)})

    def freeze(self) -> LIFT:
        """Fix ω: no gradient and no dropout in the encoder from here on."""
        self.encoder.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> LIFT:
        """As for every module; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if not next(self.encoder.parameters()).requires_grad:
            self.encoder.eval()
        return self

    def forward(self, sample: Sample, return_weights: bool = False):
        """Logits (B,) of a sample; with ``return_weights`` also α of Eq. 14, (B, K)."""
        encoded = {}
        if isinstance(sample.history, Events):
            encoded["history"] = self.encoder.recall(sample.history, sample.target.codes)
        for part in self.needs & {"past", "future"}:
            if isinstance(window := getattr(sample, part), Events):
                encoded[part] = self.encode_contexts(window, part)
        logits, weights = self.predictor(sample._replace(**encoded))
        return (logits, weights) if return_weights else logits

    def encode_contexts(self, window: Events, part: str) -> Tensor:
        """Eq. 6: histories or futures (B, K, L) of the retrieved -> (B, K, value_size)."""
        flat = Events(*(x.flatten(0, 1) for x in window))
        if part == "future" and self.config.reverse_future:
            flat = reverse(flat)
        return self.encoder.represent(flat).view(*window.there.shape[:2], -1)


def newest(events: Events, length: int) -> Events:
    """The last ``length`` events of each sequence (B, T); padding stays on the right."""
    over = (events.there.sum(-1, keepdim=True) - length).clamp(min=0)
    return _picked(events, over + torch.arange(min(length, events.there.shape[1]), device=over.device))


def reverse(events: Events) -> Events:
    """Sequences (B, T) with the last event first; padding stays on the right."""
    T = events.there.shape[1]
    place = events.there.sum(-1, keepdim=True) - 1 - torch.arange(T, device=events.there.device)
    return _picked(events, place % T)  # what is below 0 goes round to the padding


def _picked(events: Events, place: Tensor) -> Events:
    """The events at some places (B, N) of their sequences."""
    codes = events.codes.gather(1, place.unsqueeze(-1).expand(-1, -1, events.codes.shape[-1]))
    return Events(codes, events.label.gather(1, place), events.there.gather(1, place))
