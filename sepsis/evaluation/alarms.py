"""
From hourly risks to alarms: what a bedside rule would have rung, and what became of it.

An alarm rings when the risk reaches the threshold. After it the stay is silent for some hours; where
re-arming is asked for, the risk must first fall below a share of the threshold. An alarm is true if
onset follows within the valid window, and false otherwise; from onset on it is neither, and counted
apart, because the patient has what it warns of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.core.errors import UsageError
from sepsis.core.jit import kernel
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours

TIMELY_H = (1.0, 3.0, 6.0)  # an onset is found in time if an alarm rings at least so long before it
N_COUNTS = 6
ALARMS, TRUE, FOUND, ANY, FIRST_TRUE, LATE = range(N_COUNTS)  # columns of `alarm_counts`


@dataclass(frozen=True)
class AlarmRules:
    """
    When an alarm rings, and when it counts.

    Attributes
    ----------
    silence_h : float
        Hours without a further alarm after one; 0: every hour may ring.
    rearm_share : float, optional
        The risk must have been below this share of the threshold before the next alarm; None: the
        silence alone decides.
    max_alarms : int, optional
        Alarms of one stay at most; None: no limit.
    window_h : float
        An alarm is true if onset comes within so many hours after it.
    """

    silence_h: float = 6.0
    rearm_share: float | None = None
    max_alarms: int | None = None
    window_h: float = 12.0

    def __post_init__(self):
        if self.silence_h < 0:
            raise UsageError("silence_h", f"is {self.silence_h:g}", "0 or more hours")
        if self.rearm_share is not None and not 0 < self.rearm_share <= 1:
            raise UsageError("rearm_share", f"is {self.rearm_share:g}", "a share of the threshold, up to 1")
        if self.max_alarms is not None and self.max_alarms < 1:
            raise UsageError("max_alarms", f"is {self.max_alarms}", "1 or more, or None")
        if not self.window_h > 0:
            raise UsageError("window_h", f"is {self.window_h:g}", "more than 0 hours")

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """What the kernels read; a missing limit is one that is never met."""
        rearm = np.inf if self.rearm_share is None else self.rearm_share
        most = np.inf if self.max_alarms is None else float(self.max_alarms)
        return float(self.silence_h), float(rearm), most, float(self.window_h)


def alarm_times(time_h, risk, threshold: float, rules: AlarmRules | None = None) -> np.ndarray:
    """
    Hours at which an alarm rings in one stay.

    Parameters
    ----------
    time_h, risk : array of float, shape (T,)
        In time order; a NaN risk rings nothing.
    rules : AlarmRules, optional
        The usual ones where left out.

    Returns
    -------
    times : ndarray of float

    Examples
    --------
    >>> alarm_times([1, 2, 3, 4, 5], [0.2, 0.7, 0.9, 0.8, 0.1], 0.5, AlarmRules(silence_h=2))
    array([2., 4.])
    """
    time_h, risk = np.asarray(time_h, dtype=float), np.asarray(risk, dtype=float)
    rings = np.zeros(len(time_h), dtype=bool)
    silence_h, rearm, most, _ = (rules or AlarmRules()).numbers
    _ring(time_h, risk, threshold, silence_h, rearm, most, rings)
    return time_h[rings]


def alarm_counts(
    hours: Hours, model: int, threshold: float, rules: AlarmRules
) -> tuple[np.ndarray, np.ndarray]:
    """
    What a threshold does in each stay.

    Returns
    -------
    counts : ndarray of float, shape (N, 6 + len(TIMELY_H))
        ALARMS before onset; TRUE ones; onset FOUND (0 or 1); ANY alarm before onset; whether the
        first one is true; LATE: an alarm at or after onset and none before; then whether an alarm
        in the valid window came at least 1, 3, 6 h before onset.
    lead_h : ndarray of float, shape (N,)
        Hours from the first alarm to onset; NaN for controls and where no alarm came before onset.
    """
    counts = np.zeros((len(hours.stay_id), N_COUNTS + len(TIMELY_H)))
    lead_h = np.full(len(hours.stay_id), np.nan)
    _count(hours.start, hours.time_h, hours.risk[model], hours.onset_h, float(threshold), *rules.numbers,
           np.asarray(TIMELY_H), counts, lead_h)  # fmt: skip
    return counts, lead_h


def patient_days(hours: Hours) -> np.ndarray:
    """
    Days under watch of each stay: from its first risk to onset, discharge or an hour after the last.

    Returns
    -------
    days : ndarray of float, shape (N,)
    """
    first, last = hours.time_h[hours.start[:-1]], hours.time_h[hours.start[1:] - 1]
    end = np.fmin(np.fmin(hours.end_h, last + 1.0), hours.onset_h)
    return np.maximum(end - first, 0.0) / 24.0


def thresholds_to_try(hours: Hours, model: int, size: int) -> np.ndarray:
    """
    Risks worth a threshold, highest first: evenly spread over the highest risk of each stay, and over
    all risks with more of the high ones.

    Returns
    -------
    thresholds : ndarray of float, shape (up to size,)
    """
    risk = hours.risk[model]
    peak = np.maximum.reduceat(risk, hours.start[:-1])
    tail = 1.0 - np.geomspace(1.0 / max(2, len(risk)), 1.0, size // 2)
    levels = [np.quantile(peak, np.linspace(0, 1, size // 4), method="higher"),
              np.quantile(risk, tail, method="higher")]  # fmt: skip
    if hours.is_case.any():
        levels.append(np.quantile(peak[hours.is_case], np.linspace(0, 1, size // 4), method="higher"))
    return np.unique(np.concatenate(levels))[::-1]


@kernel
def _ring(time_h, risk, threshold, silence_h, rearm_share, most, rings):
    """Mark the hours of one stay at which an alarm rings."""
    armed = True
    silent_until = -np.inf
    rung = 0
    for i in range(len(time_h)):
        rings[i] = False
        if risk[i] >= threshold:
            if armed and time_h[i] >= silent_until - TOLERANCE_H and rung < most:
                rings[i] = True
                rung += 1
                silent_until = time_h[i] + silence_h
                armed = rearm_share == np.inf
        elif risk[i] < rearm_share * threshold:
            armed = True


@kernel
def _count(
    start, time_h, risk, onset_h, threshold, silence_h, rearm_share, most, window_h, timely_h, counts, lead_h
):
    """Fill counts (N, 6 + K) and lead_h (N,); see `alarm_counts`."""
    rings = np.zeros(len(time_h), dtype=np.bool_)
    for s in range(len(start) - 1):
        here = slice(start[s], start[s + 1])
        times = time_h[here]
        _ring(times, risk[here], threshold, silence_h, rearm_share, most, rings[here])
        for i in range(len(times)):
            if not rings[start[s] + i]:
                continue
            lead = onset_h[s] - times[i]  # NaN for controls: no comparison holds
            if lead <= TOLERANCE_H:  # rings at onset or later
                if counts[s, ANY] == 0:
                    counts[s, LATE] = 1
                break
            true = lead <= window_h + TOLERANCE_H
            counts[s, ALARMS] += 1
            if counts[s, ANY] == 0:
                counts[s, ANY] = 1
                counts[s, FIRST_TRUE] = true
                lead_h[s] = lead
            if true:
                counts[s, TRUE] += 1
                counts[s, FOUND] = 1
                for k in range(len(timely_h)):
                    if lead >= timely_h[k] - TOLERANCE_H:
                        counts[s, N_COUNTS + k] = 1
