"""Lesson 04 in a real browser: more neighbours, less of their lives, and a predictor trained by a button."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from in_jupyterlab import MINUTE, NUMBERS, PICTURE, answer_to, bring_up, complaints, knob, open_and_run

ARTIFACTS = Path(__file__).parent.parent.parent / "build" / "browser"


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 04 on the tiny world, opened and run."""
    path = tmp_path / "notebooks" / "04_lift_predict.ipynb"
    nb = nbformat.read(path, 4)
    (cell,) = [cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", [])]
    assert "dataset = None" in cell.source
    cell.source = cell.source.replace("dataset = None", 'dataset = "world:tiny"')
    nbformat.write(nb, path)
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

    def few_events():
        readout = knob(page, "L").locator(".widget-readout")
        readout.click(click_count=3)
        readout.fill("3")
        readout.press("Enter")

    numbers, _ = answer_to(page, few_events)
    assert "K = 11, L = 3, reading future" in numbers
    shape = page.locator(PICTURE).first.evaluate(
        "i => [i.naturalWidth / i.naturalHeight, i.width / i.height]"
    )
    assert shape[0] == pytest.approx(shape[1], rel=0.02), "the picture is stretched"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "lesson04_explorer.png")

    results = page.locator(".workbench-results")
    bring_up(results)
    assert "1 trained so far" in results.text_content()
    knob(page, "match").locator("select").select_option("False")
    bring_up(page.locator(NUMBERS).nth(1))
    page.locator(".jupyter-button:not([disabled])", has_text="Run").click()
    page.locator(".workbench-results", has_text="2 trained so far").wait_for(timeout=2 * MINUTE)
    page.locator(".workbench-status", has_text="done in").wait_for(timeout=MINUTE)  # said after it is drawn
    page.screenshot(path=ARTIFACTS / "lesson04_trained.png")
    assert complaints(page) == 0
