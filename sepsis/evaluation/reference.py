"""
Reference hours of controls, and fixed-horizon risks from hourly scores.

A case is evaluated h hours before its onset. A control has no onset; its reference hour is one of:

| reference | hour of a control | comparison |
|---|---|---|
| matched | that of each matched set it is in | the study as designed |
| absolute | that of each case it is drawn for here (`sepsis.cohort.matching`) | equal time since admission |
| relative | the same fraction of its stay as a case at onset | equal fraction of the stay |
| random | any hour of its stay, drawn repeatedly | a random control hour |

The control must still be in the unit then: with plausible lengths of stay 23 % of controls end before their
matched hour, and hours since the last observation then separate the classes.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from sepsis.cohort.matching import PAPER, largest_ratio, match_controls
from sepsis.core.errors import NothingLeftError
from sepsis.evaluation.censoring import AFTER_TREATMENT
from sepsis.evaluation.contract import NO_SET, TOLERANCE_H
from sepsis.evaluation.hours import Hours, last_at_or_before
from sepsis.evaluation.risk_set import GONE, RiskSet, risk_set_of

HOURLY_HORIZONS = tuple(float(h) for h in range(8))
MAX_CONTROLS = 10  # controls per case of the absolute reference, at most
UNMATCHED = "not drawn as a control"
ALONE = "no control at risk at its onset hour"
TOO_EARLY = "no score that long before the reference"
UNCHECKED = (
    "Controls were not required to be in the unit at their reference hour (controls_at_risk is false): "
    "length of stay separates the classes. Do not compare these figures with others."
)


def warn_unchecked(notes: list[str]) -> None:
    """Warn, and note, that controls may have left the unit by their reference hour."""
    warnings.warn(UNCHECKED, UserWarning, stacklevel=3)
    notes.append(UNCHECKED)


class References(NamedTuple):
    """
    Rows of a risk set among stays by the hour, shape (R,): place in `Hours`, matched set (-1: none), part in
    it, and hour since ICU admission (NaN: none, for a `reason`).
    """

    place: np.ndarray
    set_id: np.ndarray
    is_case: np.ndarray
    hour: np.ndarray
    reason: np.ndarray


def risk_sets_of_hours(
    hours: Hours,
    horizons,
    *,
    reference: str,
    at_risk: bool,
    n_draws: int,
    random_state,
    design: str,
    cohort: tuple[int, int] = (0, 0),
    members: pd.DataFrame | None = None,
    censor: bool = False,
) -> tuple[list[RiskSet], list[str]]:
    """
    Fixed-horizon risks from hourly ones, and notes: at each horizon the last risk at or before it.

    "matched" takes the sets of `members` (`sepsis.evaluation.risk_set.members_of`), "absolute" draws controls
    by `design`. "random" has `n_draws` sets of the same stays, other references one. Without `at_risk`,
    controls of "matched" and "absolute" may have left; with `censor`, risks after treatment or suspicion are
    removed. Raises NothingLeftError if the control hours are unknown, or a class has no stays left.
    """
    horizons = np.asarray(sorted(horizons), dtype=float)
    rng = np.random.default_rng(random_state)
    first = hours.time_h[hours.start[:-1]]
    notes: list[str] = []
    if not at_risk:
        warn_unchecked(notes)
    if not hours.is_case.any():
        raise NothingLeftError("scores", "no case has hourly scores", "cases and controls")
    ready = first + horizons[-1]
    if reference == "matched":
        references = [_matched(hours, members)]
    elif reference == "absolute":
        references = [_absolute(hours, ready, design, random_state) if at_risk else _unchecked(hours, rng)]
    elif reference == "relative":
        references = [_relative(hours, rng)]
    else:
        references = [_random(hours, ready, rng) for _ in range(n_draws)]
    draws, stale = [], 0
    for place, set_id, is_case, reference_h, reason in references:
        if at_risk:
            gone = ~is_case & (reference_h > hours.end_h[place] + TOLERANCE_H)
            reference_h, reason = np.where(gone, np.nan, reference_h), np.where(gone, GONE, reason)
        at_h = reference_h[:, None] - horizons[None, :]
        if censor:
            treated = (at_h > hours.censor_h[place, None] + TOLERANCE_H).any(axis=1)
            at_h[treated], reason = np.nan, np.where(treated, AFTER_TREATMENT, reason)
        hour = last_at_or_before(hours.start, hours.time_h, place, at_h + TOLERANCE_H)
        stale += int((at_h - hours.time_h[hour] > 1.0 + TOLERANCE_H)[hour >= 0].sum())
        risk = np.where(hour.T[None] >= 0, hours.risk[:, hour.T], np.nan)  # (M, H, R)
        rows = pd.DataFrame(
            {
                "stay_id": hours.stay_id[place], "subject_id": hours.subject_id[place], "set_id": set_id,
                "is_case": is_case, "fold": hours.fold[place], "reference_h": reference_h,
                "stay_h": hours.end_h[place],
            }
        )  # fmt: skip
        why = np.broadcast_to(reason, risk.shape)
        draws.append(
            risk_set_of(hours.models, horizons, rows, risk, why, outside=hours.coverage, cohort=cohort)
        )
    if stale:
        notes.append(
            f"{stale:,} fixed-horizon risks are more than 1 h older than their horizon: no later score."
        )
    return draws, notes


def rows_at_references(hours: Hours, members: pd.DataFrame, horizons) -> pd.DataFrame:
    """
    Fixed-horizon rows, one per member of a set, horizon and model, of models that have hourly scores only.

    Reads    members as `sepsis.evaluation.risk_set.members_of`; those without hourly scores give no rows
    """
    horizons = np.asarray(sorted(horizons), dtype=float)
    place = pd.Index(hours.stay_id).get_indexer(members.stay_id)
    members, place = members[place >= 0].reset_index(drop=True), place[place >= 0]
    at_h = members.reference_h.to_numpy(float)[:, None] - horizons[None, :]
    hour = last_at_or_before(hours.start, hours.time_h, place, at_h + TOLERANCE_H)
    rows = members.loc[np.repeat(np.arange(len(members)), len(horizons))]
    rows = rows.rename(columns={"set_id": "matched_to"}).drop(columns="stay_h").reset_index(drop=True)
    parts = []
    for m, model in enumerate(hours.models):
        risk = np.where(hour >= 0, hours.risk[m, hour], np.nan).ravel()
        parts.append(
            rows.assign(
                model=model,
                horizon_h=np.tile(horizons, len(members)),
                risk=risk,
                time_h=np.where(hour >= 0, hours.time_h[hour], np.nan).ravel(),
                reason=np.where(np.isnan(risk), TOO_EARLY, ""),
                run=0,
            )
        )
    return pd.concat(parts, ignore_index=True)


def _one_each(hours: Hours, reference_h: np.ndarray) -> References:
    """A row for every stay, in no set."""
    n = len(hours.stay_id)
    return References(
        np.arange(n), np.full(n, NO_SET), hours.is_case, reference_h, np.full(n, TOO_EARLY, dtype=object)
    )


def _matched(hours: Hours, members: pd.DataFrame | None) -> References:
    if members is None or members.is_case.all():
        raise NothingLeftError(
            "scores", "no control has a reference_h", "the hour each control is matched to",
            "Score with --labels, or choose control_reference 'absolute', 'relative' or 'random'.",
        )  # fmt: skip
    place = pd.Index(hours.stay_id).get_indexer(members.stay_id)
    there = members[place >= 0]
    reason = np.full(len(there), TOO_EARLY, dtype=object)
    return References(
        place[place >= 0], there.set_id.to_numpy(np.int64), there.is_case.to_numpy(bool),
        there.reference_h.to_numpy(float), reason,
    )  # fmt: skip


def _absolute(hours: Hours, ready, design: str, seed) -> References:
    """Controls still at risk at a case's onset hour, drawn within the case's fold."""
    frame = pd.DataFrame(
        {
            "stay_id": hours.stay_id, "subject_id": hours.subject_id, "reference_h": hours.onset_h,
            "ready_h": ready, "full_h": np.inf, "stay_h": hours.end_h,
            "event_h": np.where(hours.is_case, hours.onset_h, np.inf), "fold": hours.fold,
        }
    )  # fmt: skip
    usable = hours.is_case & (hours.onset_h >= ready - TOLERANCE_H)
    pool = frame[~hours.is_case] if design == PAPER else frame
    drawn = []
    for fold in np.unique(hours.fold):
        cases, candidates = frame[usable & (hours.fold == fold)], pool[pool.fold == fold]
        ratio = MAX_CONTROLS
        if design == PAPER:
            most = int(np.clip(len(candidates) // max(1, len(cases)), 1, MAX_CONTROLS))
            ratio = largest_ratio(cases, candidates, kept_share=1.0, most=most)
        drawn.append(
            match_controls(cases, candidates, design=design, controls_per_case=ratio, seed=[seed, int(fold)])
        )
    controls = pd.concat(drawn, ignore_index=True)
    place = pd.Index(hours.stay_id).get_indexer(controls.stay_id)
    alone = hours.is_case & ~np.isin(hours.stay_id, controls.set_id)
    cases = np.flatnonzero(hours.is_case)
    idle = np.flatnonzero(~hours.is_case & ~np.isin(hours.stay_id, controls.stay_id))
    nothing = np.full(len(idle), np.nan)
    return References(
        np.concatenate([cases, place, idle]),
        np.concatenate([hours.stay_id[cases], controls.set_id, np.full(len(idle), NO_SET)]),
        np.concatenate([np.ones(len(cases), bool), np.zeros(len(place) + len(idle), bool)]),
        np.concatenate([np.where(alone, np.nan, hours.onset_h)[cases], controls.reference_h, nothing]),
        np.concatenate(
            [
                np.where(alone, np.where(usable, ALONE, TOO_EARLY), TOO_EARLY)[cases],
                np.full(len(place), TOO_EARLY), np.full(len(idle), UNMATCHED),
            ]
        ).astype(object),
    )  # fmt: skip


def _unchecked(hours: Hours, rng) -> References:
    """Any control at any case's onset hour, in the unit or not."""
    return _one_each(hours, _given_to_controls(hours, hours.onset_h[hours.is_case], rng))


def _relative(hours: Hours, rng) -> References:
    """The case's fraction of its stay at onset, applied to the control's stay."""
    fraction = (hours.onset_h / hours.end_h)[hours.is_case]
    given = _given_to_controls(hours, np.clip(fraction, 0.0, 1.0), rng)
    return _one_each(hours, np.where(hours.is_case, hours.onset_h, given * hours.end_h))


def _given_to_controls(hours: Hours, values, rng) -> np.ndarray:
    """Values of cases dealt to controls, each about equally often; onset for cases."""
    n_controls = int((~hours.is_case).sum())
    dealt = np.resize(rng.permutation(values), n_controls)
    reference = hours.onset_h.copy()
    reference[~hours.is_case] = rng.permutation(dealt)
    return reference


def _random(hours: Hours, ready, rng) -> References:
    """Any hour at which the control is in the unit and has been scored long enough; NaN if none."""
    at = ready + rng.random(len(ready)) * (hours.end_h - ready)
    at = np.where(hours.end_h >= ready, at, np.nan)
    return _one_each(hours, np.where(hours.is_case, hours.onset_h, at))
