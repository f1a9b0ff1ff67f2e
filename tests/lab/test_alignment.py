"""Purity and silhouettes by hand: kinds along axes, and kinds that are swapped in one domain."""

import numpy as np
import pytest
import torch

from workbench.data.interactions import Interactions
from workbench.data.world import make_world
from workbench.errors import DataError
from workbench.lab.alignment import Items, by_chance, plane, purity, silhouettes, told_apart
from workbench.lab.long_samples import LongData

RNG = np.random.default_rng(0)
KIND = np.repeat([0, 1, 2], 40)
DOMAIN = np.tile([0, 1], 60)


def items(axis: np.ndarray) -> Items:
    return Items(np.eye(3)[axis] + RNG.normal(0, 1e-3, (120, 3)), KIND, DOMAIN)


def test_kinds_along_axes_are_pure_everywhere() -> None:
    pure = items(KIND)
    assert purity(pure) == {"target": 1.0, "source": 1.0, "across": 1.0}
    assert min(silhouettes(pure).values()) > 0.99
    assert by_chance(pure) == pytest.approx(1 / 3)


def test_kinds_that_are_swapped_in_one_domain_are_pure_in_each_and_not_across() -> None:
    swapped = items(np.where(DOMAIN == 1, np.array([1, 0, 2])[KIND], KIND))
    assert purity(swapped) == pytest.approx({"target": 1.0, "source": 1.0, "across": 1 / 3})
    alone = silhouettes(swapped)
    assert min(alone["target"], alone["source"]) > 0.99
    assert alone["both"] < 0.5


def test_a_silhouette_needs_two_kinds_and_two_items_of_one() -> None:
    """The target domain has two items of two kinds, the source three of two."""
    few = Items(np.eye(5), np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 1]))
    assert set(silhouettes(few)) == {"source", "both"}
    assert silhouettes(Items(np.eye(3), np.zeros(3, int), np.array([0, 1, 1]))) == {}


def test_nobody_is_their_own_neighbour() -> None:
    """Two items of each kind in each domain, all on one point: nine of ten neighbours are of other kinds."""
    kind, domain = np.tile(np.repeat(np.arange(6), 2), 2), np.repeat([0, 1], 12)
    one = Items(np.eye(6)[kind], kind, domain)
    found = purity(one)
    assert found["target"] == found["source"] == pytest.approx(0.1)
    assert found["across"] == pytest.approx(0.2)


def test_the_plane_keeps_kinds_apart_and_is_the_same_twice() -> None:
    pure = items(KIND)
    places = plane(pure)
    assert np.array_equal(places, plane(pure))
    centre = np.stack([places[k == KIND].mean(0) for k in range(3)])
    nearest = ((places[:, None] - centre) ** 2).sum(-1).argmin(1)
    assert (nearest == KIND).mean() > 0.95


def test_items_of_a_log() -> None:
    world = make_world("two_domain", 0, users=40)
    data = LongData.of(world.interactions, long=20)
    table = np.random.default_rng(0).normal(size=(data.sizes.items, 4))
    found = Items.of(table, world.items.topic, data)
    assert len(found.kind) == len(np.unique(world.interactions.item))
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)
    source = world.interactions.columns["domain"] == data.log.vocabularies["domain"].tolist().index("source")
    assert (found.domain == 1).sum() == len(np.unique(world.interactions.item[source]))
    with pytest.raises(DataError, match="has a kind"):
        Items.of(table, np.full(len(table), -1), data)
    one = make_world("tiny", 0).interactions
    assert isinstance(one, Interactions)
    with pytest.raises(DataError, match="has one domain"):
        Items.of(table, world.items.topic, LongData.of(one))


def test_pairs_of_one_user_are_told_from_pairs_of_two() -> None:
    """Vectors that say which user clicked an item tell them apart; random ones do not."""
    world = make_world("two_domain", 0, users=40)
    data = LongData.of(world.interactions, short=10, long=20)
    topic = torch.from_numpy(np.eye(16)[world.items.topic]).float()
    random = torch.from_numpy(RNG.normal(size=topic.shape)).float()
    assert told_apart(topic, data) > 0.54  # interests are few, and each item is of one
    assert told_apart(random, data) == pytest.approx(0.5, abs=0.04)
    state = torch.random.get_rng_state()
    assert told_apart(topic, data) == told_apart(topic, data)
    assert torch.equal(state, torch.random.get_rng_state())
