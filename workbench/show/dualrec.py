"""The widgets of lesson 05: who sees whom, what the loss is made of, and where attention goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from workbench.lab.attention_maps import attention_of
from workbench.lab.training import asking
from workbench.methods.dualrec import DualRec, window_mask
from workbench.methods.dualrec_config import window_sizes
from workbench.methods.next_item import full_softmax
from workbench.show.explorer import Explorer, choice, slider
from workbench.show.pictures_attention import attention_map
from workbench.show.pictures_dualrec import head_windows, loss_parts, tried_weights
from workbench.show.trainer import Results, Trainer

PAST, FUTURE = "past", "future"


def windows_explorer(length: int = 12, heads: int = 8) -> Explorer:
    """Masks of DualRec, Figure 2(c) and (d), for any number of items and heads and both directions."""

    def draw(n: int, heads: int, direction: str) -> tuple[Figure, str]:
        sizes = window_sizes(heads, n)
        seen = window_mask(n, sizes).numpy()
        if direction == FUTURE:
            seen = seen[:, ::-1, ::-1]
        shares = seen.sum((1, 2)) / (n * (n + 1) / 2)
        told = ", ".join(f"{share:.0%}" for share in shares)
        return head_windows(seen, sizes, direction), f"of all allowed pairs the heads see <b>{told}</b>"

    knobs = {
        "n": slider("n items", length, 8, 50),
        "heads": slider("heads", heads, 1, 8),
        "direction": choice("encoder", [PAST, FUTURE], PAST),
    }
    return Explorer(draw, knobs, height=660, alt="Which items each head of an encoder may look at")


def attention_explorer(
    models: Mapping[str, DualRec], histories: Tensor, names: Sequence[str], newest: int = 14
) -> Explorer:
    """Where each head of each model looks when it reads a user's history.

    models : name -> trained. histories : (users, T) item codes, oldest first, then 0. names : item code ->
    what is written beside the map. newest : so many items are read, and shown.
    """
    first = next(iter(models.values()))

    def draw(model: str, user: int, encoder: str, layer: int, head: int) -> tuple[Figure, str]:
        chosen, row = models[model], histories[user - 1]
        row = row[row > 0][-newest:]
        if getattr(chosen, encoder) is None:
            encoder = PAST  # trained on the past alone
        weights = attention_of(chosen, row, encoder)[layer - 1, head - 1]
        titled = f"{model}: layer {layer}, head {head} of the {encoder} encoder"
        looked = np.diagonal(weights)
        own = looked[1:] if encoder == PAST else looked[:-1]  # of those who had a choice
        note = f"user {user}; reads the newest {len(row)} items, oldest on top; darker: looked at more"
        window = window_sizes(chosen.config.heads, chosen.config.length)[head - 1]
        told = f"window <b>{window}</b>; an item gives <b>{own.mean():.2f}</b> of its attention to itself"
        return attention_map(weights, [names[code] for code in row.tolist()], encoder, titled, note), told

    knobs = {
        "model": choice("model", list(models), next(iter(models))),
        "user": slider("user", 1, 1, len(histories)),
        "encoder": choice("encoder", [PAST, FUTURE], PAST),
        "layer": slider("layer", 1, 1, first.config.layers),
        "head": slider("head", first.config.heads, 1, first.config.heads),
    }
    return Explorer(draw, knobs, height=640, alt="Where one head looks in one user's history")


def loss_weights_trainer(
    parts: Mapping[str, float],
    train: Callable[..., float],
    results: Results,
    *,
    metric: str,
    small_print: str,
    background: Mapping[str, pd.DataFrame] | None = None,
) -> Trainer:
    """Turn alpha and beta of DualRec, Eq. 14, see what the loss is made of, and train with them.

    parts : "past", "future" and "transfer" -> their size in a trained model. train : alpha, beta,
    on_progress, stop -> a metric. results : of before, by (alpha, beta). background : "alpha" and "beta" ->
    kept results as of :func:`workbench.show.pictures_dualrec.tried_weights`.
    """

    def draw(alpha: float, beta: float) -> tuple[Figure, str]:
        weighed = {"past": alpha * parts["past"], "future": (1 - alpha) * parts["future"]}
        weighed["transfer"] = beta * parts["transfer"]
        told = f"loss of a trained model, weighed so: <b>{sum(weighed.values()):.3f}</b>"
        return loss_parts(weighed), told

    def picture(results: Results) -> tuple[Figure, str]:
        said = " · ".join(f"α {a:g}, β {b:g}: <b>{value:.3f}</b>" for (a, b), value in results.items())
        return tried_weights(results, metric, background or {}, small_print), f"tried so far: {said}"

    alphas, betas = (0.1, 0.3, 0.5, 0.7, 0.9), (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0)
    knobs = {
        "alpha": widgets.SelectionSlider(description="alpha", options=alphas, value=0.5),
        "beta": widgets.SelectionSlider(description="beta", options=betas, value=0.5),
    }
    page = Explorer(draw, knobs, height=190, alt="What the loss of DualRec is made of")
    alt = "What DualRec's loss is made of, and its results against alpha and beta"
    return Trainer(page, train, picture, asks=("alpha", "beta"), results=results, height=430, alt=alt)


def loss_sizes(model: DualRec, windows: Tensor) -> dict[str, float]:
    """The three parts of Eq. 14 for some sequences (B, T), before alpha and beta weigh them."""
    length = (windows > 0).sum(1)
    with asking(model):
        reads = {direction: model.read(windows, direction) for direction in (PAST, FUTURE)}
        there, found = model.asked(length, windows.shape[1]), {}
        for direction, (_, foretold) in model.rows(windows, length).items():
            query, target = reads[direction].states[:, :-1][there], foretold[:, 1:][there]
            found[direction] = float(full_softmax(query, target, model.item.weight)) / max(len(query), 1)
        return found | {"transfer": float(model.transfer(reads[PAST], reads[FUTURE], length))}
