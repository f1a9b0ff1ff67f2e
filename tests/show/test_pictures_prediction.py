"""The pictures of lesson 04 say what their numbers say, and their words stand apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages import collisions, said
from scipy import stats

from workbench.errors import DataError
from workbench.lab.comparing import MULTIPLIED, SIDE_BY_SIDE
from workbench.methods.lift import LIFT
from workbench.methods.lift_config import REMEDIES, LIFTConfig
from workbench.show.pictures_prediction import (
    changes,
    hidden_blocks,
    hidden_vector,
    remedies_worth,
    rows_to_compare,
    tried_predictors,
)

OURS = replace(LIFTConfig(), **REMEDIES)
CONFIGS = [
    LIFTConfig(),
    LIFTConfig(literal_eq17=True),
    OURS,
    replace(OURS, context="none"),
    replace(OURS, context="future", neighbor_label="key"),
    replace(OURS, neighbor_label="none", represent="mean", interaction="micro"),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_pieces_add_up_to_what_the_mlp_reads(config):
    model = LIFT([5, 4, 3], config)
    blocks = hidden_blocks(config, 3, model.encoder.value_size, model.encoder.own_size)
    assert sum(blocks.values()) == model.predictor.mlp[0].in_features
    assert ("products with h" in blocks) == bool(config.match and config.parts)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_strip_names_every_piece_and_says_whether_h_is_compared(config):
    blocks = hidden_blocks(config, 7, 16, 49)
    figure = hidden_vector(blocks)
    words = said(figure)
    assert set(blocks) <= set(words)
    assert all(str(size) in words for size in blocks.values())
    title = figure.get_suptitle()
    assert title.startswith(f"The MLP reads {sum(blocks.values())} numbers")
    assert title.endswith("no comparison with h") == ("products with h" not in blocks)
    assert collisions(figure) == []


def compared() -> pd.DataFrame:
    reached = {SIDE_BY_SIDE: (0.5, 0.52, 0.61), MULTIPLIED: (0.69, 0.71, 0.72)}
    rows = [
        (name, n, seed, value + 0.01 * seed, 0.73)
        for name, values in reached.items()
        for n, value in zip((1_000, 4_000, 15_000), values, strict=True)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["input", "rows", "seed", "auc", "ceiling"])


def test_rows_to_compare_draws_every_run_and_tells_of_the_marked_rows():
    figure = rows_to_compare(compared(), marked=4_000)
    assert figure.get_suptitle() == "4,000 rows: AUC 0.53 side by side, 0.71 with products"
    assert "2 seeds" in figure.texts[-1].get_text()
    dots = [len(line.get_xdata()) for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert dots == [6, 6]
    assert collisions(figure) == []


def trials() -> pd.DataFrame:
    """LIFT, a change that costs .1 on steps for sure, one that costs nothing, one that was run once."""
    noise = np.array([0.0, 0.01, -0.01, 0.02])
    parts = [
        pd.DataFrame({"variant": "LIFT", "seed": range(4), "auc": 0.7 + noise, "auc_steps": 0.65 + noise}),
        pd.DataFrame(
            {"variant": "no match", "seed": range(4), "auc": 0.68 + noise, "auc_steps": 0.55 + 0.9 * noise}
        ),
        pd.DataFrame({"variant": "equal weights", "seed": range(4), "auc": 0.7 + noise[::-1],
                      "auc_steps": 0.65 + noise[::-1]}),
        pd.DataFrame({"variant": "literal", "seed": [2], "auc": [0.5], "auc_steps": [0.5]}),
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_changes_are_paired_over_shared_seeds():
    table = changes(trials(), "LIFT").set_index(["variant", "metric"])
    noise = np.array([0.0, 0.01, -0.01, 0.02])
    difference = -0.1 - 0.1 * noise
    line = table.loc[("no match", "auc_steps")]
    assert line["change"] == pytest.approx(difference.mean())
    low, high = stats.t.interval(0.95, 3, difference.mean(), stats.sem(difference))
    assert (line["low"], line["high"]) == (pytest.approx(low), pytest.approx(high))
    alone = table.loc[("literal", "auc")]
    assert alone["change"] == pytest.approx(0.5 - 0.69)
    assert alone["seeds"] == 1
    assert np.isnan(alone["low"])
    assert table.loc[("LIFT", "auc"), "change"] == 0


def test_changes_refuse_what_cannot_be_paired():
    with pytest.raises(DataError, match="no results of 'RIM'"):
        changes(trials(), "RIM")
    with pytest.raises(DataError, match="twice"):
        changes(pd.concat([trials(), trials()[:1]]), "LIFT")


def test_the_title_names_the_dearest_single_change():
    groups = {"one change": ["no match", "equal weights", "not run"], "all at once": ["literal"]}
    figure = remedies_worth(changes(trials(), "LIFT"), "LIFT", groups, "world")
    spread = stats.sem(-0.1 * np.array([0.0, 0.01, -0.01, 0.02])) * stats.t.ppf(0.975, 3)
    assert figure.get_suptitle() == f"No match costs most: −0.100 ± {spread:.3f} AUC on rows about step items"
    words = said(figure)
    assert {"no match", "equal weights", "literal", "one change", "all at once", "world"} <= set(words)
    assert "not run" not in words
    assert collisions(figure) == []


def test_a_change_is_filled_only_where_it_is_sure():
    groups = {"one change": ["no match", "equal weights"]}
    figure = remedies_worth(changes(trials(), "LIFT"), "LIFT", groups)
    for axes in figure.axes:
        faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
        assert [face == "white" for face in faces] == [False, True]


def test_tried_predictors_are_drawn_in_order_with_their_numbers():
    figure = tried_predictors({"first": (0.69, 0.63), "second": (0.66, 0.53)}, (0.9, 0.87))
    words = said(figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["first", "second"]
    assert {"0.690", "0.630", "0.660", "0.530"} <= set(words)
    assert any("best reachable 0.870" in word for word in words)
    assert collisions(figure) == []


def test_without_step_rows_one_panel_is_drawn():
    figure = tried_predictors({"first": (0.69, np.nan)}, None)
    assert len(figure.axes) == 1
    assert not any("best reachable" in word for word in said(figure))
