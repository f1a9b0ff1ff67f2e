"""A log as tensors: events by row number, and windows of row numbers around any anchor.

Row numbers are kept in 32 bits and codes as they come; both are widened only for what a batch
gathers, so that a log of a hundred million rows costs a few bytes a row and field.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.errors import ConfigError
from workbench.methods.layers import Events


class Table:
    """A log as tensors on one device.

    Parameters
    ----------
    fields : the M features a model reads; default all fields of the log.

    Attributes: ``fields``; ``sizes`` (M,) rows of each embedding table, code 0 included; ``codes``
    (n, M) int32 and ``label`` (n,) int8, widened only when gathered; ``device``.

    Raises ConfigError for an unknown field, a field named twice, or none.
    """

    def __init__(
        self,
        log: Interactions,
        fields: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.fields = tuple(fields) if fields is not None else log.fields
        if not self.fields or len(set(self.fields)) < len(self.fields):
            raise ConfigError(f"a model reads at least one field, each named once, not {self.fields}")
        self.device = torch.device(device)
        codes = log.codes(self.fields)
        self.sizes = tuple(log.size(field) for field in self.fields)
        # Line 0 is "nothing", line r + 1 is row r: so row -1 needs no masking afterwards.
        self._codes = torch.from_numpy(np.pad(codes, ((1, 0), (0, 0)))).to(self.device)
        self._label = torch.from_numpy(np.pad(log.label, (1, 0))).to(self.device)

    def __len__(self) -> int:
        return len(self._label) - 1

    @property
    def codes(self) -> Tensor:
        """(n, M) int32 codes."""
        return self._codes[1:]

    @property
    def label(self) -> Tensor:
        """(n,) int8 labels."""
        return self._label[1:]

    def followed_by(self, codes: np.ndarray, label: np.ndarray) -> Table:
        """The same table with rows that are in no log behind its own, such as candidates for a target.

        codes : (m, M) in the order of ``fields``; label : (m,). Row ``len(table) + i`` is the i-th of them.
        """
        if codes.shape != (len(label), len(self.fields)):
            raise ConfigError(f"{len(label)} labels and {len(self.fields)} fields, but codes {codes.shape}")
        longer = copy(self)
        for name, more in (("_codes", codes), ("_label", label)):
            here = getattr(self, name)
            setattr(longer, name, torch.cat([here, torch.from_numpy(more).to(here)]))
        return longer

    def events(self, rows: Tensor) -> Events:
        """The events of some rows: any shape (...) of row numbers, -1 where there is none."""
        rows = rows.to(self.device)
        lines = rows.flatten() + 1
        codes = self._codes.index_select(0, lines).long()
        label = self._label.index_select(0, lines).long()
        return Events(codes.view(*rows.shape, -1), label.view(rows.shape), rows >= 0)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of at most L events, one for each of N anchors; indexed like an (N, L) array of row numbers.

    ``windows[rows]`` with a tensor (...) of anchors (-1 for none) or a slice gives (..., L) int64,
    oldest first, padded with -1 on the right.

    Attributes
    ----------
    events : (n,) row numbers, grouped as in :class:`workbench.data.histories.Histories`.
    start, stop : (N,) the range of ``events`` that belongs to each anchor, of any length.
    length : L. As ranges are not cut to it, ``replace(windows, length=40)`` looks further.
    newest : take the last L events of a range (a past), else its first L (a future).
    """

    events: Tensor
    start: Tensor
    stop: Tensor
    length: int
    newest: bool

    @classmethod
    def of(
        cls,
        histories: Histories,
        bounds: tuple[np.ndarray, np.ndarray],
        length: int,
        newest: bool,
        device: torch.device,
    ) -> Windows:
        """From ranges into the events of some histories."""
        small = np.int32 if len(histories) < 2**31 else np.int64
        parts = (torch.from_numpy(part.astype(small)).to(device) for part in (histories.events, *bounds))
        return cls(*parts, length, newest)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, L)."""
        return len(self), self.length

    def __getitem__(self, anchors: Tensor | slice) -> Tensor:
        device = self.events.device
        if isinstance(anchors, slice):
            anchors = torch.arange(*anchors.indices(len(self)), device=device)
        anchors = anchors.to(device)
        start, stop = (part[anchors.clamp(min=0)].unsqueeze(-1) for part in (self.start, self.stop))
        if self.newest:
            start = start.maximum(stop - self.length)
        place = start + torch.arange(self.length, dtype=start.dtype, device=device)
        inside = (place < stop) & (anchors >= 0).unsqueeze(-1)
        return torch.where(inside, self.events[place.clamp(max=len(self.events) - 1)], -1).long()

    def latest(self) -> Tensor:
        """(N,) int64 the last row that a window of any length could hold, -1 where there is none."""
        last = self.events[(self.stop - 1).clamp(min=0)]
        return torch.where(self.stop > self.start, last, -1).long()
