"""The results that the sections of the page are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.settings import EvaluationSettings
from sepsis.report import tables
from sepsis.report.elements import Chart
from sepsis.report.names import Style, styles

if TYPE_CHECKING:
    from sepsis.evaluation import Evaluation

NO_HOURLY = "Omitted: the scores have no hourly risks. `sepsis score --hourly` computes them."


@dataclass(frozen=True, eq=False)
class Results:
    """
    An evaluation as the page reads it.

    The tables are those of `Evaluation`; `percent` is the level of the intervals, `design` how controls were
    drawn ("" if unknown).
    """

    metrics: pd.DataFrame
    curves: Mapping[str, pd.DataFrame]
    before_after: pd.DataFrame
    percent: str
    timeline: Chart | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    risk_set: RiskSet | None = None
    design: str = ""

    @classmethod
    def of(cls, evaluation: Evaluation, timeline: Chart | None = None, design: str = "") -> Results:
        """The results of an evaluation."""
        return cls(
            metrics=evaluation.metrics,
            curves=evaluation.curves,
            before_after=evaluation.before_after(),
            percent=f"{100 * evaluation.settings.level:g}",
            timeline=timeline,
            tables=evaluation.tables,
            settings=evaluation.settings,
            risk_set=evaluation.risk_set,
            design=design,
        )

    @cached_property
    def horizon(self) -> pd.DataFrame:
        """Fixed-horizon rows of all stays, and paired differences."""
        return self.rows("horizon", setting="")

    @cached_property
    def extended(self) -> pd.DataFrame:
        """The same rows at further horizons, from hourly risks."""
        return self.rows("horizon", setting="extended")

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models, in their order on the page."""
        return tables.models_of(self.metrics)

    @cached_property
    def looks(self) -> tuple[Style, ...]:
        """Styles of the models."""
        return styles(self.models)

    @cached_property
    def main_h(self) -> float | None:
        """
        The horizon of single numbers: that of the primary endpoint, or the farthest if the scores lack it;
        None without a fixed-horizon view.
        """
        if self.horizon.empty:
            return None
        found, wanted = set(self.horizon.horizon_h), self.settings.primary_horizon_h
        return wanted if wanted in found else float(max(found))

    @property
    def alpha(self) -> float:
        """A Holm-adjusted p value at or below it is a difference."""
        return 1.0 - self.settings.level

    def rows(self, view: str, *, group: str = "all", setting: str | None = None) -> pd.DataFrame:
        """Rows of a view and group; horizon rows only with an hour."""
        rows = self.metrics[(self.metrics["view"] == view) & (self.metrics.group == group)]
        if setting is not None:
            rows = rows[rows.setting == setting]
        return rows[rows.horizon_h.notna()] if view == "horizon" else rows

    def curve(self, name: str) -> pd.DataFrame | None:
        """A curve; None if it is missing or empty."""
        return _there(self.curves, name)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table of the evaluation; None if it is missing or empty."""
        return _there(self.tables, name)


def _there(frames: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame | None:
    found = frames.get(name)
    return None if found is None or found.empty else found
