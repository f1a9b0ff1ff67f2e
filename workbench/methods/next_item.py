"""What a next-item model is, and the losses it may learn by.

A model reads a user and the items so far, and answers with a query vector; an item's score is an inner
product and a bias, score_j = <query, vector_j> + b_j, so that all items are scored by one matrix product
(DualRec, Eq. 12). ``user`` is (B,) codes; ``history`` (B, T) item codes, oldest first, padded with 0 on the
right. A query exists after *every* event of a history, so one pass over a sequence trains on each of its
steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import unknown, whole
from workbench.methods.layers import last_state

LOSSES = ("bpr", "bce", "top1", "softmax")
AT_ONCE = 128  # steps whose scores of all items are held together; a GPU takes 64 times as many


class NextItem(nn.Module):
    """What a next-item model is. A subclass gives :meth:`states` and :meth:`vectors`.

    users, items : how many codes there are, 0 included; models that do not know users are told as well,
        so that all are made alike.
    loss : of :meth:`training_loss`. "bpr" is -ln sigma(r_i - r_j) with one negative j a step (Rendle et
        al. 2009), "bce" -ln sigma(r_i) - ln sigma(-r_j); "top1" compares with what the other sequences of
        the batch have at the same step, sigma(r_j - r_i) + sigma(r_j^2) (Hidasi et al. 2016); "softmax"
        is the cross-entropy over all items.
    """

    def __init__(self, users: int, items: int, loss: str) -> None:
        if loss not in LOSSES:
            raise unknown("loss", loss, LOSSES)
        for name, value in (("users", users), ("items", items)):
            whole(name, value)
        super().__init__()
        self.users, self.items, self.loss = users, items, loss

    def states(self, user: Tensor, history: Tensor) -> tuple[Tensor, Tensor | None]:
        """Queries (B, T, D) after each event, of no meaning after padding; and attention, if there is any."""
        raise NotImplementedError

    def vectors(self) -> tuple[Tensor, Tensor | None]:
        """Vectors (V, D) and biases (V,) of the V item codes; those of code 0 mean nothing."""
        raise NotImplementedError

    def forward(
        self, user: Tensor, history: Tensor, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Query (B, D) after the last event, and on request the attention as :meth:`states` gives it."""
        states, weights = self.states(user, history)
        query = last_state(states, history > 0)
        return (query, weights) if return_weights else query

    def score(self, user: Tensor, history: Tensor, items: Tensor) -> Tensor:
        """Scores (B, C) of some items (B, C) as the next one, on any real scale."""
        return self._some(self(user, history), items)

    def score_all(self, user: Tensor, history: Tensor) -> Tensor:
        """Scores (B, V) of every item code as the next one; column 0 means nothing."""
        vectors, bias = self.vectors()
        query = self(user, history)
        return query @ vectors.T if bias is None else torch.addmm(bias, query, vectors.T)

    def training_loss(self, user: Tensor, sequence: Tensor, per: float | None = None) -> Tensor:
        """Mean loss over the steps of some sequences, a scalar; it draws from torch's generators.

        user (B,); sequence (B, T) item codes as a history. per : steps a sequence over which the mean is
        taken. With the mean of :meth:`steps` over a training set every step of it weighs the same, whatever
        batch it comes in; the default, those of this batch, favours the steps of short sequences wherever
        a batch holds sequences of one length.
        """
        mean, count = self.mean_loss(user, sequence)
        return mean if per is None else mean * (count / (per * len(sequence)))

    def steps(self, length: Tensor) -> Tensor:
        """How many steps sequences of some lengths (n,) have: (n,)."""
        return (length - 1).clamp(min=0)

    def mean_loss(self, user: Tensor, sequence: Tensor) -> tuple[Tensor, Tensor | int]:
        """Mean over the steps of these sequences, and how many steps that are.

        Here each event but the first is a target, and what comes before it in the window is its history.
        """
        states, _ = self.states(user, sequence[:, :-1])
        target, there = sequence[:, 1:], sequence[:, 1:] > 0
        if self.loss == "top1":
            return _top1(states, target, there, *self.vectors()), there.sum()
        query, chosen = states[there], target[there]  # (n, D), (n,)
        if self.loss == "softmax":
            return full_softmax(query, chosen, *self.vectors()) / max(len(chosen), 1), len(chosen)
        drawn = torch.randint(1, self.items, chosen.shape, device=chosen.device)
        line = there.nonzero()[:, 0]
        fair = (sequence[line] != drawn[:, None]).all(-1)
        right, wrong = self._some(query, torch.stack([chosen, drawn], -1)).unbind(-1)
        if self.loss == "bpr":
            loss = -functional.logsigmoid(right - wrong)
        else:
            loss = -functional.logsigmoid(right) - functional.logsigmoid(-wrong)
        return (loss * fair).sum() / fair.sum().clamp(min=1), len(chosen)

    def _some(self, query: Tensor, items: Tensor) -> Tensor:
        vectors, bias = self.vectors()
        scores = (functional.embedding(items, vectors) @ query.unsqueeze(-1)).squeeze(-1)
        return scores if bias is None else scores + bias[items]


class _FullSoftmax(torch.autograd.Function):
    """Weighted sum of cross-entropies over all items; see :func:`full_softmax`."""

    @staticmethod
    def forward(ctx, query: Tensor, vectors: Tensor, bias: Tensor | None, target: Tensor, weight: Tensor):
        """query (n, D), vectors (V, D), bias (V,) or None, target (n,) from 0, weight (n,) -> scalar."""
        to_query, to_vectors = torch.empty_like(query), torch.zeros_like(vectors)
        vectors, into = vectors[1:], to_vectors[1:]
        to_bias = None if bias is None else torch.zeros_like(bias)
        total = query.new_zeros(())
        in_bits = query * (1 / math.log(2))  # scores as powers of 2: three times as fast to raise
        step = AT_ONCE * (1 if query.device.type == "cpu" else 64)
        held = query.new_empty(len(vectors) * min(step, max(len(query), 1)))
        for at in range(0, len(query), step):
            some = slice(at, at + step)
            q, asked, w = in_bits[some], target[None, some], weight[some]
            # items down, steps across: the three products of this layout are the fastest
            p = held[: len(vectors) * len(q)].view(len(vectors), len(q))
            if bias is None:
                torch.mm(vectors, q.T, out=p)
            else:
                torch.addmm(bias[1:, None], vectors, q.T, beta=1 / math.log(2), out=p)
            right, top = p.gather(0, asked), p.amax(0)
            mass = p.sub_(top).exp2_().sum(0)
            total += ((mass.log2() + top - right[0]) * w).sum() * math.log(2)
            p.mul_(w / mass).scatter_add_(0, asked, -w[None])  # the gradient of every score
            torch.mm(p.T, vectors, out=to_query[some])
            into.addmm_(p, query[some])
            if to_bias is not None:
                to_bias[1:] += p.sum(1)
        ctx.save_for_backward(to_query, to_vectors, to_bias)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor):
        """The gradients are there already; they are scaled."""
        to_query, to_vectors, to_bias = (None if x is None else x * gradient for x in ctx.saved_tensors)
        return to_query, to_vectors, to_bias, None, None


def full_softmax(
    query: Tensor, target: Tensor, vectors: Tensor, bias: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Weighted sum over n steps of -log softmax(scores over all items)[target]; DualRec, Eq. 12-14.

    query (n, D); target (n,) item codes from 1; vectors (V, D) and bias (V,) of the V codes, of which 0 is
    no item and takes no part; weight (n,), default 1. Returns a scalar.

    The scores of ``AT_ONCE`` steps exist at a time and become their own gradient in place, so that neither
    memory nor a second pass is spent on (n, V) numbers. Second derivatives do not exist.
    """
    weight = query.new_ones(len(query)) if weight is None else weight
    return _FullSoftmax.apply(query, vectors, bias, target - 1, weight)


def _top1(states: Tensor, target: Tensor, there: Tensor, vectors: Tensor, bias: Tensor | None) -> Tensor:
    """TOP1 with in-batch negatives: states (B, T, D), target and there (B, T) -> scalar."""
    items = functional.embedding(target.T, vectors)  # (T, B, D)
    scores = states.transpose(0, 1) @ items.mT  # (T, B, B): line i asks for sequence i
    if bias is not None:
        scores = scores + bias[target.T].unsqueeze(1)
    right = scores.diagonal(dim1=1, dim2=2).unsqueeze(-1)
    loss = torch.sigmoid(scores - right) + torch.sigmoid(scores.square())
    pairs = there.T.unsqueeze(1) & there.T.unsqueeze(2) & (target.T.unsqueeze(1) != target.T.unsqueeze(2))
    return (loss * pairs).sum() / pairs.sum().clamp(min=1)


def table(rows: int, width: int, std: float = 0.1) -> nn.Embedding:
    """Embeddings with a normal start; code 0 is the zero vector and stays it."""
    embedding = nn.Embedding(rows, width, padding_idx=0)
    nn.init.normal_(embedding.weight, std=std)
    with torch.no_grad():
        embedding.weight[0] = 0.0
    return embedding
