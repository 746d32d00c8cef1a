"""The results that the sections of the page are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from sepsis.report import tables
from sepsis.report.elements import Chart
from sepsis.report.names import Style, styles

NO_HOURLY = "Omitted: the scores have no hourly risks. `sepsis score --hourly` computes them."


@dataclass(frozen=True, eq=False)
class Results:
    """
    An evaluation as the page reads it.

    The tables are those of `Evaluation`; `percent` is the level of the intervals.
    """

    metrics: pd.DataFrame
    curves: Mapping[str, pd.DataFrame]
    before_after: pd.DataFrame
    percent: str
    timeline: Chart | None = field(default=None)

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
    def farthest_h(self) -> float | None:
        """The horizon of single numbers; None without a fixed-horizon view."""
        return None if self.horizon.empty else float(self.horizon.horizon_h.max())

    def rows(self, view: str, *, group: str = "all", setting: str | None = None) -> pd.DataFrame:
        """Rows of a view and group; horizon rows only with an hour."""
        rows = self.metrics[(self.metrics["view"] == view) & (self.metrics.group == group)]
        if setting is not None:
            rows = rows[rows.setting == setting]
        return rows[rows.horizon_h.notna()] if view == "horizon" else rows

    def curve(self, name: str) -> pd.DataFrame | None:
        """A curve; None if it is missing or empty."""
        found = self.curves.get(name)
        return None if found is None or found.empty else found
