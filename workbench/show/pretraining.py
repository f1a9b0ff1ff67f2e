"""The widget of lesson 03: hide labels of a user's row, train on hidden labels, see what it gives."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from workbench.lab.tensors import Table
from workbench.methods.lift import Encoder, mask_behaviours, pretrain_loss
from workbench.show.explorer import Explorer, slider
from workbench.show.pictures_curves import mask_ratio_curve
from workbench.show.pictures_lift import masked_row
from workbench.show.trainer import Results, Trainer

METRIC = "AUC of hidden labels"


def masked_explorer(
    encoder: Encoder, table: Table, windows: Tensor, name: Callable[[int], str], ratio: float | str = 0.3
) -> Explorer:
    """Hide a share of the labels of a user's events, and see what an encoder says of them.

    windows : (n, T) rows, as many events as the picture shows, -1 for none. name : row of the log -> what is
    written over the event. The knob "ratio" is a share of the labels, or "last" for the last one alone.
    """
    shares = {round(0.1 * tenth, 1) for tenth in range(1, 11)} | ({ratio} - {"last"})
    knobs = {
        "ratio": widgets.SelectionSlider(description="ratio", options=[*sorted(shares), "last"], value=ratio),
        "user": slider("user", 1, 1, len(windows)),
        "draw": slider("draw", 1, 1, 20),
    }

    def draw(ratio: float | str, user: int, draw: int) -> tuple[Figure, str]:
        rows = windows[user - 1 : user]
        rows = rows[:, : int((rows >= 0).sum())]
        events = table.events(rows)
        masked = mask_behaviours(events.there.cpu(), ratio, torch.Generator().manual_seed(draw))
        masked = masked.to(table.device)
        with torch.no_grad():
            said = torch.sigmoid(encoder.behaviour(encoder(events, masked)))
            loss = float(pretrain_loss(encoder, events, masked))
        shown = [line[0].cpu().numpy() for line in (events.label, masked, said)]
        words = [name(row) for row in rows[0].tolist()]
        figure = masked_row(shown[0], shown[1], words, shown[2])
        told = f"mean loss {loss:.3f}; guessing one half: {np.log(2):.3f}"
        return figure, f"<b>{int(masked.sum())} of {rows.shape[1]} hidden</b>: {told}"

    return Explorer(draw, knobs, height=690, alt="A user's row of events with hidden labels")


def pretraining_explorer(
    encoder: Encoder,
    table: Table,
    windows: Tensor,
    name: Callable[[int], str],
    train: Callable[..., float],
    *,
    known: Results,
    ratio: float | str,
    seed: int,
    small_print: str,
) -> Trainer:
    """:func:`masked_explorer`, and a Run button that pretrains another encoder at the ratio chosen.

    train : ratio, on_progress, stop -> AUC of hidden labels; known : such AUCs by (ratio,), from before.
    ratio : where the knob stands first.
    """

    def picture(results: Results) -> tuple[Figure, str]:
        shares = {ratio: value for (ratio,), value in results.items() if ratio != "last"}
        points = pd.DataFrame({"ratio": list(shares), "value": list(shares.values())}, dtype=float)
        alone = [results[("last",)]] if ("last",) in results else []
        figure = mask_ratio_curve(points.assign(seed=seed), METRIC, one_label=alone, small_print=small_print)
        low, high = min(results.values()), max(results.values())
        figure.axes[0].set_ylim(min(low, 0.5) - 0.01, high + 0.03)  # guessing is in the picture
        said = " · ".join(f"{ratio}: <b>{value:.3f}</b>" for (ratio,), value in results.items())
        return figure, f"tried so far: {said}"

    page = masked_explorer(encoder, table, windows, name, ratio)
    alt = "A user's row with hidden labels, and the AUC against the share of labels hidden in training"
    return Trainer(page, train, picture, asks=("ratio",), results=known, height=470, alt=alt)
