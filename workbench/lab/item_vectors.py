"""Item vectors from which ENCODE and its peers start: what is clicked close together lies close together.

The paper trains its embeddings from scratch on 836 million rows. A log of a hundred thousand rows teaches a
network little about thousands of items; the clicks themselves say more: the positive pointwise mutual
information of items within a few clicks of one user, factorised, which is what skip-gram word vectors
approximate (Levy and Goldberg 2014).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from workbench.errors import ConfigError, whole
from workbench.lab.long_samples import LongData

WINDOW = 5  # clicks to either side


def co_clicked(
    data: LongData, width: int, norm: float, seed: int = 0, window: int = WINDOW, rows: int | None = None
) -> Tensor:
    """(V, d) item vectors from the clicks of the training part, of mean length ``norm``.

    rows : of the log's first so many rows instead. Whoever goes on to train on later ones needs that: a click
    that was counted with its neighbours, then asked about, looks likelier than any click of the test part.

    Items that were not clicked there get small random vectors: nothing is known of them. Code 0 is zero.
    Raises ConfigError where nothing was clicked.
    """
    whole("width", width)
    near = _near_each_other(data, window, rows)
    u, s, _ = randomized_svd(_mutual_information(near), width, random_state=seed)
    vectors = u * np.sqrt(s)
    length = np.linalg.norm(vectors, axis=1)
    known = length > 1e-9
    drawn = np.random.default_rng(seed).normal(size=vectors.shape)
    vectors = np.where(known[:, None], vectors / length[known].mean(), drawn * 0.1 / np.sqrt(width))
    vectors[0] = 0
    return torch.from_numpy((vectors * norm).astype(np.float32))


def _near_each_other(data: LongData, window: int, rows: int | None) -> csr_matrix:
    """(V, V) how often two items were clicked within so many clicks of one user."""
    log = data.log
    if rows is None:
        rows = 1 + int(data.rows[data.parts["train"].cpu().numpy()].max())
    rows = np.flatnonzero(log.label[:rows] == 1)
    if not len(rows):
        raise ConfigError("nothing was clicked in these rows: item vectors have nothing to count")
    rows = rows[np.lexsort((rows, log.user[rows]))]
    user, item, size = log.user[rows], log.item[rows], log.size("item")
    total = csr_matrix((size, size))
    for apart in range(1, window + 1):
        same = user[apart:] == user[:-apart]
        pairs = item[:-apart][same], item[apart:][same]
        total = total + coo_matrix((np.ones(len(pairs[0])), pairs), (size, size)).tocsr()
    return total + total.T


def _mutual_information(near: csr_matrix) -> csr_matrix:
    """log p(i, j) / (p(i) p(j)) where it is above 0."""
    share, found = np.asarray(near.sum(1)).ravel(), near.tocoo()
    value = np.log(found.data * share.sum() / (share[found.row] * share[found.col]))
    keep = value > 0
    return csr_matrix((value[keep], (found.row[keep], found.col[keep])), near.shape)
