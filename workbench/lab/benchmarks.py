"""The benchmarks of ``workbench bench``; each says what its peer is and what both sides do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from workbench.data.interactions import Interactions
from workbench.lab.bench import Measurement, benchmark, compare


@benchmark("interactions", help="validate, code and sort a raw table; peer: only coding it with pandas")
def interactions(size: str) -> Iterator[Measurement]:
    """What Interactions.from_frame costs over the least anyone pays: one factorize a column."""
    for n in (100_000,) if size == "quick" else (100_000, 1_000_000):
        frame = _raw_table(n)
        systems = {
            "workbench": lambda frame=frame: Interactions.from_frame(
                frame, name="benchmark", duplicates="keep"
            ),
            "pandas factorize only": lambda frame=frame: [
                pd.factorize(frame[column], sort=True) for column in ("user", "item", "category")
            ],
        }
        yield from compare("interactions", case=f"{n:,} rows", systems=systems)


def _raw_table(n: int) -> pd.DataFrame:
    """n rows with integer users and items and string categories, in no order."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": random.integers(0, n // 50, n),
            "item": random.integers(0, n // 20, n),
            "category": np.char.add("c", random.integers(0, 40, n).astype(str)).astype(object),
            "timestamp": random.integers(1_500_000_000, 1_600_000_000, n),
            "label": random.integers(0, 2, n),
        }
    )
