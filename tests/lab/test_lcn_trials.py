"""LCN's trials: what a configuration says, one small trial of each kind, and measures by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab import lcn_trials
from workbench.lab.lcn_trials import EXPERIMENTS, item_kinds, measure, network, trials
from workbench.lab.long_samples import LongData
from workbench.methods.lcn import Pyramid

QUICK = {"users": 50, "epochs": 1, "batch": 512, "negatives": 64}


def one(experiment: str, variant: str, **settings: object):
    return trials(experiment, seeds=[0], variants=[variant], **{**QUICK, **settings})[0]


def test_a_configuration_names_what_its_trial_reads() -> None:
    plain, within = one("lcn_table1", "LCN w/o CRP").config, one("lcn_table1", "within").config
    assert not {"tau", "cross", "weight"} & set(plain), "without CRP its knobs say nothing"
    assert (within["cross"], within["target"], within["weight"]) == (0.0, 1.0, 0.1)
    assert one("lcn_table2", "ETA").config.get("per_item") is None
    # the same question under another name is the same configuration
    assert one("lcn_table5", "LCN-200-50").config == one("lcn_table1", "LCN").config
    assert one("lcn_weight", "weight 0.0").config == plain
    assert one("lcn_table3", "-, 50").config["pools"] == [None, 50]


def test_pools_shrink_with_the_sequence() -> None:
    config = one("lcn_table5", "LCN-500-100").config
    assert config["long"] == 200
    data = LongData.of(make_world("two_domain", 0, users=50).interactions, short=20, long=200)
    look = network(data, config).interest
    assert isinstance(look, Pyramid)
    assert (look.config.k1, look.config.k2) == (50, 10)


@pytest.mark.parametrize(
    ("experiment", "variant"),
    [
        ("lcn_table1", "LCN"),
        ("lcn_table2", "SDIM_CRP"),
        ("lcn_table4", "TWIN"),
        ("lcn_table5", "LCN w/o LAP"),
    ],
)
def test_a_trial_measures_the_same_twice(experiment: str, variant: str) -> None:
    trial = one(experiment, variant)
    found, again = measure(trial), measure(trial)
    assert found == again
    assert 0.3 < found["AUC"] < 0.8
    assert 0 <= found["consistency"] <= 1
    assert ("purity across" in found) == (experiment != "lcn_table4")


def test_one_domain_asks_about_the_source_domains_own_clicks() -> None:
    log = lcn_trials._alone(make_world("two_domain", 0, users=50).interactions)
    assert "domain" not in log.fields
    data = LongData.of(log, short=20, long=200)
    assert data.batch(torch.arange(5)).short_source is None
    assert len(data) == len(log)


def test_kinds_are_topics_of_the_world() -> None:
    world = make_world("two_domain", 0, users=50)
    data = LongData.of(world.interactions, long=200)
    assert np.array_equal(item_kinds("world:two_domain", 0, (("users", 50),), data), world.items.topic)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"look": "DIN"}, "look"),
        ({"colour": 1}, "setting"),
        ({"weight": -1}, "weight is a number from 0"),
        ({"dataset": "yelp"}, "data set with settings for long histories"),
        ({"dataset": "amazon-cross-domain", "domain_overlap": 0}, "knobs of the world"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trials("lcn_table1", **settings)


def test_every_experiment_gives_trials() -> None:
    for experiment, variants in EXPERIMENTS.items():
        assert [trial.variant for trial in trials(experiment, seeds=[0], users=50)] == list(variants)


def test_figure_5_has_methods_without_the_other_pools_and_pools_in_events() -> None:
    """K1 = 200 of 2,000 is 20 of the 200 events of this world."""
    rows = [
        ("TWIN", (200, 50), 1.0),
        ("LAP", (200, 50), 0.3),
        ("K1 1000", (1000, 50), 0.4),
        ("K1 50", (50, 50), 0.2),
    ]
    found = pd.DataFrame(
        {"variant": variant, "pools": pools, "seed": 0, "consistency": value, "long": 200, "pools_for": 2000}
        for variant, pools, value in rows
    )
    methods, pools, length, top = lcn_trials.agreement(found)
    assert methods.to_numpy().tolist() == [["TWIN", 0, 1.0], ["LAP", 0, 0.3]]
    assert pools.to_numpy().tolist() == [[5, 0, 0.2], [20, 0, 0.3], [100, 0, 0.4]]
    assert (length, top) == (200, 5)
