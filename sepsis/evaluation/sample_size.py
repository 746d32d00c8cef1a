"""
Is the study large enough? Sample sizes by the criteria of Riley et al., beside those at hand.

Evaluation: Riley et al., Stat Med 40 (2021) 4230-4251, doi:10.1002/sim.9025 (as in pmvalsampsize).
Development: Riley et al., BMJ 368 (2020) m441, doi:10.1136/bmj.m441 (as in pmsampsize).
"""

from __future__ import annotations

from math import ceil, log, sqrt

import numpy as np
import pandas as pd

from sepsis.calibration.logistic import expit, logit
from sepsis.evaluation.discrimination import auroc
from sepsis.evaluation.risk_set import RiskSet
from sepsis.models.registry import NEGATIVE_CONTROL, entry_of

SE = 0.051  # of O/E (log scale), slope and standardised net benefit: a 95 % interval 0.2 wide
SE_AUROC = 0.0255  # a 95 % interval 0.1 wide
SHRINKAGE, OPTIMISM, MARGIN = 0.9, 0.05, 0.05
PARAMETERS = 44  # one for each variable of Moor et al. 2019 (`data_schema/2_concepts.toml`)
EXPLAINED = 0.15  # share of the maximum R2 (Cox-Snell) that Riley et al. 2020 assume when nothing is known
COLUMNS = ["model", "criterion", "needed", "needed_events", "n", "n_events"]


def for_observed_expected(prevalence: float, se: float = SE) -> int:
    """
    Stays at which log(O/E) has the standard error `se`: equation 3.

    Examples
    --------
    >>> for_observed_expected(0.1)
    3461
    """
    return ceil((1.0 - prevalence) / (prevalence * se**2))


def for_slope(risk, se: float = SE) -> int:
    """Stays at which the calibration slope of well calibrated risks, spread like these, has that error."""
    x = logit(risk)
    information = expit(x) * expit(-x)
    one, both, square = (float((information * x**k).mean()) for k in range(3))
    return ceil(one / (se**2 * (one * square - both**2)))


def for_auroc(area: float, prevalence: float, se: float = SE_AUROC) -> int:
    """
    Stays at which the AUROC has that error, by Newcombe's formula: Stat Med 25 (2006) 559-573,
    doi:10.1002/sim.2324.

    Examples
    --------
    >>> for_auroc(0.8, 0.018, 0.1 / (2 * 1.96))
    4252
    """
    spread = area * (1.0 - area)
    slope = (1.0 - area) / (2.0 - area) + area / (1.0 + area)
    a, b, c = se**2 * prevalence * (1.0 - prevalence), spread * slope / 2.0, spread * (1.0 - slope)
    return ceil((b + sqrt(b * b + 4.0 * a * c)) / (2.0 * a))


def for_net_benefit(
    sensitivity: float, specificity: float, prevalence: float, threshold: float, se: float = SE
) -> int:
    """
    Stays at which the standardised net benefit (net benefit / prevalence) at a threshold has that error.

    Examples
    --------
    >>> for_net_benefit(0.6, 0.88, 0.72, 0.8)
    546
    """
    w = (1.0 - prevalence) / prevalence * threshold / (1.0 - threshold)
    variance = (
        sensitivity * (1.0 - sensitivity) / prevalence
        + w**2 * specificity * (1.0 - specificity) / (1.0 - prevalence)
        + w**2 * (1.0 - specificity) ** 2 / (prevalence * (1.0 - prevalence))
    )
    return ceil(variance / se**2)


def largest_r2(prevalence: float) -> float:
    """The largest R2 of Cox and Snell at a prevalence."""
    mean = prevalence * log(prevalence) + (1.0 - prevalence) * log(1.0 - prevalence)
    return 1.0 - float(np.exp(2.0 * mean))


def for_shrinkage(parameters: int, r2: float, shrinkage: float = SHRINKAGE) -> int:
    """
    Stays at which a model of so many parameters and R2 (Cox-Snell) needs no more shrinkage than that.

    Examples
    --------
    >>> for_shrinkage(24, 0.288)
    623
    """
    return ceil(parameters / ((shrinkage - 1.0) * log(1.0 - r2 / shrinkage)))


def for_optimism(parameters: int, r2: float, prevalence: float, optimism: float = OPTIMISM) -> int:
    """
    Stays at which R2 as a share of its maximum (Nagelkerke) is optimistic by no more than that.

    Examples
    --------
    >>> for_optimism(24, 0.288, 0.174)
    662
    """
    return for_shrinkage(parameters, r2, r2 / (r2 + optimism * largest_r2(prevalence)))


def for_overall_risk(prevalence: float, margin: float = MARGIN) -> int:
    """
    Stays at which the share of cases is known within a margin.

    Examples
    --------
    >>> for_overall_risk(0.174)
    221
    """
    return ceil((1.96 / margin) ** 2 * prevalence * (1.0 - prevalence))


def sample_size(
    risk_set: RiskSet, horizon_h: float, threshold: float, *, training_cases: int | None
) -> pd.DataFrame:
    """
    Rows (a stay in a matched set) and cases that each criterion needs at the share of cases of the matched
    rows, and those at hand.

    Evaluation: for each model but negative controls, from its risks at the horizon nearest to `horizon_h`;
    net benefit at `threshold`. Development: a logistic regression of `PARAMETERS` parameters that explains
    `EXPLAINED` of the maximum; without `training_cases` it is omitted. A criterion without a finite answer
    has no row.
    """
    is_case, h = risk_set.is_case, int(np.abs(risk_set.horizons - horizon_h).argmin())
    prevalence = float(is_case.mean())
    at_hand, wanted = (len(is_case), int(is_case.sum())), []
    wanted.append(("all", "evaluation: observed / expected", for_observed_expected(prevalence), *at_hand))
    for model, risk in zip(risk_set.models, risk_set.risk[:, h], strict=True):
        if entry_of(model).kind == NEGATIVE_CONTROL:
            continue
        acted, area = risk >= threshold, auroc(is_case, risk)
        if np.ptp(logit(risk)) > 1e-6:
            wanted.append((model, "evaluation: calibration slope", for_slope(risk), *at_hand))
        if 0.0 < area < 1.0:
            wanted.append((model, "evaluation: AUROC", for_auroc(area, prevalence), *at_hand))
        rates = float(acted[is_case].mean()), float((~acted)[~is_case].mean())
        if (needed := for_net_benefit(*rates, prevalence, threshold)) > 0:
            name = f"evaluation: standardised net benefit at {threshold:g}"
            wanted.append((model, name, needed, *at_hand))
    if training_cases:
        r2 = EXPLAINED * largest_r2(prevalence)
        at_hand = round(training_cases / prevalence), training_cases
        wanted += [
            ("all", f"development: shrinkage of at most {1 - SHRINKAGE:.0%}", for_shrinkage(PARAMETERS, r2),
            *at_hand), ("all", f"development: optimism in R2 of {OPTIMISM:g}", for_optimism(PARAMETERS, r2,
            prevalence), *at_hand), ("all", f"development: overall risk within {MARGIN:g}",
            for_overall_risk(prevalence), *at_hand),
        ]  # fmt: skip
    rows = [(m, name, n, ceil(n * prevalence), have, cases) for m, name, n, have, cases in wanted]
    return pd.DataFrame(rows, columns=COLUMNS)


def training_cases(scores: pd.DataFrame, outcomes: pd.DataFrame) -> int | None:
    """
    Included cases outside the validation and test splits, of the fold with the fewest; None if no stay is of
    the test split or if included cases are in no row of the scores.
    """
    cases = outcomes.stay_id[outcomes.included & outcomes.is_case]
    held = scores[scores.split.isin(["validation", "test"])]
    if not (scores.split == "test").any() or not cases.isin(scores.stay_id).all():
        return None
    folds = held.fold[held.split == "test"].unique()
    return min(int((~cases.isin(held.stay_id[held.fold == fold])).sum()) for fold in folds)
