"""Who is scored, when, and by which member of a model: from its folder, the labels and the export's stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.cohort import Cohort, last_full_hour, select_cohorts
from sepsis.cohort.settings import SPLITS, CohortSettings
from sepsis.core.errors import SettingsError
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.members import Member, ModelFolder
from sepsis.models.artifact.read import Trained
from sepsis.models.base import WindowClassifier
from sepsis.models.fold_mean import FoldMean

NOT_HOURLY = "not scored hour by hour"
TOO_SHORT = "stay shorter than one hour, or without times"
OWN_SPLITS = ("test", "validation")  # of a cross-fitted model: its training risks serve no one


@dataclass(frozen=True, eq=False)
class Task:
    """
    Whom one member of a model scores.

    `member` is its place among `ModelFolder.members`; None is the mean of all folds, for people whom no
    member knows. `who` has rows of matched sets for horizons (contract `matched_sets`); for every hour
    stays(stay_id, subject_id, split, fold, is_case, reference_h).
    """

    member: int | None
    run: int
    who: pd.DataFrame


@dataclass(frozen=True, eq=False)
class ScoringRequest:
    """
    What is scored.

    `horizons` are hours before the reference; None: a risk at every full hour. `stays` has a row for every
    stay of the export, in the split and fold of its own test risk, with the `reason` it gets none, should it
    get none. `recalibrated`: risks mapped by the calibrator of each member, which then have no SD.
    """

    horizons: tuple[float, ...] | None
    tasks: tuple[Task, ...]
    stays: pd.DataFrame
    recalibrated: bool = False


def hourly_request(
    folder: ModelFolder,
    labels: LabelFolder | None,
    stays: pd.DataFrame,
    fingerprint: str,
    splits: tuple[str, ...] = (),
    *,
    most: int = 0,
    seed: int = 0,
    recalibrated: bool = False,
) -> ScoringRequest:
    """
    Every hour of the stays of `splits` (empty: all), each by the member that did not learn from it.

    Rule     people whom the model was fitted, tuned or tested on keep their split; all others are "external".
             With labels of the same onsets, classes are known. With `most`, whole persons are drawn by `seed`
             until so many stays are reached, the same for every model of a cohort.
    """
    own = labels is not None and folder.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]
    seen = folder.manifest["inputs"]["export"] == fingerprint
    people = _with_outcomes(stays, labels)
    tables = [_placed(people, member, stays, own) if own or seen else people for member in folder.folds]
    known = own or seen
    wanted = splits or (OWN_SPLITS if known and len(folder.folds) > 1 else ())
    everyone = _own_test(tables) if known else tables[0]
    keep = drawn_stays(everyone, splits, most, seed)
    everyone = everyone.assign(reason=TOO_SHORT if keep is None else np.where(keep, TOO_SHORT, NOT_HOURLY))
    chosen = everyone.stay_id if keep is None else everyone.stay_id[keep]
    tasks = []
    for place, member in enumerate(folder.members):
        if member.run or not known:
            continue
        table = tables[[m.fold for m in folder.folds].index(member.fold)]
        if wanted:
            table = table[table.split.isin(list(wanted))]
        elif len(folder.folds) > 1:
            table = table[table.split.isin(OWN_SPLITS)]
        tasks.append(Task(place, 0, table[table.stay_id.isin(chosen)]))
    scored = np.concatenate([task.who.stay_id for task in tasks]) if tasks else np.array([], np.int64)
    rest = everyone[everyone.stay_id.isin(chosen) & ~everyone.stay_id.isin(scored)]
    if len(rest):
        tasks.append(Task(None if len(folder.folds) > 1 else 0, 0, rest))
    return ScoringRequest(None, tuple(tasks), everyone, recalibrated)


def _with_outcomes(stays: pd.DataFrame, labels: LabelFolder | None) -> pd.DataFrame:
    """Every stay, "external" to the model, with class and reference of a case where the labels know them."""
    people = stays[["stay_id", "subject_id"]].assign(
        is_case=False, reference_h=np.nan, split="external", fold=0
    )
    if labels is None:
        return people
    onset = labels.onset.set_index("stay_id").reindex(people.stay_id)
    is_case = (
        onset.included.fillna(False).astype(bool) & onset.is_case.fillna(False).astype(bool)
    ).to_numpy()
    reference_h = np.where(is_case, last_full_hour(onset.onset_h.to_numpy(float)), np.nan)
    return people.assign(is_case=is_case, reference_h=reference_h)


def _placed(people: pd.DataFrame, member: Member, stays: pd.DataFrame, own: bool) -> pd.DataFrame:
    """The same with the splits of a member: of the stay for its own labels, else of the person."""
    cohort = member.trained.cohort_of(stays).stays
    if own:
        split = people.stay_id.map(cohort.set_index("stay_id").split).astype(object).fillna("")
    else:
        split = people.subject_id.map(_split_by_person(cohort)).astype(object).fillna("external")
    return people.assign(split=split, fold=member.fold)


def _own_test(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Every stay once: in the fold whose test split it is in; as in the first table if in none."""
    if len(tables) == 1:
        return tables[0]
    tests = pd.concat([table[table.split == "test"] for table in tables])
    rest = tables[0][~tables[0].stay_id.isin(tests.stay_id)].assign(fold=0)
    return pd.concat([tests, rest]).sort_values("stay_id", ignore_index=True)


def drawn_stays(stays: pd.DataFrame, splits: tuple[str, ...], most: int, seed: int) -> np.ndarray | None:
    """
    Mask of the stays that are scored hour by hour, None for all; split "" is outside the cohort.

    With folds every stay is in a test split, so the splits are not asked here.
    """
    if not splits and not most:
        return None
    in_split = stays.split.isin(list(splits or SPLITS)).to_numpy()
    members = stays[in_split].sort_values("stay_id")
    if not most or len(members) <= most:
        return in_split
    people = np.random.default_rng(seed).permutation(members.subject_id.unique())
    place = members.subject_id.map({p: k for k, p in enumerate(people)}).sort_values(kind="stable")
    last = place.iloc[most - 1]  # with all stays of the last person
    return stays.index.isin(place.index[place <= last])


def horizon_request(
    folder: ModelFolder,
    labels: LabelFolder,
    events: Callable[[], Iterable[pd.DataFrame]],
    horizons: tuple[float, ...],
    splits: tuple[str, ...] = (),
    *,
    recalibrated: bool = False,
) -> ScoringRequest:
    """
    Members of matched sets at horizons, each by the member of the model that did not learn from them.

    Rule     the model's own sets for the labels it was fitted on, else sets drawn from these labels by the
             same settings; people whom the model was fitted, tuned or tested on keep their split and fold,
             all others are "external". Further runs of a network score the test split alone.

    Raises SettingsError if a horizon is farther than the cohort's, so that stays would lack the history.
    """
    settings = CohortSettings(**folder.manifest["settings"]["cohort"])
    if max(horizons) > settings.horizon_max_h:
        raise SettingsError(
            "--horizons",
            f"go to {max(horizons):g} h",
            f"at most {settings.horizon_max_h:g} h, as the model's cohort",
            "Train with a larger cohort.horizon_max_h.",
        )
    cohorts = cohorts_of(folder, labels, events)
    several = len(folder.folds) > 1 and len(cohorts) > 1
    wanted = splits or (OWN_SPLITS if several else SPLITS)
    tasks = []
    for place, member in enumerate(folder.members):
        if len(cohorts) == 1 and len(folder.folds) > 1:
            continue  # no member knows these people
        cohort = cohorts[[m.fold for m in folder.folds].index(member.fold)]
        asked = wanted if member.run == 0 else tuple({"test", "external"} & set(wanted))
        tasks.append(Task(place, member.run, cohort.members(*asked)))
    if not tasks:
        tasks.append(Task(None, 0, cohorts[0].members(*wanted)))
    stays = _own_test([cohort.stays for cohort in cohorts])
    reason = np.where(stays.no_reference != "", stays.no_reference, "not scored: split " + stays.split)
    stays = stays.assign(reason=np.where(stays.in_cohort, reason, stays.reason))
    return ScoringRequest(horizons, tuple(tasks), stays, recalibrated)


def cohorts_of(
    folder: ModelFolder, labels: LabelFolder, events: Callable[[], Iterable[pd.DataFrame]]
) -> list[Cohort]:
    """
    The cohort of each fold of a model for these labels; a single one for people it has never met.

    Labels it was fitted on: its own. Another definition on the same export: selected by the same settings in
    the same splits. Another export: selected, all "external".
    """
    if folder.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return [member.trained.cohort_of(labels.onset) for member in folder.folds]
    settings = CohortSettings(**folder.manifest["settings"]["cohort"])
    concepts = concept_set(folder.manifest["settings"]["train"]["concept_set"])
    known = [(0, pd.Series(dtype=object))]
    if folder.manifest["inputs"]["export"] == labels.manifest["inputs"]["export"]:
        known = [(m.fold, splits_seen(m.trained, labels.onset)) for m in folder.folds]
    return select_cohorts(labels.onset, events(), concepts, settings, known=known)


def splits_seen(trained: Trained, stays: pd.DataFrame) -> pd.Series:
    """
    Split of each subject when the model was fitted on this export; `stays` are all of it.

    Another definition changes who is a case, not who was trained on.
    """
    return _split_by_person(trained.cohort_of(stays).stays)


def _split_by_person(cohort: pd.DataFrame) -> pd.Series:
    return cohort[cohort.in_cohort].drop_duplicates("subject_id").set_index("subject_id").split


def models_of(
    folder: ModelFolder, stays: pd.DataFrame, recalibrated: bool
) -> dict[int | None, WindowClassifier]:
    """
    The models by the `member` of a task, None the mean of all folds; each recognises its own people among
    these stays. `recalibrated` concerns the mean, whose members have their own maps.
    """
    models: dict[int | None, WindowClassifier] = {
        place: member.trained.model_of(stays) for place, member in enumerate(folder.members)
    }
    if len(folder.folds) > 1:
        places = [place for place, member in enumerate(folder.members) if member.run == 0]
        maps = [folder.members[place].trained.operating.recalibrated for place in places]
        models[None] = FoldMean([models[place] for place in places], maps if recalibrated else None)
    return models
