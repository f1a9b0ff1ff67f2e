"""LIFT from a log to predictions, on the tiny world: what is cut, asked, frozen, and the same twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.data.histories import Histories
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.errors import ConfigError, DataError
from workbench.lab.lift import (
    Recipe,
    choose_probes,
    encode,
    fresh_encoder,
    lift,
    masked_auc,
    pretrain,
)
from workbench.lab.lift_data import LIFTData, pretraining_windows
from workbench.lab.training import predict
from workbench.methods.lift_config import REMEDIES, LIFTConfig

LITERAL = LIFTConfig(length=8, k=3, width=2, size=8, heads=2, layers=1, probes=4)
REMEDIED = replace(LITERAL, **REMEDIES)
SHORT = Recipe(pretrain_epochs=1, epochs=1, batch=128)


@pytest.fixture(autouse=True)
def few_sequences(monkeypatch):
    monkeypatch.setattr("workbench.lab.lift.SEQUENCES", 50)


@pytest.fixture(scope="module")
def data() -> LIFTData:
    log = make_world("tiny", 0).interactions
    data = LIFTData.of(log, global_time_split(log), LITERAL)
    some = {part: samples.some(np.arange(0, len(samples), 4)) for part, samples in data.samples.items()}
    return replace(data, samples=some, windows=data.windows[:200])


def test_windows_for_pretraining_against_a_loop(data):
    log, end = data.log, data.split.retrieval.stop
    expected = []
    for user in np.unique(log.user[:end]):
        rows = np.flatnonzero(log.user[:end] == user)
        for at in range(0, len(rows), 8):
            if len(rows[at : at + 8]) >= 2:
                expected.append(
                    np.pad(rows[at : at + 8], (0, 8 - len(rows[at : at + 8])), constant_values=-1)
                )
    got = pretraining_windows(Histories.of(log, stop=end), 8)
    assert np.array_equal(got, np.array(expected))
    assert got.max() < end  # nothing beyond the retrieval set


@pytest.mark.parametrize("first", [0, 3, 7])
def test_wherever_the_cutting_begins_every_event_is_in_one_window_in_order(data, first):
    known = Histories.of(data.log, stop=data.split.retrieval.stop)
    windows = pretraining_windows(known, 8, first)
    rows = windows[windows >= 0]
    assert len(np.unique(rows)) == len(rows)
    lone = set(range(len(known))) - set(rows.tolist())
    place = known.place[list(lone)] - known.offsets[known.user[list(lone)]]
    count = np.diff(known.offsets)[known.user[list(lone)]]
    assert ((place == 0) | (place == count - 1)).all()  # only an event alone at either end is left out
    for window in windows:
        inside = window[window >= 0]
        assert len(np.unique(data.log.user[inside])) == 1
        assert (np.diff(known.place[inside]) == 1).all()


def test_pretraining_reaches_every_place_a_query_can_stand_at(data):
    start, (trained, _) = fresh_encoder(data, REMEDIED, 0), pretrain(data, REMEDIED, 0, SHORT)
    assert (start.place != trained.place).any(-1).all()


def test_values_the_retrieval_set_does_not_have_are_unknown_to_the_encoder(data):
    log = data.log
    item = log.item.copy()
    new = int(item[data.split.test.start])
    item[: data.split.retrieval.stop][item[: data.split.retrieval.stop] == new] = 1 + new % 3
    other = replace(log, columns={**log.columns, "item": item})
    encoder, _ = pretrain(LIFTData.of(other, data.split, LITERAL), LITERAL, 0, SHORT)
    assert not encoder.embedding(torch.tensor([[new] + [1] * (len(data.table.fields) - 1)]))[0, 0].any()


def test_a_window_of_one_event_is_refused(data):
    with pytest.raises(ConfigError, match="one event"):
        pretraining_windows(Histories.of(data.log), 1)


def test_the_user_is_not_read_unless_asked_for(data):
    assert "user" not in data.table.fields
    whole = LIFTData.of(data.log, data.split, LITERAL, fields=data.log.fields)
    assert whole.table.fields[0] == "user"


@pytest.mark.parametrize("config", [LITERAL, REMEDIED])
def test_encoding_beforehand_gives_what_encoding_each_context_gives(data, config):
    model, encoded, _ = lift(data, config, 0, SHORT)
    inside = predict(model, data.samples["test"])  # events: the encoder runs in the model
    np.testing.assert_allclose(predict(model, encoded["test"]), inside, atol=1e-6)


@pytest.mark.parametrize("start", ["pretrained", "joint", "history first", "random"])
def test_the_same_seed_gives_the_same_numbers_and_another_does_not(data, start):
    recipe = replace(SHORT, start=start)
    first, second, other = (
        predict(model, samples["test"])
        for seed in (3, 3, 4)
        for model, samples, _ in [lift(data, REMEDIED, seed, recipe)]
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("start", "pretrains", "moves"), [
    ("pretrained", True, False), ("random", False, False), ("joint", False, True),
    ("history first", False, True),
])  # fmt: skip
def test_who_is_trained_when(data, start, pretrains, moves):
    """Eq. 8: after pretraining ω is fixed; without it, both learn (ambiguity L9)."""
    drawn = fresh_encoder(data, REMEDIED, 0)
    pretrained, _ = pretrain(data, REMEDIED, 0, SHORT)
    model, *_ = lift(data, REMEDIED, 0, replace(SHORT, start=start))
    begin = pretrained if pretrains else drawn
    same = torch.equal(model.encoder.token.weight, begin.token.weight)
    assert same != moves
    assert not torch.equal(pretrained.token.weight, drawn.token.weight)


def test_probes_are_different_interactions_of_the_retrieval_set(data):
    encoder, _ = pretrain(data, REMEDIED, 0, SHORT)
    known = {tuple(row) for row in data.table.codes[: data.split.retrieval.stop].tolist()}
    probes = [tuple(row) for row in encoder.probes.tolist()]
    assert set(probes) <= known
    assert len(set(probes)) == REMEDIED.probes


def test_probes_are_taken_where_answers_differ_most():
    """Pivoted QR by hand: the candidate whose answers vary most comes first, its copy never second."""
    torch.manual_seed(0)
    log = make_world("tiny", 1).interactions
    data = LIFTData.of(log, global_time_split(log), REMEDIED)
    encoder = fresh_encoder(data, replace(REMEDIED, probes=2), 0).eval()

    def ask(events, queries):  # the answer is the item code, times how many events were clicked
        clicked = events.label.sum(-1)[:, None].float()
        return torch.where(
            queries[..., 0] % 2 == 0, queries[..., 0] * clicked, 1e-3 * events.there.sum(-1)[:, None]
        )

    encoder.ask, encoder.behaviour = ask, lambda answers: answers
    choose_probes(encoder, data, 0)
    first, second = encoder.probes[:, 0].tolist()
    even = data.log.item[data.log.item % 2 == 0]
    assert first % 2 == 0
    assert first >= np.quantile(even, 0.9)
    assert second % 2 == 1  # every other even item only repeats the first


def test_masked_auc_knows_a_perfect_and_an_ignorant_encoder(data):
    encoder = fresh_encoder(data, LITERAL, 0).eval()
    labels = {}

    def told(events, masked):
        labels["masked"] = events.label[masked]
        return torch.zeros(*masked.shape, 8)

    encoder.forward = told
    encoder.behaviour = lambda states: labels["masked"].float()
    assert masked_auc(encoder, data.table, data.windows) == 1.0
    encoder.behaviour = lambda states: torch.zeros(len(states))
    assert masked_auc(encoder, data.table, data.windows) == 0.5


def test_held_out_windows_are_not_trained_on(data):
    held = data.windows[:20]
    all_but, fitted = pretrain(data, LITERAL, 0, SHORT, held_out=held)
    small = replace(data, windows=data.windows[20:])
    same, _ = pretrain(small, LITERAL, 0, SHORT)
    assert torch.equal(all_but.token.weight, same.token.weight)
    assert 0 < fitted.best_score < 1


def test_an_interrupted_pretraining_goes_on_to_the_same_weights(data, tmp_path):
    recipe = replace(SHORT, pretrain_epochs=3)
    whole, _ = pretrain(data, LITERAL, 0, recipe)

    def interrupt(epoch, epochs, step, steps, history):
        if epoch == 2 and step == steps:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "encoder.safetensors"
    with pytest.raises(KeyboardInterrupt):
        pretrain(data, LITERAL, 0, recipe, checkpoint=checkpoint, on_progress=interrupt)
    resumed, fitted = pretrain(data, LITERAL, 0, recipe, checkpoint=checkpoint)
    assert len(fitted.history) == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_one_encoding_serves_several_parts_and_only_what_was_retrieved_is_encoded(data):
    encoder = fresh_encoder(data, LITERAL, 0).eval()
    encoded = encode(data, encoder, ("validation",))
    assert set(encoded) == {"validation"}
    near = data.samples["validation"].neighbours.unique()
    near = near[near >= 0].long()
    others = torch.ones(len(encoded["validation"].encoded_past), dtype=torch.bool)
    others[near] = False
    assert not encoded["validation"].encoded_past[others].any()
    assert encoded["validation"].encoded_past[near].abs().sum() > 0


def test_bad_settings_are_refused_before_any_work(data):
    with pytest.raises(ConfigError, match="start"):
        Recipe(start="later")
    for wrong in ({"epochs": 0}, {"pretrain_lr": -1.0}, {"batch": 1}, {"shift": "no"}, {"patience": True}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Recipe(**wrong)
    with pytest.raises(ConfigError, match="K must be"):
        LIFTData.of(data.log, data.split, replace(LITERAL, k=10**6))
    with pytest.raises(ConfigError, match="unknown field"):
        LIFTData.of(data.log, data.split, LITERAL, fields=("item", "colour"))
    blank = replace(data.log, label=np.ones_like(data.log.label))
    with pytest.raises(DataError, match="labels"):
        LIFTData.of(blank, data.split, LITERAL)
