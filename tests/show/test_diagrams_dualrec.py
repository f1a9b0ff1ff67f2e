"""DualRec's diagrams tell the truth of the method: who reads what, and which states are compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from pages import collisions, said

from workbench.methods.dualrec import DualRec, window_mask
from workbench.methods.dualrec_config import DualRecConfig, window_sizes
from workbench.show import style
from workbench.show.diagrams_dualrec import (
    APART,
    AT,
    CENTRE,
    HEADS,
    LENGTH,
    LEVELS,
    SHOWN,
    SIDE,
    SIGMAS,
    SIZES,
    STEP,
    TRAINING,
    USE,
    WIDTHS,
    dual_network,
    interest_transfer,
    one_head,
    three_ways,
)

DRAWN = {draw.__name__: draw for draw in (three_ways, dual_network, interest_transfer)}
WAYS = {"next": 5.15, "masked": 3.42, "dual": 1.68}  # heights of the rows of Figure 1
BEFORE, AFTER = set(range(-SIDE, 0)), set(range(1, SIDE + 1))


def circles(figure: Figure, colour: str) -> np.ndarray:
    """Centres (n, 2) of the items in a colour."""
    found = [c.center for c in figure.findobj(Circle) if to_hex(c.get_edgecolor()) == colour.lower()]
    return np.array(found).reshape(-1, 2)


def arrows(figure: Figure, colour: str) -> list[tuple[float, float, float, float]]:
    """x0, y0, x1, y1 around every arrow in a colour."""
    found = [a for a in figure.findobj(FancyArrowPatch) if to_hex(a.get_edgecolor()) == colour.lower()]
    return [tuple(a.get_path().get_extents().extents) for a in found]


def read(figure: Figure, way: str, target: float, colour: str) -> set[int]:
    """Places around the target from which an arrow of a colour leads down into an encoder of Figure 1."""
    y = WAYS[way]
    places = {
        (x0 + x1) / 2 - target
        for x0, y0, x1, y1 in arrows(figure, colour)
        if y - 0.4 < y0 < y1 < y - 0.1 and abs((x0 + x1) / 2 - target) < (SIDE + 1) * STEP
    }
    places = {place / STEP for place in places if abs(place) > STEP / 2}
    assert all(abs(place - round(place)) < 0.05 for place in places)
    return {round(place) for place in places}


def grid(figure: Figure, middle: float, y: float, size: float, cells: int) -> np.ndarray:
    """Which cells of a drawn matrix are not white: (cells, cells), first row on top."""
    each = size / cells
    filled = np.full((cells, cells), -1)
    for cell in figure.findobj(Rectangle):
        if cell.get_width() == pytest.approx(each) and cell.get_height() == pytest.approx(each):
            column = (cell.get_x() - middle + size / 2) / each
            row = (y + size / 2 - cell.get_y()) / each - 1
            if -0.1 < row < cells - 0.9 and -0.1 < column < cells - 0.9:
                filled[round(row), round(column)] = to_hex(cell.get_facecolor()) != "#ffffff"
    assert filled.min() >= 0, "no such matrix is drawn"
    return filled.astype(bool)


@pytest.mark.parametrize("name", DRAWN)
def test_every_word_of_a_diagram_can_be_read(name):
    figure = DRAWN[name]()
    assert collisions(figure) == []
    assert len(figure.get_suptitle().split()) > 6, "the title is no sentence"


@pytest.mark.parametrize(
    ("way", "past", "future"),
    [("next", BEFORE, set()), ("masked", BEFORE, AFTER), ("dual", BEFORE, AFTER)],
)
def test_what_each_kind_of_model_reads_in_training_and_in_use(way, past, future):
    figure = three_ways()
    assert read(figure, way, TRAINING, style.PAST) == past
    assert read(figure, way, TRAINING, style.FUTURE) == future
    assert read(figure, way, USE, style.PAST) == past
    assert read(figure, way, USE, style.FUTURE) == set()


def test_nothing_that_has_not_happened_yet_is_drawn_or_read():
    figure = three_ways()
    for colour in (style.PAST, style.FUTURE, style.FAINT):
        assert (circles(figure, colour)[:, 0] < USE).all()
        assert all(x1 < USE for _, _, x1, _ in arrows(figure, colour))


def test_the_future_is_an_item_in_training_in_every_row():
    """The same user three times: read or not, four items follow the target."""
    figure = three_ways()
    later = np.concatenate([circles(figure, style.FUTURE), circles(figure, style.FAINT)])
    for y in WAYS.values():
        places = np.sort(later[later[:, 1] == y, 0])
        assert places == pytest.approx(TRAINING + STEP * np.arange(1, SIDE + 1))


def test_only_the_masked_model_is_said_to_have_a_gap():
    marks = {text.get_text(): text.get_position()[1] for text in three_ways().axes[0].texts}
    assert said(three_ways()).count("=") == 2
    assert said(three_ways()).count("≠") == 1
    nearest = min(WAYS, key=lambda way: abs(WAYS[way] - marks["≠"]))
    assert nearest == "masked"


def test_the_masks_drawn_are_those_of_the_method():
    assert window_sizes(HEADS, LENGTH) == SIZES
    figure = dual_network()
    words = [text for text in figure.axes[0].texts if text.get_text().startswith("head ")]
    heights = {text.get_text(): text.get_position()[1] for text in words}
    masks = window_mask(LENGTH, SIZES).numpy()
    for head, size in enumerate(SIZES):
        y = heights[f"head {head + 1}\nwindow {size}"]
        past = grid(figure, CENTRE - 4.15, y, 0.7, LENGTH)
        future = grid(figure, CENTRE + 4.15, y, 0.7, LENGTH)
        assert (past == masks[head]).all()
        assert (future == past[::-1, ::-1]).all()
        assert not np.triu(past, 1).any(), "the past encoder reads what comes later"
        assert not np.tril(future, -1).any(), "the future encoder reads what came before"
        assert past.sum(1).max() == min(size + 1, LENGTH)


def test_every_pair_of_heads_is_compared_at_its_own_height():
    figure = dual_network()
    drawn = figure.axes[0].texts
    compared = sorted(text.get_position()[1] for text in drawn if text.get_text() == "KL")
    heads = [text.get_position() for text in drawn if text.get_text().startswith("head ")]
    assert len(compared) == HEADS
    assert sorted(y for x, y in heads if x < CENTRE) == sorted(y for x, y in heads if x > CENTRE) == compared


def test_the_way_in_use_is_thick_and_leads_through_the_past_encoder_alone():
    figure = dual_network()
    thick = [a for a in figure.findobj(FancyArrowPatch) if a.get_linewidth() == WIDTHS[-1]]
    boxes = [a.get_path().get_extents() for a in thick]
    assert len(boxes) == 6
    assert all(box.x1 < CENTRE for box in boxes)
    answer = next(text for text in figure.axes[0].texts if text.get_text().startswith("in use"))
    assert min(box.x0 for box in boxes) > answer.get_position()[0]
    assert min(boxes, key=lambda box: box.x0).y0 < answer.get_position()[1] < max(box.y1 for box in boxes)


def test_the_three_terms_of_the_loss_carry_their_weights():
    terms = [words for words in said(dual_network()) if "cross-entropy" in words or "beta" in words]
    assert sorted(terms) == [
        "$(1-\\alpha)$ · cross-entropy: item before",
        "$+\\;\\;\\beta$ · KL  $+$",
        "$\\alpha$ · cross-entropy: next item",
    ]


def test_the_weights_of_the_head_are_a_softmax_inside_its_window():
    scores, bias, seen, weights = one_head()
    assert (seen == window_mask(LENGTH, SIZES)[1].numpy()).all()
    expected = torch.softmax(torch.tensor(np.where(seen, scores + bias, -np.inf)), -1)
    assert weights == pytest.approx(expected.numpy())
    for distance in range(1 - LENGTH, LENGTH):
        assert np.ptp(np.diag(bias, distance)) == 0, "Eq. 3 has one number for each distance"


@pytest.mark.parametrize(("side", "colour"), [(-1, style.PAST), (1, style.FUTURE)])
def test_a_window_holds_its_items_and_the_states_own(side, colour):
    """Eq. 9: sigma items and one, the nearest to the target that there are, and never the target."""
    figure = interest_transfer()
    seen = circles(figure, colour)
    for y, sigma in zip(LEVELS, SIGMAS, strict=True):
        away = np.sort(side * (seen[seen[:, 1] == y, 0] - AT))
        assert len(away) == sigma + 1
        assert away[0] > 1
        mask = window_mask(SHOWN, [sigma])[0, -1]
        assert len(away) == mask.sum()
        steps = (away - away[0]) / APART
        assert steps == pytest.approx(np.arange(sigma + 1))
    lit = [cell for cell in figure.findobj(Rectangle) if to_hex(cell.get_edgecolor()) == colour.lower()]
    lit = [cell.get_x() + cell.get_width() / 2 for cell in lit if cell.get_y() < 1]
    assert sorted(lit) == pytest.approx(sorted(seen[seen[:, 1] == LEVELS[-1], 0]))


def test_the_windows_are_those_of_the_first_heads_of_the_paper():
    assert tuple(window_sizes(8, 50)[: len(SIGMAS)]) == SIGMAS
    words = said(interest_transfer())
    assert words.count("KL") == len(SIGMAS)
    for head, sigma in enumerate(SIGMAS, start=1):
        assert f"head {head}, $\\sigma = {sigma}$: {sigma + 1} items a side" in words


def test_the_states_compared_are_those_that_the_method_compares():
    """A row of which t is the middle: the past state at t-1 meets the future state at t+1 and no other."""
    n, t = 2 * SHOWN + 1, SHOWN
    place = torch.arange(n).view(1, n, 1, 1)
    past, future = DualRec(5, DualRecConfig())._compared(place, place, torch.tensor([n]))
    pairs = {(a, n - 1 - b) for a, b in zip(past.flatten().tolist(), future.flatten().tolist(), strict=True)}
    assert {b for a, b in pairs if a == t - 1} == {t + 1}
    figure = interest_transfer()
    assert any("D5" in words and "t−1 and t+1" in words for words in said(figure))
    names = {text.get_text(): text.get_position()[0] for text in figure.axes[0].texts}
    ends = [circles(figure, colour)[:, 0] for colour in (style.PAST, style.FUTURE)]
    assert ends[0].max() == pytest.approx(names["$t-1$"])
    assert ends[1].min() == pytest.approx(names["$t+1$"])
