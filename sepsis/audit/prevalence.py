"""Leak: splits that are not alike."""

from __future__ import annotations

from sepsis.audit.case import SOFT, AuditCase, Finding, soft, unchecked

CHECK = "prevalence differs"
MOST_RATIO = 2.0


def prevalence_differs(case: AuditCase) -> Finding:
    """The largest ratio between the shares of cases of two splits; infinite where one has none."""
    shares = case.members.groupby("split").is_case.mean()
    if len(shares) < 2:
        return unchecked(CHECK, SOFT, "one split only")
    ratio = float(shares.max() / shares.min()) if shares.min() > 0 else float("inf")
    listed = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    return soft(CHECK, ratio > MOST_RATIO, ratio, f"share of cases: {listed}; largest ratio {ratio:.2f}")
