"""Who is at risk at a landmark: an hour of the stay, what was known then, and what came first after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.evaluation.censoring_weights import CENSORED, DIED, LEFT, ONSET
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours, last_at_or_before

MAX_AGE_H = 1.0  # a stay whose last risk is older is left out: the model was silent
MOST = 0.5  # no unit has so many stays with onset


@dataclass(frozen=True, eq=False)
class Landmark:
    """
    The stays at risk at one hour: in the unit, without onset, with a risk of every model.

    Attributes
    ----------
    stay : ndarray of int, shape (n,)
        Index into the stays of `Hours`.
    risk : ndarray of float, shape (M, n)
        The last risk at or before the hour, at most `MAX_AGE_H` old.
    time_h : ndarray of float, shape (n,)
        From the landmark to onset, leaving or the end of the record, whatever comes first.
    event : ndarray of int, shape (n,)
        What came: CENSORED, ONSET, LEFT or DIED.
    deaths_known : bool
        Whether the outcomes have times of death; else no event is DIED.
    n_without_risk, n_had_onset, n_label_later : int
        Stays left out: without such a risk; with onset at or before the hour, and those of them whose label
        was known only after it (`label_known_h`), so that a ward could not have left them out.
    """

    hour: float
    stay: np.ndarray
    risk: np.ndarray
    time_h: np.ndarray
    event: np.ndarray
    deaths_known: bool
    n_without_risk: int
    n_had_onset: int
    n_label_later: int

    def counts(self, window_h: float) -> dict[str, float]:
        """Stays and their fates within the window; NaN died if no time of death is known."""
        soon = self.time_h <= window_h + TOLERANCE_H
        lost = (self.event == CENSORED) & (self.time_h < window_h - TOLERANCE_H)
        return {
            "n": len(self.stay),
            "n_events": int((soon & (self.event == ONSET)).sum()),
            "n_left": int((soon & (self.event == LEFT)).sum()),
            "n_died": int((soon & (self.event == DIED)).sum()) if self.deaths_known else np.nan,
            "n_censored": int(lost.sum()),
            "n_reach_onset": int((self.event == ONSET).sum()),
            **{name: getattr(self, name) for name in ("n_without_risk", "n_had_onset", "n_label_later")},
        }

    @property
    def conditional(self) -> bool:
        """
        Whether most stays at risk reach onset, sooner or later: then the export has no records of others so
        late, and being at risk tells the outcome.
        """
        return mostly_onset(np.ones(len(self.event), dtype=bool), self.event)


def mostly_onset(stays, event) -> bool:
    """Whether most of some stays, a mask, reach onset sooner or later."""
    return bool(stays.any()) and float(np.mean(event[stays] == ONSET)) > MOST


def landmark_at(hours: Hours, outcomes: pd.DataFrame, hour: float) -> Landmark:
    """
    The stays at risk at one hour.

    Reads    outcomes(stay_id, stay_h, [label_known_h, death_h]); death_h is hours since ICU admission, and a
             stay that ends with it died in the unit. Without it, death counts as leaving.
    Rule     a stay is in the unit until it leaves; if unknown, until an hour after its last risk, or onset.
    """
    labels = outcomes.set_index("stay_id").loc[hours.stay_id]
    had = hours.onset_h <= hour + TOLERANCE_H
    end_h = np.fmax(hours.end_h, hours.onset_h)
    there = end_h > hour + TOLERANCE_H
    at = np.full((len(end_h), 1), hour + TOLERANCE_H)
    last = last_at_or_before(hours.start, hours.time_h, np.arange(len(end_h)), at)[:, 0]
    fresh = (last >= 0) & (hour - hours.time_h[last] <= MAX_AGE_H + TOLERANCE_H)
    stay = np.flatnonzero(there & ~had & fresh)
    reaches = ~np.isnan(hours.onset_h[stay])
    known = labels.stay_h.notna().to_numpy()[stay]
    dies = _times(labels, "death_h")[stay] <= end_h[stay] + TOLERANCE_H
    event = np.select([reaches, ~known, dies], [ONSET, CENSORED, DIED], LEFT)
    return Landmark(
        hour=float(hour),
        stay=stay,
        risk=hours.risk[:, last[stay]],
        time_h=np.where(reaches, hours.onset_h[stay], end_h[stay]) - hour,
        event=event,
        deaths_known="death_h" in labels,
        n_without_risk=int((there & ~had & ~fresh).sum()),
        n_had_onset=int((there & had).sum()),
        n_label_later=int((there & had & (_times(labels, "label_known_h") > hour + TOLERANCE_H)).sum()),
    )


def _times(labels: pd.DataFrame, column: str) -> np.ndarray:
    return labels[column].to_numpy(float) if column in labels else np.full(len(labels), np.nan)
