"""LCN's pictures: what they say follows from the numbers, and no word lies on another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from pages import collisions, said

from workbench.lab.alignment import Items
from workbench.methods.long_history import Level
from workbench.show import style
from workbench.show.diagrams_lcn import network
from workbench.show.pictures_alignment import (
    before_and_after,
    drawn_pairs,
    push_of_negatives,
    sequence_lengths,
    tried_alignments,
    with_and_without,
)
from workbench.show.pictures_pyramid import consistencies, funnel
from workbench.show.pictures_two_domains import found_alike, gain_by_overlap, kept_by_search

RNG = np.random.default_rng(0)
KIND, DOMAIN = np.repeat([0, 1, 2], 40), np.tile([0, 1], 60)


def test_kinds_that_lie_together_get_their_number_and_others_do_not():
    items = Items(np.zeros((120, 2)), KIND, DOMAIN)
    together = np.stack([KIND * 10.0 + DOMAIN * 4, DOMAIN * 30.0], 1) + RNG.normal(0, 0.2, (120, 2))
    figure = before_and_after(
        {"without": (RNG.uniform(0, 30, (120, 2)), items), "with": (together, items)},
        {"with": "purity 100%"}, "Title", "small print",
    )  # fmt: skip
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert numbers == [[], ["0", "1", "2"] * 2]
    assert "purity 100%" in said(figure)
    assert collisions(figure) == []


def test_a_pair_within_a_row_is_an_arc_and_a_pair_across_a_line():
    rows = {"ann": ([1, 2, 3], [4, 5]), "bob": ([1], [5, 4, 4])}
    kinds = np.array([-1, 0, 1, 0, 1, 0])
    pairs = {"target": (0, 2), "source": (0, 1), "cross": (1, 1)}
    figure = drawn_pairs(rows, pairs, [(2, 0)], kinds, [f"item {i}" for i in range(6)], "note")
    assert {"target pair", "source pair", "cross pair", "negative: apart"} <= set(said(figure))
    lengths = sorted(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_linestyle() == "-")
    assert lengths[-3:] == [2, 40, 40]
    assert said(figure).count("item 4") == 3  # ann's first source event, bob's second and third


def test_the_push_goes_to_the_most_alike_as_the_temperature_falls():
    """Two cosines, .5 and 0: at tau 1 the first takes 62%, at .1 99%."""
    cosines = np.array([0.5, 0.0])
    for tau, share in ((1.0, "62%"), (0.1, "99%")):
        figure = push_of_negatives(cosines, tau)
        assert f"takes {share} of the push" in figure.get_suptitle()
        assert collisions(figure) == []


def test_the_best_of_what_was_tried_is_named():
    points = pd.DataFrame(
        {"name": ["no CRP", "λ 0.1", "λ 1"], "purity": [0.06, 0.8, 0.82], "auc": [0.6, 0.7, 0.699],
         "tried": [False, True, True]}
    )  # fmt: skip
    figure = tried_alignments(points, 1 / 16, "world")
    assert figure.get_suptitle() == "Best so far: λ 0.1, AUC 0.700"
    assert collisions(figure) == []


def contrasts(crp: float) -> pd.DataFrame:
    rows = [
        (dataset, look, contrast, printed, value)
        for look in ("SIM soft", "ETA")
        for dataset, printed, of in (("paper", True, {"none": 0.7, "CRP": 0.71}),
                                     ("world", False, {"none": 0.6, "within": 0.65, "CRP": crp}))
        for contrast, value in of.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "backbone", "contrast", "printed", "value"])


@pytest.mark.parametrize(("crp", "count"), [(0.66, 2), (0.59, 0)])
def test_backbones_that_gain_are_counted_in_print_and_here(crp, count):
    figure = with_and_without(contrasts(crp), ["SIM soft", "ETA"], small_print="5 seeds")
    assert figure.get_suptitle() == f"CRP raises the AUC of 2 of 2 in the paper, of {count} of 2 here"
    assert said(figure).count(f"{crp - 0.6:+.4f}") == 2
    assert collisions(figure) == []


def test_medians_of_both_domains_are_compared():
    figure = sequence_lengths({"target": np.array([8, 10, 12]), "source": np.array([50, 100, 150])}, "x")
    assert "10.0 times" in figure.get_suptitle()
    assert {"target: median 10", "source: median 100"} <= set(said(figure))
    assert collisions(figure) == []


def pyramid() -> list[Level]:
    """Six events; the median scope keeps 4, 1, 2 and the focused one, of two heads, 2 and 4."""
    return [
        Level("complete", torch.arange(6)[None], torch.tensor([[0.1, 0.2, 0.2, 0.1, 0.4, 0.0]])),
        Level("median", torch.tensor([[4, 1, 2]]), torch.tensor([[0.5, 0.25, 0.25]])),
        Level("focused", torch.tensor([[2, 4]]), torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])),
    ]


def test_the_funnel_stands_in_the_order_of_time_and_its_lines_lead_to_the_survivors():
    alike = np.array([False, False, True, False, True, False])
    figure = funnel(pyramid(), alike, "Title", "note", [f"event {i}" for i in range(6)])
    assert [text for text in said(figure) if text.startswith("event")] == ["event 2", "event 4"]
    shares = [text for text in said(figure) if "alike" in text]
    assert shares == ["6 events, 33% alike", "3 events, 67% alike", "2 events, 100% alike"]
    lines = [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]
    assert [len(found.get_segments()) for found in lines] == [3, 2]
    strips = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert [strip.shape for strip in strips] == [(1, 6, 3), (1, 3, 3), (2, 2, 3)]
    full = np.subtract(1.0, to_rgb(style.SOURCE_DOMAIN))
    depth = ((1 - strips[2]) / full).mean(-1)
    assert depth.ravel() == pytest.approx([1.0, 0.06, 0.53, 0.53], abs=0.01)  # twice the mean, none, the mean
    assert collisions(figure) == []


def test_a_weight_below_zero_is_pale_and_sizes_are_compared_without_sign():
    level = Level("complete", torch.arange(4)[None], torch.tensor([[0.3, -0.3, 0.1, -0.1]]))
    figure = funnel([level], np.ones(4, bool), "Title", "note", ["a", "b", "c", "d"])
    full = np.subtract(1.0, to_rgb(style.SOURCE_DOMAIN))
    depth = ((1 - np.asarray(figure.axes[0].images[0].get_array())) / full).mean(-1)
    assert depth.ravel() == pytest.approx([0.06 + 0.94 * 0.75, 0.06, 0.06 + 0.94 * 0.25, 0.06], abs=0.01)


def gains(*rows):
    return pd.DataFrame(rows, columns=["overlap", "step", "gain", "low", "high"])


WITHIN = [(0.0, "within", 0.05, 0.03, 0.07), (1.0, "within", 0.05, 0.03, 0.07)]


@pytest.mark.parametrize(
    ("rows", "title"),
    [
        ([(0.0, "across", 0, -0.01, 0.01), (1.0, "across", 0.03, 0.02, 0.04)], "adds only where"),
        ([(0.0, "across", -0.02, -0.03, -0.01), (1.0, "across", 0.03, 0.02, 0.04)], "and harms where not"),
        ([(0.0, "across", 0.02, 0.01, 0.03), (1.0, "across", 0.03, 0.02, 0.04)], "adds even where nothing"),
        ([(0.0, "across", 0, -0.01, 0.01), (1.0, "across", 0.03, -0.02, 0.08)], "cannot be told"),
        ([(1.0, "across", 0.03, 0.02, 0.04)], "adds 0.030"),
    ],
)
def test_what_the_other_domain_is_worth_is_said_from_the_intervals(rows, title):
    words = {"within": "contrast within", "across": "the cross-domain loss"}
    figure = gain_by_overlap(gains(*WITHIN, *rows), words, "note")
    assert title in figure.get_suptitle()
    assert {"contrast within", "the cross-domain loss"} <= set(said(figure))
    assert collisions(figure) == []


def test_what_a_search_keeps_stops_at_its_number():
    there, clicked = np.array([0, 3, 60, 300]), np.array([0, 1, 1, 0])
    figure = kept_by_search(there, np.minimum(there, 50), clicked, 50, "note")
    assert figure.get_suptitle().startswith(
        "50% of candidates have more events of their kind than a search for 50"
    )
    points = [found.get_offsets() for found in figure.axes[0].collections]
    assert [len(found) for found in points] == [2, 2]
    assert np.abs(np.concatenate(points)[:, 1] - [0, 50, 3, 50]).max() <= 0.3
    assert collisions(figure) == []


def test_who_reads_the_right_events_is_told_in_order():
    values = {"SIM": [0.3, 0.34], "LAP": [0.6, 0.62], "ETA": [0.5, 0.48]}
    rows = pd.DataFrame([(m, seed, v) for m, vs in values.items() for seed, v in enumerate(vs)],
                        columns=["method", "seed", "value"])  # fmt: skip
    figure = found_alike(rows, 0.11, 0.7, "note")
    assert figure.get_suptitle() == "LAP reads the most events of the candidate's kind, then ETA"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["LAP", "ETA", "SIM"]
    assert {"61%", "49%", "32%", "of all events", "at most"} <= set(said(figure))
    assert collisions(figure) == []


@pytest.mark.parametrize(
    ("lap", "words"),
    [(0.9, "LAP is the most consistent"), (0.3, "ETA is more consistent than LAP"),
     (0.1, "SIM and ETA are more consistent than LAP")],
)  # fmt: skip
def test_who_is_more_consistent_is_said(lap, words):
    methods = pd.DataFrame({"method": ["SIM", "ETA", "LAP"], "seed": 0, "value": [0.2, 0.5, lap]})
    pools = pd.DataFrame({"k1": [5, 20, 50], "seed": 0, "value": [0.1, 0.2, 0.3]})
    figure = consistencies(methods, pools, 200, 10, "note")
    assert figure.get_suptitle() == f"{words}; with K1 it grows"
    assert collisions(figure) == []


def test_the_network_fits_its_page():
    assert collisions(network()) == []
