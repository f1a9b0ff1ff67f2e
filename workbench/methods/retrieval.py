"""LIFT's retriever R (Section 4.3): find interactions whose features resemble the target's.

Every field value is a word and every interaction a document of M words, so BM25 shrinks to a sum of
IDFs over the fields on which query and key agree (Eqs. 12-13). This module holds that sum three
times: as a reference one can read in one breath, through the rank-bm25 library where its rules agree,
and as an exact index that answers in microseconds.

Departures
----------
* Same-user rows are left out when the caller names the owners (ambiguity L2): the claim under test is
  about *other* users.
* IDF < 0, for a value in more than half of the rows, is clipped at 0 (L3); ``idf="literal"`` keeps
  Eq. 13 as printed and ``"lucene"`` is the search engines' log(1 + ...).
* A value that the keys do not have, and code 0 (unknown), match nothing (L4). Ties: newest first,
  then the smaller row number (L4). A row whose score is not positive is not retrieved: it shares
  nothing that would speak for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from numbers import Real

import numpy as np

from workbench.errors import ConfigError, DataError, unknown
from workbench.methods import retrieval_kernel as kernel

IDF_RULES = ("clipped", "literal", "lucene")
MAX_FIELDS = 12  # 2^M match patterns are weighed for every query
LARGEST = 2**31 - 2  # codes and row numbers are kept in 32 bits
MAX_WEIGHT = 1_000_000


def inverse_document_frequency(rows_with_value: np.ndarray, rows: int, rule: str = "clipped") -> np.ndarray:
    """Eq. 13: IDF(x) = log((N - N(x) + 0.5) / (N(x) + 0.5)).

    rows_with_value : N(x), any shape; rows : N. ``rule``: see the module's Departures.
    """
    if rule not in IDF_RULES:
        raise unknown("IDF rule", rule, IDF_RULES)
    n = np.asarray(rows_with_value, dtype=np.float64)
    odds = (rows - n + 0.5) / (n + 0.5)
    if rule == "lucene":
        return np.log1p(odds)
    literal = np.log(odds)
    return literal if rule == "literal" else np.maximum(literal, 0.0)


def rank_scores(keys: np.ndarray, query: np.ndarray, rule: str = "clipped") -> np.ndarray:
    """Eq. 12, the reference: RankScore(x_z, x_d) = sum over fields of IDF(x_j^z) 1(x_j^z = x_j^d).

    keys : (N, M) int codes; query : (M,) codes. Returns (N,) float64.
    """
    matches = (keys == query) & (query > 0)  # (N, M); code 0 is "unknown" and matches nothing
    idf = inverse_document_frequency(matches.sum(axis=0), len(keys), rule)  # (M,)
    scores = np.zeros(len(keys))
    for field in range(len(query)):  # in field order, so that every implementation adds alike
        scores += np.where(matches[:, field], idf[field], 0.0)
    return scores


def top_k(scores: np.ndarray, time: np.ndarray, k: int) -> np.ndarray:
    """Rows of the K best positive scores: highest first, among equals the newest, then the lower row."""
    best = np.lexsort((np.arange(len(scores)), -time, -scores))[:k]
    return best[scores[best] > 0]


def rank_bm25_scores(keys: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Eq. 12 through the rank-bm25 library: (N,) float64.

    Documents all have M words, each once, so BM25's length and frequency factors are 1 and the scores
    equal :func:`rank_scores` as long as no value fills half of the rows and no code is 0 (to the
    library, "unknown" is a word like any other). Where Eq. 13 turns negative, the library puts a
    quarter of the average IDF instead.
    """
    from rank_bm25 import BM25Okapi

    documents = [[f"{field}={code}" for field, code in enumerate(row)] for row in keys]
    return BM25Okapi(documents).get_scores([f"{field}={code}" for field, code in enumerate(query)])


@dataclass(frozen=True)
class Retrieved:
    """What a search returns, best first.

    rows : (B, K) int64 row numbers of the keys, -1 where fewer than K rows score above 0.
    scores : (B, K) float64 rank scores (Eq. 12, natural-log units), 0 where rows is -1.
    """

    rows: np.ndarray
    scores: np.ndarray


def _whole(values: np.ndarray, what: str) -> np.ndarray:
    """Integers as int64; anything else is refused, since a cast would change which row it names."""
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"{what} must be whole numbers, not {values.dtype}")
    return values.astype(np.int64)


class BM25Index:
    """Exact top-K search over categorical keys (Eqs. 4, 12, 13).

    Parameters
    ----------
    keys : (N, M) int32 codes of the retrieval set; 0 means unknown.
    time : (N,) int64 times of the keys. Every query must be later than the newest of them.
    owner : (N,) user codes, needed to leave a user's own rows out.
    fields : names of the M columns, for messages and for ``weights``.
    idf : ``"clipped"`` (default), ``"literal"`` or ``"lucene"``.

    Memory: N (8 M + 2 M (M - 1) + 20) bytes: 100 MB for a million keys with five fields.
    """

    def __init__(
        self,
        keys: np.ndarray,
        time: np.ndarray,
        owner: np.ndarray | None = None,
        *,
        fields: Sequence[str] | None = None,
        idf: str = "clipped",
    ) -> None:
        keys = np.asarray(keys)
        if keys.ndim != 2 or 0 in keys.shape:
            raise DataError(f"keys must be a (rows, fields) table with something in it, not {keys.shape}")
        rows, width = keys.shape
        if not np.issubdtype(keys.dtype, np.integer) or keys.min() < 0 or keys.max() > LARGEST:
            raise DataError(f"keys must be integer codes from 0 to {LARGEST:,}")
        if rows > LARGEST:
            raise DataError(f"one index holds at most {LARGEST:,} rows, not {rows:,}")
        if width > MAX_FIELDS:
            raise ConfigError(f"at most {MAX_FIELDS} fields can be searched, not {width}")
        self.fields = tuple(fields) if fields is not None else tuple(f"field {j}" for j in range(width))
        for name, length, wanted in (
            ("fields", len(self.fields), width),
            ("time", len(time), rows),
            ("owner", rows if owner is None else len(owner), rows),
        ):
            if length != wanted:
                raise DataError(f"{name} has {length} entries, the keys need {wanted}")
        if len(set(self.fields)) < width:
            raise ConfigError(f"field names must differ: {', '.join(self.fields)}")
        time = _whole(time, "times")
        self._has_owner = owner is not None
        owner = _whole(owner, "owners") if self._has_owner else np.zeros(rows, np.int64)
        if owner.min() < 0:
            raise DataError("owners must be user codes from 0")
        self.newest = int(time.max())
        # From here on a row is known by its age: rank 0 is the newest, ties by row number.
        self._row_of = np.lexsort((np.arange(rows), -time))
        self._keys = np.ascontiguousarray(keys[self._row_of], dtype=np.int32)
        self._owner = owner[self._row_of]
        self._build(idf)

    def __len__(self) -> int:
        return len(self._keys)

    def _build(self, rule: str) -> None:
        rows, width = self._keys.shape
        columns = [np.ascontiguousarray(self._keys[:, j]) for j in range(width)]
        sizes = [int(column.max()) + 1 for column in columns]
        starts = [kernel.group_starts(column, size) for column, size in zip(columns, sizes, strict=True)]
        self._everything = np.arange(rows, dtype=np.int32)  # newest first
        self._postings = np.stack(
            [kernel.group_by(c, self._everything, s) for c, s in zip(columns, starts, strict=True)]
        )
        # A pair's list is grouped by the field with more values (shorter groups), then by the other.
        by_values = sorted(range(width), key=lambda j: -sizes[j])
        self._pair_of = np.full((width, width), -1, dtype=np.int64)
        self._pair_of[by_values, by_values] = np.arange(width)
        self._pairs = np.empty((width * (width - 1) // 2, rows), np.int32)
        for pair, (a, b) in enumerate(combinations(by_values, 2)):
            self._pair_of[a, b] = self._pair_of[b, a] = pair
            self._pairs[pair] = kernel.group_by(columns[a], self._postings[b], starts[a])
        self._base = np.concatenate(([0], np.cumsum([size + 1 for size in sizes])))
        self._starts = np.concatenate(starts)
        idf = [np.append(inverse_document_frequency(np.diff(s), rows, rule), 0.0) for s in starts]
        self._idf = np.concatenate(idf)

    @property
    def memory(self) -> int:
        """Bytes held by the index."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def idf(self, query: np.ndarray) -> np.ndarray:
        """(M,) Eq. 13 for each value of a query; 0 for values the keys do not have."""
        result = np.zeros(len(self.fields))
        for field, code in enumerate(query):
            if 0 < code < self._base[field + 1] - self._base[field] - 1:
                at = self._base[field] + code
                result[field] = self._idf[at] if self._starts[at] < self._starts[at + 1] else 0.0
        return result

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        time: np.ndarray,
        owner: np.ndarray | None = None,
        weights: dict[str, float] | None = None,
        threads: int | None = None,
    ) -> Retrieved:
        """Eq. 4: C_z = R(x_z), the K keys with the highest rank score for each query.

        Parameters
        ----------
        queries : (B, M) int codes in the order of ``fields``.
        time : (B,) int64; each must be later than every key, else DataError: what happened at or
            after the prediction cannot be looked up.
        owner : (B,) users whose own rows are left out; None searches all rows.
        weights : field -> multiplier of its IDF (1 where not named; 0 ignores the field).
        threads : worker threads (default: the processors at hand, at most 8).
        """
        queries = _whole(queries, "queries")
        if queries.ndim != 2 or queries.shape[1] != len(self.fields):
            raise DataError(f"queries must be (B, {len(self.fields)}) codes, not {queries.shape}")
        if not isinstance(k, (int, np.integer)) or not 1 <= k <= len(self):
            raise ConfigError(f"K must be a number from 1 to the {len(self)} rows of the index, not {k!r}")
        # A code that no key can have is an unknown one.
        queries = np.ascontiguousarray(np.where((queries < 0) | (queries > LARGEST), 0, queries), np.int32)
        time = _whole(time, "times")
        if time.shape != (len(queries),):
            raise DataError(f"one time a query is needed: {len(queries)}, not {time.shape}")
        early = np.flatnonzero(time <= self.newest)
        if early.size:
            raise DataError(
                f"leak: query {early[0] + 1} is at time {int(time[early[0]])}, not later than the newest "
                f"key at {self.newest}",
                fix="Index only rows that are earlier than every query (the retrieval set)",
            )
        # Like queries after one another read the same lists, which are then still in the cache.
        order = np.lexsort(queries.T[::-1])
        queries, skip = queries[order], self._skipped(owner, len(queries))[order]
        multipliers = self._multipliers(weights)
        rank = np.full((len(queries), k), -1, dtype=np.int32)
        score = np.zeros((len(queries), k))

        def work(part: slice) -> None:
            kernel.search(
                queries[part], skip[part], multipliers, self._keys, self._owner, self._idf, self._base,
                self._starts, self._postings, self._pair_of, self._pairs, self._everything,
                rank[part], score[part],
            )  # fmt: skip

        if threads is not None and threads < 1:
            raise ConfigError(f"at least one thread is needed, not {threads}")
        workers = threads or min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8)
        size = max(64, -(-len(queries) // (4 * workers)))
        parts = [slice(at, at + size) for at in range(0, len(queries), size)] or [slice(0, 0)]
        work(parts[0])  # in this thread, so that the kernel is compiled before threads share it
        if workers == 1 or len(parts) == 1:
            for part in parts[1:]:
                work(part)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, parts[1:]))
        back = np.argsort(order)
        return Retrieved(np.where(rank >= 0, self._row_of[rank], -1)[back], score[back])

    def _skipped(self, owner: np.ndarray | None, queries: int) -> np.ndarray:
        if owner is None:
            return np.full(queries, -1, dtype=np.int64)
        if not self._has_owner:
            raise ConfigError("the index was built without owners, so no user's rows can be left out")
        owner = _whole(owner, "owners")
        if owner.shape != (queries,):
            raise DataError(f"one owner a query is needed: {queries}, not {owner.shape}")
        return owner

    def _multipliers(self, weights: dict[str, float] | None) -> np.ndarray:
        multipliers = np.ones(len(self.fields))
        for name, weight in (weights or {}).items():
            if name not in self.fields:
                raise unknown("field", name, self.fields)
            if not isinstance(weight, Real) or not 0 <= weight <= MAX_WEIGHT:
                raise ConfigError(f"the weight of {name!r} must be from 0 to {MAX_WEIGHT:,}, not {weight!r}")
            multipliers[self.fields.index(name)] = weight
        return multipliers
