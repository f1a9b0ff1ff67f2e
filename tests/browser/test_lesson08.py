"""Lesson 08 in a real browser: another K, m, user and algorithm, and the life that they cut."""

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
    """Lesson 08 with a few users and short trainings, opened and run."""
    smaller = {"users = 120": "users = 40", "STEPS = 150": "STEPS = 20"}
    changed(tmp_path / "notebooks" / "08_encode_offline.ipynb", smaller)
    return open_and_run(
        page, jupyterlab, "08_encode_offline", "a life folded into interests", "the best K, for", minutes=10
    )


def test_a_life_is_cut_anew_with_every_knob(lesson):
    page = lesson
    bring_up(page.locator(NUMBERS).first)
    assert "of 30 clusters used" in page.locator(NUMBERS).first.text_content()
    photograph(page, "lesson08_life")
    words, seen = zip(
        *(
            answer_to(page, lambda k=k, value=value: type_into(page, k, value))
            for k, value in (("K", 8), ("user", 2))
        ),
        strict=True,
    )
    assert "8 of 8 clusters used" in words[0]
    assert len(set(seen)) == 2

    def choose(name, value):
        knob(page, name).locator("select").select_option(value)

    for name, value in (("m", "32 (all)"), ("algorithm", "agglomerative")):
        said, picture = answer_to(page, lambda name=name, value=value: choose(name, value))
        assert picture not in seen
    assert "kept in 100% of triplets" in said
    photograph(page, "lesson08_agglomerative")
    assert complaints(page) == 0
