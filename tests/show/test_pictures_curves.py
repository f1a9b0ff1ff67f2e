"""Curves hold every point they are given, and their titles say no more than the seeds do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pages import collisions, said

from workbench.errors import DataError
from workbench.show.pictures_curves import knob_curve, mask_ratio_curve, shape

NOISE = np.array([-0.001, 0.0, 0.0012])  # of three seeds, the same at every setting


def curve(means: dict[float, float], noise: float = 0.0, name: str = "setting") -> pd.DataFrame:
    """Three seeds: each has its own level, and differences between settings vary by ``noise``."""
    rows = [
        (setting, seed, mean + NOISE[seed] + noise * (-1) ** place * (seed - 1))
        for place, (setting, mean) in enumerate(means.items())
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=[name, "seed", "value"])


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({1: 0.70, 5: 0.72, 10: 0.71}, "rises up to 5 and then falls"),
        ({1: 0.70, 5: 0.71, 10: 0.72}, "still rises at its end"),
        ({1: 0.72, 5: 0.71, 10: 0.70}, "falls beyond 1"),
    ],
)
def test_a_curve_in_words(means, words):
    assert shape(curve(means, noise=1e-4)) == words


def test_words_do_not_follow_noise():
    """The best of five settings always lies somewhere; with differences below the noise it says nothing."""
    assert shape(curve({1: 0.7000, 5: 0.7002, 10: 0.7001}, noise=0.004)) == "hardly changes"
    level = {1: 0.70, 5: 0.7198, 10: 0.7200, 20: 0.7199}
    assert shape(curve(level, noise=0.003)) == "rises up to 5 and no further"
    one = curve({1: 0.7, 5: 0.8})
    assert shape(one[one["seed"] == 0]) == "is best at 5 (one seed)"
    some = one[(one["seed"] == 0) | (one["setting"] == 5)]  # with one setting nothing can be paired
    assert shape(some) == "is best at 5 (one seed)"


def test_knob_panels_hold_every_seed_and_the_papers_best():
    rising, falling = curve({1: 0.70, 5: 0.71, 10: 0.72}, 1e-4), curve({2: 0.72, 20: 0.70}, 1e-4)
    frame = pd.concat([rising.assign(knob="K"), falling.assign(knob="L")])
    figure = knob_curve(frame, published={"K": 5}, small_print="3 seeds")
    assert figure.get_suptitle() == "As K grows AUC still rises at its end; as L grows it falls beyond 2"
    assert "3 seeds" in said(figure)
    k, l_panel = figure.axes
    dots, means = k.lines[0], k.lines[1]
    assert sorted(dots.get_ydata()) == sorted(rising["value"])
    assert means.get_ydata() == pytest.approx(np.array([0.70, 0.71, 0.72]) + NOISE.mean())
    assert any(line.get_xdata()[0] == 5 for line in k.lines[2:])
    assert len(l_panel.lines) == 2
    low, high = k.get_ylim()
    assert low < frame["value"].min() < frame["value"].max() < high
    assert collisions(figure) == []
    with pytest.raises(DataError, match="no results"):
        knob_curve(frame[:0])


def test_the_mask_curve_grows_point_by_point_on_the_same_axis():
    full = curve({0.2: 0.70, 0.6: 0.72, 0.9: 0.71}, 1e-4, "ratio")
    titles = []
    for tried in (0, 3, 6, 9):
        figure = mask_ratio_curve(full[:tried], "masked-label AUC")
        axes = figure.axes[0]
        assert axes.get_xlim() == (-0.03, 1.03)
        assert len(axes.lines[0].get_xdata()) == tried
        assert collisions(figure) == []
        titles.append(figure.get_suptitle())
    assert titles == [
        "How many labels should be hidden?",
        "With 20% of the labels hidden: masked-label AUC 0.700",
        "Of 2 ratios, hiding 60% is best, as the paper finds",
        "Of 3 ratios, hiding 60% is best, as the paper finds",
    ]


def test_the_mask_curve_says_when_the_paper_is_not_met_or_seeds_do_not_tell():
    low = curve({0.2: 0.72, 0.6: 0.70}, 1e-4, "ratio")
    assert mask_ratio_curve(low, "AUC").get_suptitle().endswith("not where the paper finds")
    level = curve({0.2: 0.70, 0.4: 0.7201, 0.8: 0.7200}, 0.003, "ratio")
    assert (
        mask_ratio_curve(level, "AUC")
        .get_suptitle()
        .startswith("Hiding 40% to 80% of the labels does equally")
    )
    one_seed = low[low["seed"] == 0]
    assert mask_ratio_curve(one_seed, "AUC").get_suptitle().endswith("(one seed)")


def test_asking_only_the_last_label_is_a_line_in_sight():
    figure = mask_ratio_curve(curve({0.5: 0.72}, name="ratio"), "AUC", one_label=[0.60, 0.62])
    axes = figure.axes[0]
    assert axes.get_ylim()[0] < 0.60
    assert any(set(line.get_ydata()) == {0.61} for line in axes.lines)
    (paper, *_) = axes.patches
    assert (paper.get_x(), paper.get_x() + paper.get_width()) == (0.5, 1.0)


def test_a_setting_that_scatters_does_not_end_a_rise():
    """At 1 the seeds scatter and nothing can be told; at 2 they are all worse: the rise ends at 5."""
    seeds = {
        1: (0.66, 0.70, 0.74),
        2: (0.680, 0.681, 0.679),
        5: (0.720, 0.721, 0.719),
        9: (0.721, 0.719, 0.719),
    }
    rows = [(setting, seed, value) for setting, found in seeds.items() for seed, value in enumerate(found)]
    frame = pd.DataFrame(rows, columns=["setting", "seed", "value"])
    assert shape(frame) == "rises up to 5 and no further"
