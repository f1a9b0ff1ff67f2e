"""What every parser of a raw format shares: its result, and joins that name the line they fail at.

The formats themselves: movielens.py (MovieLens releases), sequences.py ("user item item ..." files),
logs.py (the large click logs). Every parser takes a folder and returns a `Raw`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.tables import Layout, first_row
from workbench.errors import DataError

UNKNOWN = "unknown"  # the category of a value the source leaves empty


@dataclass(frozen=True)
class Raw:
    """A parsed file.

    frame : user, item, further fields, timestamp, label; one row per event kept.
    file : the file whose lines the rows are. events : events in the file, before any was left out.
    line : 1-based row of ``frame`` -> line of ``file``, for error messages.
    note : a remark that every result must carry. title : set where it differs from the source's.
    """

    frame: pd.DataFrame
    file: Path
    events: int
    line: Callable[[int], int]
    note: str = ""
    title: str | None = None


Parser = Callable[[Path], Raw]


def find(keys: pd.Series, table: Sequence[object], file: Path, layout: Layout, missing: str) -> np.ndarray:
    """Row of each key in a side table; DataError names the line of a key the table does not have."""
    codes, values = pd.factorize(keys)
    position = pd.Index(np.asarray(table)).get_indexer(pd.Index(values))
    if (position < 0).any():
        row = first_row(position[codes] < 0)
        raise DataError(
            f"{keys.name} {keys.iloc[row - 1]} is not in {missing}",
            file=file,
            row=layout.line(row),
            column=str(keys.name),
            fix="Take both files from the same archive",
        )
    return position[codes]


def spread(values: Sequence[str], position: np.ndarray) -> pd.Categorical:
    """One value per event from one value per side-table row; -1 and empty mean unknown."""
    codes, categories = pd.factorize(np.array([value or UNKNOWN for value in values] + [UNKNOWN], object))
    return pd.Categorical.from_codes(codes[position], categories)


def ids(rows: Sequence[Sequence[str]], file: Path, column: str, first_line: int = 1) -> list[int]:
    """The ids in the first column of a side table, refusing one that appears twice."""
    seen: dict[int, int] = {}
    for line, row in enumerate(rows, start=first_line):
        if (earlier := seen.setdefault(int(row[0]), line)) != line:
            raise DataError(
                f"{row[0]} appears twice, first in line {earlier}", file=file, row=line, column=column
            )
    return list(seen)
