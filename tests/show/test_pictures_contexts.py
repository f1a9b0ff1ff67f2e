"""The gain of contexts: paired, against hand-worked numbers, and a title that the intervals bear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pages import collisions, said

from workbench.errors import ConfigError, DataError
from workbench.show.pictures_contexts import CONTEXTS, context_gains, gain_of_context

ON = {"none": 0.70, "history": 0.71, "history 2L": 0.712, "future": 0.715, "both": 0.73}
OFF = {"none": 0.68, "history": 0.69, "history 2L": 0.691, "future": 0.69, "both": 0.69}
CEILING = {("on", "all"): 0.77, ("off", "all"): 0.95}


def runs(worlds: dict[str, dict[str, float]], rows: tuple[str, ...] = ("all",)) -> pd.DataFrame:
    """Five seeds; a seed moves every context of its world alike by up to .04, and each a little by itself,
    in such a way that the noise adds up to 0 over the seeds."""
    noise = 2e-4 * np.array([-2, 1, 0, 2, -1])
    found = []
    for world, means in worlds.items():
        for what in rows:
            for place, (context, mean) in enumerate(means.items()):
                for seed in range(5):
                    found.append(
                        (world, what, context, seed, mean + 0.01 * seed + np.roll(noise, place)[seed])
                    )
    return pd.DataFrame(found, columns=["world", "rows", "context", "seed", "auc"])


def test_gains_are_paired_over_seeds():
    """By hand: differences .01, .02, .03 have mean .02, s = .01, t(2; .975) = 4.3027: ± .02484."""
    frame = pd.DataFrame(
        [("w", "all", context, seed, 0.5 + 0.1 * seed + (context == "both") * 0.01 * (seed + 1))
         for context in ("history", "both") for seed in range(3)],
        columns=["world", "rows", "context", "seed", "auc"],
    )  # fmt: skip
    (row,) = context_gains(frame).to_dict("records")
    assert (row["context"], row["over"], row["seeds"]) == ("both", "history", 3)
    assert row["gain"] == pytest.approx(0.02)
    assert row["high"] - row["gain"] == pytest.approx(4.302653 * 0.01 / np.sqrt(3), rel=1e-5)


def test_every_comparison_of_the_claims_is_made_in_every_world():
    gains = context_gains(runs({"on": ON, "off": OFF}, ("all", "steps")))
    assert len(gains) == 4 * 7
    both = gains[(gains["context"] == "both") & (gains["rows"] == "steps")].set_index(["world", "over"])[
        "gain"
    ]
    assert both["on", "history"] == pytest.approx(0.02, abs=1e-3)
    assert both["off", "history 2L"] == pytest.approx(-0.001, abs=1e-3)


def test_the_picture_says_and_shows_that_the_future_needs_succession():
    figure = gain_of_context(runs({"on": ON, "off": OFF}), CEILING, "5 seeds")
    title = "The future adds to the history because the world has succession, and only then"
    assert figure.get_suptitle() == title
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    gained = [float(line.get_ydata()[0]) for line in dots]
    assert gained == pytest.approx([0.01, 0.012, 0.015, 0.03, 0.01, 0.011, 0.01, 0.01], abs=8e-4)
    assert [line.get_mfc() == "white" for line in dots] == 4 * [False] + 4 * [True]
    assert collisions(figure) == []


def test_the_ceiling_is_a_line_in_sight_and_an_arrow_out_of_sight():
    figure = gain_of_context(runs({"on": ON, "off": OFF}), CEILING)
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(lines) == 1
    assert lines[0].get_ydata()[0] == pytest.approx(0.77 - 0.72, abs=1e-3)  # over the mean of "none"
    assert figure.axes[0].get_ylim()[1] > 0.05
    notes = [word for word in said(figure) if "best reachable" in word]
    assert ["- -" in note for note in notes] == [True, False]
    assert "best reachable 0.950" in notes[1]


@pytest.mark.parametrize(
    ("worlds", "words"),
    [
        ({"on": ON}, "The future adds to what the history tells"),
        ({"on": OFF, "off": OFF}, "The future adds nothing certain to the history here"),
        ({"on": ON, "off": ON}, "The future adds +.020 to the history with on, +.020 with off"),
    ],
)
def test_the_title_says_what_was_found_not_what_was_hoped(worlds, words):
    figure = gain_of_context(runs(worlds), {(world, "all"): 0.8 for world in worlds})
    assert figure.get_suptitle() == words


def test_a_gain_on_some_rows_only_is_said_to_be_one():
    frame = pd.concat([runs({"on": OFF, "off": OFF}, ("all",)), runs({"on": ON, "off": OFF}, ("steps",))])
    ceiling = {(world, rows): 0.8 for world in ("on", "off") for rows in ("all", "steps")}
    assert "adds to the history on steps because" in gain_of_context(frame, ceiling).get_suptitle()


def test_bad_frames_are_refused():
    frame = runs({"on": ON})
    with pytest.raises(ConfigError, match="present"):
        context_gains(frame.replace("future", "present"))
    with pytest.raises(DataError, match="twice"):
        context_gains(pd.concat([frame, frame]))
    with pytest.raises(DataError, match="seed"):
        context_gains(frame[frame["seed"] == 0])
    assert set(frame["context"]) == set(CONTEXTS)
