"""The picture of growing times: medians, lines that can be told apart, and a title that says what grew."""

from itertools import pairwise

import pandas as pd
import pytest

from workbench.errors import DataError
from workbench.show.pictures_growth import time_growth


def timed(**systems):
    """Three repeats of each system at each setting of K, the middle one as given (in seconds)."""
    return pd.DataFrame(
        [
            ("K", setting, system, seconds * factor)
            for system, line in systems.items()
            for setting, seconds in line.items()
            for factor in (0.5, 1.0, 9.0)
        ],
        columns=["knob", "setting", "system", "seconds"],
    )


def test_lines_are_medians_in_milliseconds_and_the_title_says_how_they_grow():
    figure = time_growth(timed(LIFT={5: 0.001, 20: 0.003}, RIM={5: 0.001, 20: 0.001}), {"K": "neighbours"})
    (axes,) = figure.axes
    lines = [line.get_ydata().tolist() for line in axes.lines]
    assert sorted(lines) == [pytest.approx([1.0, 1.0]), pytest.approx([1.0, 3.0])]
    assert axes.get_xlabel() == "neighbours"
    assert figure.get_suptitle() == "LIFT takes 3 times the time for 4 times the K"


def test_large_numbers_are_written_out():
    figure = time_growth(timed(LIFT={1: 0.001, 12_345: 0.1234}), {})
    assert figure.get_suptitle() == "LIFT takes 120 times the time for 12,000 times the K"


def test_names_of_equal_times_do_not_stand_on_each_other():
    figure = time_growth(timed(LIFT={5: 0.001}, RIM={5: 0.001}, DIN={5: 0.00101}), {})
    heights = sorted(text.xy[1] for text in figure.axes[0].texts)
    assert all(b / a > 1.2 for a, b in pairwise(heights))


def test_without_the_champion_there_is_nothing_to_say():
    with pytest.raises(DataError, match="LIFT was not timed"):
        time_growth(timed(RIM={5: 0.001}), {})


def test_a_title_of_ones_own_and_a_level_that_does_not_grow():
    frame = timed(ENCODE={100: 0.001, 1000: 0.001}, DIN={100: 0.001, 1000: 0.01})
    frame = pd.concat([frame, frame.assign(knob="L")])
    figure = time_growth(
        frame, {}, champion="ENCODE", title="It is level", per="request", level=("the rest", 0.05), room=1.0
    )
    assert figure.get_suptitle() == "It is level"
    assert figure.axes[0].get_ylabel() == "ms a request"
    for axes in figure.axes:
        assert axes.lines[-1].get_ydata() == pytest.approx([50, 50])
        assert "the rest" in {text.get_text() for text in axes.texts}
    assert figure.get_figwidth() > time_growth(frame, {}, champion="ENCODE").get_figwidth()


def test_names_do_not_stand_on_each_other_where_times_span_many_powers_of_ten():
    figure = time_growth(timed(LIFT={5: 1e-6, 9: 1e-3}, RIM={5: 1.0, 9: 1e-3}, DIN={5: 1.0, 9: 1e-3}), {})
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
