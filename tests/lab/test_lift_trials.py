"""LIFT's experiments: complete configurations, refused nonsense, numbers about the right rows."""

import math

import pytest

from workbench.errors import ConfigError
from workbench.lab import lift_trials
from workbench.lab.experiments import sweep
from workbench.lab.lift_trials import EXPERIMENTS, measure, trials, typed
from workbench.lab.store import Store

FAST = {"size": 8, "heads": 2, "layers": 1, "width": 2, "probes": 4, "pretrain_epochs": 1, "epochs": 1}


@pytest.fixture(autouse=True)
def encoders_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("workbench.lab.lift.SEQUENCES", 50)
    (tmp_path / "notebooks").mkdir()
    for cached in (lift_trials._log, lift_trials._about, lift_trials._data, lift_trials._encoded):
        cached.cache_clear()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_trial_is_complete_and_different(experiment):
    asked = trials(experiment, "world:tiny", range(2))
    assert len({trial.key(experiment) for trial in asked}) == 2 * len(EXPERIMENTS[experiment])
    for trial in asked:
        assert {"model", "length", "k", "start", "epochs", "succession", "targets"} <= set(trial.config)


def test_all_variants_of_a_seed_come_before_the_next_seed():
    """They share the data and mostly an encoder, of which no more than two are held."""
    asked = trials("lift_contexts", "world:tiny", [3, 1])
    assert [(t.seed, t.variant) for t in asked] == [
        (seed, variant) for seed in (3, 1) for variant in EXPERIMENTS["lift_contexts"]
    ]


def test_a_world_is_made_once_to_ask_about_it(monkeypatch):
    made, real = [], lift_trials._log

    def counted(dataset, seed, *drawn):
        made.append(seed)
        return real(dataset, seed, *drawn)

    monkeypatch.setattr(lift_trials, "_log", counted)
    first = [trials("lift_contexts", "world:tiny", range(3)) for _ in range(2)]
    assert made == [0, 1, 2]
    assert first[0] == first[1]


def test_what_is_given_holds_for_how_every_variant_trains():
    given = {"epochs": 1, "batch": 64, "lr": 0.1, "patience": 1}
    assert all(
        given.items() <= trial.config.items() for trial in trials("lift_table2", "world:tiny", [0], **given)
    )


def test_what_makes_a_variant_cannot_be_given_otherwise():
    with pytest.raises(ConfigError, match="'no context' has context = 'none'"):
        trials("lift_contexts", "world:tiny", [0], context="history")
    (same,) = typed("lift_contexts", "world:tiny", "0", "history", ["context=history"])
    assert same == trials("lift_contexts", "world:tiny", [0])[1]
    assert [
        t.config["length"] for t in typed("lift_fig7", "world:tiny", "0", "K = 2,K = 1", ["length=4"])
    ] == [4, 4]
    with pytest.raises(ConfigError, match="'L = 5' has length = 5"):
        trials("lift_fig7", "world:tiny", [0], length=4)


READINGS = {"idf": "lucene", "same_user": True, "freeze": True, "fields": ["item", "user"]}


def test_a_reading_of_the_paper_is_asked_for_only_where_it_is_not_the_usual_one():
    """Results of before it could be asked for are found again."""
    usual = {"idf": "clipped", "same_user": False, "freeze": False, "fields": None}
    plain = trials("lift_contexts", "world:tiny", [0])
    assert trials("lift_contexts", "world:tiny", [0], **usual) == plain
    assert not usual.keys() & plain[0].config.keys()
    for name, value in READINGS.items():
        other = trials("lift_contexts", "world:tiny", [0], **{name: value})
        assert other[0].config == {**plain[0].config, name: value}
        assert other[0].key("lift_contexts") != plain[0].key("lift_contexts")


def test_readings_reach_the_data():
    def data(**given):
        trial = trials("lift_remedies", "world:tiny", [0], variants=["literal"], **given)[0]
        return lift_trials._data("world:tiny", 0, *lift_trials._key(trial.config))

    def own(data):
        """Whose rows are retrieved: share of the target's user."""
        test = data.samples["test"]
        there = test.neighbours >= 0
        user = data.log.user
        same = user[test.neighbours] == user[test.rows][:, None]
        return same[there.numpy()].mean()

    plain = data()
    assert own(plain) == 0 < own(data(same_user=True))
    assert not plain.samples["test"].neighbours.equal(data(idf="lucene").samples["test"].neighbours)
    assert plain.samples["test"].history[:].max() >= plain.split.test.start
    assert data(freeze=True).samples["test"].history[:].max() < plain.split.test.start
    assert data(fields=["item", "user"]).table.fields == ("item", "user")


@pytest.mark.parametrize("variant", ["LIFT literal", "DIN"])
def test_readings_change_what_is_measured_and_do_not_share_an_encoder(variant):
    found = []
    for given in ({}, {"freeze": True}, {"fields": ["item"]}):
        (trial,) = trials("lift_table2", "world:tiny", [0], [variant], **FAST, **given)
        found.append(measure(trial)["auc"])
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lift_table9", "world:tiny", "0", None, []), "unknown experiment"),
        (("lift_contexts", "netflix", "0", None, []), "unknown data set"),
        (("lift_contexts", "world:tiny", "0..4", None, []), "seeds are"),
        (("lift_contexts", "world:tiny", "0", "past", []), "unknown variant"),
        (("lift_contexts", "world:tiny", "0", None, ["succession"]), "a setting is"),
        (("lift_contexts", "world:tiny", "0", None, ["colour=1"]), "unknown setting"),
        (("lift_contexts", "world:tiny", "0", None, ["mask_ratio=0"]), "mask_ratio"),
        (("lift_contexts", "world:tiny", "0", None, ["start=later"]), "start"),
        (("lift_contexts", "world:tiny", "0", None, ["idf=best"]), "unknown IDF rule"),
        (("lift_contexts", "world:tiny", "0", None, ["same_user=yes"]), "same_user is True or False"),
        (("lift_contexts", "world:tiny", "0", None, ["freeze=2"]), "freeze is True or False"),
        (("lift_contexts", "world:tiny", "0", None, ["fields=item"]), "fields is a list"),
        (("lift_contexts", "world:tiny", "0", None, ['fields=["item","item"]']), "fields is a list"),
        (("lift_contexts", "world:tiny", "0", None, ['fields=["colour"]']), "unknown field 'colour'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(words, message):
    with pytest.raises(ConfigError, match=message):
        typed(*words)


def test_typed_settings_are_numbers_where_they_look_like_it():
    asked = typed("lift_contexts", "world:tiny", "1-2", "history,future", ["succession=0", "size=8"])
    assert [(t.variant, t.seed) for t in asked] == [
        ("history", 1),
        ("future", 1),
        ("history", 2),
        ("future", 2),
    ]
    assert all(t.config["succession"] == 0.0 and t.config["size"] == 8 for t in asked)


def test_the_knob_reaches_the_world():
    on, off = (trials("lift_contexts", "world:tiny", [0], succession=s)[0] for s in (1, 0))
    assert on.fingerprint != off.fingerprint


def test_a_sweep_measures_each_once_and_below_the_ceiling(tmp_path, monkeypatch):
    store, calls = Store(tmp_path / "results"), []

    def counted(trial):
        calls.append(trial.variant)
        return measure(trial)

    asked = [t for t in trials("lift_contexts", "world:tiny", [0], **FAST) if "2L" not in t.variant]
    found = sweep("lift_contexts", asked, counted, store)
    assert calls == ["no context", "history", "future", "future and history"]
    again = sweep("lift_contexts", asked, counted, store)
    assert len(calls) == 4
    assert found["auc"].tolist() == again["auc"].tolist()
    assert found["ceiling"].nunique() == 1
    assert (found["auc"] < found["ceiling"]).all()
    assert found["auc"].nunique() == 4


@pytest.mark.parametrize("name", ["GBDT", "RIM", "DIN", "UBR", "BERT4Rec"])
def test_compared_systems_are_measured_on_the_same_rows(name):
    lift, other = (
        next(t for t in trials("lift_table2", "world:tiny", [0], **FAST) if t.variant == who)
        for who in ("LIFT literal", name)
    )
    ours, theirs = measure(lift), measure(other)
    assert ours["ceiling"] == theirs["ceiling"]
    assert 0.3 < theirs["auc"] < 0.8
    assert all(map(math.isfinite, theirs.values()))


def test_fewer_targets_are_the_same_for_every_seed():
    lift_trials._data.cache_clear()
    few = lift_trials._data("world:tiny", 0, 1.0, 3, 8, 100)
    assert [len(few.samples[part]) for part in ("train", "validation", "test")] == [100, 25, 100]
    again = lift_trials._data.__wrapped__("world:tiny", 0, 1.0, 5, 4, 100)
    assert few.samples["test"].rows.tolist() == again.samples["test"].rows.tolist()


def test_a_name_with_a_comma_in_it_can_be_asked_for():
    asked = typed("lift_remedies", "world:tiny", "0", "literal,literal, no context", [])
    assert [trial.variant for trial in asked] == ["literal", "literal, no context"]
