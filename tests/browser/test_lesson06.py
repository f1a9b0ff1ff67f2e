"""Lesson 06 in a real browser: the temperature answers at once, a training with another one, and Stop."""

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

STATUS, RESULTS = ".workbench-status", ".workbench-results"


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 06 on the tiny world, opened and run; λ = 0.2 trains long enough to be stopped."""
    words = {
        "dataset = None": 'dataset = "world:tiny_two_domain"',
        'model, auc = learn("all of CRP", on_progress, stop, **knobs)': (
            'knobs["epochs"] = 3000 if weight == 0.2 else 2\n'
            '    knobs["patience"] = 3000\n'
            '    model, auc = learn("all of CRP", on_progress, stop, **knobs)'
        ),
        "epochs=epochs, **{**own, **knobs}": '**{"epochs": epochs, **own, **knobs}',
    }
    changed(tmp_path / "notebooks" / "06_lcn_align.ipynb", words)
    return open_and_run(
        page,
        jupyterlab,
        "06_lcn_align",
        "LCN: two domains brought together",
        "after one rotation",
        minutes=10,
    )


def press(page, name: str) -> None:
    page.locator(".jupyter-button:not([disabled])", has_text=name).click()


def right(page, name: str) -> None:
    handle = knob(page, name).locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")


def heavier(page, told: str) -> None:
    """One step up for λ: the picture of the push stays, the words say the new weight."""
    right(page, "λ")
    page.locator(NUMBERS, has_text=f"weighed by {told}").first.wait_for(timeout=MINUTE)


def test_temperature_run_and_stop(lesson):
    page = lesson
    bring_up(page.locator(NUMBERS).first)
    heavier(page, "0.2")
    press(page, "Run")
    page.locator(STATUS, has_text="epoch").wait_for(timeout=MINUTE)
    numbers, _ = answer_to(page, lambda: right(page, "τ"))  # the kernel answers while the thread trains
    assert "negative pairs" in numbers
    photograph(page, "lesson06_training")
    press(page, "Stop")
    page.locator(STATUS, has_text="nothing kept").wait_for(timeout=MINUTE)
    assert "λ 0.2" not in page.locator(RESULTS).text_content()

    found = page.locator(PICTURE).nth(1)
    before = found.get_attribute("src")
    heavier(page, "0.5")
    press(page, "Run")
    page.locator(STATUS, has_text="done in").wait_for(timeout=2 * MINUTE)
    assert "λ 0.5, τ 0.2" in page.locator(RESULTS).text_content()
    assert found.get_attribute("src") != before
    photograph(page, "lesson06_trained")
    assert complaints(page) == 0
