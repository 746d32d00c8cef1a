"""The table of metrics, collected row by row."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sepsis.evaluation.intervals import percentile_interval

COLUMNS = (
    "model", "view", "horizon_h", "group", "metric", "setting", "estimate", "low", "high",
    "band_low", "band_high", "p_value", "p_holm", "n", "n_events",
)  # fmt: skip
NOTHING = (np.nan, np.nan)


@dataclass(eq=False)
class MetricRows:
    """
    Rows of one view and group (`data_schema/7_metrics.toml`).

    n and n_events are those of a row without its own. In a group too small to show (`shown` False) rows are
    kept without their numbers.
    """

    view: str
    group: str
    level: float
    n: int
    n_events: int
    shown: bool = True
    rows: list[tuple] = field(default_factory=list)

    def add(
        self,
        model,
        horizon_h,
        metric,
        estimate,
        samples=(),
        *,
        setting="",
        interval=None,
        band=NOTHING,
        p_value=np.nan,
        p_holm=np.nan,
        n=None,
        n_events=None,
    ):
        """
        Add one number with its interval: `interval`, or the percentiles of resampled values. `band` is the
        simultaneous one; p values are those of a comparison.
        """
        interval = percentile_interval(samples, self.level) if interval is None else interval
        numbers = [float(number) for number in (estimate, *interval, *band, p_value, p_holm)]
        if not self.shown:
            numbers = [np.nan] * len(numbers)
        counts = (self.n if n is None else n, self.n_events if n_events is None else n_events)
        key = (model, self.view, float(horizon_h), self.group, metric, setting)
        self.rows.append((*key, *numbers, int(counts[0]), int(counts[1])))

    def table(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return metric_table(self.rows)


def metric_table(rows: list[tuple]) -> pd.DataFrame:
    """Rows of `MetricRows` with the types of the contract, even without rows."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("horizon_h", *COLUMNS[6:-2]), "float64")
    return table.astype({**numbers, "n": "int64", "n_events": "int64"})


def ratio(numerator, denominator) -> np.ndarray:
    """Numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    return numerator / np.where(denominator == 0, np.nan, denominator)


def pairs(n_models: int) -> list[tuple[int, int]]:
    """Each pair of models once, the earlier first."""
    return [(a, b) for a in range(n_models) for b in range(a + 1, n_models)]
