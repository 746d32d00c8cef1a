"""
What a sweep leaves behind: the k nearest, kept while it goes, or every distance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload

from sepsis.core.jit import kernel
from sepsis.models.dtw.kernels import any_near
from sepsis.models.dtw.series import NO_SUBJECT


class Neighbours(NamedTuple):
    """
    The k nearest train series of every query, prefix and channel, nearest first.

    Attributes
    ----------
    distance : ndarray of float32, shape (B, P, C, k)
        Infinite where fewer than k series may be a neighbour.
    neighbour : ndarray of int32, shape (B, P, C, k)
        Position in the train series; -1 where the distance is infinite. Equal distances are ordered
        by position.
    spill : ndarray of float64, shape (B, P, C, 3)
        Series just as far as the k-th but not among the k: their number, and the sum of their ballots.
    """

    distance: np.ndarray
    neighbour: np.ndarray
    spill: np.ndarray

    @classmethod
    def none_yet(cls, shape: tuple[int, int, int], k: int) -> Neighbours:
        """Room for `shape` = (B, P, C) times k neighbours."""
        return cls(
            np.full((*shape, k), np.inf, np.float32),
            np.full((*shape, k), -1, np.int32),
            np.zeros((*shape, 3)),
        )


@kernel
def offer(candidate, n, ballot, distance, index, spill):
    """
    Put train series `n` among the k nearest of one channel if it is; count it if it ties with the k-th.

    Of equal distances the earlier position is the nearer, whatever the order of the offers.
    """
    k = len(distance)
    worst = distance[k - 1]
    if not candidate <= worst or candidate == np.inf:
        return
    if candidate == worst and n > index[k - 1]:
        spill[0] += 1.0
        spill[1] += ballot[n, 0]
        spill[2] += ballot[n, 1]
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
        spill[:] = 0.0
    elif pushed_out >= 0:
        spill[0] += 1.0
        spill[1] += ballot[pushed_out, 0]
        spill[2] += ballot[pushed_out, 1]


@kernel
def _are_compared(queries, train, b, p, c, n, n_common, lane):
    """Whether both measured the channel, or any if one distance is for all, and are two people's."""
    if queries.subject_id[b] != NO_SUBJECT and queries.subject_id[b] == train.subject_id[n]:
        return False
    if len(n_common):
        return n_common[lane] > 0
    return queries.measured[b, p, c] and train.measured[n, c]


def take_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train):
    """
    Hand squares to `sink`: prefixes of query b, channel c, against a block of train series.

    Parameters
    ----------
    sink : Neighbours, or ndarray of float32, shape (B, P, C, N)
        The caller takes the root. A pair that is not compared is left out.
    ends, scales : ndarray of float32
        Squares and their factors, those of the s-th of `prefixes` from `s * len(lanes)` on.
    n_common : ndarray of int, shape (number of lanes,) or (0,)
        Channels compared, if a distance is over several; empty if over one.
    block : ndarray of int
        Positions of the train series in the lanes.
    """
    if isinstance(sink, np.ndarray):
        _store_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train)
    else:
        _offer_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train)


@kernel
def _store_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train):
    for s, p in enumerate(prefixes):
        for lane in range(len(block)):
            at, n = s * len(lanes) + lane, block[lane]
            if _are_compared(queries, train, b, p, c, n, n_common, lane):
                sink[b, p, c, n] = ends[at] * scales[at]


@kernel
def _offer_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train):
    size, k = len(lanes), sink.distance.shape[3]
    for s, p in enumerate(prefixes):
        if any_near(lanes, ends, scales, s * size, sink.distance[b, p, c, k - 1]):
            distance, index, spill = sink.distance[b, p, c], sink.neighbour[b, p, c], sink.spill[b, p, c]
            for lane in range(len(block)):
                at, n = s * size + lane, block[lane]
                candidate = ends[at] * scales[at]
                if candidate <= distance[k - 1] and _are_compared(queries, train, b, p, c, n, n_common, lane):
                    offer(candidate, n, train.ballot, distance, index, spill)


@overload(take_ends)
def _take_ends(lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train):
    if isinstance(sink, types.Array):
        return lambda lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train: _store_ends(
            lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train
        )
    return lambda lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train: _offer_ends(
        lanes, sink, b, c, prefixes, ends, scales, n_common, block, queries, train
    )
