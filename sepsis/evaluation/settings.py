"""
How scores are judged: the choices of the evaluation, for a pipeline file, the command line and Python alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from pydantic import AliasChoices, Field

from sepsis.cohort.settings import LOOKBACK_H, SPLITS
from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, settings
from sepsis.evaluation.alarms import AlarmRules

Count = Annotated[int, between(0)]
Horizons = tuple[Annotated[float, between(0, LOOKBACK_H)], ...]  # hours before the reference


@settings("evaluate")
class EvaluationSettings:
    """
    Who is judged, when, and by what.

    Attributes
    ----------
    split : str or None
        Share of the cohort that is judged. "auto": test, or external where no stay is of the export the
        model was fitted on, or all rows where the scores know no splits (`judged_split`); None: all rows.
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
        Hours: onset so soon after an hour makes it positive (continuous view).
    recalls, alert_budgets : tuple of float
        What alarm thresholds are chosen for: this recall of onsets, at least, or this many alarms
        per 100 patients and day, at most.
    refractory_h : float
        Hours without a further alarm of the same stay after one. Old pipeline files call it `silence_h`.
    hysteresis : float, optional
        Share of the threshold below which the risk must have been before the next alarm; None: the
        refractory period alone decides.
    alarm_window_h : float
        An alarm is true if onset comes within so many hours after it.
    max_alarms : int, optional
        Alarms of one stay at most; None or 0: no limit.
    censor : bool
        Whether everything is judged again on the hours before antibiotic, culture or suspicion.
    groups : tuple of str
        Columns of the outcomes whose values are subgroups, where they exist.
    min_group_stays, min_group_events : int
        A group with fewer stays, cases or controls is named and not judged.
    target_prevalence : float, optional
        Share of cases where the model would be used; precision and net benefit are then for it. None or 0:
        as in the scores.
    net_benefit_thresholds : tuple of float
        Risks at which one would act.
    n_bootstrap, level, seed
        Resamples of subjects (0 for no intervals), level of the intervals, seed.
    show_stay : bool
        One stay's hourly risks and alarms on the page: a record of a patient.
    """

    split: Literal["auto", "train", "validation", "test", "external"] | None = "auto"
    horizons: Horizons | None = None
    extended_horizons: Horizons = tuple(float(h) for h in range(13))
    control_reference: Literal["matched", "absolute", "relative", "random"] = "matched"
    controls_at_risk: bool = True
    n_draws: Annotated[int, between(1)] = 20
    windows_h: tuple[Annotated[float, between(1, LOOKBACK_H)], ...] = (6.0, 12.0, 24.0)
    recalls: tuple[Annotated[float, between(0.01, 1)], ...] = (0.8, 0.9)
    alert_budgets: tuple[Annotated[float, between(0.01, 2400)], ...] = (20.0,)
    refractory_h: Annotated[
        float, between(0, LOOKBACK_H), Field(validation_alias=AliasChoices("refractory_h", "silence_h"))
    ] = 6.0
    hysteresis: Annotated[float, between(0, 1, above=True)] | None = None
    alarm_window_h: Annotated[float, between(1, LOOKBACK_H)] = 12.0
    max_alarms: Count | None = None
    censor: bool = True
    groups: tuple[str, ...] = ("site", "sex", "age", "year", "system")
    min_group_stays: Count = 20
    min_group_events: Count = 5
    target_prevalence: Annotated[float, between(0, 0.99)] | None = None
    net_benefit_thresholds: tuple[Annotated[float, between(0.001, 0.999)], ...] = (0.05, 0.1, 0.2)
    n_bootstrap: Count = 1000
    level: Annotated[float, between(0.5, 0.999)] = 0.95
    seed: Count = 0
    show_stay: bool = False

    def __post_init__(self):
        for name in ("max_alarms", "target_prevalence"):  # TOML has no null
            object.__setattr__(self, name, getattr(self, name) or None)
        if not self.controls_at_risk and self.control_reference not in ("matched", "absolute"):
            raise SettingsError(
                "[evaluate] controls_at_risk",
                f"is false with control_reference {self.control_reference!r}",
                "'matched' or 'absolute'",
                "Other references lie inside the control's stay anyway.",
            )

    @property
    def alarm(self) -> AlarmRules:
        """When an alarm rings, and when it counts."""
        return AlarmRules(self.refractory_h, self.hysteresis, self.max_alarms, self.alarm_window_h)


def judged_split(scores: pd.DataFrame, asked: str | None) -> str | None:
    """
    The share of the cohort to judge, or None for all rows.

    Reads    scores(split, risk)

    Raises
    ------
    SettingsError
        If no stay of the split has a risk, naming the splits that have.
    """
    there = set(scores[scores.risk.notna()].split) - {""}
    if asked is None or (asked == "auto" and not there):
        return None
    wanted = ("external" if there == {"external"} else "test") if asked == "auto" else asked
    if wanted not in there:
        raise SettingsError(
            "[evaluate] split",
            f"no stay of the {wanted} split has a risk",
            " or ".join(name for name in sorted(SPLITS) if name in there) or "scores that know their splits",
            "Choose one of them with --split, or score again.",
        )
    return wanted
