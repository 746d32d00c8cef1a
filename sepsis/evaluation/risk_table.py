"""A score table with its outcomes, and one split of it as the views read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError, UsageError
from sepsis.evaluation.censoring import censor_scores
from sepsis.evaluation.contract import in_split, rows_of_split
from sepsis.evaluation.hours import Hours, hourly_risks, joined_hours
from sepsis.evaluation.reference import (
    HOURLY_HORIZONS,
    risk_sets_of_hours,
    rows_at_references,
    warn_unchecked,
)
from sepsis.evaluation.risk_set import (
    RiskSet,
    cohort_size,
    fixed_risk_set,
    joined_risk_sets,
    members_of,
)
from sepsis.evaluation.settings import EvaluationSettings

NO_HOURS = "No hourly scores: the continuous, alarm and utility views are omitted."
NO_ONSET = "The labels have no onset time (onset_h) of any case: hourly scores cannot be evaluated."
MATCHED_HERE = (
    "The scores name no matched sets, so controls were drawn here for each case at its hour of onset, among "
    "the stays still in the unit and without onset."
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

    @classmethod
    def joined(cls, parts: list[EvaluatedSplit]) -> EvaluatedSplit:
        """The validation splits of several folds, one after the other; a stay may be in several of them."""
        draws = [part.draws[0] for part in parts if part.draws is not None]
        hours = [part.hours for part in parts if part.hours is not None]
        return cls([joined_risk_sets(draws)] if draws else None, joined_hours(hours) if hours else None)


@dataclass(frozen=True, eq=False)
class RiskTable:
    """A score table and its outcomes, both checked (`sepsis.evaluation.contract`), and the settings."""

    scores: pd.DataFrame
    outcomes: pd.DataFrame
    settings: EvaluationSettings
    _hours: dict[tuple, Hours] = field(default_factory=dict)

    @cached_property
    def outline(self) -> pd.DataFrame:
        """
        The fixed-horizon rows, and of the others one for each stay, split, fold and reference: who is in
        which set and split is in these few rows.
        """
        scores = self.scores
        fixed = scores.horizon_h.notna()
        key = scores[["stay_id", "split", "fold", "run", "reference_h"]][~fixed]
        key["timed"] = scores.time_h[~fixed].notna()
        fixed.loc[key.index[~key.duplicated().to_numpy()]] = True
        return scores[fixed]

    def hours(self, split: str | None, fold: int | None = None) -> Hours:
        """Hourly risks of a split (`sepsis.evaluation.hours.hourly_risks`), made once."""
        if (split, fold) not in self._hours:
            self._hours[split, fold] = hourly_risks(self.scores, self.outcomes, split=split, fold=fold)
        return self._hours[split, fold]

    def of_split(
        self, split: str | None, notes: list[str], *, censor: bool = False, fold: int | None = None
    ) -> EvaluatedSplit:
        """
        Risks of a split, at fixed horizons and by the hour; caveats are appended to `notes`. `censor` removes
        risks after treatment or suspicion. `fold`: of one fold, as the splits of validation need it.

        Raises NothingLeftError if there are only fixed-horizon rows, without both cases and controls, and
        UsageError if the control reference needs hourly scores, and there are none.
        """
        rows = rows_of_split(self.outline, split, fold)
        fixed, hourly = rows.horizon_h.notna(), rows.horizon_h.isna() & rows.time_h.notna()
        hours, draws = None, None
        cases = self.outcomes[self.outcomes.included & self.outcomes.is_case]
        if hourly.any() and len(cases) and cases.onset_h.isna().all():
            notes.append(NO_ONSET)
        elif hourly.any():
            try:
                hours = self.hours(split, fold)
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
                draws = [self._at_fixed_rows(split, fold, censor, notes)]
            elif hours is not None:
                draws = self.at_hours(hours, rows, notes, censor=censor)
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

    def members(self, rows: pd.DataFrame) -> pd.DataFrame | None:
        """
        Members of the matched sets of a split's `rows` (`sepsis.evaluation.risk_set.members_of`); without
        fixed-horizon rows each stay at the reference hour its hourly rows give; None if they give none to
        controls.
        """
        known = self.outcomes.set_index("stay_id")
        rows = rows[(rows.run == 0) & known.included.loc[rows.stay_id].to_numpy()]
        fixed = rows[rows.horizon_h.notna()]
        if len(fixed):
            return members_of(fixed, known)
        rows = rows[rows.time_h.notna()].sort_values("reference_h", kind="stable").drop_duplicates("stay_id")
        labels = known.loc[rows.stay_id]
        is_case = labels.is_case.to_numpy(bool)
        at_h = np.where(is_case, labels.onset_h.to_numpy(float), rows.reference_h.to_numpy(float))
        given = members_of(rows.assign(is_case=is_case, reference_h=at_h)[~np.isnan(at_h)], known)
        return None if given.is_case.all() else given

    def runs(self, split: str | None) -> list[RiskSet]:
        """
        The risk set of each run of the models that were fitted with several seeds, of its fixed-horizon rows;
        empty without such models.
        """
        scores, found = self.outline, []
        several = scores.groupby("model").run.transform("max") > 0
        several &= scores.horizon_h.notna() & in_split(scores, split)  # further runs have a test split alone
        for run in np.unique(scores.run[several]):
            mine = scores[several & (scores.run == run)]
            found.append(self._fixed(mine.assign(run=0), split, None, self.settings.horizons))
        return found

    def _at_fixed_rows(self, split: str | None, fold: int | None, censor: bool, notes: list[str]) -> RiskSet:
        """The risk set of fixed-horizon rows; models with hourly rows only are added to it."""
        scores = self._with_hourly_models(split, fold, notes)
        if not self.settings.controls_at_risk and not censor:
            warn_unchecked(notes)
        if not censor:
            return self._fixed(scores, split, fold, self.settings.horizons)
        scores = censor_scores(scores, self.outcomes)
        rows = rows_of_split(scores, split, fold)
        horizons = self.settings.horizons or tuple(np.unique(rows.horizon_h.dropna()))
        return _farthest_horizons(horizons, notes, lambda some: self._fixed(scores, split, fold, some))

    def _fixed(self, scores: pd.DataFrame, split: str | None, fold: int | None, horizons) -> RiskSet:
        return fixed_risk_set(
            scores, self.outcomes, split=split, fold=fold, horizons=horizons,
            controls_at_risk=self.settings.controls_at_risk,
        )  # fmt: skip

    def _with_hourly_models(self, split: str | None, fold: int | None, notes: list[str]) -> pd.DataFrame:
        """The scores with fixed-horizon rows derived for models that have hourly rows only."""
        rows = rows_of_split(self.outline, split, fold)
        fixed, scores = rows[rows.horizon_h.notna()], self.scores
        others = np.setdiff1d(scores.model.unique(), fixed.model.unique())
        if not len(others):
            return self.outline
        mine = in_split(scores, split, fold) & scores.model.isin(others).to_numpy()
        alone = scores[mine & (scores.horizon_h.isna() & scores.time_h.notna()).to_numpy()]
        if alone.empty:
            return self.outline
        horizons = self.settings.horizons or np.unique(fixed.horizon_h)
        members = self.members(rows)
        made = rows_at_references(hourly_risks(alone, self.outcomes, split=None), members, horizons)
        names = ", ".join(sorted(alone.model.unique()))
        notes.append(f"Fixed-horizon risks of {names} are the last hourly risk at or before each horizon.")
        made = made.assign(split=split or "")
        return pd.concat([self.outline, made[scores.columns.intersection(made.columns)]], ignore_index=True)

    def at_hours(
        self, hours: Hours, rows: pd.DataFrame, notes: list[str], *, horizons=None, censor: bool = False
    ) -> list[RiskSet]:
        """Fixed-horizon risks taken from hourly ones; `rows` of the same split may tell the matched sets."""
        s = self.settings
        reference, members = s.control_reference, None
        if reference == "matched":
            members = self.members(rows)
            if members is None:
                reference = "absolute"
                notes.append(MATCHED_HERE)

        def picked(horizons) -> list[RiskSet]:
            draws, said = risk_sets_of_hours(
                hours, horizons, reference=reference, at_risk=s.controls_at_risk, n_draws=s.n_draws,
                random_state=s.seed, design=s.design, members=members, censor=censor,
                cohort=cohort_size(rows, self.scores, self.outcomes),
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
