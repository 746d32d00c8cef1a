"""
Scores before anybody acted: the hours up to the first antibiotic, culture or suspicion of infection.

A model that reads orders, or their echo in the measurements, repeats what a clinician has already
seen. So everything is judged once more on the hours before that, and both figures are shown. A case
treated before its fixed hour has no risk left there and leaves that risk set, so the two figures are
also about different stays; n says how many.
"""

from __future__ import annotations

import pandas as pd

from sepsis.evaluation.contract import TOLERANCE_H

BEFORE_TREATMENT = "before treatment"  # the group of censored figures
AFTER_TREATMENT = "after the first antibiotic, culture or suspicion"
TIMES = ("antibiotic_h", "culture_h", "suspicion_h")
KEY = ["model", "view", "horizon_h", "metric", "setting"]


def censor_scores(scores: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    Scores whose risks after min(antibiotic_h, culture_h, suspicion_h) are gone.

    Reads    scores and outcomes that were checked
    Rule     a risk at that very hour stays: it has seen what was charted then, and no later.
    """
    first = outcomes.set_index("stay_id")[list(TIMES)].min(axis=1)
    late = scores.time_h.to_numpy() > first.loc[scores.stay_id].to_numpy() + TOLERANCE_H
    return scores.assign(risk=scores.risk.mask(late), reason=scores.reason.mask(late, AFTER_TREATMENT))


def before_after(metrics: pd.DataFrame) -> pd.DataFrame:
    """
    Each figure on all hours and on those before treatment, side by side.

    Returns
    -------
    table : DataFrame
        model, view, horizon_h, metric, setting, all, before_treatment, difference (before treatment
        less all), n, n_before_treatment; no rows where nothing was censored.
    """
    columns = [*KEY, "estimate", "n"]
    all_of = metrics.loc[metrics.group == "all", columns].rename(columns={"estimate": "all"})
    censored = metrics.loc[metrics.group == BEFORE_TREATMENT, columns].rename(
        columns={"estimate": "before_treatment", "n": "n_before_treatment"}
    )
    both = all_of.merge(censored, on=KEY, validate="one_to_one")
    both["difference"] = both.before_treatment - both["all"]
    return both[[*KEY, "all", "before_treatment", "difference", "n", "n_before_treatment"]]
