"""Small random logs for tests: few users, many events in one second."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.data.interactions import Interactions


def random_log(seed: int, rows: int = 200, users: int = 6, items: int = 10, days: int = 40) -> Interactions:
    """Times are days, so that several events of a user share one; ``age`` is fixed for each user."""
    rng = np.random.default_rng(seed)
    user = rng.integers(1, users + 1, rows)
    frame = pd.DataFrame(
        {
            "user": user,
            "item": rng.integers(1, items + 1, rows),
            "category": rng.integers(1, 4, rows),
            "age": user % 3 + 1,
            "timestamp": rng.integers(0, days, rows) * 86_400,
            "label": rng.integers(0, 2, rows),
        }
    )
    return Interactions.from_frame(frame, name="random", duplicates="keep")
