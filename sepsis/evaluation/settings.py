"""Settings of the evaluation, for a pipeline file, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd

from sepsis.cohort.settings import LOOKBACK_H, SPLITS
from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, settings
from sepsis.evaluation.alarms import AlarmRules

Count = Annotated[int, between(0)]
MAX_LANDMARK_H = 1000.0  # six weeks: few stays are longer
Horizons = tuple[Annotated[float, between(0, LOOKBACK_H)], ...]  # hours before the reference


@settings("evaluate", silence_h="refractory_h")
class EvaluationSettings:
    """
    Which stays are evaluated, when, and by which measures.

    `refractory_h` was called `silence_h`; pipeline files may still use that name. `max_alarms` and
    `target_prevalence` may be 0 for None, as TOML has no null.
    """

    # auto: test, or external where no stay is of the export the model was fitted on, or all rows where the
    # scores have no splits (`evaluated_split`); None: all rows
    split: Literal["auto", "train", "validation", "test", "external"] | None = "auto"
    # hours before the reference; None: those of the fixed rows, or 0 to 7 of hourly scores
    horizons: Horizons | None = None
    # a second set, from hourly scores only, about the stays that reach it; (): none
    extended_horizons: Horizons = tuple(float(h) for h in range(13))
    # hour of a control (`sepsis.evaluation.reference`): the cohort's own; all others need hourly scores
    control_reference: Literal["matched", "absolute", "relative", "random"] = "matched"
    controls_at_risk: bool = (
        True  # False: controls may have left the unit by their hour, as in published code
    )
    # of control_reference "absolute", and of scores without matched sets (`sepsis.cohort.matching`)
    design: Literal["incidence_density", "paper"] = "incidence_density"
    n_draws: Annotated[int, between(1)] = 20  # of control_reference "random"
    # the one comparison that is tested (Holm's rule over pairs of models): this measure, so long before onset
    primary_metric: Literal["auprc", "auroc"] = "auprc"
    primary_horizon_h: Annotated[float, between(0, LOOKBACK_H)] = 6.0
    # continuous view: an hour is positive if onset follows within this many hours
    windows_h: tuple[Annotated[float, between(1, LOOKBACK_H)], ...] = (6.0, 12.0, 24.0)
    # landmark view: at these hours since admission, does onset follow within the window?; (): no such view
    landmark_hours: tuple[Annotated[float, between(0, MAX_LANDMARK_H)], ...] = tuple(
        6.0 * k for k in range(1, 17)
    )
    landmark_window_h: Annotated[float, between(1, LOOKBACK_H)] = 12.0
    # targets of alarm thresholds: least recall of onsets; most alarms per 100 patients a day
    recalls: tuple[Annotated[float, between(0.01, 1)], ...] = (0.8, 0.9)
    alert_budgets: tuple[Annotated[float, between(0.01, 2400)], ...] = (20.0,)
    refractory_h: Annotated[float, between(0, LOOKBACK_H)] = 6.0  # hours without a further alarm of the stay
    # share of the threshold that the risk must fall below before the next alarm; None: no such rule
    hysteresis: Annotated[float, between(0, 1, above=True)] | None = None
    alarm_window_h: Annotated[float, between(1, LOOKBACK_H)] = (
        12.0  # an alarm is true if onset follows within
    )
    max_alarms: Count | None = None  # of one stay; None: no limit
    censor: bool = True  # evaluate again without the hours after antibiotic, culture or suspicion
    groups: tuple[str, ...] = ("site", "sex", "age", "year", "system")  # columns of the outcomes
    min_group_stays: Annotated[int, between(1)] = 20  # groups with fewer stays are named and not evaluated
    min_group_events: Annotated[int, between(1)] = 5  # or with fewer cases or controls
    # share of cases that figures refer to beside the matched one; None: that of the cohort
    target_prevalence: Annotated[float, between(0, 0.99)] | None = None
    net_benefit_thresholds: tuple[Annotated[float, between(0.001, 0.999)], ...] = (0.05, 0.1, 0.2)
    n_bootstrap: Count = 1000  # resamples of subjects or matched sets; 0: no intervals
    n_permutations: Count = 1000  # of classes, for the band of a risk without signal; 0: no band
    level: Annotated[float, between(0.5, 0.999)] = 0.95  # of the intervals
    seed: Count = 0
    show_stay: bool = False  # one stay's hourly risks and alarms on the page: a record of a patient

    def __post_init__(self):
        for name in ("max_alarms", "target_prevalence"):  # TOML has no null
            object.__setattr__(self, name, getattr(self, name) or None)
        if self.horizons == ():
            raise SettingsError("[evaluate] horizons", "is empty", "hours before the reference")
        if list(self.landmark_hours) != sorted(set(self.landmark_hours)):
            raise SettingsError(
                "[evaluate] landmark_hours", "do not ascend, or repeat an hour", "each hour once, ascending"
            )
        if not self.controls_at_risk and self.control_reference not in ("matched", "absolute"):
            raise SettingsError(
                "[evaluate] controls_at_risk",
                f"is false with control_reference {self.control_reference!r}",
                "'matched' or 'absolute'",
                "Other references lie inside the control's stay anyway.",
            )

    @property
    def alarm(self) -> AlarmRules:
        """When an alarm is raised, and when it is true."""
        return AlarmRules(self.refractory_h, self.hysteresis, self.max_alarms, self.alarm_window_h)


def evaluated_split(scores: pd.DataFrame, asked: str | None) -> str | None:
    """The split to evaluate, None for all rows; raises SettingsError if no stay of it has a risk."""
    there = set(scores.split[scores.risk.notna()].unique()) - {""}
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
