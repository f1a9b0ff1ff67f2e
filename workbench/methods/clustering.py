"""Many small clusterings at once: each user's events by themselves (ENCODE, Sections 3.2.2 and 4.6.6).

    label = cluster(h, there, ClusterConfig(clusters=30))         # (U, L), -1 where nothing is

Everything is about directions: a distance is 1 - cosine (Eq. 11), so events are points on a sphere, and the
centre of a cluster is the direction of the mean of its members. A clustering depends on a user's own events
and the seed alone, not on who else is clustered or how long the longest sequence is. So what is computed
again for one user is what a computation for all users would give.

Departures and readings (ambiguities E8, E24)
---------------------------------------------
* k-means starts from events at random places, the same places for every user who has so many. A cluster that
  loses all members keeps its centre and may win some back. It ends early once nobody moves.
* Fewer events than clusters: as many clusters as events.
* Dynamic routing is MIND's with its bilinear map left out (the identity); couplings become clusters by
  taking the largest. Agglomerative is average linkage. No gradient goes through any of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workbench.errors import ConfigError, unknown, whole
from workbench.methods import clustering_kernel


@dataclass(frozen=True)
class ClusterConfig:
    """clusters : K; iterations : T of k-means and routing; algorithm : one of ALGORITHMS; seed : of starts.

    Raises ConfigError for values that make no sense.
    """

    clusters: int = 30
    iterations: int = 15
    algorithm: str = "kmeans"
    seed: int = 0

    def __post_init__(self) -> None:
        whole("clusters", self.clusters)
        whole("iterations", self.iterations)
        whole("seed", self.seed, 0)
        if self.algorithm not in ALGORITHMS:
            raise unknown("clustering", self.algorithm, ALGORITHMS)


def cluster(h: Tensor, there: Tensor, config: ClusterConfig | None = None) -> Tensor:
    """The cluster of each event: vectors (U, L, m), there (U, L) bool -> (U, L) int64, -1 where nothing is.

    Labels run from 0 to K - 1; some may be nobody's. Events stand on the left, padding on the right.

    Raises ConfigError for shapes that do not belong together and for padding between events.
    """
    config = config or ClusterConfig()
    if h.dim() != 3 or there.shape != h.shape[:2]:
        raise ConfigError(f"expected (U, L, m) and (U, L), got {tuple(h.shape)} and {tuple(there.shape)}")
    count = there.sum(1)
    if (there != (torch.arange(h.shape[1], device=h.device) < count.unsqueeze(1))).any():
        raise ConfigError("padding stands between the events of some user: it belongs on the right")
    with torch.no_grad():
        label = ALGORITHMS[config.algorithm](h.detach(), count, config)
    return label.masked_fill_(~there, -1)


def sizes(label: Tensor, clusters: int) -> Tensor:
    """Members of each cluster: (U, L) labels -> (U, K)."""
    found = torch.zeros(len(label), clusters + 1, dtype=torch.int64, device=label.device)
    return found.scatter_add(1, label % (clusters + 1), torch.ones_like(label))[:, :-1]  # -1 goes last


def centres(h: Tensor, label: Tensor, clusters: int) -> Tensor:
    """c_i: the direction of the mean of a cluster's members, each of length 1 (ambiguity E9).

    h (U, L, m), label (U, L) -> (U, K, m), of length 1; zero for a cluster without members.
    """
    x = functional.normalize(h, dim=-1)
    total = x.new_zeros(len(x), clusters + 1, x.shape[-1])
    place = (label % (clusters + 1)).unsqueeze(-1).expand_as(x)
    return functional.normalize(total.scatter_add(1, place, x)[:, :-1], dim=-1)


def own_centres(h: Tensor, label: Tensor, clusters: int) -> Tensor:
    """The centre of each event's cluster, (U, L, m); of no meaning for padding."""
    return centres(h, label, clusters).gather(1, label.clamp(min=0).unsqueeze(-1).expand_as(h))


def inertia(h: Tensor, label: Tensor, clusters: int) -> Tensor:
    """Mean distance (Eq. 11) of a user's events to the centres of their clusters: (U,), 0 without events."""
    distance = 1 - (functional.normalize(h, dim=-1) * own_centres(h, label, clusters)).sum(-1)
    there = label >= 0
    return (distance * there).sum(1) / there.sum(1).clamp(min=1)


def starts(count: Tensor, clusters: int, seed: int) -> Tensor:
    """(U, K) places of the events with which k-means begins; beyond a user's events, -1.

    Every place has a random number that depends on the seed alone; the lowest K among a user's places win.
    """
    counts, which = np.unique(count.cpu().numpy(), return_inverse=True)
    length = int(counts.max()) if len(counts) else 0
    order = np.random.default_rng(seed).random(length).argsort()  # the first numbers do not depend on L
    first = np.full((len(counts), clusters), -1)
    for line, most in zip(first, counts, strict=True):
        chosen = order[order < most][:clusters]
        line[: len(chosen)] = chosen
    return torch.from_numpy(first[which]).to(count.device)


def kmeans(h: Tensor, count: Tensor, config: ClusterConfig) -> Tensor:
    """Lloyd's algorithm on the sphere: h (U, L, m), count (U,) events each -> (U, L).

    On a processor the compiled kernel, user by user; elsewhere all users at once.
    """
    first = starts(count, config.clusters, config.seed)
    if h.device.type == "cpu" and h.dtype == torch.float32:
        return _by_kernel(h, count, first, config.iterations)
    return kmeans_together(h, count, first, config.iterations)


def kmeans_together(h: Tensor, count: Tensor, first: Tensor, iterations: int) -> Tensor:
    """The same as plain tensor operations, which hold (U, L, K) numbers; ``first`` from :func:`starts`."""
    users, length, m = h.shape
    x, clusters = functional.normalize(h, dim=-1), first.shape[1]
    centre = x.gather(1, first.clamp(min=0).unsqueeze(-1).expand(-1, -1, m))
    beyond = torch.arange(length, device=x.device) >= count.unsqueeze(1)
    label = torch.full((users, length), -1, device=x.device)
    for _ in range(iterations):
        score = (x @ centre.mT).masked_fill((first < 0).unsqueeze(1), -2)
        new = score.argmax(-1).masked_fill(beyond, -1)
        if (new == label).all():
            break
        label = new
        moved = centres(x, label, clusters)
        centre = torch.where((sizes(label, clusters) > 0).unsqueeze(-1), moved, centre)
    return label


def _by_kernel(h: Tensor, count: Tensor, first: Tensor, iterations: int) -> Tensor:
    label = np.full(h.shape[:2], -1, np.int64)
    h, count, first = h.contiguous().numpy(), count.numpy(), first.numpy()
    workers = max(min(torch.get_num_threads(), len(h) // 8), 1)
    cuts = np.linspace(0, len(h), workers + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(cuts)]

    def work(part: slice) -> None:
        clustering_kernel.kmeans(h[part], count[part], first[part], iterations, label[part])

    if workers == 1:
        work(parts[0])
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, parts))
    return torch.from_numpy(label)


def routing(h: Tensor, count: Tensor, config: ClusterConfig) -> Tensor:
    """Dynamic routing from behaviours to interests (Li et al. 2019, MIND, Section 4.2).

    Couplings start from N(0, 1), go over the interests, and grow by the likeness of event and interest.
    """
    users, length, _ = h.shape
    x = functional.normalize(h, dim=-1)
    there = torch.arange(length, device=x.device) < count.unsqueeze(1)
    drawn = np.random.default_rng(config.seed).standard_normal((length, config.clusters))
    logit = torch.from_numpy(drawn).to(x).expand(users, -1, -1)
    beyond = torch.arange(config.clusters, device=x.device) >= count.unsqueeze(1)  # fewer events than K
    for _ in range(config.iterations):
        coupling = logit.masked_fill(beyond.unsqueeze(1), -torch.inf).softmax(-1) * there.unsqueeze(-1)
        total = coupling.nan_to_num().mT @ x
        square = total.square().sum(-1, keepdim=True)
        interest = square / (1 + square) * functional.normalize(total, dim=-1)  # squash
        logit = logit + x @ interest.mT
    return logit.masked_fill(beyond.unsqueeze(1), -torch.inf).argmax(-1)


def agglomerative(h: Tensor, count: Tensor, config: ClusterConfig) -> Tensor:
    """Bottom-up with average linkage of 1 - cosine, by the library, one user after the other."""
    from scipy.cluster.hierarchy import fcluster, linkage

    x, label = functional.normalize(h, dim=-1), torch.full(h.shape[:2], -1)
    for user, n in enumerate(count.tolist()):
        if n < 2:
            label[user, :n] = 0
            continue
        events = x[user, :n].double().cpu().numpy()
        apart = np.clip(1 - events @ events.T, 0, None)[np.triu_indices(n, 1)]
        found = fcluster(linkage(apart, "average"), min(config.clusters, n), "maxclust")
        label[user, :n] = torch.from_numpy(found).long() - 1
    return label.to(x.device)


def scattered(h: Tensor, count: Tensor, config: ClusterConfig) -> Tensor:
    """Every event in a cluster by chance; nobody looks at the vectors."""
    drawn = np.random.default_rng(config.seed).integers(0, 2**31, h.shape[1])
    among = count.clamp(min=1, max=config.clusters).unsqueeze(1)
    return torch.from_numpy(drawn).to(h.device) % among


ALGORITHMS = {
    "kmeans": kmeans,
    "agglomerative": agglomerative,
    "routing": routing,
    "random": scattered,
}
