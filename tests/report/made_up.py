"""A made-up study with excluded stays, other splits and missing risks, and its report."""

import numpy as np
import pandas as pd

from sepsis.report import Context, write_report
from tests.evaluation.made_up import study

MODELS = ("mgp_tcn", "dtw_knn", "logistic", "clock")
MANY = ("mgp_tcn", "dtw_knn", "logistic", "news2", "sofa", "clock", "observation_count")
CARD = """# Model card: x

Risk that a stay reaches onset. **Research software.**

- Variables: 2 (`a`, `b`).
- A laboratory value counts from the hour it was drawn; its result was
  known later.

## Whom it was fitted on

| split | stays |
|---|---|
| train | 12 |
"""
MANIFEST = {
    "kind": "report",
    "seed": 7,
    "split_hash": "ab" * 32,
    "settings": {"labels": {"preset": "moor2019"}, "horizons": [0, 3, 7], "<b>raw</b>": "</script><i>"},
    "inputs": {"scores": "cd" * 32},
    "versions": {"python": "3"},
}


def whole_study(n=120, models=MODELS):
    """
    (scores, outcomes, attrition): `n` stays in the test split and 35 that never reach it.

    5 are too young, 10 have no data; of the 20 other stays 12 are in training, 3 in validation, 4
    found no match, and 1 is not in the scores at all. Two test stays lack a risk of the first model.
    """
    scores, outcomes = study(n, models=models, signal=2.5)
    gap = scores.stay_id.isin([1, 4]) & (scores.model == models[0]) & (scores.horizon_h > 2)
    scores = scores.assign(risk=scores.risk.mask(gap), reason=scores.reason.mask(gap, "nothing charted"))
    stay = np.arange(90_001, 90_036)
    others = pd.DataFrame(
        {
            "stay_id": stay,
            "subject_id": stay,
            "is_case": np.arange(35) % 5 == 0,
            "onset_h": np.nan,
            "included": np.arange(35) >= 15,
            "exclusion": ["too young"] * 5 + ["no data"] * 10 + [""] * 20,
        }
    )
    split = ["train"] * 12 + ["validation"] * 3 + [""] * 4
    elsewhere = others.iloc[15:34][["stay_id", "subject_id", "is_case"]].assign(
        time_h=np.nan, horizon_h=np.nan, model="clock", risk=np.nan, risk_sd=np.nan, split=split,
        reference_h=np.nan, reason=["in training"] * 12 + ["not asked for"] * 3 + ["no match"] * 4,
    )  # fmt: skip
    scores = pd.concat([scores, elsewhere], ignore_index=True)
    outcomes = pd.concat([outcomes, others], ignore_index=True)
    return scores, outcomes, outcomes[["stay_id", "subject_id", "included", "is_case", "exclusion"]]


def report(out, *, n=120, models=MODELS, manifest=MANIFEST, evaluation=None, **context):
    """Path of a written page."""
    from tests.report.made_up_evaluation import evaluated

    scores, outcomes, attrition = whole_study(n, models)
    evaluation = evaluated(n, models) if evaluation is None else evaluation
    return write_report(evaluation, scores, outcomes, attrition, out, Context(manifest, **context))
