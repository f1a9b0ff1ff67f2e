"""The widget of lesson 09, knob by knob."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from workbench.lab import encode_trials
from workbench.lab.lift import made
from workbench.lab.long_samples import LongData, spread
from workbench.methods.encode import Encode
from workbench.methods.long_history import LongHistory
from workbench.show.encode_online import looks, online_explorer, seen
from workbench.show.explorer import Explorer

TRIAL = encode_trials.trials("encode_table2", "world:tiny", [0], ["ENCODE"], beta=5.0)[0]
CONFIG = encode_trials.encode_config(TRIAL.config)
KINDS = encode_trials.item_kinds(TRIAL)


@pytest.fixture(scope="module")
def data() -> LongData:
    return encode_trials.data_of(TRIAL)


@pytest.fixture(scope="module")
def model(data: LongData) -> LongHistory:
    return made(lambda: encode_trials.network(data, TRIAL.config), 0).eval()


@pytest.fixture
def page(data: LongData, model: LongHistory) -> Explorer:
    asked = spread(data.parts["test"][data.events[data.parts["test"]] > 15], 6)
    names = [f"topic {kind}" for kind in KINDS]
    return online_explorer(model, data, asked, KINDS, names, CONFIG, 5, "tiny")


def test_four_looks_are_one_users_four_views(data: LongData, model: LongHistory) -> None:
    sample = data.batch(data.parts["test"][-4:])
    query = model.life.items(sample.target[:, 0])
    found = looks(model.life, model.interest.reduction, CONFIG, 5)
    assert list(found) == ["DIN-L", "ENCODE", "TWIN", "AvgPooling"]
    for name, look in found.items():
        vector, weights = seen(look, model.life, query, sample.long)
        assert vector.shape == query.shape
        assert torch.allclose(weights.sum(1), torch.ones(4)), name
        assert not (weights * ~sample.long.there).any(), name
        pooled = model.life.pooled(weights, sample.long.item)
        assert torch.allclose(pooled, vector, atol=1e-5), name
    weights = seen(found["TWIN"], model.life, query, sample.long)[1]
    assert ((weights > 0).sum(1) <= 5).all()


def test_encode_has_the_reduction_that_it_was_given(model: LongHistory) -> None:
    look = looks(model.life, model.interest.reduction, CONFIG, 5)["ENCODE"]
    assert isinstance(look, Encode)
    assert look.reduction is model.interest.reduction


def test_every_knob_changes_the_picture_and_the_model_stays(page: Explorer, model: LongHistory) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = page.picture
    for knob, value in (("clusters", 2), ("beta", 40.0), ("k", 2), ("metric", "dot"), ("candidate", 3)):
        page.knobs[knob].value = value
        assert page.picture != first, knob
        first = page.picture
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.interest.config == CONFIG


def numbers(page: Explorer) -> dict[str, tuple[float, float]]:
    """Look -> its vector's cosine to the candidate, and its RI."""
    found = re.findall(
        r"([\w-]+): cosine to the candidate <b>(-?[\d.]+)</b>, RI <b>([\d.]+)</b>", page._numbers.value
    )
    return {name: (float(cosine), float(ri)) for name, cosine, ri in found}


def test_with_one_cluster_and_flat_attention_encode_is_uniform(page: Explorer) -> None:
    page.knobs["beta"].value = 0.05
    page.knobs["clusters"].value = 1
    uniform = float(re.search(r"uniform weights: ([\d.]+)", page._numbers.value)[1])
    assert np.isclose(numbers(page)["ENCODE"][1], uniform, atol=0.011)
    assert numbers(page)["TWIN"][1] > uniform  # it leaves events out


def test_sharper_attention_brings_the_vector_to_the_candidate(page: Explorer) -> None:
    page.knobs["beta"].value = 1.0
    flat = numbers(page)
    page.knobs["beta"].value = 40.0
    sharp = numbers(page)
    assert sharp["DIN-L"][0] > flat["DIN-L"][0]
