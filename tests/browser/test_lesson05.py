"""Lesson 05 in a real browser: windows of heads, a training with other weights, attention of one head."""

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
    """Lesson 05 on the tiny world, opened and run."""
    tiny = {"dataset = None": 'dataset = "world:tiny"'}
    changed(tmp_path / "notebooks" / "05_dualrec.ipynb", tiny)
    last = "in order,"
    return open_and_run(
        page, jupyterlab, "05_dualrec", "DualRec: the future while training", last, minutes=10
    )


def test_windows_weights_and_attention(lesson):
    page = lesson
    before = page.locator(NUMBERS).first.text_content()
    assert before.count("%") == 8  # a head each

    numbers, _ = answer_to(page, lambda: type_into(page, "heads", 3))
    assert numbers.count("%") == 3

    picture = page.locator(PICTURE).first
    seen = picture.get_attribute("src")
    knob(page, "encoder").locator("select").select_option("future")
    page.wait_for_function(
        "before => document.querySelector('.jp-OutputArea img.widget-image').src !== before", arg=seen,
        timeout=MINUTE,
    )  # fmt: skip
    photograph(page, "lesson05_windows")

    results = page.locator(".workbench-results")
    bring_up(page.locator(NUMBERS).nth(1))
    tried = results.text_content()
    handle = knob(page, "alpha").locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    page.locator(".jupyter-button:not([disabled])", has_text="Run").click()
    page.locator(".workbench-status", has_text="done in").wait_for(timeout=2 * MINUTE)
    assert "α 0.7, β 0.5" in results.text_content()
    assert results.text_content().startswith(tried)
    photograph(page, "lesson05_trained")

    third = page.locator(NUMBERS).nth(2)
    bring_up(third)
    told = third.text_content()
    assert "window 20" in told
    head = page.locator(".widget-inline-hbox", has=page.get_by_text("head", exact=True)).last
    head.locator(".noUi-handle").focus()
    head.locator(".noUi-handle").press("ArrowLeft")
    page.locator(NUMBERS, has_text="window 9").wait_for(timeout=MINUTE)
    photograph(page, "lesson05_attention")
    assert complaints(page) == 0
