"""ENCODE's diagram tells the truth of the method: what is weighed by what, and who meets how many vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from pages import collisions, said

from workbench.methods.clustering import centres, cluster
from workbench.methods.encode import similarity
from workbench.show import style
from workbench.show.diagrams_encode import COLOURS, CONFIG, LENGTH, NAMES, PLACES, ROWS, example, pipeline
from workbench.show.drawing import tint

FIGURE = pipeline()
LIFE = example()
HUES = [colour.lower() for colour in COLOURS]


def cells(figure: Figure, y: float, tall: float = 0.2) -> list[Rectangle]:
    """The events of one height, from left to right."""
    found = [
        cell
        for cell in figure.findobj(Rectangle)
        if cell.get_height() == pytest.approx(tall) and cell.get_y() + tall / 2 == pytest.approx(y)
    ]
    return sorted(found, key=Rectangle.get_x)


def arrows_across(figure: Figure, y: float) -> list[FancyArrowPatch]:
    """The arrows that cross a height, from left to right."""
    found = [(a.get_path().get_extents(), a) for a in figure.findobj(FancyArrowPatch)]
    found = [(box.x0, arrow) for box, arrow in found if box.y0 < y < box.y1]
    return [arrow for _, arrow in sorted(found, key=lambda pair: pair[0])]


def words_in(figure: Figure, box: FancyBboxPatch) -> set[str]:
    """What is written in the middle of a box."""
    (x0, y0), (x1, y1) = box.get_path().get_extents().get_points()
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    texts = [text for text in figure.axes[0].texts if text.get_position() == pytest.approx(middle)]
    return {text.get_text() for text in texts} - {""}


def test_every_word_can_be_read():
    assert collisions(FIGURE) == []
    assert len(FIGURE.get_suptitle().split()) > 6, "the title is no sentence"
    assert {"Offline", "Online", "Store", "this user", "MLP", "p(click)"} <= set(said(FIGURE))


def test_the_costs_of_the_steps_add_up_to_that_of_the_offline_stage():
    costs = ("Ldm", "TKLm", "Lm")
    words = said(FIGURE)
    assert [word for word in words if word.startswith("$O(")] == [f"$O({cost})$" for cost in costs]
    assert f"a user costs $O({' + '.join(costs)})$" in words
    assert "a request costs $O(BKd)$" in words


def test_the_strip_and_the_rows_are_coloured_by_the_clusters_of_the_method():
    h = torch.from_numpy(LIFE.h)[None]
    assert (
        LIFE.label.tolist()
        == cluster(h, torch.ones(1, LENGTH, dtype=torch.bool), CONFIG.clusters)[0].tolist()
    )
    strip = [HUES.index(to_hex(cell.get_edgecolor())) for cell in cells(FIGURE, 7.16)]
    assert strip == LIFE.label.tolist()
    for k, y in enumerate(ROWS):
        row = {to_hex(cell.get_edgecolor()) for cell in cells(FIGURE, y)}
        assert row == {HUES[k]}
        assert len(cells(FIGURE, y)) == (LIFE.label == k).sum() > 10


def test_an_interest_comes_back():
    visits = 1 + np.count_nonzero(np.diff(LIFE.label))
    assert visits >= 4 * len(COLOURS)


def test_an_event_is_as_dark_as_the_weight_that_eq_8_gives_it():
    h, label = torch.from_numpy(LIFE.h)[None], torch.from_numpy(LIFE.label)[None]
    centre = centres(h, label, len(COLOURS))[0]
    assert LIFE.centre == pytest.approx(centre.numpy())
    for k, y in enumerate(ROWS):
        expected = similarity(h[0, LIFE.label == k], centre[k], CONFIG).softmax(0).numpy()
        assert LIFE.inside[LIFE.label == k] == pytest.approx(expected, rel=1e-4)
        drawn = np.array([cell.get_facecolor()[:3] for cell in cells(FIGURE, y)])
        depth = np.sort(expected)[::-1] / expected.max()
        assert drawn == pytest.approx(np.array([tint(COLOURS[k], 0.06 + 0.94 * d) for d in depth]), abs=1e-3)


def test_a_request_meets_k_interests_and_nothing_else_of_the_history():
    frames = [box for box in FIGURE.findobj(FancyBboxPatch) if box.get_zorder() == 0]
    online = min(frames, key=lambda box: box.get_path().get_extents().y0)
    met = arrows_across(FIGURE, online.get_path().get_extents().y1)
    assert [to_hex(arrow.get_edgecolor()) for arrow in met] == HUES
    ways = [arrow.get_path().get_extents() for arrow in met]
    assert [(way.x0 + way.x1) / 2 for way in ways] == pytest.approx(PLACES)
    assert LIFE.between.sum() == pytest.approx(1, abs=1e-5)
    widths = [arrow.get_linewidth() for arrow in met]
    assert np.argsort(widths).tolist() == np.argsort(LIFE.between).tolist()


def test_every_interest_is_made_and_stored():
    words = said(FIGURE)
    assert all(words.count(name) == 2 for name in NAMES)


def test_what_compares_by_the_cosine_is_dark_and_nothing_else_is():
    dark = to_hex(tint(style.INK, 0.85))
    boxes = [box for box in FIGURE.findobj(FancyBboxPatch) if to_hex(box.get_facecolor()) == dark]
    words = sorted(words for box in boxes for words in words_in(FIGURE, box))
    starts = ("$L_{aux}$", "K-means", "attention inside each cluster", "attention over $K$ interests")
    assert [word.startswith(start) for word, start in zip(words, starts, strict=True)] == [True] * 4


def test_only_the_loss_is_for_training_alone():
    dashed = [box for box in FIGURE.findobj(FancyBboxPatch) if box.get_linestyle() == "--"]
    assert [word for box in dashed for word in words_in(FIGURE, box) if "L_{aux}" in word]
    assert len(dashed) == 1
    assert sum(arrow.get_linestyle() != "-" for arrow in FIGURE.findobj(FancyArrowPatch)) == 1
