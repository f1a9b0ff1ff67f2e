"""Lesson 07 in a real browser: another K1, K2, candidate and model, and the funnel that they make."""

from __future__ import annotations

import pytest
from in_jupyterlab import (
    NUMBERS,
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
    """Lesson 07 on the tiny world, opened and run."""
    tiny = {"dataset = None": 'dataset = "world:tiny_two_domain"'}
    changed(tmp_path / "notebooks" / "07_lcn_pyramid.ipynb", tiny)
    return open_and_run(
        page, jupyterlab, "07_lcn_pyramid", "LCN: the attention pyramid", "with strangers for", minutes=10
    )


def test_the_funnel_follows_the_knobs(lesson):
    page = lesson
    bring_up(page.locator(NUMBERS).first)
    assert "consistency over" in page.locator(NUMBERS).first.text_content()
    seen = {
        answer_to(page, lambda knob=knob, value=value: type_into(page, knob, value))[1]
        for knob, value in (("K1", 12), ("K2", 2), ("candidate", 4))
    }
    assert len(seen) == 3
    photograph(page, "lesson07_funnel")

    def other_model():
        knob(page, "model").locator("select").select_option("without CRP")

    assert answer_to(page, other_model)[1] not in seen
    photograph(page, "lesson07_without_crp")
    assert complaints(page) == 0
