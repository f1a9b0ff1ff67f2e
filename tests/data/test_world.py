"""The embedded world: its draws, its mechanics against independent formulas."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from workbench.data import world as world_module
from workbench.data import world_kernel
from workbench.data.world import make_world
from workbench.data.world_config import configure
from workbench.data.world_entities import draw_items, draw_users

TASTE, SIGN, STEP = range(3)


def arrays(world):
    """Every array of a world under a name."""
    data = world.interactions
    found = {**data.columns, "timestamp": data.timestamp, "label": data.label}
    for part in ("truth", "items", "users"):
        table = getattr(world, part)
        found |= {f"{part}.{field.name}": getattr(table, field.name) for field in fields(table)}
    return found


def by_cause(world):
    """Arrays of a one-domain world with its rows in causal order: by user, then by causal rank."""
    found = arrays(world)
    order = np.lexsort((found["truth.causal_rank"], found["user"]))
    return {name: a[order] for name, a in found.items() if not name.startswith(("items.", "users."))}


def differing(one, other):
    """Names of the arrays that are not the same, byte for byte."""
    return {n for n in one if one[n].dtype != other[n].dtype or one[n].tobytes() != other[n].tobytes()}


# --- draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["tiny", "two_domain"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(preset):
    first, again, other = (arrays(make_world(preset, seed, users=60)) for seed in (3, 3, 4))
    assert not differing(first, again)
    drawn = {"item", "brand", "city", "timestamp", "label", "truth.p_star", "users.interests", "items.topic"}
    assert drawn <= differing(first, other)


def test_order_noise_moves_events_between_the_times_of_their_session_and_nothing_else():
    still, shuffled = make_world("small", 1, users=100), make_world("small", 1, users=100, order_noise=1)
    assert differing(by_cause(still), by_cause(shuffled)) == {"timestamp"}
    hidden = [
        {n: a for n, a in arrays(w).items() if n.startswith(("items.", "users."))} for w in (still, shuffled)
    ]
    assert not differing(*hidden)
    a, b = by_cause(still), by_cause(shuffled)
    session = a["user"].astype(np.int64) * 1000 + a["truth.session"]
    times = [part["timestamp"][np.lexsort((part["timestamp"], session))] for part in (a, b)]
    np.testing.assert_array_equal(*times)


def test_label_noise_changes_labels_and_their_probability_only():
    clean, noisy = arrays(make_world("tiny", 1)), arrays(make_world("tiny", 1, label_noise=0.6))
    assert differing(clean, noisy) == {"label", "truth.p_star"}
    np.testing.assert_allclose(noisy["truth.p_star"], 0.7 * clean["truth.p_star"] + 0.15)
    np.testing.assert_array_equal(clean["label"], clean["truth.clean_click"])


def test_longevity_leaves_clocks_kinds_signs_and_steps_alone():
    long, short = by_cause(make_world("small", 1)), by_cause(make_world("small", 1, interest_longevity=0))
    assert not differing(long, short) & {"user", "timestamp", "truth.kind", "truth.need", "truth.v"}
    apart = long["truth.kind"] != TASTE
    others = [{n: a[apart] for n, a in part.items()} for part in (long, short)]
    assert not differing(*others)
    assert {"item", "truth.alive"} <= differing(long, short)


def test_succession_leaves_clocks_kinds_and_tastes_alone():
    on, off = by_cause(make_world("small", 1)), by_cause(make_world("small", 1, succession=0))
    assert not differing(on, off) & {"user", "timestamp", "truth.kind", "truth.session"}
    taste = on["truth.kind"] == TASTE
    assert differing(*({n: a[taste] for n, a in part.items()} for part in (on, off))) == {"truth.need"}
    assert {"item", "truth.need"} <= differing(on, off)


def test_overlap_changes_the_source_domain_only():
    one, other = (arrays(make_world("two_domain", 1, users=50, domain_overlap=o)) for o in (1, 0))
    hidden = {n for n in one if n.startswith(("items.", "users."))}
    assert differing({n: one[n] for n in hidden}, {n: other[n] for n in hidden}) == {"users.source_interests"}
    rows = [n for n in one if n not in hidden]
    target = one["domain"] == 1
    assert not differing(*({n: part[n][target] for n in rows} for part in (one, other)))
    np.testing.assert_array_equal(one["timestamp"], other["timestamp"])
    assert "item" in differing(one, other)


def test_overlap_keeps_the_right_share_of_interests():
    for overlap in (1, 0.5, 0):
        world = make_world("two_domain", 0, users=2000, events=10, source_events=10, domain_overlap=overlap)
        kept = (world.users.interests == world.users.source_interests)[1:].mean()
        expected = overlap + (1 - overlap) / 16
        assert abs(kept - expected) <= 0.02 * (overlap < 1)


# --- entities ------------------------------------------------------------------------------------


def test_items_sit_in_balanced_places_and_steps_follow_rings_of_all_needs():
    world = make_world("small", 5)
    items, needs = world.items, world.config.needs
    assert np.ptp(np.bincount(items.topic[items.kind == TASTE])) <= 1
    assert np.ptp(np.bincount(items.need[items.kind == SIGN])) <= 1
    steps = np.flatnonzero(items.kind == STEP)
    cell = items.chain[steps] * needs + items.stage[steps]
    assert np.ptp(np.bincount(cell, minlength=world.config.chains * needs)) <= 1
    for chain in range(world.config.chains):
        here = steps[items.chain[steps] == chain]
        ring = {(int(items.stage[i]), int(items.o[i]), int(items.r[i])) for i in here}
        assert [stage for stage, _, _ in sorted(ring)] == list(range(needs))  # one pair a stage
        leaves, leads = zip(*((o, r) for _, o, r in sorted(ring)), strict=True)
        assert sorted(leaves) == list(range(needs))
        assert leads == leaves[1:] + leaves[:1]
    signs = items.kind == SIGN
    np.testing.assert_array_equal(items.category[signs], items.need[signs] + 1)
    assert items.category[~signs][1:].min() == needs + 1
    assert world.interactions.value("category", 1) == "need 0"
    assert world.interactions.value("category", needs + 1) == "generic 0"


def test_the_first_interest_follows_demographics_and_cities_follow_their_rank():
    config = configure("small", users=30_000, topics=8)
    _, affinity = draw_items(config, 0)
    users = draw_users(config, 0, 0, config.users, affinity)
    # Gumbel's trick: the largest of D + noise is topic t with probability softmax(D).
    softmax = np.exp(affinity) / np.exp(affinity).sum(-1, keepdims=True)
    expected = softmax[users.age_band - 1, users.gender - 1].sum(0)
    seen = np.bincount(users.interests[:, 0], minlength=8)
    assert (np.abs(seen - expected) < 4 * np.sqrt(expected)).all()
    assert np.ptp(expected) > 20 * np.sqrt(expected.max())  # the demographics do matter
    assert (np.diff(np.sort(users.interests, 1), axis=1) > 0).all()  # no topic twice
    np.testing.assert_allclose(users.weights.sum(1), 1)
    odds = 1 / np.arange(1, 31)
    expected = len(users.city) * odds / odds.sum()
    assert (np.abs(np.bincount(users.city)[1:] - expected) < 4 * np.sqrt(expected)).all()


# --- events --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return make_world("small", 2)


def share_close(hits, expected):
    """Whether a share of independent draws lies within 4 standard errors of its probability."""
    return abs(hits.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(hits))


def test_p_star_is_the_formula(small):
    truth, items, config, data = small.truth, small.items, small.config, small.interactions
    item = data.item
    taste = np.where(truth.alive, config.b_in, config.b_out)
    sign = config.b_m + config.a_m * np.where(items.need[item] == truth.need, 1, -1)
    step = config.b_g + config.a_g * (
        (items.o[item] == truth.need).astype(int) - (items.r[item] == truth.need)
    )
    z = np.choose(truth.kind, [taste, sign, step]) + items.quality[item]
    z -= 0.2 * (np.abs(items.price_band[item] - small.users.price_preference[data.user]) - 1.6)
    np.testing.assert_allclose(truth.p_star, 1 / (1 + np.exp(-z)), rtol=1e-12)


def test_a_click_on_a_ready_step_moves_the_need_and_nothing_else_does(small):
    rows = by_cause(small)
    same = rows["user"][1:] == rows["user"][:-1]
    moves = rows["truth.clean_click"] & (rows["truth.v"] == 1)
    expected = np.where(moves, small.items.r[rows["item"]], rows["truth.need"])
    np.testing.assert_array_equal(rows["truth.need"][1:][same], expected[:-1][same])
    assert moves.mean() > 0.05


def test_without_succession_no_step_moves_a_need_or_its_click_rate():
    rows = by_cause(make_world("small", 2, succession=0))
    step = rows["truth.kind"] == STEP
    rates = [rows["truth.clean_click"][step & (rows["truth.v"] == v)].mean() for v in (-1, 0, 1)]
    assert np.ptp(rates) < 0.03
    same = rows["user"][1:] == rows["user"][:-1]
    moved = (np.diff(rows["truth.need"]) != 0)[same]
    assert share_close(moved, 0.06 * 7 / 8)  # jumps alone, one in eight to where it was
    clicked_ready = (rows["truth.clean_click"] & (rows["truth.v"] == 1))[:-1][same]
    assert clicked_ready.sum() > 1000
    assert share_close(moved[clicked_ready], 0.06 * 7 / 8)


def test_kinds_items_and_needs_are_exposed_in_the_shares_of_the_preset(small):
    truth, item, config = small.truth, small.interactions.item, small.config
    for kind, share in enumerate(config.mix):
        assert share_close(truth.kind == kind, share)
    np.testing.assert_array_equal(small.items.kind[item], truth.kind)
    sign, step = truth.kind == SIGN, truth.kind == STEP
    assert share_close(small.items.need[item[sign]] == truth.need[sign], config.m_match)
    rest = (1 - config.f_ready - config.f_passed) / config.needs
    assert share_close(truth.v[step] == 1, config.f_ready + rest)
    assert share_close(truth.v[step] == -1, config.f_passed + rest)


def test_taste_events_follow_session_interests_and_exposure_weights():
    world = make_world("long", 0, users=60)
    config, truth, item = world.config, world.truth, world.interactions.item
    inside = config.f_session + config.f_other
    by_chance = (1 - inside) * config.interests / config.topics
    assert share_close(truth.interest >= 0, inside + by_chance)
    topic, weight = world.items.topic[1:], world.items.weight[1:]
    shown = np.bincount(item, minlength=len(topic) + 1)[1:]
    expected = np.bincount(topic, shown)[topic] * weight / np.bincount(topic, weight)[topic]
    chi2 = ((shown - expected) ** 2 / expected).sum()
    freedom = len(topic) - config.topics
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)
    held = world.users.interests[world.interactions.user, truth.interest]
    np.testing.assert_array_equal(held[truth.interest >= 0], world.items.topic[item][truth.interest >= 0])


def test_a_session_keeps_its_interest_or_draws_one_by_weight():
    knobs = {"interests": 4, "stay": 0.7, "f_session": 1, "f_other": 0}  # every event shows the interest
    world = make_world("long", 0, users=3000, events=20, **knobs)
    rows = by_cause(world)
    first = np.flatnonzero(np.diff(rows["user"] * 1000 + rows["truth.session"], prepend=-1))
    user, slot = rows["user"][first], rows["truth.interest"][first]
    weights = world.users.weights[1:]
    again = (weights**2).sum(1)  # the chance that two draws agree
    opening = np.flatnonzero(np.diff(user, prepend=0))
    drawn = weights[np.arange(3000), slot[opening]]  # weight of the interest drawn: E = sum of w^2
    assert abs(drawn.mean() - again.mean()) < 4 * drawn.std() / np.sqrt(3000)
    assert again.mean() > 0.25 + 0.03  # drawing evenly would give 1/4
    same_user = np.diff(user) == 0
    kept = (np.diff(slot) == 0)[same_user]
    expected = 0.7 + 0.3 * again[user[1:][same_user] - 1].mean()
    assert share_close(kept, expected)


def test_interests_come_one_after_another_at_longevity_0_and_stay_at_1():
    lasting, passing = make_world("long", 0, users=60), make_world("long", 0, users=60, interest_longevity=0)
    assert (lasting.truth.alive == (lasting.truth.interest >= 0)).all()
    rows = by_cause(passing)
    user, slot = (rows[name][rows["truth.alive"]] for name in ("user", "truth.interest"))
    assert (np.diff(slot)[np.diff(user) == 0] >= 0).all()  # none returns
    assert len(np.unique(user * 16 + slot)) > 0.95 * 60 * 16  # and nearly each has its turn
    share = rows["truth.causal_rank"] / np.bincount(rows["user"])[rows["user"]]
    late = share[rows["truth.alive"]] - slot / 16
    assert late.min() > -1e-6
    assert np.quantile(late, 0.99) < 1 / 16 + 0.05  # looked up when a session starts, so a little late


def test_sessions_and_gaps(small):
    rows = by_cause(small)
    same = rows["user"][1:] == rows["user"][:-1]
    opens = np.diff(rows["truth.session"])[same]
    assert set(np.unique(opens)) == {0, 1}
    assert share_close(opens == 1, 1 / 8)
    gaps = np.diff(rows["timestamp"])
    assert (gaps[same] >= 0).all()
    inside = gaps[same][opens == 0]
    assert abs(inside.mean() - 60) < 4 * 60 / np.sqrt(len(inside)) + 0.2  # few sessions wait for another
    assert abs((inside == 0).mean() - 1 / 120) < 0.004  # P(same second) = 1/(2 * 60), and the waiting
    per_user = np.bincount(rows["user"])[1:]
    assert per_user.min() >= 10
    assert abs(per_user.mean() - 100) < 4 * 35 / np.sqrt(1000)
    days = (rows["timestamp"] - world_module.START) / 86_400
    assert 0 <= days.min() < 0.1
    assert 89.9 < days.max() < 90.1


def test_the_compiled_loop_equals_the_loop_run_by_python(small, monkeypatch):
    compiled = arrays(make_world("tiny", 9, succession=0.5, interest_longevity=0.4))
    for name in ("_draw", "_wake", "_next_interest", "_taste", "_sign", "_step", "run"):
        monkeypatch.setattr(world_kernel, name, getattr(world_kernel, name).py_func)
    assert not differing(compiled, arrays(make_world("tiny", 9, succession=0.5, interest_longevity=0.4)))


def test_labels_are_calibrated_against_p_star_in_every_decile():
    for knobs in ({}, {"label_noise": 1.0}, {"succession": 0.5, "order_noise": 0.5}):
        world = make_world("small", 3, **knobs)
        p, label = world.truth.p_star, world.interactions.label
        for part in [np.argsort(p), *np.array_split(np.argsort(p), 10)]:
            error = np.sqrt((p[part] * (1 - p[part])).sum()) / len(part)
            assert abs(label[part].mean() - p[part].mean()) < 4 * error


def test_domains_hold_their_own_items_and_share_users():
    data = make_world("two_domain", 0, users=100).interactions
    target = data.columns["domain"] == 1
    assert data.item[target].max() <= 500 < data.item[~target].min()
    assert set(data.user[target]) == set(data.user[~target]) == set(range(1, 101))
    assert data.value("domain", 2) == "source"
    assert "domain" not in make_world("tiny").interactions.fields


def test_the_long_world_of_two_domains_has_a_thousand_source_clicks_a_user_and_many_of_each_interest():
    """LCN leaves something out: more clicks than the median scope sees, and of one interest more
    than the focused scope does (K1 = 200, K2 = 50)."""
    world = make_world("two_domain_long", 0, users=60)
    log = world.interactions
    source = (log.label == 1) & (
        log.codes(("domain",))[:, 0] == log.vocabularies["domain"].tolist().index("source")
    )
    clicks = np.bincount(log.user[source], minlength=61)[1:]
    assert 800 < np.median(clicks) < 1600
    topic = world.items.topic[log.item[source]]
    counts = np.zeros((61, topic.max() + 1), int)
    np.add.at(counts, (log.user[source], topic), 1)
    sixth = np.sort(counts[1:], axis=1)[:, -6]  # a user has six interests
    seventh = np.sort(counts[1:], axis=1)[:, -7]
    assert np.median(sixth) > 50
    assert np.median(seventh) < 20
