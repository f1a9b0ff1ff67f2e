"""Embeddings in the plane, coloured by what is true of them, and how pure their neighbourhoods are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from workbench.errors import DataError
from workbench.show import style

# Eight needs want eight hues; violet and olive mean nothing else in the book. Numbers stand on all of them.
HUES = (*style.SERIES[1:5], style.TARGET, "#332288", "#999933", style.INK)


def neighbour_purity(vectors: np.ndarray, codes: np.ndarray, k: int = 10) -> tuple[float, float]:
    """How often a point's k nearest neighbours share its code, and how often chance would make them.

    vectors : (n, v); codes : (n,). Chance is that of two different points drawn at random.

    Raises DataError when there are not more than k points.
    """
    vectors, codes = np.asarray(vectors), np.asarray(codes)
    if len(vectors) <= k:
        raise DataError(f"{len(vectors)} points have no {k} neighbours each")
    near = NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors(return_distance=False)  # never itself
    counts = np.unique(codes, return_counts=True)[1]
    chance = float((counts * (counts - 1)).sum() / (len(codes) * (len(codes) - 1)))
    return float((codes[near] == codes[:, None]).mean()), chance


def embedding_map(
    xy: np.ndarray, truths: Mapping[str, np.ndarray], purity: tuple[float, float], small_print: str
) -> Figure:
    """Window embeddings in the plane, one panel a truth: codes in hues with their numbers, shares in depth.

    xy : (n, 2) from t-SNE. truths : name -> (n,) whole numbers (codes; below 0: none) or real ones (a scale).
    purity : (share, chance) of the first truth, from :func:`neighbour_purity` on the vectors themselves:
    t-SNE may tear apart what is near, so the message does not rest on it.
    """
    share, chance = purity
    first = next(iter(truths))
    words = "lie together" if share > 1.5 * chance else "hardly lie together"
    with style.theme():
        figure = Figure(figsize=(1 + 4.9 * len(truths), 5.4), layout="constrained")
        for axes, (name, truth) in zip(
            figure.subplots(1, len(truths), squeeze=False)[0], truths.items(), strict=True
        ):
            _scatter(axes, xy, np.asarray(truth), name)
        title = f"Windows of the same {first} {words}: {share:.0%} of nearest neighbours share it"
        figure.suptitle(f"{title}, {chance:.0%} by chance", x=0.01, ha="left", fontsize=13, weight="bold")
        figure.supxlabel(f"t-SNE, axes without unit; {small_print}", fontsize=9.5, color=style.MUTED)
    return figure


def _scatter(axes: Axes, xy: np.ndarray, truth: np.ndarray, name: str) -> None:
    dots = {"s": 12, "lw": 0, "alpha": 0.75}
    if truth.dtype.kind == "f":
        drawn = axes.scatter(*xy.T, c=truth, cmap="viridis", **dots)
        axes.figure.colorbar(drawn, ax=axes, shrink=0.7, label=name)
    else:
        axes.scatter(*xy[truth < 0].T, color=style.FAINT, **dots)
        known = np.unique(truth[truth >= 0])
        for place, code in enumerate(known):
            axes.scatter(*xy[truth == code].T, color=HUES[place % len(HUES)], **dots)
        for place, code in enumerate(known):
            axes.annotate(
                str(code), np.median(xy[truth == code], axis=0), ha="center", va="center", color="white",
                weight="bold", fontsize=11,
                bbox={"boxstyle": "circle,pad=0.25", "fc": HUES[place % len(HUES)], "ec": "white", "lw": 1.5},
            )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"coloured by the true {name}", fontsize=11, weight="normal")
    axes.spines[:].set_visible(False)
