"""Matching: controls for each case at the same hour of their stay, still in the unit at that hour."""

from __future__ import annotations

import numpy as np
import pandas as pd

INCIDENCE_DENSITY, PAPER = "incidence_density", "paper"
COLUMNS = ("set_id", "stay_id", "reference_h", "n_at_risk")


def match_controls(cases, candidates, *, design: str, controls_per_case: int, seed) -> pd.DataFrame:
    """
    Controls of every case: a draw of its own for each, seeded by `seed` (int or several) and the case.

    Reads    cases(stay_id, subject_id, reference_h), candidates(stay_id, subject_id, ready_h, full_h, stay_h,
             event_h); `event_h` is the full hour of the stay's own onset, inf without one
    Writes   set_id (stay_id of the case), stay_id, reference_h, n_at_risk (candidates at risk at that hour,
             chosen or not), one row per control; the order of the given rows has no effect
    Rule     a control's reference is the reference hour of its case, from its own admission. At that hour it
             has enough history (`ready_h` <= reference < `full_h`), is still in the unit (reference <=
             `stay_h`) and has had no onset (reference < `event_h`); it is another person.
             "incidence_density": a random draw from all of these, so that a stay may serve several cases and
             a later case may be a control; without replacement within a set. A case with fewer candidates
             takes them all.
             "paper": no stay is used twice, and a case without a full set gets none. Cases with the latest
             onsets choose first, because the fewest are eligible for them. Give candidates without onset.
    Source   incidence-density sampling: Prentice and Breslow 1978, doi:10.1093/biomet/65.1.153; Lubin and
             Gail 1984, doi:10.2307/2530744. "paper": Moor et al. 2019.
    """
    cases = cases.sort_values(["reference_h", "stay_id"], ascending=[False, True])
    candidates = candidates.sort_values("stay_id")
    stay_id, person = candidates.stay_id.to_numpy(), candidates.subject_id.to_numpy()
    ready_h, full_h, stay_h, event_h = (
        candidates[name].to_numpy(float) for name in ("ready_h", "full_h", "stay_h", "event_h")
    )
    free = np.ones(len(stay_id), bool)
    rows: list[pd.DataFrame] = []
    for case, subject, at_h in zip(cases.stay_id, cases.subject_id, cases.reference_h, strict=True):
        there = (ready_h <= at_h) & (full_h > at_h) & (stay_h >= at_h) & (event_h > at_h)
        eligible = np.flatnonzero(there & (person != subject) & free)
        if not len(eligible) or (design == PAPER and len(eligible) < controls_per_case):
            continue
        # a generator of its own: the draw of a case does not depend on the other cases
        rng = np.random.default_rng([*np.atleast_1d(seed), int(case) & (2**63 - 1)])
        chosen = np.sort(rng.choice(eligible, min(controls_per_case, len(eligible)), replace=False))
        if design == PAPER:
            free[chosen] = False
        rows.append(
            pd.DataFrame(
                {"set_id": case, "stay_id": stay_id[chosen], "reference_h": at_h, "n_at_risk": len(eligible)}
            )
        )
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))
    types = {"set_id": "int64", "stay_id": "int64", "reference_h": "float64", "n_at_risk": "int64"}
    return table.astype(types)


def largest_ratio(cases, candidates, *, kept_share: float, most: int) -> int:
    """
    The most controls per case, from `most` down to 1, for which `kept_share` of the cases that can have one
    still have a full set of their own (design "paper"); tables as in `match_controls`.
    """

    def kept(ratio: int) -> int:
        drawn = match_controls(cases, candidates, design=PAPER, controls_per_case=ratio, seed=0)
        return drawn.set_id.nunique()

    matchable = kept(1)
    for ratio in range(most, 1, -1):
        if kept(ratio) >= kept_share * matchable:
            return ratio
    return 1
