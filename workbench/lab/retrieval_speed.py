"""How fast the exact BM25 index answers, beside the two libraries that people use for BM25.

``workbench bench retrieval`` and the figure notebook lift_retrieval_speed both measure with this.

The log is drawn: five fields of the sizes that real logs have, values as skewed as there (Zipf with
exponent 1), queries from the same distribution as keys. Every system gets the same rows: ours as a
table of codes, the libraries as lists of words, which are whole numbers here because that is what
both of them look up fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numba import config

from workbench.errors import ConfigError, unknown
from workbench.lab.bench import Timing, measure
from workbench.methods.retrieval import BM25Index

K = 10
ROWS_PER_ITEM = 20
VALUES = {"brand": 5_000, "category": 1_000, "city": 300, "age": 12}
QUERIES = 50_000
THREADS = config.NUMBA_NUM_THREADS  # the processors at hand, for us and for bm25s

Search = Callable[[int], np.ndarray]  # answers the first n queries: (n, K) scores, best first


@dataclass(frozen=True, eq=False)
class Log:
    """Keys and the queries put to them, (N, M) and (Q, M) int32 codes from 1."""

    keys: np.ndarray
    queries: np.ndarray

    @cached_property
    def _words(self) -> tuple[list[list[int]], list[list[int]]]:
        """Both as lists of words; words are numbered from 0 without gaps, and -1 is in no document."""
        keys, queries = np.empty_like(self.keys), np.empty_like(self.queries)
        used = 0
        for field in range(self.keys.shape[1]):
            values, found = np.unique(self.keys[:, field], return_inverse=True)
            keys[:, field] = used + found
            asked = self.queries[:, field]
            place = np.minimum(np.searchsorted(values, asked), len(values) - 1)
            queries[:, field] = np.where(values[place] == asked, used + place, -1)
            used += len(values)
        return keys.tolist(), queries.tolist()

    @property
    def documents(self) -> list[list[int]]:
        """The keys as lists of words."""
        return self._words[0]

    @property
    def questions(self) -> list[list[int]]:
        """The queries as lists of words."""
        return self._words[1]


def draw_log(rows: int, queries: int = QUERIES, *, catalogue: bool = False, seed: int = 0) -> Log:
    """Draw a skewed log with the fields item (rows / 20 values), brand, category, city and age.

    catalogue : an item always has the same brand and category, as in a real shop; else all fields are
        drawn apart. Raises ConfigError for fewer than 1,000 rows, where every value is frequent.
    """
    if rows < 1_000:
        raise ConfigError(f"a log to measure on has at least 1,000 rows, not {rows}")
    random = np.random.default_rng(seed)
    items, n = rows // ROWS_PER_ITEM, rows + queries
    item = _zipf(random, items, n)
    columns = [item]
    for field, values in VALUES.items():
        if catalogue and field in ("brand", "category"):
            columns.append(_zipf(random, values, items)[item - 1])
        else:
            columns.append(_zipf(random, values, n))
    table = np.stack(columns, axis=1)
    return Log(table[:rows], table[rows:])


def _zipf(random: np.random.Generator, values: int, n: int) -> np.ndarray:
    """(n,) int32 values from 1, the r-th of them with probability proportional to 1 / r."""
    reached = np.cumsum(1 / np.arange(1, values + 1))
    return 1 + np.searchsorted(reached, random.random(n) * reached[-1]).astype(np.int32)


def exact_index(log: Log, idf: str = "clipped") -> tuple[Search, int]:
    """Ours; returns its search and the bytes it holds."""
    rows = len(log.keys)
    index = BM25Index(log.keys, np.arange(rows), idf=idf)

    def search(n: int) -> np.ndarray:
        return index.search(log.queries[:n], K, time=np.full(n, rows), threads=THREADS).scores

    return search, index.memory


def bm25s(log: Log) -> Search:
    """The bm25s library at its quickest: compiled search on all threads, scipy to build, no progress bar.

    Every word stands once in a document of five, so k1 only rescales scores; at 0 they are Eq. 12.
    """
    try:
        import bm25s as library
    except ModuleNotFoundError:
        raise ConfigError("bm25s is not installed; pip install bm25s, or the extra 'test'") from None
    model = library.BM25(method="lucene", k1=0, b=0, backend="numba", csc_backend="scipy")
    model.index(log.documents, show_progress=False)

    def search(n: int) -> np.ndarray:
        return model.retrieve(log.questions[:n], k=K, n_threads=THREADS, show_progress=False).scores

    return search


def rank_bm25(log: Log) -> Search:
    """The rank-bm25 library, which scores every row; the K best are then picked with numpy."""
    from rank_bm25 import BM25Okapi

    model = BM25Okapi(log.documents)

    def search(n: int) -> np.ndarray:
        best = np.empty((n, K))
        for scores, question in zip(best, log.questions[:n], strict=True):
            every = model.get_scores(question)
            scores[:] = np.sort(every[np.argpartition(every, -K)[-K:]])[::-1]
        return best

    return search


class Peer(NamedTuple):
    """A library, and the rule for Eq. 13 under which ours must give the same scores."""

    build: Callable[[Log], Search]
    idf: str


PEERS = {"bm25s": Peer(bm25s, "lucene"), "rank-bm25": Peer(rank_bm25, "clipped")}


class Speeds(NamedTuple):
    """Timings by system ("workbench" first): seconds a query, seconds a build.

    build : empty where it was not asked for. index_bytes : what our index holds.
    """

    search: dict[str, Timing]
    build: dict[str, Timing]
    index_bytes: int


def speeds(
    log: Log, peers: Sequence[str] = tuple(PEERS), *, repeats: int = 7, builds: int = 3, seconds: float = 0.3
) -> Speeds:
    """Measure ours and the peers in turns, after checking that all find the same.

    repeats : timed calls a system, each of about ``seconds`` (one query where a query takes longer).
    builds : timed builds a system, after one that is not timed; 0 for none.
    Raises ConfigError for an unknown peer.
    """
    for name in peers:
        if name not in PEERS:
            raise unknown("peer", name, PEERS)
    own, index_bytes = exact_index(log)
    searches = {"workbench": own, **{name: PEERS[name].build(log) for name in peers}}
    for name in peers:
        check_same_scores(log, name, searches[name])
    counts = {name: _count_for(search, len(log.queries), seconds) for name, search in searches.items()}
    calls = {name: lambda search=search, n=counts[name]: search(n) for name, search in searches.items()}
    search = measure(calls, repeats=repeats, warmup=0, units=counts)
    builders = {"workbench": lambda: exact_index(log)}
    builders |= {name: lambda build=PEERS[name].build: build(log) for name in peers}
    build = measure(builders, repeats=builds, warmup=0) if builds else {}
    return Speeds(search, build, index_bytes)


def check_same_scores(log: Log, name: str, search: Search, queries: int = 3) -> None:
    """Raise AssertionError unless a peer's K best scores are ours, so that nobody times a wrong answer."""
    ours = exact_index(log, PEERS[name].idf)[0](queries)
    theirs = search(queries)
    if not np.allclose(ours, theirs, rtol=1e-4):
        raise AssertionError(f"{name} scores differ from ours:\n{theirs}\n{ours}")


def _count_for(search: Search, most: int, seconds: float) -> int:
    """How many queries take about so many seconds; also warms the system up."""
    search(1)
    count = 1
    while True:
        began = perf_counter()
        search(count)
        took = perf_counter() - began
        if took > seconds / 2 or count == most:
            return int(np.clip(count * seconds / took, 1, most))
        count = min(most, 4 * count)
