"""
SOFA on an hourly grid: worst values of the last 24 h, their points, and the evidence.

Each component keeps the measurement that decided it: what it was, its value, when it was charted,
and whether that was within the last hour ("observed") or before ("carried").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.labels import points
from sepsis.labels.blood_gas import arterial_gases
from sepsis.labels.definition import SofaOptions
from sepsis.labels.gcs import charted_totals, lowest_total
from sepsis.labels.ragged import (
    HOUR_S,
    StayTracks,
    Track,
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
    One measurement's worst value in each window, and the points it scores.

    Attributes
    ----------
    name : str
        What was measured, as it is written in `<component>_by`.
    value, time_s, points : ndarray, shape (M,)
        NaN where the window holds none; `time_s` in seconds since admission.
    """

    name: str
    value: np.ndarray
    time_s: np.ndarray
    points: np.ndarray

    def take(self, rows: np.ndarray) -> Evidence:
        """The same measurement at other windows, by position."""
        return Evidence(self.name, self.value[rows], self.time_s[rows], self.points[rows])


@dataclass(frozen=True, eq=False)
class Grid:
    """When SOFA is evaluated: M = S stays times the hours of the grid."""

    stay_ids: np.ndarray
    at_s: np.ndarray
    offsets: np.ndarray
    lookback_s: int

    def bounds(self, track: Track) -> tuple[np.ndarray, np.ndarray]:
        """The window's range in a track, for every moment of the grid."""
        return window_bounds(track.time_s, track.offsets, self.at_s, self.offsets, self.lookback_s)


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
             concept, value), stays(stay_id, origin_h[, system]): the grid begins at `origin_h`
    Writes   sofa(stay_id, hour, time_h, respiration .. renal, sofa, and for each component _value,
             _time_h, _by, _source, _hour (empty here)), sorted; one row per stay of `stays` and hour
    Rule     the worst value charted in [t - lookback, t], both ends included, scores
             (`points`); a component without data is NaN and counts 0. Nothing after t is read.
    Source   Moor et al. 2019; Vincent et al. 1996, doi:10.1007/BF01709751

    Parameters
    ----------
    hours : int, optional
        Number of hours after the first; default: the preset's grid (72).
    """
    hours = options.grid_before_h + options.grid_after_h if hours is None else hours
    stays = stays.sort_values("stay_id")
    stay_ids = stays["stay_id"].to_numpy(np.int64)
    at_s = (seconds(stays["origin_h"])[:, None] + np.arange(hours + 1) * HOUR_S).ravel()
    grid = Grid(
        stay_ids, at_s, np.arange(len(stay_ids) + 1) * np.int64(hours + 1), options.lookback_h * HOUR_S
    )
    tracks = StayTracks(events, stay_ids)
    circulation = _charted_in(stays, options.circulation_systems)
    gases = arterial_gases(tracks, options)
    urine = urine_per_day(tracks, grid.at_s, grid.offsets, options)
    drugs = _drugs(infusions, grid, circulation, options)
    evidence = {
        "respiration": _respiration(tracks, gases, grid, options),
        "coagulation": [_extreme(tracks.values("platelets"), grid, "platelets", points.coagulation_points)],
        "liver": [
            _extreme(
                tracks.values("bilirubin_total"), grid, "bilirubin_total", points.liver_points, highest=True
            )
        ],
        "cardiovascular": [_pressure(tracks, grid, circulation), *drugs],
        "cns": [_coma(tracks, grid, options)],
        "renal": _renal(tracks, urine, grid),
    }
    table = _table(evidence, grid, hours)
    if options.missing == "exclude_hour":
        table["sofa"] *= _complete(tracks, gases, urine, drugs, grid)
    return table


def _table(evidence: dict[str, list[Evidence]], grid: Grid, hours: int) -> pd.DataFrame:
    """The columns of the table, from what each component has."""
    columns: dict[str, object] = {
        "stay_id": np.repeat(grid.stay_ids, hours + 1),
        "hour": np.tile(np.arange(hours + 1), len(grid.stay_ids)),
        "time_h": grid.at_s / HOUR_S,
    }
    decided = {c: deciding(evidence[c]) for c in COMPONENTS}
    columns |= {c: worst.points for c, (_, worst) in decided.items()}
    columns["sofa"] = sum(np.nan_to_num(worst.points) for _, worst in decided.values()).astype(np.int64)
    for c, (which, worst) in decided.items():
        recent = grid.at_s - worst.time_s < HOUR_S
        source = np.where(np.isnan(worst.points), 0, np.where(recent, 2, 1))
        columns[f"{c}_value"] = worst.value
        columns[f"{c}_time_h"] = worst.time_s / HOUR_S
        columns[f"{c}_by"] = pd.Categorical.from_codes(which, [e.name for e in evidence[c]])
        columns[f"{c}_source"] = pd.Categorical.from_codes(source, list(SOURCES))
    columns |= {f"{c}_hour": np.nan for c in COMPONENTS}  # only grids of every stay score an hour alone
    return pd.DataFrame(columns)


def deciding(evidence: list[Evidence]) -> tuple[np.ndarray, Evidence]:
    """The measurement with most points, the first named of equals; -1 where there is none."""
    score = np.stack([np.where(np.isnan(e.points), -1.0, e.points) for e in evidence])
    which = score.argmax(axis=0)
    take = [
        np.take_along_axis(np.stack([getattr(e, part) for e in evidence]), which[None], axis=0)[0]
        for part in ("value", "time_s", "points")
    ]
    return np.where(score.max(axis=0) < 0, -1, which), Evidence("", *take)


def _extreme(track: Track, grid: Grid, name: str, score, *, highest: bool = False) -> Evidence:
    """The lowest (or highest) value of each window and its points."""
    found = lowest_in(-track.value if highest else track.value, *grid.bounds(track))
    value = at(track.value, found)
    return Evidence(name, value, at(track.time_s, found), score(value))


def _respiration(tracks: StayTracks, gases: pd.DataFrame, grid: Grid, options: SofaOptions) -> list[Evidence]:
    """PaO2/FiO2 with and without a ventilator."""

    def ventilated(pf: np.ndarray) -> np.ndarray:
        return points.ventilated_points(pf, ventilated_pf_200_400=options.ventilated_pf_200_400)

    usable = gases[gases["pf"].notna()].rename(columns={"pf": "value"})
    return [
        _extreme(tracks.track(usable[usable["ventilated"]]), grid, "pf_ventilated", ventilated),
        _extreme(
            tracks.track(usable[~usable["ventilated"]]), grid, "pf_unventilated", points.unventilated_points
        ),
    ]


def _charted_in(stays: pd.DataFrame, systems: tuple[str, ...]) -> np.ndarray:
    """Ids of stays whose charting system is among `systems`, or not known; all if that is empty."""
    if not systems or "system" not in stays:
        return stays["stay_id"].to_numpy(np.int64)
    return stays.loc[stays["system"].isna() | stays["system"].isin(list(systems)), "stay_id"].to_numpy(
        np.int64
    )


def _pressure(tracks: StayTracks, grid: Grid, circulation: np.ndarray) -> Evidence:
    """Lowest mean arterial pressure."""
    track = tracks.values("map")
    track = track.keep(np.isin(grid.stay_ids, circulation)[track.stay])
    return _extreme(track, grid, "map", points.pressure_points)


def _drugs(
    infusions: pd.DataFrame, grid: Grid, circulation: np.ndarray, options: SofaOptions
) -> list[Evidence]:
    """Highest rate of each vasoactive drug that SOFA scores."""
    infusions = infusions[
        infusions["stay_id"].isin(circulation)
        & infusions["stay_id"].isin(grid.stay_ids)
        & infusions["value"].notna()
    ]
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


def _coma(tracks: StayTracks, grid: Grid, options: SofaOptions) -> Evidence:
    """Lowest coma scale."""
    total, alone = charted_totals(tracks, options.gcs_previous_h, options.gcs_entries_without_value)
    value, found = lowest_total(total, alone, *grid.bounds(total), previous=options.gcs_previous)
    return Evidence("gcs", value, at(total.time_s, found), points.cns_points(value))


def _renal(tracks: StayTracks, urine: Urine, grid: Grid) -> list[Evidence]:
    """Creatinine and urine."""
    creatinine = _extreme(
        tracks.values("creatinine"), grid, "creatinine", points.creatinine_points, highest=True
    )
    known_s = np.where(np.isnan(urine.ml_day), np.nan, urine.time_s)
    return [creatinine, Evidence("urine", urine.ml_day, known_s, points.urine_points(urine.ml_day))]


def _complete(
    tracks: StayTracks, gases: pd.DataFrame, urine: Urine, drugs: list[Evidence], grid: Grid
) -> np.ndarray:
    """Whether a window holds a vital sign, a vasopressor, an arterial gas and a urine entry."""
    vitals = tracks.rows(*VITAL_SIGNS)
    whole = urine.has_entry & ~np.isnan(np.stack([d.value for d in drugs])).all(axis=0)
    for track in (tracks.track(vitals), tracks.track(gases.rename(columns={"pf": "value"}))):
        lo, hi = grid.bounds(track)
        whole &= hi > lo
    return whole
