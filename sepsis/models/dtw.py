"""
Dynamic time warping, exact and univariate, for every channel, train series and query prefix at once.

A cell of the DTW table depends only on cells above and to the left, so one sweep over a query passes
the distance of each of its prefixes on the way. Channels are the inner loop, which the compiler turns
into vector instructions; the k nearest are kept while computing, so all distances are never stored.

A distance is the root of the summed squared differences along the best path, as in tslearn,
dtaidistance and pyts (aeon returns the square). The table starts from infinity, so none of the
kernels may use `fastmath`, which assumes there is none.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from joblib import effective_n_jobs
from tslearn.metrics import cdist_dtw
from tslearn.utils import to_time_series_dataset

from sepsis.models.dtw_series import NO_SUBJECT, Queries, Train

QUERIES_PER_TASK = 4  # small tasks keep the threads busy to the end although lengths differ

_INF = np.float32(np.inf)
_ZERO = np.float32(0.0)


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


def dtw_distance(x, y, radius: int | None = None) -> float:
    """
    DTW distance of two univariate series.

    Parameters
    ----------
    x, y : array_like, shapes (n,) and (m,)
        Finite, at least one value each.
    radius : int, optional
        Sakoe-Chiba band taken literally: only cells with |i - j| <= radius. None: no band.

    Returns
    -------
    distance : float
        Root of the summed squared differences; infinite if the band admits no path.

    Raises
    ------
    ValueError
        If a series is empty or has a value that is not finite, or the radius is negative.

    References
    ----------
    Sakoe and Chiba, IEEE Trans. ASSP 26 (1978) 43-49, doi:10.1109/TASSP.1978.1163055.

    Examples
    --------
    >>> dtw_distance([0.0, 1.0, 2.0], [0.0, 2.0])
    1.0
    """
    x, y = (np.ascontiguousarray(s, dtype=float) for s in (x, y))
    if x.ndim != 1 or y.ndim != 1 or not len(x) or not len(y):
        raise ValueError(
            f"DTW needs two univariate series of at least one value, not {x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("DTW needs finite values; fill or cut the gaps first.")
    if radius is not None and radius < 0:
        raise ValueError(f"The radius of a band is 0 or more, not {radius}.")
    return float(np.sqrt(_banded(x, y, len(x) + len(y) if radius is None else int(radius))))


def nearest(
    queries: Queries,
    train: Train,
    k: int,
    *,
    length_normalise: bool = False,
    n_jobs: int | None = None,
    backend: str = "numba",
) -> Neighbours:
    """
    The k nearest train series of every query prefix in every channel.

    Parameters
    ----------
    length_normalise : bool
        Divide the summed squares by n + m, the greatest length a path can have, before the root.
        Without it short series are near to everything.
    n_jobs : int, optional
        Threads, as in joblib: None is one, -1 all.
    backend : "numba" or "tslearn"
        The second is a cross-check: one call of `tslearn.metrics.cdist_dtw` per channel and prefix, some
        thousand times slower.
    """
    found = Neighbours.none_yet(queries.measured.shape, k)
    if backend == "tslearn":
        _nearest_by_tslearn(queries, train, length_normalise, found)
        return found
    order = np.argsort(queries.length, axis=1, kind="stable")
    n_queries = len(queries.subject_id)

    def work(begin: int) -> None:
        end = min(begin + QUERIES_PER_TASK, n_queries)
        _nearest(begin, end, queries, order, train, length_normalise, found)

    begins = range(0, n_queries, QUERIES_PER_TASK)
    threads = min(effective_n_jobs(n_jobs), max(len(begins), 1))
    if threads == 1:
        for begin in begins:
            work(begin)
    else:
        with ThreadPoolExecutor(threads) as pool:  # the kernel holds no interpreter lock
            list(pool.map(work, begins))
    np.sqrt(found.distance, out=found.distance)
    return found


def _nearest_by_tslearn(queries: Queries, train: Train, length_normalise: bool, found: Neighbours) -> None:
    """`nearest` by tslearn's own distances, into `found`."""
    own = (queries.subject_id[:, None] == train.subject_id) & (queries.subject_id[:, None] != NO_SUBJECT)
    train_length = np.diff(train.series.offsets)
    for p, c in np.ndindex(queries.measured.shape[1:]):
        asking = np.flatnonzero(queries.measured[:, p, c] & (queries.length[:, p] > 0)).tolist()
        usable = np.flatnonzero(train.measured[:, c]).tolist()
        if not asking or not usable:
            continue
        distances = cdist_dtw(
            to_time_series_dataset([queries.prefix(b, p)[:, c] for b in asking]),
            to_time_series_dataset([train.series.one(n)[:, c] for n in usable]),
        )
        if length_normalise:
            distances /= np.sqrt(queries.length[asking, p][:, None] + train_length[usable])
        for (i, j), distance in np.ndenumerate(distances):
            b, n = asking[i], usable[j]
            if not own[b, n]:
                place = found.distance[b, p, c], found.neighbour[b, p, c], found.spill[b, p, c]
                _offer(np.float32(distance), n, train.ballot, *place)


@numba.njit(nogil=True, cache=True)
def _nearest(begin, end, queries, order, train, length_normalise, found):
    """
    `nearest` for queries `begin` to `end`; leaves the squares of the distances in `found`.

    `order[b]` sorts the prefixes of query b by length: each is read off on the way to the longer ones.
    """
    length = queries.length
    n_train = len(train.subject_id)
    longest = 0
    for n in range(n_train):
        longest = max(longest, train.series.offsets[n + 1] - train.series.offsets[n])
    width = train.series.values.shape[1]
    row = np.empty((longest, width), np.float32)
    left_a = np.empty(width, np.float32)
    left_b = np.empty(width, np.float32)
    corner = np.empty(width, np.float32)
    for b in range(begin, end):
        x = queries.series.values[queries.series.offsets[b] :]
        for n in range(n_train):
            if queries.subject_id[b] != NO_SUBJECT and queries.subject_id[b] == train.subject_id[n]:
                continue
            y = train.series.values[train.series.offsets[n] : train.series.offsets[n + 1]]
            row[: len(y)] = _INF
            i = 0  # rows of the query that `row` has absorbed
            for step, p in enumerate(order[b]):
                if length[b, p] == 0:
                    continue
                while i + 2 < length[b, p]:
                    _two_rows(x[i], x[i + 1], y, i == 0, row, left_a, left_b, corner)
                    i += 2
                if i + 1 < length[b, p]:
                    _row_and_last(x[i], x[i], y, i == 0, row, left_a, left_b, corner)
                    i += 1
                last = queries.last[b, p]
                if step + 1 < length.shape[1] and length[b, order[b, step + 1]] > length[b, p]:
                    # A longer prefix follows and wants this hour whole: both in one pass.
                    _row_and_last(x[i], last, y, i == 0, row, left_a, left_b, corner)
                    i += 1
                else:
                    _last_only(last, y, i == 0, row, left_b, corner)
                scale = np.float32(1.0 / (length[b, p] + len(y))) if length_normalise else np.float32(1.0)
                _offer_all(b, p, n, left_b, scale, queries, train, found)


@numba.njit(nogil=True, cache=True)
def _offer_all(b, p, n, squares, scale, queries, train, found):
    """Offer train series `n` to query b, prefix p in every channel that both have measured."""
    k = found.distance.shape[3]
    for c in range(found.distance.shape[2]):
        candidate = squares[c] * scale
        if candidate > found.distance[b, p, c, k - 1]:
            continue
        if queries.measured[b, p, c] and train.measured[n, c]:
            _offer(
                candidate,
                n,
                train.ballot,
                found.distance[b, p, c],
                found.neighbour[b, p, c],
                found.spill[b, p, c],
            )


@numba.njit(nogil=True, cache=True)
def _two_rows(a, b, y, is_first, row, left_a, left_b, corner):
    """Take `row`, the DTW table's row i, to row i + 2, for query values `a` and `b`, in place."""
    width = row.shape[1]
    left_a[:] = _INF
    left_b[:] = _INF
    corner[:] = _ZERO if is_first else _INF
    for j in range(y.shape[0]):
        for c in range(width):
            above = row[j, c]
            gap_a = a[c] - y[j, c]
            gap_b = b[c] - y[j, c]
            cell_a = min(min(above, left_a[c]), corner[c]) + gap_a * gap_a
            cell_b = min(min(cell_a, left_b[c]), left_a[c]) + gap_b * gap_b
            corner[c] = above
            left_a[c] = cell_a
            left_b[c] = cell_b
            row[j, c] = cell_b


@numba.njit(nogil=True, cache=True)
def _row_and_last(a, last, y, is_first, row, left_a, left_b, corner):
    """Take `row` one row on for query values `a`; `left_b` is left as the distance had it been `last`."""
    width = row.shape[1]
    left_a[:] = _INF
    left_b[:] = _INF
    corner[:] = _ZERO if is_first else _INF
    for j in range(y.shape[0]):
        for c in range(width):
            above = row[j, c]
            gap_a = a[c] - y[j, c]
            gap_b = last[c] - y[j, c]
            cell_a = min(min(above, left_a[c]), corner[c]) + gap_a * gap_a
            cell_b = min(min(above, left_b[c]), corner[c]) + gap_b * gap_b
            corner[c] = above
            left_a[c] = cell_a
            left_b[c] = cell_b
            row[j, c] = cell_a


@numba.njit(nogil=True, cache=True)
def _last_only(last, y, is_first, row, left_b, corner):
    """Leave in `left_b` the distance if the query ends with `last`; `row` stays as it is."""
    width = row.shape[1]
    left_b[:] = _INF
    corner[:] = _ZERO if is_first else _INF
    for j in range(y.shape[0]):
        for c in range(width):
            gap = last[c] - y[j, c]
            cell = min(min(row[j, c], left_b[c]), corner[c]) + gap * gap
            corner[c] = row[j, c]
            left_b[c] = cell


@numba.njit(nogil=True, cache=True)
def _offer(candidate, n, ballot, distance, index, spill):
    """Put train series `n` among the k nearest of one channel if it is; count it if it ties with the k-th."""
    k = len(distance)
    worst = distance[k - 1]
    if not candidate <= worst or candidate == np.inf:
        return
    if candidate == worst:
        spill[0] += 1.0
        spill[1] += ballot[n, 0]
        spill[2] += ballot[n, 1]
        return
    pushed_out = index[k - 1]
    place = k - 1
    while place > 0 and distance[place - 1] > candidate:
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


@numba.njit(cache=True)
def _banded(x, y, radius):
    """Summed squares along the best path inside the band, in float64."""
    row = np.full(len(y) + 1, np.inf)
    row[0] = 0.0
    for i in range(len(x)):
        corner = row[0]
        row[0] = np.inf
        for j in range(len(y)):
            above = row[j + 1]
            if abs(i - j) <= radius:
                row[j + 1] = min(above, row[j], corner) + (x[i] - y[j]) ** 2
            else:
                row[j + 1] = np.inf
            corner = above
    return row[len(y)]
