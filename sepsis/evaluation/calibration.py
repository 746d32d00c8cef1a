"""
Calibration of fixed-horizon risks, with and without recalibration: among the matched rows, and on corrected
risks at the prevalence of the cohort (`sepsis.evaluation.prevalence`).

Intercept and slope are the same at both: matching moves the log odds of risks and of outcomes alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.calibration.logistic import expit, fit_logistic, influence_on, logit
from sepsis.calibration.recalibration import METHODS, Recalibration, fit_recalibration
from sepsis.evaluation.intervals import summed_by_unit, units_of, wilson_interval
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows
from sepsis.evaluation.shares import rate, student_half_width

BINS = 10
SMALLEST = 1e-15  # risks closer to 0 or 1 cannot be told from them
KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the log odds
NO_INTERVAL = (np.nan, np.nan)
Maps = Mapping[tuple[str, str, int], Recalibration]  # by model, method and fold


@dataclass(frozen=True, eq=False)
class Spline:
    """
    Restricted cubic spline basis, linear beyond the outer knots (ascending, distinct; fewer than 3 give a
    straight line). Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 2.4.5.
    """

    knots: np.ndarray

    @classmethod
    def of(cls, x) -> Spline:
        """A spline with its knots at distinct quantiles of x."""
        return cls(np.unique(np.quantile(x, KNOTS)))

    def columns(self, x) -> np.ndarray:
        """The basis 1, x and the cubic terms, shape (N, K) or (N, 2)."""
        x = np.asarray(x, dtype=float)
        k = self.knots
        made = [np.ones_like(x), x]
        for j in range(len(k) - 2):
            cube = [np.maximum(x - at, 0.0) ** 3 for at in (k[j], k[-2], k[-1])]
            bend = (
                cube[0]
                - cube[1] * (k[-1] - k[j]) / (k[-1] - k[-2])
                + cube[2] * (k[-2] - k[j]) / (k[-1] - k[-2])
            )
            made.append(bend / (k[-1] - k[0]) ** 2)
        return np.stack(made, axis=1)


def equal_mass_bins(risk, size: int = BINS) -> np.ndarray:
    """
    Bins of about equal size; ties share a bin, so there may be fewer than `size`.

    Examples
    --------
    >>> equal_mass_bins([0.1, 0.1, 0.1, 0.3], 2)
    array([0, 0, 0, 1])
    """
    risk = np.asarray(risk, dtype=float)
    upper = np.unique(np.quantile(risk, np.arange(1, size + 1) / size, method="inverted_cdf"))
    bins = np.searchsorted(upper, risk, side="left")
    return np.unique(np.minimum(bins, len(upper) - 1), return_inverse=True)[1]


def _uncertain(is_case, risk, person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    The rows with a risk between 0 and 1; none at all if a risk of 0 or 1 was wrong.

    A right 0 or 1 says nothing about intercept or slope, whatever they are; with a wrong one no finite
    intercept exists. Clipping such risks would estimate the clip.
    """
    is_case, risk, person = np.asarray(is_case, bool), np.asarray(risk, float), np.asarray(person)
    certain = (risk <= 0.0) | (risk >= 1.0)
    wrong = (certain & (is_case != (risk >= 1.0))).any()
    keep = np.zeros(len(risk), bool) if wrong else ~certain
    return is_case[keep], risk[keep], person[keep]


def calibration_intercept(is_case, risk, person, n_persons: int, level: float) -> tuple[float, float, float]:
    """
    Intercept with the slope held at 1, above 0 where risks are too low, and its interval: Wald's, with the
    variance summed over persons. NaN if undefined (`_uncertain`). Cox, Biometrika 45 (1958) 562-565,
    doi:10.1093/biomet/45.3-4.562.
    """
    is_case, risk, person = _uncertain(is_case, risk, person)
    ones, x = np.ones((len(risk), 1)), logit(risk, SMALLEST)
    beta = fit_logistic(ones, is_case, offset=x)
    influence = influence_on(beta, ones, is_case, person, n_persons, offset=x)[:, 0]
    half = student_half_width(influence, level, len(influence))
    return float(beta[0]), float(beta[0] - half), float(beta[0] + half)


def calibration_slope(is_case, risk, person, n_persons: int, level: float) -> tuple[float, float, float]:
    """
    Slope of the log odds, below 1 where risks are too extreme, and its interval: as that of the intercept,
    but of Student's distribution with the persons who have a case, who decide how well a slope is known.
    """
    is_case, risk, person = _uncertain(is_case, risk, person)
    columns = np.stack([np.ones(len(risk)), logit(risk, SMALLEST)], axis=1)
    beta = fit_logistic(columns, is_case)
    influence = influence_on(beta, columns, is_case, person, n_persons)[:, 1]
    half = student_half_width(influence, level, len(np.unique(np.asarray(person)[is_case])))
    return float(beta[1]), float(beta[1] - half), float(beta[1] + half)


def mean_measures(is_case, risk, weight, person, n_persons: int, level: float) -> dict[str, tuple]:
    """Observed over expected cases and Brier score of weighted rows, with intervals on the log scale."""
    columns = weight[:, None] * np.stack([is_case, risk, (risk - is_case) ** 2, np.ones(len(risk))], axis=1)
    cases, expected, squares, rows = summed_by_unit(person, columns, n_persons).T
    found = {"observed_expected": rate(cases, expected, level), "brier": rate(squares, rows, level)}
    return {name: (one.estimate, *one.interval) for name, one in found.items()}


def curve_measures(is_case, risk) -> dict[str, float]:
    """
    ici, e50 and e90: mean, median and 90th percentile of the distance between risk and smoothed share of
    cases (logistic restricted cubic spline of the log odds). Austin and Steyerberg, Stat Med 38 (2019)
    4051-4065, doi:10.1002/sim.8281.

    A distance is above 0 for perfect risks too, and resamples add noise of their own, so that intervals from
    resamples lie above the distance itself: none is given.
    """
    x = logit(risk)
    columns = Spline.of(x).columns(x)
    gap = np.abs(expit(columns @ fit_logistic(columns, is_case)) - risk)
    e50, e90 = (
        (np.nan, np.nan) if np.isnan(gap).any() else np.quantile(gap, [0.5, 0.9], method="inverted_cdf")
    )
    return {"ici": float(gap.mean()), "e50": float(e50), "e90": float(e90)}


def calibration_metrics(
    risk_set: RiskSet, maps: Maps, target: Target | None, *, level: float
) -> pd.DataFrame:
    """
    Calibration of every model at every horizon: as is (`setting` "") and by method of recalibration. Observed
    over expected and Brier score also at the target prevalence ("cohort prevalence", "platt, cohort
    prevalence").
    """
    person, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    is_case, units = risk_set.is_case, (person, len(has_event), level)
    rows = MetricRows("calibration", "all", level, len(is_case), int(is_case.sum()))
    for model, horizon, setting, risk in variants(risk_set, maps):
        found = {
            "calibration_intercept": calibration_intercept(is_case, risk, *units),
            "calibration_slope": calibration_slope(is_case, risk, *units),
            **mean_measures(is_case, risk, np.ones(len(risk)), *units),
        }
        for metric, (value, *interval) in found.items():
            rows.add(model, horizon, metric, value, setting=setting, interval=interval)
        for metric, value in curve_measures(is_case, risk).items():
            rows.add(model, horizon, metric, value, setting=setting, interval=NO_INTERVAL)
        if target is not None:
            there = mean_measures(is_case, target.risks(risk), target.weights(is_case), *units)
            for metric, (value, *interval) in there.items():
                rows.add(model, horizon, metric, value, setting=target.setting(setting), interval=interval)
    return rows.table()


def fitted_maps(validation: RiskSet) -> dict[tuple[str, str, int], Recalibration]:
    """
    A map for each model, method and fold, fitted on all horizons of the validation rows of that fold
    together; none where they have one class or are separable.
    """
    made = {}
    for fold in np.unique(validation.fold):
        mine = validation.fold == fold
        is_case = np.tile(validation.is_case[mine], len(validation.horizons))
        for m, model in enumerate(validation.models):
            for method in METHODS:
                fitted = fit_recalibration(method, is_case, validation.risk[m][:, mine].ravel())
                if fitted is not None:
                    made[model, method, int(fold)] = fitted
    return made


def variants(risk_set: RiskSet, maps: Maps) -> Iterator[tuple[str, float, str, np.ndarray]]:
    """
    (model, horizon, setting, risk) without and with recalibration, by the map of each row's own fold; a
    method that lacks a map of one fold is omitted.
    """
    folds = [int(fold) for fold in np.unique(risk_set.fold)]
    for m, model in enumerate(risk_set.models):
        methods = [k for k in METHODS if all((model, k, fold) in maps for fold in folds)]
        for h, horizon in enumerate(risk_set.horizons):
            yield model, horizon, "", risk_set.risk[m, h]
            for method in methods:
                mended = np.empty(risk_set.risk.shape[2])
                for fold in folds:
                    mine = risk_set.fold == fold
                    mended[mine] = maps[model, method, fold].apply(risk_set.risk[m, h, mine])
                yield model, horizon, method, mended


def reliability_curve(
    risk_set: RiskSet, maps: Maps, target: Target | None, *, level: float = 0.95
) -> pd.DataFrame:
    """
    Share of cases against mean risk in equal-mass bins of rows; `variant` is "as is" or the method, `setting`
    the target prevalence, at which both axes are given, or "". low and high are Wilson's interval of the
    share among the matched rows of the bin, shifted like the risks.
    """
    is_case, parts = risk_set.is_case, []
    weight = np.ones(len(is_case)) if target is None else target.weights(is_case)
    for model, horizon, setting, matched in variants(risk_set, maps):
        bins, n = equal_mass_bins(matched), np.bincount(equal_mass_bins(matched))
        risk = matched if target is None else target.risks(matched)
        total = np.bincount(bins, weights=weight)
        low, high = wilson_interval(np.bincount(bins, weights=is_case), n, level)
        if target is not None:
            low, high = target.risks(low), target.risks(high)
        parts.append(
            pd.DataFrame(
                {
                    "model": model, "horizon_h": horizon, "variant": setting or "as is",
                    "setting": "" if target is None else target.name, "bin": np.arange(1, len(n) + 1),
                    "predicted": np.bincount(bins, weights=weight * risk) / total,
                    "observed": np.bincount(bins, weights=weight * is_case) / total,
                    "low": low, "high": high, "n": n,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)
