"""
Lead time of the first true alarm, and the lead time expected by chance.

Lead time at a given recall rewards poor models, since random alarms fall anywhere in the valid window. The
same scores are therefore shuffled in time among the hours of each case before onset: how often a risk is high
stays, when it is high is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.evaluation.alarms import AlarmRules, alarm_counts
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import proportion_interval

SHUFFLES = 50
BIN_WIDTHS_H = (1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 48.0, 96.0, 168.0)
MAX_BINS = 40
CURVE = ["model", "setting", "lead_h_from", "lead_h_to", "events", "events_shuffled"]


@dataclass(frozen=True, eq=False)
class Shuffles:
    """
    The hours of cases before onset, unshuffled, their index among all stays (cases,), and K orders (K, T):
    the hour that each hour takes its risks from, within the same stay and for all models alike.
    """

    hours: Hours
    case: np.ndarray
    orders: np.ndarray

    @classmethod
    def of(cls, hours: Hours, random_state, size: int = SHUFFLES) -> Shuffles:
        """Shuffle the hours of every case."""
        last_h = np.where(hours.is_case, hours.onset_h - 2 * TOLERANCE_H, -np.inf)
        cases = hours.before(last_h)
        case = np.flatnonzero(hours.time_h[hours.start[:-1]] <= last_h + TOLERANCE_H)
        rng = np.random.default_rng(random_state)
        stay = cases.stay
        orders = [np.lexsort((rng.random(len(stay)), stay)) for _ in range(size)]
        return cls(cases, case, np.array(orders, dtype=np.int64).reshape(size, len(stay)))

    def leads(self, model: int, threshold, rules: AlarmRules) -> np.ndarray:
        """
        Lead times of the shuffled scores, shape (K, cases), at one threshold or one for each stay; NaN
        without a true alarm.
        """
        threshold = np.asarray(threshold)[self.case] if np.ndim(threshold) else threshold
        made = np.full((len(self.orders), len(self.hours.stay_id)), np.nan)
        for k, order in enumerate(self.orders):
            shuffled = replace(self.hours, risk=self.hours.risk[model : model + 1, order])
            made[k] = alarm_counts(shuffled, 0, threshold, rules)[1]
        return made

    def medians(self, model: int, threshold, rules: AlarmRules) -> np.ndarray:
        """Median lead time of every shuffle, shape (K,); NaN without any true alarm."""
        leads = self.leads(model, threshold, rules)
        some = ~np.isnan(leads).all(axis=1) if leads.shape[1] else np.zeros(len(leads), bool)
        medians = np.full(len(leads), np.nan)
        if some.any():
            medians[some] = np.nanmedian(leads[some], axis=1)
        return medians


def lead_time_curve(hours: Hours, each: dict, rules: AlarmRules, shuffles: Shuffles) -> pd.DataFrame:
    """
    Histogram of lead times, and the mean histogram over shuffles, in bins of equal width, closed above, at
    the thresholds `each` (`sepsis.evaluation.alarm_thresholds.per_stay`).
    """
    found = []
    for (model, setting), threshold in each.items():
        m = hours.models.index(model)
        leads = alarm_counts(hours, m, threshold, rules)[1]
        shuffled = shuffles.leads(m, threshold, rules)
        found.append((model, setting, leads[~np.isnan(leads)], shuffled))
    longest = max(
        (np.nanmax(a, initial=0.0) for *_, leads, shuffled in found for a in (leads, shuffled)), default=0.0
    )
    width = next((w for w in BIN_WIDTHS_H if longest <= MAX_BINS * w), longest / MAX_BINS)
    edges = width * np.arange(max(1, int(np.ceil((longest - TOLERANCE_H) / width))) + 1)
    parts = []
    for model, setting, leads, shuffled in found:
        by_chance = _histogram(shuffled[~np.isnan(shuffled)], edges) / len(shuffled)
        columns = (model, setting, edges[:-1], edges[1:], _histogram(leads, edges), by_chance)
        parts.append(pd.DataFrame(dict(zip(CURVE, columns, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE)


def _histogram(values, edges) -> np.ndarray:
    at = np.searchsorted(edges, np.asarray(values) - TOLERANCE_H, side="left") - 1
    return np.bincount(np.clip(at, 0, len(edges) - 2), minlength=len(edges) - 1).astype(float)


def median_interval(values, persons: int, level: float) -> tuple[float, float]:
    """
    Interval of a median, free of any distribution: the quantiles at the ends of the exact interval of a share
    of one half among so many persons; NaN below the number at which two extremes hold the median with that
    confidence (6 at 95 %). Of whole hours both ends may be the same. Woodruff, J Am Stat Assoc 47 (1952)
    635-646, doi:10.1080/01621459.1952.10483443.

    Examples
    --------
    >>> median_interval(np.arange(1.0, 11.0), 10, 0.95)  # ranks 2 and 9 of 10
    (2.0, 9.0)
    """
    if persons < 1 or 2.0 * 0.5**persons > 1.0 - level:
        return np.nan, np.nan
    ends = proportion_interval(persons / 2.0, persons, level)
    low, high = np.quantile(np.asarray(values, dtype=float), ends, method="inverted_cdf")
    return float(low), float(high)
