"""The compiled half of the exact BM25 index: counting sorts to build it, pattern search to ask it.

How a search stays exact and usually reads little. A row's score depends only on *which* of the
query's fields it matches, its pattern; there are at most 2^M patterns and their scores are known
before any row is read. So the search visits patterns from the best score down, and stops when K rows
are held and the next pattern scores less than the worst of them. For one pattern it reads the
shortest list that must contain its rows: the posting list of a field value, or of a pair of values.

A short list is read whole, and every pattern it can serve is then done. A long one is read newest
first until K rows of this very pattern are found, at worst to its end. Patterns that cannot occur (a
brand without its category) would have many long lists read in vain; so once a query has read as many
rows as there are, it reads all rows once and is done. Rows are numbered by age here ("rank": 0 is
the newest), so reading forwards is reading newest first, which is also how ties are decided.

Only the three entry points are cached on disk; what they call is compiled into them.
"""

from __future__ import annotations

import numba as nb
import numpy as np

READ_WHOLE = 64  # lists up to this long are read to the end: cheaper than looking for a shorter one


@nb.njit(cache=True, nogil=True)
def group_starts(codes, size):
    """(size + 1,) int64: where each code's group begins once rows are grouped by code."""
    starts = np.zeros(size + 1, np.int64)
    for code in codes:
        starts[code + 1] += 1
    for code in range(size):
        starts[code + 1] += starts[code]
    return starts


@nb.njit(cache=True, nogil=True)
def group_by(codes, order, starts):
    """Stable counting sort: the ranks in ``order`` grouped by their code. (N,) int32."""
    fill = starts[:-1].copy()
    grouped = np.empty(len(order), np.int32)
    for rank in order:
        code = codes[rank]
        grouped[fill[code]] = rank
        fill[code] += 1
    return grouped


@nb.njit(nogil=True, inline="always")
def _lower_bound(listed, low, high, keys, field, code):
    """First place in listed[low:high], sorted by keys[., field], whose code is not below ``code``."""
    while low < high:
        middle = (low + high) // 2
        if keys[listed[middle], field] < code:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(nogil=True)
def _patterns(weight, active, scores, order):
    """Scores of all 2^m subsets of the active fields, and the subsets from best to worst.

    Weights are added in field order, as the reference adds them, so that equal means equal.
    """
    count = 1 << len(active)
    for pattern in range(count):
        score = 0.0
        for bit in range(len(active)):
            if pattern >> bit & 1:
                score += weight[active[bit]]
        scores[pattern] = score
    # Shell sort: quick at these sizes, and free of numba's own sort, whose cached code has crashed here.
    for pattern in range(count):
        order[pattern] = pattern
    gap = count // 2
    while gap > 0:
        for i in range(gap, count):
            moving, j = order[i], i
            while j >= gap and scores[order[j - gap]] < scores[moving]:
                order[j] = order[j - gap]
                j -= gap
            order[j] = moving
        gap //= 2
    return count


@nb.njit(nogil=True, inline="always")
def _offer(score, rank, best_score, best_rank, held):
    """Insert a row into the sorted top K (best first; among equals the newest first)."""
    k = len(best_score)
    if held == k:
        if score < best_score[k - 1] or (score == best_score[k - 1] and rank > best_rank[k - 1]):
            return held
        place = k - 1
    else:
        place = held
        held += 1
    while place > 0 and (
        best_score[place - 1] < score or (best_score[place - 1] == score and best_rank[place - 1] > rank)
    ):
        best_score[place] = best_score[place - 1]
        best_rank[place] = best_rank[place - 1]
        place -= 1
    best_score[place] = score
    best_rank[place] = rank
    return held


@nb.njit(nogil=True)
def _shortest_list(pattern, active, query, keys, low, high, pair_of, pairs, pair_low, pair_high):
    """The shortest list that holds every row of a pattern: (list, the bits it fixes, begin, end).

    The list is a pair's number, or -1 - b for the postings of the value of active[b].
    """
    first = -1
    for bit in range(len(active)):
        if pattern >> bit & 1 and (first < 0 or high[bit] - low[bit] < high[first] - low[first]):
            first = bit
    chosen, bits, begin, end = -1 - first, 1 << first, low[first], high[first]
    if end - begin <= READ_WHOLE:
        return chosen, bits, begin, end
    for bit in range(len(active)):
        if bit == first or not pattern >> bit & 1:
            continue
        pair = pair_of[active[first], active[bit]]
        if pair_low[pair] < 0:  # not asked for yet in this query
            # The list of a pair (a, b) is grouped by a's code, like a's postings, then by b's.
            owner, other = (
                (first, bit)
                if pair_of[active[first], active[first]] <= pair_of[active[bit], active[bit]]
                else (bit, first)
            )
            field = active[other]
            code = query[field]
            pair_low[pair] = _lower_bound(pairs[pair], low[owner], high[owner], keys, field, code)
            pair_high[pair] = _lower_bound(pairs[pair], pair_low[pair], high[owner], keys, field, code + 1)
        if pair_high[pair] - pair_low[pair] < end - begin:
            chosen, begin, end = pair, pair_low[pair], pair_high[pair]
            bits = (1 << first) | (1 << bit)
            if end - begin <= READ_WHOLE:
                break
    return chosen, bits, begin, end


@nb.njit(nogil=True, inline="always")
def _pattern_of(rank, keys, query, active):
    """The pattern of a row: bit b is set where the row agrees with the query on active[b]."""
    pattern = 0
    for bit in range(len(active)):
        if keys[rank, active[bit]] == query[active[bit]]:
            pattern |= 1 << bit
    return pattern


@nb.njit(nogil=True)
def _read_whole(listed, skip_owner, query, active, keys, owner, scores, done, best_score, best_rank, held):
    """Offer every row of a short list whose pattern is not done yet; returns the rows held."""
    for rank in listed:
        pattern = _pattern_of(rank, keys, query, active)
        score = scores[pattern]
        if done[pattern] or score <= 0.0 or (held == len(best_score) and score < best_score[-1]):
            continue
        if owner[rank] != skip_owner:  # asked last: another array, another cache miss
            held = _offer(score, rank, best_score, best_rank, held)
    return held


@nb.njit(nogil=True)
def _read_pattern(
    listed, skip_owner, query, active, keys, owner, score, pattern, best_score, best_rank, held
):
    """Offer the newest K rows of exactly this pattern; returns the rows held and the rows read."""
    wanted, read = len(best_score), 0
    for rank in listed:
        read += 1
        if _pattern_of(rank, keys, query, active) == pattern and owner[rank] != skip_owner:
            held = _offer(score, rank, best_score, best_rank, held)
            wanted -= 1
            if wanted == 0:
                break
    return held, read


@nb.njit(nogil=True)
def _active_fields(query, multipliers, idf, base, starts, weight, active, low, high):
    """The fields that can change a score: value known to the keys, weight not 0. Returns how many.

    Fills weight (by field) and, by place, active, and low and high, the value's range of postings.
    """
    count = 0
    for field in range(len(query)):
        code = query[field]
        if code <= 0 or code >= base[field + 1] - base[field] - 1:
            continue  # unknown here: contributes 0 (ambiguity L4)
        at = base[field] + code
        weight[field] = multipliers[field] * idf[at]
        if starts[at] < starts[at + 1] and weight[field] != 0.0:
            active[count], low[count], high[count] = field, starts[at], starts[at + 1]
            count += 1
    return count


@nb.njit(cache=True, nogil=True)
def search(
    queries, skip_owner, multipliers, keys, owner, idf, base, starts, postings, pair_of, pairs, everything,
    ranks, totals,
):  # fmt: skip
    """Exact top K of every query (Eqs. 12-13); fills ranks (B, K) int32 and totals (B, K).

    queries (B, M) codes; skip_owner (B,) the user whose own rows are left out, or -1; multipliers (M,)
    field weights; keys (N, M) codes in rank order; owner (N,) users; idf and starts are flat over
    fields, field j beginning at base[j]; postings (M, N) and pairs (P, N) int32 ranks; pair_of (M, M)
    names the pair of two fields, its diagonal the order of fields from most to fewest values; everything
    (N,) is all ranks.
    """
    fields = queries.shape[1]
    weight = np.zeros(fields)
    scores = np.empty(1 << fields)
    order = np.empty(1 << fields, np.int64)
    done = np.empty(1 << fields, np.bool_)
    places = np.empty(fields, np.int64)
    low = np.empty(fields, np.int64)
    high = np.empty(fields, np.int64)
    pair_low = np.empty(len(pairs), np.int64)
    pair_high = np.empty(len(pairs), np.int64)
    for q in range(len(queries)):
        query, best_score, best_rank, held, read = queries[q], totals[q], ranks[q], 0, 0
        active = places[: _active_fields(query, multipliers, idf, base, starts, weight, places, low, high)]
        patterns = _patterns(weight, active, scores, order)
        done[:patterns] = False
        pair_low[:] = -1
        for pattern in order[:patterns]:
            score = scores[pattern]
            if score <= 0.0 or (held == len(best_score) and best_score[-1] > score):
                break
            if done[pattern]:
                continue
            pair, bits, begin, end = _shortest_list(
                pattern, active, query, keys, low, high, pair_of, pairs, pair_low, pair_high
            )
            listed = (pairs[pair] if pair >= 0 else postings[active[-1 - pair]])[begin:end]
            if len(listed) > READ_WHOLE and read <= len(keys):
                held, more = _read_pattern(
                    listed, skip_owner[q], query, active, keys, owner, score, pattern, best_score, best_rank,
                    held,
                )  # fmt: skip
                done[pattern] = True
                read += more
                continue
            if len(listed) > READ_WHOLE:  # enough read in vain: everything once, and nothing is left
                listed, bits = everything, 0
            held = _read_whole(
                listed, skip_owner[q], query, active, keys, owner, scores, done, best_score, best_rank, held
            )
            for other in range(patterns):
                if other & bits == bits:
                    done[other] = True
