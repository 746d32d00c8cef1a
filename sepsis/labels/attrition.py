"""
Which stays are cases and controls, and why the others are neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.labels.definition import CohortOptions

ATTRITION = ["stay_id", "subject_id", "included", "is_case", "exclusion"]


def judge_stays(
    stays: pd.DataFrame,
    times: pd.DataFrame,
    options: CohortOptions,
    undatable: pd.Series | None = None,
    further: Sequence[tuple[np.ndarray, str]] = (),
) -> pd.DataFrame:
    """
    Every stay of the export with its times, its class, and its exclusion.

    Reads    stays(stay_id, subject_id, intime, outtime, stay_h, age, system, sepsis_code,
             exclusion), times(stay_id, onset_h, ...) of the stays that have any
    Writes   onset: one row per stay, in the order of stay_id; the first reason that applies is its
             `exclusion`, "" if there is none
    Rule     is_case: an onset inside the stay (or anywhere, if the preset does not ask).

    Parameters
    ----------
    undatable : Series, optional
        Ids of stays whose exported label is there from the first row on.
    further : sequence of (flags, reason)
        As `selection.further_reasons` gives them.
    """
    table = stays.sort_values("stay_id", ignore_index=True)
    table = table.merge(times, on="stay_id", how="left", validate="one_to_one")
    onset_h = table["onset_h"].to_numpy(float)
    has_onset = ~np.isnan(onset_h)
    before, after = has_onset & (onset_h < 0), has_onset & (onset_h > table["stay_h"].to_numpy(float))
    anywhere = not options.onset_inside_stay
    is_case = has_onset & (anywhere | ~(before | after))
    label = ~has_onset & np.isin(table["stay_id"], [] if undatable is None else undatable)
    reasons: list[tuple[np.ndarray, object]] = [
        (table["exclusion"].fillna("").to_numpy() != "", table["exclusion"].fillna("").astype("str")),
        (table["stay_h"].isna().to_numpy(), "no admission or no discharge time"),
        (_too_young(table, options), f"age not above {options.age_above_years:g} years"),
        (_other_system(table, options), f"charting system not {' or '.join(options.systems)}"),
        *further,
        (label, "onset cannot be dated: labelled from the first row on"),
        (before & ~is_case, "onset before admission"),
        (after & ~is_case, "onset after discharge"),
        (
            is_case & (onset_h >= 0) & (onset_h < options.onset_min_h),
            f"onset before hour {options.onset_min_h:g} of the stay",
        ),
        (~has_onset & _coded(table, options), "control with a sepsis diagnosis code"),
    ]
    exclusion = pd.Series("", index=table.index, dtype="str")
    for applies, reason in reversed(reasons):
        exclusion = exclusion.mask(pd.Series(applies, index=table.index), reason)
    return table.assign(is_case=is_case, included=(exclusion == "").to_numpy(), exclusion=exclusion)


def _too_young(table: pd.DataFrame, options: CohortOptions) -> np.ndarray:
    """Age known, and not above the limit."""
    return (table["age"].astype(float) <= options.age_above_years).to_numpy(bool)


def _other_system(table: pd.DataFrame, options: CohortOptions) -> np.ndarray:
    """Charted in a system that is not kept; an export that names none loses no stay."""
    if not options.systems:
        return np.zeros(len(table), dtype=bool)
    return (table["system"].notna() & ~table["system"].isin(list(options.systems))).to_numpy(bool)


def _coded(table: pd.DataFrame, options: CohortOptions) -> np.ndarray:
    """Whether the admission carries a sepsis diagnosis, where the preset asks; unknown: no."""
    if not options.controls_without_sepsis_code:
        return np.zeros(len(table), dtype=bool)
    return table["sepsis_code"].fillna(False).to_numpy(bool)
