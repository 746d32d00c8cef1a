"""
Lead time of the first alarm, and the lead time expected by chance.

Lead time at a given recall rewards poor models, since random alarms in a long stay come early. The same
scores are therefore shuffled in time among the hours of each case before onset: how often a risk is high
stays, when it is high is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.evaluation.alarms import AlarmRules, alarm_counts
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours

SHUFFLES = 50
BIN_WIDTHS_H = (1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 48.0, 96.0, 168.0)
MAX_BINS = 40
CURVE = ["model", "setting", "lead_h_from", "lead_h_to", "events", "events_shuffled"]


@dataclass(frozen=True, eq=False)
class Shuffles:
    """
    The hours of cases before onset, unshuffled, and K orders (K, T): the hour that each hour takes its risks
    from, within the same stay and for all models alike.
    """

    hours: Hours
    orders: np.ndarray

    @classmethod
    def of(cls, hours: Hours, random_state, size: int = SHUFFLES) -> Shuffles:
        """Shuffle the hours of every case."""
        cases = hours.only(hours.stay_id[hours.is_case])
        cases = cases.before(cases.onset_h - 2 * TOLERANCE_H)
        rng = np.random.default_rng(random_state)
        stay = cases.stay
        orders = [np.lexsort((rng.random(len(stay)), stay)) for _ in range(size)]
        return cls(cases, np.array(orders, dtype=np.int64).reshape(size, len(stay)))

    def leads(self, model: int, threshold: float, rules: AlarmRules) -> np.ndarray:
        """Lead times of the shuffled scores, shape (K, cases); NaN without an alarm."""
        made = np.full((len(self.orders), len(self.hours.stay_id)), np.nan)
        for k, order in enumerate(self.orders):
            shuffled = replace(self.hours, risk=self.hours.risk[model : model + 1, order])
            made[k] = alarm_counts(shuffled, 0, threshold, rules)[1]
        return made

    def medians(self, model: int, threshold: float, rules: AlarmRules) -> np.ndarray:
        """Median lead time of every shuffle, shape (K,); NaN without any alarm."""
        leads = self.leads(model, threshold, rules)
        some = ~np.isnan(leads).all(axis=1) if leads.shape[1] else np.zeros(len(leads), bool)
        medians = np.full(len(leads), np.nan)
        if some.any():
            medians[some] = np.nanmedian(leads[some], axis=1)
        return medians


def lead_time_curve(hours: Hours, thresholds, rules: AlarmRules, shuffles: Shuffles) -> pd.DataFrame:
    """
    Histogram of lead times, and the mean histogram over shuffles, in bins of equal width, closed above;
    thresholds without a value are omitted.
    """
    found = []
    for threshold in thresholds:
        if not np.isnan(threshold.value):
            m = hours.models.index(threshold.model)
            leads = alarm_counts(hours, m, threshold.value, rules)[1]
            leads = leads[~np.isnan(leads)]
            found.append((threshold, leads, shuffles.leads(m, threshold.value, rules)))
    longest = max((np.nanmax(a, initial=0.0) for _, *both in found for a in both), default=0.0)
    width = next((w for w in BIN_WIDTHS_H if longest <= MAX_BINS * w), longest / MAX_BINS)
    edges = width * np.arange(max(1, int(np.ceil((longest - TOLERANCE_H) / width))) + 1)
    parts = []
    for threshold, leads, shuffled in found:
        by_chance = _histogram(shuffled[~np.isnan(shuffled)], edges) / len(shuffled)
        columns = (
            threshold.model,
            threshold.setting,
            edges[:-1],
            edges[1:],
            _histogram(leads, edges),
            by_chance,
        )
        parts.append(pd.DataFrame(dict(zip(CURVE, columns, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE)


def _histogram(values, edges) -> np.ndarray:
    at = np.searchsorted(edges, np.asarray(values) - TOLERANCE_H, side="left") - 1
    return np.bincount(np.clip(at, 0, len(edges) - 2), minlength=len(edges) - 1).astype(float)


def weighted_median(values, weights) -> np.ndarray:
    """
    Median of values (N,) under integer weights (R, N): the mean of the two middle values for an even count;
    NaN for zero weight.

    Examples
    --------
    >>> weighted_median([3.0, 1.0, 2.0], [[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    array([ 2.,  2., nan])
    """
    values, weights = np.asarray(values, dtype=float), np.asarray(weights)
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[:, order], axis=1)
    median = np.full(len(weights), np.nan)
    if not len(values):
        return median
    total = upto[:, -1]
    some = total > 0
    ranked = values[order]
    for r in np.flatnonzero(some):
        low = np.searchsorted(upto[r], (total[r] - 1) // 2, side="right")
        high = np.searchsorted(upto[r], total[r] // 2, side="right")
        median[r] = (ranked[low] + ranked[high]) / 2.0
    return median
