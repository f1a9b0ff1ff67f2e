"""The paper beside ours: numbers by hand, the paper's own tables, and titles that the intervals bear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pages import collisions, said

from workbench.errors import ConfigError, DataError
from workbench.lab import published
from workbench.show import style
from workbench.show.pictures_results import comparison_table, inference_time, paper_beside_ours, who_leads

NOTHING = pd.DataFrame(columns=["dataset", "method", "metric", "seed", "value"])


def ours(**means: float) -> pd.DataFrame:
    """Three seeds of some methods on ml-1m; LogLoss is 1 - AUC. A seed moves all methods alike."""
    rows = [
        ("ml-1m", method.replace("_", " "), metric, seed, value)
        for method, mean in means.items()
        for seed, shift in enumerate((-0.01, 0.0, 0.01))
        for metric, value in (("AUC", mean + shift), ("LogLoss", 1 - mean - shift))
    ]
    return pd.DataFrame(rows, columns=NOTHING.columns)


def at(table: pd.DataFrame, dataset: str, metric: str, method: str) -> pd.Series:
    return table.set_index(["dataset", "metric", "method"]).loc[(dataset, metric, method)]


def test_the_table_holds_what_is_printed_and_what_was_measured():
    """By hand: .79, .80, .81 have mean .80, s = .01, t(2; .975) = 4.3027: ± .02484."""
    table = comparison_table(ours(RIM=0.75, LIFT=0.8), published.table("lift_table2"), ["AUC"], "LIFT")
    printed = at(table, "Tmall", "AUC", "RIM")
    assert printed["published"] == 0.9138
    assert np.isnan(printed["ours"])
    mine = at(table, "ml-1m", "AUC", "LIFT")
    assert mine["ours"] == pytest.approx(0.8)
    assert mine["high"] == pytest.approx(0.8 + 4.302653 * 0.01 / np.sqrt(3))
    assert mine["seeds"] == 3
    assert np.isnan(mine["published"])
    assert len(table) == 3 * 12 + 2  # no lines for what neither side has
    assert list(dict.fromkeys(table["dataset"])) == ["Taobao", "Tmall", "Alipay", "ml-1m"]


def test_the_lead_is_paired_and_positive_where_the_champion_is_better():
    runs = ours(RIM=0.75, DIN=0.82, LIFT=0.8)
    table = comparison_table(runs, published.table("lift_table2"), ["AUC", "LogLoss"], "LIFT")
    for metric in ("AUC", "LogLoss"):
        rim, din = (at(table, "ml-1m", metric, method) for method in ("RIM", "DIN"))
        assert rim[["lead", "lead_low", "lead_high"]].tolist() == pytest.approx(3 * [0.05])
        assert din["lead"] == pytest.approx(-0.02)


@pytest.mark.parametrize(
    ("name", "champion", "words"),
    [
        ("lift_table2", "LIFT", "LIFT leads in 6 of 6 comparisons of the paper; not run here"),
        ("lift_table3", "LIFT", "LIFT leads in 11 of 12 comparisons of the paper; not run here"),
        ("lift_table4", "Transformer Decoder (p)", "leads in 6 of 6 comparisons of the paper"),
        ("lift_table5", "Future & History", "leads in 6 of 6 comparisons of the paper"),
    ],
)
def test_the_papers_own_tables_say_what_the_paper_says(name, champion, words):
    """Table 3's exception is HR@1 on LastFM."""
    printed = published.table(name)
    metrics = [metric for metric in dict.fromkeys(printed["metric"]) if "RelImpr" not in metric]
    assert words in who_leads(comparison_table(NOTHING, printed, metrics, champion), champion)


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({"RIM": 0.75, "DIN": 0.7, "LIFT": 0.8}, "here it leads in 1 of 1"),
        ({"RIM": 0.75, "DIN": 0.82, "LIFT": 0.8}, "here it is behind in 1 of 1"),
        ({"RIM": 0.75, "DIN": 0.80, "LIFT": 0.8}, "here it is level in 1 of 1"),
        ({"LIFT": 0.8}, "one seed here tells nothing"),
    ],
)
def test_who_leads_here(means, words):
    table = comparison_table(ours(**means), published.table("lift_table2"), ["AUC"], "LIFT")
    assert who_leads(table, "LIFT") == f"LIFT leads in 3 of 3 data sets of the paper; {words}"


def test_a_method_that_the_paper_does_not_have_takes_no_lead_from_it():
    here = ours(Other=0.9, LIFT=0.8).assign(dataset="Taobao")
    table = comparison_table(here, published.table("lift_table2"), ["AUC"], "LIFT")
    assert who_leads(table, "LIFT").startswith("LIFT leads in 3 of 3 data sets of the paper")


def test_rings_are_printed_dots_are_ours_and_better_is_to_the_right():
    runs = ours(RIM=0.75, LIFT=0.8)
    table = comparison_table(runs, published.table("lift_table2"), ["AUC", "LogLoss"], "LIFT")
    figure = paper_beside_ours(table, "LIFT", "3 seeds")
    panels = np.array(figure.axes).reshape(2, 4)
    assert [panel.get_title(loc="left") for panel in panels[0]] == ["Taobao", "Tmall", "Alipay", "ml-1m"]
    for panel, right_way in zip(panels[:, 3], (True, False), strict=True):
        left, right = panel.get_xlim()
        assert (left < right) == right_way
    marks = [line for line in panels[0, 3].lines if line.get_marker() == "o"]
    dots = {float(m.get_ydata()[0]): float(m.get_xdata()[0]) for m in marks if m.get_mfc() != "white"}
    assert dots == pytest.approx({8: 0.75, 11: 0.8})  # RIM is the ninth method of the table, LIFT the last
    rings = [line for line in panels[0, 0].lines if line.get_marker() == "o" and line.get_mfc() == "white"]
    printed = [float(ring.get_xdata()[0]) for ring in rings]
    assert printed == table[(table["dataset"] == "Taobao") & (table["metric"] == "AUC")]["published"].tolist()
    assert rings[-1].get_mec() == style.TARGET
    (best_other,) = [line for line in panels[0, 0].lines if line.get_linestyle() == ":"]
    assert best_other.get_xdata()[0] == 0.8727  # LIFT w/o pretrain
    assert collisions(figure) == []


def test_many_metrics_stand_beside_each_other_and_holes_stay_empty():
    printed = published.table("lift_table3")
    table = comparison_table(NOTHING, printed, list(dict.fromkeys(printed["metric"])), "LIFT")
    figure = paper_beside_ours(table[~((table["dataset"] == "LastFM") & (table["metric"] == "MRR"))], "LIFT")
    assert len(figure.axes) == 12
    assert sum(not panel.get_xlabel() for panel in figure.axes) == 1


def test_bad_results_are_refused():
    runs, printed = ours(RIM=0.75), published.table("lift_table2")
    with pytest.raises(ConfigError, match="LIFTED"):
        comparison_table(runs, printed, ["AUC"], "LIFTED")
    with pytest.raises(DataError, match="twice"):
        comparison_table(pd.concat([runs, runs]), printed, ["AUC"], "LIFT")


def test_times_are_medians_and_the_papers_ratio_is_a_ring():
    frame = pd.DataFrame(
        [("LIFT", 0.004), ("LIFT", 0.005), ("LIFT", 0.9), ("RIM", 0.004), ("BERT4Rec", 0.02)],
        columns=["system", "seconds"],
    )
    figure = inference_time(frame, published={"RIM": 0.7}, small_print="3 turns")
    assert figure.get_suptitle() == "LIFT's time is 1.2 times RIM's, 0.25 times BERT4Rec's"
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["RIM", "LIFT", "BERT4Rec"]
    dots = [line for line in axes.lines if line.get_marker() == "o" and line.get_mfc() != "none"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([4, 5, 20])
    (ring,) = [line for line in axes.lines if line.get_mfc() == "none"]
    assert (float(ring.get_xdata()[0]), int(ring.get_ydata()[0])) == (pytest.approx(3.5), 0)
    assert "4 ms   0.80 × LIFT" in said(figure)
    with pytest.raises(DataError, match="LIFT was not timed"):
        inference_time(frame[frame["system"] != "LIFT"])
