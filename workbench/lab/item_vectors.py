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


def co_clicked(data: LongData, width: int, norm: float, seed: int = 0, window: int = WINDOW) -> Tensor:
    """(V, d) item vectors from the clicks before the first impression to be trained on, of mean length
    ``norm``.

    Not from later ones: a click counted with its neighbours and then asked about looks likelier in training
    than any click will in test. Items that were not clicked then get small random vectors: nothing is known
    of them. Code 0 is zero.

    Raises ConfigError where training begins with the log: there are no earlier clicks.
    """
    whole("width", width)
    near = _near_each_other(data, window)
    u, s, _ = randomized_svd(_mutual_information(near), width, random_state=seed)
    vectors = u * np.sqrt(s)
    length = np.linalg.norm(vectors, axis=1)
    known = length > 1e-9
    drawn = np.random.default_rng(seed).normal(size=vectors.shape)
    vectors = np.where(known[:, None], vectors / length[known].mean(), drawn * 0.1 / np.sqrt(width))
    vectors[0] = 0
    return torch.from_numpy((vectors * norm).astype(np.float32))


def _near_each_other(data: LongData, window: int) -> csr_matrix:
    """(V, V) how often two items were clicked within so many clicks of one user, before training begins."""
    log, first = data.log, int(data.rows[data.parts["train"].cpu().numpy()].min())
    rows = np.flatnonzero(log.label[:first] == 1)
    if not len(rows):
        raise ConfigError("there is no click before the training part: item vectors have nothing to count")
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
