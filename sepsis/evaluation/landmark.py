"""
The landmark panel: at fixed hours of the stay, who of those still at risk reaches onset within W hours?

Every stay counts once per landmark, at its natural prevalence, and only the past of a landmark is used: its
risk is the last one at or before it.

Competing events: leaving the unit, alive or dead. A stay that leaves without onset within W is known not to
reach onset there; it is not censored, since sepsis of the ward is another question. Onset counts when it
comes first.
Censoring: the record ends and the labels do not say when the stay left the unit (`stay_h` is null). The stay
is followed until an hour after its last risk; those observed stand in for it with the inverse probability of
being uncensored, the Kaplan-Meier estimate among those at risk at the landmark (IPCW). It assumes that
censoring tells nothing about the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sepsis.evaluation.area_intervals import (
    NO_VARIANCE,
    auprc_interval,
    auroc_interval,
    difference_interval,
    difference_p_value,
)
from sepsis.evaluation.at_risk import Landmark, landmark_at, mostly_onset
from sepsis.evaluation.censoring_weights import CensoringWeights, censoring_weights
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.influence import areas_within
from sepsis.evaluation.intervals import proportion_interval, t_quantile
from sepsis.evaluation.multiplicity import simultaneous_quantile
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.rows import NOTHING, MetricRows, ratio

CLOCK = "clock"  # name of the model that knows the hours since admission only
POOLED = "all landmarks"
METRICS = ("auroc", "auroc_event_free", "auprc", "observed_expected", "prevalence")
COMPARED = ("auroc", "auprc")
NORMAL = 10**9  # degrees of freedom of the largest error: landmarks have their own
CURVE_COLUMNS = (
    "model", "hour", "window_h", "metric", "estimate", "low", "high", "band_low", "band_high", "n",
    "n_events", "n_left", "n_died", "n_censored", "n_reach_onset", "n_without_risk", "n_had_onset",
    "n_label_later",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Estimate:
    """
    A measure and the influence values (G,) of all persons.

    `n_events` persons with onset and `n_persons` in all are behind it. `scale`: the number is so many times a
    share of stays; NaN for an area.
    """

    metric: str
    value: float
    influence: np.ndarray
    n_events: int
    n_persons: int
    scale: float = np.nan

    @property
    def variance(self) -> float:
        """Persons are independent, and few of them have an onset: hence n / (n - 1)."""
        few = self.n_events / (self.n_events - 1) if self.n_events > 1 else np.nan
        return few * float(self.influence @ self.influence)

    def interval(self, level: float) -> tuple[float, float]:
        """
        Of an area: `sepsis.evaluation.area_intervals`, NaN with one person with onset. Of a share: exact, of
        as many independent stays as would have its variance. Korn and Graubard, Surv Methodol 24 (1998)
        193-201.
        """
        if np.isnan(self.value) or np.isnan(level):
            return NOTHING
        quantile = t_quantile(level, self.n_events - 1)
        if self.metric == "auprc":
            return auprc_interval(self.value, self.variance, self.n_events, quantile)
        if np.isnan(self.scale):
            return auroc_interval(self.value, self.variance, self.n_events, self.n_persons, quantile)
        share, n = self.value / self.scale, float(self.n_persons)
        variance = float(self.influence @ self.influence) / self.scale**2
        if 0.0 < share < 1.0 and variance > NO_VARIANCE:
            n = share * (1.0 - share) / variance
        low, high = proportion_interval(share * n, n, level)
        return low * self.scale, high * self.scale

    def compared(self, other: Estimate, level: float) -> dict:
        """The paired difference, its interval and its p value, as `MetricRows.add` takes them."""
        difference = replace(self, influence=self.influence - other.influence)
        value, variance, df = self.value - other.value, difference.variance, self.n_events - 1
        return {
            "estimate": value,
            "interval": difference_interval(value, variance, t_quantile(level, df)),
            "p_value": difference_p_value(value, variance, df),
        }


@dataclass(frozen=True, eq=False)
class Panel:
    """
    Landmarks, the weights of their stays for a window, and the person and the fold of every stay (N,).
    """

    landmarks: tuple[Landmark, ...]
    weights: tuple[CensoringWeights, ...]
    person: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, hours: Hours, outcomes: pd.DataFrame, landmark_hours, window_h: float) -> Panel:
        """The panel of hourly risks."""
        landmarks = tuple(landmark_at(hours, outcomes, hour) for hour in landmark_hours)
        weights = tuple(censoring_weights(one.time_h, one.event, window_h) for one in landmarks)
        return cls(landmarks, weights, np.unique(hours.subject_id, return_inverse=True)[1], hours.fold)

    def evaluable(self) -> np.ndarray:
        """Whether each landmark has an estimate, shape (K,): identified, and not conditional."""
        return np.array([weights.identified and not one.conditional for weights, one in self._pairs()])

    def _pairs(self):
        return zip(self.weights, self.landmarks, strict=True)

    def only(self, keep) -> Panel:
        """Some of the landmarks, by number."""
        return replace(
            self,
            landmarks=tuple(self.landmarks[k] for k in keep),
            weights=tuple(self.weights[k] for k in keep),
        )

    def estimates(self, model: int, target: Target | None) -> dict[str, Estimate]:
        """Every measure of one model, over the stays of all landmarks together."""
        weight, onset = (
            np.concatenate([getattr(one, name) for one in self.weights]) for name in ("weight", "onset")
        )
        free = np.concatenate([one.free & ~mostly_onset(one.free, k.event) for one, k in self._pairs()])
        risk = np.concatenate([one.risk[model] for one in self.landmarks])
        stay = np.concatenate([one.stay for one in self.landmarks])
        person = self.person[stay]
        fold = self.fold[stay]
        everybody = areas_within(fold, onset, risk, weight)
        event_free = areas_within(fold, onset, risk, np.where(onset | free, weight, 0.0))
        expected = risk if target is None else target.risks(risk)
        cases, total, n = weight * onset, expected.sum(), len(risk)
        observed_expected, prevalence = float(ratio(cases.sum(), total)), float(ratio(cases.sum(), n))
        direct = np.stack(
            [everybody.auroc_influence, event_free.auroc_influence, everybody.auprc_influence,
             cases * ratio(1.0, total), cases * ratio(1.0, n)]
        )  # fmt: skip
        values = np.concatenate(
            [one.influence(part) for one, part in zip(self.weights, self._split(direct), strict=True)], axis=1
        )
        values[3] -= observed_expected * expected * ratio(1.0, total)
        values[4] -= prevalence * ratio(1.0, n)
        n_events, n_persons = len(np.unique(person[onset])), len(np.unique(person))
        known = bool(self.evaluable().all())
        numbers = (everybody.auroc, event_free.auroc, everybody.auprc, observed_expected, prevalence)
        scales = (np.nan, np.nan, np.nan, float(ratio(n, total)), 1.0)
        return {
            metric: Estimate(
                metric,
                # weights leave a rounding error in the area of a risk that ties all pairs
                round(number, 12) if known else np.nan,
                np.bincount(person, weights=row, minlength=self.person.max(initial=-1) + 1),
                n_events, n_persons, scale,
            )
            for metric, number, row, scale in zip(METRICS, numbers, values, scales, strict=True)
        }  # fmt: skip

    def _split(self, values: np.ndarray) -> list[np.ndarray]:
        return np.split(values, np.cumsum([len(one.stay) for one in self.landmarks])[:-1], axis=1)

    def counts(self, window_h: float) -> dict[str, float]:
        """Stays and their fates, added up over the landmarks."""
        each = [one.counts(window_h) for one in self.landmarks]
        return {name: sum(counts[name] for counts in each) for name in each[0]}


def landmark_metrics(
    hours: Hours,
    outcomes: pd.DataFrame,
    landmark_hours,
    window_h: float,
    *,
    level: float,
    random_state,
    target: Target | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    The landmark panel: discrimination and calibration at each hour, and over all of them.

    Reads    hourly risks; outcomes as in `landmark_at`
    Writes   metrics, view "landmark": `horizon_h` is W, `setting` is "hour 6" or "all landmarks"; n and
             n_events count stays, or pairs of stay and landmark over all. A curve: one row per model, hour
             and measure, with the fates of the stays in the window.
    Rule     `auroc`: onset within W against everybody else, those included who left without it (definition 2
             of Blanche et al. 2013); `auroc_event_free`: against stays still in the unit without onset at the
             end of W (definition 1), unless most of these have it later; `auprc`: average precision (Yuan et
             al. 2018); `prevalence`, of model "all": Aalen-Johansen's cumulative incidence of onset;
             `observed_expected`: that over the mean risk, of matched sets or, with a `target`, at the
             cohort's share of cases. Ranks are compared within folds (`areas_within`). At one landmark the
             clock knows nothing; over all it does, so differences to it are given there. Rows without an
             estimate (no onset in W, censoring without end, `Landmark.conditional`) have no number.
    Interval by influence values, summed by person (`Estimate.interval`). A band holds at all landmarks of a
             model and measure at once.
    Source   van Houwelingen, Scand J Stat 34 (2007) 70-85, doi:10.1111/j.1467-9469.2006.00529.x;
             Blanche et al., Stat Med 32 (2013) 5381-5397, doi:10.1002/sim.5958;
             Yuan et al., Stat Med 37 (2018) 1671-1681, doi:10.1002/sim.7606.
    """
    rows = MetricRows("landmark", "all", level, 0, 0)
    curve: list[tuple] = []
    if not len(landmark_hours):
        return rows.table(), pd.DataFrame(curve, columns=list(CURVE_COLUMNS))
    panel = Panel.of(hours, outcomes, landmark_hours, window_h)
    parts = [panel.only([k]) for k in range(len(panel.landmarks))]
    pool = panel.only(np.flatnonzero(panel.evaluable()))
    pooled: dict[str, dict[str, Estimate]] = {}

    def add(model: str, metric: str, setting: str, part: Panel, one: Estimate, band_level=np.nan) -> tuple:
        found, counts = (one.value, *one.interval(level), *one.interval(band_level)), part.counts(window_h)
        rows.add(
            model, window_h, metric, one.value, setting=setting, interval=found[1:3], band=found[3:],
            n=counts["n"], n_events=counts["n_events"],
        )  # fmt: skip
        return (window_h, metric, *found, *counts.values())

    for m, model in enumerate(hours.models):
        found = [part.estimates(m, target) for part in parts]
        pooled[model] = pool.estimates(m, target) if pool.landmarks else {}
        for metric in METRICS[: None if m == 0 else -1]:  # the prevalence once
            name = model if metric != "prevalence" else "all"
            line = [one[metric] for one in found]
            band_level = simultaneous_level(line, level, random_state)
            for part, one in zip(parts, line, strict=True):
                hour = part.landmarks[0].hour
                made = add(name, metric, f"hour {hour:g}", part, one, band_level)
                curve.append((name, hour, *made))
            if pool.landmarks:
                add(name, metric, POOLED, pool, pooled[model][metric])
    for model in pooled if CLOCK in pooled and pool.landmarks else ():
        for metric in COMPARED if model != CLOCK else ():
            counts = pool.counts(window_h)
            rows.add(
                f"{model} - {CLOCK}", window_h, f"{metric}_difference", setting=POOLED, n=counts["n"],
                n_events=counts["n_events"], **pooled[model][metric].compared(pooled[CLOCK][metric], level),
            )  # fmt: skip
    return rows.table(), pd.DataFrame(curve, columns=list(CURVE_COLUMNS))


def simultaneous_level(estimates: list[Estimate], level: float, random_state) -> float:
    """
    Level of the single intervals at which all of them hold at once with probability `level` (max-t,
    `simultaneous_quantile`): the landmarks have different degrees of freedom and one level. NaN without an
    estimate; one without spread errs on its own.
    """
    there = [one.influence for one in estimates if not np.isnan(one.value)]
    if not there:
        return np.nan
    alone = np.diag([float(not influence.any()) for influence in there])  # no spread, say of no onset
    quantile = simultaneous_quantile(np.hstack([there, alone]), level, NORMAL, random_state)
    return float(2.0 * ndtr(quantile) - 1.0)
