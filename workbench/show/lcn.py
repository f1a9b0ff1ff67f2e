"""The widgets of lessons 06 and 07: bringing two domains together, and three looks at a long sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.show.explorer import Explorer
from workbench.show.pictures_alignment import push_of_negatives, tried_alignments
from workbench.show.trainer import Results, Trainer

KNOBS = {"weight": "λ", "tau": "τ", "negatives": "M"}


def alignment_trainer(
    cosines: np.ndarray,
    train: Callable[..., tuple[float, float]],
    results: Results,
    beside: Sequence[tuple[str, float, float]],
    *,
    chance: float,
    small_print: str,
) -> Trainer:
    """Turn λ, τ and M of LCN's contrastive loss, see whom τ pushes, and train with them.

    cosines : of negative pairs in a trained model. train : weight, tau, negatives, on_progress, stop -> AUC
    of the validation impressions and purity across domains. results : of before, by (weight, tau, negatives).
    beside : name, AUC, purity of models that are no setting of the knobs. chance : of that purity.
    """

    def draw(weight: float, tau: float, negatives: int) -> tuple[Figure, str]:
        drawn = cosines[:negatives]
        told = f"{len(drawn):,} negative pairs for a batch; the loss has a share of <b>{weight:g}</b>"
        return push_of_negatives(drawn, tau, "cosines in the model above, trained with CRP"), told

    def picture(results: Results) -> tuple[Figure, str]:
        rows = [(name, auc, purity, False) for name, auc, purity in beside]
        for key, (auc, purity) in results.items():
            named = zip(KNOBS.values(), key, strict=True)
            rows.append((", ".join(f"{name} {value:g}" for name, value in named), auc, purity, True))
        points = pd.DataFrame(rows, columns=["name", "auc", "purity", "tried"])
        said = " · ".join(f"{row.name}: AUC <b>{row.auc:.3f}</b>, purity <b>{row.purity:.2f}</b>"
                          for row in points[points["tried"]].itertuples(index=False))  # fmt: skip
        return tried_alignments(points, chance, small_print), f"tried so far: {said}"

    knobs = {
        name: widgets.SelectionSlider(description=KNOBS[name], options=options, value=value)
        for name, options, value in (
            ("weight", (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0), 0.1),
            ("tau", (0.02, 0.05, 0.1, 0.2, 0.5, 1.0), 0.1),
            ("negatives", (64, 128, 512, 1024, 2048, 4096), 4096),
        )
    }
    page = Explorer(draw, knobs, height=300, alt="Which negative pairs the contrastive loss pushes apart")
    alt = "Whom the contrastive loss pushes apart, and what models trained with it reach"
    return Trainer(page, train, picture, asks=tuple(KNOBS), results=results, height=440, alt=alt)
