"""Models of one row, without history and without retrieval: boosted trees and DeepFM.

LIFT's Table 2 calls them traditional and trains them on the retrieval and the train set together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from workbench.baselines.blocks import check_network
from workbench.errors import ConfigError, DataError
from workbench.methods.layers import MLP, FieldEmbedding, Sample

MAX_CATEGORIES = 255  # what the histogram booster can tell apart in one column


def earlier(code: np.ndarray, label: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row, how many rows of a strictly earlier time share its code, and how many were clicked.

    code, label, time : (n,) in any order. Returns two (n,) int64 arrays.
    """
    order = np.lexsort((time, code))
    code, label, time = code[order], label[order].astype(np.int64), time[order]
    place = np.arange(len(code))
    new_code = np.diff(code, prepend=code[0] - 1) != 0
    new_time = new_code | (np.diff(time, prepend=time[0] - 1) != 0)
    group = np.maximum.accumulate(np.where(new_code, place, 0))  # first row of the same code
    moment = np.maximum.accumulate(np.where(new_time, place, 0))  # ... and the same time
    clicks = np.cumsum(label) - label
    result = np.empty((2, len(code)), dtype=np.int64)
    result[:, order] = moment - group, clicks[moment] - clicks[group]
    return result[0], result[1]


class RowColumns:
    """Three columns for every field of a row: its value as a category, and what earlier rows say of it.

    The category of a value is its place, 1 to 254, among the fit's most frequent values of the field
    (ties: lower code), or 0: unknown, rarer than those, or never seen. Beside it stand the click rate
    of the value, drawn towards the general rate as if by ``prior`` more rows, and ln(1 + number of
    rows) that the rate rests on. Code 0, "unknown", rests on none.

    sizes : codes of each of the M fields, 0 included.
    """

    def __init__(self, sizes: Sequence[int], prior: float) -> None:
        self.sizes, self.prior = tuple(sizes), prior

    def of_fit(self, codes: np.ndarray, label: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n, 3 M) columns of the rows of the fit, each told by rows of *strictly earlier* times."""
        codes, label, time = np.asarray(codes), np.asarray(label), np.asarray(time)
        self._check(codes, time)
        if label.shape != time.shape or set(np.unique(label)) != {0, 1}:
            raise DataError("each row of the fit needs a label 0 or 1, and both must occur", column="label")
        self.newest, self.general = time.max(), (label.sum() + 1) / (len(label) + 2)
        self.places, self.counts, self.clicks = [], [], []
        for column, size in zip(codes.T, self.sizes, strict=True):
            count, click = np.bincount(column, minlength=size), np.bincount(column, label, size)
            count[0] = click[0] = 0
            common = np.argsort(-count, kind="stable")[: MAX_CATEGORIES - 1]
            common = common[count[common] > 0]
            place = np.zeros(size)
            place[common] = np.arange(1, len(common) + 1)
            for kept, value in zip(
                (self.places, self.counts, self.clicks), (place, count, click), strict=True
            ):
                kept.append(value)
        pairs = [earlier(column, label, time) for column in codes.T]
        count, click = (np.stack(part, 1) * (codes > 0) for part in zip(*pairs, strict=True))
        rows, clicked = earlier(np.zeros(len(codes), np.int64), label, time)
        return self._columns(codes, count, click, (clicked + 1) / (rows + 2))

    def of_later(self, codes: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n, 3 M) columns of rows that are later than the fit, told by all its rows."""
        codes, time = np.asarray(codes), np.asarray(time)
        self._check(codes, time)
        if time.min() <= self.newest:
            raise DataError(
                f"the time {time.min()} is not later than the newest row of the fit, {self.newest}",
                row=int(time.argmin()) + 1,
            )
        count, click = self._look_up(self.counts, codes), self._look_up(self.clicks, codes)
        return self._columns(codes, count, click, np.full(len(codes), self.general))

    @staticmethod
    def _look_up(tables: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
        return np.stack([table[column] for table, column in zip(tables, codes.T, strict=True)], axis=1)

    def _columns(
        self, codes: np.ndarray, count: np.ndarray, click: np.ndarray, general: np.ndarray
    ) -> np.ndarray:
        rate = (click + self.prior * general[:, None]) / (count + self.prior)
        return np.concatenate([self._look_up(self.places, codes), rate, np.log1p(count)], axis=1)

    def _check(self, codes: np.ndarray, time: np.ndarray) -> None:
        width = len(self.sizes)
        if codes.ndim != 2 or codes.shape[1] != width or time.shape != codes.shape[:1] or not len(codes):
            raise DataError(f"codes must be (n, {width}) and times (n,), not {codes.shape} and {time.shape}")
        outside = np.argwhere((codes < 0) | (codes >= np.array(self.sizes)))
        if len(outside):
            row, field = outside[0]
            what = f"field {field} has the codes 0 to {self.sizes[field] - 1}, not {codes[row, field]}"
            raise DataError(what, row=int(row) + 1)


class GBDT:
    """Gradient boosted trees (Friedman 2001) on :class:`RowColumns`, by scikit-learn's histogram booster.

    Departures: the booster tells at most 255 categories of a column apart. Values beyond a field's
    254 most frequent share one category and differ only by their click rate and count.

    Parameters
    ----------
    sizes : codes of each of the M fields; trees : of the ensemble, at most; leaves : of a tree;
    learning_rate : weight of each tree; min_leaf : rows in a leaf; l2 : on leaf values; prior : see
    RowColumns; patience : trees without a lower validation LogLoss before growing stops.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        trees: int = 200,
        leaves: int = 31,
        learning_rate: float = 0.05,
        min_leaf: int = 50,
        l2: float = 1.0,
        prior: float = 20.0,
        patience: int = 20,
    ) -> None:
        check_network(sizes=sizes, trees=trees, min_leaf=min_leaf, patience=patience, dropout=0.0)
        if not (leaves >= 2 and learning_rate > 0 and l2 >= 0 and prior > 0):
            raise ConfigError("leaves must be from 2, learning_rate and prior above 0, l2 from 0")
        self.columns = RowColumns(sizes, prior)
        self.booster = HistGradientBoostingClassifier(
            max_iter=trees,
            max_leaf_nodes=leaves,
            learning_rate=learning_rate,
            min_samples_leaf=min_leaf,
            l2_regularization=l2,
            max_bins=MAX_CATEGORIES,
            categorical_features=np.arange(3 * len(sizes)) < len(sizes),
            n_iter_no_change=patience,
            random_state=0,  # nothing is drawn: all rows, all columns, validation rows as given
        )

    def fit(
        self,
        codes: np.ndarray,
        label: np.ndarray,
        time: np.ndarray,
        validation: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> GBDT:
        """codes (n, M), label (n,) 0/1, time (n,); ``validation``: the same three of later rows.

        With validation rows, growing stops once their LogLoss no longer falls; without, all trees grow.
        Raises DataError for shapes that do not fit, codes outside ``sizes``, labels other than 0 and 1
        or all alike, and validation rows that are not later than the fit.
        """
        x, later = self.columns.of_fit(codes, label, time), {}
        if validation is not None:
            later = {"X_val": self.columns.of_later(validation[0], validation[2]), "y_val": validation[1]}
        self.booster.set_params(early_stopping=validation is not None).fit(x, label, **later)
        return self

    def logits(self, codes: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n,) float64 log-odds of a click for rows (n, M), all later than the fit, else DataError."""
        return self.booster.decision_function(self.columns.of_later(codes, time))


class DeepFM(nn.Module):
    """DeepFM (Guo et al. 2017): a factorisation machine and a deep network on the same embeddings.

    logit = w_0 + sum_i w_i + sum_{i<j} <v_i, v_j> + MLP([v_1, ..., v_M]), formulas (1) to (4),
    w_i and v_i the weight and the embedding of the row's value in field i. The pairs are summed as
    (|sum_i v_i|^2 - sum_i |v_i|^2) / 2. Departures: none but the sizes (the paper's network has three
    layers of 400).
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self, sizes: Sequence[int], width: int = 16, mlp: Sequence[int] = (128, 64), dropout: float = 0.2
    ) -> None:
        check_network(sizes=sizes, width=width, mlp=mlp, dropout=dropout)
        super().__init__()
        self.first = FieldEmbedding(sizes, 1)
        self.fields = FieldEmbedding(sizes, width)
        self.deep = MLP((len(sizes) * width, *mlp, 1), dropout)  # its last bias is w_0

    @staticmethod
    def pairs(v: Tensor) -> Tensor:
        """Sum of <v_i, v_j> over all pairs i < j: (..., M, w) -> (...)."""
        return (v.sum(-2).square() - v.square().sum(-2)).sum(-1) / 2

    def forward(self, sample: Sample, return_weights: bool = False) -> Tensor | tuple[Tensor, None]:
        """Logits (B,); there is no attention, so its weights are None."""
        codes = sample.target.codes
        v = self.fields(codes)  # (B, M, w)
        first = self.first(codes).sum((-2, -1))
        logits = first + self.pairs(v) + self.deep(v.flatten(-2)).squeeze(-1)
        return (logits, None) if return_weights else logits
