"""Clusterings of many users at once: beside scikit-learn, by hand, and what must not matter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score
from torch.nn import functional

from workbench.errors import ConfigError
from workbench.methods.clustering import (
    ALGORITHMS,
    ClusterConfig,
    centres,
    cluster,
    inertia,
    kmeans_together,
    sizes,
    starts,
)

every = pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))


def drawn(*counts: int, m: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    there = torch.arange(max(counts)) < torch.tensor(counts).unsqueeze(1)
    return torch.randn(len(counts), max(counts), m, generator=generator) * there.unsqueeze(-1), there


def bundles(users: int, groups: int, each: int, m: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Events around ``groups`` far directions: vectors (U, groups * each, m) and the true group of each."""
    generator = torch.Generator().manual_seed(1)
    axes = torch.eye(m)[:groups] if groups <= m else torch.cat([torch.eye(m), -torch.eye(m)])[:groups]
    truth = torch.stack([torch.arange(groups).repeat(each)[torch.randperm(groups * each, generator=generator)]
                         for _ in range(users)])  # fmt: skip
    noise = 0.1 * torch.randn(*truth.shape, m, generator=generator)
    length = 0.1 + 3 * torch.rand(*truth.shape, 1, generator=generator)  # a direction is all that counts
    return (axes[truth] + noise) * length, truth


def test_two_directions_by_hand() -> None:
    h = torch.tensor([[[1.0, 0.1], [0.1, 2.0], [5.0, 0.0], [0.0, 0.3]]])
    label = cluster(h, torch.ones(1, 4, dtype=torch.bool), ClusterConfig(2))
    assert label[0, 0] == label[0, 2] != label[0, 1] == label[0, 3]
    c = centres(h, label, 2)[0]
    first = functional.normalize(torch.tensor([1.0, 0.1]), dim=0) + torch.tensor([1.0, 0.0])
    assert torch.allclose(c[label[0, 0]], functional.normalize(first, dim=0))
    assert sizes(label, 2).tolist() == [[2, 2]]


@pytest.mark.parametrize(("counts", "m"), [((300, 120, 40), 4), ((90, 31), 2), ((80,), 7), ((200, 3), 32)])
def test_the_kernel_is_the_plain_algorithm(counts: tuple[int, ...], m: int) -> None:
    h, there = drawn(*counts, m=m)
    count = there.sum(1)
    by_kernel = cluster(h, there, ClusterConfig(30))
    plain = kmeans_together(h, count, starts(count, 30, 0), 15)
    assert torch.equal(by_kernel, plain)
    in_double = cluster(h.double(), there, ClusterConfig(30))  # not compiled
    assert (in_double == by_kernel)[there].float().mean() > 0.9


def test_inertia_is_scikit_learns_from_the_same_starts() -> None:
    h, there = drawn(*[400] * 6)
    label = cluster(h, there, ClusterConfig(30, iterations=100))
    x, first = functional.normalize(h, dim=-1).numpy(), starts(there.sum(1), 30, 0).numpy()
    theirs = np.stack([
        KMeans(30, init=some[places], n_init=1, max_iter=100, tol=0).fit(some).labels_
        for some, places in zip(x, first, strict=True)
    ])  # fmt: skip
    ours, others = inertia(h, label, 30), inertia(h, torch.from_numpy(theirs).long(), 30)
    assert ours.mean().item() == pytest.approx(others.mean().item(), rel=0.02)


def test_average_linkage_is_scikit_learns() -> None:
    h, there = drawn(60, 45)
    label = cluster(h, there, ClusterConfig(7, algorithm="agglomerative"))
    for row, n in enumerate((60, 45)):
        theirs = AgglomerativeClustering(7, metric="cosine", linkage="average").fit(h[row, :n]).labels_
        assert adjusted_rand_score(theirs, label[row, :n]) == 1


@pytest.mark.parametrize("algorithm", ["kmeans", "agglomerative", "routing"])
def test_what_lies_far_apart_is_told_apart(algorithm: str) -> None:
    h, truth = bundles(8, 4, 25)
    label = cluster(h, torch.ones(8, 100, dtype=torch.bool), ClusterConfig(4, algorithm=algorithm, seed=3))
    rand = np.mean([adjusted_rand_score(t, one) for t, one in zip(truth, label, strict=True)])
    assert rand > 0.7  # routing and k-means may end with two starts in one bundle
    by_chance = cluster(h, torch.ones(8, 100, dtype=torch.bool), ClusterConfig(4, algorithm="random"))
    assert abs(np.mean([adjusted_rand_score(t, one) for t, one in zip(truth, by_chance, strict=True)])) < 0.1


@every
def test_a_user_is_clustered_alike_alone_and_in_company(algorithm: str) -> None:
    """What makes a refresh of one user equal to a rebuild of all."""
    h, there = drawn(50, 200, 7)
    config = ClusterConfig(10, algorithm=algorithm)
    together = cluster(h, there, config)
    for row, n in enumerate((50, 200, 7)):
        alone = cluster(h[row : row + 1, :n], there[row : row + 1, :n], config)
        assert torch.equal(alone[0], together[row, :n])


@every
def test_few_events_and_none(algorithm: str) -> None:
    h, there = drawn(12, 3, 1, 0)
    label = cluster(h, there, ClusterConfig(5, algorithm=algorithm))
    assert torch.equal(label >= 0, there)
    assert label.max() < 5
    assert set(label[1, :3].tolist()) <= {0, 1, 2}
    assert label[2, 0] == 0


def test_fewer_events_than_clusters_are_clusters_of_their_own() -> None:
    h, there = drawn(6)
    for algorithm in ("kmeans", "agglomerative"):
        assert len(set(cluster(h, there, ClusterConfig(30, algorithm=algorithm))[0].tolist())) == 6


@every
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 12), st.integers(1, 6))
def test_every_event_has_one_cluster_and_no_other_has(algorithm, counts, clusters, m) -> None:
    h, there = drawn(*[*counts, 1], m=m)
    h[0, 0] = 0  # a vector without a direction
    label = cluster(h, there, ClusterConfig(clusters, iterations=4, algorithm=algorithm))
    assert torch.equal(label >= 0, there)
    assert label.max() < clusters
    found = centres(h, label, clusters)
    assert not found.isnan().any()
    length = found.norm(dim=-1)
    assert not length[sizes(label, clusters) == 0].any()


def test_an_empty_cluster_keeps_its_centre_and_makes_no_nan() -> None:
    """Three equal starts: at first all events go to the first; its centre moves to between both directions,
    so those which the second was left with come to it; the third stays empty.
    """
    h = torch.tensor([[[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3])
    label = kmeans_together(h, torch.tensor([6]), torch.tensor([[0, 1, 2]]), 15)
    assert label.tolist() == [[1, 1, 1, 0, 0, 0]]
    assert sizes(label, 3).tolist() == [[3, 3, 0]]
    assert centres(h, label, 3)[0].tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]


@every
def test_vectors_that_are_not_numbers_have_some_cluster(algorithm: str) -> None:
    """A training that diverges must not take the process with it."""
    h, there = drawn(40, 12)
    h[0] = torch.inf
    h[1, 3:9] = torch.nan
    if algorithm == "agglomerative":  # the library refuses them itself
        with pytest.raises(ValueError, match="finite"):
            cluster(h, there, ClusterConfig(5, algorithm=algorithm))
        return
    label = cluster(h, there, ClusterConfig(5, algorithm=algorithm))
    assert torch.equal(label >= 0, there)
    assert label.max() < 5


def test_starts_do_not_depend_on_the_longest_user_and_are_distinct() -> None:
    short, long = starts(torch.tensor([20]), 8, 5), starts(torch.tensor([20, 900]), 8, 5)
    assert torch.equal(short[0], long[0])
    assert len(set(short[0].tolist())) == 8
    assert short.max() < 20
    assert not torch.equal(short, starts(torch.tensor([20]), 8, 6))
    assert starts(torch.tensor([3, 0]), 5, 0)[:, 3:].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"clusters": 0}, "clusters must be a whole number from 1"),
        ({"iterations": 1.5}, "iterations"),
        ({"seed": -1}, "seed"),
        (
            {"algorithm": "dbscan"},
            "unknown clustering 'dbscan'; known: agglomerative, kmeans, random, routing",
        ),
    ],
)
def test_settings_that_make_no_sense(settings: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ClusterConfig(**settings)


def test_shapes_that_do_not_belong_together_and_holes() -> None:
    h, there = drawn(5, 4)
    with pytest.raises(ConfigError, match=r"expected \(U, L, m\) and \(U, L\)"):
        cluster(h[0], there)
    there[0, 2] = False
    with pytest.raises(ConfigError, match="padding stands between"):
        cluster(h, there)
