"""Two controls for DualRec: is it the future that helps, or merely a second encoder?

Both train as much as DualRec and predict with the past encoder alone. The second past is the one to beat: it
has all but the future. A stranger's future says nothing about this user, so its part of the loss is noise;
who does not beat that has learnt nothing from the pairing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.methods.backbones import Read
from workbench.methods.dualrec import Bias, DualRec, Transformer, backwards
from workbench.methods.dualrec_config import DualRecConfig


class PastTwice(DualRec):
    """The second encoder reads the past, too, from another start: the embeddings are supervised twice.

    It has position biases of its own. DualRec's two share a table, but use different halves of it.
    """

    def __init__(self, items: int, config: DualRecConfig) -> None:
        super().__init__(items, config)
        if isinstance(self.future, Transformer) and self.future.bias is not None:
            self.future.bias = Bias(config.length, config.heads)

    def rows(self, sequence: Tensor, length: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """As in :class:`DualRec`."""
        return {"past": (sequence, sequence), "future": (sequence, sequence)}

    def _encoded(self, x: Tensor, direction: str) -> Read:
        return (self.past if direction == "past" else self.future)(x, 1)

    def _compared(self, past: Tensor, future: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.transfer == "mean":
            return super()._compared(past, future, length)
        there = torch.arange(past.shape[1], device=length.device) < self.steps(length)[:, None]
        return past[there], future[there]


class Stranger(DualRec):
    """The second encoder reads another user's future, drawn anew in every batch, and foretells this one's."""

    def rows(self, sequence: Tensor, length: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """As in :class:`DualRec`."""
        order = torch.randperm(len(sequence), device=sequence.device)
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # a circle through the batch: nobody is their own stranger
        strange = backwards(sequence[other], length[other])
        return {"past": (sequence, sequence), "future": (strange, backwards(sequence, length))}
