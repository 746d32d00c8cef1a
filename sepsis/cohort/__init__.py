"""
From labels to a study: cases, matched controls, splits by subject.

In: `onset` (one row per stay) and events. Out: `cohort`, one row per stay of the export with its role and
split, or the reason it is excluded. `Windows`, what a model may see at a prediction time, lives here too.

Read `select_cohort` below first; it calls `inclusion` (who is eligible), `splits` (by subject) and `matching`
(controls for each case). May be changed alone: an inclusion rule, with its reason text. `windows` is the
input of every model: a change there changes every risk.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.cohort.inclusion import case_reasons, control_reasons, observed_hours
from sepsis.cohort.matching import largest_ratio, match_controls
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.splits import SPLITS, split_hash, split_subjects
from sepsis.core.errors import NothingLeftError

__all__ = ["select_cohort", "split_hash"]

SAME_H = 1e-9  # an onset this close before a full hour counts as that hour: hours are differences of floats


def select_cohort(onset, events, concepts, settings: CohortSettings, *, split: bool = True) -> pd.DataFrame:
    """
    The study's cohort: one row for every stay of the export, with its role or the reason for exclusion.

    Reads    onset (contract `onset`), events(stay_id, time_h, concept, value) whole or in parts, each stay in
             one part; values of `concepts` count as observations
    Writes   cohort (contract `cohort`)
    Rule     the labels define cases, controls and excluded stays. A case's reference is the last full hour
             up to its onset: an onset falls on a charted time, a control's hour does not, so the minutes
             would separate the classes. A case needs enough history for the farthest horizon. Subjects are
             split, stratified by whether they have such a case; controls are matched within a split at the
             reference hour of a case, the same number for every case. So the risk set has the same stays at
             every horizon, and the hour alone carries no information about the class. Without `split`, every
             stay is "external", as when a stored model scores a new export.
    Source   Moor et al. 2019; departures in data_schema/decisions.md.

    Raises
    ------
    NothingLeftError
        If no case or no control is left (the message names the main reasons), or the training or test split
        has no case.
    """
    rng = np.random.default_rng(settings.seed)
    frame = onset[["stay_id", "subject_id", "is_case", "onset_h", "stay_h", "included", "exclusion"]].copy()
    frame = frame.sort_values("stay_id").reset_index(drop=True)
    frame["is_case"] = frame.is_case.astype(bool)
    frame["stay_h"] = frame.stay_h.fillna(0.0)
    frame["case_h"] = np.floor(frame.onset_h + SAME_H)
    pieces = [events] if isinstance(events, pd.DataFrame) else events
    for name, hours in observed_hours(pieces, frame, concepts, settings).items():
        frame[name] = hours.to_numpy()
    frame["reason"] = frame.exclusion.fillna("").where(~frame.included.astype(bool), "")
    open_ = frame.reason == ""
    for part, reasons in ((open_ & frame.is_case, case_reasons), (open_ & ~frame.is_case, control_reasons)):
        frame.loc[part, "reason"] = reasons(frame[part], settings)
    _require_both_classes(frame, "after inclusion")

    ratio = settings.controls_per_case or _ratio(frame, settings)
    _leave_out_unmatched(frame, _matches(frame, ratio, rng))
    _require_both_classes(frame, "after matching")
    frame["split"] = _splits(frame, settings, rng) if split else np.where(frame.reason == "", "external", "")
    frame = _match(frame, ratio, rng)
    _require_both_classes(frame, "after matching within splits")
    if split:
        _require_judgeable_splits(frame, settings)
    frame["in_cohort"] = frame.reason == ""
    frame.loc[~frame.in_cohort, "split"] = ""
    columns = [
        "stay_id",
        "subject_id",
        "is_case",
        "in_cohort",
        "reference_h",
        "matched_to",
        "split",
        "reason",
    ]
    return frame[columns]


def _cases_and_controls(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    usable = frame[frame.reason == ""]
    return usable[usable.is_case].assign(reference_h=lambda f: f.case_h), usable[~usable.is_case]


def _ratio(frame: pd.DataFrame, settings: CohortSettings) -> int:
    cases, controls = _cases_and_controls(frame)
    return largest_ratio(
        cases, controls, kept_share=settings.kept_case_share, most=settings.most_controls_per_case
    )


def _matches(
    frame: pd.DataFrame, ratio: int, rng: np.random.Generator, split: str | None = None
) -> pd.DataFrame:
    cases, controls = _cases_and_controls(frame if split is None else frame[frame.split == split])
    return match_controls(cases, controls, controls_per_case=ratio, rng=rng)


def _leave_out_unmatched(frame: pd.DataFrame, matches: pd.DataFrame) -> None:
    """Set the reason of cases without a full set of controls, in place."""
    alone = (frame.reason == "") & frame.is_case & ~frame.stay_id.isin(matches.matched_to)
    frame.loc[alone, "reason"] = "case without enough controls still in the unit at its onset hour"


def _splits(frame: pd.DataFrame, settings: CohortSettings, rng: np.random.Generator) -> pd.Series:
    shares = split_subjects(
        frame[frame.reason == ""],
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        rng=rng,
    )
    return frame.subject_id.map(shares).where(frame.reason == "", "").fillna("")


def _match(frame: pd.DataFrame, ratio: int, rng: np.random.Generator) -> pd.DataFrame:
    """Set reference_h and matched_to, split by split, and the reasons of unmatched stays."""
    matches = pd.concat([_matches(frame, ratio, rng, name) for name in (*SPLITS, "external")])
    _leave_out_unmatched(frame, matches)
    matches = matches.set_index("stay_id")
    cases = frame[(frame.reason == "") & frame.is_case].set_index("stay_id")
    frame["reference_h"] = frame.stay_id.map(pd.concat([cases.case_h, matches.reference_h]))
    matched_to = pd.concat([pd.Series(cases.index, index=cases.index), matches.matched_to])
    frame["matched_to"] = frame.stay_id.map(matched_to).fillna(-1).astype("int64")
    left_over = (frame.reason == "") & frame.reference_h.isna()
    frame.loc[left_over, "reason"] = "control not matched: no case left whose hour it reaches"
    return frame


def _require_both_classes(frame: pd.DataFrame, when: str) -> None:
    """Raise if a class is empty, with its most frequent reasons."""
    for is_case, name in ((True, "case"), (False, "control")):
        members = frame[frame.is_case == is_case]
        if not (members.reason == "").any():
            lost = members.reason.value_counts().head(3)
            why = "; ".join(f"{count} x {reason}" for reason, count in lost.items()) or "no such stay at all"
            raise NothingLeftError(
                "cohort",
                f"no {name} is left {when} of {len(frame)} stays ({why})",
                f"at least one {name}",
                "Choose another preset, relax [cohort], or give a larger export.",
            )


def _require_judgeable_splits(frame: pd.DataFrame, settings: CohortSettings) -> None:
    members = frame[frame.reason == ""]
    for name, share in (("train", 1.0), ("test", settings.test_share)):
        cases = int(members[members.split == name].is_case.sum())
        if share > 0 and cases == 0:
            raise NothingLeftError(
                "cohort",
                f"the {name} split has no case: {int(members.is_case.sum())} cases and "
                f"{int((~members.is_case).sum())} controls are left of {len(frame)} stays",
                "at least one case in the training and in the test split",
                "Give a larger export, choose another preset, or change the shares or the seed of [cohort].",
            )
