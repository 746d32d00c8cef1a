"""
Glasgow coma scale, from its three parts as they were charted.

An intubated patient cannot answer: a verbal response charted as such gives a total of 15, the
state before sedation, as SAPS II asks. A part that was not charted is taken from the charting
before, if that is recent, else it counts as normal.
"""

from __future__ import annotations

import numpy as np

from sepsis.labels.ragged import HOUR_S, StayTracks, Track, highest_per_time, lowest_in

INTUBATED_TEXTS = ("No Response-ETT", "1.0 ET/Trach")  # MetaVision and MIMIC-IV, CareVue
NORMAL = {"gcs_verbal": 5.0, "gcs_motor": 6.0, "gcs_eye": 4.0}
INTUBATED = 0.0  # how an intubated verbal response is kept beside 1 to 5


def charted_totals(
    tracks: StayTracks, previous_h: float, without_value: bool = False
) -> tuple[Track, np.ndarray]:
    """
    The total at every charting.

    Parameters
    ----------
    tracks : StayTracks
        Concepts gcs_verbal (with text), gcs_motor, gcs_eye.
    previous_h : float
        The charting before fills gaps if it is less than this old, in hours.
    without_value : bool
        Whether a time at which only empty cells were charted (concept gcs_charted) is a charting too.

    Returns
    -------
    total : Track
        3 to 15 at each charting, with the charting before used.
    alone : ndarray, shape (N,)
        The same totals with the charting before not used.
    """
    rows = tracks.rows(*NORMAL)
    text = rows["text"].astype("str").str.strip()
    intubated = (rows["concept"] == "gcs_verbal") & text.isin(INTUBATED_TEXTS)
    rows = rows.assign(value=rows["value"].mask(intubated, INTUBATED))
    wide = highest_per_time(rows, list(NORMAL))
    if without_value:
        every = tracks.rows("gcs_charted")[["stay", "time_s"]].drop_duplicates()
        wide = wide.merge(every, on=["stay", "time_s"], how="outer").sort_values(["stay", "time_s"])
    track = tracks.track(wide.assign(value=0.0))
    now = wide[list(NORMAL)].to_numpy(float)
    before = _charting_before(track, now, int(previous_h * HOUR_S))
    return track.valued(_total(now, before)), _total(now, np.full_like(now, np.nan))


def lowest_total(
    total: Track, alone: np.ndarray, lo: np.ndarray, hi: np.ndarray, *, previous: str
) -> tuple[np.ndarray, np.ndarray]:
    """
    Lowest total of every window and the position of its charting (-1 and NaN if there is none).

    Parameters
    ----------
    previous : "any" or "in_window"
        "in_window": the first charting of a window stands alone, as in the reference code, which
        looks at nothing before the window.
    """
    if previous == "any":
        found = lowest_in(total.value, lo, hi)
        return np.where(found >= 0, total.value[found] if len(total.value) else np.nan, np.nan), found
    rest = lowest_in(total.value, np.minimum(lo + 1, hi), hi)
    first = np.where(hi > lo, lo, -1)
    low_first = _take(alone, first)
    low_rest = _take(total.value, rest)
    use_first = ~(low_rest <= low_first)  # equal: the later charting
    return np.where(use_first, low_first, low_rest), np.where(use_first, first, rest)


def _take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[index], NaN where the index is -1."""
    return np.where(index >= 0, np.append(values, np.nan)[index], np.nan)


def _charting_before(track: Track, now: np.ndarray, previous_s: int) -> np.ndarray:
    """The parts of the charting before in the same stay, NaN where it is missing or too old."""
    before = np.full_like(now, np.nan)
    if len(now) > 1:
        near = (track.stay[1:] == track.stay[:-1]) & (np.diff(track.time_s) < previous_s)
        before[1:][near] = now[:-1][near]
    return before


def _total(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Sum of the parts; columns in the order of `NORMAL`, verbal first."""
    verbal, verbal_before = now[:, 0], before[:, 0]
    usable = np.where((verbal_before == INTUBATED)[:, None], np.nan, before)
    filled = np.where(np.isnan(now), usable, now)
    filled = np.where(np.isnan(filled), np.array(list(NORMAL.values())), filled)
    intubated = (verbal == INTUBATED) | (np.isnan(verbal) & (verbal_before == INTUBATED))
    return np.where(intubated, 15.0, filled.sum(axis=1))
