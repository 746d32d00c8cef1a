"""
Calibration of fixed-horizon risks, with and without recalibration.

It refers to the prevalence of the cohort; elsewhere a model needs recalibration (`sepsis.calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.calibration.logistic import OneStep, expit, fit_logistic, logit
from sepsis.calibration.recalibration import Recalibration
from sepsis.evaluation.intervals import Statistic, resampled, summed_by_unit, together, units_of
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows, ratio

BINS = 10
KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the log odds
CURVE_RESAMPLES = 200  # for intervals of ici, e50 and e90: each resample sorts all stays
Z = 1.959964  # of the 95 % intervals in the reliability curve


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


def linear_measures(is_case, risk, unit, n_units: int) -> Statistic:
    """
    Measures of calibration that cost one matrix product per resample; NaN if undefined.

    calibration_intercept: slope held at 1; above 0, risks are too low. calibration_slope: below 1, risks are
    too extreme. ece has equal-mass bins. Cox, Biometrika 45 (1958) 562-565, doi:10.1093/biomet/45.3-4.562.
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    x, ones = logit(risk), np.ones((len(risk), 1))
    line = np.concatenate([ones, x[:, None]], axis=1)
    intercept = OneStep(ones, is_case, fit_logistic(ones, is_case, offset=x), unit, n_units, offset=x)
    slope = OneStep(line, is_case, fit_logistic(line, is_case), unit, n_units)
    linear = summed_by_unit(
        unit, np.stack([np.ones(len(risk)), is_case, risk, (risk - is_case) ** 2], axis=1), n_units
    )
    bins = equal_mass_bins(risk)
    gaps = np.zeros((n_units, bins.max() + 1))
    np.add.at(gaps, (unit, bins), is_case - risk)

    def measures(weights) -> dict[str, np.ndarray]:
        size, cases, expected, squares = (weights @ linear).T
        return {
            "calibration_intercept": intercept(weights)[:, 0],
            "calibration_slope": slope(weights)[:, 1],
            "observed_expected": ratio(cases, expected),
            "ece": ratio(np.abs(weights @ gaps).sum(axis=1), size),
            "brier": ratio(squares, size),
        }

    return measures


def curve_measures(is_case, risk, unit, n_units: int) -> Statistic:
    """
    ici, e50 and e90: mean, median and 90th percentile of the distance between risk and smoothed share of
    cases (logistic restricted cubic spline of the log odds). Austin and Steyerberg, Stat Med 38 (2019)
    4051-4065, doi:10.1002/sim.8281.
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    x = logit(risk)
    columns = Spline.of(x).columns(x)
    curve = OneStep(columns, is_case, fit_logistic(columns, is_case), unit, n_units)

    def measures(weights) -> dict[str, np.ndarray]:
        gaps = _curve_gaps(columns, risk, curve(weights), unit, weights)
        return dict(zip(("ici", "e50", "e90"), gaps.T, strict=True))

    return measures


def _curve_gaps(columns, risk, beta, unit, weights) -> np.ndarray:
    """Mean, median and 90th percentile of |curve - risk| over weighted stays, shape (R, 3)."""
    out = np.full((len(weights), 3), np.nan)
    for r in range(len(weights)):
        if np.isnan(beta[r]).any():
            continue
        gap = np.abs(expit(columns @ beta[r]) - risk)
        weight = weights[r, unit]
        order = np.argsort(gap)
        upto = np.cumsum(weight[order])
        at = np.searchsorted(upto, np.array([0.5, 0.9]) * upto[-1], side="left")
        out[r] = [(gap * weight).sum() / upto[-1], *gap[order][at]]
    return out


def calibration_metrics(
    risk_set: RiskSet,
    recalibrations: dict[tuple[str, str], Recalibration],
    *,
    n_bootstrap: int,
    level: float,
    random_state,
) -> pd.DataFrame:
    """
    Calibration of every model at every horizon: as is (`setting` "") and by method of recalibration, whose
    maps must be fitted on other subjects.
    """
    unit, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    once = np.ones((1, len(has_event)), np.int32)
    rows = MetricRows("calibration", "all", level, len(risk_set.is_case), int(risk_set.is_case.sum()))
    variant = list(variants(risk_set, recalibrations))
    for make, most in ((linear_measures, n_bootstrap), (curve_measures, min(n_bootstrap, CURVE_RESAMPLES))):
        measures = together(
            {k: make(risk_set.is_case, risk, unit, len(has_event)) for k, (*_, risk) in enumerate(variant)}
        )
        samples = resampled(has_event, most, random_state, measures)
        for (k, metric), estimate in measures(once).items():
            model, horizon, setting, _ = variant[k]
            rows.add(model, horizon, metric, estimate[0], samples[k, metric], setting=setting)
    return rows.table()


def variants(risk_set: RiskSet, recalibrations: dict[tuple[str, str], Recalibration]):
    """(model, horizon, setting, risk) without and with recalibration."""
    for m, model in enumerate(risk_set.models):
        for h, horizon in enumerate(risk_set.horizons):
            yield model, horizon, "", risk_set.risk[m, h]
            for (of, method), map_ in recalibrations.items():
                if of == model:
                    yield model, horizon, method, map_.apply(risk_set.risk[m, h])


def reliability_curve(
    risk_set: RiskSet, recalibrations: dict[tuple[str, str], Recalibration]
) -> pd.DataFrame:
    """
    Share of cases against mean risk in equal-mass bins; `variant` is "as is" or the method. low and high are
    Wilson's 95 % interval: J Am Stat Assoc 22 (1927) 209-212, doi:10.1080/01621459.1927.10502953.
    """
    parts = []
    for model, horizon, setting, risk in variants(risk_set, recalibrations):
        bins = equal_mass_bins(risk)
        n = np.bincount(bins)
        observed = np.bincount(bins, weights=risk_set.is_case) / n
        middle = (observed + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * np.sqrt(observed * (1 - observed) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        parts.append(
            pd.DataFrame(
                {
                    "model": model, "horizon_h": horizon, "variant": setting or "as is",
                    "bin": np.arange(1, len(n) + 1), "predicted": np.bincount(bins, weights=risk) / n,
                    "observed": observed, "low": np.maximum(middle - half, 0.0),
                    "high": np.minimum(middle + half, 1.0), "n": n,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)
