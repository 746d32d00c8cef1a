"""
From matched sets back to a population: the share of cases among matched rows is that of the design (one in
thirteen, say), not that of the unit. Risks are shifted on the scale of log odds before any threshold is
applied to them, and rows are weighted so that cases have the share they have there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.calibration.logistic import logit
from sepsis.evaluation.risk_set import RiskSet

COHORT = "cohort prevalence"


@dataclass(frozen=True)
class Target:
    """
    The share of cases that figures refer to, its name in `setting`, and the share among the matched rows that
    the risks were made for.

    Examples
    --------
    >>> Target(0.012, "cohort prevalence", 0.077).risks([0.5]).round(4)
    array([0.1271])
    """

    prevalence: float
    name: str
    matched: float

    @property
    def shift(self) -> float:
        """
        Difference of log odds. Sampling by class changes the intercept of a logistic model and nothing else:
        Prentice and Pyke, Biometrika 66 (1979) 403-411, doi:10.1093/biomet/66.3.403.
        """
        return float(logit(self.prevalence) - logit(self.matched))

    def risks(self, risk) -> np.ndarray:
        """Matched risks as they are in the target population."""
        risk = np.asarray(risk, dtype=float)
        odds = np.exp(self.shift) * risk  # times 1 - risk: risks of 0 and 1 stay what they are
        return odds / (odds + (1.0 - risk))

    def weights(self, is_case) -> np.ndarray:
        """Weight of each row (N,): cases together have the target prevalence, all rows 1."""
        is_case = np.asarray(is_case, dtype=bool)
        cases, controls = is_case.sum(), (~is_case).sum()
        return np.where(is_case, self.prevalence / max(1, cases), (1.0 - self.prevalence) / max(1, controls))

    def setting(self, setting: str) -> str:
        """`setting` with the name of the target behind it."""
        return f"{setting}, {self.name}" if setting else self.name


def target_of(risk_set: RiskSet, asked: float | None) -> Target | None:
    """
    The prevalence `asked` for, by default the share of cases in the cohort that the sets were drawn from;
    None if that is unknown, or if a class has no row.
    """
    matched = float(risk_set.is_case.mean()) if len(risk_set.is_case) else 0.0
    if not 0.0 < matched < 1.0:
        return None
    if asked is not None:
        return Target(asked, f"prevalence {asked:g}", matched)
    if not 0 < risk_set.n_cohort_cases < risk_set.n_cohort:
        return None
    return Target(risk_set.n_cohort_cases / risk_set.n_cohort, COHORT, matched)
