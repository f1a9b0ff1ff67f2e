"""Masked rows hide what is masked and show who sees whom; attention is drawn as it was given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Rectangle
from pages import collisions, said

from workbench.errors import DataError
from workbench.show import style
from workbench.show.explorer import png
from workbench.show.pictures_lift import attention_heatmap, believed, masked_row
from workbench.show.timelines import Timelines

LABELS = np.array([1, 0, 0, 1, 1])
MASKED = np.array([False, True, False, True, False])
PROBABILITY = np.array([0.9, 0.5, 0.9, 0.25, 0.1])


def stripes(figure) -> list[Rectangle]:
    """The rows of the causal mask, from the first event on."""
    return [shape for shape in figure.axes[0].patches if shape.get_zorder() == 2]


def test_a_row_of_the_mask_starts_at_its_own_column_and_runs_to_the_end():
    """So column i meets the rows 0 .. i and no later one: the causal mask."""
    rows = stripes(masked_row(LABELS, MASKED))
    assert len(rows) == len(LABELS)
    column = np.diff([row.get_x() for row in rows])
    assert column == pytest.approx(4 * [column[0]])
    assert column[0] > 0
    assert len({round(row.get_x() + row.get_width(), 6) for row in rows}) == 1


def test_hidden_labels_are_hatched_wherever_they_are_seen():
    figure = masked_row(LABELS, MASKED)
    assert [bool(row.get_hatch()) for row in stripes(figure)] == MASKED.tolist()
    words = said(figure)
    assert words.count("MSK") == 2
    assert (words.count("1"), words.count("0")) == (2, 1)  # tokens of the labels that are not hidden


def test_what_is_hidden_is_asked_and_the_answer_shown_at_the_bottom_only():
    figure = masked_row(LABELS, MASKED)
    asked = [
        shape
        for shape in figure.findobj(Circle)
        if to_hex(shape.get_edgecolor()) == style.TARGET.lower() and not shape.get_hatch()
    ]
    faces = [to_hex(shape.get_facecolor()) for shape in asked]
    assert faces == ["#ffffff", style.TARGET.lower()]  # the hidden labels 0 and 1
    (top,) = {shape.center[1] for shape in asked}
    assert top < min(row.get_y() for row in stripes(figure))


def test_the_loss_is_worked_out_by_hand():
    """-ln(1 - .5) = .69 for the 0 and -ln(.25) = 1.39 for the 1; mean 1.04."""
    words = said(masked_row(LABELS, MASKED, probability=PROBABILITY))
    assert {"0.69", "1.39", "loss, mean 1.04"} <= set(words)
    assert "0.11" not in words, "an unmasked position carries loss"


def test_a_masked_row_can_be_read_and_drawn_at_any_length():
    names = [f"item {n}" for n in range(24)]
    for total in (1, 2, 24):
        masked = np.arange(total) % 2 == 0
        figure = masked_row(np.arange(total) % 3 == 0, masked, names[:total], np.full(total, 0.3))
        assert collisions(figure) == [], total
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("labels", "masked", "probability"),
    [
        (LABELS, MASKED[:4], None),
        (LABELS, np.zeros(5, bool), None),
        (LABELS, MASKED, PROBABILITY[:4]),
        (LABELS, MASKED, np.array([0, 0.5, 0.5, 0.5, 0.5])),
    ],
)
def test_a_row_that_says_nothing_is_refused(labels, masked, probability):
    with pytest.raises(DataError):
        masked_row(labels, masked, probability=probability)


# --- attention ----------------------------------------------------------------------------------------

WEIGHTS = np.array([[0.2, 0.3, 0.5], [0.8, 0.1, 0.1], [0.4, 0.3, 0.3]])


def some_lines(neighbours: int = 3, length: int = 4) -> Timelines:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (neighbours + 1, length)).astype(np.int8)
    future = labels[:, ::-1].copy()
    future[0] = -1
    return Timelines(
        past=labels,
        future=future,
        shared=labels == 1,
        now=np.ones(neighbours, np.int8),
        scores=np.arange(neighbours, 0, -1.0),
        matched=np.ones((neighbours, 2), bool),
        idf=np.ones(2),
        fields=("item", "city"),
        names=tuple(f"u{n}" for n in range(neighbours + 1)),
        future_rows=np.arange(neighbours * length).reshape(neighbours, length),
        filled="clicked",
        question="User u0 in front of item 1: filled or hollow?",
    )


def test_the_heatmap_holds_the_weights_those_who_trust_few_on_top():
    figure = attention_heatmap(WEIGHTS, np.array([1, 0, 1]), ["a", "b", "c"], chosen=2)
    axes = figure.axes[0]
    assert np.array_equal(axes.images[0].get_array(), WEIGHTS[[1, 0, 2]])
    assert [text.get_text() for text in axes.texts if text.get_text() in "abc"] == ["b", "a", "c"]
    (outline,) = axes.patches
    assert outline.get_y() == 2 - 0.5  # c is third
    clicked = [line.get_ydata().tolist() for line in axes.lines if line.get_mfc() == style.TARGET]
    assert clicked == [[1, 2]]  # a and c
    # by hand: (.2 + .8 + .4) / 3 = 47%
    assert "best match holds 47% of the attention (equal shares: 33%)" in figure.get_suptitle()


def test_a_target_without_neighbours_is_no_error_and_does_not_count():
    figure = attention_heatmap(np.vstack([WEIGHTS, np.zeros(3)]), np.zeros(4))
    assert "47%" in figure.get_suptitle()


def test_believed_puts_the_most_believed_neighbour_first_with_its_own_events():
    lines = some_lines()
    figure = believed(lines, WEIGHTS, chosen=0)
    life, bars, everyone = figure.axes
    drawn = [text.get_text() for text in life.texts]
    assert [name for name in drawn if name in lines.names] == ["u3", "u2", "u1"]
    assert [bar.get_width() for bar in bars.patches] == [0.5, 0.3, 0.2]
    assert [t.get_text() for t in bars.texts if t.get_text().startswith("match")] == [
        "match 3", "match 2", "match 1",
    ]  # fmt: skip
    future = [
        line for line in life.lines if line.get_mec() == style.FUTURE and line.get_mfc() == style.FUTURE
    ]
    on_top = sorted(x for line in future for x, y in zip(*line.get_data(), strict=True) if y == 1)
    assert on_top == (np.flatnonzero(lines.future[3] == 1) + 1).tolist()
    assert np.array_equal(everyone.images[0].get_array(), WEIGHTS)
    assert figure.get_suptitle() == "1 of 3 neighbours holds half of the attention"
    assert believed(lines, WEIGHTS, chosen=2).get_suptitle().startswith("2 of 3 neighbours hold half")


@pytest.mark.parametrize(("neighbours", "labelled"), [(1, 1), (3, 3), (20, 20), (40, 40), (60, 30)])
def test_every_neighbour_is_labelled_while_there_is_room(neighbours, labelled):
    weights = np.random.default_rng(0).dirichlet(np.ones(neighbours), size=5)
    figure = believed(some_lines(neighbours), weights, chosen=2)
    assert collisions(figure) == []
    bars = figure.axes[1]
    assert len(bars.patches) == neighbours
    assert sum(text.get_text().startswith("match") for text in bars.texts) == labelled
    assert sum(text.get_text().endswith("%") for text in bars.texts) == labelled
    assert min(text.get_fontsize() for text in bars.texts) >= 6


def test_weights_of_another_target_are_refused():
    fewer = replace(some_lines(), scores=np.ones(2))
    with pytest.raises(DataError, match="do not belong to the 2 neighbours"):
        believed(fewer, WEIGHTS, chosen=0)
    with pytest.raises(DataError, match="add up to 1"):
        believed(some_lines(), 2 * WEIGHTS, chosen=0)
    with pytest.raises(DataError, match="2 labels for 3 targets"):
        attention_heatmap(WEIGHTS, np.array([0, 1]))
