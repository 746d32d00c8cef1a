"""
k and channels chosen on the training windows alone, each compared with those of other subjects.

One sweep keeps the nearest for the largest k; every smaller k and every set of channels is read off it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score

from sepsis.models.dtw.distance import Neighbours
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train
from sepsis.models.dtw.votes import average_share, case_share, first_k

QUERIES_AT_ONCE = 256  # bounds the memory of the neighbours kept: 256 x 44 x 50 is about 5 MB


@dataclass(frozen=True, eq=False)
class Selection:
    """
    The k and the `channels` (positions, ascending) chosen by leaving one subject out, and their scores.

    `share`: out-of-subject shares of cases at that k, shape (N, channels chosen). `ensemble_ap`: average
    precision of the mean share for each of `candidates`; `channel_ap`: of each channel alone at the chosen k.
    """

    k: int
    channels: np.ndarray
    share: np.ndarray
    candidates: tuple[int, ...]
    ensemble_ap: np.ndarray
    channel_ap: np.ndarray


def out_of_subject_shares(
    train: Train,
    candidates: Sequence[int],
    nearest: Callable[[Queries, Train, int], Neighbours],
) -> np.ndarray:
    """
    Shares of cases among the neighbours of every training window, its own subject left out.

    Returns shape (number of candidates, N, C), NaN where a channel abstains; C is 1 for a distance over all
    channels. `candidates` ascend. A window without a subject (`NO_SUBJECT`) is a subject of its own.
    """
    train = train._replace(subject_id=own_subjects(train.subject_id))
    parts = []
    for begin in range(0, len(train.subject_id), QUERIES_AT_ONCE):
        queries = whole_series_as_queries(train, begin, begin + QUERIES_AT_ONCE)
        found = nearest(queries, train, max(candidates))
        parts.append(
            [case_share(first_k(found, k, train.vote_weight), train.vote_weight)[:, 0] for k in candidates]
        )
    return np.concatenate(parts, axis=1)


def own_subjects(subject_id: np.ndarray) -> np.ndarray:
    """Subjects numbered from 0; each window without a subject is one of its own."""
    known = subject_id != NO_SUBJECT
    numbered = np.unique(subject_id, return_inverse=True)[1].astype(np.int64)
    return np.where(known, numbered, len(subject_id) + np.arange(len(subject_id)))


def whole_series_as_queries(train: Train, begin: int, end: int) -> Queries:
    """Training series `begin` to `end`, each whole, as queries."""
    series = train.series
    offsets = series.offsets[begin : end + 1]
    values = series.values[offsets[0] : offsets[-1]]
    return Queries(
        series=Series(values, offsets - offsets[0], series.n_channels),
        length=np.diff(offsets)[:, None],
        last=series.values[offsets[1:] - 1][:, None],
        measured=train.measured[begin:end, None],
        subject_id=train.subject_id[begin:end],
    )


def select(
    shares: np.ndarray,
    candidates: Sequence[int],
    y: np.ndarray,
    mass: np.ndarray,
    *,
    top_m: int | None = None,
) -> Selection:
    """
    The k, and the channels, with the best out-of-subject average precision.

    For each k the `top_m` channels that are best alone (ties: the earlier channel; all if None) are averaged;
    the smallest k wins a tie. A channel that abstains counts as the prevalence. `shares` has shape (K, N, C);
    `mass` is the number of windows that each represents.
    """
    prevalence = float(np.average(y, weights=mass))
    alone = np.where(np.isnan(shares), prevalence, shares)
    channel_ap = np.array(
        [[average_precision_score(y, one, sample_weight=mass) for one in share.T] for share in alone]
    )
    order = np.argsort(-channel_ap, axis=1, kind="stable")[:, :top_m]
    chosen = np.sort(order, axis=1)
    ensemble_ap = np.empty(len(candidates))
    for i, channels in enumerate(chosen):
        mean = average_share(shares[i][:, channels], np.ones(len(channels)), prevalence)
        ensemble_ap[i] = average_precision_score(y, mean, sample_weight=mass)
    best = int(np.argmax(ensemble_ap))
    return Selection(
        k=int(candidates[best]),
        channels=chosen[best],
        share=shares[best][:, chosen[best]],
        candidates=tuple(int(k) for k in candidates),
        ensemble_ap=ensemble_ap,
        channel_ap=channel_ap[best],
    )
