"""
Leak: a stay's risk depends on the other stays in its batch. A network read out at the last padded step, or
statistics taken over the batch, reveal how long and how sick the others are. A bedside has no batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sepsis.audit.case import AuditCase, Finding, differing, hard
from sepsis.cohort.windows import Windows, concatenate


def risk_depends_on_batch(case: AuditCase) -> Finding:
    """Risks of the sample scored alone, in another order, in halves, beside unusual stays, and twice."""
    members = case.sample
    X = case.windows(case.sample_events, members, members.reference_h)
    together = _risk(case, X)
    order = np.random.default_rng(case.seed).permutation(len(X))
    reordered = np.empty(len(X))
    reordered[order] = _risk(case, X[order])
    half = max(1, len(X) // 2)
    ways = {
        "alone": np.concatenate([_risk(case, X[k]) for k in range(len(X))]),
        "in another order": reordered,
        "in halves": np.concatenate([_risk(case, part) for part in (X[:half], X[half:]) if len(part)]),
        "beside a long and an empty stay": _risk(case, concatenate([X, *_odd(X)]))[: len(X)],
        "a second time": _risk(case, X),
    }
    counts = {way: int(differing(risk, together).sum()) for way, risk in ways.items()}
    found = sum(counts.values())
    which = ", ".join(f"{way} {count:,}" for way, count in counts.items() if count)
    return hard(
        "batch invariance",
        found,
        f"{found:,} of {len(X) * len(ways):,} risks changed with the batch"
        + (f" ({which})" if which else ""),
    )


def _risk(case: AuditCase, X: Windows) -> np.ndarray:
    return case.model.predict_proba(X)[:, 1]


def _odd(X: Windows) -> tuple[Windows, Windows]:
    """A stay three times as long as the longest with doubled values, and a stay without values."""
    longest = X[int(np.argmax(np.diff(X.offsets)))]
    stretched = replace(
        longest,
        end_h=longest.start_h + 3.0 * (longest.end_h - longest.start_h),
        time_h=longest.start_h + 3.0 * (longest.time_h - longest.start_h),
        value=2.0 * longest.value,
    )
    empty = replace(
        longest,
        offsets=np.zeros(2, np.int64),
        time_h=longest.time_h[:0],
        concept=longest.concept[:0],
        value=longest.value[:0],
    )
    return stretched, empty
