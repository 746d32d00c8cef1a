"""Matching: controls for each case at the same hour of their stay, still in the unit at that hour."""

from __future__ import annotations

import numpy as np
import pandas as pd


def match_controls(cases, controls, *, controls_per_case: int, rng: np.random.Generator) -> pd.DataFrame:
    """
    Match the same number of controls to every case, without replacement; the order of rows has no effect.

    Reads    cases(stay_id, reference_h), controls(stay_id, ready_h, full_h, stay_h)
    Writes   matches(stay_id, matched_to, reference_h), one row per matched control
    Rule     a control's reference is the reference hour of its case, from its own admission
             ("absolute onset matching"); it must have `ready_h` <= reference < `full_h` and
             reference <= `stay_h`: enough history by then and not too much, and still in the unit.
             Cases with the latest onsets choose first, because the fewest controls are eligible for them;
             the choice among the eligible is random. A case without a full set of `controls_per_case` gets
             none and is excluded by the caller: with fewer controls, late hours would have more cases than
             early ones, and the hour alone would separate the classes.
    Source   Moor et al. 2019 (matching at the absolute hour). The published code does not require
             the control to be still in the unit; see data_schema/decisions.md.
    """
    cases = cases.sort_values(["reference_h", "stay_id"], ascending=[False, True])
    controls = controls.sort_values("stay_id").reset_index(drop=True)
    order = rng.permutation(len(controls))
    stay_id = controls.stay_id.to_numpy()[order]
    ready_h, full_h, stay_h = (controls[c].to_numpy()[order] for c in ("ready_h", "full_h", "stay_h"))
    free = np.ones(len(order), bool)
    rows: list[tuple[int, int, float]] = []
    for case, reference_h in zip(cases.stay_id, cases.reference_h, strict=True):
        there = (ready_h <= reference_h) & (full_h > reference_h) & (stay_h >= reference_h)
        chosen = np.flatnonzero(free & there)
        if len(chosen) < controls_per_case:
            continue
        chosen = chosen[:controls_per_case]
        free[chosen] = False
        rows += [(int(stay_id[c]), int(case), float(reference_h)) for c in chosen]
    matches = pd.DataFrame(rows, columns=["stay_id", "matched_to", "reference_h"])
    return matches.astype({"stay_id": "int64", "matched_to": "int64", "reference_h": "float64"})


def largest_ratio(cases, controls, *, kept_share: float, most: int) -> int:
    """
    The most controls per case, from `most` down to 1, for which `kept_share` of the matchable cases still
    have a full set.

    Reads    cases(stay_id, reference_h), controls(stay_id, ready_h, full_h, stay_h)
    """

    def kept(ratio: int) -> int:
        matches = match_controls(cases, controls, controls_per_case=ratio, rng=np.random.default_rng(0))
        return matches.matched_to.nunique()

    matchable = kept(1)
    for ratio in range(most, 1, -1):
        if kept(ratio) >= kept_share * matchable:
            return ratio
    return 1
