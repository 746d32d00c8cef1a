"""The k nearest training series, kept during a sweep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sepsis.core.jit import kernel
from sepsis.models.dtw.kernels import any_near
from sepsis.models.dtw.series import NO_SUBJECT


class Neighbours(NamedTuple):
    """
    The k nearest training series of every query, prefix and channel, nearest first.

    `distance` (float32) and `neighbour` (int32, a position in the training series, which also orders equal
    distances) have shape (B, P, C, k), with infinity and -1 where fewer than k series may be neighbours.
    `ties_beyond_k` (float64, shape (B, P, C, 3)): number of series as far as the k-th but not among the k,
    and the sum of their vote weights.
    """

    distance: np.ndarray
    neighbour: np.ndarray
    ties_beyond_k: np.ndarray

    @classmethod
    def none_yet(cls, shape: tuple[int, int, int], k: int) -> Neighbours:
        """Room for `shape` = (B, P, C) times k neighbours."""
        return cls(
            np.full((*shape, k), np.inf, np.float32),
            np.full((*shape, k), -1, np.int32),
            np.zeros((*shape, 3)),
        )


@kernel
def offer(candidate, n, vote_weight, distance, index, ties):
    """
    Add training series `n` to the k nearest of one channel, or count it if it ties with the k-th.

    Of equal distances the earlier position is the nearer, whatever the order of the offers.
    """
    k = len(distance)
    worst = distance[k - 1]
    if not candidate <= worst or candidate == np.inf:
        return
    if candidate == worst and n > index[k - 1]:
        ties[0] += 1.0
        ties[1] += vote_weight[n, 0]
        ties[2] += vote_weight[n, 1]
        return
    pushed_out = index[k - 1]
    place = k - 1
    while place > 0 and (
        distance[place - 1] > candidate or (distance[place - 1] == candidate and index[place - 1] > n)
    ):
        distance[place] = distance[place - 1]
        index[place] = index[place - 1]
        place -= 1
    distance[place] = candidate
    index[place] = n
    if distance[k - 1] < worst:
        ties[:] = 0.0
    elif pushed_out >= 0:
        ties[0] += 1.0
        ties[1] += vote_weight[pushed_out, 0]
        ties[2] += vote_weight[pushed_out, 1]


@kernel
def _are_compared(queries, train, b, p, c, n, n_common, lane):
    if queries.subject_id[b] != NO_SUBJECT and queries.subject_id[b] == train.subject_id[n]:
        return False
    if len(n_common):
        return n_common[lane] > 0
    return queries.measured[b, p, c] and train.measured[n, c]


@kernel
def take_ends(lanes, found, b, c, prefixes, ends, scales, n_common, block, queries, train):
    """
    Offer squares to `found`: prefixes of query b, channel c, against a block of training series.

    The squares `ends` and their factors `scales` of the s-th of `prefixes` start at `s * len(lanes)`; the
    caller takes the root. `block`: positions of the series in the lanes. `n_common`, shape (number of
    lanes,): channels compared by a distance over several, empty if over one.
    """
    size, k = len(lanes), found.distance.shape[3]
    for s, p in enumerate(prefixes):
        if any_near(lanes, ends, scales, s * size, found.distance[b, p, c, k - 1]):
            distance, index = found.distance[b, p, c], found.neighbour[b, p, c]
            ties = found.ties_beyond_k[b, p, c]
            for lane in range(len(block)):
                at, n = s * size + lane, block[lane]
                candidate = ends[at] * scales[at]
                if candidate <= distance[k - 1] and _are_compared(queries, train, b, p, c, n, n_common, lane):
                    offer(candidate, n, train.vote_weight, distance, index, ties)
