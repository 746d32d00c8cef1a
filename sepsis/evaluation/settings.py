"""
How scores are judged: every choice of the evaluation in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sepsis.core.errors import UsageError, nearest
from sepsis.evaluation.alarms import AlarmRules

CONTROL_REFERENCES = ("matched", "absolute", "relative", "random")


@dataclass(frozen=True)
class EvaluationSettings:
    """
    Who is judged, when, and by what.

    Attributes
    ----------
    split : str or None
        Share of the cohort that is judged; None for all rows.
    horizons : tuple of float, optional
        Hours before the reference; those that the scores have at fixed hours, or 0 to 7 of hourly
        scores, where left out.
    extended_horizons : tuple of float
        A second set, from hourly scores only, judged on the stays that reach it; () for none.
    control_reference : str
        When a control is judged (`sepsis.evaluation.reference`): "matched", the cohort's own hour;
        "absolute", "relative" or "random", which need hourly scores.
    controls_at_risk : bool
        False: a control may have left the unit by its hour, as in the published code. Warns.
    n_draws : int
        Repeated draws of "random".
    windows_h : tuple of float
        W of the continuous view.
    recalls, alert_budgets : tuple of float
        What alarm thresholds are chosen for: this recall of onsets, at least, or this many alarms
        per 100 patients and day, at most.
    alarm : AlarmRules
    censor : bool
        Whether everything is judged again on the hours before treatment or suspicion.
    groups : tuple of str
        Columns of the outcomes whose values are subgroups, where they exist.
    min_group_stays, min_group_events : int
        A group with fewer stays, cases or controls is named and not judged.
    target_prevalence : float, optional
        Share of cases where the model would be used; precision and net benefit are then for it.
    net_benefit_thresholds : tuple of float
        Risks at which one would act.
    n_bootstrap, level, random_state
        Resamples (0 for no intervals), level of the intervals, seed.
    """

    split: str | None = "test"
    horizons: tuple[float, ...] | None = None
    extended_horizons: tuple[float, ...] = tuple(float(h) for h in range(13))
    control_reference: str = "matched"
    controls_at_risk: bool = True
    n_draws: int = 20
    windows_h: tuple[float, ...] = (6.0, 12.0, 24.0)
    recalls: tuple[float, ...] = (0.8, 0.9)
    alert_budgets: tuple[float, ...] = (20.0,)
    alarm: AlarmRules = field(default_factory=AlarmRules)
    censor: bool = True
    groups: tuple[str, ...] = ("site", "sex", "age", "year")
    min_group_stays: int = 20
    min_group_events: int = 5
    target_prevalence: float | None = None
    net_benefit_thresholds: tuple[float, ...] = (0.05, 0.1, 0.2)
    n_bootstrap: int = 1000
    level: float = 0.95
    random_state: int = 0

    def __post_init__(self):
        for name in ("horizons", "extended_horizons", "windows_h", "recalls", "alert_budgets",
                     "groups", "net_benefit_thresholds"):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                cast = str if name == "groups" else float
                object.__setattr__(self, name, tuple(cast(v) for v in value))
        self._check_numbers()
        if self.control_reference not in CONTROL_REFERENCES:
            raise UsageError(
                "control_reference",
                f"is {self.control_reference!r}",
                todo=nearest(self.control_reference, CONTROL_REFERENCES),
            )
        if not self.controls_at_risk and self.control_reference not in ("matched", "absolute"):
            raise UsageError(
                "controls_at_risk",
                f"is false with control_reference {self.control_reference!r}",
                "'matched' or 'absolute'",
                "Other references lie inside the control's stay anyway.",
            )

    def _check_numbers(self) -> None:
        """Raise UsageError for a number outside its bounds."""
        within("level", [self.level], 0.0, 1.0, "0.95 is usual.")
        within("recalls", self.recalls, 0.0, 1.0, closed=True)
        within("net_benefit_thresholds", self.net_benefit_thresholds, 0.0, 1.0)
        if self.target_prevalence is not None:
            within("target_prevalence", [self.target_prevalence], 0.0, 1.0)
        for name in ("n_bootstrap", "min_group_stays", "min_group_events", "random_state"):
            if getattr(self, name) < 0:
                raise UsageError(name, f"is {getattr(self, name)}", "0 or more")
        if self.n_draws < 1:
            raise UsageError("n_draws", f"is {self.n_draws}", "1 or more")
        for name in ("windows_h", "alert_budgets"):
            within(name, getattr(self, name), 0.0, float("inf"))
        for name in ("horizons", "extended_horizons"):
            if any(h < 0 for h in getattr(self, name) or ()):
                raise UsageError(name, "has a negative hour", "hours before the reference, 0 or more")


def within(
    name: str, values: Iterable[float], low: float, high: float, todo: str = "", *, closed: bool = False
) -> None:
    """
    Raise UsageError unless every value lies between the bounds.

    Parameters
    ----------
    closed : bool
        Whether the upper bound itself is allowed.
    """
    for value in values:
        if not (low < value < high or (closed and value == high)):
            expected = (
                f"a number above {low:g}"
                if high == float("inf")
                else f"a number between {low:g} and {high:g}"
            )
            raise UsageError(name, f"is {value:g}", expected, todo)
