"""The benchmarks of ``workbench bench``; each says what its peer is and what both sides do.

The one that draws, ``explorer``, is in :mod:`workbench.show.benchmarks`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from workbench.data.interactions import Interactions
from workbench.data.world import make_world
from workbench.data.world_kernel import N_DRAWS
from workbench.lab import dualrec_speed, encode_speed, lcn_speed, lift_speed, retrieval_speed
from workbench.lab.bench import Measurement, benchmark, compare


@benchmark("interactions", help="validate, code and sort a raw table; peer: only coding it with pandas")
def interactions(size: str) -> Iterator[Measurement]:
    """What Interactions.from_frame costs over the least anyone pays: one factorize a column."""
    for n in {"tiny": (1_000,), "quick": (100_000,), "full": (100_000, 1_000_000)}[size]:
        frame = _raw_table(n)
        systems = {
            "workbench": lambda frame=frame: Interactions.from_frame(
                frame, name="benchmark", duplicates="keep"
            ),
            "pandas factorize only": lambda frame=frame: [
                pd.factorize(frame[column], sort=True) for column in ("user", "item", "category")
            ],
        }
        yield from compare("interactions", case=f"{n:,} rows", systems=systems)


def _raw_table(n: int) -> pd.DataFrame:
    """n rows with integer users and items and string categories, in no order."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": random.integers(0, n // 50, n),
            "item": random.integers(0, n // 20, n),
            "category": np.char.add("c", random.integers(0, 40, n).astype(str)).astype(object),
            "timestamp": random.integers(1_500_000_000, 1_600_000_000, n),
            "label": random.integers(0, 2, n),
        }
    )


@benchmark("world", help="generate the embedded world; peer: only drawing its random numbers with numpy")
def world(size: str) -> Iterator[Measurement]:
    """What make_world costs over the least its sampling needs: the uniforms of all events."""
    for users in {"tiny": (50,), "quick": (1_000,), "full": (1_000, 10_000)}[size]:
        events = len(make_world("small", users=users).interactions)
        systems = {
            "workbench": lambda users=users: make_world("small", users=users),
            "numpy draws only": lambda n=events: np.random.default_rng(0).random((n, N_DRAWS)),
        }
        yield from compare("world", case=f"{events:,} interactions", systems=systems, repeats=5)


@benchmark("retrieval", help="10 best keys a query, time per query and build; peers bm25s and rank-bm25")
def retrieval(size: str) -> Iterator[Measurement]:
    """The exact index against the libraries, on drawn logs: fields apart, and an item's fields fixed."""
    sizes = {"tiny": (1_000,), "quick": (10_000, 100_000), "full": (10_000, 100_000, 1_000_000)}[size]
    for n in sizes:
        for catalogue in (False, True):
            yield from _retrieval(f"{n:,} keys", n, catalogue, 0.02 if size == "tiny" else 0.3)


def _retrieval(case: str, n: int, catalogue: bool, seconds: float) -> Iterator[Measurement]:
    log = retrieval_speed.draw_log(n, catalogue=catalogue)
    # Builds do not depend on which values go together: once is enough.
    found = retrieval_speed.speeds(log, seconds=seconds, builds=0 if catalogue else 3)
    own = found.search["workbench"]
    for peer in retrieval_speed.PEERS:
        theirs = found.search[peer]
        note = f"{1 / own.median_s:,.0f} against {1 / theirs.median_s:,.1f} queries/s"
        where = f"{case}, catalogue" if catalogue else case
        yield Measurement.of("retrieval", where, own, peer, theirs, note)
    held = f"the index holds {found.index_bytes / 1e6:.1f} MB"
    for peer in retrieval_speed.PEERS if found.build else ():
        yield Measurement.of(
            "retrieval", f"build {case}", found.build["workbench"], peer, found.build[peer], held
        )


@benchmark("lift", help="predict, pretrain, fill the datastore; peers RIM, BERT4Rec, DIN and bare network")
def lift(size: str) -> Iterator[Measurement]:
    """LIFT beside its peers, on one thread, and how it grows with K, L and the retrieval set."""
    yield from lift_speed.measurements(size)


@benchmark("dualrec", help="train and predict next items; peers padded, plain and past encoder alone")
def dualrec(size: str) -> Iterator[Measurement]:
    """DualRec beside what public code does, and how it grows with the items and the length."""
    yield from dualrec_speed.measurements(size)


@benchmark("lcn", help="predict with a long sequence; peers SIM soft and full attention")
def lcn(size: str) -> Iterator[Measurement]:
    """The attention pyramid beside a search and beside attention to everything, and how all grow with L."""
    yield from lcn_speed.measurements(size)


@benchmark("encode", help="cluster, extract interests, answer requests; peers scikit-learn and other looks")
def encode(size: str) -> Iterator[Measurement]:
    """ENCODE's two stages beside what public code does, and how they grow with K, L and m."""
    yield from encode_speed.measurements(size)
