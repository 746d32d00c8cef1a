"""
Labels: suspicion of infection, hourly SOFA, onset, and who is a case or a control.

One stage: `label_stays` reads the `Events` of an export and a `Preset`, and writes four tables. What
it computes are functions without path or clock in the modules beside it: `suspicion`, `sofa` (with
`points`, `blood_gas`, `ventilation`, `gcs`, `urine` over `tracks`), `onset`, `attrition`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.attrition import ATTRITION, judge_stays
from sepsis.labels.courses import chosen_antibiotics, chosen_cultures
from sepsis.labels.definition import Preset
from sepsis.labels.hourly import hourly_stay_sofa
from sepsis.labels.onset import TIMES, exported_times, first_rise, onset_times
from sepsis.labels.orders import order_suspicions, pairs_of
from sepsis.labels.points import (
    cardiovascular_points,
    cns_points,
    coagulation_points,
    liver_points,
    renal_points,
    respiration_points,
)
from sepsis.labels.pooling import pooled_by_admission
from sepsis.labels.presets import load_preset, preset_names
from sepsis.labels.selection import further_reasons
from sepsis.labels.sofa import COMPONENTS, hourly_sofa
from sepsis.labels.suspicion import (
    earliest_pair,
    suspected_infection,
    suspicion_pairs,
    suspicions_of,
)
from sepsis.sources.base import refuse_unlabelable

__all__ = [
    "COMPONENTS", "Labels", "Preset", "cardiovascular_points", "cns_points", "coagulation_points",
    "first_rise", "hourly_sofa", "label_stays", "liver_points", "load_preset", "preset_names",
    "renal_points", "respiration_points", "suspected_infection", "suspicion_pairs",
]  # fmt: skip

ONSET = [
    "stay_id", "subject_id", "is_case", *TIMES, "intime", "outtime", "stay_h", "included", "exclusion",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Labels:
    """
    What a definition says about an export; columns as in `data_schema/4_labels.toml`.

    Attributes
    ----------
    onset : one row per stay of the export, included or not
    sofa : one row per stay with a suspicion and hour of its grid, or per hour of every stay
    suspicion : every pair of antibiotic and culture that qualifies
    attrition : one row per stay of the export, with the reason if it is left out
    orders : one row per antibiotic order (or combination) of a stay and what it was paired with, or
        None where the definition looks at pairs only
    """

    onset: pd.DataFrame
    sofa: pd.DataFrame
    suspicion: pd.DataFrame
    attrition: pd.DataFrame
    orders: pd.DataFrame | None = None


def label_stays(events: Events, preset: Preset) -> Labels:
    """
    Label every stay of an export.

    Reads    events, as `sepsis.events` extracts them
    Writes   onset, sofa, suspicion, attrition
    Rule     the preset's; SOFA at an hour reads nothing charted after it, the onset may: a later
             antibiotic dates an earlier culture (`label_known_h` says when all was there).

    Raises
    ------
    ExportError
        If the export can never be labelled (PhysioNet 2012), the preset takes labels from the export
        and it has none, or the export has labels but neither antibiotics nor cultures to compute others
        from.
    """
    _check_labels_source(events, preset)
    if preset.onset.source == "export_labels":
        return _exported(events, preset)
    orders = None
    if preset.suspicion.per == "pair":
        pairs = suspicions_of(
            chosen_antibiotics(events, preset.antibiotics),
            chosen_cultures(events.cultures, preset.cultures),
            preset.suspicion,
        )
        pairs = pairs[pairs["stay_id"].isin(events.stays["stay_id"])]
    else:
        orders = order_suspicions(events, preset)
        pairs = pairs_of(orders)
    if preset.sofa.charted == "admission":
        events = pooled_by_admission(events)
    if preset.sofa.grid == "suspicion":
        first = earliest_pair(pairs)
        grid = first.assign(origin_h=first["suspicion_h"] - preset.sofa.grid_before_h).merge(
            events.stays[["stay_id", "system"]], on="stay_id"
        )
        sofa = hourly_sofa(events.events, events.infusions, grid, preset.sofa)
    else:
        sofa = hourly_stay_sofa(events, preset.sofa)
    times = onset_times(sofa, pairs, events.stays, preset.onset, preset.sofa)
    further = further_reasons(events, preset)
    return _labels(judge_stays(events.stays, times, preset.cohort, further=further), sofa, pairs, orders)


def _check_labels_source(events: Events, preset: Preset) -> None:
    """Refuse a preset that has nothing to work on in this export: nobody would be septic."""
    refuse_unlabelable("events", events.lacks)
    if preset.onset.source == "export_labels" and events.labels is None:
        raise ExportError(
            f"preset {preset.name}", "the export brings no labels", "an export with labels (PhysioNet 2019)",
            "Choose a preset that computes them, such as moor2019.",
        )  # fmt: skip
    nothing = not len(events.antibiotics) and not len(events.cultures)
    if preset.onset.source == "sofa_rise" and nothing and events.labels is not None:
        raise ExportError(
            f"preset {preset.name}", "the export has labels of its own, but no antibiotics and no cultures",
            "antibiotics and cultures", "Choose the preset physionet2019.",
        )  # fmt: skip


def _exported(events: Events, preset: Preset) -> Labels:
    """Labels that the export brings; its SOFA and suspicion are not known."""
    assert events.labels is not None  # _check_labels_source
    times = exported_times(events.labels, preset.onset)
    undatable = events.labels["first_labelled_h"].notna().to_numpy() & times["onset_h"].isna().to_numpy()
    nobody = pd.DataFrame({"stay_id": np.array([], dtype=np.int64), "origin_h": np.array([], dtype=float)})
    sofa = hourly_sofa(events.events.iloc[:0], events.infusions.iloc[:0], nobody, preset.sofa)
    pairs = suspicions_of(events.antibiotics.iloc[:0], events.cultures.iloc[:0], preset.suspicion)
    return _labels(
        judge_stays(events.stays, times, preset.cohort, times.loc[undatable, "stay_id"]), sofa, pairs
    )


def _labels(
    onset: pd.DataFrame, sofa: pd.DataFrame, pairs: pd.DataFrame, orders: pd.DataFrame | None = None
) -> Labels:
    """The tables."""
    onset = onset.assign(stay_id=onset["stay_id"].astype(np.int64))
    return Labels(
        onset=onset[ONSET],
        sofa=sofa,
        suspicion=pairs.reset_index(drop=True),
        attrition=onset[ATTRITION],
        orders=orders,
    )
