"""
SOFA hour by hour of the whole stay: each row scored by itself, then the highest of the last day.

The other way round, raw values of the day first, is `sofa`. Rows are hours of the clock or of the stay.
A row has one time: its end, if it holds what was charted in the hour up to it; its start, if it holds
the hour that begins there; or its middle. Only the first looks at nothing later than its time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.events.tables import Events
from sepsis.labels import points
from sepsis.labels.blood_gas import arterial_gases
from sepsis.labels.carevue import carevue_infusions, rates_by_weight
from sepsis.labels.definition import SofaOptions
from sepsis.labels.forward_fill import carried
from sepsis.labels.gcs import charted_totals
from sepsis.labels.hourly_urine import row_urine
from sepsis.labels.ragged import HOUR_S, StayTracks, Track, lowest_in, offsets_of, seconds
from sepsis.labels.rows import LEAD_ROWS, Joined, Rows, hourly_rows, joined_rows
from sepsis.labels.samples import People, lab_track, people_of, sample_gases
from sepsis.labels.sofa import COMPONENTS, SOURCES, Evidence, deciding
from sepsis.labels.ventilation import ventilated_at
from sepsis.labels.ventilation_status import ventilated_by_status

RUN_GAP_H = 5 / 60


def hourly_stay_sofa(events: Events, options: SofaOptions) -> pd.DataFrame:
    """
    SOFA at every hour of every stay.

    Reads    events, with its optional tables
    Writes   sofa as `sofa.hourly_sofa`: stay_id, hour (0 is the first of the grid), time_h (its end),
             the components and their evidence, which is the measurement of the row that decided; and
             <component>_hour, the points of the row by itself
    Rule     a component is the highest of the last `window_rows` rows; without data it is NaN and
             counts 0
    Source   mimic-code: sofa (IV), pivoted_sofa (III)
    """
    stays = events.stays.sort_values("stay_id", ignore_index=True)
    tracks = StayTracks(events.events, stays["stay_id"].to_numpy(np.int64))
    people = people_of(stays)
    rows = hourly_rows(tracks, stays, people, options, events.admissions)
    gases = _gases(events, tracks, people, options)
    drugs, running = _drugs(events, rows, options)
    creatinine, bilirubin, platelets = (
        lab_track(c, events.lab_samples, tracks, options)
        for c in ("creatinine", "bilirubin_total", "platelets")
    )
    if options.labs_carried:
        outtime_s = seconds(stays["stay_h"].fillna(0.0))
        creatinine, bilirubin, platelets = (
            carried(track, tracks, outtime_s) for track in (creatinine, bilirubin, platelets)
        )
    repeats = _repeats(gases, running, rows) if options.row_repeats else np.ones(len(rows.hour), np.int64)
    joined = joined_rows(rows, repeats)
    urine_ml, urine_s = row_urine(tracks, rows, joined, options)
    if options.urine_from_h:
        urine_ml = np.where(rows.end_s[joined.row] > (options.urine_from_h - 1) * HOUR_S, urine_ml, np.nan)
    totals, _ = charted_totals(tracks, options.gcs_previous_h, options.gcs_entries_without_value)
    evidence = {
        "respiration": _respiration(gases, rows, options),
        "coagulation": [worst(platelets, rows, "platelets", points.coagulation_points)],
        "liver": [worst(bilirubin, rows, "bilirubin_total", points.liver_points, highest=True)],
        "cardiovascular": [worst(_pressures(tracks, options), rows, "map", points.pressure_points), *drugs],
        "cns": [worst(totals, rows, "gcs", points.cns_points)],
        "renal": [worst(creatinine, rows, "creatinine", points.creatinine_points, highest=True)],
    }
    evidence = {c: [e.take(joined.row) for e in found] for c, found in evidence.items()}
    evidence["renal"].append(Evidence("urine", urine_ml, urine_s, points.urine_points(urine_ml)))
    return _table(evidence, rows, joined, options)


def worst(track: Track, rows: Rows, name: str, score, *, highest: bool = False) -> Evidence:
    """The lowest (or highest) value of each row, the latest of equals, and its points."""
    value, time_s = np.full(len(rows.hour), np.nan), np.full(len(rows.hour), np.nan)
    place = rows.place(track.stay, track.time_s)
    order = np.lexsort((-track.time_s, -track.value if highest else track.value, place))
    held, first = np.unique(place[order], return_index=True)
    chosen = order[first]
    there = held >= 0
    value[held[there]], time_s[held[there]] = track.value[chosen[there]], track.time_s[chosen[there]]
    return Evidence(name, value, time_s, score(value))


def _pressures(tracks: StayTracks, options: SofaOptions) -> Track:
    """Mean arterial pressures."""
    rows = tracks.rows("map")
    rows = rows[rows["value"].notna()]
    if options.pressure_value == "mean":
        rows = rows.groupby(["stay", "time_s"], sort=True, as_index=False)["value"].mean()
    return tracks.track(rows)


def _gases(events: Events, tracks: StayTracks, people: People, options: SofaOptions) -> pd.DataFrame:
    """stay, time_s, pf, ventilated; `pf` may be NaN."""
    if options.gases == "admission":
        return arterial_gases(tracks, options)
    assert events.lab_samples is not None  # Preset.reads_detail
    gases = sample_gases(events.lab_samples, tracks, people, options)
    stay, time_s = gases["stay"].to_numpy(np.int64), gases["time_s"].to_numpy(np.int64)
    if options.ventilation == "status":
        return gases.assign(ventilated=ventilated_by_status(tracks, stay, time_s, people.clock_s))
    offsets = offsets_of(np.bincount(stay, minlength=len(tracks.stay_ids)))
    verbatim = options.oxygen_device_texts == "verbatim"
    ventilated = ventilated_at(
        tracks, time_s, offsets, rule=options.ventilation, gap_h=options.ventilation_gap_h,
        oxygen="oxygen_device_verbatim_mark" if verbatim else "oxygen_device_mark",
    )  # fmt: skip
    return gases.assign(ventilated=ventilated)


def _respiration(gases: pd.DataFrame, rows: Rows, options: SofaOptions) -> list[Evidence]:
    """PaO2/FiO2 with and without a ventilator."""

    def ventilated(pf: np.ndarray) -> np.ndarray:
        return points.ventilated_points(pf, ventilated_pf_200_400=options.ventilated_pf_200_400)

    usable = gases[gases["pf"].notna()].rename(columns={"pf": "value"})
    on = usable["ventilated"].to_numpy(bool)

    def track(chosen: pd.DataFrame) -> Track:
        counts = np.bincount(chosen["stay"].to_numpy(np.int64), minlength=len(rows.stay_ids))
        return Track(
            offsets_of(counts), np.array(chosen["time_s"], np.int64), np.array(chosen["value"], float)
        )

    return [
        worst(track(usable[on]), rows, "pf_ventilated", ventilated),
        worst(track(usable[~on]), rows, "pf_unventilated", points.unventilated_points),
    ]


def _drugs(events: Events, rows: Rows, options: SofaOptions) -> tuple[list[Evidence], np.ndarray]:
    """Highest rate of each drug that runs at the end of each row; and how the joins repeat a row."""
    infusions = events.infusions
    if options.carevue_rates == "to_next_row":
        assert events.carevue_rates is not None  # Preset.reads_detail
        weights = events.events[events.events["concept"] == "weight"]
        carevue = carevue_infusions(rates_by_weight(events.carevue_rates, weights))
        infusions = pd.concat([_not_of(infusions, events.carevue_rates), carevue], ignore_index=True)
    if options.zero_rate_counts and events.zero_rates is not None:
        infusions = pd.concat([infusions, events.zero_rates], ignore_index=True)
    infusions = infusions[infusions["stay_id"].isin(rows.stay_ids) & infusions["value"].notna()]
    if options.vasopressor_min_h:
        infusions = infusions[run_h(infusions) >= options.vasopressor_min_h]
    found, repeats = [], np.ones(len(rows.hour), np.int64)
    for drug in points.DRUGS:
        given = infusions[infusions["concept"] == drug]
        row, rate, until_s = _running(given, rows, options.vasopressor)
        value, time_s = np.full(len(rows.hour), np.nan), np.full(len(rows.hour), np.nan)
        order = np.lexsort((-until_s, -rate, row))
        held, first = np.unique(row[order], return_index=True)
        value[held], time_s[held] = rate[order[first]], np.minimum(until_s[order[first]], rows.end_s[held])
        score = points.drug_points(value, drug, zero_counts=options.zero_rate_counts)
        found.append(Evidence(drug, value, time_s, score))
        repeats *= np.maximum(np.bincount(row, minlength=len(rows.hour)), 1)
    return found, repeats


def run_h(infusions: pd.DataFrame) -> pd.Series:
    """
    How long the run of its drug is that each infusion belongs to, in hours.

    Infusions of one stay and drug at most 5 min apart make a run. Source: ricu, vaso60.
    """
    ordered = infusions.sort_values(["stay_id", "concept", "start_h", "end_h"])
    end_h = ordered["end_h"].fillna(ordered["start_h"])
    by = [ordered["stay_id"], ordered["concept"].astype("str")]
    reached_h = end_h.groupby(by).cummax().groupby(by).shift(1)
    run = (~(ordered["start_h"] <= reached_h + RUN_GAP_H)).cumsum()
    length = end_h.groupby(run).transform("max") - ordered["start_h"].groupby(run).transform("min")
    return length.reindex(infusions.index)


def _not_of(infusions: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    """The infusions that do not begin with a CareVue charting of their drug."""
    charted = pd.DataFrame(
        {
            "stay_id": rates["stay_id"],
            "concept": rates["concept"].astype("str"),
            "at_s": seconds(rates["time_h"]),
        }
    ).drop_duplicates()
    keyed = infusions.assign(at_s=seconds(infusions["start_h"]), concept=infusions["concept"].astype("str"))
    found = keyed.merge(charted, on=["stay_id", "concept", "at_s"], how="left", indicator=True)
    return infusions[(found["_merge"] == "left_only").to_numpy()]


def _running(given: pd.DataFrame, rows: Rows, rule: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    (row, rate, end in seconds) of each infusion and row in which it counts.

    "hour_end": it starts before the time of the row and has not ended at it; "start": the row that holds
    its start; "overlap": every row from that one to the one that holds its end.
    """
    stay = np.searchsorted(rows.stay_ids, given["stay_id"].to_numpy(np.int64))
    start_s, end_s = seconds(given["start_h"]), seconds(given["end_h"].fillna(given["start_h"]))
    if rule != "hour_end":
        lead_s = {"end": HOUR_S - 1, "start": 0, "nearest": HOUR_S // 2 - 1}[rows.holds]
        # Moved so that the test below finds the rows that hold its start and its end.
        start_s = (start_s - rows.first_s[stay] + lead_s) // HOUR_S * HOUR_S + rows.first_s[stay] - 1
        last_s = (end_s - rows.first_s[stay] + lead_s) // HOUR_S * HOUR_S + rows.first_s[stay]
        end_s = start_s + 1 if rule == "start" else last_s
    first = np.maximum((start_s - rows.first_s[stay]) // HOUR_S + 1, -LEAD_ROWS)
    counts = rows.offsets[stay + 1] - rows.offsets[stay]
    last = np.minimum((end_s - rows.first_s[stay]) // HOUR_S, counts - LEAD_ROWS - 1)
    length = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(given)), length)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
    row = rows.offsets[stay[owner]] + LEAD_ROWS + first[owner] + nth
    return row, given["value"].to_numpy(float)[owner], end_s[owner]


def _repeats(gases: pd.DataFrame, running: np.ndarray, rows: Rows) -> np.ndarray:
    """How often each row stands in the joined table of mimic-code III: once per gas and infusion."""
    place = rows.place(gases["stay"].to_numpy(np.int64), gases["time_s"].to_numpy(np.int64))
    drawn = np.bincount(place[place >= 0], minlength=len(rows.hour))
    return running * np.maximum(drawn, 1)


def _table(
    evidence: dict[str, list[Evidence]], rows: Rows, joined: Joined, options: SofaOptions
) -> pd.DataFrame:
    """The columns of the table for hours from 0 on, from what each joined row has."""
    lo, hi = joined.window(options.window_rows)
    kept = joined.last[rows.hour >= 0]
    end_s = rows.end_s[rows.hour >= 0]
    own = {c: deciding(evidence[c]) for c in COMPONENTS}
    columns: dict[str, object] = {
        "stay_id": rows.stay_ids[rows.stay[rows.hour >= 0]],
        "hour": rows.hour[rows.hour >= 0],
        "time_h": end_s / HOUR_S,
    }
    found: dict[str, object] = {}
    total = np.zeros(len(kept), np.int64)
    for c, (which, best) in own.items():
        known = np.where(np.isnan(best.points), -1.0, best.points)
        at = lowest_in(-known, lo, hi)[kept]
        gap = known[at] < 0
        columns[c] = np.where(gap, np.nan, known[at])
        total += np.maximum(known[at], 0.0).astype(np.int64)
        value, time_s = (np.where(gap, np.nan, part[at]) for part in (best.value, best.time_s))
        source = np.where(gap, 0, np.where(end_s - time_s < HOUR_S, 2, 1))
        found[f"{c}_value"] = value
        found[f"{c}_time_h"] = time_s / HOUR_S
        found[f"{c}_by"] = pd.Categorical.from_codes(
            np.where(gap, -1, which[at]), [e.name for e in evidence[c]]
        )
        found[f"{c}_source"] = pd.Categorical.from_codes(source, list(SOURCES))
    alone = {f"{c}_hour": best.points[kept] for c, (_, best) in own.items()}
    return pd.DataFrame({**columns, "sofa": total, **found, **alone})
