"""
Reference hours of controls, and fixed-horizon risks from hourly scores.

A case is evaluated h hours before its onset. A control has no onset; its reference hour is one of:

| reference | hour of a control | comparison |
|---|---|---|
| matched | the one the cohort assigned, the onset hour of its case | the study as designed |
| absolute | the onset hour of a case it is matched to here | equal time since admission |
| relative | the same fraction of its stay as a case at onset | equal fraction of the stay |
| random | any hour of its stay, drawn repeatedly | a random control hour |

The control must still be in the unit then: with plausible lengths of stay 23 % of controls end before their
matched hour, and hours since the last observation then separate the classes.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from sepsis.cohort.matching import largest_ratio, match_controls
from sepsis.core.errors import NothingLeftError
from sepsis.evaluation.censoring import AFTER_TREATMENT
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours, last_at_or_before
from sepsis.evaluation.risk_set import GONE, RiskSet, risk_set_of

HOURLY_HORIZONS = tuple(float(h) for h in range(8))
MAX_CONTROLS = 10  # controls per case of the absolute reference, at most
UNMATCHED = "control not matched: no case left whose hour it reaches"
TOO_EARLY = "no score that long before the reference"
UNCHECKED = (
    "Controls were not required to be in the unit at their reference hour (controls_at_risk is false): "
    "length of stay separates the classes. Do not compare these figures with others."
)


def warn_unchecked(notes: list[str]) -> None:
    """Warn, and note, that controls may have left the unit by their reference hour."""
    warnings.warn(UNCHECKED, UserWarning, stacklevel=3)
    notes.append(UNCHECKED)


def risk_sets_of_hours(
    hours: Hours, horizons, *, reference: str, at_risk: bool, n_draws: int, random_state, censor: bool = False
) -> tuple[list[RiskSet], list[str]]:
    """
    Fixed-horizon risks from hourly ones, and notes: at each horizon the last risk at or before it.

    "random" has `n_draws` sets of the same stays, other references one. Without `at_risk`, controls of
    "matched" and "absolute" may have left; with `censor`, risks after treatment or suspicion are removed.
    Raises NothingLeftError if the control hours are unknown, or a class has no stays left.
    """
    horizons = np.asarray(sorted(horizons), dtype=float)
    rng = np.random.default_rng(random_state)
    first = hours.time_h[hours.start[:-1]]
    notes: list[str] = []
    reason = np.full(len(hours.stay_id), TOO_EARLY, dtype=object)
    if not at_risk:
        warn_unchecked(notes)
    if not hours.is_case.any():
        raise NothingLeftError("scores", "no case has hourly scores", "cases and controls")
    ready = first + horizons[-1]
    if reference == "matched":
        references = [_matched(hours)]
    elif reference == "absolute":
        references = [_absolute(hours, ready, rng) if at_risk else _unchecked(hours, rng)]
        reason[~hours.is_case & np.isnan(references[0])] = UNMATCHED
    elif reference == "relative":
        references = [_relative(hours, rng)]
    else:
        references = [_random(hours, ready, rng) for _ in range(n_draws)]
    if at_risk:
        gone = ~hours.is_case & (references[0] > hours.end_h + TOLERANCE_H)
        references = [np.where(gone, np.nan, r) for r in references]
        reason[gone] = GONE
    draws, stale = [], 0
    for reference_h in references:
        at_h = reference_h[:, None] - horizons[None, :]
        if censor:
            treated = (at_h > hours.censor_h[:, None] + TOLERANCE_H).any(axis=1)
            at_h[treated], reason[treated] = np.nan, AFTER_TREATMENT
        hour = last_at_or_before(hours.start, hours.time_h, at_h + TOLERANCE_H)
        stale += int((at_h - hours.time_h[hour] > 1.0 + TOLERANCE_H)[hour >= 0].sum())
        draws.append(_risk_set(hours, horizons, hour, reason))
    if stale:
        notes.append(
            f"{stale:,} fixed-horizon risks are more than 1 h older than their horizon: no later score."
        )
    return draws, notes


def rows_at_references(hours: Hours, horizons) -> pd.DataFrame:
    """
    Fixed-horizon rows, one per stay, horizon and model, of models that have hourly scores only, at the
    reference hours of the cohort.
    """
    horizons = np.asarray(sorted(horizons), dtype=float)
    at_h = hours.reference_h[:, None] - horizons[None, :]
    hour = last_at_or_before(hours.start, hours.time_h, at_h + TOLERANCE_H)
    parts = []
    for m, model in enumerate(hours.models):
        risk = np.where(hour >= 0, hours.risk[m, hour], np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "stay_id": np.repeat(hours.stay_id, len(horizons)),
                    "model": model,
                    "horizon_h": np.tile(horizons, len(hours.stay_id)),
                    "risk": risk.ravel(),
                    "time_h": np.where(hour >= 0, hours.time_h[hour], np.nan).ravel(),
                    "reference_h": np.repeat(hours.reference_h, len(horizons)),
                    "reason": np.where(np.isnan(risk), TOO_EARLY, "").ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _risk_set(hours: Hours, horizons, hour, reason) -> RiskSet:
    """Risks at the chosen hours (N, H), -1 for none."""
    risk = np.where(hour.T[None] >= 0, hours.risk[:, hour.T], np.nan)  # (M, H, N)
    why = np.broadcast_to(reason, risk.shape)
    stays = pd.DataFrame({"stay_id": hours.stay_id, "subject_id": hours.subject_id, "is_case": hours.is_case})
    return risk_set_of(hours.models, horizons, stays, risk, why, outside=hours.coverage)


def _matched(hours: Hours) -> np.ndarray:
    if np.isnan(hours.reference_h[~hours.is_case]).all():
        raise NothingLeftError(
            "scores", "no control has a reference_h", "the hour each control is matched to",
            "Score with --labels, or choose control_reference 'absolute', 'relative' or 'random'.",
        )  # fmt: skip
    return hours.reference_h


def _absolute(hours: Hours, ready, rng) -> np.ndarray:
    """Controls still in the unit at a case's onset hour, the same number for each case."""
    frame = pd.DataFrame(
        {
            "stay_id": hours.stay_id, "reference_h": hours.onset_h, "ready_h": ready, "full_h": np.inf,
            "stay_h": hours.end_h,
        }
    )  # fmt: skip
    usable = hours.is_case & (hours.onset_h >= ready - TOLERANCE_H)
    cases, controls = frame[usable], frame[~hours.is_case]
    most = int(np.clip(len(controls) // max(1, len(cases)), 1, MAX_CONTROLS))
    ratio = largest_ratio(cases, controls, kept_share=1.0, most=most)
    matches = match_controls(cases, controls, controls_per_case=ratio, rng=rng).set_index("stay_id")
    matched = pd.Series(hours.stay_id).map(matches.reference_h).to_numpy(float)
    alone = hours.is_case & ~np.isin(hours.stay_id, matches.matched_to)
    return np.where(hours.is_case, np.where(alone, np.nan, hours.onset_h), matched)


def _unchecked(hours: Hours, rng) -> np.ndarray:
    """Any control at any case's onset hour, in the unit or not."""
    return _given_to_controls(hours, hours.onset_h[hours.is_case], rng)


def _relative(hours: Hours, rng) -> np.ndarray:
    """The case's fraction of its stay at onset, applied to the control's stay."""
    fraction = (hours.onset_h / hours.end_h)[hours.is_case]
    given = _given_to_controls(hours, np.clip(fraction, 0.0, 1.0), rng)
    return np.where(hours.is_case, hours.onset_h, given * hours.end_h)


def _given_to_controls(hours: Hours, values, rng) -> np.ndarray:
    """Values of cases dealt to controls, each about equally often; onset for cases."""
    n_controls = int((~hours.is_case).sum())
    dealt = np.resize(rng.permutation(values), n_controls)
    reference = hours.onset_h.copy()
    reference[~hours.is_case] = rng.permutation(dealt)
    return reference


def _random(hours: Hours, ready, rng) -> np.ndarray:
    """Any hour at which the control is in the unit and has been scored long enough; NaN if none."""
    at = ready + rng.random(len(ready)) * (hours.end_h - ready)
    at = np.where(hours.end_h >= ready, at, np.nan)
    return np.where(hours.is_case, hours.onset_h, at)
