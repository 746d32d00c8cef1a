"""Made-up scores and outcomes for the tests of evaluation and report."""

import numpy as np
import pandas as pd

HORIZONS = (0.0, 3.0, 7.0)


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
