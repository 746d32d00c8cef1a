"""Several figures at once: Holm's rule for p values, simultaneous bands for curves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sepsis.evaluation.intervals import t_quantile

DRAWS = 20_000  # of the largest deviation: its 95 % quantile is then known to one per cent
NO_SPREAD = 1e-12  # what rounding leaves of an influence that is 0 everywhere


def holm(p_values) -> np.ndarray:
    """
    p values adjusted so that the chance of any false claim among them stays below the level; NaN stays NaN
    and is not counted. Holm, Scand J Stat 6 (1979) 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3)
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    adjusted = np.full(len(p), np.nan)
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def simultaneous_quantile(sums, level: float, df: int, random_state=0) -> float:
    """
    How many standard errors make a band that holds all K points of a curve at once.

    The quantile of the largest of K correlated t statistics with `df` degrees of freedom, by simulation;
    `sums` (K, G), the influence of every unit on each point (`Clusters.sums`), give their correlation. A
    point without variance does not widen the band; NaN without a degree of freedom. Montiel Olea and
    Plagborg-Moller, J Appl Econom 34 (2019) 1-17, doi:10.1002/jae.2656.
    """
    sums = np.asarray(sums, dtype=float)
    spread = np.sqrt((sums**2).sum(axis=1))
    varies = np.isfinite(spread) & (spread > NO_SPREAD)
    if not varies.any() or df < 1:
        return t_quantile(level, df)
    unit = sums[varies] / spread[varies, None]
    values, vectors = np.linalg.eigh(unit @ unit.T)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal, scale = _draws(len(root), df, random_state)
    largest = np.abs(normal @ root.T).max(axis=1) / scale
    return max(float(np.quantile(largest, level)), t_quantile(level, df))


@lru_cache(maxsize=4)
def _draws(size: int, df: int, random_state) -> tuple[np.ndarray, np.ndarray]:
    """Standard normals (DRAWS, size) and what makes t of them (DRAWS,); many curves share them."""
    rng = np.random.default_rng(random_state)
    normal = rng.normal(size=(DRAWS, size))
    return normal, np.sqrt(rng.chisquare(df, size=DRAWS) / df)
