"""The widget of lesson 08, knob by knob."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.data.world import make_world
from workbench.lab.clusters import last_moments
from workbench.lab.item_vectors import co_clicked
from workbench.lab.lift import made
from workbench.lab.long_samples import LongData
from workbench.methods.encode import Encode, EncodeConfig
from workbench.methods.long_history import Behaviours, LongHistory
from workbench.show.encode import CLUSTERS, interest_explorer
from workbench.show.explorer import Explorer

WORLD = make_world("lifelong", 0, users=8, events=300)
DATA = LongData.of(WORLD.interactions, short=10, long=100)
LONG = DATA.batch(last_moments(DATA, 30)[:3]).long
WIDTH = 8
ITEMS = co_clicked(DATA, WIDTH, norm=1.0)
ASKED: list[tuple[int, str]] = []


def model(m: int, loss: str) -> LongHistory:
    ASKED.append((m, loss))
    config = EncodeConfig(reduced=m)
    found = made(
        lambda: LongHistory(DATA.sizes, lambda life: Encode(life, config), width=WIDTH, domains=1), m
    )
    with torch.no_grad():
        found.life.item.copy_(ITEMS)
        if m == WIDTH:
            found.interest.reduction.weight.copy_(torch.eye(WIDTH))
    return found


@pytest.fixture
def page() -> Explorer:
    ASKED.clear()
    places = [
        np.random.default_rng(user).normal(size=(int(n), 2)) for user, n in enumerate(LONG.there.sum(1))
    ]
    topic = WORLD.items.topic
    return interest_explorer(
        model, lambda m, loss: 0.5 + m / 100, LONG, places, topic, [f"topic {t}" for t in range(64)],
        reduced=(4, 2, WIDTH), clusters=8, planted=16, seed=0, small_print="small",
    )  # fmt: skip


def told(page: Explorer) -> str:
    return page._numbers.value


def test_every_knob_changes_the_picture(page: Explorer) -> None:
    assert page.values == {"user": 1, "clusters": 8, "reduced": 4, "loss": "dynamic", "algorithm": "kmeans"}
    assert "<b>8</b> of 8 clusters used" in told(page)
    assert "kept in <b>54%</b> of triplets" in told(page)
    seen = {page.picture}
    for name, value in (("clusters", 20), ("reduced", 2), ("algorithm", "random"), ("user", 2)):
        page.knobs[name].value = value
        assert page.picture not in seen, name
        seen.add(page.picture)
    assert ASKED == [(4, "dynamic"), (2, "dynamic"), (2, "dynamic")]  # once for each user


def test_without_a_reduction_no_loss_is_asked_for(page: Explorer) -> None:
    page.knobs["reduced"].value = WIDTH
    before = told(page)
    assert ASKED[-1] == (WIDTH, "none")
    page.knobs["loss"].value = "mse"
    assert ASKED[-1] == (WIDTH, "none")
    assert before.split("(ARI)")[1].split("answered")[0] == told(page).split("(ARI)")[1].split("answered")[0]


def test_real_clusters_agree_better_than_drawn_ones(page: Explorer) -> None:
    def agreement() -> float:
        return float(told(page).split("(ARI) <b>")[1].split("<")[0])

    page.knobs["reduced"].value = WIDTH
    found = agreement()
    page.knobs["algorithm"].value = "random"
    assert found > 0.1 > abs(agreement())


def test_what_was_worked_out_is_kept(page: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("workbench.show.encode.cluster", lambda *_: calls.append(1) or pytest.fail("again"))
    page.knobs["clusters"].value = CLUSTERS[4]
    page.knobs["clusters"].value = 8
    assert not calls


def test_kinds_that_nobody_knows_are_not_named() -> None:
    long = Behaviours(LONG.item[:1], LONG.context[:1])
    places = [np.zeros((int(long.there.sum()), 2)) + np.arange(int(long.there.sum()))[:, None]]
    page = interest_explorer(
        model, lambda m, loss: 0.6, long, places, np.full(len(ITEMS), -1), [], reduced=(4, WIDTH), clusters=8,
        planted=None, seed=0, small_print="small",
    )  # fmt: skip
    assert "(ARI) <b>nan</b>" in told(page)
