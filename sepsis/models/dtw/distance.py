"""
Exact dynamic time warping of every channel, training series and query prefix in one sweep.

A distance is the root of the summed squared differences along the best path, as in tslearn, dtaidistance
and pyts (aeon returns the square). The table starts from infinity, so no kernel may use `fastmath`.
"""

from __future__ import annotations

import numpy as np
from tslearn.metrics import cdist_dtw
from tslearn.utils import to_time_series_dataset

from sepsis.models.dtw.neighbours import Neighbours, offer
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Train
from sepsis.models.dtw.sweep import Warping, lanes_of, sweep

__all__ = ["Neighbours", "nearest"]


def nearest(
    queries: Queries,
    train: Train,
    k: int,
    *,
    length_normalise: bool = False,
    n_jobs: int | None = None,
    backend: str = "numba",
    metric: str = "independent",
    radius_h: int | None = None,
    kernel: str = "auto",
) -> Neighbours:
    """
    The k nearest training series of every query prefix in every channel; the options are those of `DTWKNN`.

    A dependent distance sums squares over the channels that both sides measured and multiplies by all / those
    summed, as scikit-learn's `nan_euclidean_distances` does; the result then has C = 1, and two series
    without a common channel are not neighbours. The band is that of Sakoe and Chiba
    (doi:10.1109/TASSP.1978.1163055) on the hour. The backend "tslearn" is some thousand times slower and has
    no bands. The kernels "vector" and "plain" agree to the bit. ValueError for another metric, backend or
    kernel, or a radius below 0.
    """
    _check_options(backend, metric, radius_h, kernel)
    shape = queries.measured.shape if metric == "independent" else (*queries.measured.shape[:2], 1)
    found = Neighbours.none_yet(shape, k)
    if backend == "tslearn":
        by_tslearn = _dependent_by_tslearn if metric == "dependent" else _nearest_by_tslearn
        by_tslearn(queries, train, length_normalise, found)
        return found
    how = Warping(metric == "dependent", -1 if radius_h is None else int(radius_h), length_normalise)
    sweep(queries, train, how, found, n_jobs=n_jobs, lanes=lanes_of(kernel))
    np.sqrt(found.distance, out=found.distance)
    return found


def _check_options(backend: str, metric: str, radius_h: int | None, kernel: str) -> None:
    for name, value, known in (
        ("backend", backend, ("numba", "tslearn")),
        ("metric", metric, ("independent", "dependent")),
        ("kernel", kernel, ("auto", "vector", "plain")),
    ):
        if value not in known:
            raise ValueError(f"DTW: no {name} {value!r}; there are {', '.join(known)}.")
    if radius_h is not None and radius_h < 0:
        raise ValueError(f"The radius of a band is 0 or more, not {radius_h}.")
    if backend == "tslearn" and radius_h is not None:
        raise ValueError("DTW: the backend 'tslearn' has no bands: it takes them as relative to the lengths.")


def _nearest_by_tslearn(queries: Queries, train: Train, length_normalise: bool, found: Neighbours) -> None:
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
                place = found.distance[b, p, c], found.neighbour[b, p, c], found.ties_beyond_k[b, p, c]
                offer(np.float32(distance), n, train.vote_weight, *place)


def _dependent_by_tslearn(queries: Queries, train: Train, length_normalise: bool, found: Neighbours) -> None:
    """`_nearest_by_tslearn` with one path through all channels that both sides measured."""
    train_length = np.diff(train.series.offsets)
    n_channels = train.series.n_channels
    for b, p in np.argwhere(queries.length > 0):
        common = train.measured & queries.measured[b, p]
        own = (queries.subject_id[b] == train.subject_id) & (queries.subject_id[b] != NO_SUBJECT)
        distances = np.full(len(common), np.inf)
        for channels in np.unique(common[common.any(axis=1)], axis=0):
            alike = np.flatnonzero((common == channels).all(axis=1))
            asked = to_time_series_dataset([queries.prefix(b, p)[:, channels]])
            others = to_time_series_dataset([train.series.one(n)[:, channels] for n in alike.tolist()])
            distances[alike] = cdist_dtw(asked, others)[0] * np.sqrt(n_channels / channels.sum())
        if length_normalise:
            distances /= np.sqrt(queries.length[b, p] + train_length)
        for n in np.flatnonzero(~own):
            offer(np.float32(distances[n]), n, train.vote_weight, *(part[b, p, 0] for part in found))
