"""Cases and controls, and the reason why each other stay is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.antibiotics_cultures import counted_antibiotics
from sepsis.labels.definition import CohortOptions, Preset

ATTRITION = ["stay_id", "subject_id", "included", "is_case", "exclusion"]


def classify_stays(
    stays: pd.DataFrame,
    times: pd.DataFrame,
    options: CohortOptions,
    undatable: pd.Series | None = None,
    further: Sequence[tuple[np.ndarray, str]] = (),
) -> pd.DataFrame:
    """
    Every stay of the export with its times, its class and the reason if it is left out.

    Reads    stays(stay_id, stay_h, age, system, sepsis_code, exclusion, ...), times(stay_id, onset_h, ...);
             `undatable`: ids of stays whose exported label begins in the first row
    Writes   onset: one row per stay, in the order of stay_id; `exclusion` is the first reason that
             applies, "" for a stay that is included
    Rule     is_case: an onset inside the stay, or anywhere if `onset_inside_stay` is off.
    """
    table = stays.sort_values("stay_id", ignore_index=True)
    table = table.merge(times, on="stay_id", how="left", validate="one_to_one")
    onset_h = table["onset_h"].to_numpy(float)
    has_onset = ~np.isnan(onset_h)
    before, after = has_onset & (onset_h < 0), has_onset & (onset_h > table["stay_h"].to_numpy(float))
    anywhere = not options.onset_inside_stay
    is_case = has_onset & (anywhere | ~(before | after))
    is_undatable = ~has_onset & np.isin(table["stay_id"], [] if undatable is None else undatable)
    too_young = (table["age"].astype(float) <= options.age_above_years).to_numpy(bool)
    other_system = table["system"].notna() & ~table["system"].isin(list(options.systems))
    coded = table["sepsis_code"].fillna(False).to_numpy(bool)
    reasons: list[tuple[np.ndarray, object]] = [
        (table["exclusion"].fillna("").to_numpy() != "", table["exclusion"].fillna("").astype("str")),
        (table["stay_h"].isna().to_numpy(), "no admission or no discharge time"),
        (too_young, f"age not above {options.age_above_years:g} years"),
        (
            other_system.to_numpy(bool) & bool(options.systems),
            f"charting system not {' or '.join(options.systems)}",
        ),
        *further,
        (is_undatable, "onset cannot be dated: labelled from the first row on"),
        (before & ~is_case, "onset before admission"),
        (after & ~is_case, "onset after discharge"),
        (
            is_case & (onset_h >= 0) & (onset_h < options.onset_min_h),
            f"onset before hour {options.onset_min_h:g} of the stay",
        ),
        (~has_onset & coded & options.controls_without_sepsis_code, "control with a sepsis diagnosis code"),
    ]
    exclusion = pd.Series("", index=table.index, dtype="str")
    for applies, reason in reversed(reasons):
        exclusion = exclusion.mask(pd.Series(applies, index=table.index), reason)
    return table.assign(is_case=is_case, included=(exclusion == "").to_numpy(), exclusion=exclusion)


def further_reasons(events: Events, preset: Preset) -> list[tuple[np.ndarray, str]]:
    """
    (flags in the order of stay_id, reason) for each rule about the length of a stay, its admission and the
    time before it. A stay with an unknown kind of admission or service is kept.

    Raises ExportError if a rule needs the admission and the export does not have it.
    """
    options = preset.cohort
    stays = events.stays.sort_values("stay_id", ignore_index=True)
    stay_h = stays["stay_h"].to_numpy(float)
    reasons: list[tuple[np.ndarray, str]] = []
    if options.first_stay:
        reasons.append((~first_of_admission(stays), "not the first stay of the admission"))
    if options.admission_types_out or options.services_out:
        if events.admissions is None:
            raise ExportError(
                f"preset {preset.name}", "the export has no kinds of admission and services",
                "MIMIC with ADMISSIONS and SERVICES", "Choose another preset, or empty those lists.",
            )  # fmt: skip
        known = events.admissions.set_index("stay_id").reindex(stays["stay_id"])
        for column, out in (
            ("admission_type", options.admission_types_out), ("service", options.services_out),
        ):  # fmt: skip
            if out:
                name = column.replace("_", " ")
                reasons.append((known[column].isin(list(out)).to_numpy(bool), f"{name} {' or '.join(out)}"))
    if options.no_antibiotic_before_stay:
        before = stays["stay_id"].isin(_ordered_before(events, preset)).to_numpy(bool)
        reasons.append((before, "an antibiotic before the day of admission to the unit"))
    if options.stay_min_h:
        reasons.append((stay_h < options.stay_min_h, f"stay shorter than {options.stay_min_h:g} h"))
    if options.stay_max_h:
        reasons.append((stay_h > options.stay_max_h, f"stay longer than {options.stay_max_h:g} h"))
    return reasons


def first_of_admission(stays: pd.DataFrame) -> np.ndarray:
    """Whether each of stays(hadm_id, intime) is the first of its admission; True without an admission."""
    first = stays.groupby("hadm_id", dropna=True)["intime"].transform("min")
    return (stays["hadm_id"].isna() | stays["intime"].isna() | (stays["intime"] == first)).to_numpy(bool)


def _ordered_before(events: Events, preset: Preset) -> pd.Series:
    orders = counted_antibiotics(events.antibiotics, preset.antibiotics)
    intime = events.stays.set_index("stay_id")["intime"]
    midnight_h = -((intime - intime.dt.normalize()).dt.total_seconds() / 3600.0)
    return orders.loc[orders["time_h"] < orders["stay_id"].map(midnight_h), "stay_id"].drop_duplicates()
