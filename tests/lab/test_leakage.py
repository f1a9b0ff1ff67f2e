import numpy as np
import pandas as pd
import pytest

from workbench.data.histories import Histories
from workbench.data.interactions import Interactions
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import ConfigError, DataError
from workbench.lab.leakage import HONEST, LEAKS, click_rate, leak_aucs, scored_rows, window_features


def test_click_rate_by_hand():
    code = np.array([1, 1, 2, 1, 3])
    label = np.array([1, 0, 1, 1, 0])
    rate = click_rate(code, label, counted=np.array([0, 1, 2]), rows=np.array([3, 2, 4]), prior=3)
    # Mean of the counted labels 2/3; code 1: 1 of 2, code 2: 1 of 1, code 3: never counted.
    np.testing.assert_allclose(rate, [(1 + 2) / (2 + 3), (1 + 2) / (1 + 3), 2 / 3])


def test_window_features_by_hand():
    log = Interactions.from_frame(
        pd.DataFrame(
            {
                "user": 1,
                "item": [1, 2, 3, 4, 5],
                "category": ["a", "b", "a", "a", "b"],
                "timestamp": [1, 2, 3, 4, 5],
                "label": [1, 1, 0, 1, 0],
            }
        ),
        name="five",
    )
    row = np.array([3])  # category a; two before it: b clicked, a shown; after it: b shown
    histories = Histories.of(log)
    before = window_features(log, histories, row, 2, "before", "category")
    np.testing.assert_allclose(before, [[(1 + 1) / (2 + 2), 1, 0]])
    after = window_features(log, histories, row, 2, "after", "category")
    np.testing.assert_allclose(after, [[(0 + 1) / (1 + 2), 0, 0]])
    longer = window_features(log, histories, row, 9, "before", "category")
    np.testing.assert_allclose(longer, [[(2 + 1) / (3 + 2), 2, 1]])


def test_scored_rows_are_half_of_the_test_rows():
    log = make_world("tiny").interactions
    split = global_time_split(log)
    rows = scored_rows(split, 1)
    assert len(rows) == split.sizes()["test"] // 2
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= split.test.start
    assert (rows != scored_rows(split, 2)).any()


def test_leaks_flatter_where_there_is_something_to_leak():
    gains = []
    for seed in range(3):
        aucs = leak_aucs(make_world("small", seed, users=300).interactions, seed, "category")
        assert list(aucs) == [HONEST, *LEAKS]
        gains.append([aucs[leak] - aucs[HONEST] for leak in LEAKS])
    random, crossing, whole = np.mean(gains, axis=0)
    assert whole > 0.05
    assert crossing > 0.015
    assert abs(random) < 0.03  # nothing drifts in this world


def test_a_leaked_label_is_found_even_where_nothing_can_be_predicted():
    """The key idea: with coin-flip labels the honest AUC is one half and only leaks rise above it."""
    world = make_world("small", 0, users=300).interactions
    coin = np.random.default_rng(0).integers(0, 2, len(world)).astype(np.int8)
    log = Interactions(world.columns, world.vocabularies, world.timestamp, coin, world.name)
    aucs = leak_aucs(log, 0, "category")
    assert abs(aucs[HONEST] - 0.5) < 0.03
    assert abs(aucs["split at random"] - 0.5) < 0.03
    assert abs(aucs["window crosses the query"] - 0.5) < 0.03  # later labels do not know this one
    assert aucs["rates over the whole log"] > 0.6  # this label was counted


def test_errors():
    log = make_world("tiny").interactions
    with pytest.raises(ConfigError, match="genre"):
        leak_aucs(log, 0, "genre")
    ones = Interactions(
        log.columns, log.vocabularies, log.timestamp, np.ones(len(log), dtype=np.int8), log.name
    )
    with pytest.raises(DataError, match="nothing to predict"):
        leak_aucs(ones, 0, "category")
