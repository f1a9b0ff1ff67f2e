"""The widgets of lessons 06 and 07, knob by knob."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.data.world import make_world
from workbench.lab.lift import made
from workbench.lab.long_samples import LongData
from workbench.methods.lcn import Pyramid, PyramidConfig
from workbench.methods.long_history import LongHistory
from workbench.show.lcn import alignment_trainer, pyramid_explorer

WORLD = make_world("tiny_two_domain", 0)


def test_run_trains_with_the_knobs_and_puts_the_model_on_the_map() -> None:
    asked = []

    def train(weight, tau, negatives, on_progress, stop):
        asked.append((weight, tau, negatives))
        return 0.65, 0.5

    page = alignment_trainer(
        np.linspace(-1, 1, 4096), train, {(0.1, 0.1, 4096): (0.7, 0.8)}, [("clicks alone", 0.6, 0.1)],
        chance=0.125, small_print="tiny",
    )  # fmt: skip
    seen = page.explorer.picture
    for name, value in (("tau", 0.5), ("negatives", 64), ("weight", 1.0)):
        page.explorer.knobs[name].value = value
    assert page.explorer.picture != seen
    assert "64 negative pairs" in page.explorer._numbers.value
    page.run()
    assert page.wait(30)
    assert asked == [(1.0, 0.5, 64)]
    assert page.results[1.0, 0.5, 64] == (0.65, 0.5)
    assert "λ 1, τ 0.5, M 64: AUC <b>0.650</b>" in page._numbers.value


@pytest.fixture(scope="module")
def data() -> LongData:
    return LongData.of(WORLD.interactions, short=5, long=40)


def test_the_pyramid_keeps_as_many_events_as_asked_and_its_config_is_as_before(data: LongData) -> None:
    config = PyramidConfig(k1=10, k2=3)
    model = made(lambda: LongHistory(data.sizes, lambda life: Pyramid(life, config), width=8), 0)
    asked = data.parts["test"][data.events[data.parts["test"]] > 20][:6]
    names = [f"topic {topic}" for topic in WORLD.items.topic]
    page = pyramid_explorer({"LCN": model}, data, asked, WORLD.items.topic, names, 5, "tiny", 20, 5)
    assert model.interest.config is config
    first, told = page.picture, page._numbers.value
    for knob, value in (("k1", 4), ("k2", 2), ("candidate", 3)):
        page.knobs[knob].value = value
        assert page.picture != first, knob
        first = page.picture
    assert page._numbers.value != told
    page.knobs["k2"].value = 9  # more than K1: the median scope lets as many through
    assert "consistency over 6 candidates" in page._numbers.value
    assert model.interest.config is config


def test_a_picture_that_fails_leaves_the_model_as_it_was(data: LongData, monkeypatch) -> None:
    config = PyramidConfig(k1=10, k2=3)
    model = made(lambda: LongHistory(data.sizes, lambda life: Pyramid(life, config), width=8), 0)
    asked = data.parts["test"][:2]
    monkeypatch.setattr(LongHistory, "forward", lambda *_, **__: torch.zeros(1) / "nothing")
    with pytest.raises(TypeError):
        pyramid_explorer({"LCN": model}, data, asked, WORLD.items.topic, WORLD.items.topic, 5, "tiny", 20, 5)
    assert model.interest.config is config
