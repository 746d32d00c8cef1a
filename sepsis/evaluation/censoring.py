"""
Scores before treatment: the hours up to the first antibiotic, culture or suspicion of infection.

A model that reads orders, or their effects on measurements, repeats what clinicians already suspect. A case
treated before a fixed horizon has no risk left there, so results with and without refer to different stays.
"""

from __future__ import annotations

import pandas as pd

from sepsis.evaluation.contract import TOLERANCE_H

BEFORE_TREATMENT = "before treatment"  # the group of censored figures
AFTER_TREATMENT = "after the first antibiotic, culture or suspicion"
TIMES = ("antibiotic_h", "culture_h", "suspicion_h")
KEY = ["model", "view", "horizon_h", "metric", "setting"]


def censor_scores(scores: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Scores without risks after the first antibiotic, culture or suspicion; one at that hour is kept."""
    first = outcomes.set_index("stay_id")[list(TIMES)].min(axis=1)
    late = scores.time_h.to_numpy() > first.loc[scores.stay_id].to_numpy() + TOLERANCE_H
    return scores.assign(risk=scores.risk.mask(late), reason=scores.reason.mask(late, AFTER_TREATMENT))


def before_after(metrics: pd.DataFrame) -> pd.DataFrame:
    """Each measure on all hours and on those before treatment; difference is before treatment minus all."""
    columns = [*KEY, "estimate", "n"]
    all_of = metrics.loc[metrics.group == "all", columns].rename(columns={"estimate": "all"})
    censored = metrics.loc[metrics.group == BEFORE_TREATMENT, columns].rename(
        columns={"estimate": "before_treatment", "n": "n_before_treatment"}
    )
    both = all_of.merge(censored, on=KEY, validate="one_to_one")
    both["difference"] = both.before_treatment - both["all"]
    return both[[*KEY, "all", "before_treatment", "difference", "n", "n_before_treatment"]]
