"""The evaluator: runs every view on one set of scores and collects metrics, curves and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sepsis.calibration.recalibration import Recalibration
from sepsis.core.errors import NothingLeftError
from sepsis.evaluation.alarm_thresholds import (
    AlarmThreshold,
    choose_alarm_thresholds,
    notes_on_folds,
    per_stay,
)
from sepsis.evaluation.alarm_view import alarm_metrics, sweep_thresholds
from sepsis.evaluation.around_onset import risk_around_onset, risk_at_horizons
from sepsis.evaluation.at_risk import MOST
from sepsis.evaluation.calibration import calibration_metrics, fitted_maps, reliability_curve
from sepsis.evaluation.censoring import BEFORE_TREATMENT, TIMES, before_after
from sepsis.evaluation.cohort_tables import before_onset, label_delay, table_one, time_left
from sepsis.evaluation.continuous import continuous_metrics
from sepsis.evaluation.contract import TOLERANCE_H, rows_of_split
from sepsis.evaluation.horizons import horizon_metrics
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.landmark import landmark_metrics
from sepsis.evaluation.lead_time import Shuffles, lead_time_curve
from sepsis.evaluation.net_benefit import decision_curve, net_benefit_metrics
from sepsis.evaluation.operating_points import operating_metrics
from sepsis.evaluation.prevalence import target_of
from sepsis.evaluation.reference import HOURLY_HORIZONS
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.risk_table import EvaluatedSplit, RiskTable
from sepsis.evaluation.rows import MetricRows, metric_table
from sepsis.evaluation.sample_size import sample_size, training_cases
from sepsis.evaluation.settings import EvaluationSettings
from sepsis.evaluation.spread import spread_over_folds, spread_over_runs
from sepsis.evaluation.subgroups import large_enough, subgroups, too_many_values
from sepsis.evaluation.utility import hours_follow_each_other, utility_metrics

VALIDATION = "validation"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """
    The result of `evaluate_all`.

    Attributes
    ----------
    metrics : DataFrame
        `data_schema/7_metrics.toml`.
    curves : dict of DataFrame
        landmark, event_precision_recall, burden_recall, lead_time, reliability, decision_curve,
        risk_around_onset, as far as the scores allow.
    risk_set : RiskSet or None
        Stays of the fixed-horizon view, if there is one.
    coverage : DataFrame
        Stays missing from some or all figures.
    thresholds : DataFrame
        model, setting, fold, threshold, chosen_on ("validation" or "judged"), n, n_events.
    recalibrations : dict
        By model and method, fitted on the validation split; none with folds, whose maps belong to models that
        are not kept.
    notes : list of str
        Caveats for the reader: omitted views, thresholds chosen on the evaluated rows.
    tables : dict of DataFrame
        About the study, as far as the scores allow: table_one, before_onset, label_delay, time_left
        (`sepsis.evaluation.cohort_tables`), sample_size, folds and seeds (`sepsis.evaluation.spread`).
    hourly_stays : ndarray of int64, or None
        Stays of the hourly views, if there are any.
    """

    metrics: pd.DataFrame
    curves: dict[str, pd.DataFrame]
    risk_set: RiskSet | None
    coverage: pd.DataFrame
    thresholds: pd.DataFrame
    recalibrations: dict[tuple[str, str], Recalibration]
    notes: list[str]
    settings: EvaluationSettings
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    hourly_stays: np.ndarray | None = None

    def before_after(self) -> pd.DataFrame:
        """Figures on all hours and on those before treatment (`sepsis.evaluation.censoring`)."""
        return before_after(self.metrics)


@dataclass(eq=False)
class Evaluator:
    """Runs the views in order and collects their metrics in `tables`."""

    table: RiskTable
    notes: list[str]
    tables: list[pd.DataFrame] = field(default_factory=list)

    def evaluation(self) -> Evaluation:
        """Run every view."""
        evaluated = self.table.of_split(self.settings.split, self.notes)
        self.note_what_is_missing(evaluated.hours)
        validation = self.validation_split()
        recalibrations = self.recalibrations(validation)
        thresholds = self.thresholds(evaluated, validation)
        curves: dict[str, pd.DataFrame] = {}
        if evaluated.draws is not None:
            curves |= self.fixed_views(evaluated.draws, recalibrations)
        if evaluated.hours is not None:
            curves |= self.hourly_views(evaluated.hours, evaluated.draws, validation, thresholds)
        if not any(len(t) for t in self.tables):
            raise NothingLeftError(
                "scores", f"no view has cases and controls in {len(self.table.scores):,} rows "
                f"({' '.join(self.notes)})",
                "risks of both", "Score another split, or more stays.",
            )  # fmt: skip
        if self.settings.censor:
            self.before_treatment(evaluated, validation, thresholds)
        self.groups(evaluated, thresholds)
        return Evaluation(
            metrics=pd.concat([t for t in self.tables if len(t)], ignore_index=True),
            curves=curves,
            risk_set=None if evaluated.draws is None else evaluated.draws[0],
            coverage=_coverage(evaluated),
            thresholds=pd.DataFrame(
                [(t.model, t.setting, t.fold, t.value, t.chosen_on, t.n, t.n_events) for t in thresholds],
                columns=["model", "setting", "fold", "threshold", "chosen_on", "n", "n_events"],
            ),
            recalibrations={key[:2]: made for key, made in recalibrations.items() if key[2] == 0},
            notes=list(dict.fromkeys(self.notes)),
            settings=self.settings,
            tables=self.about_the_study(evaluated),
            hourly_stays=None if evaluated.hours is None else evaluated.hours.stay_id,
        )

    @property
    def settings(self) -> EvaluationSettings:
        """Settings of the evaluation."""
        return self.table.settings

    @property
    def interval(self) -> dict[str, Any]:
        """Arguments of the resampling."""
        s = self.settings
        return {"n_bootstrap": s.n_bootstrap, "level": s.level, "random_state": s.seed}

    def validation_split(self) -> EvaluatedSplit | None:
        """The validation split of each fold, unless it is the one evaluated."""
        scores = self.table.scores
        folds = np.unique(scores.fold[scores.split == VALIDATION])
        if self.settings.split in (None, VALIDATION) or not len(folds):
            return None
        parts = []
        for fold in folds:
            try:
                parts.append(self.table.of_split(VALIDATION, [], fold=int(fold)))
            except NothingLeftError:  # one class only
                if len(folds) > 1:
                    self.notes.append(f"The validation split of fold {fold} lacks cases or controls.")
        return EvaluatedSplit.joined(parts) if parts else None

    def recalibrations(self, validation: EvaluatedSplit | None) -> dict[tuple[str, str, int], Recalibration]:
        """Maps by model, method and fold, fitted on all horizons of the validation split together."""
        if validation is None or validation.draws is None:
            self.notes.append("No fixed-horizon rows of the validation split: risks are not recalibrated.")
            return {}
        return fitted_maps(validation.draws[0])

    def thresholds(
        self, evaluated: EvaluatedSplit, validation: EvaluatedSplit | None
    ) -> list[AlarmThreshold]:
        """Alarm thresholds from the validation split; without one, from the evaluated rows, with a note."""
        if evaluated.hours is None:
            return []
        s = self.settings
        hours = _hours_to_choose_on(validation, evaluated.hours.models)
        if hours is None:
            self.notes.append(
                "Alarm thresholds were chosen on the evaluated rows, because the validation split has no "
                "hourly rows of cases: alarm and utility figures are optimistic, their intervals too narrow."
            )
        on, where = (evaluated.hours, "judged") if hours is None else (hours, VALIDATION)
        if not on.is_case.any():
            return []
        chosen = choose_alarm_thresholds(on, s.recalls, s.alert_budgets, s.alarm, where)
        self.notes += notes_on_folds(chosen)
        return [t for t in chosen if t.model in evaluated.hours.models]

    def about_the_study(self, evaluated: EvaluatedSplit) -> dict[str, pd.DataFrame]:
        """Tables about the study itself; empty ones are left out."""
        s, scores, outcomes = self.settings, self.table.outline, self.table.outcomes
        draws = evaluated.draws
        mine = outcomes[outcomes.stay_id.isin(rows_of_split(scores, s.split).stay_id)]
        horizons = s.horizons or (HOURLY_HORIZONS if draws is None else tuple(draws[0].horizons))
        made = {
            "table_one": table_one(scores, outcomes),
            "before_onset": before_onset(mine, horizons, s.level),
            "label_delay": label_delay(mine),
        }
        if draws is not None:
            prevalence = float(draws[0].is_case.mean())
            threshold = min(s.net_benefit_thresholds, key=lambda t: abs(t - prevalence), default=prevalence)
            made |= {
                "time_left": time_left(draws[0]),
                "sample_size": sample_size(
                    draws[0], s.primary_horizon_h, threshold,
                    training_cases=training_cases(scores, outcomes),
                ),
                "folds": spread_over_folds(draws[0]),
                "seeds": spread_over_runs(self.table.runs(s.split)),
            }  # fmt: skip
        return {name: table for name, table in made.items() if table is not None and len(table)}

    def fixed_views(self, draws: list[RiskSet], recalibrations) -> dict[str, pd.DataFrame]:
        """Views of one risk per stay and horizon."""
        s, risk_set = self.settings, draws[0]
        target = target_of(risk_set, s.target_prevalence)
        self.tables += [
            horizon_metrics(
                draws, n_permutations=s.n_permutations, primary=self.primary(risk_set), **self.interval
            ),
            operating_metrics(risk_set, target, **self.interval),
            self.without_risk("all", risk_set.split_stay_id, risk_set),
            calibration_metrics(risk_set, recalibrations, target, level=s.level),
            net_benefit_metrics(risk_set, s.net_benefit_thresholds, target, level=s.level),
        ]
        return {
            "reliability": reliability_curve(risk_set, recalibrations, target, level=s.level),
            "decision_curve": decision_curve(risk_set, target),
            "risk_around_onset": risk_at_horizons(risk_set, **self.interval),
        }

    def primary(self, risk_set: RiskSet) -> tuple[str, float]:
        """Measure and horizon of the primary endpoint, with a note if no model was scored there."""
        s = self.settings
        if not np.isclose(risk_set.horizons, s.primary_horizon_h).any():
            self.notes.append(
                f"The primary endpoint is {s.primary_metric} at {s.primary_horizon_h:g} h, a horizon that "
                "the scores lack: no comparison is adjusted for the number of pairs."
            )
        return s.primary_metric, s.primary_horizon_h

    def note_what_is_missing(self, hours: Hours | None) -> None:
        """Notes on labelled stays that no row is about, and on stays whose hourly risks stop early."""
        included = self.table.outcomes[self.table.outcomes.included]
        absent = included[~included.stay_id.isin(self.table.scores.stay_id)]
        if len(absent):
            self.notes.append(
                f"{len(absent):,} of the {len(included):,} labelled stays ({int(absent.is_case.sum()):,} "
                "cases) are in no score file: every figure is about the others."
            )
        if hours is not None:
            last_h = hours.time_h[hours.start[1:] - 1]
            early = np.fmin(hours.end_h, hours.onset_h) - last_h > 1.0 + TOLERANCE_H
            if early.any():
                self.notes.append(
                    f"Hourly risks of {int(early.sum()):,} of {len(early):,} stays "
                    f"({int((early & hours.is_case).sum()):,} cases) stop more than 1 h before onset or the "
                    "end of the stay: their last hours are in no hourly figure."
                )

    def hourly_views(
        self, hours: Hours, draws: list[RiskSet] | None, validation, thresholds
    ) -> dict[str, pd.DataFrame]:
        """Views of a risk every hour."""
        s = self.settings
        rows = rows_of_split(self.table.outline, s.split)
        self.extended(hours, rows)
        curves = {}
        members = self.table.members(rows)
        if members is not None:
            curves["risk_around_onset"] = risk_around_onset(hours, members, **self.interval)
        if not hours.is_case.any() or hours.is_case.all():
            self.notes.append(
                "Hourly scores of one class only: the landmark, continuous and alarm views are omitted."
            )
            return curves
        curves["landmark"] = self.landmarks(hours, draws)
        self.tables.append(continuous_metrics(hours, s.windows_h, **self.interval))
        shuffles = Shuffles.of(hours, s.seed)
        self.tables.append(alarm_metrics(hours, thresholds, s.alarm, level=s.level, shuffles=shuffles))
        swept, event, burden = sweep_thresholds(hours, s.alarm, level=s.level)
        self.tables.append(swept)
        curves |= {"event_precision_recall": event, "burden_recall": burden}
        curves["lead_time"] = lead_time_curve(hours, per_stay(hours, thresholds), s.alarm, shuffles)
        self.utility(hours, validation, "all")
        return curves

    def landmarks(self, hours: Hours, draws: list[RiskSet] | None) -> pd.DataFrame:
        """The landmark panel: every stay still at risk at fixed hours, at its natural prevalence."""
        s, outcomes = self.settings, self.table.outcomes
        target = None if draws is None else target_of(draws[0], None)
        metrics, curve = landmark_metrics(
            hours, outcomes, s.landmark_hours, s.landmark_window_h, target=target, level=s.level,
            random_state=s.seed,
        )  # fmt: skip
        if len(curve) and target is not None:
            self.notes.append(
                "Observed / expected of the landmark view takes the risks from the share of cases in the "
                f"matched sets ({target.matched:.1%}) to that of the cohort ({target.prevalence:.1%}); they "
                "were made for another window."
            )
        self.tables.append(metrics)
        late = curve[curve.n_reach_onset > MOST * curve.n].hour.unique()
        if len(late):
            self.notes.append(
                f"Landmark view: of the stays at risk at {', '.join(f'{hour:g}' for hour in late)} h, most "
                "reach onset sooner or later: this export follows other stays no further, and there is no "
                "figure."
            )
        open_end = outcomes.stay_id.isin(hours.stay_id) & outcomes.stay_h.isna() & ~outcomes.is_case
        if len(curve) and open_end.any():
            self.notes.append(
                f"{int(open_end.sum()):,} stays have no time of leaving the unit: the landmark view follows "
                "them until an hour after their last risk, and weighs others in their place."
            )
        return curve

    def extended(self, hours: Hours, rows: pd.DataFrame) -> None:
        """The horizon view at farther horizons, on the stays that reach them."""
        horizons = self.settings.extended_horizons
        if not horizons:
            return
        try:
            draws = self.table.at_hours(hours, rows, [], horizons=horizons)
        except NothingLeftError as error:
            self.notes.append(f"No extended horizons: {error}")
            return
        self.tables.append(horizon_metrics(draws, setting="extended", **self.interval))

    def utility(self, hours: Hours, validation: EvaluatedSplit | None, group: str) -> None:
        """The PhysioNet 2019 utility, if scores are hourly without gaps."""
        there = _hours_to_choose_on(validation, hours.models)
        on = hours if there is None else there
        if not (hours_follow_each_other(hours) and hours_follow_each_other(on)):
            self.notes.append("Hourly scores have gaps: the utility view is omitted.")
            return
        setting = "best on judged rows" if there is None else "best on validation"
        self.tables.append(utility_metrics(hours, on, setting, level=self.settings.level, group=group))

    def before_treatment(self, evaluated: EvaluatedSplit, validation, thresholds) -> None:
        """The main views on the hours before treatment or suspicion."""
        if self.table.outcomes[list(TIMES)].isna().all(axis=None):
            self.notes.append(
                "The labels have no times of antibiotic, culture or suspicion: nothing is censored."
            )
            return
        s = self.settings
        said: list[str] = []
        censored = self.table.of_split(s.split, said, censor=True)
        self.notes += [note for note in said if note.startswith("Before treatment")]
        if censored.draws is not None:
            self.tables.append(horizon_metrics(censored.draws, group=BEFORE_TREATMENT, **self.interval))
        elif evaluated.draws is not None:
            self.notes.append("Before treatment or suspicion, no horizon has both cases and controls.")
        hours = censored.hours
        if hours is not None and hours.is_case.any() and not hours.is_case.all():
            how: dict[str, Any] = {**self.interval, "group": BEFORE_TREATMENT}
            self.tables.append(continuous_metrics(hours, s.windows_h, **how))
            self.tables.append(
                alarm_metrics(hours, thresholds, s.alarm, level=s.level, group=BEFORE_TREATMENT)
            )
            self.utility(hours, validation, BEFORE_TREATMENT)

    def groups(self, evaluated: EvaluatedSplit, thresholds) -> None:
        """The headline measures by subgroup."""
        s = self.settings
        for column in too_many_values(self.table.outcomes, s.groups):
            self.notes.append(f"Column {column} has too many values for subgroups.")
        scored = rows_of_split(self.table.outline, s.split).stay_id
        there = self.table.outcomes[self.table.outcomes.stay_id.isin(scored)]
        for name, stay_id in subgroups(there, s.groups):
            part = evaluated.only(stay_id)
            if part.draws is not None and evaluated.draws is not None:
                shown = large_enough(part.draws[0].is_case, s.min_group_stays, s.min_group_events)
                how: dict[str, Any] = {**self.interval, "group": name, "differences": False, "shown": shown}
                how["n_bootstrap"] *= shown
                self.tables.append(horizon_metrics(part.draws, **how))
                self.tables.append(self.without_risk(name, stay_id, evaluated.draws[0]))
            if part.hours is not None:
                shown = large_enough(part.hours.is_case, s.min_group_stays, s.min_group_events)
                how = {**self.interval, "group": name, "differences": False, "shown": shown}
                how["n_bootstrap"] *= shown
                self.tables.append(continuous_metrics(part.hours, s.windows_h, **how))
                self.tables.append(
                    alarm_metrics(
                        part.hours, thresholds, s.alarm, level=s.level, group=name, differences=False,
                        shown=shown,
                    )
                )  # fmt: skip

    def without_risk(self, group: str, stay_id, risk_set: RiskSet) -> pd.DataFrame:
        """Share of a group's stays for which some model has no risk."""
        mine = np.isin(risk_set.split_stay_id, stay_id)
        n, n_events = int(mine.sum()), int(risk_set.split_is_case[mine].sum())
        shown = group == "all" or large_enough(
            risk_set.split_is_case[mine], self.settings.min_group_stays, self.settings.min_group_events
        )
        rows = MetricRows("horizon", group, self.settings.level, n, n_events, shown)
        lost = ~np.isin(risk_set.split_stay_id[mine], risk_set.stay_id)
        rows.add("all", np.nan, "without_risk", lost.mean() if n else np.nan)
        return metric_table(rows.rows)


def _hours_to_choose_on(validation: EvaluatedSplit | None, models) -> Hours | None:
    """Hours of the validation split, if they have cases and every model."""
    hours = None if validation is None else validation.hours
    usable = hours is not None and hours.is_case.any() and set(hours.models) >= set(models)
    return hours if usable else None


def _coverage(evaluated: EvaluatedSplit) -> pd.DataFrame:
    parts = [] if evaluated.draws is None else [evaluated.draws[0].coverage]
    if evaluated.hours is not None:
        parts.append(evaluated.hours.coverage)
    table = pd.concat(parts, ignore_index=True)
    return table.drop_duplicates(["model", "horizon_h", "reason"], ignore_index=True)


def notes_on(given: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """Notes on columns that a score table lacks."""
    notes = []
    if not (scores.split != "").any():
        notes.append(
            "The scores have no split: every scored stay is evaluated, including any the model was fitted on."
        )
    if "model" not in given.columns:
        notes.append("The scores have no column model: the model is called 'model'.")
    return notes
