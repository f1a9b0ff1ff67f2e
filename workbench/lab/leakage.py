"""What a leak is worth: the same learner on the same test rows, under four rules for what it may see.

LIFT, Section 5.1, splits by global time. Whoever does not, reports a number that no deployed system
would reach. Here the difference is measured, one leak at a time.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import TimeSplit, global_time_split
from workbench.errors import DataError
from workbench.lab.metrics import auc

HONEST = "split by global time"
LEAKS = ("split at random", "window crosses the query", "rates over the whole log")


def scored_rows(split: TimeSplit, seed: int) -> np.ndarray:
    """Half of the test rows, drawn by seed, ascending: the rows on which every rule is scored.

    The other half stays in the log, so that a random split can put training rows among the scored ones.
    """
    test = split.rows("test")
    return np.sort(np.random.default_rng(seed).choice(test, len(test) // 2, replace=False))


def leak_aucs(log: Interactions, seed: int, field: str, length: int = 10) -> dict[str, float]:
    """AUC of one click predictor on :func:`scored_rows`, honest and with each leak.

    The predictor is a logistic regression on click rates (of the item, the user, and the user within
    one value of ``field``) and on the user's window of ``length`` events before the row. Rates are
    counted on one part of the log, weights learnt on another, as retrieval and train parts are used.

    Returns rule -> AUC, HONEST first:
      split by global time      rates from the retrieval part, weights from train and validation parts
      split at random           the same numbers of rows, drawn from anywhere but the scored rows
      window crosses the query  honest, and the window also holds the ``length`` events after the row
      rates over the whole log  honest, but the rates count all rows, the scored ones included

    Raises ConfigError for an unknown field, DataError when the log has one class only.
    """
    if len(np.unique(log.label)) < 2:
        raise DataError(f"all labels of {log.name} are {log.label[0]}: there is nothing to predict")
    split = global_time_split(log)
    scored = scored_rows(split, seed)
    counted, learnt = split.rows("retrieval"), np.arange(split.train.start, split.test.start)
    elsewhere = np.setdiff1d(np.arange(len(log)), scored)
    shuffled = np.random.default_rng([seed, 1]).permutation(elsewhere)[: len(counted) + len(learnt)]
    rules = {
        HONEST: (counted, learnt, ("before",)),
        LEAKS[0]: (shuffled[: len(counted)], shuffled[len(counted) :], ("before",)),
        LEAKS[1]: (counted, learnt, ("before", "after")),
        LEAKS[2]: (np.arange(len(log)), learnt, ("before",)),
    }
    histories = Histories.of(log)
    user_field = log.user.astype(np.int64) * log.size(field) + log.codes([field])[:, 0]

    def features(rows: np.ndarray, counted: np.ndarray, sides: tuple[str, ...]) -> np.ndarray:
        codes = (log.item, log.user, user_field)
        rates = [click_rate(code, log.label, counted, rows) for code in codes]
        windows = [window_features(log, histories, rows, length, side, field) for side in sides]
        return np.concatenate([np.stack(rates, axis=1), *windows], axis=1)

    result = {}
    for rule, (counted_on, learnt_on, sides) in rules.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky"))
        model.fit(features(learnt_on, counted_on, sides), log.label[learnt_on])
        score = model.decision_function(features(scored, counted_on, sides))
        result[rule] = auc(log.label[scored], score)
    return result


def click_rate(
    code: np.ndarray, label: np.ndarray, counted: np.ndarray, rows: np.ndarray, prior: float = 10.0
) -> np.ndarray:
    """(R,) click rate of each row's code among the ``counted`` rows, pulled to the mean as by ``prior`` rows.

    code, label : (n,) of the whole log; counted, rows : row numbers.
    """
    size = int(code.max()) + 1
    shown = np.bincount(code[counted], minlength=size)
    clicked = np.bincount(code[counted], weights=label[counted], minlength=size)
    mean = label[counted].mean()
    return ((clicked + prior * mean) / (shown + prior))[code[rows]]


def window_features(
    log: Interactions, histories: Histories, rows: np.ndarray, length: int, side: str, field: str
) -> np.ndarray:
    """(R, 3) from the ``length`` events before or after each row: the click rate, and how many of the
    events that share the row's value of ``field`` were shown and clicked.

    side : "before" (h of Eq. 1, of earlier times only) or "after" (f of Eq. 1).
    """
    bounds = histories.strictly_before if side == "before" else histories.after
    window = histories.window(*bounds(rows, length), length)  # (R, length)
    there = window >= 0
    clicked = (log.label[window] == 1) & there
    codes = log.columns[field]
    alike = (codes[window] == codes[rows][:, None]) & there
    rate = (clicked.sum(axis=1) + 1) / (there.sum(axis=1) + 2)
    return np.stack([rate, alike.sum(axis=1), (alike & clicked).sum(axis=1)], axis=1)
