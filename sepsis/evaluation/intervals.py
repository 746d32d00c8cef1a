"""
Confidence intervals by resampling subjects, since stays of one person are correlated. Subjects with and
without an event are drawn separately, so no resample loses its cases.

Intervals of areas (AUROC, average precision) are symmetric in log odds; all others are percentiles. With at
least 40 cases, 95 % intervals cover 93 to 97 % (`docs/decisions.md`, 2026-11-24, has the table); with fewer,
intervals of differences are too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri

from sepsis.calibration.logistic import expit, logit

Statistic = Callable[[np.ndarray], dict[Any, np.ndarray]]  # weights (R, G) to named arrays (..., R)
CHUNK_CELLS = 4_000_000  # resamples x subjects held at once: 16 MB of weights


def subject_resamples(has_event, n_resamples: int, random_state) -> Iterator[np.ndarray]:
    """
    How often each subject is drawn, a chunk of resamples (R, G) at a time, stratified by `has_event`; the
    same seed gives the same resamples, whatever the size of a chunk.
    """
    rng = np.random.default_rng(random_state)
    has_event = np.asarray(has_event, dtype=bool)
    strata = [np.flatnonzero(has_event), np.flatnonzero(~has_event)]
    chunk = max(1, CHUNK_CELLS // max(1, len(has_event)))
    for first in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - first)
        weights = np.empty((rows, len(has_event)), dtype=np.int32)
        for row in range(rows):  # row by row: draws do not depend on the chunk size
            for members in strata:
                size = len(members)
                if size:
                    drawn = rng.integers(0, size, size=size)
                    weights[row, members] = np.bincount(drawn, minlength=size)
        yield weights


def resampled(has_event, n_resamples: int, random_state, statistic: Statistic) -> dict[Any, np.ndarray]:
    """
    Statistics of every resample of the subjects; arrays have shape (..., n_resamples).

    No resample is made if `resampling_says_something` is false. `statistic` takes weights (R, G), chunk by
    chunk, which bounds memory.
    """
    has_event = np.asarray(has_event, dtype=bool)
    if not resampling_says_something(has_event):
        n_resamples = 0
    chunks = [statistic(weights) for weights in subject_resamples(has_event, n_resamples, random_state)]
    if not chunks:
        chunks = [statistic(np.empty((0, len(has_event)), np.int32))]
    return {name: np.concatenate([c[name] for c in chunks], axis=-1) for name in chunks[0]}


def together(statistics: Mapping[Any, Statistic]) -> Statistic:
    """Several statistics as one, on the same resamples: weights (R, G) to arrays named (key, name)."""

    def all_of_them(weights):
        return {
            (key, name): values for key, one in statistics.items() for name, values in one(weights).items()
        }

    return all_of_them


def units_of(subject_id, is_case) -> tuple[np.ndarray, np.ndarray]:
    """
    The subject of every stay as a number (N,), the column of the resampling weights, and whether each
    subject has an event (G,).
    """
    unit = np.unique(np.asarray(subject_id), return_inverse=True)[1].astype(np.int64)
    return unit, np.bincount(unit, weights=np.asarray(is_case, dtype=float)) > 0


def summed_by_unit(unit, values, n_units: int) -> np.ndarray:
    """Sums over the stays of each subject, shape (G,) or (G, K), to be multiplied by resampling weights."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 1:
        return np.bincount(unit, weights=values, minlength=n_units)
    columns = [np.bincount(unit, weights=column, minlength=n_units) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_units, 0))


def resampling_says_something(has_event) -> bool:
    """Whether no stratum has just one subject: that one is in every resample, without variation."""
    events = int(np.sum(has_event))
    return 1 not in (events, len(has_event) - events)


def area_interval(estimate: float, samples, level: float, nearest: float) -> tuple[float, float]:
    """
    Interval of an area under a curve: its log odds plus and minus multiples of their bootstrap standard
    error; NaN with fewer than two samples. Efron and Tibshirani 1993, chapter 12.6.

    Average precision is skewed and biased upwards in small samples, more so with the ties of a resample, so
    percentiles miss the truth on one side; the spread of the resamples is right. Areas are clipped to
    `nearest` from 0 and 1: half the contribution of one case-control pair.
    """
    samples = np.asarray(samples, dtype=float)
    samples = samples[~np.isnan(samples)]
    if len(samples) < 2 or np.isnan(estimate):
        return np.nan, np.nan
    half = float(ndtri(0.5 + level / 2.0) * logit(samples, nearest).std(ddof=1))
    low, high = expit(logit(estimate, nearest) + np.array([-half, half]))
    return min(float(low), float(estimate)), max(float(high), float(estimate))


def percentile_interval(samples, level: float) -> tuple[float, float]:
    """Central interval of resampled values, NaN omitted; NaN without any value."""
    samples = np.asarray(samples, dtype=float)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return float(low), float(high)
