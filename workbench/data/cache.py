"""Parsed tables kept as Parquet, for the sources whose parsing takes longer than a coffee sip.

A table is stored under a key made of its raw files' names, sizes and modification times, so that a
changed file is parsed anew. Only codes and vocabularies are stored: what comes back is equal to what
went in.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.data.interactions import Interactions

VERSION = 1  # goes up when a parser changes what it makes of the same file
_NUMBERS = ("timestamp", "label", "source_row")


def home() -> Path:
    """The user's cache folder: $WORKBENCH_CACHE, else $XDG_CACHE_HOME/workbench, else ~/.cache/workbench."""
    if chosen := os.environ.get("WORKBENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workbench"


def key(name: str, files: Sequence[Path]) -> str:
    """A name for the parsed form of these files in their present state."""
    state = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return f"{name}-{hashlib.sha256(json.dumps([VERSION, state]).encode()).hexdigest()[:16]}"


def save(interactions: Interactions, folder: Path) -> None:
    """Store a table; whoever comes second to the same place leaves the first one's in peace."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".writing-"))
    try:
        about = {k: getattr(interactions, k) for k in ("name", "clock", "label_rule", "note")}
        numbers = {k: getattr(interactions, k) for k in _NUMBERS}
        table = pa.table({**numbers, **{f"field {k}": v for k, v in interactions.columns.items()}})
        pq.write_table(table.replace_schema_metadata({"about": json.dumps(about)}), beside / "rows.parquet")
        for field, words in interactions.vocabularies.items():
            pq.write_table(pa.table({"value": words}), beside / f"{field}.vocabulary.parquet")
        try:
            os.replace(beside, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load(folder: Path) -> Interactions | None:
    """The stored table, or None if there is none or it cannot be read (it is then written anew)."""
    try:
        table = pq.read_table(folder / "rows.parquet")
        fields = [name.removeprefix("field ") for name in table.column_names if name.startswith("field ")]
        words = {f: pq.read_table(folder / f"{f}.vocabulary.parquet")["value"] for f in fields}
    except (OSError, pa.ArrowException):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    about = json.loads(table.schema.metadata[b"about"])
    numbers = {name: _array(table[name]) for name in _NUMBERS}
    return Interactions(
        columns={field: _array(table[f"field {field}"]) for field in fields},
        vocabularies={field: _array(values) for field, values in words.items()},
        **numbers,
        **about,
    )


def _array(values: pa.ChunkedArray) -> np.ndarray:
    """As numpy: numbers writable like those of a parsed table, words as Python strings."""
    if pa.types.is_integer(values.type):
        return np.require(values.to_numpy(), requirements="W")
    return np.array(values.to_pylist(), dtype=object)
