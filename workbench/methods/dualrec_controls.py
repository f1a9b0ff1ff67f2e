"""Two controls for DualRec: is it the future that helps, or merely a second encoder?

Both train as much as DualRec and predict with the past encoder alone. What DualRec gains over both is what
this user's own future is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.methods.backbones import Read
from workbench.methods.dualrec import DualRec, backwards


class PastTwice(DualRec):
    """The second encoder reads the past, too, from another start: the embeddings are supervised twice."""

    def rows(self, sequence: Tensor, length: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """As in :class:`DualRec`."""
        return {"past": (sequence, sequence), "future": (sequence, sequence)}

    def _encoded(self, x: Tensor, direction: str) -> Read:
        return (self.past if direction == "past" else self.future)(x, 1)

    def _compared(self, past: Tensor, future: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        there = torch.arange(past.shape[1], device=length.device) < self.steps(length)[:, None]
        return past[there], future[there]


class Stranger(DualRec):
    """The second encoder reads another user's future, drawn anew in every batch, and foretells this one's."""

    def rows(self, sequence: Tensor, length: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """As in :class:`DualRec`."""
        other = torch.randperm(len(sequence), device=sequence.device)
        strange = backwards(sequence[other], length[other])
        return {"past": (sequence, sequence), "future": (strange, backwards(sequence, length))}
