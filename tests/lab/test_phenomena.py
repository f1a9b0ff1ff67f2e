import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.data.world import make_world
from workbench.lab.phenomena import (
    EFFECTS,
    ceiling,
    click_rate_by_place,
    interests_back,
    interests_shared,
    order_kept,
    sweep,
)


def test_click_rates_by_place_against_a_plain_count():
    world = make_world("small", 1, users=200)
    counts: dict[int, list[int]] = {1: [], 0: [], -1: []}
    for kind, v, label in zip(world.truth.kind, world.truth.v, world.interactions.label, strict=True):
        if kind == 2:
            counts[int(v)].append(int(label))
    found = click_rate_by_place(world)
    assert found == pytest.approx(
        {"ready": np.mean(counts[1]), "neutral": np.mean(counts[0]), "passed": np.mean(counts[-1])}
    )
    assert found["ready"] > 0.85 > 0.65 > found["neutral"] > 0.45 > 0.2 > found["passed"]


def test_without_succession_the_place_makes_no_difference():
    rates = click_rate_by_place(make_world("small", 1, succession=0)).values()
    assert max(rates) - min(rates) < 0.03


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_order_kept_against_scipy(noise):
    """The pooled correlation equals the correlation of within-session ranks, centred per session."""
    world = make_world("tiny", 2, order_noise=noise)
    log, truth = world.interactions, world.truth
    logged, caused = [], []
    for user in np.unique(log.user):
        for session in np.unique(truth.session[log.user == user]):
            rows = np.flatnonzero((log.user == user) & (truth.session == session))
            rank = np.argsort(np.argsort(truth.causal_rank[rows])).astype(float)
            logged.append(np.arange(len(rows)) - (len(rows) - 1) / 2)
            caused.append(rank - rank.mean())
            if noise == 0 and len(rows) > 1:
                assert spearmanr(np.arange(len(rows)), rank).statistic == pytest.approx(1)
    expected = np.corrcoef(np.concatenate(logged), np.concatenate(caused))[0, 1]
    assert order_kept(world)["rank correlation"] == pytest.approx(expected)
    if noise == 1:
        assert abs(expected) < 0.1


def test_interests_never_return_at_longevity_0_and_mostly_do_at_1():
    assert interests_back(make_world("long", 0, users=30, interest_longevity=0))["come back"] == 0
    assert interests_back(make_world("long", 0, users=30))["come back"] > 0.6


def test_domain_overlap_by_hand():
    world = make_world("two_domain", 0, users=50, events=10, source_events=10, domain_overlap=0.5)
    share = [
        np.mean([topic in target for topic in source])
        for target, source in zip(
            world.users.interests[1:].tolist(), world.users.source_interests[1:].tolist(), strict=True
        )
    ]
    assert interests_shared(world)["shared"] == pytest.approx(np.mean(share))
    assert interests_shared(make_world("two_domain", 0, users=50, events=10))["shared"] == 1


def test_label_noise_lowers_the_ceiling():
    clean, half, full = (
        ceiling(make_world("small", 0, users=200, label_noise=noise))["best reachable AUC"]
        for noise in (0, 0.5, 1)
    )
    assert clean > half + 0.05
    assert half > full + 0.05


def test_sweep_has_a_row_for_every_number():
    swept = sweep(values=(0, 1), seeds=(0,))
    assert set(swept["knob"]) == set(EFFECTS)
    assert len(swept) == 2 * (3 + 1 + 1 + 1 + 1)
    assert swept["number"].notna().all()
