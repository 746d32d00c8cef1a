"""Made-up scores and outcomes for the tests of evaluation and report."""

import numpy as np
import pandas as pd

from sepsis.evaluation.contract import checked_outcomes, checked_scores
from sepsis.evaluation.hours import hourly_risks
from sepsis.evaluation.risk_table import RiskTable
from sepsis.evaluation.settings import EvaluationSettings

HORIZONS = (0.0, 3.0, 7.0)

HOW = {"n_bootstrap": 0, "level": 0.95, "random_state": 0}  # no intervals


def study(n=80, *, models=("mgp_tcn", "clock"), horizons=HORIZONS, seed=0, stays_per_subject=1, signal=1.0):
    """
    Scores and outcomes of one made-up test split; every fourth stay is a case.

    `signal` is how far the risks of cases lie above those of controls in every model but the clock,
    less so at far horizons.
    """
    rng = np.random.default_rng(seed)
    stay = np.arange(n)
    is_case = stay % 4 == 0
    subject = 1000 + stay // stays_per_subject
    outcomes = pd.DataFrame(
        {
            "stay_id": stay,
            "subject_id": subject,
            "is_case": is_case,
            "onset_h": np.where(is_case, 20.0, np.nan),
            "included": True,
            "exclusion": "",
        }
    )
    parts = []
    for model in models:
        for horizon in horizons:
            strength = 0.0 if model == "clock" else signal * (1 - horizon / 14)
            parts.append(
                pd.DataFrame(
                    {
                        "stay_id": stay,
                        "subject_id": subject,
                        "time_h": 20.0 - horizon,
                        "horizon_h": horizon,
                        "model": model,
                        "risk": 1 / (1 + np.exp(-(rng.normal(size=n) + strength * is_case))),
                        "risk_sd": np.nan,
                        "split": "test",
                        "is_case": is_case,
                        "reference_h": 20.0,
                        "reason": "",
                    }
                )
            )
    return pd.concat(parts, ignore_index=True), outcomes


def value(metrics, model, metric, horizon_h=0.0, column="estimate"):
    """One number of a metrics table."""
    row = metrics[(metrics.model == model) & (metrics.metric == metric) & (metrics.horizon_h == horizon_h)]
    assert len(row) == 1
    return row[column].item()


def hourly_study(
    n=60,
    *,
    models=("mgp_tcn", "clock"),
    seed=0,
    signal=1.0,
    splits=("test",),
    stays_per_subject=1,
    hours=(30, 60),
):
    """
    Hourly scores and outcomes; every fourth stay is a case, with onset in the second half of its stay.

    The risk of a case rises over the 12 h before onset in every model but the clock; a control's
    matched hour is drawn like an onset. Four subjects at a time go to the splits in turn.
    """
    rng = np.random.default_rng(seed)
    stay = np.arange(n)
    subject = 1000 + stay // stays_per_subject
    is_case = stay % 4 == 0
    stay_h = rng.integers(*hours, size=n) + 0.5
    onset_h = np.floor(stay_h * rng.uniform(0.5, 0.9, n)) + 0.25
    outcomes = pd.DataFrame(
        {
            "stay_id": stay,
            "subject_id": subject,
            "is_case": is_case,
            "onset_h": np.where(is_case, onset_h, np.nan),
            "stay_h": stay_h,
            "antibiotic_h": np.where(is_case, onset_h - 3, np.nan),
            "culture_h": np.where(is_case, onset_h - 5, np.nan),
            "suspicion_h": np.where(is_case, onset_h - 5, np.nan),
            "sex": np.where(stay % 5 < 2, "female", "male"),
            "included": True,
            "exclusion": "",
        }
    )
    parts = []
    for i in stay:
        time_h = np.arange(1.0, np.floor(stay_h[i]) + 1)
        rise = np.clip(1 + (time_h - onset_h[i]) / 12, 0, 1) * is_case[i]
        for model in models:
            noise = time_h / 20 if model == "clock" else rng.normal(size=len(time_h)) + 2 * signal * rise
            parts.append(
                pd.DataFrame(
                    {
                        "stay_id": i,
                        "subject_id": subject[i],
                        "time_h": time_h,
                        "horizon_h": np.nan,
                        "model": model,
                        "risk": 1 / (1 + np.exp(-(noise - 2))),
                        "split": splits[(subject[i] - 1000) // 4 % len(splits)],
                        "reference_h": onset_h[i],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True), outcomes


def as_stays(hours, model=0):
    """`Hours` as the plain twins take them."""
    made = []
    for i in range(len(hours.stay_id)):
        here = slice(hours.start[i], hours.start[i + 1])
        onset = None if np.isnan(hours.onset_h[i]) else float(hours.onset_h[i])
        made.append(
            {
                "subject": int(hours.subject_id[i]),
                "onset": onset,
                "end": float(hours.end_h[i]),
                "times": hours.time_h[here].tolist(),
                "risks": hours.risk[model, here].tolist(),
            }
        )
    return made


def table_of(scores, outcomes, **settings):
    """A made-up study as the evaluator reads it."""
    outcomes = checked_outcomes(outcomes)
    return RiskTable(checked_scores(scores, outcomes), outcomes, EvaluationSettings(**settings))


def hours_of(scores, outcomes, split=None):
    """Checked hourly risks of a made-up study."""
    outcomes = checked_outcomes(outcomes)
    return hourly_risks(checked_scores(scores, outcomes), outcomes, split=split)
