"""Where an encoder looks on average (DualRec, Figure 6), and when one user's history is read.

A map has the newest item of every sequence in its last row and column, whatever the sequence's length: only
so can the sequences of many users lie on one another.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workbench.errors import DataError
from workbench.lab.training import asking
from workbench.methods.dualrec import DualRec


def mean_attention(model: DualRec, history: Tensor, batch: int = 256) -> np.ndarray:
    """(layers, T, T): weights of the past encoder, query by key, mean over heads and over the B sequences.

    history : (B, T) item codes, oldest first, then 0. A row's mean is over the sequences that reach back to
    its item, so it adds up to 1; where none does it is 0.

    Raises DataError for a model that does not attend.
    """
    T, device = history.shape[1], model.item.weight.device
    total, count = 0, torch.zeros(T, 1)
    for rows in history.split(batch):
        with asking(model):
            _, weights = model.states(torch.zeros(len(rows), dtype=torch.int64), rows.to(device))
        if weights is None:
            raise DataError("this model's past encoder does not attend: it has no weights to show")
        length = (rows > 0).sum(1, keepdim=True)
        place = torch.arange(T) - (T - length)  # (B, T), below 0 before the oldest item
        there = (place[:, :, None] >= 0) & (place[:, None, :] >= 0)
        at = place.clamp(min=0)
        one = torch.arange(len(rows))[:, None, None]
        shifted = weights.mean(2).cpu()[:, one, at[:, :, None], at[:, None, :]] * there
        total = total + shifted.double().sum(1)
        count += (place >= 0).sum(0)[:, None]
    return (total / count.clamp(min=1)).numpy()


def attention_of(model: DualRec, history: Tensor, direction: str = "past") -> np.ndarray:
    """(layers, h, n, n) weights of one history (n,), query by key, both in the order of time."""
    with asking(model):
        weights = model.read(history[None].to(model.item.weight.device), direction).weights
    if not weights:
        raise DataError("this model does not attend: it has no weights to show")
    found = torch.stack(weights)[:, 0].cpu().numpy()
    return found[..., ::-1, ::-1] if direction == "future" else found
