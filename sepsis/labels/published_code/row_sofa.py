"""
SOFA of every hour of the whole stay: each row is scored alone, then the highest of the last rows counts.

The time of a row is its end, its start or its middle (`SofaOptions.hour_holds`); only in the first case
does the row read nothing later than its time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from sepsis.events.tables import Events
from sepsis.labels import sofa_points as points
from sepsis.labels.blood_gas import arterial_gases
from sepsis.labels.definition import SofaOptions
from sepsis.labels.gcs import charted_totals
from sepsis.labels.published_code.carevue_infusions import carevue_infusions, rates_by_weight
from sepsis.labels.published_code.hourly_rows import LEAD_ROWS, JoinedRows, Rows, hourly_rows, joined_rows
from sepsis.labels.published_code.lab_forward_fill import forward_fill
from sepsis.labels.published_code.lab_samples import People, lab_series, people_of, sample_gases
from sepsis.labels.published_code.row_urine import row_urine
from sepsis.labels.published_code.ventilation_status import ventilated_by_status
from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, lowest_in, offsets_of, ranges, seconds
from sepsis.labels.sofa import COMPONENTS, Evidence, deciding, gas_evidence, sofa_table
from sepsis.labels.ventilation import ventilated_at

RUN_GAP_H = 5 / 60


def hourly_stay_sofa(events: Events, options: SofaOptions) -> pd.DataFrame:
    """
    SOFA at every hour of every stay.

    Writes   sofa as `sofa.hourly_sofa`, with the evidence of the row that decided, and <component>_hour,
             the points of the row alone
    Rule     a component is the highest of the last `window_rows` rows; without data it is NaN and
             counts 0
    Source   mimic-code: sofa (IV), pivoted_sofa (III)
    """
    stays = events.stays.sort_values("stay_id", ignore_index=True)
    stay_events = StayEvents(events.events, stays["stay_id"].to_numpy(np.int64))
    people = people_of(stays)
    rows = hourly_rows(stay_events, stays, people, options, events.admissions)
    gases = _gases(events, stay_events, people, options)
    drugs, running = _drugs(events, rows, options)
    creatinine, bilirubin, platelets = (
        lab_series(c, events.lab_samples, stay_events, options)
        for c in ("creatinine", "bilirubin_total", "platelets")
    )
    if options.labs_carried:
        outtime_s = seconds(stays["stay_h"].fillna(0.0))
        creatinine, bilirubin, platelets = (
            forward_fill(series, stay_events, outtime_s) for series in (creatinine, bilirubin, platelets)
        )
    repeats = _repeats(gases, running, rows) if options.row_repeats else np.ones(len(rows.hour), np.int64)
    joined = joined_rows(rows, repeats)
    urine_ml, urine_s = row_urine(stay_events, rows, joined, options)
    if options.urine_from_h:
        urine_ml = np.where(rows.end_s[joined.row] > (options.urine_from_h - 1) * HOUR_S, urine_ml, np.nan)
    totals, _ = charted_totals(stay_events, options.gcs_previous_h, options.gcs_entries_without_value)
    lowest, highest = partial(_worst, rows), partial(_worst, rows, highest=True)
    evidence = {
        "respiration": gas_evidence(stay_events, gases, options, lowest),
        "coagulation": [lowest(platelets, "platelets", points.coagulation_points)],
        "liver": [highest(bilirubin, "bilirubin_total", points.liver_points)],
        "cardiovascular": [lowest(_pressures(stay_events, options), "map", points.pressure_points), *drugs],
        "cns": [lowest(totals, "gcs", points.cns_points)],
        "renal": [highest(creatinine, "creatinine", points.creatinine_points)],
    }
    evidence = {c: [e.take(joined.row) for e in found] for c, found in evidence.items()}
    evidence["renal"].append(Evidence("urine", urine_ml, urine_s, points.urine_points(urine_ml)))
    return _table(evidence, rows, joined, options)


def _worst(
    rows: Rows, series: RaggedSeries, name: str, score: Callable, *, highest: bool = False
) -> Evidence:
    value, time_s = np.full(len(rows.hour), np.nan), np.full(len(rows.hour), np.nan)
    place = rows.place(series.stay, series.time_s)
    order = np.lexsort((-series.time_s, -series.value if highest else series.value, place))
    held, first = np.unique(place[order], return_index=True)
    chosen = order[first]
    there = held >= 0
    value[held[there]], time_s[held[there]] = series.value[chosen[there]], series.time_s[chosen[there]]
    return Evidence(name, value, time_s, score(value))


def _pressures(stay_events: StayEvents, options: SofaOptions) -> RaggedSeries:
    rows = stay_events.rows("map")
    rows = rows[rows["value"].notna()]
    if options.pressure_value == "mean":
        rows = rows.groupby(["stay", "time_s"], sort=True, as_index=False)["value"].mean()
    return stay_events.series(rows)


def _gases(events: Events, stay_events: StayEvents, people: People, options: SofaOptions) -> pd.DataFrame:
    if options.gases == "admission":
        return arterial_gases(stay_events, options)
    assert events.lab_samples is not None  # Preset.reads_detail
    gases = sample_gases(events.lab_samples, stay_events, people, options)
    stay, time_s = gases["stay"].to_numpy(np.int64), gases["time_s"].to_numpy(np.int64)
    if options.ventilation == "status":
        return gases.assign(ventilated=ventilated_by_status(stay_events, stay, time_s, people.clock_s))
    offsets = offsets_of(np.bincount(stay, minlength=len(stay_events.stay_ids)))
    verbatim = options.oxygen_device_texts == "verbatim"
    ventilated = ventilated_at(
        stay_events, time_s, offsets, rule=options.ventilation, gap_h=options.ventilation_gap_h,
        oxygen="oxygen_device_verbatim_mark" if verbatim else "oxygen_device_mark",
    )  # fmt: skip
    return gases.assign(ventilated=ventilated)


def _drugs(events: Events, rows: Rows, options: SofaOptions) -> tuple[list[Evidence], np.ndarray]:
    """Highest rate of each drug in each row, and how often the joins repeat a row."""
    infusions = events.infusions
    if options.carevue_rates == "to_next_row":
        assert events.carevue_rates is not None  # Preset.reads_detail
        weights = events.events[events.events["concept"] == "weight"]
        carevue = carevue_infusions(rates_by_weight(events.carevue_rates, weights))
        infusions = pd.concat([_without_charted(infusions, events.carevue_rates), carevue], ignore_index=True)
    if options.zero_rate_counts and events.zero_rates is not None:
        infusions = pd.concat([infusions, events.zero_rates], ignore_index=True)
    infusions = infusions[infusions["stay_id"].isin(rows.stay_ids) & infusions["value"].notna()]
    if options.vasopressor_min_h:
        infusions = infusions[run_h(infusions) >= options.vasopressor_min_h]
    found, repeats = [], np.ones(len(rows.hour), np.int64)
    for drug in points.DRUGS:
        row, rate, until_s = _running(infusions[infusions["concept"] == drug], rows, options.vasopressor)
        value, time_s = np.full(len(rows.hour), np.nan), np.full(len(rows.hour), np.nan)
        order = np.lexsort((-until_s, -rate, row))
        held, first = np.unique(row[order], return_index=True)
        value[held], time_s[held] = rate[order[first]], np.minimum(until_s[order[first]], rows.end_s[held])
        score = points.drug_points(value, drug, zero_counts=options.zero_rate_counts)
        found.append(Evidence(drug, value, time_s, score))
        repeats *= np.maximum(np.bincount(row, minlength=len(rows.hour)), 1)
    return found, repeats


def run_h(infusions: pd.DataFrame) -> pd.Series:
    """Length in hours of the run of each infusion's drug; a run has no break of over 5 min (ricu, vaso60)."""
    ordered = infusions.sort_values(["stay_id", "concept", "start_h", "end_h"])
    end_h = ordered["end_h"].fillna(ordered["start_h"])
    by = [ordered["stay_id"], ordered["concept"].astype("str")]
    reached_h = end_h.groupby(by).cummax().groupby(by).shift(1)
    run = (~(ordered["start_h"] <= reached_h + RUN_GAP_H)).cumsum()
    length = end_h.groupby(run).transform("max") - ordered["start_h"].groupby(run).transform("min")
    return length.reindex(infusions.index)


def _without_charted(infusions: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    def keyed(table: pd.DataFrame, time: str) -> pd.DataFrame:
        return table.assign(at_s=seconds(table[time]), concept=table["concept"].astype("str"))

    key = ["stay_id", "concept", "at_s"]
    charted = keyed(rates, "time_h")[key].drop_duplicates()
    found = keyed(infusions, "start_h").merge(charted, on=key, how="left", indicator=True)
    return infusions[(found["_merge"] == "left_only").to_numpy()]


def _running(infusions: pd.DataFrame, rows: Rows, rule: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    (row, rate, end in seconds) of each infusion and row in which it counts.

    "hour_end": it starts before the time of the row and has not ended by then; "start": the row with its
    start; "overlap": every row from that one to the one with its end.
    """
    stay = np.searchsorted(rows.stay_ids, infusions["stay_id"].to_numpy(np.int64))
    start_s, end_s = seconds(infusions["start_h"]), seconds(infusions["end_h"].fillna(infusions["start_h"]))
    if rule != "hour_end":
        lead_s = {"end": HOUR_S - 1, "start": 0, "nearest": HOUR_S // 2 - 1}[rows.holds]
        # shifted so that the test below finds the rows with its start and its end
        start_s = (start_s - rows.first_s[stay] + lead_s) // HOUR_S * HOUR_S + rows.first_s[stay] - 1
        last_s = (end_s - rows.first_s[stay] + lead_s) // HOUR_S * HOUR_S + rows.first_s[stay]
        end_s = start_s + 1 if rule == "start" else last_s
    first = np.maximum((start_s - rows.first_s[stay]) // HOUR_S + 1, -LEAD_ROWS)
    counts = rows.offsets[stay + 1] - rows.offsets[stay]
    last = np.minimum((end_s - rows.first_s[stay]) // HOUR_S, counts - LEAD_ROWS - 1)
    hour_0 = rows.offsets[stay] + LEAD_ROWS
    owner, row = ranges(hour_0 + first, hour_0 + last + 1)
    return row, infusions["value"].to_numpy(float)[owner], end_s[owner]


def _repeats(gases: pd.DataFrame, running: np.ndarray, rows: Rows) -> np.ndarray:
    """How often each row occurs in the joined table of mimic-code III: once per gas and infusion."""
    place = rows.place(gases["stay"].to_numpy(np.int64), gases["time_s"].to_numpy(np.int64))
    drawn = np.bincount(place[place >= 0], minlength=len(rows.hour))
    return running * np.maximum(drawn, 1)


def _table(
    evidence: dict[str, list[Evidence]], rows: Rows, joined: JoinedRows, options: SofaOptions
) -> pd.DataFrame:
    lo, hi = joined.window(options.window_rows)
    written = rows.hour >= 0
    kept = joined.last[written]
    decided, alone = {}, {}
    for c in COMPONENTS:
        which, best = deciding(evidence[c])
        known = np.where(np.isnan(best.points), -1.0, best.points)
        at = lowest_in(-known, lo, hi)[kept]
        gap = known[at] < 0
        value, time_s = (np.where(gap, np.nan, part[at]) for part in (best.value, best.time_s))
        decided[c] = which[at], Evidence("", value, time_s, best.points[at])
        alone[c] = best.points[kept]
    stay_id = rows.stay_ids[rows.stay[written]]
    return sofa_table(stay_id, rows.hour[written], rows.end_s[written], evidence, decided, alone)
