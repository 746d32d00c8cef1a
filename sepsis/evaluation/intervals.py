"""
Confidence intervals: by resampling whole units, and exact ones of shares.

The unit is the person, since stays of one person are correlated; for measures that are conditional on
matching it is the matched set. Units are drawn without regard to their class, so a resample has as many
cases as chance gives it: the prevalence is random, and so is every measure that depends on it. A resample
without a case or without a control has no value and is left out. Areas under curves have intervals of their
own (`sepsis.evaluation.influence`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

Statistic = Callable[[np.ndarray], dict[Any, np.ndarray]]  # weights (R, G) to named arrays (..., R)
CHUNK_CELLS = 4_000_000  # resamples x units held at once: 16 MB of weights


def unit_resamples(n_units: int, n_resamples: int, random_state) -> Iterator[np.ndarray]:
    """
    How often each unit is drawn, a chunk of resamples (R, G) at a time; the same seed gives the same
    resamples, whatever the size of a chunk.
    """
    rng = np.random.default_rng(random_state)
    chunk = max(1, CHUNK_CELLS // max(1, n_units))
    for first in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - first)
        weights = np.empty((rows, n_units), dtype=np.int32)
        for row in range(rows):  # row by row: draws do not depend on the chunk size
            weights[row] = np.bincount(rng.integers(0, n_units, size=n_units), minlength=n_units)
        yield weights


def resampled(has_event, n_resamples: int, random_state, statistic: Statistic) -> dict[Any, np.ndarray]:
    """
    Statistics of every resample of the units; arrays have shape (..., n_resamples).

    No resample is made if `resampling_says_something` is false. `statistic` takes weights (R, G), chunk by
    chunk, which bounds memory; it gives NaN for a resample that lacks a class it needs.
    """
    has_event = np.asarray(has_event, dtype=bool)
    if not resampling_says_something(has_event):
        n_resamples = 0
    chunks = [statistic(weights) for weights in unit_resamples(len(has_event), n_resamples, random_state)]
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


def units_of_sets(subject_id, set_id) -> np.ndarray:
    """The matched set of every row as a number (N,); a row without one (-1) is of its subject's own unit."""
    set_id, subject = np.asarray(set_id), np.unique(subject_id, return_inverse=True)[1]
    return np.unique(np.where(set_id >= 0, set_id, -1 - subject), return_inverse=True)[1].astype(np.int64)


def summed_by_unit(unit, values, n_units: int) -> np.ndarray:
    """Sums over the stays of each subject, shape (G,) or (G, K), to be multiplied by resampling weights."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 1:
        return np.bincount(unit, weights=values, minlength=n_units)
    columns = [np.bincount(unit, weights=column, minlength=n_units) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_units, 0))


def resampling_says_something(has_event) -> bool:
    """Whether neither class rests on just one unit: a single one does not tell how cases (controls) vary."""
    events = int(np.sum(has_event))
    return 1 not in (events, len(has_event) - events)


def percentile_interval(samples, level: float) -> tuple[float, float]:
    """Central interval of resampled values, NaN omitted; NaN without any value."""
    samples = np.asarray(samples, dtype=float)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return float(low), float(high)


def proportion_interval(successes: float, n: float, level: float) -> tuple[float, float]:
    """
    Exact interval of a share of independent trials; NaN without trials. Clopper and Pearson, Biometrika 26
    (1934) 404-413, doi:10.1093/biomet/26.4.404. Its width is never 0: of 10 of 10 it is [0.69, 1].

    Examples
    --------
    >>> [round(end, 3) for end in proportion_interval(10, 10, 0.95)]
    [0.692, 1.0]
    """
    if n <= 0 or np.isnan(successes):
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low = 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes >= n else float(betaincinv(successes + 1, n - successes, 1.0 - tail))
    return low, high


def wilson_interval(successes, n, level: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Score interval of shares, narrower than the exact one; arrays are allowed, NaN without trials. Wilson, J
    Am Stat Assoc 22 (1927) 209-212, doi:10.1080/01621459.1927.10502953.
    """
    successes, n = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    size, z = np.where(n > 0, n, np.nan), ndtri(0.5 + level / 2.0)
    share = successes / size
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * np.sqrt(share * (1 - share) / size + z * z / (4 * size * size)) / (1 + z * z / size)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def t_quantile(level: float, df: float) -> float:
    """Standard errors in half an interval, by t with `df` degrees of freedom; NaN with none."""
    return float(stdtrit(df, 0.5 + level / 2.0)) if df >= 1 else np.nan
