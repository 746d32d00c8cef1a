"""Rows of measures of several models, their paired differences and bands, from influence values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sepsis.evaluation.area_intervals import (
    auprc_interval,
    auroc_interval,
    concordance_interval,
    difference_interval,
    difference_p_value,
)
from sepsis.evaluation.influence import Clusters
from sepsis.evaluation.intervals import t_quantile
from sepsis.evaluation.multiplicity import holm, simultaneous_quantile
from sepsis.evaluation.rows import MetricRows, pairs

Interval = Callable[[float, float, float], tuple[float, float]]  # estimate, variance, quantile


@dataclass(frozen=True, eq=False)
class Measure:
    """
    One measure of M models at H horizons.

    Attributes
    ----------
    estimates : ndarray, shape (D, M, H)
        Of each draw of the controls' hours; the estimate is their mean.
    cells : ndarray, shape (M, H, C)
        Influence by cell (`sepsis.evaluation.influence.Clusters`), the mean over draws.
    interval : callable
        Ends of the interval from estimate, variance and quantile.
    """

    name: str
    estimates: np.ndarray
    cells: np.ndarray
    interval: Interval

    @property
    def estimate(self) -> np.ndarray:
        """Estimates (M, H), means over draws."""
        return self.estimates.mean(axis=0)


def area_interval_of(name: str, n_cases: int, n_controls: int, n_units: int, n_sets: int = 1) -> Interval:
    """
    The interval of "auroc", "auprc" or "concordance" of rows of these classes, the cases being of `n_units`
    independent units, or in `n_sets` matched sets.
    """
    if name == "auroc":
        return lambda estimate, variance, q: auroc_interval(estimate, variance, n_cases, n_controls, q)
    if name == "auprc":
        return lambda estimate, variance, q: auprc_interval(estimate, variance, n_units, q)
    per_set = n_controls / max(n_sets, 1)
    return lambda estimate, variance, q: concordance_interval(estimate, variance, n_sets, per_set, q)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Where measures go (`rows`), and how their intervals are made; without `intervals`, none are."""

    rows: MetricRows
    clusters: Clusters
    models: Sequence[str]
    horizons: Sequence[float] | np.ndarray
    setting: str = ""
    intervals: bool = True

    @property
    def df(self) -> int:
        """Degrees of freedom; 0 where no interval is wanted, or possible."""
        return self.clusters.df if self.intervals else 0

    def add_models(self, measure: Measure, random_state=None) -> None:
        """Every model at every horizon; with a `random_state`, simultaneous bands over horizons too."""
        quantile = t_quantile(self.rows.level, self.df)
        for m, model in enumerate(self.models):
            widest = np.nan
            if random_state is not None and len(self.horizons) > 1:
                sums = self.clusters.sums(measure.cells[m])
                widest = simultaneous_quantile(sums, self.rows.level, self.df, random_state)
            for h, horizon in enumerate(self.horizons):
                estimate = measure.estimate[m, h]
                variance = self._variance(measure.cells[m, h], measure.estimates[:, m, h])
                interval, band = (measure.interval(estimate, variance, q) for q in (quantile, widest))
                self.rows.add(
                    model, horizon, measure.name, estimate, setting=self.setting, interval=interval, band=band
                )

    def add_differences(self, measure: Measure, primary_horizon_h: float | None = None) -> None:
        """Every pair of models at every horizon; p values are adjusted for all pairs at the primary one."""
        for h, horizon in enumerate(self.horizons):
            found = []
            for a, b in pairs(len(self.models)):
                difference = measure.estimate[a, h] - measure.estimate[b, h]
                draws = measure.estimates[:, a, h] - measure.estimates[:, b, h]
                variance = self._variance(measure.cells[a, h] - measure.cells[b, h], draws)
                name = f"{self.models[a]} - {self.models[b]}"
                found.append((name, difference, variance, difference_p_value(difference, variance, self.df)))
            primary = primary_horizon_h is not None and np.isclose(horizon, primary_horizon_h)
            adjusted = holm([p for *_, p in found]) if primary else np.full(len(found), np.nan)
            for (name, difference, variance, p), p_holm in zip(found, adjusted, strict=True):
                interval = difference_interval(difference, variance, t_quantile(self.rows.level, self.df))
                self.rows.add(
                    name, horizon, f"{measure.name}_difference", difference, setting=self.setting,
                    interval=interval, p_value=p, p_holm=p_holm,
                )  # fmt: skip

    def _variance(self, cells, draws) -> float:
        """Variance of the mean over draws: from the rows, and from the number of draws."""
        between = float(np.var(draws, ddof=1)) / len(draws) if len(draws) > 1 else 0.0
        return self.clusters.variance(cells) + between
