"""The widget of lesson 08: one life, and the interests that it falls into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn import functional

from workbench.lab.clusters import rand_index
from workbench.lab.training import asking
from workbench.methods.clustering import ALGORITHMS, ClusterConfig, cluster
from workbench.methods.encode import LOSSES
from workbench.methods.long_history import Behaviours, LongHistory
from workbench.show.explorer import Explorer, choice, slider
from workbench.show.pictures_interests import Curve, life_in_interests

CLUSTERS = (2, 4, 8, 12, 16, 20, 30, 40, 64)  # at which the curve is worked out


def interest_explorer(
    model: Callable[[int, str], LongHistory],
    kept: Callable[[int, str], float],
    long: Behaviours,
    places: Sequence[np.ndarray],
    kinds: np.ndarray,
    words: Sequence[str],
    *,
    reduced: Sequence[int],
    clusters: int,
    planted: int | None,
    seed: int,
    small_print: str,
) -> Explorer:
    """Cut the histories of some users into clusters, with any K, m, loss and algorithm.

    model, kept : for m and a loss, the trained reduction and the share of triplets whose order it keeps.
    long : (U, L) events of the users to choose from. places : (L_u, 2) of each user's events on the plane.
    kinds : (V,) of items, -1 where unknown, and the words for them. reduced : numbers m to choose from; the
    largest is d, where nothing is reduced. clusters, reduced[0] : at first. planted : the number of kinds a
    user has, where one knows. seed : of the clusterings' starts.
    """
    whole = max(reduced)

    @cache
    def events(user: int, m: int, loss: str) -> torch.Tensor:
        chosen = model(m, loss)
        with asking(chosen):
            return functional.embedding(_items(long, user), chosen.interest.reduction(chosen.life.item))[None]

    @cache
    def clustered(user: int, m: int, loss: str, algorithm: str, clusters: int) -> tuple[np.ndarray, float]:
        """Labels (L_u,) of a user's events, and how well they agree with the kinds; NaN if nobody knows."""
        h = events(user, m, loss)
        there = torch.ones(h.shape[:2], dtype=torch.bool)
        label = cluster(h, there, ClusterConfig(clusters, algorithm=algorithm, seed=seed)).numpy()
        found = rand_index(label, kinds[_items(long, user).numpy()][None])
        return label[0], float("nan") if found is None else found

    def draw(user: int, clusters: int, reduced: int, loss: str, algorithm: str) -> tuple[Figure, str]:
        loss = "none" if reduced == whole else loss
        how = user - 1, reduced, loss, algorithm
        label, found = clustered(*how, clusters)
        curve = [clustered(*how, k)[1] for k in CLUSTERS]
        used = len(np.unique(label))
        said = (
            f"agreement with kinds (ARI) <b>{found:.2f}</b> · <b>{used}</b> of {clusters} clusters used · "
            f"order of distances kept in <b>{kept(reduced, loss):.0%}</b> of triplets"
        )
        by_size = np.sort(np.unique(label, return_counts=True)[1])[::-1]
        title = f"Nine of {used} clusters hold {by_size[:9].sum() / len(label):.0%} of the clicks"
        if used <= 9:
            title = f"{used} clusters hold all clicks"
        points = sorted({**dict(zip(CLUSTERS, curve, strict=True)), clusters: found}.items())
        shown = Curve(*zip(*points, strict=True), planted, clusters)
        kind = kinds[_items(long, user - 1).numpy()]
        return life_in_interests(label, places[user - 1], kind, words, title, small_print, shown), said

    knobs = {
        "user": slider("user", 1, 1, len(long.item)),
        "clusters": slider("K", clusters, 2, max(CLUSTERS)),
        "reduced": choice(
            "m", [(f"{m} (all)" if m == whole else str(m), m) for m in sorted(reduced)], reduced[0]
        ),
        "loss": choice("loss", list(LOSSES), "dynamic"),
        "algorithm": choice("algorithm", list(ALGORITHMS), "kmeans"),
    }
    return Explorer(draw, knobs, height=670, alt="One user's clicks in clusters: in time, and on the plane")


def _items(long: Behaviours, user: int) -> torch.Tensor:
    """(L_u,) items of a row, without its padding."""
    return long.item[user][long.there[user]]
