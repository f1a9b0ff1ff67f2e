"""Do items of two domains lie where their likes lie? Numbers beside the t-SNE of LCN, Figure 4.

t-SNE may tear apart what is near, so the picture is for looking and these are for claims (ambiguity N22).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from torch import Tensor
from torch.nn import functional

from workbench.errors import DataError
from workbench.lab.long_samples import LongData, sides, spread
from workbench.lab.metrics import auc
from workbench.methods.lcn import draw_pairs

NEAR = 10  # neighbours of an item
SIDES = ("target", "source")


class Items(NamedTuple):
    """Some items: vectors of length 1 (n, d), kinds (n,) and domains (n,), 0 for target, 1 for source."""

    vectors: np.ndarray
    kind: np.ndarray
    domain: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, kinds: np.ndarray, data: LongData) -> Items:
        """Those of a table (V, d) that have a row in the log and a kind (V,) from 0.

        Raises DataError for a log of one domain and where an item of some domain has no kind.
        """
        if "domain" not in data.log.fields:
            raise DataError(f"{data.log.name} has one domain: nothing to align")
        domain = np.full(len(kinds), -1)
        for side, rows in enumerate(sides(data.log)):
            domain[data.log.item[rows]] = side
        there = np.flatnonzero((domain >= 0) & (kinds >= 0))
        if set(domain[there]) != {0, 1}:
            raise DataError(f"no item of a domain of {data.log.name} has a kind", column="item")
        vectors = np.asarray(table, dtype=float)[there]
        return cls(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), kinds[there], domain[there])


def purity(items: Items) -> dict[str, float]:
    """Share of an item's ten nearest (cosine) that have its kind: in the target domain, in the source domain,
    and "across", where every target item asks for source items.
    """
    mine, theirs = (np.flatnonzero(items.domain == side) for side in (0, 1))
    pairs = {"target": (mine, mine), "source": (theirs, theirs), "across": (mine, theirs)}
    return {name: _shared(items, *pair) for name, pair in pairs.items()}


def _shared(items: Items, askers: np.ndarray, asked: np.ndarray) -> float:
    likeness = items.vectors[askers] @ items.vectors[asked].T
    likeness[askers[:, None] == asked] = -np.inf  # an item is not its own neighbour
    near = asked[np.argsort(-likeness, axis=1, kind="stable")[:, :NEAR]]
    return float((items.kind[near] == items.kind[askers][:, None]).mean())


def by_chance(items: Items) -> float:
    """What "across" would be if every target item drew its neighbours."""
    shares = [
        np.bincount(items.kind[items.domain == side], minlength=items.kind.max() + 1) for side in (0, 1)
    ]
    return float(np.prod([share / share.sum() for share in shares], axis=0).sum())


def silhouettes(items: Items) -> Mapping[str, float]:
    """How much nearer (cosine) an item is to its kind than to the next other kind, -1 to 1: mean of each
    domain by itself, and of both together. What has one kind, or no two items of any, is left out.
    """
    parts = {name: items.domain == side for side, name in enumerate(SIDES)} | {"both": items.domain >= 0}
    return {
        name: float(silhouette_score(items.vectors[some], items.kind[some], metric="cosine"))
        for name, some in parts.items()
        if 1 < len(np.unique(items.kind[some])) < some.sum()
    }


def told_apart(table: Tensor, data: LongData, seed: int = 0, asked: int = 2000) -> float:
    """How often the two items of a cross-domain pair are more alike (cosine) than a pair of two users': AUC
    over pairs from the test impressions, .5 by chance (LCN, Section 1: latest clicks in both domains tell the
    same interests).
    """
    part = spread(data.parts["test"], asked)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pairs = draw_pairs(data.batch(part), asked)["cross"]
    alike = [functional.cosine_similarity(*table[pair].unbind(1), dim=-1) for pair in pairs]
    label = np.repeat([1, 0], [len(one) for one in alike])
    return auc(label, torch.cat(alike).cpu().numpy())


def plane(items: Items, seed: int = 0) -> np.ndarray:
    """(n, 2) places by t-SNE (van der Maaten and Hinton 2008), neighbours by cosine."""
    spread = TSNE(2, metric="cosine", init="pca", random_state=seed, perplexity=min(30, len(items.kind) / 4))
    return spread.fit_transform(items.vectors)
