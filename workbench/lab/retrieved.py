"""Retrieved rows, searched once and kept: training and notebooks never wait for the same search twice.

LIFT, Section 4.3. One file per part of a split, named after all that decides its content. The best k of
the best K are the best k, so a file serves every smaller K.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.data import cache
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit
from workbench.errors import ConfigError, unknown
from workbench.lab.contexts import Retriever
from workbench.lab.places import write_files
from workbench.methods.retrieval import IDF_RULES

VERSION = 1  # goes up when the retriever finds other rows for the same question
CHUNK = 200_000  # queries at a time: a search holds about 60 K bytes for each


def retrieved_rows(
    log: Interactions,
    split: TimeSplit,
    parts: Sequence[str],
    k: int,
    *,
    fields: Sequence[str] | None = None,
    idf: str = "clipped",
    same_user: bool = False,
    folder: Path | None = None,
) -> dict[str, np.ndarray]:
    """The K best rows of the retrieval set for every row of some parts: part -> (n, K) int32, -1 for none.

    ``fields``, ``idf`` and ``same_user`` as in :class:`workbench.lab.contexts.Retriever`; ``folder`` is
    where results are kept, default ``retrieved`` in the user's cache.

    Raises ConfigError for a K that is not from 1 to the rows of the retrieval set, an unknown field or
    rule, before any work; DataError as the retriever does.
    """
    size = (split.retrieval.stop or 0) - (split.retrieval.start or 0)
    if not isinstance(k, int | np.integer) or not 1 <= k <= size:
        raise ConfigError(f"K must be a number from 1 to the {size} rows of the retrieval set, not {k!r}")
    if idf not in IDF_RULES:
        raise unknown("IDF rule", idf, IDF_RULES)
    for field in fields or ():
        if field not in log.fields:
            raise unknown("field", field, log.fields)
    folder = cache.home() / "retrieved" if folder is None else folder
    asked = [VERSION, log.fingerprint, str(split.retrieval), fields and list(fields), idf, same_user]
    retriever, result = None, {}
    for part in parts:
        rows = split.rows(part)
        key = hashlib.sha256(json.dumps([*asked, str(getattr(split, part))]).encode()).hexdigest()[:16]
        path = folder / f"{log.fingerprint}-{part}-{key}.npy"
        kept = _load(path, len(rows), size)
        if kept is None or kept.shape[1] < k:
            retriever = retriever or Retriever(log, split, fields, idf)
            kept = np.empty((len(rows), k), np.int32)
            for at in range(0, len(rows), CHUNK):
                some = slice(at, at + CHUNK)
                kept[some] = retriever.retrieve(rows[some], k, 1, same_user=same_user).rows
            buffer = io.BytesIO()
            np.save(buffer, kept)
            write_files({path: buffer.getbuffer()})
        result[part] = kept[:, :k]
    return result


def _load(path: Path, rows: int, size: int) -> np.ndarray | None:
    """A kept search, or None if there is none or the file is not one (it is then searched anew)."""
    try:
        kept = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    good = kept.dtype == np.int32 and kept.ndim == 2 and len(kept) == rows
    return kept if good and kept.size and kept.min() >= -1 and kept.max() < size else None
