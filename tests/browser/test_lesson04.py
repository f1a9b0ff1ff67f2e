"""Lesson 04 in a real browser: more neighbours, less of their lives, and a predictor trained by a button."""

from __future__ import annotations

import pytest
from in_jupyterlab import (
    MINUTE,
    NUMBERS,
    PICTURE,
    answer_to,
    bring_up,
    changed,
    complaints,
    knob,
    open_and_run,
    photograph,
    type_into,
)


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 04 on the tiny world, opened and run."""
    tiny = {"dataset = None": 'dataset = "world:tiny"'}
    changed(tmp_path / "notebooks" / "04_lift_predict.ipynb", tiny)
    last = "auc_steps: the future adds"
    return open_and_run(page, jupyterlab, "04_lift_predict", "LIFT: predict", last, minutes=10)


def test_k_and_what_is_read_change_the_prediction_and_run_trains_another(lesson):
    page = lesson
    numbers = page.locator(NUMBERS).first.text_content()
    assert "K = 10, L = 20, reading history and future" in numbers

    def more_neighbours():
        handle = knob(page, "K").locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowRight")

    numbers, _ = answer_to(page, more_neighbours)
    assert "K = 11, L = 20" in numbers
    assert "of 11 equal shares" in numbers

    def only_the_future():
        knob(page, "reads").locator("select").select_option("future")

    numbers, _ = answer_to(page, only_the_future)
    assert "reading future" in numbers

    numbers, _ = answer_to(page, lambda: type_into(page, "L", 3))
    assert "K = 11, L = 3, reading future" in numbers
    shape = page.locator(PICTURE).first.evaluate(
        "i => [i.naturalWidth / i.naturalHeight, i.width / i.height]"
    )
    assert shape[0] == pytest.approx(shape[1], rel=0.02), "the picture is stretched"
    photograph(page, "lesson04_explorer")

    results = page.locator(".workbench-results")
    bring_up(results)
    assert "1 trained so far" in results.text_content()
    knob(page, "match").locator("select").select_option("False")
    bring_up(page.locator(NUMBERS).nth(1))
    page.locator(".jupyter-button:not([disabled])", has_text="Run").click()
    page.locator(".workbench-results", has_text="2 trained so far").wait_for(timeout=2 * MINUTE)
    page.locator(".workbench-status", has_text="done in").wait_for(timeout=MINUTE)  # said after it is drawn
    photograph(page, "lesson04_trained")
    assert complaints(page) == 0
