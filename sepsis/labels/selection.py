"""
Which stays a definition looks at beyond age and charting system: length, kind of admission, and what
came before the stay.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.definition import Preset
from sepsis.labels.suspicion import counted_antibiotics


def further_reasons(events: Events, preset: Preset) -> list[tuple[np.ndarray, str]]:
    """
    Reasons to leave stays out, each with the stays it applies to.

    Reads    events.stays, antibiotics, admissions
    Writes   (flags in the order of stay_id, reason) for each rule of `preset.cohort` that is on; a
             stay whose kind of admission or service is not known stays in

    Raises
    ------
    ExportError
        If a rule needs the admission and the export does not tell it.
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
                f"preset {preset.name}", "the export does not tell kinds of admission and services",
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
    """
    Whether each stay is the first of its admission; a stay without an admission is.

    Reads    stays(hadm_id, intime)
    """
    first = stays.groupby("hadm_id", dropna=True)["intime"].transform("min")
    return (stays["hadm_id"].isna() | stays["intime"].isna() | (stays["intime"] == first)).to_numpy(bool)


def _ordered_before(events: Events, preset: Preset) -> pd.Series:
    """Stays with a counted order on a day before that of their admission to the unit."""
    orders = counted_antibiotics(events.antibiotics, preset.antibiotics)
    intime = events.stays.set_index("stay_id")["intime"]
    midnight_h = -((intime - intime.dt.normalize()).dt.total_seconds() / 3600.0)
    return orders.loc[orders["time_h"] < orders["stay_id"].map(midnight_h), "stay_id"].drop_duplicates()
