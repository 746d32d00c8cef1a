"""
Confidence intervals by resampling subjects.

Stays of one person are not independent, so persons are drawn, not stays. Subjects with an event and
subjects without are drawn separately, each as many as there are: no resample loses its cases, which
in a small test split would otherwise happen.

How often 95 % intervals held the truth, normal risks one SD apart, a quarter of the stays cases, 500
resamples: AUROC 0.938, 0.948, 0.965 and AUPRC 0.895, 0.945, 0.940 with 60, 160 and 600 stays (400,
400, 200 trials; November 2026). With few cases AUPRC intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

CHUNK_CELLS = 4_000_000  # resamples x subjects held at once: 16 MB of weights


def subject_resamples(has_event, n_resamples: int, random_state) -> Iterator[np.ndarray]:
    """
    How often each subject is drawn, a chunk of resamples at a time.

    Parameters
    ----------
    has_event : array of bool, shape (G,)
        Whether any stay of the subject is a case: the stratum.
    n_resamples : int
        Resamples in all.
    random_state : int or numpy Generator
        The same seed gives the same resamples, whatever the size of a chunk.

    Yields
    ------
    weights : ndarray of int32, shape (R, G)
        Each row sums to G, and over each stratum to the size of that stratum.
    """
    rng = np.random.default_rng(random_state)
    has_event = np.asarray(has_event, dtype=bool)
    strata = [np.flatnonzero(has_event), np.flatnonzero(~has_event)]
    chunk = max(1, CHUNK_CELLS // max(1, len(has_event)))
    for first in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - first)
        weights = np.empty((rows, len(has_event)), dtype=np.int32)
        for row in range(rows):  # row by row, so that the draws do not depend on the chunk
            for members in strata:
                size = len(members)
                if size:
                    drawn = rng.integers(0, size, size=size)
                    weights[row, members] = np.bincount(drawn, minlength=size)
        yield weights


def resampling_says_something(has_event) -> bool:
    """
    Whether each stratum that exists has at least two subjects.

    One lone subject is drawn every time: an interval would pretend to know what it cannot.
    """
    events = int(np.sum(has_event))
    return 1 not in (events, len(has_event) - events)


def percentile_interval(samples, level: float) -> tuple[float, float]:
    """
    Central interval of resampled values.

    Parameters
    ----------
    samples : array, shape (R,)
        NaN where a resample had no such value (no control in it); left out.
    level : float
        0.95 for a 95 % interval.

    Returns
    -------
    low, high : float
        NaN where no resample has a value.
    """
    samples = np.asarray(samples, dtype=float)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return float(low), float(high)
