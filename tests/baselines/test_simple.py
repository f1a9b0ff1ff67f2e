"""Counting models on logs small enough to count by hand."""

import numpy as np
import pytest

from workbench.baselines.simple import DAY, Chance, ItemKNN, MarkovChain, Popularity

# Clicks in time order. User 1: items 1 2 3; user 2: items 1 2 1; user 3: items 3 4.
USER = np.array([1, 2, 3, 1, 2, 3, 1, 2])
ITEM = np.array([1, 1, 3, 2, 2, 4, 3, 1])
ITEMS = 6  # codes 0 .. 5; nobody clicks item 5
RECENT = np.array([[1, 2, 0], [4, 0, 0]])  # the first user's last click is on item 2, the second's on 4


def test_popularity_counts_clicks():
    model = Popularity(ITEM, np.arange(8), ITEMS)
    assert model.scores(RECENT).tolist() == 2 * [[0, 3, 2, 2, 1, 0]]


def test_with_a_half_life_an_old_click_counts_less():
    time = np.array([0, 7, 14]) * DAY
    model = Popularity(np.array([1, 2, 2]), time, 3, half_life=7)
    np.testing.assert_allclose(model.count, [0, 0.25, 0.5 + 1])


def test_markov_chain_counts_what_followed_within_each_user():
    # Followers, by user: 1>2, 2>3; 1>2, 2>1; 3>4.
    chance = MarkovChain(USER, ITEM, ITEMS).chance.toarray()
    expected = np.zeros((ITEMS, ITEMS))
    expected[1, 2], expected[2, 3], expected[2, 1], expected[3, 4] = 1, 0.5, 0.5, 1
    np.testing.assert_array_equal(chance, expected)


def test_markov_chain_scores_by_the_last_click_only():
    model = MarkovChain(USER, ITEM, ITEMS)
    assert model.scores(RECENT).tolist() == [[0, 0.5, 0, 0.5, 0, 0], [0] * 6]  # nothing followed item 4
    np.testing.assert_array_equal(model.scores(np.array([[3, 2]])), model.scores(np.array([[2, 0]])))


def test_markov_chain_and_knn_differ_in_what_order_tells():
    """Reversing every user's clicks turns the chain around and leaves co-occurrence as it is."""
    there, back = MarkovChain(USER, ITEM, ITEMS), MarkovChain(USER[::-1], ITEM[::-1], ITEMS)
    assert there.chance[1, 2] == 1
    assert back.chance[1, 2] == 1  # 1 2 1 reversed
    assert back.chance[4, 3] == 1
    assert there.chance[4, 3] == 0
    forth = ItemKNN(USER, ITEM, ITEMS).cosine.toarray()
    np.testing.assert_allclose(ItemKNN(USER[::-1], ITEM[::-1], ITEMS).cosine.toarray(), forth)


def test_item_knn_is_the_cosine_of_user_columns():
    cosine = ItemKNN(USER, ITEM, ITEMS).cosine.toarray()
    # Users of item 1: {1, 2} (user 2 twice counts once), 2: {1, 2}, 3: {1, 3}, 4: {3}.
    assert cosine[1, 2] == pytest.approx(1)
    assert cosine[1, 3] == pytest.approx(1 / 2)
    assert cosine[3, 4] == pytest.approx(1 / np.sqrt(2))
    assert cosine[1, 4] == 0
    assert not cosine.diagonal().any()
    assert not cosine[0].any()
    assert not cosine[5].any()
    np.testing.assert_allclose(cosine, cosine.T)


def test_item_knn_adds_up_over_all_recent_items():
    model = ItemKNN(USER, ITEM, ITEMS)
    cosine = model.cosine.toarray()
    np.testing.assert_allclose(model.scores(RECENT), [cosine[1] + cosine[2], cosine[4]])


def test_chance_is_the_same_for_the_same_seed_and_different_for_each_user():
    scores = Chance(ITEMS, seed=3).scores(RECENT)
    np.testing.assert_array_equal(scores, Chance(ITEMS, seed=3).scores(RECENT))
    assert scores.shape == (2, ITEMS)
    assert (scores[0] != scores[1]).all()
    assert (scores != Chance(ITEMS, seed=4).scores(RECENT)).all()
