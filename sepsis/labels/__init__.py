"""
Labels: hourly SOFA, suspicion of infection, onset, cases and controls.

In: the `Events` of an export and a definition (`Preset`, a file of `data_schema/presets`).
Out: the tables of `Labels`; `store` writes them as the folder that `sepsis label` leaves.

Start with `label_stays` below, then read in the order of the data: `sofa_points` (the score table),
`blood_gas`, `ventilation`, `gcs` and `urine` (the values that are scored), `sofa` (every hour),
`antibiotics_cultures`, `suspicion`, `onset`, `attrition`. `definition` and `sofa_options` say what a preset
can choose; `ragged` has the windows over irregular series. `published_code` reproduces what mimic-code and
others compute; of this path only `label_stays` calls it.

A new preset needs no code. A rule changed in one module changes labels: `make test ROOM=labels` compares
them with the output of the published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.antibiotics_cultures import chosen_antibiotics, chosen_cultures
from sepsis.labels.attrition import ATTRITION, classify_stays, further_reasons
from sepsis.labels.definition import Preset
from sepsis.labels.onset import TIMES, exported_times, first_rise, onset_times
from sepsis.labels.presets import load_preset, preset_names
from sepsis.labels.published_code.admission_pooling import pool_by_admission
from sepsis.labels.published_code.order_suspicions import order_suspicions, pairs_of
from sepsis.labels.published_code.row_sofa import hourly_stay_sofa
from sepsis.labels.sofa import COMPONENTS, hourly_sofa
from sepsis.labels.suspicion import earliest_pair, preset_pairs, suspected_infection, suspicion_pairs
from sepsis.sources.base import refuse_unlabelable

__all__ = [
    "COMPONENTS", "Labels", "Preset", "first_rise", "hourly_sofa", "label_stays", "load_preset",
    "preset_names", "suspected_infection", "suspicion_pairs",
]  # fmt: skip

ONSET = [
    "stay_id", "subject_id", "is_case", *TIMES, "intime", "outtime", "stay_h", "included", "exclusion",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Labels:
    """
    The labels of an export by one definition; columns as in `data_schema/4_labels.toml`.

    onset, attrition : one row per stay of the export, included or not
    sofa : one row per stay with a suspicion and hour of its grid, or per hour of every stay
    suspicion : every qualifying pair of antibiotic and culture
    orders : one row per antibiotic order (or combination) of a stay; None for definitions by pairs
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
    Rule     the preset's. SOFA at an hour reads nothing charted after it. Onset may: a later antibiotic
             dates an earlier culture, and `label_known_h` is the time from which the label is known.
    Raises   ExportError if the export cannot be labelled (PhysioNet 2012), lacks the labels that the preset
             takes over, or has labels but nothing to compute others from.
    """
    _require_labels_source(events, preset)
    if preset.onset.source == "export_labels":
        return _exported(events, preset)
    orders = None
    if preset.suspicion.per == "pair":
        pairs = preset_pairs(
            chosen_antibiotics(events, preset.antibiotics),
            chosen_cultures(events.cultures, preset.cultures),
            preset.suspicion,
        )
        pairs = pairs[pairs["stay_id"].isin(events.stays["stay_id"])]
    else:
        orders = order_suspicions(events, preset)
        pairs = pairs_of(orders)
    if preset.sofa.charted == "admission":
        events = pool_by_admission(events)
    if preset.sofa.grid == "suspicion":
        first = earliest_pair(pairs)
        grid = first.assign(origin_h=first["suspicion_h"] - preset.sofa.grid_before_h).merge(
            events.stays[["stay_id", "system"]], on="stay_id"
        )
        sofa = hourly_sofa(events.events, events.infusions, grid, preset.sofa)
    else:
        sofa = hourly_stay_sofa(events, preset.sofa)
    times = onset_times(sofa, pairs, events.stays, preset.onset, preset.sofa)
    onset = classify_stays(events.stays, times, preset.cohort, further=further_reasons(events, preset))
    return _labels(onset, sofa, pairs, orders)


def _require_labels_source(events: Events, preset: Preset) -> None:
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
    assert events.labels is not None  # _require_labels_source
    times = exported_times(events.labels, preset.onset)
    undatable = events.labels["first_labelled_h"].notna().to_numpy() & times["onset_h"].isna().to_numpy()
    no_stay = pd.DataFrame({"stay_id": np.array([], dtype=np.int64), "origin_h": np.array([], dtype=float)})
    sofa = hourly_sofa(events.events.iloc[:0], events.infusions.iloc[:0], no_stay, preset.sofa)
    pairs = preset_pairs(events.antibiotics.iloc[:0], events.cultures.iloc[:0], preset.suspicion)
    onset = classify_stays(events.stays, times, preset.cohort, times.loc[undatable, "stay_id"])
    return _labels(onset, sofa, pairs)


def _labels(
    onset: pd.DataFrame, sofa: pd.DataFrame, pairs: pd.DataFrame, orders: pd.DataFrame | None = None
) -> Labels:
    onset = onset.assign(stay_id=onset["stay_id"].astype(np.int64))
    return Labels(onset[ONSET], sofa, pairs.reset_index(drop=True), onset[ATTRITION], orders)
