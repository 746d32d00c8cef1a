"""
The antibiotics that a definition counts, wherever they are recorded: orders, or doses given.

Doses make courses: those of one drug that follow each other closely count once, at the first of them,
and a course after which nothing else is given may not count at all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.definition import AntibioticOptions, CultureOptions
from sepsis.labels.suspicion import counted_antibiotics, counted_cultures

ANTIBIOTIC = ["stay_id", "time_h", "date_only"]


def chosen_antibiotics(events: Events, options: AntibioticOptions) -> pd.DataFrame:
    """
    What counts as an antibiotic: stay_id, time_h, date_only and, of orders, their other columns.

    Raises
    ------
    ExportError
        If doses are asked for and were not extracted or are not in the export.
    """
    parts = []
    if options.source != "given":
        parts.append(at_hour(counted_antibiotics(events.antibiotics, options), options.date_only_hour))
    if options.source != "ordered":
        if events.administrations is None:
            raise ExportError(
                "antibiotics given", "the export has no record of them",
                "MIMIC, whose MetaVision stays chart each dose", "Choose a preset that reads orders.",
            )  # fmt: skip
        doses = courses(events.administrations, gap_h=options.course_gap_h, isolated_h=options.isolated_h)
        parts.append(
            doses[["stay_id", "start_h"]].rename(columns={"start_h": "time_h"}).assign(date_only=False)
        )
    return parts[0] if len(parts) == 1 else pd.concat([p[ANTIBIOTIC] for p in parts], ignore_index=True)


def chosen_cultures(cultures: pd.DataFrame, options: CultureOptions) -> pd.DataFrame:
    """The cultures that count; see `suspicion.counted_cultures` and `at_hour`."""
    return at_hour(counted_cultures(cultures, options), options.date_only_hour)


def at_hour(events: pd.DataFrame, hour: float) -> pd.DataFrame:
    """
    Events known by their day alone put at an hour of it; 0 leaves them as they are.

    Reads    events(time_h, date_only, ...), `time_h` the day's midnight where `date_only`
    Writes   the same rows; an event that was given an hour counts as timed
    """
    if not hour:
        return events
    day = events["date_only"].fillna(False).to_numpy(bool)
    return events.assign(time_h=events["time_h"] + np.where(day, hour, 0.0), date_only=False)


def courses(doses: pd.DataFrame, *, gap_h: float, isolated_h: float) -> pd.DataFrame:
    """
    Doses as courses.

    Reads    doses(stay_id, start_h, end_h, item)
    Writes   courses(stay_id, item, start_h, end_h, doses), sorted by stay, start, item
    Rule     a dose at most `gap_h` after the end of the dose of the same drug before it continues its
             course. A course counts if after one of its doses another of any drug starts within
             `isolated_h` of its end.
    Source   Seymour et al. 2016 (two doses within 96 h); datasig-ac-uk/Sepsis_Label_Extraction,
             sepsis-time-blood.sql

    Parameters
    ----------
    gap_h, isolated_h : float
        0 makes each dose a course, and lets each course count.
    """
    doses = doses.sort_values(["stay_id", "start_h", "end_h", "item"], ignore_index=True)
    alone = np.zeros(len(doses), dtype=bool)
    if isolated_h:
        after_h = doses.groupby("stay_id")["start_h"].shift(-1) - doses["end_h"]
        alone = ~(after_h <= isolated_h).to_numpy()
    by_drug = doses.assign(alone=alone).sort_values(
        ["stay_id", "item", "start_h", "end_h"], kind="stable", ignore_index=True
    )
    if gap_h:
        before_h = by_drug.groupby(["stay_id", "item"])["end_h"].shift(1)
        new = ~(by_drug["start_h"] <= before_h + gap_h)
    else:
        new = pd.Series(True, index=by_drug.index)
    grouped = by_drug.groupby(["stay_id", "item", new.cumsum().rename("course")], sort=False)
    found = grouped.agg(
        start_h=("start_h", "min"), end_h=("end_h", "max"), doses=("start_h", "size"), alone=("alone", "min")
    ).reset_index()
    found = found[~found["alone"].astype(bool)].drop(columns=["course", "alone"])
    return found.sort_values(["stay_id", "start_h", "item"], ignore_index=True)
