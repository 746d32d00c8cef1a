"""
From hourly risks to alarms: the alarm policy of a bedside monitor, and whether each alarm was true.

An alarm is raised when the risk reaches the threshold. A refractory period without alarms follows; with
hysteresis, the risk must also fall below a share of the threshold before the next alarm. An alarm is true if
onset follows within the valid window, else false; alarms at or after onset are neither, but late. Lead time
is that of the first true alarm: an earlier one is counted as false and gives no warning of this onset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.core.errors import UsageError
from sepsis.core.jit import kernel
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours

TIMELY_H = (1.0, 3.0, 6.0)  # an alarm at least this long before onset is timely
N_COUNTS = 6
ALARMS, TRUE, FOUND, ANY, FIRST_TRUE, LATE = range(N_COUNTS)  # columns of `alarm_counts`
CASES_ALARMED, DAYS, STAYS, CASES = -4, -3, -2, -1  # columns that `counts_per_stay` appends


@dataclass(frozen=True)
class AlarmRules:
    """
    The alarm policy; None switches a limit off.

    Attributes
    ----------
    refractory_h : float
        Hours after an alarm without a further one.
    hysteresis : float, optional
        Share of the threshold below which the risk must fall before the next alarm.
    max_alarms : int, optional
        Of one stay.
    window_h : float
        An alarm is true if onset follows within this many hours.
    """

    refractory_h: float = 6.0
    hysteresis: float | None = None
    max_alarms: int | None = None
    window_h: float = 12.0

    def __post_init__(self):
        if self.refractory_h < 0:
            raise UsageError("refractory_h", f"is {self.refractory_h:g}", "0 or more hours")
        if self.hysteresis is not None and not 0 < self.hysteresis <= 1:
            raise UsageError("hysteresis", f"is {self.hysteresis:g}", "a share of the threshold, up to 1")
        if self.max_alarms is not None and self.max_alarms < 1:
            raise UsageError("max_alarms", f"is {self.max_alarms}", "1 or more, or None")
        if not self.window_h > 0:
            raise UsageError("window_h", f"is {self.window_h:g}", "more than 0 hours")

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """The policy as the kernels read it; infinity for a limit that is not set."""
        rearm_below = np.inf if self.hysteresis is None else self.hysteresis
        most = np.inf if self.max_alarms is None else float(self.max_alarms)
        return float(self.refractory_h), float(rearm_below), most, float(self.window_h)


def alarm_times(time_h, risk, threshold: float, rules: AlarmRules | None = None) -> np.ndarray:
    """
    Hours at which an alarm is raised in one stay; `time_h` ascends, a NaN risk raises no alarm.

    Examples
    --------
    >>> alarm_times([1, 2, 3, 4, 5], [0.2, 0.7, 0.9, 0.8, 0.1], 0.5, AlarmRules(refractory_h=2))
    array([2., 4.])
    """
    time_h, risk = np.asarray(time_h, dtype=float), np.asarray(risk, dtype=float)
    raised = np.zeros(len(time_h), dtype=bool)
    refractory_h, rearm_below, most, _ = (rules or AlarmRules()).numbers
    _raise_alarms(time_h, risk, threshold, refractory_h, rearm_below, most, raised)
    return time_h[raised]


def alarm_counts(hours: Hours, model: int, threshold, rules: AlarmRules) -> tuple[np.ndarray, np.ndarray]:
    """
    Outcomes of the alarms of each stay at a threshold, one for all stays or one for each (N,).

    Returns
    -------
    counts : ndarray of float, shape (N, 6 + len(TIMELY_H))
        ALARMS before onset; TRUE ones; onset FOUND (0 or 1); ANY alarm before onset; whether the first alarm
        is true; LATE: first alarm at or after onset; then whether a true alarm came at least 1, 3, 6 h before
        onset.
    lead_h : ndarray of float, shape (N,)
        Hours from the first true alarm to onset, at most the valid window; NaN without a true alarm.
    """
    counts = np.zeros((len(hours.stay_id), N_COUNTS + len(TIMELY_H)))
    lead_h = np.full(len(hours.stay_id), np.nan)
    each = np.ascontiguousarray(np.broadcast_to(np.asarray(threshold, dtype=float), len(counts)))
    _count(hours.start, hours.time_h, hours.risk[model], hours.peak[model], hours.onset_h, each,
           *rules.numbers, np.asarray(TIMELY_H), counts, lead_h)  # fmt: skip
    return counts, lead_h


def patient_days(hours: Hours) -> np.ndarray:
    """Days of each stay from its first risk to onset, discharge or an hour after its last risk."""
    first, last = hours.time_h[hours.start[:-1]], hours.time_h[hours.start[1:] - 1]
    end = np.fmin(np.fmin(hours.end_h, last + 1.0), hours.onset_h)
    return np.maximum(end - first, 0.0) / 24.0


def counts_per_stay(hours: Hours, model: int, threshold, rules: AlarmRules):
    """`alarm_counts` with four more columns: cases alarmed before onset, patient-days, 1, and 1 for cases."""
    counts, lead_h = alarm_counts(hours, model, threshold, rules)
    case = hours.is_case.astype(float)
    more = np.stack([case * counts[:, ANY], patient_days(hours), np.ones(len(case)), case], axis=1)
    return np.concatenate([counts, more], axis=1), lead_h


@kernel
def _raise_alarms(time_h, risk, threshold, refractory_h, rearm_below, most, raised):
    armed = True
    refractory_until = -np.inf
    n_raised = 0
    for i in range(len(time_h)):
        raised[i] = False
        if risk[i] >= threshold:
            if armed and time_h[i] >= refractory_until - TOLERANCE_H and n_raised < most:
                raised[i] = True
                n_raised += 1
                refractory_until = time_h[i] + refractory_h
                armed = rearm_below == np.inf
        elif risk[i] < rearm_below * threshold:
            armed = True


@kernel
def _count(
    start,
    time_h,
    risk,
    peak,
    onset_h,
    threshold,
    refractory_h,
    rearm_below,
    most,
    window_h,
    timely_h,
    counts,
    lead_h,
):
    raised = np.zeros(len(time_h), dtype=np.bool_)
    for s in range(len(start) - 1):
        here = slice(start[s], start[s + 1])
        if peak[s] < threshold[s]:  # most stays, at most thresholds that are tried
            continue
        times = time_h[here]
        _raise_alarms(times, risk[here], threshold[s], refractory_h, rearm_below, most, raised[here])
        for i in range(len(times)):
            if not raised[start[s] + i]:
                continue
            lead = onset_h[s] - times[i]  # NaN for controls, so every comparison is false
            if lead <= TOLERANCE_H:  # at onset or later
                if counts[s, ANY] == 0:
                    counts[s, LATE] = 1
                break
            true = lead <= window_h + TOLERANCE_H
            counts[s, ALARMS] += 1
            if counts[s, ANY] == 0:
                counts[s, ANY] = 1
                counts[s, FIRST_TRUE] = true
            if true:
                if counts[s, FOUND] == 0:
                    lead_h[s] = lead
                counts[s, TRUE] += 1
                counts[s, FOUND] = 1
                for k in range(len(timely_h)):
                    if lead >= timely_h[k] - TOLERANCE_H:
                        counts[s, N_COUNTS + k] = 1
