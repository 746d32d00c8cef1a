"""A score table with its outcomes, and one split of it as the views read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError, UsageError
from sepsis.evaluation.censoring import censor_scores
from sepsis.evaluation.contract import rows_of_split
from sepsis.evaluation.hours import Hours, hourly_risks
from sepsis.evaluation.reference import (
    HOURLY_HORIZONS,
    risk_sets_of_hours,
    rows_at_references,
    warn_unchecked,
)
from sepsis.evaluation.risk_set import RiskSet, fixed_risk_set
from sepsis.evaluation.settings import EvaluationSettings

NO_HOURS = "No hourly scores: the continuous, alarm and utility views are omitted."
NO_ONSET = "The labels have no onset time (onset_h) of any case: hourly scores cannot be evaluated."
MATCHED_HERE = (
    "The scores have no reference hour of controls (reference_h), so controls were matched here to cases at "
    "the absolute hour of onset, among those still in the unit."
)


@dataclass(frozen=True, eq=False)
class EvaluatedSplit:
    """
    One split as the views read it: fixed-horizon risks, one set for each draw of the controls' reference
    hours, and hourly risks.
    """

    draws: list[RiskSet] | None
    hours: Hours | None

    def only(self, stay_id) -> EvaluatedSplit:
        """The same for some of the stays."""
        draws = None if self.draws is None else [d.only(stay_id) for d in self.draws]
        return EvaluatedSplit(draws, None if self.hours is None else self.hours.only(stay_id))


@dataclass(frozen=True, eq=False)
class RiskTable:
    """A score table and its outcomes, both checked (`sepsis.evaluation.contract`), and the settings."""

    scores: pd.DataFrame
    outcomes: pd.DataFrame
    settings: EvaluationSettings

    def of_split(self, split: str | None, notes: list[str], *, censor: bool = False) -> EvaluatedSplit:
        """
        Risks of a split, at fixed horizons and by the hour; caveats are appended to `notes`. `censor` removes
        risks after treatment or suspicion.

        Raises NothingLeftError if there are only fixed-horizon rows, without both cases and controls, and
        UsageError if the control reference needs hourly scores, and there are none.
        """
        rows = rows_of_split(self.scores, split)
        fixed, hourly = rows.horizon_h.notna(), rows.horizon_h.isna() & rows.time_h.notna()
        hours, draws = None, None
        cases = self.outcomes[self.outcomes.included & self.outcomes.is_case]
        if hourly.any() and len(cases) and cases.onset_h.isna().all():
            notes.append(NO_ONSET)
        elif hourly.any():
            try:
                hours = hourly_risks(self.scores, self.outcomes, split=split)
            except NothingLeftError as error:
                notes.append(f"No hourly scores to evaluate: {error}")
        else:
            notes.append(NO_HOURS)
        wanted = self.settings.control_reference
        if wanted != "matched" and not hourly.any():
            raise UsageError(
                "control_reference", f"is {wanted!r} and the scores have no hourly rows", "hourly scores",
                "Score with --hourly, or choose 'matched'.",
            )  # fmt: skip
        try:
            if wanted == "matched" and fixed.any():
                draws = [self._at_fixed_rows(split, censor, notes)]
            elif hours is not None:
                draws = self.at_hours(hours, notes, censor=censor)
        except NothingLeftError as error:
            if hours is None and not censor:
                raise
            notes.append(f"No fixed-horizon view: {error}")
        if hours is not None and hours.dropped:
            notes.append(
                f"{hours.dropped:,} hours lack a risk from some model and are omitted for all models."
            )
        if censor and hours is not None:
            hours = hours.before(hours.censor_h)
        return EvaluatedSplit(draws, hours)

    def _at_fixed_rows(self, split: str | None, censor: bool, notes: list[str]) -> RiskSet:
        """The risk set of fixed-horizon rows; models with hourly rows only are added to it."""
        scores = self._with_hourly_models(split, notes)
        if not self.settings.controls_at_risk and not censor:
            warn_unchecked(notes)
        if not censor:
            return self._fixed(scores, split, self.settings.horizons)
        scores = censor_scores(scores, self.outcomes)
        rows = rows_of_split(scores, split)
        horizons = self.settings.horizons or tuple(np.unique(rows.horizon_h.dropna()))
        return _farthest_horizons(horizons, notes, lambda some: self._fixed(scores, split, some))

    def _fixed(self, scores: pd.DataFrame, split: str | None, horizons) -> RiskSet:
        at_risk = self.settings.controls_at_risk
        return fixed_risk_set(scores, self.outcomes, split=split, horizons=horizons, controls_at_risk=at_risk)

    def _with_hourly_models(self, split: str | None, notes: list[str]) -> pd.DataFrame:
        """The scores with fixed-horizon rows derived for models that have hourly rows only."""
        rows = rows_of_split(self.scores, split)
        fixed = rows[rows.horizon_h.notna()]
        alone = rows[rows.horizon_h.isna() & rows.time_h.notna() & ~rows.model.isin(fixed.model.unique())]
        if alone.empty:
            return self.scores
        horizons = self.settings.horizons or np.unique(fixed.horizon_h)
        made = rows_at_references(hourly_risks(alone, self.outcomes, split=None), horizons)
        people = fixed.drop_duplicates("stay_id").set_index("stay_id")[["subject_id", "split", "is_case"]]
        made = made[made.stay_id.isin(people.index)].join(people, on="stay_id")
        names = ", ".join(sorted(alone.model.unique()))
        notes.append(f"Fixed-horizon risks of {names} are the last hourly risk at or before each horizon.")
        return pd.concat(
            [self.scores, made[self.scores.columns.intersection(made.columns)]], ignore_index=True
        )

    def at_hours(
        self, hours: Hours, notes: list[str], *, horizons=None, censor: bool = False
    ) -> list[RiskSet]:
        """Fixed-horizon risks taken from hourly ones."""
        s = self.settings
        reference = s.control_reference
        if reference == "matched" and np.isnan(hours.reference_h[~hours.is_case]).all():
            reference = "absolute"
            notes.append(MATCHED_HERE)

        def picked(horizons) -> list[RiskSet]:
            draws, said = risk_sets_of_hours(
                hours, horizons, reference=reference, at_risk=s.controls_at_risk, n_draws=s.n_draws,
                random_state=s.seed, censor=censor,
            )  # fmt: skip
            notes.extend(said)
            return draws

        horizons = horizons or s.horizons or HOURLY_HORIZONS
        return _farthest_horizons(horizons, notes, picked) if censor else picked(horizons)


def _farthest_horizons(horizons, notes: list[str], risk_set_at):
    """
    The risk set at as many far horizons as have cases and controls: most cases are treated before onset, so
    at near horizons no unsuspected case remains.
    """
    horizons = sorted(horizons)
    for k in range(len(horizons)):
        try:
            found = risk_set_at(tuple(horizons[k:]))
        except NothingLeftError:
            if k + 1 == len(horizons):
                raise
            continue
        if k:
            notes.append(
                f"Before treatment or suspicion, horizons below {horizons[k]:g} h lack cases or controls."
            )
        return found
    raise NothingLeftError("scores", "no horizon", "at least one")
