"""Leak: splits with different prevalence."""

from __future__ import annotations

from sepsis.audit.case import SOFT, AuditCase, Finding, soft, unchecked

CHECK = "prevalence differs"
MAX_RATIO = 2.0


def prevalence_differs(case: AuditCase) -> Finding:
    """The largest ratio of prevalence between two splits; infinite if one has no case."""
    shares = case.included.groupby("split").is_case.mean()
    if len(shares) < 2:
        return unchecked(CHECK, SOFT, "only one split")
    ratio = float(shares.max() / shares.min()) if shares.min() > 0 else float("inf")
    listed = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    return soft(CHECK, ratio > MAX_RATIO, ratio, f"prevalence: {listed}; largest ratio {ratio:.2f}")
