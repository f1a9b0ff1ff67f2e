"""What the click models of the papers' tables share: an event as a vector, checks of their configuration.

Departure, for all of them: their papers' histories hold clicks only, ours hold every exposure, so an
event's label is embedded like one more field. The target has the token MASKED in that place, and
events and target are vectors of one size that can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import ConfigError, whole
from workbench.methods.layers import ABSENT, MASKED, Events, FieldEmbedding, Sample


class EventEmbedding(nn.Module):
    """Events as vectors of ``size`` = (M + 1) w: their M field embeddings and that of their label token.

    Padding is the zero vector.
    """

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.fields = FieldEmbedding(sizes, width)
        self.tokens = nn.Parameter(torch.randn(ABSENT, width) * 0.1)  # not clicked, clicked, MASKED
        self.size = (len(sizes) + 1) * width

    def forward(self, events: Events, token: Tensor | None = None) -> Tensor:
        """Events (...) -> (..., (M + 1) w). ``token`` (...) takes the place of the label tokens."""
        token = events.token if token is None else token
        table = functional.pad(self.tokens, (0, 0, 0, 1))  # ABSENT is a row of zeros
        label = functional.embedding(token, table)
        return torch.cat([self.fields(events.codes).flatten(-2), label], -1)

    def hidden(self, events: Events) -> Tensor:
        """The same with every label MASKED; it is not read."""
        return self(events, torch.where(events.there, MASKED, ABSENT))


def bilinear(size: int) -> nn.Linear:
    """W of the scores k^T W q, to be used as ``k @ W(q)``: it starts as I / sqrt(size).

    So it starts by preferring keys that share values with the query, without saturating a softmax.
    """
    layer = nn.Linear(size, size, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(size) / size**0.5)
    return layer


def bilinear_scores(keys: Tensor, query: Tensor) -> Tensor:
    """keys (..., K, d), query W q (..., d) -> scores (..., K)."""
    return (query.unsqueeze(-2) @ keys.mT).squeeze(-2)  # several times faster than keys times a column


def events_of(sample: Sample, part: str) -> Events:
    """A part of the sample as events, or ConfigError if it is missing or comes encoded."""
    events = getattr(sample, part)
    if not isinstance(events, Events):
        kind = "missing" if events is None else "already encoded"
        raise ConfigError(f"the model reads the events of sample.{part}, which are {kind}")
    return events


LISTS = {"sizes": 1, "unit": 1, "mlp": 0, "select": 0}  # options that are lists, and their least length


def check_network(*, dropout: float, **options: int | Sequence[int]) -> None:
    """ConfigError unless dropout lies in [0, 1) and all else is a whole number from 1, or a list of such.

    ``sizes`` are the rows of the embedding tables; ``mlp``, ``unit`` and ``select`` list the hidden
    layers of the head, of DIN's activation unit and of UBR's selector. The rest are single numbers.
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigError(f"dropout must be a number from 0 to below 1, not {dropout!r}")
    for name, value in options.items():
        if name in LISTS and not (isinstance(value, list | tuple) and len(value) >= LISTS[name]):
            raise ConfigError(f"{name} must list at least {LISTS[name]} whole numbers, not {value!r}")
        for number in value if name in LISTS else [value]:
            whole(name, number)
