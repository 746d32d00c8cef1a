"""The antibiotics (orders, doses given, or both) and the cultures that a definition counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.definition import AntibioticOptions, CultureOptions

ANTIBIOTIC = ["stay_id", "time_h", "date_only"]
_SYSTEMIC = {
    "none": "systemic",
    "row": "systemic",
    "name": "name_is_systemic",
    "drug_and_route": "drug_route_is_systemic",
}


def chosen_antibiotics(events: Events, options: AntibioticOptions) -> pd.DataFrame:
    """
    The antibiotics that count: stay_id, time_h, date_only and, of orders, their other columns.

    Raises ExportError if the definition reads doses and the export has none.
    """
    parts = []
    if options.source != "given":
        parts.append(at_hour(counted_antibiotics(events.antibiotics, options), options.date_only_hour))
    if options.source != "ordered":
        if events.administrations is None:
            raise ExportError(
                "antibiotics given", "the export has no record of doses",
                "MIMIC, where MetaVision charts each dose", "Choose a preset that reads orders.",
            )  # fmt: skip
        doses = courses(events.administrations, gap_h=options.course_gap_h, isolated_h=options.isolated_h)
        parts.append(
            doses[["stay_id", "start_h"]].rename(columns={"start_h": "time_h"}).assign(date_only=False)
        )
    return parts[0] if len(parts) == 1 else pd.concat([p[ANTIBIOTIC] for p in parts], ignore_index=True)


def chosen_cultures(cultures: pd.DataFrame, options: CultureOptions) -> pd.DataFrame:
    """The cultures that count; see `counted_cultures` and `at_hour`."""
    return at_hour(counted_cultures(cultures, options), options.date_only_hour)


def counted_antibiotics(antibiotics: pd.DataFrame, options: AntibioticOptions) -> pd.DataFrame:
    """
    The orders whose drug is on the list (where the export names drugs) and that are systemic by `route_test`.
    """
    test = _SYSTEMIC[options.route_test]
    if test not in antibiotics:
        test = "systemic"
    keep = antibiotics[test].fillna(False).to_numpy(bool) | (options.route_test == "none")
    listed = f"in_{options.names}"
    if listed in antibiotics:
        keep = keep & antibiotics[listed].fillna(False).to_numpy(bool)
    if options.begun == "in_stay" and "in_stay" in antibiotics:
        keep = keep & antibiotics["in_stay"].to_numpy(bool)
    return antibiotics[keep]


def counted_cultures(cultures: pd.DataFrame, options: CultureOptions) -> pd.DataFrame:
    """The rows of cultures(stay_id, time_h, date_only, specimen, positive[, named]) that count."""
    if options.taken_in == "admission" and "named" in cultures:
        cultures = cultures[cultures["named"].to_numpy(bool)]
    if options.specimens:
        cultures = cultures[cultures["specimen"].isin(list(options.specimens))]
    if options.positive_only:
        cultures = cultures[cultures["positive"].fillna(False).to_numpy(bool)]
    return cultures


def at_hour(events: pd.DataFrame, hour: float) -> pd.DataFrame:
    """Events dated by the day alone, timed at an hour of that day; with hour 0 they stay dated by the day."""
    if not hour:
        return events
    day = events["date_only"].fillna(False).to_numpy(bool)
    return events.assign(time_h=events["time_h"] + np.where(day, hour, 0.0), date_only=False)


def courses(doses: pd.DataFrame, *, gap_h: float, isolated_h: float) -> pd.DataFrame:
    """
    Courses of antibiotics from single doses.

    Reads    doses(stay_id, start_h, end_h, item)
    Writes   courses(stay_id, item, start_h, end_h, doses), sorted by stay, start, item
    Rule     a dose continues the course of its drug if it starts at most `gap_h` after the end of the
             previous dose. A course counts if another dose, of any drug, starts within `isolated_h` of the
             end of one of its doses. With 0, each dose is a course, and every course counts.
    Source   Seymour et al. 2016 (two doses within 96 h); datasig-ac-uk/Sepsis_Label_Extraction,
             sepsis-time-blood.sql
    """
    doses = doses.sort_values(["stay_id", "start_h", "end_h", "item"], ignore_index=True)
    alone = np.zeros(len(doses), dtype=bool)
    if isolated_h:
        after_h = doses.groupby("stay_id")["start_h"].shift(-1) - doses["end_h"]
        alone = ~(after_h <= isolated_h).to_numpy()
    by_drug = doses.assign(alone=alone).sort_values(
        ["stay_id", "item", "start_h", "end_h"], kind="stable", ignore_index=True
    )
    new = pd.Series(True, index=by_drug.index)
    if gap_h:
        new = ~(by_drug["start_h"] <= by_drug.groupby(["stay_id", "item"])["end_h"].shift(1) + gap_h)
    grouped = by_drug.groupby(["stay_id", "item", new.cumsum().rename("course")], sort=False)
    found = grouped.agg(
        start_h=("start_h", "min"), end_h=("end_h", "max"), doses=("start_h", "size"), alone=("alone", "min")
    ).reset_index()
    found = found[~found["alone"].astype(bool)].drop(columns=["course", "alone"])
    return found.sort_values(["stay_id", "start_h", "item"], ignore_index=True)
