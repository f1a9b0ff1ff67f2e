"""ENCODE's online pictures: what they say follows from the numbers, and no word lies on another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from pages import collisions, said

from workbench.errors import DataError
from workbench.lab import published
from workbench.show import style
from workbench.show.pictures_tradeoff import accuracy_against_latency, frontier
from workbench.show.pictures_whole_history import (
    distance_by_clusters,
    relevance_and_kind,
    scores_by_knobs,
    two_stages,
    what_softmax_forgets,
    who_looks_where,
)

WORDS = {"paper": "the paper", "ours": "here"}


def test_two_stages_prints_every_weight() -> None:
    events = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0]])
    weights = {
        "ENCODE": np.array([0.222, 0.424, 0.295, 0.059]),
        "DIN-L": np.array([0.013, 0.262, 0.712, 0.013]),
    }
    figure = two_stages(events, [0, 0, 0, 1], np.array([0, 1]), weights, "small print")
    assert {"0.424  ENCODE", "0.712  DIN-L", "cluster 1", "cluster 2", "$x_t$"} <= set(said(figure))
    assert collisions(figure) == []


def distances(last: float) -> pd.DataFrame:
    rows = [(k, to, end, False) for k, near, far in ((1, 0.7, 0.1), (30, 0.3, 0.45), (1000, last, 0.67))
            for to, end in (("DIN-L", near), ("AvgPooling", far))]  # fmt: skip
    rows += [(1000, "DIN-L", 0.0, True), (1000, "AvgPooling", 0.68, True)]
    return pd.DataFrame(rows, columns=["clusters", "to", "distance", "own"])


def test_as_many_clusters_as_events_end_in_a_star_at_zero() -> None:
    figure = distance_by_clusters(distances(0.12), 1000, 30, "small print")
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert [float(line.get_ydata()[0]) for line in stars] == [0.0, 0.68]
    assert {"K = 30", "k-means: a repeated click counts once"} <= set(said(figure))
    assert collisions(figure) == []
    figure = distance_by_clusters(distances(0.0), 1000, 30)  # where nobody clicks twice
    assert not [text for text in said(figure) if "k-means" in text]
    assert collisions(figure) == []


def test_a_strip_draws_the_events_that_have_weight_and_the_kind_on_top() -> None:
    alike = np.zeros(100, bool)
    alike[[3, 50]] = True
    search = np.zeros(100)
    search[[3, 7]] = 0.75, 0.25
    strips = {"DIN-L": np.full(100, 0.01), "TWIN": search}
    figure = who_looks_where(
        {"Left\none line more": (alike, strips), "Right": (~alike, strips)}, "Title", "small print"
    )
    left, _ = figure.axes
    others, mine = (
        c for c in left.collections[:2] if isinstance(c, LineCollection)
    )  # the last look is lowest
    assert [line[0, 0] for line in others.get_segments()] == [7]
    assert [line[0, 0] for line in mine.get_segments()] == [3]
    assert np.allclose(mine.get_segments()[0][:, 1], [0, np.sqrt(75)])  # 75 times the mean
    assert np.allclose(mine.get_colors()[0][:3], to_rgb(style.TARGET))
    assert [len(c.get_segments()) for c in left.collections[2:]] == [98, 2]
    shares = {text.split()[0] for text in said(figure) if "on the candidate's kind" in text}
    assert shares == {"2%", "98%", "75%", "25%"}
    assert collisions(figure) == []


def test_one_candidate_of_nobodys_kind_is_drawn() -> None:
    figure = who_looks_where(
        {"One": (np.zeros(5, bool), {"DIN-L": np.full(5, 0.2)})}, "Title", names={"DIN-L": "all"}
    )
    assert "0% on the candidate's kind" in said(figure)
    assert "all" in said(figure)


def judged(twin: float) -> pd.DataFrame:
    rows = [("DIN-L", 5.9, 0.4), ("ENCODE", 6.3, 0.2), ("TWIN", twin, 0.7), ("AvgPooling", 6.75, 0.04)]
    return pd.DataFrame(rows, columns=["method", "RI", "on kind"])


def test_the_judges_title_says_whether_they_agree() -> None:
    figure = relevance_and_kind(judged(8.2), 6.75, 0.04, "small print")
    assert "The Relevance Indicator puts TWIN last; by the candidate's kind it is first" in said(figure)
    assert collisions(figure) == []
    left = figure.axes[0]
    assert left.get_xlim()[0] > left.get_xlim()[1]  # less is better, and better is to the right
    figure = relevance_and_kind(judged(6.2), 6.75, 0.04)
    assert "TWIN is nearest to DIN-L; TWIN looks most at the candidate's kind" in said(figure)


def likeness(sharp: float) -> pd.DataFrame:
    ends = {"DIN-L": sharp, "ENCODE": 0.758}
    rows = [(name, beta, end if beta == 20 else 0.76) for name, end in ends.items() for beta in (0.05, 5, 20)]
    return pd.DataFrame(rows, columns=["system", "beta", "auc"])


def test_who_falls_where_attention_is_sharp_is_in_the_title() -> None:
    figure = what_softmax_forgets(likeness(0.68), 0.77, 5, "small print")
    assert "Sharp attention forgets how many: DIN-L falls, ENCODE stays" in said(figure)
    assert {"β = 5", "counting events of its kind"} <= set(said(figure))
    assert collisions(figure) == []
    assert "How sharp attention is decides what a vector can tell" in said(
        what_softmax_forgets(likeness(0.76), None, 5)
    )
    with pytest.raises(DataError, match="no results"):
        what_softmax_forgets(likeness(0.7)[:0], None, 5)


def test_panels_of_knobs_share_their_axis() -> None:
    rows = [
        (knob, setting, system, seed, 0.7 + 0.01 * at + 0.001 * seed)
        for knob, settings in (("interests", (4, 16)), ("interest_longevity", (0, 0.5, 1)))
        for at, setting in enumerate(settings)
        for system in ("DIN", "ENCODE")
        for seed in range(2)
    ]
    frame = pd.DataFrame(rows, columns=["knob", "setting", "system", "seed", "value"])
    knobs = {"interests": "interests a user has", "interest_longevity": "do they last"}
    figure = scores_by_knobs(frame, knobs, "AUC", "Title", "small print")
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] < frame["value"].min() < frame["value"].max() < left.get_ylim()[1]
    assert (left.get_xscale(), right.get_xscale()) == ("log", "linear")
    assert collisions(figure) == []
    with pytest.raises(DataError, match="no results"):
        scores_by_knobs(frame[:0], knobs, "AUC", "Title")


# --- accuracy against latency -----------------------------------------------------------------------------


def printed() -> pd.DataFrame:
    """The paper's Figure 1."""
    table = published.table("encode_table2").query("dataset == 'Industrial (AliExpress)'")
    table = table.pivot(index="method", columns="metric", values="value").reset_index()
    return table.rename(columns={"CTR AUC": "auc", "inference_time_ms": "ms"}).assign(where="paper")


def test_the_frontier_by_hand() -> None:
    """The second is as accurate as the first and slower; the last two are the same point."""
    assert frontier([1, 2, 3, 3, 3], [0.7, 0.7, 0.6, 0.8, 0.8]).tolist() == [True, False, False, True, True]
    table = printed()
    names = set(table["method"][frontier(table["ms"], table["auc"])])
    assert names == {"DIN", "AvgPooling", "SDIM", "ENCODE"}


def test_every_method_has_its_name_beside_its_point() -> None:
    table = printed()
    ours = table.assign(where="ours", ms=table["ms"] * 7, auc=table["auc"].iloc[::-1].to_numpy(), sd=0.001)
    figure = accuracy_against_latency(pd.concat([table, ours]), WORDS, small_print="small print")
    assert all(said(figure).count(name) == 2 for name in table["method"])
    assert collisions(figure) == []
    title = next(text for text in said(figure) if text.startswith("As fast"))
    assert title.startswith("As fast and as accurate as ENCODE: in the paper nothing, here ")


def test_a_crowd_of_points_keeps_its_names_apart() -> None:
    rng = np.random.default_rng(0)
    names = [f"method {number}" for number in range(9)]
    crowd = pd.DataFrame({"method": names, "ms": 90 + 30 * rng.random(9), "auc": 0.77 + 0.01 * rng.random(9)})
    figure = accuracy_against_latency(crowd.assign(where="ours"), WORDS, champion="method 3")
    assert len(figure.axes) == 1  # the paper has no points here
    assert collisions(figure) == []


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(DataError, match="no points"):
        accuracy_against_latency(printed().assign(where="elsewhere"), WORDS)
