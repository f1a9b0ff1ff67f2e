"""The widget of lesson 09: one candidate asks a whole history, in four ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from workbench.baselines.whole_history import AvgPooling, ByOneMetric, DINLong
from workbench.lab.long_measures import attention_of, relevance_indicator
from workbench.lab.long_samples import LongData
from workbench.lab.training import asking
from workbench.methods.encode import METRICS, Encode, EncodeConfig, Reduction
from workbench.methods.long_history import Behaviours, Interest, Life, LongHistory
from workbench.show.explorer import Explorer, choice, slider
from workbench.show.pictures_whole_history import who_looks_where

CLUSTERS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500)
BETAS = (0.05, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)


def looks(life: Life, reduction: Reduction, config: EncodeConfig, k: int) -> dict[str, Interest]:
    """Four looks by one config: "DIN-L", "ENCODE", "TWIN" (a search for k), "AvgPooling".

    None has weights of its own but ENCODE, which gets the ``reduction`` of another. So whoever has item
    vectors in ``life`` has all four without training.
    """
    encode = Encode(life, config)
    encode.reduction = reduction
    return {
        "DIN-L": DINLong(life, config), "ENCODE": encode, "TWIN": ByOneMetric(life, k, alike=config),
        "AvgPooling": AvgPooling(life),
    }  # fmt: skip


def seen(look: Interest, life: Life, query: Tensor, long: Behaviours) -> tuple[Tensor, Tensor]:
    """What candidates (B, d) read in events (B, L): vectors (B, d), and weights (B, L) that add up to 1."""
    with torch.no_grad():
        vector, levels = look(life, query, long)
        return vector, attention_of(levels, long.item.shape[1])


def online_explorer(
    model: LongHistory,
    data: LongData,
    asked: Tensor,
    kinds: np.ndarray,
    names: Sequence[str],
    config: EncodeConfig,
    k: int,
    small_print: str,
) -> Explorer:
    """Whose weights lie where, for any candidate, number of clusters, sharpness, metric and k of the search.

    model : an ENCODE, for its item vectors and its reduction; asked : (n,) impressions to choose from; kinds
    : (V,) of items, -1 where unknown; names : item code -> what is written; config, k : at first.
    """
    life, reduction = model.life, model.interest.reduction
    longest, first = int(data.events[asked].max()), config.clusters.clusters
    clusters = sorted({*(few for few in CLUSTERS if few < longest), first, longest})
    betas = sorted({*BETAS, config.beta})

    def draw(candidate: int, clusters: int, beta: float, metric: str, k: int) -> tuple[Figure, str]:
        found = replace(
            config, beta=beta, metric=metric, clusters=replace(config.clusters, clusters=clusters)
        )
        index = asked[candidate - 1 : candidate]
        with asking(model):
            sample = data.batch(index)
            query, there = life.items(sample.target[:, 0]), sample.long.there
            read = {
                name: seen(look, life, query, sample.long)
                for name, look in looks(life, reduction, found, k).items()
                if name != "AvgPooling"
            }
        reference = read["DIN-L"][1]
        told = []
        for name, (vector, weights) in read.items():
            along = float(functional.cosine_similarity(vector, query))
            ri = float(relevance_indicator(reference, weights, there))
            told.append(f"{name}: cosine to the candidate <b>{along:.2f}</b>, RI <b>{ri:.2f}</b>")
        item, events = int(sample.target[0, 0]), sample.long.item[0].numpy()
        alike = (kinds[events] == kinds[item]) & (kinds[events] >= 0)
        clicked = "clicked" if int(data.label[index]) else "not clicked"
        words = f"{names[item]} ({clicked}): {alike.sum()} of {len(events)} events are of its kind"
        strips = {name: weights[0].numpy() for name, (_, weights) in read.items()}
        written = {"ENCODE": f"ENCODE\nK = {clusters}", "TWIN": f"TWIN\nbest {min(k, len(events))}"}
        figure = who_looks_where({words: (alike, strips)}, "Who looks where", small_print, written)
        uniform = np.log(len(events))
        return figure, " · ".join(told) + f" · RI of uniform weights: {uniform:.2f}"

    knobs = {
        "candidate": slider("candidate", 1, 1, len(asked)),
        "clusters": widgets.SelectionSlider(description="K", options=clusters, value=first),
        "beta": widgets.SelectionSlider(description="β", options=betas, value=config.beta),
        "metric": choice("metric", list(METRICS), config.metric),
        "k": slider("k", min(k, longest), 1, min(4 * k, longest)),
    }
    return Explorer(draw, knobs, height=520, alt="Weights of DIN-L, ENCODE and TWIN over one whole history")
