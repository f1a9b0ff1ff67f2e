"""Lesson 03 in a real browser: hide more labels, train, go on dragging meanwhile, stop, train to the end."""

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
)

TINY = {
    "dataset = None": 'dataset = "world:tiny"',
    "epochs = 25": "epochs = 3",
    # one ratio trains long enough to be stopped, the next one ends soon
    "recipe, on_progress": "Recipe(pretrain_epochs=3000 if ratio == 0.4 else 5), on_progress",
}
STATUS, RESULTS = ".workbench-status", ".workbench-results"


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 03 on the tiny world, opened and run; its training is short, yet long enough to be stopped."""
    changed(tmp_path / "notebooks" / "03_lift_pretrain.ipynb", TINY)
    return open_and_run(page, jupyterlab, "03_lift_pretrain", "LIFT: pretrain", "{0.05:", minutes=10)


def press(page, name: str) -> None:
    page.locator(".jupyter-button:not([disabled])", has_text=name).click()


def status(page, words: str) -> str:
    page.locator(STATUS, has_text=words).wait_for(timeout=2 * MINUTE)
    return page.locator(STATUS).text_content()


def right(page) -> None:
    handle = knob(page, "ratio").locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")


def test_run_progress_stop_and_the_ratio(lesson):
    page = lesson
    assert "3 of 10 hidden" in page.locator(NUMBERS).text_content()
    press(page, "Run")
    status(page, "remembered")  # the lesson's own encoder has this ratio

    numbers, _ = answer_to(page, lambda: right(page))
    assert "4 of 10 hidden" in numbers
    press(page, "Run")
    assert "ratio 0.4" in status(page, "epoch")
    numbers, _ = answer_to(page, lambda: right(page))  # the kernel answers while the thread trains
    assert "5 of 10 hidden" in numbers
    assert "ratio 0.4" in page.locator(STATUS).text_content()
    photograph(page, "lesson03_training")
    press(page, "Stop")
    assert "nothing kept" in status(page, "stopped")
    assert "0.4:" not in page.locator(RESULTS).text_content()

    curve = page.locator(PICTURE).nth(1)
    before = curve.get_attribute("src")
    press(page, "Run")
    assert "ratio 0.5" in status(page, "done in")
    assert "0.5:" in page.locator(RESULTS).text_content()
    assert curve.get_attribute("src") != before
    bring_up(curve)
    photograph(page, "lesson03_done")
    assert complaints(page) == 0
