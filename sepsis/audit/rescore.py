"""
Leak: a score file that is not what the model gives: other horizons, edited risks, risks of another model or
of a later hour, changed classes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import HARD, SAME, TOLERANCE_H, AuditCase, Finding, differing, hard, unchecked

CHECK = "scores are not the model's"
NO_FILE = "no score file"
SAME_OF_A_NETWORK = 1e-5  # single precision; other processors add in another order
# stays of each class and split that are scored again; more of a model that predicts quickly
AT_HORIZONS, HOURLY, MORE = 100, 50, 6
HOURS = 12  # of each stay scored hour by hour


def scores_not_of_the_model(case: AuditCase) -> Finding:
    """
    Every row is compared with the cohort: set, class, split, reference and time of prediction. The risks of a
    seeded sample, of both classes and of each split alike, are computed again. Risks that were recalibrated
    are compared with those of the stored calibrator.
    """
    if case.scores is None:
        return unchecked(CHECK, HARD, NO_FILE)
    scores = case.scores[case.scores.time_h.notna()]
    at_horizons, hourly = scores[scores.horizon_h.notna()], scores[scores.horizon_h.isna()]
    displaced = _displaced_at_horizons(case, at_horizons) + _displaced_hourly(case, hourly)
    network = "max_epochs" in case.model.get_params()
    more = 1 if network or case.model.keeps_training_stays else MORE
    parts = [
        _sample(case, at_horizons, AT_HORIZONS * more),
        _sample(case, hourly, HOURLY * more, HOURS * more),
    ]
    sample = pd.concat(parts)
    again = _risks(case, sample)
    tolerance = SAME_OF_A_NETWORK if network else SAME
    differ = differing(sample.risk.to_numpy(float), again, tolerance)
    found = displaced + int(differ.sum())
    says = (
        f"{displaced:,} of {len(scores):,} rows have another set, class, split or time than the cohort, and "
        f"{int(differ.sum()):,} of {len(sample):,} risks that were computed again are others"
    )
    if differ.any():
        cases = sample.is_case.to_numpy(bool)
        says += f" ({int(differ[cases].sum()):,} of cases, {int(differ[~cases].sum()):,} of controls)"
    return hard(CHECK, found, says)


def _displaced_at_horizons(case: AuditCase, rows: pd.DataFrame) -> int:
    """Rows that belong to no member of a set, or differ from it in class, split or time."""
    columns = ["set_id", "stay_id", "is_case", "split", "reference_h"]
    members = case.members[columns].rename(columns={"set_id": "matched_to"})
    joined = rows.merge(members, on=["matched_to", "stay_id"], how="left", suffixes=("", "_due"))
    due_h = joined.reference_h_due - joined.horizon_h
    right = (
        (joined.is_case == joined.is_case_due)
        & (joined.split == joined.split_due)
        & ((joined.time_h - due_h).abs() <= TOLERANCE_H)
        & ((joined.reference_h - joined.reference_h_due).abs() <= TOLERANCE_H)
    )
    return int((~right).sum())


def _displaced_hourly(case: AuditCase, rows: pd.DataFrame) -> int:
    """
    Rows whose class or split is not that of the cohort; scored without labels, no row has the class.
    """
    stays = case.included.set_index("stay_id")
    rows = rows[rows.stay_id.isin(stays.index)]
    wrong = (stays.split.reindex(rows.stay_id).to_numpy() != rows.split.to_numpy()) | (rows.time_h % 1.0 != 0)
    if rows.is_case.any():
        wrong = wrong | (stays.is_case.reindex(rows.stay_id).to_numpy() != rows.is_case.to_numpy())
    return int(wrong.sum())


def _sample(case: AuditCase, rows: pd.DataFrame, n_stays: int, n_rows: int | None = None) -> pd.DataFrame:
    """At most `n_rows` rows (None: all) of each of at most `n_stays` stays of each class and split."""
    rng = np.random.default_rng(case.seed)
    rows = rows.sort_values(["stay_id", "matched_to", "horizon_h", "time_h"])
    stays = rows.drop_duplicates(["stay_id", "is_case"])
    stays = stays.assign(order=rng.permutation(len(stays))).sort_values("order")
    drawn = stays.groupby(["is_case", stays.split.fillna("")]).head(n_stays)[["stay_id", "is_case"]]
    rows = rows.merge(drawn, on=["stay_id", "is_case"])
    if n_rows is not None:
        rows = rows.assign(order=rng.permutation(len(rows))).sort_values("order")
        rows = rows.groupby("stay_id").head(n_rows).drop(columns="order")
    return rows.sort_values(["stay_id", "time_h"], ignore_index=True)


def _risks(case: AuditCase, rows: pd.DataFrame) -> np.ndarray:
    """The model's risk of each row, at the time it says; NaN before admission."""
    known = rows[rows.time_h >= 0]
    # each stay and time once: a stay may be in several sets
    asked = known[["stay_id", "subject_id", "time_h"]].drop_duplicates(["stay_id", "time_h"])
    asked = asked.assign(column=asked.groupby("stay_id").cumcount())
    last = asked.groupby("stay_id", as_index=False).agg(
        subject_id=("subject_id", "first"), end_h=("time_h", "max")
    )
    row = np.searchsorted(last.stay_id, asked.stay_id)
    end_h = np.full((len(last), int(asked.column.max()) + 1 if len(asked) else 0), np.nan)
    end_h[row, asked.column] = asked.time_h
    risk = np.full(end_h.shape, np.nan)
    if len(last):
        windows = case.windows(case.events_of(last), last, last.end_h, lookback_h=np.inf)
        risk, _ = case.model.predict_earlier(windows, end_h)
    again = rows[["stay_id", "time_h"]].merge(
        asked.assign(risk=risk[row, asked.column]), on=["stay_id", "time_h"], how="left"
    )
    risk = again.risk.to_numpy(float)
    if "recalibrated" in rows and rows.recalibrated.any() and case.operating.calibrator is not None:
        mapped = case.operating.calibrator.apply(risk)
        risk = np.where(rows.recalibrated.to_numpy(bool), mapped, risk)
    return risk
