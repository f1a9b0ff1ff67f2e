"""ENCODE's trials: what a configuration says, one small trial of each kind, and measures by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.baselines.whole_history import LOOKS
from workbench.data.world import make_world
from workbench.errors import ConfigError
from workbench.lab import encode_trials
from workbench.lab.clusters import agreement, histories, order_kept, rand_index
from workbench.lab.encode_trials import (
    EXPERIMENTS,
    data_of,
    item_kinds,
    measure,
    network,
    some_shown,
    trained,
    trials,
)
from workbench.lab.item_vectors import co_clicked
from workbench.lab.lift import made
from workbench.lab.long_samples import LongData
from workbench.lab.long_training import OfflineStage
from workbench.methods.encode import Encode

TINY = "world:tiny"


def one(experiment: str, variant: str, **settings: object):
    return trials(experiment, TINY, [0], [variant], **settings)[0]


def test_a_configuration_names_what_its_trial_reads() -> None:
    whole, din, dinl = (one("encode_table2", name).config for name in ("ENCODE", "DIN", "DIN-L"))
    assert {"clusters", "reduced", "loss", "beta", "every"} <= set(whole)
    assert not {"clusters", "reduced", "loss", "beta", "k", "every"} & set(din)
    assert "beta" in dinl
    assert "k" not in dinl
    assert {"reduced", "loss", "k"} <= set(one("encode_table4", "ETA-ENCODE").config)
    assert "clusters" not in one("encode_table4", "ETA-ENCODE").config
    # the same question under another name is the same configuration
    same = {
        "encode_table5": "Within Sequence",
        "encode_table6": "Triplets-Dynamic",
        "encode_table7": "KMeans",
    }
    for experiment, variant in same.items():
        assert one(experiment, variant).config == whole


@pytest.mark.parametrize(
    ("experiment", "variant"),
    [
        *(("encode_table2", look) for look in ("DIN", "DIN-L", "SIM hard", "UBR4CTR", "ENCODE")),
        ("encode_table4", "ETA-ENCODE"),
        ("encode_table7", "AGG."),
        ("encode_memory", "MIMN"),
    ],
)
def test_a_trial_measures_the_same_twice(experiment: str, variant: str) -> None:
    trial = one(experiment, variant)
    found, again = measure(trial), measure(trial)
    assert found == again
    assert 0.3 < found["AUC"] < 0.8
    assert ("RI" in found) == (variant not in ("DIN", "MIMN"))
    assert ("order kept" in found) == (variant in ("ENCODE", "AGG.", "ETA-ENCODE"))
    assert ("recall" in found) == (variant == "ETA-ENCODE")


def test_a_search_that_nobody_has_enough_events_for_has_no_recall() -> None:
    assert "recall" not in measure(one("encode_readings", "TWIN k = K"))


def test_the_reference_is_the_data_sets_own_din_l() -> None:
    trial, other = one("encode_readings", "K 1"), one("encode_table2", "DIN-L")
    assert encode_trials._referring(trial).config == other.config
    itself, mean = measure(other), measure(one("encode_table2", "AvgPooling"))
    assert 0 <= itself["KL"] < 0.05 < mean["KL"]  # its own weights, smoothed: as near as can be
    assert mean["RI"] == pytest.approx(mean["RI uniform"], abs=1e-5)
    assert itself["RI"] - itself["KL"] == pytest.approx(mean["RI"] - mean["KL"], abs=1e-5), "one entropy"


def test_every_look_has_a_network() -> None:
    data = data_of(one("encode_table2", "DIN"))
    for name in LOOKS:
        config = trials("encode_table2", TINY, [0], ["DIN"], look=name)[0].config
        model = network(data, config).eval()
        assert model(data.batch(torch.arange(5))).shape == (5,)


def test_impressions_that_share_a_sequence_are_chosen_together() -> None:
    data = data_of(one("encode_table2", "DIN"))
    part = data.parts["train"]
    chosen = some_shown(data, part, len(part) // 3)
    assert len(part) / 4 < len(chosen) < len(part) / 2.5
    assert torch.isin(chosen, part).all()
    assert (chosen.diff() > 0).all()
    everything = data.kind[part].bincount()
    picked = data.kind[chosen].bincount(minlength=len(everything))
    small = (everything > 0) & (everything <= encode_trials.TOGETHER)
    assert ((picked[small] == 0) | (picked[small] == everything[small])).all()
    assert torch.equal(some_shown(data, part, len(part)), part)


def test_clusters_in_training_are_those_of_the_last_run_of_the_offline_stage() -> None:
    trial = one("encode_table2", "ENCODE")
    data = data_of(trial)
    model = network(data, trial.config)
    stage = OfflineStage(model, data, 2)
    index = data.parts["train"][-20:]
    first = stage.batch(index)
    alone = data.batch(index)
    assert torch.equal(first.long.item[first.row], alone.long.item)
    by_hand = model.interest.clustered(model.life, alone.long)
    assert torch.equal(first.long.cluster[first.row], by_hand)
    with torch.no_grad():
        model.interest.reduction.weight.copy_(-model.interest.reduction.weight.flip(1).cumsum(0))
    assert torch.equal(stage.batch(index).long.cluster, first.long.cluster), "every second batch"
    after = stage.batch(index)
    assert torch.equal(after.long.cluster[after.row], model.interest.clustered(model.life, alone.long))


def test_what_is_clicked_close_together_lies_close_together() -> None:
    world = make_world("long", 0, users=60)
    data = LongData.of(world.interactions, short=50, long=500)
    with pytest.raises(ConfigError, match="nothing was clicked"):
        co_clicked(data, 16, norm=2.0, rows=0)
    table = co_clicked(data, 16, norm=2.0)
    assert table.shape == (data.sizes.items, 16)
    assert not table[0].any()
    last = data.rows[data.parts["train"]].max()
    log = world.interactions
    clicked = np.unique(log.item[: last + 1][log.label[: last + 1] == 1])
    assert table[clicked].norm(dim=1).mean().item() == pytest.approx(2, rel=0.05)
    x = torch.nn.functional.normalize(table[clicked], dim=1)
    near = (x @ x.T - 2 * torch.eye(len(x))).argmax(1).numpy()
    topic = world.items.topic[clicked]
    assert (topic[near] == topic).mean() > 0.5, "chance is 1 in 64"
    never = np.setdiff1d(np.arange(1, data.sizes.items), clicked)
    assert table[never].norm(dim=1).max() < 1


def test_item_vectors_know_nothing_of_the_clicks_that_are_trained_on(monkeypatch) -> None:
    """The network starts alike whatever is clicked from the first impression of training on."""
    monkeypatch.setattr(encode_trials, "train_encode", lambda *rest: None)
    trial = one("encode_table2", "DIN")
    data = data_of(trial)
    first = int(data.rows[data.parts["train"]].min())
    starts = []
    for changed in (len(data.log), first, first // 2):
        labels = data.log.label.copy()
        labels[changed:] = 1 - labels[changed:]
        other = replace(data, log=replace(data.log, label=labels))
        monkeypatch.setattr(encode_trials, "data_of", lambda trial, other=other: other)
        starts.append(trained(trial)[0].life.item.detach())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_only_a_loss_moves_the_projection() -> None:
    """Table 6's "None" is the random projection it starts as; W_h learns at a rate of its own."""
    moved = {}
    for variant, rate in (("None", 5.0), ("Triplets-Dynamic", 5.0), ("Triplets-Dynamic", 0.0)):
        trial = one("encode_table6", variant, projection_lr=rate)
        start = made(lambda trial=trial: network(data_of(trial), trial.config), 0)
        model, _ = trained(trial)
        ends = [one.interest.reduction.weight.detach() for one in (start, model)]
        moved[variant, rate] = not torch.equal(*ends)
    assert moved == {("None", 5.0): False, ("Triplets-Dynamic", 5.0): True, ("Triplets-Dynamic", 0.0): False}


def test_a_projection_that_keeps_everything_keeps_the_order() -> None:
    trial = one("encode_table2", "ENCODE", reduced=8)
    data = data_of(trial)
    model = network(data, trial.config)
    with torch.no_grad():
        model.interest.reduction.weight.copy_(torch.linalg.qr(torch.randn(8, 8))[0])
    found = order_kept(model, data)
    assert found["order kept"] > 0.999
    assert 0.6 < found["order kept SimHash"] < 0.95, "16 bits keep less than 8 numbers"
    assert found["rank correlation"] > 0.999
    with torch.no_grad():
        model.interest.reduction.weight[:, 1:] = 0  # one dimension is left
    assert order_kept(model, data)["order kept"] < 0.8


def test_agreement_is_that_of_scikit_learn() -> None:
    label = np.repeat([[0, 0, 1, 1, 2, -1]], 10, axis=1).reshape(1, -1)
    kind = label * 5 + 3
    assert rand_index(label, kind) == pytest.approx(1.0)
    assert rand_index(np.zeros_like(label), kind) == pytest.approx(0.0)
    assert rand_index(label[:, :20], kind[:, :20]) is None, "too few events"
    trial = one("encode_table2", "ENCODE", long=60, users=20)
    data = data_of(trial)
    model = network(data, trial.config)
    assert isinstance(model.interest, Encode)
    long = histories(data, 30)
    assert len(long.item) > 0
    label = model.interest.clustered(model.life, long).numpy()
    codes = np.arange(data.sizes.items)  # every item a kind of its own
    assert agreement(model, data, codes)["ARI"] == pytest.approx(rand_index(label, long.item.numpy()))
    assert len(histories(data, 10**6).item) == 0
    assert agreement(model, data, np.full(data.sizes.items, -1)) == {}


def test_kinds_are_topics_of_the_world() -> None:
    trial = one("encode_table2", "DIN", users=30)
    assert np.array_equal(item_kinds(trial), make_world("tiny", 0, users=30).items.topic)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"look": "LCN"}, "unknown look"),
        ({"colour": 1}, "unknown setting"),
        ({"start": "zero"}, "unknown start"),
        ({"clusters": 0}, "clusters must be a whole number"),
        ({"metric": "euclid"}, "unknown metric"),
        ({"dataset": "yelp"}, "unknown data set with settings for a whole history"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trials("encode_table2", **{"dataset": TINY, "seeds": [0], "variants": ["ENCODE"], **settings})


def test_real_data_has_no_knobs_and_unknown_names_are_refused(monkeypatch) -> None:
    with pytest.raises(ConfigError, match="knobs of the world"):
        trials("encode_table2", "ml-1m", [0], ["DIN"], users=5)
    with pytest.raises(ConfigError, match="unknown experiment"):
        trials("encode_table9")
    with pytest.raises(ConfigError, match="unknown variant"):
        trials("encode_table2", TINY, [0], ["LCN"])


def test_every_experiment_can_be_asked_for() -> None:
    for experiment, variants in EXPERIMENTS.items():
        assert len(trials(experiment, TINY, [0])) == len(variants)


def test_a_knob_at_its_usual_value_is_the_plain_trial() -> None:
    plain = trials("encode_life", TINY, [0], ["DIN"])
    assert trials("encode_life", TINY, [0], ["DIN"], interests=3, interest_longevity=1) == plain
    assert (
        trials("encode_life", TINY, [0], ["DIN"], interest_longevity=0)[0].config["interest_longevity"] == 0.0
    )
    with pytest.raises(ConfigError, match="interest_longevity must lie between 0 and 1"):
        trials("encode_life", TINY, [0], ["DIN"], interest_longevity=2)
