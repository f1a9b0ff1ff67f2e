"""The diagrams tell the truth of the method: nothing after now is read, what is hidden is asked."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from pages import collisions, said

from workbench.show import style
from workbench.show.diagrams_lift import NOW, architecture, four_ways
from workbench.show.diagrams_lift_flow import ASKED, BEST, ROWS, datastore, workflow
from workbench.show.drawing import arrow, box, cell, events, sheet, text, token

DRAWN = {draw.__name__: draw for draw in (four_ways, architecture, workflow, datastore)}


def circles(figure: Figure, colour: str) -> list[Circle]:
    found = figure.findobj(Circle)
    return [circle for circle in found if to_hex(circle.get_edgecolor()) == colour.lower()]


@pytest.mark.parametrize("name", DRAWN)
def test_every_word_of_a_diagram_can_be_read(name):
    figure = DRAWN[name]()
    assert collisions(figure) == []
    assert len(figure.get_suptitle().split()) > 6, "the title is no sentence"


def test_a_collision_is_found():
    figure, axes = sheet(4, 3, "A title")
    text(axes, 2, 1, "one word")
    text(axes, 2.1, 1.02, "another")
    text(axes, 3.9, 2, "off the page")
    assert len(collisions(figure)) == 2


def test_no_model_reads_anything_after_now():
    figure = four_ways()
    for colour in (style.PAST, style.FUTURE, style.FAINT):
        assert all(circle.center[0] < NOW for circle in circles(figure, colour))


def test_only_others_futures_are_read_and_they_end_with_the_retrieval_set():
    figure = four_ways()
    own = {circle.center[1] for circle in circles(figure, style.PAST) if circle.center[0] > NOW - 1}
    future = circles(figure, style.FUTURE)
    assert len(future) == 8
    assert not own & {circle.center[1] for circle in future}, "a future of the user's own"
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == style.INK]
    end = line.get_xdata()[0]
    assert all(circle.center[0] + circle.radius < end < NOW for circle in future)


def test_exactly_the_hidden_labels_are_asked():
    words = said(architecture())
    assert words.count("MSK") == 2
    assert sorted(word for word in words if word.startswith("asked")) == [
        "asked for $y_2$",
        "asked for $y_4$",
    ]
    assert words.count("MLP") == 3  # one at each hidden label, one at the end


def test_the_encoder_of_the_drawing_is_causal():
    """Lines inside the Transformer run upwards from an event to itself and to later ones."""
    lines = [line for line in architecture().axes[0].lines if list(line.get_ydata()) == [2.45, 3.3]]
    lines = [line for line in lines if line.get_marker() == "None"]
    assert len(lines) == 5 * 6 / 2
    assert all(line.get_xdata()[0] <= line.get_xdata()[1] for line in lines)


def test_the_five_steps_are_numbered_as_the_paper_numbers_them():
    assert sorted(word for word in said(workflow()) if word.isdigit()) == ["1", "2", "3", "4", "5", "5"]


def test_the_best_rows_of_the_store_share_most_and_every_agreement_is_lit():
    shared = [sum(a == b for a, b in zip(row, ASKED, strict=True)) for row in ROWS]
    ranked = np.argsort(np.negative(shared), kind="stable")
    assert tuple(ranked[: len(BEST)]) == BEST
    assert shared[ranked[1]] > shared[ranked[2]], "rank 2 is not clear"
    lit = [
        cell
        for cell in datastore().findobj(Rectangle)
        if to_hex(cell.get_edgecolor()) == style.TARGET.lower() and cell.get_x() > 6
    ]
    assert len(lit) == sum(shared)


def test_strokes_stand_where_they_are_told_to():
    figure, axes = sheet(4, 3, "A title", "a note")
    assert (figure.get_size_inches() == (4, 3)).all()
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 4), (0, 3))
    box(axes, 2, 1, 1, 0.5, "words")
    cell(axes, 1, 2, 0.5, 0.2)
    arrow(axes, (0, 0), (1, 1))
    shape, square, _ = axes.patches
    assert shape.get_bbox().bounds == (1.5, 0.75, 1, 0.5)
    assert square.get_bbox().bounds == pytest.approx((0.75, 1.9, 0.5, 0.2))
    assert said(figure) == ["a note", "words", "A title"]


def test_clicked_is_filled_not_clicked_hollow_masked_hatched():
    _, axes = sheet(4, 3, "A title")
    events(axes, (1, 2, 3), 1, (1, 0, None), style.PAST)
    clicked, not_clicked, masked = axes.patches
    assert to_hex(clicked.get_facecolor()) == style.PAST.lower()
    assert to_hex(not_clicked.get_facecolor()) == to_hex(masked.get_facecolor()) == "#ffffff"
    assert (clicked.get_hatch(), not_clicked.get_hatch()) == (None, None)
    assert masked.get_hatch()
    for x, label in ((1, 1), (2, 0), (3, None)):
        token(axes, x, 2, label, size=0.5)
    assert said(axes.figure)[:3] == ["1", "0", "MSK"]
    assert [bool(patch.get_hatch()) for patch in axes.patches[3:]] == [False, False, True]
