"""Lesson 09 in a real browser: another candidate, K, β, metric and search, and the strips that they make."""

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
    """Lesson 09 on the tiny world, opened and run."""
    changed(tmp_path / "notebooks" / "09_encode_online.ipynb", {"dataset = None": 'dataset = "world:tiny"'})
    return open_and_run(
        page,
        jupyterlab,
        "09_encode_online",
        "ENCODE: thirty interests answer",
        "the frontier has been",
        minutes=10,
    )


def test_the_strips_follow_the_knobs(lesson):
    page = lesson
    bring_up(page.locator(NUMBERS).first)
    assert "RI of uniform weights" in page.locator(NUMBERS).first.text_content()

    def left(name: str):
        handle = knob(page, name).locator(".noUi-handle")
        handle.focus()
        handle.press("ArrowLeft")

    def dot():
        knob(page, "metric").locator("select").select_option("dot")

    acts = {
        "K": lambda: left("K"),
        "β": lambda: left("β"),
        "k": lambda: type_into(page, "k", 2),
        "candidate": lambda: type_into(page, "candidate", 4),
        "metric": dot,
    }
    seen = {answer_to(page, act)[1] for act in acts.values()}
    assert len(seen) == len(acts)
    photograph(page, "lesson09_strips")
    assert complaints(page) == 0
