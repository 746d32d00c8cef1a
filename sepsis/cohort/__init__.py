"""
From labels to a study: splits and folds by subject, and for each case the controls it is compared with.

In: `onset` (one row per stay) and events. Out: a `Cohort` for each fold: every stay of the export with its
split, or the reason it has none, and the matched sets drawn within the splits. `Windows`, what a model may
see at a prediction time, lives here too.

Read `select_cohorts` below first; it calls `inclusion` (who has a reference hour), `splits` (by subject) and
`matching` (controls for each case). May be changed alone: an inclusion rule, with its reason text. `windows`
is the input of every model: a change there changes every risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.cohort.inclusion import case_reasons, control_reasons, observed_hours
from sepsis.cohort.matching import PAPER, largest_ratio, match_controls
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.splits import SPLITS, fold_subjects, split_hash, split_subjects
from sepsis.core.errors import NothingLeftError

__all__ = ["Cohort", "last_full_hour", "select_cohort", "select_cohorts", "split_hash"]

SAME_H = 1e-9  # an onset this close before a full hour counts as that hour: hours are differences of floats
STAY_COLUMNS = [
    "stay_id", "subject_id", "is_case", "in_cohort", "reference_h", "split", "fold", "reason", "no_reference",
]  # fmt: skip
SET_COLUMNS = [
    "set_id", "stay_id", "subject_id", "is_case", "reference_h", "split", "fold", "n_at_risk",
]  # fmt: skip
NOT_DRAWN = "not drawn as a control"
ALONE = "no control at risk at its onset hour"


@dataclass(frozen=True, eq=False)
class Cohort:
    """
    The study of one split, or of one fold.

    `stays` (contract `cohort`): one row for every stay of the export. `sets` (contract `matched_sets`): one
    row for each case and each of its controls; a stay may be in several sets.
    """

    stays: pd.DataFrame
    sets: pd.DataFrame

    def members(self, *splits: str) -> pd.DataFrame:
        """Rows of the sets of some splits, one per set and stay, in order of set and stay."""
        return self.sets[self.sets.split.isin(splits)].reset_index(drop=True)


def select_cohort(onset, events, concepts, settings: CohortSettings) -> Cohort:
    """`select_cohorts` for settings without folds."""
    (cohort,) = select_cohorts(onset, events, concepts, settings)
    return cohort


def select_cohorts(
    onset, events, concepts, settings: CohortSettings, *, known: list[tuple[int, pd.Series]] | None = None
) -> list[Cohort]:
    """
    The study's cohort for each fold, or one without folds.

    Reads    onset(stay_id, subject_id, is_case, onset_h, stay_h, included, exclusion), events(stay_id,
             time_h, concept, value) whole or in parts, each stay in one part; values of `concepts` count as
             observations
    Writes   `Cohort` with its stays and its matched sets
    Rule     every stay that the labels include is in a split. Subjects are split, or dealt to folds,
             stratified by whether they have a case with a reference, or another case. A case's reference is
             the last full hour up to its onset: an onset falls on a charted time, a control's hour does not,
             so the minutes would separate the classes. It needs enough history for the farthest horizon.
             Controls are drawn within a split at the reference hour of their case
             (`sepsis.cohort.matching`). With folds, fold k is the test split of cohort k, and its training
             and validation splits are drawn from the other folds. `known` has the split of subjects in each
             fold (fold, Series by subject) where a stored model scores: nothing is split, and subjects
             without one are "external".
    Source   Moor et al. 2019; departures in data_schema/decisions.md.

    Raises
    ------
    NothingLeftError
        If no case or no control is left (the message names the main reasons), or the training split or a test
        split has no case.
    """
    frame = _eligible(onset, events, concepts, settings)
    _require_both_classes(frame)
    cohorts = [_with_sets(frame, part, fold, settings) for fold, part in _splits(frame, settings, known)]
    if known is None:
        _require_judgeable(cohorts, settings)
    return cohorts


def last_full_hour(onset_h):
    """The last full hour since admission up to each onset, the reference of a case."""
    return np.floor(onset_h + SAME_H)


def _eligible(onset, events, concepts, settings: CohortSettings) -> pd.DataFrame:
    """One row per stay: whether the labels include it, and when it can be a case or a control."""
    frame = onset[["stay_id", "subject_id", "is_case", "onset_h", "stay_h", "included", "exclusion"]].copy()
    frame = frame.sort_values("stay_id").reset_index(drop=True)
    frame["is_case"] = frame.is_case.astype(bool)
    frame["stay_h"] = frame.stay_h.fillna(0.0)
    frame["case_h"] = last_full_hour(frame.onset_h).where(frame.is_case)
    pieces = [events] if isinstance(events, pd.DataFrame) else events
    for name, hours in observed_hours(pieces, frame, concepts, settings).items():
        frame[name] = hours.to_numpy()
    frame["in_cohort"] = frame.included.astype(bool)
    frame["reason"] = frame.exclusion.fillna("").where(~frame.in_cohort, "")
    frame["no_reference"] = ""
    for part, reasons in ((frame.is_case, case_reasons), (~frame.is_case, control_reasons)):
        part = part & frame.in_cohort
        frame.loc[part, "no_reference"] = reasons(frame[part], settings)
    # full hour of the onset that ends a stay's time at risk; a case without a time is never at risk
    frame["event_h"] = frame.case_h.where(frame.is_case, np.inf).fillna(-np.inf)
    return frame


def _splits(frame: pd.DataFrame, settings: CohortSettings, known):
    """(fold, split of every stay of the cohort) for each fold; fold 0 without folds."""
    members = frame[frame.in_cohort]
    if known is not None:
        for fold, split in known:
            yield fold, members.subject_id.map(split).astype(object).fillna("external")
        return
    rng = np.random.default_rng(settings.seed)
    usable = members.is_case & (members.no_reference == "")
    strata = (members.is_case.astype(int) + usable).groupby(members.subject_id).max()
    if not settings.folds:
        shares = split_subjects(
            strata, validation_share=settings.validation_share, test_share=settings.test_share, rng=rng
        )
        yield 0, members.subject_id.map(shares)
        return
    folds = fold_subjects(strata, settings.folds, rng)
    for k in range(1, settings.folds + 1):
        others = strata[folds.index[folds != k]]
        share = settings.validation_share * len(strata) / max(1, len(others))
        shares = split_subjects(
            others, validation_share=share, test_share=0.0,
            rng=np.random.default_rng([settings.seed, k]),
        )  # fmt: skip
        yield k, members.subject_id.map(shares).astype(object).fillna("test")


def _with_sets(frame: pd.DataFrame, split: pd.Series, fold: int, settings: CohortSettings) -> Cohort:
    """The cohort of a split: sets of each part, drawn from the stays of that part."""
    stays = frame.assign(split=split.reindex(frame.index).fillna(""), fold=fold)
    able = stays[stays.in_cohort & ((stays.no_reference == "") | stays.is_case)]
    cases = able[able.is_case & (able.no_reference == "")].assign(reference_h=lambda f: f.case_h)
    paper = settings.design == PAPER
    pool = able[~able.is_case] if paper else able
    ratio = settings.controls_per_case or settings.most_controls_per_case
    if paper and not settings.controls_per_case:
        ratio = largest_ratio(cases, pool, kept_share=settings.kept_case_share, most=ratio)
    drawn = pd.concat(
        [
            match_controls(
                cases[cases.split == name], pool[pool.split == name], design=settings.design,
                controls_per_case=ratio, seed=[settings.seed, fold],
            )
            for name in (*SPLITS, "external")
        ],
        ignore_index=True,
    )  # fmt: skip
    own = cases[cases.stay_id.isin(drawn.set_id)]
    n_at_risk = own.stay_id.map(drawn.drop_duplicates("set_id").set_index("set_id").n_at_risk)
    own = own.assign(set_id=own.stay_id, n_at_risk=n_at_risk)[
        ["set_id", "stay_id", "reference_h", "n_at_risk"]
    ]
    sets = pd.concat([own.assign(is_case=True), drawn.assign(is_case=False)], ignore_index=True)
    sets = sets.merge(stays[["stay_id", "subject_id", "split", "fold"]], on="stay_id")
    sets = sets.sort_values(["set_id", "stay_id"], ignore_index=True)[SET_COLUMNS]
    alone = cases.index[~cases.stay_id.isin(drawn.set_id)]
    stays.loc[alone, "no_reference"] = ALONE  # though it may be a control before its onset
    unused = stays.in_cohort & (stays.no_reference == "") & ~stays.stay_id.isin(sets.stay_id)
    stays.loc[unused, "no_reference"] = NOT_DRAWN
    stays["reference_h"] = stays.case_h.where(stays.stay_id.isin(own.stay_id))
    return Cohort(stays[STAY_COLUMNS], sets)


def _require_both_classes(frame: pd.DataFrame) -> None:
    """Raise if a class is empty, with its most frequent reasons."""
    why_not = frame.reason.where(~frame.in_cohort, frame.no_reference)
    for is_case, name in ((True, "case"), (False, "control")):
        members = frame.is_case == is_case
        if not (members & (why_not == "")).any():
            lost = why_not[members].value_counts().head(3)
            why = "; ".join(f"{count} x {reason}" for reason, count in lost.items()) or "no such stay at all"
            raise NothingLeftError(
                "cohort",
                f"no {name} is left of {len(frame)} stays ({why})",
                f"at least one {name}",
                "Choose another preset, relax [cohort], or give a larger export.",
            )


def _require_judgeable(cohorts: list[Cohort], settings: CohortSettings) -> None:
    """Raise if a training or test split has no case with controls, naming the folds."""
    for name, wanted in (("train", True), ("test", bool(settings.folds or settings.test_share))):
        empty = [c for c in cohorts if wanted and not c.members(name).is_case.any()]
        if not empty:
            continue
        cases = int(cohorts[0].sets.is_case.sum())
        folds = ", ".join(str(int(c.stays.fold.iloc[0])) for c in empty[:5])
        folds += f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        of = f" of fold {folds}" if settings.folds else ""
        raise NothingLeftError(
            "cohort",
            f"the {name} split{of} has no case with controls: there are {cases} such cases in "
            f"{len(cohorts[0].stays)} stays",
            "at least one case in every training and test split",
            "Give a larger export, choose another preset, or change the folds, shares or seed of [cohort].",
        )
