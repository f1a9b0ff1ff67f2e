"""The compiled half of k-means on the sphere: one user after the other, all in a processor's nearest cache.

Events lie dimension by dimension and the innermost loops run over events, so that a processor handles
eight or more of them at a time. The last four dimensions, for a small m all there are, are multiplied and
compared in one go; sums of members are kept, and only who moves is taken from one and added to another.
"""

from __future__ import annotations

import numba as nb
import numpy as np

FUSED = 4  # dimensions that are multiplied in the loop that compares


@nb.njit(cache=True, nogil=True)
def kmeans(h, count, first, iterations, label):
    """Labels (U, L) of h (U, L, m) float32; count (U,) and first (U, K) as in ``kmeans_together``."""
    users, length, m = h.shape
    wide = max(m, FUSED)
    across = np.zeros((wide, length), np.float32)  # dimensions that are not there are zero
    centre = np.zeros((first.shape[1], wide), np.float32)
    total = np.empty((first.shape[1], m), np.float64)
    members = np.empty(first.shape[1], np.int64)
    score = np.empty((2, length), np.float32)
    best = np.empty(length, np.float32)
    old = np.empty(length, np.int32)
    new = np.empty(length, np.int32)
    for user in range(users):
        n = count[user]
        clusters = 0
        while clusters < first.shape[1] and first[user, clusters] >= 0:
            clusters += 1
        _directions(h[user], n, across)
        for k in range(clusters):
            for j in range(m):
                centre[k, j] = across[j, first[user, k]]
        total[:clusters] = 0
        members[:clusters] = 0
        old[:n] = -1
        for _ in range(iterations):
            _nearest(across, n, centre, clusters, score, best, new)
            if _join(across, n, old, new, total, members) == 0:
                break
            _move(centre, clusters, total, members)
        label[user, :n] = old[:n]


@nb.njit(nogil=True, inline="always")
def _directions(h, n, across):
    """Vectors (n, m) scaled to length 1, dimension by dimension; what has no length stays zero."""
    for i in range(n):
        length = np.float32(0)
        for j in range(h.shape[1]):
            length += h[i, j] * h[i, j]
        scale = np.float32(1) / np.sqrt(length) if length > 0 else np.float32(0)
        for j in range(h.shape[1]):
            across[j, i] = h[i, j] * scale


@nb.njit(nogil=True, inline="always", fastmath={"contract"})
def _nearest(across, n, centre, clusters, score, best, new):
    """The most alike of the centres for each of n events; the first among equals."""
    wide = len(across)
    best[:n] = -2
    new[:n] = 0  # for vectors that are not numbers, of which no comparison is true
    for k in range(0, clusters, 2):
        other = min(k + 1, clusters - 1)  # an odd one out is asked twice
        for half, c in enumerate((k, other)):
            score[half, :n] = 0
            for j in range(wide - FUSED):
                weight = centre[c, j]
                for i in range(n):
                    score[half, i] += weight * across[j, i]
        _best_of_two(across[wide - FUSED :], score, centre[k], centre[other], k, other, n, best, new)


@nb.njit(nogil=True, inline="always", fastmath={"contract"})
def _best_of_two(last, score, one, two, k, other, n, best, new):
    """The last dimensions of two centres' scores, and who is better than the best so far."""
    w = len(one) - FUSED
    a, b, c, d = last[0], last[1], last[2], last[3]
    first, second = score[0], score[1]
    for i in range(n):
        s = first[i] + one[w] * a[i] + one[w + 1] * b[i] + one[w + 2] * c[i] + one[w + 3] * d[i]
        t = second[i] + two[w] * a[i] + two[w + 1] * b[i] + two[w + 2] * c[i] + two[w + 3] * d[i]
        top, who = best[i], new[i]
        who = k if s > top else who
        top = s if s > top else top
        who = other if t > top else who
        best[i] = t if t > top else top
        new[i] = who


@nb.njit(nogil=True, inline="always")
def _join(across, n, old, new, total, members):
    """Whoever has a new label leaves one sum and joins another; how many did."""
    moved = 0
    for i in range(n):
        if old[i] == new[i]:
            continue
        moved += 1
        if old[i] >= 0:
            members[old[i]] -= 1
            for j in range(total.shape[1]):
                total[old[i], j] -= across[j, i]
        members[new[i]] += 1
        for j in range(total.shape[1]):
            total[new[i], j] += across[j, i]
        old[i] = new[i]
    return moved


@nb.njit(nogil=True, inline="always")
def _move(centre, clusters, total, members):
    """Each centre to the direction of the mean of its members; without members it stays."""
    for k in range(clusters):
        length = 0.0
        for j in range(total.shape[1]):
            length += total[k, j] * total[k, j]
        if members[k] > 0 and length > 0:
            for j in range(total.shape[1]):
                centre[k, j] = total[k, j] / np.sqrt(length)
