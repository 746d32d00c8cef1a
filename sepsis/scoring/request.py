"""Who is scored, and when: from the model folder, the labels and the stays of an export."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.cohort import select_cohort
from sepsis.cohort.settings import SPLITS, CohortSettings
from sepsis.core.errors import SettingsError
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.read import Trained


@dataclass(frozen=True, eq=False)
class ScoringRequest:
    """Stays and hours to score."""

    horizons: tuple[float, ...] | None  # hours before the reference; None: a risk at every full hour
    splits: tuple[str, ...] = ()  # to score at horizons; empty: all
    # contract `cohort` for horizons; for every hour, splits and references where they are known
    cohort: pd.DataFrame | None = None
    wanted: np.ndarray | None = None  # stays to score hour by hour; None: all
    # from the model's risks to the stored ones, which then have no SD; None: the model's own
    recalibrate: Callable[[np.ndarray], np.ndarray] | None = None


def hourly_cohort(
    trained: Trained, labels: LabelFolder | None, stays: pd.DataFrame, fingerprint: str
) -> pd.DataFrame:
    """Stays scored hour by hour: stay_id, subject_id, split; with the model's own labels also references."""
    if labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort_of(stays)
    seen = splits_seen(trained, fingerprint, stays)
    split = "external" if seen is None else stays.subject_id.map(seen).fillna("external")
    return stays[["stay_id", "subject_id"]].assign(split=split)


def hourly_stays(
    cohort: pd.DataFrame, splits: tuple[str, ...] = (), stays: int = 0, seed: int = 0
) -> np.ndarray | None:
    """
    The stays that are scored hour by hour, or None for all; the same for every model of a cohort.

    Reads    cohort(stay_id, subject_id, split), split "" outside the cohort
    Rule     those of `splits` (empty: all). With `stays`, persons are drawn by `seed` until that many stays
             are reached, so that alarms are evaluated on the case mix of the cohort.
    """
    if not splits and not stays:
        return None
    members = cohort[cohort.split.isin(list(splits or SPLITS))].sort_values("stay_id")
    if not stays or len(members) <= stays:
        return members.stay_id.to_numpy()
    people = np.random.default_rng(seed).permutation(members.subject_id.unique())
    drawn = members.assign(place=members.subject_id.map({p: k for k, p in enumerate(people)}))
    drawn = drawn.sort_values(["place", "stay_id"])
    last = drawn.place.iloc[stays - 1]  # with all stays of the last person
    return np.sort(drawn.stay_id[drawn.place <= last].to_numpy())


def scoring_cohort(
    trained: Trained,
    labels: LabelFolder,
    events: pd.DataFrame | Iterable[pd.DataFrame],
    horizons: tuple[float, ...],
) -> pd.DataFrame:
    """
    The cohort to score at horizons: the model's own for the labels it was fitted on, else one selected by the
    same settings.

    Persons whom the model was fitted, tuned or tested on keep their split; all others are "external".

    Raises SettingsError if a horizon is farther than the cohort's, so that stays would lack the history.
    """
    settings = CohortSettings(**trained.manifest["settings"]["cohort"])
    if max(horizons) > settings.horizon_max_h:
        raise SettingsError(
            "--horizons",
            f"go to {max(horizons):g} h",
            f"at most {settings.horizon_max_h:g} h, as the model's cohort",
            "Train with a larger cohort.horizon_max_h.",
        )
    if trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort_of(labels.onset)
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    cohort = select_cohort(labels.onset, events, concepts, settings, split=False)
    seen = splits_seen(trained, labels.manifest["inputs"]["export"], labels.onset)
    if seen is not None:
        known = cohort.subject_id.map(seen)
        cohort["split"] = cohort.split.where(~cohort.in_cohort | known.isna(), known)
    return cohort


def splits_seen(trained: Trained, fingerprint: str, stays: pd.DataFrame) -> pd.Series | None:
    """
    Split of each subject when the model was fitted, if it was fitted on the export of this fingerprint.

    Another definition changes who is a case, not who was trained on. `stays` are all of that export.
    """
    if trained.manifest["inputs"]["export"] != fingerprint:
        return None
    cohort = trained.cohort_of(stays)
    members = cohort[cohort.in_cohort]
    return members.drop_duplicates("subject_id").set_index("subject_id").split
