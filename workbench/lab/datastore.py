"""LIFT's datastore: what E_ω makes of every history and every future of the retrieval set, kept on disk.

LIFT, Section 4.3, Eqs. 11 and 19: the keys are the rows of the retrieval set, the values what surrounds
them, h_z and f_z. Encoded once, in batches, they are only looked up from then on, so that no prediction
runs the encoder on contexts.

A store's folder is named after all that decides its content: another encoder, log, retrieval set or L gets
another folder, and what is stale cannot be found. Interrupted, it resumes (:mod:`workbench.lab.chunks`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.data import cache
from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit
from workbench.errors import ConfigError, unknown, whole
from workbench.lab.chunks import ChunkFiles
from workbench.lab.tensors import Table, Windows
from workbench.methods.lift import Encoder, reverse

VERSION = 1  # goes up when the same encoder gives other values
PARTS = ("history", "future")


@dataclass(frozen=True, eq=False)
class Datastore:
    """Values (LIFT, Eq. 11) of the R rows of a retrieval set, mapped from disk.

    folder : where its files are.
    history, future : (R, v) float32 arrays that cannot be written to; line r belongs to row r of the log,
        and is read from disk when it is looked at. ``samples.encoded(past=store.history, ...)`` takes them.
    """

    folder: Path
    history: np.ndarray
    future: np.ndarray

    @classmethod
    def build(
        cls,
        encoder: Encoder,
        table: Table,
        log: Interactions,
        split: TimeSplit,
        folder: Path | None = None,
        *,
        batch: int = 512,
        on_progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Datastore | None:
        """Open the store of this encoder, after encoding whatever is not there yet or is damaged.

        Parameters
        ----------
        encoder : works in evaluation mode, whatever mode it is in; its config gives L.
        table : the log as tensors with the fields the encoder reads, on the encoder's device.
        folder : where stores are kept, default ``datastores`` in the user's cache.
        batch : windows the encoder reads at a time; memory grows with it and not with R.
        on_progress : (rows done, R), at the beginning and after every chunk of 4,096 rows.
        stop : asked before every chunk; once true, returns None. What is done stays done.

        A second process that wants the same store waits for the first. Raises ConfigError before any
        work for a batch below 1, or an encoder, table, log and split that do not belong together;
        DataError for a value that is not finite.
        """
        whole("batch", batch)
        files = _files(encoder, table, log, split, folder)
        report = on_progress or (lambda done, rows: None)
        with files.alone():
            done = files.prepared()
            report(files.count(done), files.rows)
            missing = [chunk for chunk in files.chunks if chunk not in done]
            around = _windows(log, files.rows, encoder.config.length, table.device) if missing else {}
            for chunk in missing:
                if stop is not None and stop():
                    return None
                rows = {part: windows[files.lines(chunk)] for part, windows in around.items()}
                values = {part: represented(encoder, table, rows[part], part, batch) for part in PARTS}
                files.write(chunk, {part: value.cpu().numpy() for part, value in values.items()})
                done.add(chunk)
                report(files.count(done), files.rows)
        return cls(files.folder, *map(files.mapped, PARTS))

    @classmethod
    def open(
        cls, encoder: Encoder, table: Table, log: Interactions, split: TimeSplit, folder: Path | None = None
    ) -> Datastore:
        """The store that :meth:`build` finished for the same arguments; nothing is encoded.

        Raises DataError where there is none, where it is unfinished, and where any of its bytes are not
        those that were written; ConfigError as :meth:`build`.
        """
        files = _files(encoder, table, log, split, folder)
        files.refuse_unless_whole("datastore")
        return cls(files.folder, *map(files.mapped, PARTS))

    def __len__(self) -> int:
        return len(self.history)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.history.nbytes + self.future.nbytes

    def fetch(self, part: str, rows: Tensor) -> Tensor:
        """Values of some rows: "history" or "future", rows (...), -1 for none -> (..., v) float32.

        Zero where there is no row.
        """
        if part not in PARTS:
            raise unknown("part of a context", part, PARTS)
        found = getattr(self, part).take(rows.cpu().numpy(), axis=0)  # for -1 the last line
        return torch.from_numpy(found).to(rows.device) * (rows >= 0).unsqueeze(-1)


def represented(encoder: Encoder, table: Table, rows: Tensor, part: str, batch: int = 512) -> Tensor:
    """LIFT, Eq. 6: windows of row numbers (n, L), -1 for none -> (n, v), each as if encoded alone.

    part : "history" or "future"; a future is read backwards if the encoder's config says so.
    Windows of about one length are read together, so that hardly any padding is.
    """
    length = (rows >= 0).sum(-1)
    order = length.argsort(stable=True)[int((length == 0).sum()) :]
    values = torch.zeros(len(rows), encoder.value_size, device=rows.device)
    training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        for at in range(0, len(order), batch):
            some = order[at : at + batch]
            events = table.events(rows[some, : length[some[-1]]])
            if part == "future" and encoder.config.reverse_future:
                events = reverse(events)
            values[some] = encoder.represent(events)
    encoder.train(training)
    return values


def weights_digest(encoder: Encoder) -> str:
    """Sixteen hex digits that change with any weight by which the encoder represents a sequence."""
    digest = hashlib.sha256()
    for name, value in encoder.state_dict().items():
        if encoder.config.asks or not name.startswith(("head.", "probes")):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.cpu().contiguous().numpy())
    return digest.hexdigest()[:16]


def _files(
    encoder: Encoder, table: Table, log: Interactions, split: TimeSplit, folder: Path | None
) -> ChunkFiles:
    """Where the values of this encoder are or will be, after checking that all belongs together."""
    part, config = split.retrieval, encoder.config
    if part.start != 0 or part.step not in (None, 1) or not 1 <= (part.stop or 0) <= len(log):
        raise ConfigError(f"the retrieval set must be the first rows of the log, not {part}")
    if len(table) != len(log):
        raise ConfigError(f"the table has {len(table)} rows, the log {len(log)}: the table is of another log")
    if encoder.embedding.sizes != tuple(table.sizes):
        raise ConfigError(
            f"the encoder reads fields of {encoder.embedding.sizes} values, the table has {table.sizes}"
        )
    about = {
        "version": VERSION,
        "log": log.fingerprint,
        "retrieval": part.stop,
        "fields": table.fields,
        "length": config.length,
        "encoder": config.encoder,
        "heads": config.heads,
        "represent": config.represent,
        "reverse_future": config.reverse_future,
        "weights": weights_digest(encoder),
    }
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    folder = cache.home() / "datastores" if folder is None else folder
    return ChunkFiles(folder / f"{log.fingerprint}-{key}", about, PARTS, part.stop, encoder.value_size)


def _windows(log: Interactions, rows: int, length: int, device: torch.device) -> dict[str, Windows]:
    """What surrounds each row of the retrieval set, cut at the set's end (ambiguity L15)."""
    known, anchors = Histories.of(log, stop=rows), np.arange(rows)
    return {
        "history": Windows.of(known, known.before(anchors, length), length, True, device),
        "future": Windows.of(known, known.after(anchors, length), length, False, device),
    }
