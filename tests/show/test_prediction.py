"""The widgets of lesson 04 say what the model says, for the contexts that are asked for and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from elsewhere import FAR, Elsewhere

from workbench.data import item_names
from workbench.data.splits import global_time_split
from workbench.data.world import make_world
from workbench.lab.contexts import Retriever
from workbench.lab.lift import Recipe, encode, fresh_encoder, train_predictor
from workbench.lab.lift_data import LIFTData
from workbench.lab.training import predict
from workbench.methods.layers import masked_softmax
from workbench.methods.lift import LIFT
from workbench.methods.lift_config import REMEDIES, LIFTConfig
from workbench.show.prediction import (
    BOTH,
    FUTURE,
    HISTORY,
    NEITHER,
    Questions,
    prediction_explorer,
    predictor_trainer,
    spread,
)

K, L = 4, 6
CONFIG = replace(
    LIFTConfig(k=K, length=L, size=8, heads=2, layers=1, probes=4, width=2, hidden=(8,)), **REMEDIES
)
RECIPE = Recipe(epochs=1, lr=1e-2)


@pytest.fixture(scope="module")
def lesson():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would only wait for each other here
    log = make_world("tiny", seed=1).interactions
    split = global_time_split(log)
    data = LIFTData.of(log, split, CONFIG)
    encoder = fresh_encoder(data, CONFIG, 0).eval()
    samples = encode(data, encoder)
    model, _ = train_predictor(samples, encoder, CONFIG, 0, RECIPE)
    with torch.no_grad():  # so that attention differs between neighbours
        model.predictor.W.mul_(20)
    retriever = Retriever(log, split, data.table.fields)
    yield log, samples, encoder, model, Questions(model, retriever, samples["test"].some(np.arange(8)))
    torch.set_num_threads(threads)


def test_an_answer_is_the_models_prediction_from_the_store(lesson):
    _, samples, _, model, questions = lesson
    stored = predict(model, samples["test"].some(np.arange(8)))
    for target in range(8):
        assert questions.ask(target, K, L, BOTH)[0] == pytest.approx(stored[target], abs=1e-5)


def test_k_cuts_the_neighbours_and_l_the_windows(lesson):
    _, samples, _, model, questions = lesson
    few = samples["test"].some(np.arange(8))
    few = replace(few, neighbours=few.neighbours[:, :2])
    assert questions.ask(3, 2, L, BOTH)[0] == pytest.approx(predict(model, few)[3], abs=1e-5)
    assert len(questions.ask(3, 2, L, BOTH)[1]) == 2
    assert questions.ask(3, K, 2, BOTH)[0] != questions.ask(3, K, L, BOTH)[0]


@pytest.mark.parametrize(
    ("reads", "emptied"),
    [(HISTORY, ("future",)), (FUTURE, ("past",)), (NEITHER, ("past", "future"))],
)
def test_a_part_that_is_not_read_is_the_empty_sequence(lesson, reads, emptied):
    _, samples, _, model, questions = lesson
    some = samples["test"].some(np.arange(8))
    zero = {part: torch.zeros_like(getattr(some, f"encoded_{part}")) for part in emptied}
    expected = predict(model, some.encoded(**zero))
    for target in range(8):
        assert questions.ask(target, K, L, reads)[0] == pytest.approx(expected[target], abs=1e-5)


def test_attention_is_the_models_own_and_sharpened_by_its_scores(lesson):
    _, samples, _, model, questions = lesson
    some = samples["test"].some(np.arange(8))
    with torch.no_grad():
        own = model(some.batch(torch.arange(8), model.needs), return_weights=True)[1]
    before = model.predictor.W.clone()
    torch.testing.assert_close(questions.attention(K), own)
    torch.testing.assert_close(questions.ask(5, K, L, NEITHER)[1], own[5])
    there = some.neighbours >= 0
    torch.testing.assert_close(questions.attention(K, 2.0), masked_softmax(2 * own.log(), there))
    equal = there / there.sum(-1, keepdim=True)
    torch.testing.assert_close(questions.attention(K, 0.0), equal.float())
    assert torch.equal(model.predictor.W, before), "asking changed the model"


def test_the_explorer_shows_the_probability_and_only_what_is_read(lesson):
    log, _, _, _, questions = lesson
    explorer = prediction_explorer(questions, item_names("world:tiny", log), k=K, length=L)
    said = explorer._numbers.value
    assert f"<b>K = {K}, L = {L}, reading {BOTH}</b>" in said
    assert f"probability <b>{questions.ask(0, K, L, BOTH)[0]:.2f}</b>" in said
    assert "in truth" not in said
    assert ("it was a click" if log.label[questions.rows[0]] else "it was no click") in said
    figure, _ = explorer.draw(**{**explorer.values, "reads": FUTURE})
    # Only the target's own past is left on the left side.
    for marks in figure.axes[0].lines:
        places, heights = (np.asarray(part) for part in marks.get_data())
        assert not ((places < 0) & (heights > 0)).any()
    explorer.knobs["reads"].value = NEITHER
    alone = questions.ask(0, K, L, NEITHER)[0]
    assert f"probability <b>{alone:.2f}</b> · without contexts {alone:.2f}" in explorer._numbers.value


def test_a_model_on_another_device_answers_too(lesson):
    log, _, _, _, here = lesson
    with Elsewhere():
        data = LIFTData.of(log, global_time_split(log), CONFIG, device=FAR)
        encoder = fresh_encoder(data, CONFIG, 0).eval()
        model = LIFT(data.table.sizes, CONFIG, encoder).to(FAR).eval()
        few = replace(data, samples={"test": data.samples["test"].some(np.arange(8))})
        questions = Questions(model, here.retriever, encode(few, encoder, ("test",))["test"])
        explorer = prediction_explorer(questions, item_names("world:tiny", log), k=K, length=L)
    assert "clicks with probability" in explorer._numbers.value


def test_the_truth_is_told_where_it_is_known(lesson):
    log, _, _, _, questions = lesson
    truth = np.linspace(0, 1, len(log))
    explorer = prediction_explorer(questions, item_names("world:tiny", log), k=K, length=L, truth=truth)
    explorer.knobs["target"].value = 3
    assert f"in truth {truth[questions.rows[2]]:.2f}" in explorer._numbers.value


def test_spread_counts_equal_shares():
    assert spread(torch.full((5,), 0.2)) == pytest.approx(5)
    assert spread(torch.tensor([1.0, 0.0])) == pytest.approx(1)
    assert spread(torch.zeros(3)) == 0


def test_the_trainer_trains_what_its_switches_say_and_remembers_its_own(lesson):
    log, samples, encoder, model, _ = lesson
    label = log.label[samples["test"].rows.numpy()]
    asked = []

    def score(probability):
        asked.append(probability)
        return float(probability[label == 1].mean()), np.nan

    trainer = predictor_trainer(samples, encoder, CONFIG, RECIPE, 0, score, model)
    assert list(trainer.results) == [("split", True, "key", "both")]
    trainer.explorer.knobs["neighbor_label"].value = "none"
    trainer.explorer.knobs["match"].value = False
    trainer.run()
    assert trainer.wait(30)
    assert trainer.error is None
    assert list(trainer.results)[1] == ("none", False, "key", "both")
    literal, _ = train_predictor(
        samples, encoder, replace(CONFIG, neighbor_label="none", match=False), 0, RECIPE
    )
    np.testing.assert_array_equal(asked[-1], predict(literal, samples["test"]))
