"""Random samples for the click models: three fields, a few users, some with little or no past."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from workbench.methods.layers import Events, Sample

SIZES = (9, 12, 5)  # rows of the tables of three fields, code 0 included
PARTS = {"history": 5, "found": 4, "neighbours": 3}  # events in a full part


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_events(generator: torch.Generator, *shape: int, counts: torch.Tensor | None = None) -> Events:
    """Random events with codes from 1; of each line the first ``counts``, then padding."""
    codes = torch.stack([torch.randint(1, size, shape, generator=generator) for size in SIZES], -1)
    label = torch.randint(0, 2, shape, generator=generator)
    there = torch.ones(shape, dtype=torch.bool)
    if counts is not None:
        there = torch.arange(shape[-1]) < counts.unsqueeze(-1)
    return Events(codes * there.unsqueeze(-1), label * there, there)


def make_sample(seed: int = 0, batch: int = 6, full: bool = False) -> Sample:
    """Unless ``full``, line 0 has no past at all and line 1 a full one, the others something between."""
    generator = torch.Generator().manual_seed(seed)
    parts = {}
    for name, size in PARTS.items():
        counts = torch.randint(0, size + 1, (batch,), generator=generator)
        counts[0], counts[1] = 0, size
        parts[name] = make_events(generator, batch, size, counts=None if full else counts)
    return Sample(make_events(generator, batch), **parts)


@pytest.fixture(name="make_sample")
def make_sample_fixture():
    return make_sample
