"""ENCODE's offline pictures: rows, places and titles follow from the numbers, and no word lies on another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from pages import collisions, said

from workbench.show import style
from workbench.show.pictures_interests import (
    HIGH,
    HUES,
    REST,
    Curve,
    agreement_by_clusters,
    hues,
    largest,
    life_beside_interests,
    life_in_interests,
    rounds_on_a_circle,
    weight_and_count,
)
from workbench.show.pictures_reduction import distances_kept, losses_compared, two_readings

RNG = np.random.default_rng(0)
WORDS = [f"topic {kind}" for kind in range(20)]


def test_the_largest_get_the_hues_and_the_rest_are_grey():
    code = np.array([5, 5, 5, -1, 2, 2, 7])
    assert largest(code).tolist() == [5, 2, 7]
    assert largest(code, 1).tolist() == [5]
    assert hues(code).tolist() == [HUES[0]] * 3 + [REST] + [HUES[1]] * 2 + [HUES[2]]
    many = np.repeat(np.arange(12), np.arange(12, 0, -1))
    assert (hues(many) == REST).sum() == 3 + 2 + 1  # the three smallest of twelve
    assert len(largest(np.array([-1, -1]))) == 0


def test_products_of_a_request_are_counted():
    kind = RNG.integers(0, 12, 1000)
    figure = life_beside_interests(kind, 30, 3000, 32, (0.05, 0.0012), "note")
    words = " ".join(said(figure))
    assert "1,000 events × 32 numbers = 96.0 million products: 50.0 ms" in words
    assert "30 interests × 32 numbers = 2.9 million products: 1.2 ms" in words
    assert "33 times less" in figure.get_suptitle()
    assert collisions(figure) == []


LABEL = np.array([0] * 6 + [3] * 3 + [1])
KIND = np.array([4, 4, 4, 2, 2, -1, 7, 7, 4, 9])
XY = np.stack([LABEL * 10.0, np.arange(10.0)], 1)


def test_a_row_has_its_events_and_under_them_those_of_its_main_kind():
    figure = life_in_interests(LABEL, XY, KIND, WORDS, "Title", "note")
    (image,) = figure.axes[0].images
    shade = np.asarray(image.get_array()).reshape(len(HUES) + 2, HIGH, 10, 3)
    first = (shade[1, 5] == to_rgb(HUES[0])).all(-1)
    assert first.tolist() == [True] * 6 + [False] * 4
    under = (shade[1, 15] == to_rgb(style.MUTED)).all(-1)
    assert np.flatnonzero(under).tolist() == [0, 1, 2, 8]  # topic 4, the one in another cluster too
    life = (shade[0, 5] == to_rgb(HUES[1])).all(-1)
    assert np.flatnonzero(life).tolist() == [6, 7, 8]
    assert {"6 events, 50% topic 4", "3 events, 67% topic 7", "1 event, 100% topic 9"} <= set(said(figure))
    assert "rest" not in said(figure)
    assert collisions(figure) == []


def test_clusters_beyond_nine_are_one_grey_row():
    label, kind = np.arange(60) % 12, np.full(60, -1)
    curve = Curve((2, 12, 64), (0.1, 0.5, 0.4), 16, 12)
    figure = life_in_interests(label, RNG.normal(size=(60, 2)), kind, WORDS, "Title", "note", curve)
    assert {"rest", "15 events", "16 planted", "0.50"} <= set(said(figure))
    assert said(figure).count("5 events") == 9  # nobody knows a kind, and none is named
    assert len(figure.axes) == 3


def test_numbers_of_clusters_that_lie_on_each_other_are_moved_apart():
    label = np.repeat([0, 1, 2], 20)
    together = np.concatenate([RNG.normal(0, 0.1, (40, 2)), RNG.normal(9, 0.1, (20, 2))])
    figure = life_in_interests(label, together, label, WORDS, "Title", "note")
    assert collisions(figure) == []


def test_rounds_say_who_moves():
    degrees = np.array([0, 20, 40, 120, 140, 160])
    labels = [np.array([0, 1, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1])]
    figure = rounds_on_a_circle(degrees, [[0, 20], [0, 100], [20, 140]], labels, "note")
    assert "done after 3 rounds" in figure.get_suptitle()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["round 1: the first choice", "round 2: 2 move", "round 3: nobody moves"]
    assert collisions(figure) == []


def agreements(**peaks: int) -> pd.DataFrame:
    rows = [
        (int(m[1:]), k, user, 0.01 * int(m[1:]) - abs(k - peak) / 200 + 0.4 + user / 50)
        for m, peak in peaks.items() for k in (8, 16, 30, 64) for user in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["m", "clusters", "user", "value"])


@pytest.mark.parametrize(
    ("peaks", "planted", "title"),
    [
        ({"m4": 16, "m32": 16}, 16, "at K = 16; planted are 16"),
        ({"m4": 8, "m32": 30}, None, "at K = 8 to 30"),
    ],
)
def test_the_best_number_of_clusters_is_read_from_the_means(peaks, planted, title):
    figure = agreement_by_clusters(agreements(**peaks), planted, "topics", "note")
    assert figure.get_suptitle() == f"Clusters agree best with topics {title}"
    assert {"m = 4", "m = 32"} <= set(said(figure))
    assert ("16 planted" in said(figure)) == (planted is not None)


def test_what_attention_adds_is_said_in_points():
    rows = pd.DataFrame({"m": [4, 8], "mean": [0.63, 0.85], "weight": [0.65, 0.93]})
    figure = weight_and_count(rows, "topic", "note")
    title = "Eq. 8 adds 2 points to a cluster's main topic at m = 4, and 8 at m = 8"
    assert figure.get_suptitle() == title
    assert {"63%", "65%", "85%", "93%", "a mean", "Eq. 8"} <= set(said(figure))
    assert collisions(figure) == []


def test_beta_divided_makes_weights_alike():
    figure = two_readings(np.linspace(-0.5, 0.5, 200), 20, "note")
    assert figure.get_suptitle().endswith("the nearest 1.05 times the farthest")  # e^(1 / 20)
    literal, times = (line.get_ydata() for line in figure.axes[0].lines[0:4:2])
    assert literal.mean() == pytest.approx(1)
    assert times.mean() == pytest.approx(1)
    assert times[-1] / times[0] == pytest.approx(np.exp(20))
    assert collisions(figure) == []


@pytest.mark.parametrize(
    ("ranks", "title"),
    [((0.2, 0.4, 0.5, 0.6), "4 numbers keep little, 16 keep some"),
     ((0.5, 0.8, 0.9, 0.95), "4 numbers keep most, 16 keep nearly all")],
)  # fmt: skip
def test_what_is_kept_of_the_order_is_said_from_the_correlations(ranks, title):
    before = RNG.uniform(0, 1, 50)
    pairs = {m: (before, before + 0.1) for m in (2, 4, 8, 16)}
    figure = distances_kept(pairs, dict(zip(pairs, ranks, strict=True)), 32, "note")
    assert figure.get_suptitle() == f"Of the order of distances {title}"
    assert f"m = 2: rank correlation {ranks[0]:.2f}" in said(figure)
    assert collisions(figure) == []


def test_the_loss_that_is_ahead_is_named_for_each_measure():
    rows = pd.DataFrame(
        {"loss": ["none", "none", "dynamic", "dynamic"], "seed": [0, 1, 0, 1],
         "order kept": [0.6, 0.62, 0.7, 0.7], "ARI": [0.3, 0.34, 0.4, 0.42]}
    )  # fmt: skip
    measures = {"order kept": 0.5, "ARI": 0.0}
    figure = losses_compared(rows, measures, "note")
    assert figure.get_suptitle() == "Dynamic is ahead in order kept and in ARI"
    assert {"0.700", "0.410", "0.320"} <= set(said(figure))
    assert collisions(figure) == []
    rows["ARI"] = [0.5, 0.5, 0.4, 0.42]
    figure = losses_compared(rows, measures, "note")
    assert figure.get_suptitle() == "Dynamic has the best order kept and none has the best ARI"
