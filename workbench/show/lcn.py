"""The widgets of lessons 06 and 07: bringing two domains together, and three looks at a long sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from workbench.lab.long_samples import LongData
from workbench.lab.training import asking
from workbench.methods.lcn import Pyramid
from workbench.methods.long_history import LongHistory, consistency
from workbench.show.explorer import Explorer, choice, slider
from workbench.show.pictures_alignment import push_of_negatives, tried_alignments
from workbench.show.pictures_pyramid import funnel
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
        told = f"{len(drawn):,} negative pairs for a batch, the loss weighed by <b>{weight:g}</b>"
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


def pyramid_explorer(
    models: Mapping[str, LongHistory],
    data: LongData,
    asked: Tensor,
    kinds: np.ndarray,
    names: Sequence[str],
    top: int,
    small_print: str,
    k1: int,
    k2: int,
) -> Explorer:
    """Which events survive the levels of a pyramid, for any candidate, K1 and K2, in trained models.

    asked : (n,) impressions to choose from, all with more than ``top`` events. kinds : (V,) of items, -1
    where unknown. names : item code -> what is written. The consistency is that of all asked impressions,
    over the ``top`` events which the last level ranks highest. k1, k2 : at first.
    """
    longest, everyone = int(data.events[asked].max()), data.batch(asked)

    def draw(model: str, candidate: int, k1: int, k2: int) -> tuple[Figure, str]:
        chosen, index = models[model], asked[candidate - 1 : candidate]
        with asking(chosen), _pools(chosen.interest, k1, k2) as look:
            sample = data.batch(index)
            logit, levels = chosen(sample, return_levels=True)
            query = chosen.life.items(everyone.target[:, 0])
            scores = (f(chosen.life, query, everyone.long) for f in (look.searched, look.exact))
            agreed = float(consistency(*scores, top).nanmean())
        item, events = int(sample.target[0, 0]), sample.long.item[0].numpy()
        alike = (kinds[events] == kinds[item]) & (kinds[events] >= 0)
        clicked = "clicked" if int(data.label[index]) else "not clicked"
        told = (
            f"p(click) = <b>{float(logit.sigmoid()):.2f}</b>, was {clicked} · consistency over "
            f"{len(asked)} candidates: <b>{agreed:.2f}</b>"
        )
        title = f"What the candidate ({names[item]}) finds in {len(events)} events"
        return funnel(levels, alike, title, small_print, [names[code] for code in events]), told

    knobs = {
        "model": choice("model", list(models), next(iter(models))),
        "candidate": slider("candidate", 1, 1, len(asked)),
        "k1": slider("K1", min(k1, longest), 2, longest),
        "k2": slider("K2", min(k2, longest), 1, min(2 * k2, longest)),
    }
    return Explorer(draw, knobs, height=620, alt="Events that survive the three levels for one candidate")


@contextmanager
def _pools(look: Pyramid, k1: int, k2: int) -> Iterator[Pyramid]:
    """A pyramid with other numbers of survivors, for as long as one looks."""
    own = look.config
    look.config = replace(own, k1=max(k1, k2), k2=k2)
    try:
        yield look
    finally:
        look.config = own
