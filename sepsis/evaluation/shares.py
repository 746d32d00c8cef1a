"""
Shares, rates and ratios of sums over persons, with intervals in closed form.

Stays, hours and alarms of one person are correlated, so the person is the unit: each ratio keeps the
influence of every person, whose squares sum to its variance (Taylor linearisation). The number of persons
with an event is random. No interval has width 0 because every event was found, or none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtri

from sepsis.evaluation.intervals import proportion_interval, t_quantile, wilson_interval


@dataclass(frozen=True, eq=False)
class Ratio:
    """
    A ratio of two sums over persons, NaN without a denominator; its interval, NaN if the data give none; and
    the influence of every person on it, shape (G,).
    """

    estimate: float
    low: float
    high: float
    influence: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def inverse(self) -> Ratio:
        """1 / the ratio; NaN ends where it is, or may be, 0."""
        one, low, high = (1.0 / x if x > 0 else np.nan for x in (self.estimate, self.high, self.low))
        return Ratio(one, low, high, -self.influence * one * one)

    def times(self, factor: float) -> Ratio:
        """The ratio in other units; `factor` is positive."""
        return Ratio(factor * self.estimate, factor * self.low, factor * self.high, factor * self.influence)


def _linearised(numerator, denominator) -> tuple[float, np.ndarray]:
    numerator, denominator = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    total = denominator.sum()
    if total == 0:
        return np.nan, np.zeros(len(denominator))
    estimate = numerator.sum() / total
    return float(estimate), (numerator - estimate * denominator) / total


def share(numerator, denominator, level: float, *, trials: float | None = None, exact: bool = True) -> Ratio:
    """
    A share of trials, both summed by person (G,), with the exact interval (else Wilson's) of as many
    independent trials as have the same variance.

    `trials` is that number where all or none succeed and no variance can be seen: by default the persons, as
    if all trials of a person were one. Korn and Graubard, Survey Methodology 24 (1998) 193-201.

    Examples
    --------
    >>> found = share(np.ones(10), np.ones(10), 0.95)
    >>> round(found.low, 2), found.high
    (0.69, 1.0)
    """
    estimate, influence = _linearised(numerator, denominator)
    persons = int(np.count_nonzero(denominator))
    n = effective_trials(
        estimate,
        (influence**2).sum(),
        np.sum(denominator),
        persons if trials is None else trials,
        persons,
        level,
    )
    if np.isnan(estimate):
        return Ratio(estimate, np.nan, np.nan, influence)
    low, high = (proportion_interval if exact else wilson_interval)(estimate * n, n, level)
    return Ratio(estimate, float(low), float(high), influence)


def effective_trials(
    estimate: float, variance: float, most: float, unseen: float, persons: int, level: float
) -> float:
    """
    How many independent trials a share of this variance is worth: `most` of them at most, `unseen` of them
    where the variance is 0 or all or none succeed (resamples may differ, as their thresholds do), fewer where
    it rests on few persons.
    """
    if np.isnan(estimate) or np.isnan(variance):
        return np.nan
    alone = estimate * (1.0 - estimate)  # variance of one trial
    n = unseen if min(variance, alone) <= 1e-12 else alone / variance
    n = min(n, most)
    if 1 < persons < n:
        n *= (t_quantile(level, n - 1) / t_quantile(level, persons - 1)) ** 2
    return n


def rate(numerator, denominator, level: float) -> Ratio:
    """
    Events per unit of the denominator, both summed by person (G,), with an interval symmetric on the log
    scale; without any event from 0 to the exact limit of a Poisson count. Garwood, Biometrika 28 (1936)
    437-442, doi:10.1093/biomet/28.3-4.437.

    Examples
    --------
    >>> round(rate([0.0, 0.0], [1.0, 1.0], 0.95).high, 2)  # 3.69 events in 2 days
    1.84
    """
    estimate, influence = _linearised(numerator, denominator)
    tail = 0.5 - level / 2.0
    if np.isnan(estimate):
        return Ratio(estimate, np.nan, np.nan, influence)
    if estimate == 0:
        return Ratio(
            estimate, 0.0, float(gammaincinv(1.0, 1.0 - tail)) / float(np.sum(denominator)), influence
        )
    spread = np.exp(_times_normal(influence / estimate, level))
    return Ratio(estimate, estimate / spread, estimate * spread, influence)


def mean(numerator, denominator, level: float, *, persons: int | None = None) -> Ratio:
    """
    A ratio that may be negative, both parts summed by person (G,), with a symmetric interval of Student's
    distribution; NaN without variation. `persons` sets its degrees of freedom, say the number with an event.
    """
    estimate, influence = _linearised(numerator, denominator)
    half = student_half_width(influence, level, persons or int(np.count_nonzero(denominator)))
    return Ratio(estimate, estimate - half, estimate + half, influence)


def student_half_width(influence, level: float, persons: int) -> float:
    """Half of a symmetric interval, from the influence of each person; NaN without variation."""
    variance = float((np.asarray(influence) ** 2).sum())
    if persons < 2 or variance <= 0.0:
        return np.nan
    return t_quantile(level, persons - 1) * np.sqrt(variance * persons / (persons - 1.0))


def _times_normal(influence, level: float) -> float:
    persons = max(2, int(np.count_nonzero(influence)))
    return float(ndtri(0.5 + level / 2.0) * np.sqrt((influence**2).sum() * persons / (persons - 1.0)))


def difference(a: Ratio, b: Ratio) -> tuple[float, float]:
    """
    Interval of a - b from the intervals of both (MOVER) and their correlation over the same persons. Zou and
    Donner, Stat Med 27 (2008) 1693-1702, doi:10.1002/sim.3095; with shares, Newcombe, Stat Med 17 (1998)
    2635-2650.
    """
    both = np.sqrt((a.influence**2).sum() * (b.influence**2).sum())
    along = float(a.influence @ b.influence) / both if both > 0 else 0.0
    lower, upper = (a.estimate - a.low, b.high - b.estimate), (a.high - a.estimate, b.estimate - b.low)
    half = [np.sqrt(max(0.0, x * x + y * y - 2.0 * along * x * y)) for x, y in (lower, upper)]
    middle = a.estimate - b.estimate
    return middle - half[0], middle + half[1]
