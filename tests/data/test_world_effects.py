"""The world holds the phenomena it promises, measured by learners far simpler than the papers'.

Margins are those of the specification; each effect has its negative control.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from learner_a import SETTINGS, count_overlaps, features, predict
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from workbench.data.histories import Histories
from workbench.data.world import best_reachable, make_world

TASTE, SIGN, STEP = range(3)
SEEDS = (0, 1, 2)


# --- what fields must not tell -------------------------------------------------------------------


def accuracy(world, rows, target):
    """Cross-validated accuracy of a forest that reads every visible field of items, the code included."""
    items = world.items
    visible = np.column_stack([rows, items.category[rows], items.brand[rows], items.price_band[rows]])
    forest = RandomForestClassifier(30, min_samples_leaf=2, random_state=0)
    return cross_val_score(
        forest, visible, target[rows], cv=StratifiedKFold(5, shuffle=True, random_state=0)
    ).mean()


def test_fields_tell_nothing_about_hidden_places():
    found = {}
    for seed in SEEDS:
        world = make_world("small", seed)
        items, config = world.items, world.config
        steps, tastes = np.flatnonzero(items.kind == STEP), np.flatnonzero(items.kind == TASTE)
        alike = np.concatenate([tastes, np.random.default_rng(seed).permutation(steps)[: len(tastes)]])
        for name, rows, target, classes in (
            ("o", steps, items.o, config.needs),
            ("r", steps, items.r, config.needs),
            ("stage", steps, items.stage, config.needs),
            ("chain", steps, items.chain, config.chains),
            ("topic", tastes, items.topic, config.topics),
            ("kind", alike, items.kind, 2),
        ):
            chance = 1 / classes
            error = np.sqrt(chance * (1 - chance) / len(rows))
            found.setdefault(name, []).append((accuracy(world, rows, target) - chance) / error)
        signs = np.flatnonzero(items.kind == SIGN)
        assert accuracy(world, signs, items.need) > 0.95  # the same forest reads what is there to read
    assert {name: z for name, z in found.items() if np.abs(z).max() > 3} == {}


# --- LIFT ----------------------------------------------------------------------------------------


@cache
def learner_a(succession, seed):
    """AUC of every setting and of p_star, overall and on steps: {name: (overall, steps)}."""
    world = make_world("small", seed, succession=succession)
    given = features(world)
    found = {}
    for setting in SETTINGS:
        rows, p = predict(world, given, setting)
        label, step = world.interactions.label[rows], world.truth.kind[rows] == STEP
        found[setting] = np.array([roc_auc_score(label, p), roc_auc_score(label[step], p[step])])
    found["ceiling"] = np.array([best_reachable(world, rows, only).auc for only in (None, "step")])
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_with_succession_futures_of_others_tell_more_than_any_history(seed):
    auc = learner_a(1.0, seed)
    for one in ("history", "history 2L", "future"):
        assert auc[one][0] > auc["none"][0] + 0.03
    gain = auc["both"] - np.maximum(auc["history"], auc["history 2L"])
    assert gain[0] >= 0.005
    assert gain[1] >= 0.015
    assert all((auc[setting] < auc["ceiling"]).all() for setting in SETTINGS)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_succession_futures_add_nothing(seed):
    auc = learner_a(0.0, seed)
    gain = auc["both"] - np.maximum(auc["history"], auc["history 2L"])
    assert abs(gain[0]) <= 0.003
    assert all((auc[setting] < auc["ceiling"]).all() for setting in SETTINGS)


def test_the_overlap_counts_are_pairs_counted_one_by_one():
    rng = np.random.default_rng(0)
    n, levels = 40, 2
    codes, label = rng.integers(1, 5, (n, levels)).astype(np.int32), rng.integers(0, 2, n).astype(np.int8)
    own, found, context = rng.integers(0, n, (6, 4)), rng.integers(0, n, (6, 3)), rng.integers(0, n, (n, 5))
    own[0, 2:], found[1, 1:], context[:, 3:] = -1, -1, np.where(rng.random((n, 2)) < 0.5, -1, context[:, 3:])
    context[:, 4] = np.where(context[:, 3] < 0, -1, context[:, 4])
    expected = np.zeros((6, levels, 2, 2, 2, 2))
    for q, level, i, k, j in np.ndindex(6, levels, 4, 3, 5):
        a, row = own[q, i], found[q, k]
        b = context[row, j] if row >= 0 else -1
        if a >= 0 and b >= 0 and codes[a, level] == codes[b, level]:
            expected[q, level, :, label[a], label[b], label[row]] += (1, 0.8 ** (i + j))
    np.testing.assert_allclose(
        count_overlaps(own, found, context, codes, label), expected.reshape(6, -1), 1e-5
    )


# --- ENCODE --------------------------------------------------------------------------------------

QUERIES = 100  # a user, from the 1,001st event on


def topic_embeddings(world, seed):
    """Unit topic centroids in 16 dimensions plus noise of length about 0.35, normalised: by item code."""
    rng = np.random.default_rng(seed)
    topic = world.items.topic
    centroids = rng.normal(size=(world.config.topics, 16))
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    vectors = centroids[topic] + rng.normal(0, 0.35 / 4, (len(topic), 16))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def attention_auc(world, vectors, lengths):
    """AUC of DIN with true embeddings: sum of exp(20 (cos - 1)) over the clicks of the last n events."""
    data, histories = world.interactions, Histories.of(world.interactions)
    score, label = {n: [] for n in lengths}, []
    for user in range(1, world.config.users + 1):
        events = histories.of_user(user)
        queries = np.arange(1000, min(len(events), 1000 + QUERIES))
        cosine = vectors[data.item[events[queries]]] @ vectors[data.item[events]].T  # (Q, events)
        weight = np.exp(20 * (cosine - 1)) * data.label[events]
        age = queries[:, None] - np.arange(len(events))
        for n in lengths:
            score[n].append((weight * ((age > 0) & (age <= n))).sum(1))
        label.append(data.label[events[queries]])
    label = np.concatenate(label)
    return {n: roc_auc_score(label, np.concatenate(score[n])) for n in lengths}


@pytest.mark.parametrize("seed", SEEDS)
def test_long_histories_help_where_interests_last_and_hurt_where_they_pass(seed):
    for longevity, sign in ((1, 1), (0, -1)):
        world = make_world("long", seed, interest_longevity=longevity)
        auc = attention_auc(world, topic_embeddings(world, seed), (50, 1000))
        assert sign * (auc[1000] - auc[50]) >= 0.03
        assert max(auc.values()) < best_reachable(world, slice(None)).auc


@pytest.mark.parametrize("seed", SEEDS)
def test_clusters_match_topics_best_at_the_true_number_of_interests(seed):
    world = make_world("long", seed)
    data, vectors = world.interactions, topic_embeddings(world, seed)
    histories = Histories.of(data)
    grid = (4, 8, 12, 16, 20, 24, 32)
    agreement = []
    for user in range(1, 13):
        events = histories.of_user(user)[:1000]
        clicked = data.item[events[data.label[events] == 1]]
        clusters = [KMeans(k, n_init=2, random_state=0).fit_predict(vectors[clicked]) for k in grid]
        agreement.append([adjusted_rand_score(world.items.topic[clicked], found) for found in clusters])
    mean = np.mean(agreement, axis=0)
    best = grid[int(np.argmax(mean))]
    assert abs(best - world.config.interests) <= 4
    assert mean.max() > mean[0] + 0.2  # a peak, not a plain


# --- order ---------------------------------------------------------------------------------------


def order_within_sessions(world):
    """Rank correlation of causal and logged order, pooled over sessions, and the events behind it."""
    data, rank = world.interactions, world.truth.causal_rank
    session = data.user.astype(np.int64) * 10_000 + world.truth.session
    order = np.argsort(session, kind="stable")  # the log's order within every session
    _, first, length = np.unique(session[order], return_index=True, return_counts=True)
    centre = np.repeat(first + (length - 1) / 2, length)
    logged = np.arange(len(order)) - centre
    causal = np.argsort(np.lexsort((rank[order], session[order]))) - centre
    return (logged * causal).sum() / (logged**2).sum(), int((length[length > 1]).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_order_noise_goes_from_strict_to_shuffled(seed):
    found = [order_within_sessions(make_world("small", seed, order_noise=noise)) for noise in (0, 0.5, 1)]
    assert found[0][0] == pytest.approx(1)
    assert 0.3 < found[1][0] < 0.95
    assert abs(found[2][0]) < 0.02
    assert found[2][1] > 50_000
