"""Inverse-probability-of-censoring weights for one window after a landmark, with competing events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.evaluation.contract import TOLERANCE_H

CENSORED, ONSET, LEFT, DIED = range(4)  # what ended the time at risk


@dataclass(frozen=True, eq=False)
class CensoringWeights:
    """
    Weights of the stays of a landmark for one window (Blanche et al. 2013).

    1 / G(T-) for an event within the window, 1 / G(W-) for a stay that is free of events at its end, 0 for
    one censored before; G is the Kaplan-Meier estimate of being uncensored. They sum to n, and those of
    onsets to n times the Aalen-Johansen estimate of the cumulative incidence.

    Attributes
    ----------
    weight : ndarray of float, shape (n,)
    onset, free : ndarray of bool, shape (n,)
        Onset within the window; free of any event at its end. The others left or were censored.
    until, at : ndarray of float, shape (n,) and (C,)
        Time whose G the weight uses; distinct times of censoring before the end of the window.
    at_risk, lost : ndarray of float, shape (C,)
        Stays at risk of being censored at `at`, and those that were. Events come before censoring at the same
        time.
    censored_at : ndarray of int, shape (n,)
        Index into `at` of a censored stay, -1 if it was not censored in the window.
    exposed : ndarray of int, shape (n,)
        Number of times `at` at which the stay was at risk of censoring.
    identified : bool
        Whether somebody is followed beyond every time of censoring; else there is no estimate.

    References
    ----------
    Blanche, Dartigues and Jacqmin-Gadda, Stat Med 32 (2013) 5381-5397, doi:10.1002/sim.5958.
    """

    weight: np.ndarray
    onset: np.ndarray
    free: np.ndarray
    until: np.ndarray
    at: np.ndarray
    at_risk: np.ndarray
    lost: np.ndarray
    censored_at: np.ndarray
    exposed: np.ndarray
    identified: bool

    def influence(self, direct: np.ndarray) -> np.ndarray:
        """
        Influence values (K, n) of K statistics from those at fixed weights (`sepsis.evaluation.influence`):
        one more stay changes G too.
        """
        if not len(self.at):
            return direct
        later = np.searchsorted(self.at, self.until, side="left")  # times of censoring that G(until-) has
        sums = np.stack([np.bincount(later, weights=row, minlength=len(self.at) + 1) for row in direct])
        after = sums[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # of all stays whose weight uses that time
        # nobody's weight uses a time at which all are lost
        stay_on = np.maximum(self.at_risk - self.lost, 1.0)
        paid = np.concatenate(
            [np.zeros((len(sums), 1)), (after * self.lost / (self.at_risk * stay_on)).cumsum(axis=1)], axis=1
        )
        gained = np.concatenate([after / stay_on, np.zeros((len(sums), 1))], axis=1)  # -1 takes the zero
        return direct + gained[:, self.censored_at] - paid[:, self.exposed]


def censoring_weights(time_h, event, window_h: float) -> CensoringWeights:
    """Weights of stays with these times (n,) to an event or the end of the record (`CensoringWeights`)."""
    ticks = np.rint(np.asarray(time_h, dtype=float) / TOLERANCE_H).astype(np.int64)
    end = int(round(window_h / TOLERANCE_H))
    event = np.asarray(event)
    soon = (event != CENSORED) & (ticks <= end)
    lost = (event == CENSORED) & (ticks < end)
    at, censored_at, n_lost = np.unique(ticks[lost], return_inverse=True, return_counts=True)
    index = np.full(len(ticks), -1)
    index[lost] = censored_at
    # an event precedes censoring at the same time: exposed only at earlier times
    exposed = np.where(
        event == CENSORED,
        np.searchsorted(at, ticks, side="right"),
        np.searchsorted(at, ticks, side="left"),
    )
    at_risk = np.bincount(exposed, minlength=len(at) + 1)[::-1].cumsum()[::-1][1:].astype(float)
    uncensored = np.concatenate([[1.0], np.cumprod(1.0 - n_lost / at_risk)])
    until = np.where(soon, ticks, end)
    weight = 1.0 / np.where(lost, np.inf, uncensored[np.searchsorted(at, until, side="left")])
    return CensoringWeights(
        weight=weight,
        onset=soon & (event == ONSET),
        free=~soon & ~lost,
        until=until,
        at=at,
        at_risk=at_risk,
        lost=n_lost.astype(float),
        censored_at=index,
        exposed=exposed,
        identified=bool(uncensored[-1] > 0.0),
    )
