"""How long LCN predicts beside its peers: ``workbench bench lcn``.

One network, one set of weights per look, L events; a batch is 256 users with one candidate each, a request
one user with 256 candidates.

* ``workbench``: the attention pyramid with K1 = 200 and K2 = 50 (the paper's LCN-200-50).
* ``SIM soft, ours``: K = 50 in the same frame, so with the same ways to be quick.
* ``SIM soft``: the plain way. The embeddings of all L events are gathered for every candidate, to be searched
  and read; a request repeats its user's events for each of its candidates.
* ``full attention``: the library's multi-head attention over all L events; a request makes keys and values
  once for all its candidates.

LCN, Section 5.4, says that its model answers 3 ms later than the one that it replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from workbench.baselines.long_history import SIMSoft
from workbench.lab.bench import Measurement, Timing, grown, measure
from workbench.lab.lift import made
from workbench.lab.long_speed import SIZES_OF, drawn, predicting, request
from workbench.methods.layers import masked_softmax
from workbench.methods.lcn import Pyramid, PyramidConfig
from workbench.methods.long_history import (
    Behaviours,
    Interest,
    Level,
    Life,
    LongHistory,
    best,
    everywhere,
    masked,
)

K1, K2 = 200, 50


class GatheredSIM(SIMSoft):
    """SIM soft with a vector for every event of every candidate; the same numbers."""

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`."""
        events = life.events(long)
        with torch.no_grad():
            scores = masked((events[..., : life.width] @ query.unsqueeze(-1)).squeeze(-1), long)
        here, place = best(long, everywhere(long), scores, self.k)
        chosen = events.gather(1, place.unsqueeze(-1).expand(-1, -1, life.size))
        weights = masked_softmax(self.scores(life, query, chosen), here.there.unsqueeze(1))
        return self.attention.values(weights, chosen), [Level("exact", place, weights)]


class FullAttention(Interest):
    """The library's multi-head attention over all events."""

    def __init__(self, life: Life, heads: int = 4) -> None:
        super().__init__()
        self.size = life.width
        self.attention = nn.MultiheadAttention(
            life.width, heads, kdim=life.size, vdim=life.size, batch_first=True, bias=False
        )

    def forward(self, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, list[Level]]:
        """As in :class:`Interest`; no levels: the library keeps its weights to itself."""
        events, shared = life.events(long), len(long.item) == 1  # one row is everybody's
        asks = query.unsqueeze(0 if shared else 1)
        read, _ = self.attention(asks, events, events, key_padding_mask=~long.there, need_weights=False)
        return read.squeeze(0 if shared else 1), []


SYSTEMS = {
    "workbench": lambda life: Pyramid(life, PyramidConfig(K1, K2)),
    "SIM soft, ours": lambda life: SIMSoft(life, K2),
    "SIM soft": lambda life: GatheredSIM(life, K2),
    "full attention": FullAttention,
}
GATHERING = ("SIM soft",)  # cannot share a user's events among candidates


@dataclass(frozen=True)
class Size:
    """How much is measured. users : of a batch, and candidates of a request; length : L; lengths : as it
    grows, with batches of ``few`` users.
    """

    users: int
    length: int
    lengths: tuple[int, ...]
    few: int
    repeats: int


SIZES = {
    "tiny": Size(4, 300, (100, 300), 2, 1),
    "quick": Size(256, 2000, (100, 300, 1000, 3000, 10_000), 32, 5),
    "full": Size(256, 2000, (100, 300, 1000, 3000, 10_000, 30_000), 32, 9),
}


def networks() -> dict[str, LongHistory]:
    """An untrained network for each of SYSTEMS."""
    return {name: made(lambda look=look: LongHistory(SIZES_OF, look), 0).eval()
            for name, look in SYSTEMS.items()}  # fmt: skip


def measurements(size: str) -> Iterator[Measurement]:
    """The rows of ``workbench bench lcn``; ``size`` is one of SIZES."""
    how, models = SIZES[size], networks()
    sample = drawn(how.users, how.length)
    asked = {name: request(sample, name in GATHERING) for name in models}
    for case, samples in (("batch", dict.fromkeys(models, sample)), ("request", asked)):
        calls = {name: predicting(model, samples[name]) for name, model in models.items()}
        timing = measure(calls, repeats=how.repeats)
        yield from _rows(f"{case}, L={how.length:,}", timing, len(sample.target))
    for _, length, timing in _growing(how):
        yield from _rows(f"batch of {how.few}, L={length:,}", timing, how.few)


def _rows(case: str, timing: dict[str, Timing], candidates: int) -> Iterator[Measurement]:
    own = timing["workbench"]
    for peer in [name for name in timing if name != "workbench"]:
        later = 1e3 * (own.median_s - timing[peer].median_s)
        note = f"{candidates / own.median_s:,.0f} candidates/s, {later:+.1f} ms"
        yield Measurement.of("lcn", case, own, peer, timing[peer], note)


def growth(size: str) -> pd.DataFrame:
    """Seconds a batch as the sequence grows, in :func:`workbench.lab.bench.grown`'s form."""
    return grown(_growing(SIZES[size]))


def _growing(how: Size) -> Iterator[tuple[str, int, dict[str, Timing]]]:
    models = networks()
    for length in how.lengths:
        sample = drawn(how.few, length)
        calls = {name: predicting(model, sample) for name, model in models.items()}
        yield "length", length, measure(calls, repeats=how.repeats)
