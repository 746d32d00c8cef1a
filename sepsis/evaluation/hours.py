"""
Hourly risks: the same hours of the same stays for every model.

An hour without a risk from some model is dropped for all models; stays that lose hours are counted. Scores
need not be at whole hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError
from sepsis.core.jit import kernel
from sepsis.evaluation.contract import TICKS_PER_H, TOLERANCE_H, in_split, refuse
from sepsis.evaluation.risk_set import AFTER_DISCHARGE, NO_REASON, NO_ROW, counted_for_all, in_order


@dataclass(frozen=True, eq=False)
class Hours:
    """
    Risks by stay and time; stays ascend, hours ascend within a stay, and every stay has at least one.

    Attributes
    ----------
    onset_h : ndarray of float, shape (N,)
        Hours since ICU admission; NaN for controls.
    fold : ndarray of int, shape (N,)
        The fold whose model gave the risks; 0 without folds.
    end_h, censor_h : ndarray of float, shape (N,)
        Discharge, or an hour after the last risk if unknown; the first of antibiotic, culture and suspicion,
        or NaN.
    start : ndarray of int64, shape (N + 1,)
        Hours of stay i are start[i] to start[i + 1].
    time_h, risk : ndarray of float, shape (T,) and (M, T)
        No gaps.
    coverage : DataFrame
        model, horizon_h, reason, n, n_events: stays with missing hours, or excluded.
    dropped : int
        Hours dropped because some model has no risk.
    """

    models: tuple[str, ...]
    stay_id: np.ndarray
    subject_id: np.ndarray
    is_case: np.ndarray
    onset_h: np.ndarray
    fold: np.ndarray
    end_h: np.ndarray
    censor_h: np.ndarray
    start: np.ndarray
    time_h: np.ndarray
    risk: np.ndarray
    coverage: pd.DataFrame
    dropped: int

    @property
    def stay(self) -> np.ndarray:
        """Index of the stay of every hour, shape (T,)."""
        return np.repeat(np.arange(len(self.stay_id)), np.diff(self.start))

    @cached_property
    def peak(self) -> np.ndarray:
        """The highest risk of every stay, shape (M, N)."""
        return np.maximum.reduceat(self.risk, self.start[:-1], axis=1)

    def of_fold(self, fold: int) -> Hours:
        """The hours of one fold."""
        return self._kept((self.fold == fold)[self.stay])

    def only(self, stay_id) -> Hours:
        """The hours of some stays."""
        return self._kept(np.isin(self.stay_id, stay_id)[self.stay])

    def before(self, limit_h) -> Hours:
        """The hours at or before a limit of each stay, shape (N,); NaN for no limit."""
        return self._kept(~(self.time_h > np.asarray(limit_h)[self.stay] + TOLERANCE_H))

    def _kept(self, keep) -> Hours:
        counts = np.bincount(self.stay[keep], minlength=len(self.stay_id))
        there = counts > 0
        per_stay = {name: getattr(self, name)[there] for name in _PER_STAY}
        return replace(
            self,
            **per_stay,
            start=np.concatenate([[0], np.cumsum(counts[there])]).astype(np.int64),
            time_h=self.time_h[keep],
            risk=np.ascontiguousarray(self.risk[:, keep]),
        )


def hourly_risks(
    scores: pd.DataFrame, outcomes: pd.DataFrame, *, split: str | None, fold: int | None = None
) -> Hours:
    """
    The hours of a split (of one fold, or the test splits of all) at which every model has a risk. Raises
    NothingLeftError if there is none, and ExportError if a model has two risks at one time of a stay.

    Reads    scores and outcomes that were checked; rows whose `horizon_h` is null
    Rule     stays excluded by the labels, hours after discharge and cases without an onset time are excluded
             and counted.
    """
    mine = in_split(scores, split, fold) & scores.horizon_h.isna().to_numpy()
    rows = scores[list(_READ)][mine]  # columns first: `loc` would copy all of them
    known = outcomes.set_index("stay_id")
    rows, account = _evaluable(rows, known)
    if rows.empty:
        raise NothingLeftError(
            "scores",
            f"no hourly row of split {split!r} and an evaluable stay among {len(scores):,} rows",
            "risks by the hour",
            "Score with --hourly, or choose another split.",
        )
    models = in_order(rows.model.unique())
    stays = np.unique(rows.stay_id.to_numpy())
    key, time_h, risk = _wide(rows, models, stays)
    gap = np.isnan(risk)
    whole = ~gap.any(axis=0)
    stay_of = key // _SPAN
    account.append(_gaps(rows, models, stays, known, gap, whole, stay_of))
    if not whole.any():
        raise NothingLeftError(
            "scores", f"no hour of {len(stays):,} stays has a risk from all {len(models)} models",
            "hours that all models have", "See `reason` in the scores; evaluate fewer models together.",
        )  # fmt: skip
    hours = _assembled(models, stays, stay_of[whole], time_h[whole], risk[:, whole], known, rows)
    never = outcomes[outcomes.included & ~outcomes.stay_id.isin(scores.stay_id)]
    reasons = ["labelled, not in the scores"] * len(never)
    account.append(counted_for_all(pd.DataFrame({"reason": reasons, "is_case": [*never.is_case]})))
    coverage = pd.concat(account, ignore_index=True).drop_duplicates(["model", "horizon_h", "reason"])
    return replace(hours, coverage=coverage.reset_index(drop=True), dropped=int((~whole).sum()))


def joined_hours(parts: list[Hours]) -> Hours:
    """Hours of the same models, one after the other; a stay may be in several. The account is the first's."""
    per_stay: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_STAY
    }
    counts = np.concatenate([np.diff(part.start) for part in parts])
    return replace(
        parts[0],
        **per_stay,
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        time_h=np.concatenate([part.time_h for part in parts]),
        risk=np.concatenate([part.risk for part in parts], axis=1),
    )


_PER_STAY = ("stay_id", "subject_id", "is_case", "onset_h", "fold", "end_h", "censor_h")
_READ = ("stay_id", "model", "time_h", "risk", "reason", "fold")  # of hourly rows: they are many
_SPAN = 2**32  # ticks that a stay may last, either side of 2^31: 6.8 years, more than `MAX_TIME_H`


def _evaluable(rows: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Rows that can be evaluated, and coverage rows of the stays of the others."""
    account = []

    def without(out: np.ndarray, reason: str) -> None:
        nonlocal rows
        stays = np.unique(rows.stay_id.to_numpy()[out])
        table = pd.DataFrame({"reason": reason, "is_case": known.is_case.loc[stays].to_numpy()})
        if len(table):
            account.append(counted_for_all(table))
        rows = rows[~out] if out.any() else rows

    def of_stay(values) -> np.ndarray:
        return np.asarray(values)[known.index.get_indexer(rows.stay_id)]

    reasons = known.exclusion.replace("", NO_REASON)[~known.included]
    scored = np.unique(rows.stay_id.to_numpy())
    for reason in np.unique(reasons[reasons.index.isin(scored)].astype(str)):
        mine = known.index.isin(reasons.index[reasons == reason])
        without(of_stay(mine), f"excluded by the labels: {reason}")
    without(of_stay(known.is_case & known.onset_h.isna()), "case without an onset time")
    after = rows.time_h.to_numpy() > of_stay(known.stay_h.astype(float)) + TOLERANCE_H
    if not after.any():
        return rows, account
    only_after = ~rows.stay_id.isin(rows.stay_id[~after]).to_numpy()
    without(after & ~only_after, f"some hours: {AFTER_DISCHARGE}")
    without(only_after[~(after & ~only_after)], AFTER_DISCHARGE)
    return rows, account


def _wide(rows: pd.DataFrame, models, stays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted keys of stay and time (T,), times (T,), and risks (M, T), NaN if missing."""
    timed = rows if rows.time_h.notna().all() else rows[rows.time_h.notna()]
    keys = np.searchsorted(stays, timed.stay_id.to_numpy())
    keys *= _SPAN
    keys += np.rint(timed.time_h.to_numpy(float) * TICKS_PER_H).astype(np.int64)
    keys += _SPAN // 2
    key = np.unique(keys)
    code, names = pd.factorize(timed.model)
    of_model = pd.Index(models).get_indexer(names).astype(np.int16)[code]
    risk, time_h = np.full((len(models), len(key)), np.nan), np.empty(len(key))
    for m in range(len(models)):  # one at a time: all hours of all models are many
        mine = of_model == m
        column = np.searchsorted(key, keys[mine])
        refuse(
            "scores", int((np.bincount(column) > 1).sum()),
            "pairs of stay and time have two risks of one model", "one row for each", "Remove them.",
        )  # fmt: skip
        risk[m, column] = timed.risk.to_numpy(float)[mine]
        time_h[column] = timed.time_h.to_numpy(float)[mine]
    return key, time_h, risk


def _gaps(rows, models, stays, known, gap, whole, stay_of) -> pd.DataFrame:
    """Coverage rows: stays with hours that lack a risk from a model, and stays left without any."""
    is_case = known.is_case.loc[stays].to_numpy(bool)
    tables = []
    for m, model in enumerate(models):
        mine = rows[(rows.model == model) & rows.risk.isna()]
        stated = mine.drop_duplicates(["stay_id", "reason"])
        reasons = "some hours: " + stated.reason.replace("", NO_REASON)
        tables.append((model, reasons, known.is_case.loc[stated.stay_id].to_numpy(bool)))
        absent = np.setdiff1d(np.unique(stay_of[gap[m]]), np.searchsorted(stays, mine.stay_id.unique()))
        tables.append((model, f"some hours: {NO_ROW}", is_case[absent]))
    lost = np.setdiff1d(np.arange(len(stays)), np.unique(stay_of[whole]))
    tables.append(("all", "no hour with a risk from every model", is_case[lost]))
    table = pd.concat(
        [pd.DataFrame({"model": m, "reason": why, "is_case": case}) for m, why, case in tables],
        ignore_index=True,
    )
    counted = table.groupby(["model", "reason"], as_index=False).agg(
        n=("is_case", "size"), n_events=("is_case", "sum")
    )
    counted.insert(1, "horizon_h", np.nan)
    return counted


def _assembled(models, stays, stay_of, time_h, risk, known, rows) -> Hours:
    there = np.unique(stay_of)
    counts = np.bincount(stay_of, minlength=len(stays))[there]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    labels = known.loc[stays[there]]
    is_case = labels.is_case.to_numpy(bool)
    fold = rows.drop_duplicates("stay_id").set_index("stay_id").fold.loc[stays[there]].to_numpy(np.int64)
    onset_h = np.where(is_case, labels.onset_h.to_numpy(float), np.nan)
    stay_h = labels.stay_h.to_numpy(float)
    return Hours(
        models=models,
        stay_id=stays[there].astype(np.int64),
        subject_id=labels.subject_id.to_numpy(np.int64),
        is_case=is_case,
        onset_h=onset_h,
        fold=fold,
        end_h=np.where(np.isnan(stay_h), time_h[start[1:] - 1] + 1.0, stay_h),
        censor_h=labels[["antibiotic_h", "culture_h", "suspicion_h"]].min(axis=1).to_numpy(float),
        start=start,
        time_h=time_h,
        risk=np.ascontiguousarray(risk),
        coverage=pd.DataFrame(),
        dropped=0,
    )


@kernel
def last_at_or_before(start, time_h, place, at_h):
    """
    Index into `time_h` of the last hour of the stays `place` (R,) at or before each time `at_h` (R, K); -1 if
    there is none, or `at_h` is NaN.
    """
    hour = np.full(at_h.shape, -1, dtype=np.int64)
    for i in range(at_h.shape[0]):
        times = time_h[start[place[i]] : start[place[i] + 1]]
        for k in range(at_h.shape[1]):
            if not np.isnan(at_h[i, k]):
                found = np.searchsorted(times, at_h[i, k], side="right")
                if found > 0:
                    hour[i, k] = start[place[i]] + found - 1
    return hour
