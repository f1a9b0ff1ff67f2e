"""A log as LIFT's two trainings need it: windows to pretrain on, targets with their neighbours.

Departure: the user's id is not among the features a network reads unless ``fields`` says so. Contexts come
from other users (ambiguity L2), whose ids match nothing, and a thousand ids are soon learnt by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit
from workbench.errors import ConfigError
from workbench.lab.samples import Samples, prepare
from workbench.lab.tensors import Table
from workbench.methods.lift_config import LIFTConfig


def pretraining_windows(histories: Histories, length: int, first: int = 0) -> np.ndarray:
    """S_pretrain (LIFT, Section 4.2): every user's rows cut into windows of L, one every L interactions.

    first : where the cutting begins, 0 (the paper's) to L - 1: that many events before a user's first.
    Returns (n, L) int64 row numbers, oldest first, then -1. A user's first and last window may be shorter,
    but not a single event (ambiguity L16).
    """
    if length < 2:
        raise ConfigError("a window of one event has nothing to learn its masked behaviour from")
    counts = np.diff(histories.offsets)
    windows = np.where(counts > 0, -(-(counts + first) // length), 0)
    user = np.repeat(np.arange(len(counts)), windows)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(windows) - windows, windows)
    begin = histories.offsets[user] + nth * length - first
    stop = np.minimum(begin + length, histories.offsets[user + 1])
    start = np.maximum(begin, histories.offsets[user])
    return histories.window(start[stop - start > 1], stop[stop - start > 1], length)


@dataclass(frozen=True, eq=False)
class LIFTData:
    """A split log as LIFT needs it.

    samples : part -> samples with the K neighbours; known : histories of the retrieval set; windows :
    (n, L) of S_pretrain, on the CPU.
    """

    log: Interactions
    split: TimeSplit
    table: Table
    samples: Mapping[str, Samples]
    known: Histories
    windows: Tensor

    @classmethod
    def of(
        cls,
        log: Interactions,
        split: TimeSplit,
        config: LIFTConfig,
        *,
        fields: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
        **retrieval,
    ) -> LIFTData:
        """Retrieve (or load what was retrieved before) and cut; errors as in ``samples.prepare``.

        fields : what networks read; ``retrieval`` goes to ``samples.prepare``: ``idf`` (ambiguity L3),
        ``same_user`` (L2), ``freeze`` (L14), ``cache``.
        """
        fields = tuple(f for f in log.fields if f != "user") if fields is None else fields
        table = Table(log, fields, device)
        samples = prepare(log, split, config.k, config.length, table=table, **retrieval)
        known = Histories.of(log, stop=split.retrieval.stop)
        windows = torch.from_numpy(pretraining_windows(known, config.length))
        return cls(log, split, table, samples, known, windows)
