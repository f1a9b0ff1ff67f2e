"""Boxes hold the numbers they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pages import collisions

from workbench.errors import DataError
from workbench.show.pictures_boxes import knob_boxes


def runs() -> pd.DataFrame:
    """K is best at 30 by far, m rises; five seeds each, two metrics."""
    rows = []
    for knob, means in (("K", {10: 0.70, 30: 0.72, 50: 0.71}), ("m", {2: 0.68, 4: 0.70, 8: 0.71})):
        for metric, offset in (("AUC", 0.0), ("GAUC", -0.01)):
            for place, (setting, mean) in enumerate(means.items()):
                for seed in range(5):
                    noise = 1e-3 * (seed - 2) + 1e-4 * (-1) ** (place + seed)
                    rows.append((knob, metric, setting, seed, mean + offset + noise))
    return pd.DataFrame(rows, columns=["knob", "metric", "setting", "seed", "value"])


def test_a_box_is_the_middle_half_of_the_seeds_and_every_seed_has_a_dot() -> None:
    frame = runs()
    figure = knob_boxes(frame, published={"K": 30, "m": 4}, small_print="five seeds")
    assert len(figure.axes) == 4
    panel = figure.axes[0]
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == ["10", "30", "50"]
    values = frame.query("knob == 'K' and metric == 'AUC' and setting == 30")["value"]
    box = panel.patches[1].get_path().vertices
    assert np.isclose(box[:, 1].min(), values.quantile(0.25))
    assert np.isclose(box[:, 1].max(), values.quantile(0.75))
    dots = [line for line in panel.lines if line.get_marker() == "o"]
    assert sorted(dots[1].get_ydata()) == sorted(values)
    assert (
        figure.get_suptitle()
        == "As K grows AUC rises up to 30 and then falls; as m grows AUC still rises at its end"
    )
    assert not collisions(figure)


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no results"):
        knob_boxes(runs().iloc[:0])
