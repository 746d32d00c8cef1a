"""
Intervals of AUROC, average precision, conditional concordance and their differences, from a variance.

`quantile` says how many standard errors: that of t with a degree of freedom less than there are units with a
case, or a simultaneous one (`sepsis.evaluation.multiplicity`). Coverage by simulation, and the alternatives
that cover less, are in `docs/decisions.md`; `tests/benchmarks/bench_coverage.py` measures it again.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr

from sepsis.calibration.logistic import expit, logit

NOTHING = (np.nan, np.nan)
NO_VARIANCE = 1e-24  # what rounding leaves of none
LEAST_EFFECT = 0.5  # least share of the variance of independent rows: an estimated one can be far too small
EDGE = 1e-12


def independent_variance(auroc: float, n_cases: float, n_controls: float) -> float:
    """
    Variance of an AUROC of independent rows by its value alone. Newcombe, Stat Med 25 (2006) 559-573,
    doi:10.1002/sim.2324, method 5.
    """
    a, more = auroc, (n_cases + n_controls) / 2.0 - 1.0
    shape = 1.0 + more * ((1.0 - a) / (2.0 - a) + a / (1.0 + a))
    return a * (1.0 - a) * shape / (n_cases * n_controls)


def auroc_interval(
    auroc: float, variance: float, n_cases: float, n_controls: float, quantile: float, n_sets: float = 1.0
) -> tuple[float, float]:
    """
    The areas that are not rejected by the estimate, their variance being Newcombe's times a design effect.

    The design effect is the estimated variance (DeLong's, clustered) over Newcombe's at the estimate, at
    least a half, and one where all pairs are ranked rightly, or all wrongly; so the interval never has width
    0 there, and stays inside 0 and 1. Elsewhere it is nearly that of DeLong on the log odds scale. A risk
    that ties all pairs has [0.5, 0.5]. `n_sets` > 1: a mean over sets of `n_cases` and `n_controls` each.
    """
    if not (np.isfinite(auroc) and np.isfinite(variance) and np.isfinite(quantile)):
        return NOTHING
    if abs(auroc - 0.5) < EDGE and variance < NO_VARIANCE:
        return auroc, auroc
    inside = EDGE < auroc < 1.0 - EDGE
    expected = independent_variance(auroc, n_cases, n_controls) / n_sets
    effect = max(variance / expected, LEAST_EFFECT) if inside else 1.0

    def excess(area: float) -> float:
        spread = quantile**2 * effect * independent_variance(area, n_cases, n_controls) / n_sets
        return (auroc - area) ** 2 - spread

    low = brentq(excess, 0.0, auroc - EDGE) if auroc > EDGE else 0.0
    high = brentq(excess, auroc + EDGE, 1.0) if auroc < 1.0 - EDGE else 1.0
    return float(low), float(high)


def concordance_interval(
    concordance: float, variance: float, n_sets: int, n_controls: float, quantile: float
) -> tuple[float, float]:
    """
    Interval of a mean over `n_sets` matched sets of one case and `n_controls` controls on average.

    A risk that ties each case with its controls, such as the clock, has exactly 0.5, and [0.5, 0.5].
    """
    if n_sets < 2:
        return NOTHING
    return auroc_interval(concordance, variance, 1.0, n_controls, quantile, n_sets)


def auprc_interval(auprc: float, variance: float, n_cases: int, quantile: float) -> tuple[float, float]:
    """
    Average precision plus and minus multiples of its standard error, on the scale of log odds.

    Where every case is ahead of every control, the lower end is the share that as many independent successes
    do not reject (Clopper and Pearson); the estimate has no variance then.
    """
    if not (np.isfinite(auprc) and np.isfinite(variance) and np.isfinite(quantile)):
        return NOTHING
    if auprc >= 1.0 - EDGE:
        tail = float(stdtr(max(n_cases - 1, 1), -quantile))
        return tail ** (1.0 / n_cases), 1.0
    return log_odds_interval(auprc, variance, quantile)


def log_odds_interval(share: float, variance: float, quantile: float) -> tuple[float, float]:
    """A share plus and minus multiples of its standard error, on the scale of log odds; NaN at 0 or 1."""
    if not (0.0 < share < 1.0 and np.isfinite(variance) and np.isfinite(quantile)):
        return NOTHING
    half = quantile * np.sqrt(variance) / (share * (1.0 - share))
    low, high = expit(logit(share, EDGE) + np.array([-half, half]))
    return min(float(low), share), max(float(high), share)


def at_most_one(estimate: float, variance: float, quantile: float) -> tuple[float, float]:
    """An estimate plus and minus multiples of its standard error, up to 1; it may be below 0."""
    if not (np.isfinite(estimate) and np.isfinite(variance) and np.isfinite(quantile)):
        return NOTHING
    half = quantile * np.sqrt(variance)
    return estimate - half, min(1.0, estimate + half)


def difference_interval(difference: float, variance: float, quantile: float) -> tuple[float, float]:
    """Paired difference plus and minus multiples of its standard error; a copy of a model has [0, 0]."""
    if not (np.isfinite(difference) and np.isfinite(variance) and np.isfinite(quantile)):
        return NOTHING
    if variance < NO_VARIANCE and abs(difference) > EDGE:  # no interval is that sure of a difference
        return NOTHING
    half = quantile * np.sqrt(variance)
    return max(-1.0, difference - half), min(1.0, difference + half)


def difference_p_value(difference: float, variance: float, df: int) -> float:
    """Two-sided p value of a paired difference, by t; 1 for a copy, NaN without a variance."""
    if not (np.isfinite(difference) and np.isfinite(variance)) or df < 1:
        return np.nan
    if variance < NO_VARIANCE:
        return 1.0 if abs(difference) <= EDGE else np.nan
    return float(2.0 * stdtr(df, -abs(difference) / np.sqrt(variance)))
