"""The pictures of pretraining say what their curves and numbers say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pages import collisions, said

from workbench.errors import DataError
from workbench.show.pictures_pretraining import asked_by_kind, left_plateau, plateau

FLAT = [0.53, 0.52, 0.53, 0.53, 0.52, 0.53, 0.54, 0.53]
RISES = [0.53, 0.52, 0.53, 0.53, 0.56, 0.58, 0.60, 0.62]


def curves(**variants: list[list[float]]) -> pd.DataFrame:
    rows = [
        (variant, seed, epoch, value)
        for variant, seeds in variants.items()
        for seed, values in enumerate(seeds)
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "value"])


def test_leaving_a_plateau_means_not_coming_back():
    assert left_plateau(RISES) == 5
    assert left_plateau(FLAT) is None
    assert left_plateau([0.5, 0.5, 0.5, 0.9, 0.5, 0.6, 0.7]) == 6
    assert left_plateau([0.48, 0.5, 0.52, 0.54]) is None  # label rates alone


def test_the_title_says_who_leaves_and_who_stays():
    figure = plateau(curves(large=[RISES, RISES], small=[FLAT, FLAT]), "two seeds")
    assert figure.get_suptitle() == "large leaves the plateau after 5 epochs; small is still on it after 8"
    assert {"large: 0.620", "small: 0.530", "two seeds"} <= set(said(figure))
    assert collisions(figure) == []
    both = plateau(curves(one=[FLAT], other=[FLAT]), "")
    assert both.get_suptitle() == "one and other are still on the plateau after 8"
    mixed = plateau(curves(one=[FLAT, RISES]), "")
    assert mixed.get_suptitle() == "Some seeds leave the plateau, others do not"


def test_every_seed_is_a_line_and_ends_that_meet_are_told_apart():
    figure = plateau(curves(a=[RISES, FLAT], b=[FLAT], c=[FLAT]), "")
    (axes,) = figure.axes
    assert len(axes.lines) == 2 + 3 + 1  # thin ones of a, three means, guessing
    assert axes.lines[2].get_ydata() == pytest.approx(np.mean([RISES, FLAT], axis=0))
    assert collisions(figure) == []
    with pytest.raises(DataError, match="no curves"):
        plateau(curves(), "")


def test_what_is_known_is_named_with_its_numbers():
    table = pd.DataFrame(
        {"AUC": [0.66, 0.53, 0.76, 0.50], "best reachable": [0.89, 0.80, 0.92, 0.88]},
        index=["all rows", "taste items", "sign items", "step items"],
    )
    figure = asked_by_kind(table, "8,000 rows")
    assert figure.get_suptitle() == "Pretraining knows sign items (0.76) and hardly step items (0.50)"
    assert {"0.760", "0.92", "8,000 rows", "knowing the hidden need"} <= set(said(figure))
    assert collisions(figure) == []


def test_without_truths_no_ceiling_is_drawn():
    table = pd.DataFrame({"AUC": [0.71], "best reachable": [np.nan]}, index=["all rows"])
    figure = asked_by_kind(table, "")
    assert figure.get_suptitle() == "The pretrained encoder, asked about the target: AUC 0.710"
    assert "knowing the hidden need" not in said(figure)
