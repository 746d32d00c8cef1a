"""
The contract of scores and outcomes, checked before anything is computed. Messages contain counts and column
names only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.core.schema import check_table

OUTCOME_COLUMNS = ("stay_id", "subject_id", "is_case", "included", "exclusion")
OPTIONAL_OUTCOMES = ("onset_h", "stay_h", "antibiotic_h", "culture_h", "suspicion_h")
SCORE_COLUMNS = ("stay_id", "subject_id", "time_h", "risk")  # required of a score table
MODEL = "model"  # name of a model without one
NO_SET = -1  # `matched_to` of a row that belongs to no matched set
TICKS_PER_H = 36_000  # times closer than a tenth of a second are one time
TOLERANCE_H = 1e-6  # differences of hours are floats
MAX_TIME_H = 50_000.0  # from ICU admission, nearly six years: beyond it the unit must be another


def checked_outcomes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    The labels as evaluation reads them: classes without gaps, times as numbers, NaN if missing.

    Other columns are kept, since they may define subgroups.

    Raises
    ------
    ExportError
        If a column is missing, a stay repeats, or an included stay has no class.
    """
    missing = [c for c in OUTCOME_COLUMNS if c not in outcomes.columns]
    if missing:
        raise ExportError(
            "onset", f"no column {', '.join(missing)}", ", ".join(OUTCOME_COLUMNS), "Label again."
        )
    outcomes = outcomes.reset_index(drop=True)
    included = outcomes.included.fillna(False).astype(bool)
    refuse("onset", int(outcomes.stay_id.duplicated().sum()), "rows repeat a stay_id", "one row per stay")
    unknown = int((included & outcomes.is_case.isna()).sum())
    refuse("onset", unknown, "included stays have no is_case", "true or false")
    times = {c: _hours(outcomes, c) for c in OPTIONAL_OUTCOMES}
    return outcomes.assign(
        included=included,
        is_case=outcomes.is_case.fillna(False).astype(bool),
        exclusion=outcomes.exclusion.fillna("").astype(str),
        **times,
    )


def _hours(outcomes: pd.DataFrame, column: str):
    if column not in outcomes.columns:
        return np.nan
    try:
        return outcomes[column].astype("float64")
    except (ValueError, TypeError):
        raise ExportError(
            f"onset.{column}", f"holds {outcomes[column].dtype}", "hours since ICU admission", "Label again."
        ) from None


def complete_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """
    A score table with every column of the contract but `is_case`.

    Rule     no model: "model"; no horizon_h: hourly rows; no reference_h at a horizon: time_h + horizon_h; no
             risk_sd: NaN; no reason: ""; no fold, no run: 0. A model without matched sets takes part in those
             of other models at the same reference of the same stay, and one without splits takes theirs;
             otherwise matched_to is -1 and split "".

    Raises
    ------
    ExportError
        If one of stay_id, subject_id, time_h, risk is missing.
    """
    missing = [c for c in SCORE_COLUMNS if c not in scores.columns]
    if missing:
        raise ExportError(
            "scores", f"no column {', '.join(missing)}", ", ".join(SCORE_COLUMNS), "Write the table again."
        )
    defaults = {
        "risk_sd": np.nan, "reference_h": np.nan, "horizon_h": np.nan, "model": MODEL, "split": "",
        "matched_to": NO_SET, "fold": 0, "run": 0,
    }  # fmt: skip
    scores = scores.assign(**{c: v for c, v in defaults.items() if c not in scores.columns})
    words = {c: scores[c] if c in scores.columns else "" for c in ("reason", "model", "split")}
    # a column of gaps alone comes as numbers from CSV
    scores = scores.assign(**words).astype({c: "object" for c in words})
    scores = scores.assign(
        reason=scores.reason.fillna("").astype(str),
        model=scores.model.fillna(MODEL).astype(str),
        split=scores.split.fillna("").astype(str),
    )
    # text in a column of numbers is refused later, by the contract
    time_h, horizon_h, given = (
        pd.to_numeric(scores[name], errors="coerce") for name in ("time_h", "horizon_h", "reference_h")
    )
    if pd.api.types.is_numeric_dtype(scores.reference_h) or scores.reference_h.isna().all():
        given = given.where(given.notna() | horizon_h.isna(), time_h + horizon_h).astype("float64")
    else:
        given = scores.reference_h
    counts = {name: scores[name].fillna(defaults[name]) for name in ("matched_to", "fold", "run")}
    return _split_of_the_stay(_set_of_the_member(scores.assign(reference_h=given, **counts)))


def _set_of_the_member(scores: pd.DataFrame) -> pd.DataFrame:
    """
    Models without matched sets, with a row for each set, split and fold of other models that has the stay at
    that hour. Rows that none has are kept in the stay's split, so that they are counted as left out.
    """
    fixed = scores.horizon_h.notna()
    in_sets = (fixed & (scores.matched_to != NO_SET)).groupby(scores.model).transform("any")
    if in_sets.all() or not in_sets.any():
        return scores
    tick = np.rint(pd.to_numeric(scores.reference_h, errors="coerce").where(fixed) * TICKS_PER_H)
    scores = scores.assign(tick=tick)
    given = ["matched_to", "split", "fold", *(["is_case"] if "is_case" in scores.columns else [])]
    members = scores.loc[fixed & in_sets & (scores.run == 0), ["stay_id", "tick", *given]].drop_duplicates()
    alone = fixed & ~in_sets
    pair = ["stay_id", "tick"]
    met = pd.MultiIndex.from_frame(scores[pair]).isin(pd.MultiIndex.from_frame(members[pair]))
    joined = scores[alone & met].drop(columns=given).merge(members, on=pair)
    places = members.assign(late=members.split.isin(["train", "validation"])).sort_values(
        "late", kind="stable"
    )
    places = places.drop_duplicates("stay_id").set_index("stay_id")
    unmet = scores[alone & ~met]
    unmet = unmet.assign(
        split=unmet.split.where(unmet.split != "", unmet.stay_id.map(places.split)).fillna(""),
        fold=unmet.fold.where(unmet.fold != 0, unmet.stay_id.map(places.fold)).fillna(0).astype("int64"),
    )
    parts = [part for part in (scores[~alone], joined, unmet) if len(part)]
    return pd.concat(parts, ignore_index=True).drop(columns="tick")


def _split_of_the_stay(scores: pd.DataFrame) -> pd.DataFrame:
    """Models without splits take split and fold of other models' rows of the same stay, test rows first."""
    without = ~(scores.split != "").groupby(scores.model).transform("any")
    if not without.any() or without.all():
        return scores
    known = scores.loc[scores.split != "", ["stay_id", "split", "fold"]].drop_duplicates()
    known = known.assign(late=known.split.isin(["train", "validation"])).sort_values("late", kind="stable")
    known = known.drop_duplicates("stay_id").set_index("stay_id")
    return scores.assign(
        split=scores.split.mask(without, scores.stay_id.map(known.split).fillna("")),
        fold=scores.fold.mask(without, scores.stay_id.map(known.fold).fillna(0)).astype("int64"),
    )


def checked_scores(scores: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    Scores, completed (`complete_scores`), that keep their contract and belong to these outcomes.

    Raises
    ------
    ExportError
        If a column is missing, there is no row, a risk lies outside [0, 1] or has no time, a time is
        implausible, a model scores a stay twice at one horizon, a stay is not in the labels, class or subject
        differ from the labels, models have different prediction times, or a prediction is later than its
        horizon allows.
    """
    scores = complete_scores(scores)
    _check_numbers(scores)
    known = outcomes.set_index("stay_id")
    unknown = int(scores.stay_id[~scores.stay_id.isin(known.index)].nunique())
    refuse(
        "scores",
        unknown,
        "stays are not in the labels",
        "scores of labelled stays",
        "Give the labels that the scores were made with.",
    )
    if "is_case" not in scores.columns:
        scores = scores.assign(is_case=known.is_case.loc[scores.stay_id].to_numpy())
    elif scores.is_case.isna().any():
        scores = scores.assign(is_case=scores.is_case.fillna(scores.stay_id.map(known.is_case)))
    scores = check_table(scores, "scores")
    scores = scores.assign(reason=scores.reason.fillna(""), split=scores.split.fillna(""))
    _check_once_per_horizon(scores)
    _check_times(scores, known)
    _check_same_people(scores, known)
    return scores


def _check_numbers(scores: pd.DataFrame) -> None:
    if scores.empty:
        raise ExportError("scores", "no row", "a risk per row", "Score some stays.")
    if not all(pd.api.types.is_numeric_dtype(scores[name]) for name in ("risk", "time_h")):
        return  # the contract names the type
    risk, time_h = scores.risk.astype(float), scores.time_h.astype(float)
    refuse(
        "scores",
        int(((risk < 0.0) | (risk > 1.0)).sum()),
        "risks lie outside 0 to 1",
        "probabilities, or null",
        "Divide percentages by 100; convert points or logits to risks first.",
    )
    refuse(
        "scores",
        int((risk.notna() & time_h.isna()).sum()),
        "risks have no time_h",
        "the time of the prediction",
        "Fill it in, or leave the risk empty.",
    )
    refuse(
        "scores",
        int((time_h.abs() > MAX_TIME_H).sum()),
        f"rows lie more than {MAX_TIME_H:,.0f} h from ICU admission",
        "time_h in hours since ICU admission",
        "Convert dates or seconds to hours.",
    )


def _check_once_per_horizon(scores: pd.DataFrame) -> None:
    fixed = scores[scores.horizon_h.notna()]
    member = ["stay_id", "horizon_h", "matched_to", "fold", "split"]
    repeated = int(fixed.duplicated([*member, "model", "run"]).sum())
    refuse("scores", repeated, "rows repeat a stay, horizon and model", "one row for each", "Remove them.")
    times = fixed.groupby(member).time_h.agg(["min", "max"])
    apart = int((times["max"] - times["min"] > TOLERANCE_H).sum())
    refuse(
        "scores",
        apart,
        "pairs of stay and horizon have different time_h",
        "one prediction time for all models",
        "Score all models on the same cohort.",
    )


def _check_times(scores: pd.DataFrame, known: pd.DataFrame) -> None:
    """A risk at horizon h is given at least h hours before the reference and before onset."""
    late = scores.time_h > scores.reference_h - scores.horizon_h + TOLERANCE_H
    refuse(
        "scores",
        int(late.sum()),
        "rows were predicted less than horizon_h before reference_h",
        "time_h = reference_h - horizon_h",
        "Such a risk may use later data; score again.",
    )
    place = known.index.get_indexer(scores.stay_id)
    onset_h = known.onset_h.where(known.included & known.is_case).to_numpy()[place]
    late = scores.time_h.to_numpy() > onset_h - scores.horizon_h.to_numpy() + TOLERANCE_H
    refuse(
        "scores",
        int(late.sum()),
        "rows of cases were predicted less than horizon_h before onset",
        "time_h = onset_h - horizon_h",
        "Such a risk may use later data; score again, or give the labels used for scoring.",
    )


def _check_same_people(scores: pd.DataFrame, known: pd.DataFrame) -> None:
    place = known.index.get_indexer(scores.stay_id)
    labels = {c: known[c].to_numpy()[place] for c in ("subject_id", "is_case", "included", "onset_h")}
    subject = scores.subject_id.to_numpy() != labels["subject_id"]
    refuse(
        "scores",
        int(subject.sum()),
        "rows have another subject_id than the labels",
        "the same person",
        "Give the labels that the scores were made with.",
    )
    is_case, labelled = scores.is_case.to_numpy(bool), labels["is_case"].astype(bool)
    # before its onset a later case may be a control of a matched set
    later = ~is_case & labelled & (scores.matched_to != NO_SET).to_numpy()
    later &= scores.reference_h.to_numpy() < labels["onset_h"] + TOLERANCE_H
    differs = (is_case != labelled) & ~later
    differs &= scores.horizon_h.notna().to_numpy() & labels["included"].astype(bool)
    refuse(
        "scores",
        int(differs.sum()),
        "rows have another is_case than the labels",
        "the same class",
        "Give the labels that the scores were made with.",
    )


def rows_of_split(scores: pd.DataFrame, split: str | None, fold: int | None = None) -> pd.DataFrame:
    """
    Rows of a split, of one `fold` or of all; all rows for split None, or if the table has no splits.

    With folds, each fold has its own test split, and these are no one's twice; the other splits overlap.
    """
    return scores[in_split(scores, split, fold)]


def in_split(scores: pd.DataFrame, split: str | None, fold: int | None = None) -> np.ndarray:
    """Whether each row is one of `rows_of_split`; a table of all hours is large, and its copies are."""
    there = np.ones(len(scores), dtype=bool) if fold is None else (scores.fold == fold).to_numpy()
    if split is None or not (there & (scores.split != "").to_numpy()).any():
        return there
    return there & (scores.split == split).to_numpy()


def refuse(where: str, count: int, what: str, expected: str, todo: str = "") -> None:
    """Raise an ExportError if `count` rows break a rule."""
    if count:
        raise ExportError(where, f"{count:,} {what}", expected, todo)
