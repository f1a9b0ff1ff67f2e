"""Lesson 00's pictures: what is lit must be what a method may look at."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from workbench.data.world import make_world
from workbench.errors import DataError
from workbench.show import style
from workbench.show.explorer import png
from workbench.show.pictures_start import Lives, four_looks, some_lives, windows


def lit(axes, colour: str) -> dict[float, list[float]]:
    """y -> sorted x of the marks whose edge has this colour."""
    found: dict[float, list[float]] = {}
    for marks in axes.collections:
        edges = marks.get_edgecolors() if hasattr(marks, "get_offsets") else []
        if len(edges) and to_hex(edges[0]) == colour.lower():
            for x, y in marks.get_offsets():
                found.setdefault(float(y), []).append(float(x))
    return {y: sorted(x) for y, x in found.items()}


@pytest.fixture(scope="module")
def looks():
    n = 42
    labels = np.arange(n) % 2
    lives = Lives(
        labels, np.arange(n) % 4 - 1, [labels, 1 - labels], np.arange(90) % 2, np.arange(90) % 9 == 0
    )
    return four_looks(lives).axes


def test_nothing_after_now_is_lit(looks):
    for axes in looks:
        for colour in (style.PAST, style.FUTURE, style.SOURCE_DOMAIN, style.TARGET_DOMAIN):
            assert all(x < 0 for xs in lit(axes, colour).values() for x in xs)


def test_lift_lights_futures_of_others_only_and_dualrec_of_the_user_in_training(looks):
    lift, dualrec = looks[0], looks[1]
    assert set(lit(lift, style.FUTURE)) == {1, 2}  # the user's own line is 0
    assert set(lit(lift, style.PAST)) == {0, 1, 2}
    for y in (1, 2):
        assert max(lit(lift, style.PAST)[y]) < min(lit(lift, style.FUTURE)[y])
    assert set(lit(dualrec, style.FUTURE)) == {1}  # training; 0 is in use
    assert len(lit(dualrec, style.PAST)[0]) == 42


def test_lcn_lights_the_whole_source_and_encode_the_whole_life(looks):
    lcn, encode = looks[2], looks[3]
    assert len(lit(lcn, style.SOURCE_DOMAIN)[1]) == 90
    marks = [
        x
        for collection in encode.collections
        if len(collection.get_offsets()) and to_hex(collection.get_edgecolors()[0]) != style.FAINT.lower()
        for x, y in collection.get_offsets()
        if y == 0 and x < 0
    ]
    assert sorted(marks) == list(range(-42, 0))


def test_some_lives_come_from_the_log():
    world = make_world("two_domain", 0, users=40, events=50, source_events=110)
    lives = some_lives(world, events=30)
    log, target = world.interactions, world.interactions.columns["domain"] == 1
    owners = [
        user
        for user in np.unique(log.user)
        if np.array_equal(log.label[(log.user == user) & target][-30:], lives.own)
    ]
    assert len(owners) == 1
    assert np.array_equal(lives.source, log.label[(log.user == owners[0]) & ~target])
    assert lives.source[lives.alike].all()
    with pytest.raises(DataError, match="only 0 users"):
        some_lives(world, events=100_000)


@pytest.mark.parametrize(("at", "length"), [(3, 2), (0, 4), (9, 4), (5, 20)])
def test_windows_are_eq_1(at, length):
    labels = np.arange(10) % 2
    axes = windows(labels, at, length).axes[0]
    before = list(range(max(0, at - length), at))
    after = list(range(at + 1, min(10, at + 1 + length)))
    assert lit(axes, style.PAST).get(0, []) == before
    assert lit(axes, style.FUTURE).get(0, []) == after
    assert png(windows(labels, at, length)).startswith(b"\x89PNG")
