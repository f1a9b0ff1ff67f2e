"""How long ENCODE clusters and predicts beside its peers: ``workbench bench encode``.

Offline (Section 3.2), for K = 30, m = 4 and T = 15 as in the paper:

* ``workbench``: :func:`workbench.methods.clustering.cluster`, for all users in one call.
* ``scikit-learn``: its KMeans with the same start, on the same directions, one user after the other; it
  compares by Euclidean distance.
* ``scikit-learn, k-means++``: the same as one would write it, with a start of its own.

Online (Section 3.3) a request is one user with L = 1,000 events and B = 3,000 candidates; a system keeps of
the user what it can (:func:`workbench.lab.long_speed.kept`). ``DIN-L, plain`` keeps nothing. Times are the
whole network's, of which DIN (50 events in real time, no long history) is what all have in common; the
exponents of Table 1 are those of the look at the long history alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from workbench.baselines.whole_history import LOOKS
from workbench.data import load
from workbench.data.interactions import Interactions
from workbench.errors import DataError
from workbench.lab import published
from workbench.lab.bench import Measurement, Timing, grown, measure
from workbench.lab.encode_trials import NETWORK
from workbench.lab.interest_store import InterestStore, logits
from workbench.lab.lift import made
from workbench.lab.long_speed import SIZES_OF, answering, asked, looking, predicting
from workbench.methods.clustering import ClusterConfig, cluster, inertia, starts
from workbench.methods.encode import Encode, EncodeConfig
from workbench.methods.long_history import Behaviours, Interest, Life, LongHistory, LongSample, Sizes

WIDTH, K_EVENTS, GENRES = 32, 50, 19  # d, k of the searches, categories of the drawn items, 0 included
HIDDEN = NETWORK["hidden"]  # of the head, as in the trials
PEERS = ("DIN", "AvgPooling", "DIN-L", "MIMN", "SIM hard", "UBR4CTR", "ETA", "TWIN", "SDIM")
GROWING = ("ENCODE", "DIN", "DIN-L", "SIM hard", "ETA", "TWIN", "SDIM")
PRINTED = {"DIN": "DIN-L", "SIM": "SIM hard", "ETA": "ETA", "SDIM": "SDIM", "ENCODE": "ENCODE"}  # Table 1
ML_1M = ([0, 0.5, 0.9, 0.99, 1], [9, 58, 225, 494, 1435])  # quantiles of positive ratings a user
ML_1M_USERS, ML_1M_ITEMS = 6040, 3706


@dataclass(frozen=True)
class Size:
    """How much is measured. users : clustered, ``few`` as something grows; clicks : users of the log whose
    interests are extracted, of whom the library clusters every ``share``-th; candidates, length : B and L of
    a request; lengths, clusters, reduced : settings of L, K and m as they grow.
    """

    users: int
    few: int
    clicks: int
    share: int
    candidates: int
    length: int
    lengths: tuple[int, ...]
    clusters: tuple[int, ...]
    reduced: tuple[int, ...]
    repeats: int


LONGER = (100, 300, 1000, 3000, 10_000)
SIZES = {
    "tiny": Size(9, 3, 30, 2, 8, 60, (50, 80), (5, 10), (2, 8), 1),
    "quick": Size(64, 8, ML_1M_USERS, 10, 3000, 1000, LONGER, (10, 30, 100, 300), (4, 8, 16, 32), 7),
    "full": Size(
        512, 32, ML_1M_USERS, 1, 3000, 1000, (*LONGER, 30_000), (10, 30, 100, 300), (4, 8, 16, 32), 9
    ),
}


# --- offline ----------------------------------------------------------------------------------------------


def library(h: Tensor, there: Tensor, config: ClusterConfig, same_start: bool = True) -> Tensor:
    """scikit-learn's KMeans for one user after the other: shapes and labels as :func:`cluster`'s."""
    from sklearn.cluster import KMeans

    x, count = functional.normalize(h, dim=-1).numpy(), there.sum(1)
    first = starts(count, config.clusters, config.seed).numpy()
    label = np.full(there.shape, -1)
    for user, n in enumerate(count.tolist()):
        if not n:
            continue
        events, most = x[user, :n], min(config.clusters, n)
        how = {"init": events[first[user, :most]], "tol": 0} if same_start else {"random_state": config.seed}
        found = KMeans(most, n_init=1, max_iter=config.iterations, **how).fit(events)
        label[user, :n] = found.labels_
    return torch.from_numpy(label)


class LibraryEncode(Encode):
    """ENCODE with the library's clustering."""

    def clustered(self, life: Life, long: Behaviours) -> Tensor:
        """As in :class:`Encode`."""
        return library(self.reduced(life, long), long.there, self.config.clusters)


def vectors(users: int, length: int, reduced: int) -> Tensor:
    """Random events: (users, length, reduced)."""
    return torch.randn(users, length, reduced, generator=torch.Generator().manual_seed(0))


def clusterings(h: Tensor, config: ClusterConfig) -> dict[str, Callable[[], Tensor]]:
    """Ours and the library's two of (U, L, m) events: labels (U, L)."""
    there = torch.ones(h.shape[:2], dtype=torch.bool)
    return {
        "workbench": lambda: cluster(h, there, config),
        "scikit-learn": lambda: library(h, there, config),
        "scikit-learn, k-means++": lambda: library(h, there, config, same_start=False),
    }


def positives(users: int) -> Interactions:
    """MovieLens-1M, for as many users as it has and where it is at hand; else as many positive ratings of
    different items a user as there.
    """
    if users == ML_1M_USERS:
        with suppress(DataError):
            return load("ml-1m")
    random, (share, ratings) = np.random.default_rng(0), ML_1M
    middle = (np.arange(users) + 0.5) / users
    count = np.exp(np.interp(middle, share, np.log(ratings))).round().astype(int)
    frame = {
        "user": np.repeat(np.arange(users), count),
        "item": np.concatenate([random.permutation(ML_1M_ITEMS)[:n] for n in count]),
        "timestamp": np.concatenate([np.arange(n) for n in count]),
        "label": 1,
    }
    return Interactions.from_frame(pd.DataFrame(frame), name="drawn like ML-1M", clock="order")


def extracting(kind: type[Encode], log: Interactions, folder: Path) -> Callable[[], InterestStore]:
    """The offline stage for all users of a log, up to the files of a store."""
    sizes = Sizes(log.size("item"), (2,), (2,), (2,))
    model = made(lambda: LongHistory(sizes, kind, width=WIDTH, domains=1), 0)
    return lambda: InterestStore.build(folder / kind.__name__, model, log)


# --- online -----------------------------------------------------------------------------------------------


def networks(names: Sequence[str], clusters: int = 30) -> dict[str, LongHistory]:
    """An untrained network for "ENCODE" or some of LOOKS."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(1, n, (SIZES_OF.items,), generator=generator) for n in (GENRES, 50)]
    fields = torch.stack([torch.arange(SIZES_OF.items), *drawn], 1)
    config = EncodeConfig(clusters=ClusterConfig(clusters))

    def network(name: str) -> LongHistory:
        def look(life: Life) -> Interest:
            return Encode(life, config) if name == "ENCODE" else LOOKS[name](life, config, fields, K_EVENTS)

        return made(lambda: LongHistory(SIZES_OF, look, width=WIDTH, hidden=HIDDEN, domains=1), 0).eval()

    return {name: network(name) for name in names}


def stored(model: LongHistory, sample: LongSample, folder: Path) -> Callable[[], Tensor]:
    """ENCODE's prediction with interests that lie on disk: logits (B,)."""
    item = sample.long.item[0].numpy().astype(np.int32)
    columns = {"user": np.ones_like(item), "item": item}
    words = {"user": np.arange(2), "item": np.arange(SIZES_OF.items)}
    clicked = np.ones(len(item), np.int8)
    log = Interactions(columns, words, np.arange(len(item)), clicked, "drawn", clock="order")
    store = InterestStore.build(folder, model, log, length=len(item))
    sample = sample._replace(user=torch.ones(1, dtype=torch.int64))
    return lambda: logits(model, sample, store)


# --- rows and growth --------------------------------------------------------------------------------------

Case = tuple[str, int, dict[str, Timing]]  # what grows, its setting, and what each system took


def measurements(size: str) -> Iterator[Measurement]:
    """The rows of ``workbench bench encode``; ``size`` is one of SIZES, here and below."""
    how = SIZES[size]
    yield from _clustered(how)
    yield from _extracted(how)
    yield from _answered(how)
    for knob, setting, timing in _clustering(how):
        yield from _rows(f"cluster {how.few}, {knob}={setting:,}", timing, how.few)
    for knob, setting, timing in _requests(how, answering):
        yield from _rows(f"request, {knob}={setting:,}", timing)


def _rows(case: str, timing: dict[str, Timing], users: int | None = None) -> Iterator[Measurement]:
    """The first system against each other one; users : of one call, None for a request."""
    (_, own), *peers = timing.items()
    for peer, other in peers:
        speed = f"{(users or 0) / own.median_s:,.0f} against {(users or 0) / other.median_s:,.0f} users/s"
        note = speed if users else f"{1e3 * (own.median_s - other.median_s):+.1f} ms"
        yield Measurement.of("encode", case, own, peer, other, note)


def _clustered(how: Size) -> Iterator[Measurement]:
    h, config = vectors(how.users, how.length, 4), ClusterConfig()
    calls = clusterings(h, config)
    timing = measure(calls, repeats=how.repeats)
    found = {name: float(inertia(h, run(), config.clusters).mean()) for name, run in calls.items()}
    for row in _rows(f"cluster {how.users} users", timing, how.users):
        alike = f"; inertia {found['workbench'] / found[row.peer]:.3f} of the peer's"
        yield replace(row, note=row.note + alike)


def _extracted(how: Size) -> Iterator[Measurement]:
    log = positives(how.clicks)
    some = log.rows(log.user % how.share == 0)  # what the library needs for everybody takes too long
    everybody, few = (len(np.unique(one.user[one.label == 1])) for one in (log, some))
    with TemporaryDirectory() as folder:
        calls = {
            "workbench": extracting(Encode, log, Path(folder)),
            "scikit-learn": extracting(LibraryEncode, some, Path(folder)),
        }
        units = {"workbench": everybody, "scikit-learn": few}
        timing = measure(calls, repeats=min(how.repeats, 3), units=units)
    own, peer = timing.values()
    note = f"all {everybody:,} users of {log.name}: {everybody * own.median_s:.1f} s, "
    note += f"against {everybody * peer.median_s:.1f} s"
    yield Measurement.of("encode", "extract, per user", own, "scikit-learn", peer, note)


def _answered(how: Size) -> Iterator[Measurement]:
    sample, models = asked(how.candidates, how.length), networks(("ENCODE", *PEERS))
    calls = {name: answering(model, sample) for name, model in models.items()}
    calls["DIN-L, plain"] = predicting(models["DIN-L"], sample)
    with TemporaryDirectory() as folder:
        calls["ENCODE, from disk"] = stored(models["ENCODE"], sample, Path(folder))
        yield from _rows(f"request of {how.candidates:,}", measure(calls, repeats=how.repeats))


def request_times(size: str) -> pd.DataFrame:
    """Milliseconds a request, the median: method, ms; a line for each of PEERS, and for ENCODE."""
    how = SIZES[size]
    sample = asked(how.candidates, how.length)
    calls = {name: answering(model, sample) for name, model in networks((*PEERS, "ENCODE")).items()}
    timing = measure(calls, repeats=how.repeats)
    return pd.DataFrame({"method": list(timing), "ms": [1e3 * one.median_s for one in timing.values()]})


def clustering_growth(size: str) -> pd.DataFrame:
    """Seconds a clustering as L, K and m grow, in :func:`workbench.lab.bench.grown`'s form."""
    return grown(_clustering(SIZES[size]))


def request_growth(size: str) -> pd.DataFrame:
    """Seconds a request as L grows, and for ENCODE and DIN as K grows."""
    return grown(_requests(SIZES[size], answering))


def look_growth(size: str) -> pd.DataFrame:
    """The same of the look at the long history alone; DIN has none."""
    return grown(_requests(SIZES[size], looking))


def _clustering(how: Size) -> Iterator[Case]:
    cases = [("L", n, (how.few, n, 4), 30) for n in how.lengths]
    cases += [("K", k, (how.few, how.length, 4), k) for k in how.clusters]
    cases += [("m", m, (how.few, how.length, m), 30) for m in how.reduced]
    for knob, setting, shape, clusters in cases:
        calls = clusterings(vectors(*shape), ClusterConfig(clusters))
        del calls["scikit-learn, k-means++"]
        yield knob, setting, measure(calls, repeats=how.repeats)


def _requests(how: Size, call: Callable[[LongHistory, LongSample], Callable[[], Tensor]]) -> Iterator[Case]:
    models = networks(GROWING)
    cases = [("L", n, n, models) for n in how.lengths]
    cases += [("K", k, how.length, networks(GROWING[:2], k)) for k in how.clusters]
    for knob, setting, length, models in cases:
        sample = asked(how.candidates, length)
        calls = {name: call(model, sample) for name, model in models.items()}
        yield knob, setting, measure(calls, repeats=how.repeats)


# --- Table 1 ----------------------------------------------------------------------------------------------


def quickest(growth: pd.DataFrame) -> pd.DataFrame:
    """The least of the repeats: whatever else the machine does only adds to a time."""
    return growth.groupby(["knob", "setting", "system"], sort=False, as_index=False)["seconds"].min()


def exponents(growth: pd.DataFrame, last: int = 3) -> pd.DataFrame:
    """Slopes of log time over log setting, at the ``last`` settings: columns knob, system, exponent."""
    found = []
    for (knob, system), rows in quickest(growth).groupby(["knob", "system"], sort=False):
        larger = rows.sort_values("setting").iloc[-last:]
        setting, seconds = np.log(larger["setting"]), np.log(larger["seconds"])
        found.append((knob, system, np.polyfit(setting, seconds, 1)[0]))
    return pd.DataFrame(found, columns=["knob", "system", "exponent"])


def beside_table1(looks: pd.DataFrame) -> pd.DataFrame:
    """Table 1's formulas of the online stage beside the exponents of :func:`look_growth`.

    Columns method (as printed), look (as here), online, and for L and K what the formula says and what was
    measured, NaN where it was not.
    """
    printed = published.table("encode_table1").query("metric == 'online_inference_complexity'")
    measured = exponents(looks).pivot(index="system", columns="knob", values="exponent")
    table = printed[["method", "value"]].set_axis(["method", "online"], axis=1)
    table.insert(1, "look", table["method"].map(PRINTED))
    for knob in ("L", "K"):
        table[f"{knob}, printed"] = table["online"].str.contains(knob).astype(int)
        table[f"{knob}, measured"] = table["look"].map(measured[knob])
    return table.reset_index(drop=True)
