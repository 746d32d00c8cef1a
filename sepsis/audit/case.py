"""The input of every check (`AuditCase`) and its result (`Finding`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort import Cohort
from sepsis.cohort.settings import LOOKBACK_H, CohortSettings
from sepsis.cohort.windows import Windows, pack
from sepsis.models.artifact.operating import Operating
from sepsis.models.base import WindowClassifier
from sepsis.scoring.predict import score_horizons
from sepsis.training.settings import TrainSettings

HARD, SOFT = "hard", "soft"
PASSED, FAILED, NOTED, UNCHECKED = "passed", "failed", "noted", "not checked"
SAME = 1e-9  # of two risks: below this they differ by rounding
TOLERANCE_H = 1e-6  # hours are floats that were subtracted
MAX_SETS = 500  # the standard error of an AUROC is then about 0.013


@dataclass(frozen=True)
class Finding:
    """
    The result of one check: "passed", "failed" (hard), "noted" (soft) or "not checked".

    Attributes
    ----------
    severity : str
        "hard": if it fails, no figure of this model can be trusted; "soft": look before you trust it.
    found : float
        The number the check is about; NaN if there is none.
    says : str
        One sentence with counts; never an id, value or time of a patient.
    """

    check: str
    severity: str
    status: str
    found: float
    says: str


def hard(check: str, found: float, says: str) -> Finding:
    """A hard check; it fails unless `found` is 0."""
    return Finding(check, HARD, FAILED if found else PASSED, float(found), says)


def soft(check: str, noted: bool, found: float, says: str) -> Finding:
    """A soft check with its number."""
    return Finding(check, SOFT, NOTED if noted else PASSED, float(found), says)


def unchecked(check: str, severity: str, why: str) -> Finding:
    """A check that could not be run, with the reason."""
    return Finding(check, severity, UNCHECKED, float("nan"), why)


@dataclass(frozen=True)
class Recipe:
    """
    How a model was fitted, so that the audit can fit it again.

    `concepts` are the candidate variables, before rare ones were excluded. `cohort` is what its settings and
    seed give when they are applied again; None if its controls come from the draw of an earlier version.
    """

    model: str
    model_settings: dict[str, Any]
    settings: TrainSettings
    concepts: tuple[str, ...]
    cohort_settings: CohortSettings
    cohort: Cohort | None


@dataclass(frozen=True, eq=False)
class AuditCase:
    """
    A fitted model with the export and labels it is evaluated on.

    Attributes
    ----------
    events : DataFrame : stay_id, time_h, concept, value
        All events the model may read.
    stays : DataFrame : stay_id, subject_id, stay_h
        All stays of the export; further columns are facts that are constant in a stay.
    onset : DataFrame : contract `onset`
    cohort : Cohort
        Training and evaluation stays, and the matched sets.
    recipe : Recipe or None
        None if the model was fitted on another export or other labels.
    operating : Operating
        The stored calibrator and thresholds.
    scores : DataFrame or None
        Scores to audit (contract `scores`); None: a sample is scored by `score_horizons`. A column
        `recalibrated` says which risks went through the stored calibrator; none did without it.
    hourly : ndarray or None
        Stays that the score file was asked to score hour by hour; None: all of the splits in it.
    n_stays : int
        Size of the sample whose records are deleted, altered and shuffled.
    """

    model: WindowClassifier
    events: pd.DataFrame
    stays: pd.DataFrame
    onset: pd.DataFrame
    cohort: Cohort
    recipe: Recipe | None = None
    operating: Operating = Operating()
    scores: pd.DataFrame | None = None
    hourly: np.ndarray | None = None
    horizons: tuple[float, ...] = tuple(float(h) for h in range(8))
    n_stays: int = 40
    seed: int = 0

    @cached_property
    def included(self) -> pd.DataFrame:
        """The stays of the cohort with `stay_h`, `person` (subject id in the export) and `onset_h`."""
        return self._with_facts(self.cohort.stays[self.cohort.stays.in_cohort].sort_values("stay_id"))

    @cached_property
    def members(self) -> pd.DataFrame:
        """Rows of the matched sets, one for each set and stay, with the same; `is_case` is the role."""
        return self._with_facts(self.cohort.sets.sort_values(["set_id", "stay_id"]))

    def _with_facts(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.reset_index(drop=True)
        stays, onset = self.stays.set_index("stay_id"), self.onset_h
        return rows.assign(
            stay_h=stays.stay_h.reindex(rows.stay_id).to_numpy(float),
            person=stays.subject_id.reindex(rows.stay_id).to_numpy(),
            onset_h=onset.reindex(rows.stay_id).to_numpy(float),
        )

    @cached_property
    def onset_h(self) -> pd.Series:
        """Onset of each stay that reaches one, by stay_id."""
        return self.onset[self.onset.is_case.astype(bool)].set_index("stay_id").onset_h

    @cached_property
    def sample(self) -> pd.DataFrame:
        """At most `n_stays` members, cases and controls, held-out stays first."""
        return self.drawn(self.n_stays)

    def drawn(self, n: int) -> pd.DataFrame:
        """
        At most `n` members of different stays: half of them cases if there are enough, held-out stays first.
        """
        rng = np.random.default_rng(self.seed)
        members = self.members.assign(
            order=rng.permutation(len(self.members)), trained_on=self.members.split == "train"
        ).sort_values(["trained_on", "order"])
        members = members.drop_duplicates("stay_id")
        cases, controls = members[members.is_case], members[~members.is_case]
        n_cases = min(len(cases), max(n // 2, n - len(controls)))
        chosen = pd.concat([cases.head(n_cases), controls.head(n - n_cases)])
        return chosen.sort_values("stay_id").drop(columns=["order", "trained_on"]).reset_index(drop=True)

    @cached_property
    def sample_events(self) -> pd.DataFrame:
        """Events of the sample."""
        return self.events_of(self.sample)

    def events_of(self, members: pd.DataFrame) -> pd.DataFrame:
        """Events of some stays: stay_id, time_h, concept, value."""
        mine = self.events[self.events.stay_id.isin(members.stay_id)]
        mine = mine.loc[
            mine.concept.isin(list(self.model.concepts_)), ["stay_id", "time_h", "concept", "value"]
        ]
        return mine.astype({"concept": "str"}).reset_index(drop=True)

    @cached_property
    def member_events(self) -> pd.DataFrame:
        """Events of the whole cohort."""
        return self.events_of(self.included)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Members of at most `MAX_SETS` sets, in which the classes are compared."""
        sets = self.members.set_id.unique()
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(sets, min(MAX_SETS, len(sets)), replace=False)
        return self.members[self.members.set_id.isin(drawn)].reset_index(drop=True)

    @cached_property
    def horizon_windows(self) -> dict[float, Windows]:
        """Windows of `compared` at every horizon."""
        members = self.compared
        reference = members.reference_h.to_numpy(float)
        cuts = {h: np.maximum(reference - h, 0.0) for h in self.horizons}
        latest = self.windows(self.events_of(members), members, cuts[min(cuts)])
        return {h: latest.until(cut) for h, cut in cuts.items()}

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The scores to audit: those given, else the sample scored at all horizons."""
        if self.scores is not None:
            return self.scores
        return score_horizons(self.model, self.events_of(self.sample), self.sample, horizons=self.horizons)

    def windows(self, events: pd.DataFrame, members: pd.DataFrame, end_h, lookback_h=LOOKBACK_H) -> Windows:
        """Windows of some stays that end at `end_h`, packed as the model reads them."""
        return pack(events, members.assign(end_h=end_h), self.model.concepts_, lookback_h=lookback_h)


def differing(a: np.ndarray, b: np.ndarray, tolerance: float = SAME) -> np.ndarray:
    """Whether two risks differ by more than `tolerance`, or one of them is missing."""
    gap_a, gap_b = np.isnan(a), np.isnan(b)
    return (gap_a != gap_b) | (np.abs(np.where(gap_a, 0.0, a) - np.where(gap_b, 0.0, b)) > tolerance)
