"""Lesson 01's pictures: the numbers and words in them are those of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.data.splits import global_time_split, leave_one_out
from workbench.data.world import make_world
from workbench.lab.phenomena import sweep
from workbench.show.pictures_time import cut_window, leak_flatters, sampled_metrics, time_split
from workbench.show.pictures_world import one_world, world_knobs


@pytest.fixture(scope="module")
def log():
    return make_world("small", 0, users=100).interactions


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_window_is_one_users_and_crosses_the_cut(log):
    split = global_time_split(log)
    window = cut_window(log, split, 4)
    mine = np.flatnonzero(log.user == window.user)
    place = int(np.searchsorted(mine, window.rows[4]))
    assert window.rows.tolist() == mine[place - 4 : place + 5].tolist()
    assert window.kept.tolist() == (window.rows < split.retrieval.stop).tolist()
    assert window.kept[4]
    assert 2 <= (~window.kept).sum() < 4


def test_time_split_crosses_out_what_lies_behind_the_cut(log):
    split = global_time_split(log)
    window = cut_window(log, split, 4)
    figure = time_split(log, split, leave_one_out(log), window, users=12)
    strip = figure.axes[2]
    cut = strip.lines[0].get_xdata()[0]
    crosses = [marks.get_offsets()[0][0] for marks in strip.collections if marks.get_sizes()[0] == 420]
    assert len(crosses) == (~window.kept).sum()
    assert min(crosses) > cut
    for part in ("retrieval", "train", "validation", "test"):
        assert part in words(figure)
    assert any(f"user {log.value('user', window.user)}" in axes.get_title(loc="left") for axes in figure.axes)


def test_leak_flatters_prints_gains_with_their_intervals():
    aucs = pd.DataFrame({"honest": [0.60, 0.62, 0.61], "leaky": [0.65, 0.67, 0.66]})
    assert "+0.050  [+0.050, +0.050]" in words(leak_flatters(aucs, "three worlds"))
    figure = leak_flatters(aucs, "three worlds", ceiling=0.9)
    assert any("best reachable" in text for text in words(figure))
    assert any("0.610" in text for text in words(figure))
    assert not any("best reachable" in text for text in words(leak_flatters(aucs, "three worlds")))


def test_sampled_metrics_joins_the_places_of_each_model():
    table = pd.DataFrame(
        [
            *(("a", 99, False, 0.0, 0.6, 0.01), ("a", 900.0, True, 0.0, 0.1, 0.01)),
            *(("b", 99, False, 0.0, 0.5, 0.01), ("b", 900.0, True, 0.0, 0.2, 0.01)),
            *(("c", 99, False, 0.0, 0.1, 0.01), ("c", 900.0, True, 0.0, 0.01, 0.004)),
        ],
        columns=["model", "negatives", "full", "sd", "HR", "se"],
    )
    figure = sampled_metrics(table, 10, 99, "a and b change places", "made up")
    ends = sorted(tuple(line.get_ydata()) for line in figure.axes[0].lines)
    assert ends == [(1, 2), (2, 1), (3, 3)]
    assert "a  0.600" in words(figure)
    assert "0.200  b" in words(figure)
    assert figure.get_suptitle() == "a and b change places"


def test_world_knobs_draws_the_swept_numbers():
    swept = sweep(values=(0, 0.5, 1), seeds=(0,))
    figure = world_knobs(swept, {"domain_overlap": 3 / 16})
    drawn = {axes.get_xlabel().split("\n")[0]: axes for axes in figure.axes}
    assert set(drawn) == set(swept["knob"])
    noise = swept[swept["knob"] == "label_noise"].sort_values("value")["number"]
    np.testing.assert_allclose(drawn["label_noise"].lines[0].get_ydata(), noise)
    assert {"ready", "neutral", "passed", "chance"} <= set(words(figure))


def test_one_world_marks_the_needs_that_the_truth_knows():
    world = make_world("small", 0, users=20)
    figure = one_world(world, user=3, events=40)
    life = figure.axes[1]
    rows = np.flatnonzero(world.interactions.user == 3)[:40]
    np.testing.assert_array_equal(life.lines[0].get_ydata(), world.truth.need[rows])
    moved = (world.truth.v[rows] == 1) & (world.interactions.label[rows] == 1)
    marks = [
        m
        for m in life.collections
        if hasattr(m, "get_sizes") and len(m.get_sizes()) and m.get_sizes()[0] == 48
    ]
    np.testing.assert_array_equal(marks[0].get_offsets()[:, 0], np.flatnonzero(moved) + 1)
