"""Lesson 06 in a real browser: whom the loss pushes, and a training with another number of negatives."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_jupyterlab import MINUTE, NUMBERS, bring_up, changed, complaints, knob, open_and_run

ARTIFACTS = Path(__file__).parent.parent.parent / "build" / "browser"


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 06 on the tiny world of two domains, opened and run."""
    tiny = {"dataset = None": 'dataset = "world:tiny_two_domain"'}
    changed(tmp_path / "notebooks" / "06_lcn_align.ipynb", tiny)
    return open_and_run(
        page, jupyterlab, "06_lcn_align", "LCN: two domains, one person", "tried so far", minutes=10
    )


def test_fewer_negatives_and_a_model_trained_with_them(lesson):
    page = lesson
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    numbers, results = page.locator(NUMBERS).first, page.locator(".workbench-results")
    bring_up(numbers)
    assert "4,096 negative pairs" in numbers.text_content()
    handle = knob(page, "M").locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowLeft")
    page.locator(NUMBERS, has_text="2,048 negative pairs").wait_for(timeout=MINUTE)
    tried = results.text_content()
    page.locator(".jupyter-button:not([disabled])", has_text="Run").click()
    page.locator(".workbench-status", has_text="done in").wait_for(timeout=2 * MINUTE)
    assert results.text_content().startswith(tried)
    assert "λ 0.1, τ 0.1, M 2048" in results.text_content()
    page.screenshot(path=ARTIFACTS / "lesson06_trained.png")
    assert complaints(page) == 0
