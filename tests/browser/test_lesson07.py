"""Lesson 07 in a real browser: who survives three levels, as K1, K2, the candidate and the model change."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_jupyterlab import (
    MINUTE,
    NUMBERS,
    PICTURE,
    bring_up,
    changed,
    complaints,
    knob,
    open_and_run,
    type_into,
)

ARTIFACTS = Path(__file__).parent.parent.parent / "build" / "browser"


@pytest.fixture
def lesson(jupyterlab, page, tmp_path):
    """Lesson 07 on the tiny world of two domains, opened and run."""
    tiny = {"dataset = None": 'dataset = "world:tiny_two_domain"'}
    changed(tmp_path / "notebooks" / "07_lcn_pyramid.ipynb", tiny)
    title = "LCN: three looks at a lifelong sequence"
    return open_and_run(page, jupyterlab, "07_lcn_pyramid", title, "the pyramid: 6,400", minutes=10)


def test_survivors_follow_the_knobs(lesson):
    page = lesson
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    numbers, picture = page.locator(NUMBERS).first, page.locator(PICTURE).first
    bring_up(numbers)
    assert "consistency over" in numbers.text_content()

    def turn(act):
        seen = picture.get_attribute("src")
        act()
        page.wait_for_function(
            "before => document.querySelector('.jp-OutputArea img.widget-image').src !== before", arg=seen,
            timeout=MINUTE,
        )  # fmt: skip

    turn(lambda: type_into(page, "K1", 9))
    turn(lambda: type_into(page, "K2", 2))
    turn(lambda: type_into(page, "candidate", 4))
    page.screenshot(path=ARTIFACTS / "lesson07_funnel.png")
    turn(lambda: knob(page, "model").locator("select").select_option("without CRP"))
    assert complaints(page) == 0
