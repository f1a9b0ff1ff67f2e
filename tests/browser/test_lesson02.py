"""Lesson 02 as a student meets it: JupyterLab in a real browser, real sliders, a picture that answers."""

from __future__ import annotations

import pytest
from in_jupyterlab import (
    MINUTE,
    NUMBERS,
    PICTURE,
    answer_to,
    complaints,
    knob,
    open_and_run,
    photograph,
    type_into,
)


@pytest.fixture
def lesson(jupyterlab, page):
    """Lesson 02, opened and run from its first to its last cell."""
    return open_and_run(page, jupyterlab, "02_lift_retrieve", "LIFT: retrieve", "with the user id as a field")


def test_moving_k_and_l_changes_the_picture_and_the_numbers(lesson):
    page = lesson
    assert "K = 10, L = 20: 10 neighbours" in page.locator(NUMBERS).text_content()

    def press_right_twice():
        handle = knob(page, "K").locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowRight")
        handle.press("ArrowRight")

    numbers, _ = answer_to(page, press_right_twice)
    page.get_by_text("K = 12, L = 20").wait_for(timeout=MINUTE)
    assert "12 neighbours" in page.locator(NUMBERS).text_content()

    def drag_to_the_right():
        box = knob(page, "L").locator(".noUi-handle").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=8)
        page.mouse.up()

    before = page.locator(NUMBERS).text_content()
    numbers, _ = answer_to(page, drag_to_the_right)
    length = int(numbers.split("L = ")[1].split(":")[0])
    assert length > 20
    assert "K = 12" in numbers
    assert numbers != before

    # A smaller K must show a smaller picture's worth of neighbours, not the old ones.
    numbers, _ = answer_to(page, lambda: type_into(page, "K", 3))
    assert "3 neighbours" in numbers
    shape = page.locator(PICTURE).evaluate("i => [i.naturalWidth / i.naturalHeight, i.width / i.height]")
    assert shape[0] == pytest.approx(shape[1], rel=0.02), "the picture is stretched"
    photograph(page, "lesson02_explorer")
    assert complaints(page) == 0
