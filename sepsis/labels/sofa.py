"""
SOFA on an hourly grid: the worst value of the last 24 h of each component, its points, and the evidence.

The evidence is the measurement that decided a component: its name, value and time, and whether it was
charted within the last hour ("observed") or earlier ("carried").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from sepsis.labels import sofa_points as points
from sepsis.labels.blood_gas import arterial_gases
from sepsis.labels.definition import SofaOptions
from sepsis.labels.gcs import charted_totals, lowest_total
from sepsis.labels.ragged import (
    HOUR_S,
    RaggedSeries,
    StayEvents,
    at,
    highest_running,
    lowest_in,
    offsets_of,
    seconds,
    window_bounds,
)
from sepsis.labels.urine import Urine, urine_per_day

COMPONENTS = ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal")
SOURCES = ("missing", "carried", "observed")
VITAL_SIGNS = ("heart_rate", "sbp", "dbp", "map", "resp_rate", "spo2", "glucose", "temperature")


@dataclass(frozen=True, eq=False)
class Evidence:
    """
    One measurement's worst value in each of M windows, and its points; NaN without the measurement.

    `name` is written in `<component>_by`; `time_s` is in seconds since admission.
    """

    name: str
    value: np.ndarray
    time_s: np.ndarray
    points: np.ndarray

    def take(self, rows: np.ndarray) -> Evidence:
        """The evidence of other windows, by position."""
        return Evidence(self.name, self.value[rows], self.time_s[rows], self.points[rows])


@dataclass(frozen=True, eq=False)
class Grid:
    """The hours at which SOFA is evaluated: M = S stays times the hours of each."""

    stay_ids: np.ndarray
    at_s: np.ndarray
    offsets: np.ndarray
    lookback_s: int

    def bounds(self, series: RaggedSeries) -> tuple[np.ndarray, np.ndarray]:
        """The range of a series in the window of every hour."""
        return window_bounds(series.time_s, series.offsets, self.at_s, self.offsets, self.lookback_s)


def hourly_sofa(
    events: pd.DataFrame,
    infusions: pd.DataFrame,
    stays: pd.DataFrame,
    options: SofaOptions,
    *,
    hours: int | None = None,
) -> pd.DataFrame:
    """
    SOFA at every hour of each stay's grid.

    Reads    events(stay_id, time_h, concept, value, text), infusions(stay_id, start_h, end_h,
             concept, value), stays(stay_id, origin_h[, system]): the grid begins at `origin_h` and has
             `hours` more (default: the preset's 72)
    Writes   sofa(stay_id, hour, time_h, respiration .. renal, sofa, and for each component _value,
             _time_h, _by, _source, _hour (empty here)), sorted; one row per stay of `stays` and hour
    Rule     the worst value charted in [t - lookback, t], both ends included, is scored
             (`sofa_points`); a component without data is NaN and counts 0. Nothing after t is read.
    Source   Moor et al. 2019; Vincent et al. 1996, doi:10.1007/BF01709751
    """
    hours = options.grid_before_h + options.grid_after_h if hours is None else hours
    stays = stays.sort_values("stay_id")
    stay_ids = stays["stay_id"].to_numpy(np.int64)
    at_s = (seconds(stays["origin_h"])[:, None] + np.arange(hours + 1) * HOUR_S).ravel()
    offsets = np.arange(len(stay_ids) + 1) * np.int64(hours + 1)
    grid = Grid(stay_ids, at_s, offsets, options.lookback_h * HOUR_S)
    stay_events = StayEvents(events, stay_ids)
    circulation = _charted_in(stays, options.circulation_systems)
    pressures = stay_events.values("map")
    pressures = pressures.keep(np.isin(stay_ids, circulation)[pressures.stay])
    gases = arterial_gases(stay_events, options)
    urine = urine_per_day(stay_events, grid.at_s, grid.offsets, options)
    drugs = _drugs(infusions, grid, circulation, options)
    lowest, highest = partial(_worst, grid), partial(_worst, grid, highest=True)
    bilirubin, platelets, creatinine = map(stay_events.values, ("bilirubin_total", "platelets", "creatinine"))
    evidence = {
        "respiration": gas_evidence(stay_events, gases, options, lowest),
        "coagulation": [lowest(platelets, "platelets", points.coagulation_points)],
        "liver": [highest(bilirubin, "bilirubin_total", points.liver_points)],
        "cardiovascular": [lowest(pressures, "map", points.pressure_points), *drugs],
        "cns": [_cns_evidence(stay_events, grid, options)],
        "renal": [highest(creatinine, "creatinine", points.creatinine_points), _urine_evidence(urine)],
    }
    decided = {c: deciding(evidence[c]) for c in COMPONENTS}
    stay_id, hour = np.repeat(stay_ids, hours + 1), np.tile(np.arange(hours + 1), len(stay_ids))
    table = sofa_table(stay_id, hour, grid.at_s, evidence, decided)
    if options.missing == "exclude_hour":
        table["sofa"] *= _complete(stay_events, gases, urine, drugs, grid)
    return table


def deciding(evidence: list[Evidence]) -> tuple[np.ndarray, Evidence]:
    """The measurement with most points (the first of equals) of each window, and its position or -1."""
    score = np.stack([np.where(np.isnan(e.points), -1.0, e.points) for e in evidence])
    which = score.argmax(axis=0)
    take = [
        np.take_along_axis(np.stack([getattr(e, part) for e in evidence]), which[None], axis=0)[0]
        for part in ("value", "time_s", "points")
    ]
    return np.where(score.max(axis=0) < 0, -1, which), Evidence("", *take)


def sofa_table(
    stay_id: np.ndarray,
    hour: np.ndarray,
    at_s: np.ndarray,
    evidence: dict[str, list[Evidence]],
    decided: dict[str, tuple[np.ndarray, Evidence]],
    alone: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """
    The SOFA table as `hourly_sofa` documents it, one row per window.

    `decided` has the position in the evidence (or -1) and the measurement; `alone` the points of the hour.
    """
    columns: dict[str, object] = {"stay_id": stay_id, "hour": hour, "time_h": at_s / HOUR_S}
    columns |= {c: worst.points for c, (_, worst) in decided.items()}
    columns["sofa"] = sum(np.nan_to_num(worst.points) for _, worst in decided.values()).astype(np.int64)
    for c, (which, worst) in decided.items():
        recent = at_s - worst.time_s < HOUR_S
        source = np.where(np.isnan(worst.points), 0, np.where(recent, 2, 1))
        columns[f"{c}_value"] = worst.value
        columns[f"{c}_time_h"] = worst.time_s / HOUR_S
        columns[f"{c}_by"] = pd.Categorical.from_codes(which, [e.name for e in evidence[c]])
        columns[f"{c}_source"] = pd.Categorical.from_codes(source, list(SOURCES))
    columns |= {f"{c}_hour": np.nan if alone is None else alone[c] for c in COMPONENTS}
    return pd.DataFrame(columns)


def gas_evidence(
    stay_events: StayEvents, gases: pd.DataFrame, options: SofaOptions, lowest: Callable[..., Evidence]
) -> list[Evidence]:
    """PaO2/FiO2 with and without a ventilator; `lowest` finds the lowest value of each window."""
    ventilated = partial(points.ventilated_points, ventilated_pf_200_400=options.ventilated_pf_200_400)
    usable = gases[gases["pf"].notna()].rename(columns={"pf": "value"})
    on = usable["ventilated"].to_numpy(bool)
    return [
        lowest(stay_events.series(usable[on]), "pf_ventilated", ventilated),
        lowest(stay_events.series(usable[~on]), "pf_unventilated", points.unventilated_points),
    ]


def _worst(
    grid: Grid, series: RaggedSeries, name: str, score: Callable, *, highest: bool = False
) -> Evidence:
    found = lowest_in(-series.value if highest else series.value, *grid.bounds(series))
    value = at(series.value, found)
    return Evidence(name, value, at(series.time_s, found), score(value))


def _charted_in(stays: pd.DataFrame, systems: tuple[str, ...]) -> np.ndarray:
    """Ids of stays with a charting system among `systems` or unknown; all stays if `systems` is empty."""
    if systems and "system" in stays:
        stays = stays[stays["system"].isna() | stays["system"].isin(list(systems))]
    return stays["stay_id"].to_numpy(np.int64)


def _drugs(
    infusions: pd.DataFrame, grid: Grid, circulation: np.ndarray, options: SofaOptions
) -> list[Evidence]:
    infusions = infusions[infusions["stay_id"].isin(circulation) & infusions["value"].notna()]
    by_start, found = options.vasopressor == "start", []
    for drug in points.DRUGS:
        rows = infusions[infusions["concept"] == drug]
        place = np.searchsorted(grid.stay_ids, rows["stay_id"].to_numpy(np.int64))
        start_s = seconds(rows["start_h"])
        end_s = np.maximum(seconds(rows["end_h"].fillna(rows["start_h"])), start_s)
        rate = rows["value"].to_numpy(float)
        order = np.lexsort((rate, end_s, start_s, place))
        offsets = offsets_of(np.bincount(place, minlength=len(grid.stay_ids)))
        start_s, end_s, rate = start_s[order], end_s[order], rate[order]
        index = highest_running(
            start_s, end_s, rate, offsets, grid.at_s, grid.offsets, grid.lookback_s, by_start
        )
        value = at(rate, index)
        until_s = at(start_s if by_start else end_s, index)
        score = points.drug_points(value, drug, zero_counts=options.zero_rate_counts)
        found.append(Evidence(drug, value, np.minimum(until_s, grid.at_s), score))
    return found


def _cns_evidence(stay_events: StayEvents, grid: Grid, options: SofaOptions) -> Evidence:
    total, alone = charted_totals(stay_events, options.gcs_previous_h, options.gcs_entries_without_value)
    value, found = lowest_total(total, alone, *grid.bounds(total), previous=options.gcs_previous)
    return Evidence("gcs", value, at(total.time_s, found), points.cns_points(value))


def _urine_evidence(urine: Urine) -> Evidence:
    known_s = np.where(np.isnan(urine.ml_day), np.nan, urine.time_s)
    return Evidence("urine", urine.ml_day, known_s, points.urine_points(urine.ml_day))


def _complete(
    stay_events: StayEvents, gases: pd.DataFrame, urine: Urine, drugs: list[Evidence], grid: Grid
) -> np.ndarray:
    """Whether a window has a vital sign, a vasopressor, an arterial gas and a urine entry."""
    vitals = stay_events.rows(*VITAL_SIGNS)
    whole = urine.has_entry & ~np.isnan(np.stack([d.value for d in drugs])).all(axis=0)
    for series in (stay_events.series(vitals), stay_events.series(gases.rename(columns={"pf": "value"}))):
        lo, hi = grid.bounds(series)
        whole &= hi > lo
    return whole
