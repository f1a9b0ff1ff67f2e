"""The papers' claims as differences between trials, with intervals over seeds and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.lab import published
from workbench.lab.metrics import paired_interval

LESS_IS_BETTER = ("logloss", "LogLoss", "RI")


def strongest(found: pd.DataFrame, variants: Sequence[str], metric: str = "auc") -> str:
    """Which of the variants has the best mean among those that were run; if none was, the first."""
    return next(iter(_best_first(found, variants, metric)), variants[0])


def weakest(found: pd.DataFrame, variants: Sequence[str], metric: str = "auc") -> str:
    """The counterpart of :func:`strongest`."""
    return next(reversed(_best_first(found, variants, metric)), variants[0])


def _best_first(found: pd.DataFrame, variants: Sequence[str], metric: str) -> list[str]:
    means = found[found["variant"].isin(variants)].groupby("variant")[metric].mean()
    return means.sort_values(ascending=metric in LESS_IS_BETTER).index.tolist()


def verdicts(
    found: pd.DataFrame, comparisons: Sequence[tuple[str, str, str, str]], paper: str = "LIFT"
) -> pd.DataFrame:
    """Claims that one variant does better than another: the paired difference, and what it says.

    found : trials on one data set, one a variant and seed; comparisons : (claim, variant, other, metric).
    A difference is positive where the first is better, whichever way the metric goes.

    Returns columns claim, metric, better, than, difference, low, high (95%, paired over the seeds that both
    have), seeds, verdict ("holds", "the reverse holds", "cannot tell", "too few seeds") and text, the claim
    in words.
    """
    words = published.claims(paper).set_index("id")["claim"]
    rows = []
    for claim, better, than, metric in comparisons:
        runs = found.pivot(index="seed", columns="variant", values=metric)
        pairs = runs.reindex(columns=[better, than]).dropna().to_numpy()
        if metric in LESS_IS_BETTER:
            pairs = -pairs
        mean, low, high = np.nan, np.nan, np.nan
        if len(pairs) > 1:
            mean, low, high, _ = paired_interval(*pairs.T)
        elif len(pairs):
            mean = pairs[0, 0] - pairs[0, 1]
        rows.append(
            (claim, metric, better, than, mean, low, high, len(pairs), _verdict(low, high), words[claim])
        )
    columns = ["claim", "metric", "better", "than", "difference", "low", "high", "seeds", "verdict", "text"]
    return pd.DataFrame(rows, columns=columns)


def equivalences(
    found: pd.DataFrame, comparisons: Sequence[tuple[str, str, str, str]], margin: float, paper: str
) -> pd.DataFrame:
    """Claims that two variants do equally well: their paired difference lies within ``margin`` of 0.

    Arguments and columns as in :func:`verdicts`; the difference is better - than. "holds" where the whole 95%
    interval lies within the margin, "does not hold" where it lies outside, else "cannot tell".
    """
    table = verdicts(found, comparisons, paper)
    inside = (table["low"] > -margin) & (table["high"] < margin)
    outside = (table["low"] > margin) | (table["high"] < -margin)
    verdict = np.where(inside, "holds", np.where(outside, "does not hold", "cannot tell"))
    return table.assign(verdict=np.where(table["low"].isna(), "too few seeds", verdict), margin=margin)


def _verdict(low: float, high: float) -> str:
    if np.isnan(low):
        return "too few seeds"
    return "holds" if low > 0 else "the reverse holds" if high < 0 else "cannot tell"
