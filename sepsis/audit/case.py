"""The input of every check (`AuditCase`) and its result (`Finding`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.cohort.windows import Windows, pack
from sepsis.models.base import WindowClassifier
from sepsis.scoring.predict import score_horizons
from sepsis.training.settings import TrainSettings

HARD, SOFT = "hard", "soft"
PASSED, FAILED, NOTED, UNCHECKED = "passed", "failed", "noted", "not checked"
SAME = 1e-9  # of two risks: below this they differ by rounding
TOLERANCE_H = 1e-6  # hours are floats that were subtracted


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
    How a model was fitted, so that the audit can fit it again; `concepts` are the candidate variables, before
    rare ones were excluded.
    """

    model: str
    model_settings: dict[str, Any]
    settings: TrainSettings
    concepts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AuditCase:
    """
    A fitted model with the export and labels it is evaluated on.

    Attributes
    ----------
    events : DataFrame : stay_id, time_h, concept, value
        All events the model may read.
    stays, onset : DataFrame
        stay_id, subject_id, stay_h; stay_id, is_case, onset_h.
    cohort : DataFrame
        Contract `cohort`: training and evaluation stays.
    recipe : Recipe or None
        None if the model was fitted on another export or other labels.
    scores : DataFrame or None
        Scores to audit (contract `scores`); None: a sample is scored by `score_horizons`.
    n_stays : int
        Size of the sample whose records are deleted, altered and shuffled.
    """

    model: WindowClassifier
    events: pd.DataFrame
    stays: pd.DataFrame
    onset: pd.DataFrame
    cohort: pd.DataFrame
    recipe: Recipe | None = None
    scores: pd.DataFrame | None = None
    horizons: tuple[float, ...] = tuple(float(h) for h in range(8))
    n_stays: int = 40
    seed: int = 0

    @cached_property
    def members(self) -> pd.DataFrame:
        """The cohort's stays with `stay_h`, `person` (subject id in the export) and `onset_h`."""
        members = self.cohort[self.cohort.in_cohort].sort_values("stay_id").reset_index(drop=True)
        stays = self.stays.set_index("stay_id")
        onset = self.onset.set_index("stay_id")
        return members.assign(
            stay_h=stays.stay_h.reindex(members.stay_id).to_numpy(float),
            person=stays.subject_id.reindex(members.stay_id).to_numpy(),
            onset_h=onset.onset_h.reindex(members.stay_id).to_numpy(float),
        )

    @cached_property
    def sample(self) -> pd.DataFrame:
        """At most `n_stays` stays of the cohort, cases and controls, held-out stays first."""
        return self.drawn(self.n_stays)

    def drawn(self, n: int) -> pd.DataFrame:
        """At most `n` stays of the cohort: half of them cases if there are enough, held-out stays first."""
        rng = np.random.default_rng(self.seed)
        members = self.members.assign(
            order=rng.permutation(len(self.members)), trained_on=self.members.split == "train"
        ).sort_values(["trained_on", "order"])
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
        return self.events_of(self.members)

    @cached_property
    def horizon_windows(self) -> dict[float, Windows]:
        """Windows of the whole cohort at every horizon."""
        reference = self.members.reference_h.to_numpy(float)
        cuts = {h: np.maximum(reference - h, 0.0) for h in self.horizons}
        latest = self.windows(self.member_events, self.members, cuts[min(cuts)])
        return {h: latest.until(cut) for h, cut in cuts.items()}

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The scores to audit: those given, else the sample scored at all horizons."""
        if self.scores is not None:
            return self.scores
        columns = list(self.cohort.columns)
        return score_horizons(
            self.model, self.events_of(self.sample), self.sample[columns], horizons=self.horizons
        )

    def windows(self, events: pd.DataFrame, members: pd.DataFrame, end_h, lookback_h=LOOKBACK_H) -> Windows:
        """Windows of some stays that end at `end_h`, packed as the model reads them."""
        return pack(events, members.assign(end_h=end_h), self.model.concepts_, lookback_h=lookback_h)


def differing(a: np.ndarray, b: np.ndarray, tolerance: float = SAME) -> np.ndarray:
    """Whether two risks differ by more than `tolerance`, or one of them is missing."""
    gap_a, gap_b = np.isnan(a), np.isnan(b)
    return (gap_a != gap_b) | (np.abs(np.where(gap_a, 0.0, a) - np.where(gap_b, 0.0, b)) > tolerance)
