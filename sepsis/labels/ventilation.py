"""
Whether a patient was on a ventilator at a given time.

There are two rules. The *state* looks back only: a ventilator setting holds for `gap_h`, or until an
oxygen device or an extubation is charted. The *episodes* of mimic-code need two marks, so that whether a
gas is ventilated may be known only hours later; an episode ends at its last mark.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.jit import kernel
from sepsis.labels.ragged import EVER_S, HOUR_S, StayEvents, window_bounds

MARKS = {"ventilator_mark": "ventilator", "oxygen_device_mark": "oxygen", "extubation_mark": "extubated"}


def ventilated_at(
    stay_events: StayEvents,
    at_s: np.ndarray,
    at_offsets: np.ndarray,
    *,
    rule: str,
    gap_h: float,
    oxygen: str = "oxygen_device_mark",
) -> np.ndarray:
    """
    Whether each moment is ventilated by `rule` ("state" or "episodes"); False without any charting.

    `at_s` is in seconds since admission, ascending inside a stay. `gap_h`: hours that a ventilator setting
    holds, or that may lie between two marks of one episode.
    """
    flags = _flags(stay_events, oxygen)
    series = stay_events.series(flags.assign(value=0.0))
    on, device, out = (np.array(flags[name], bool) for name in MARKS.values())
    gap_s = int(gap_h * HOUR_S)
    if rule == "state":
        return ventilated_state(series.time_s, on, device, out, series.offsets, at_s, at_offsets, gap_s)
    stay, start_s, end_s = ventilation_episodes(series.time_s, on, device, out, series.offsets, gap_s)
    starts = stay_events.series(pd.DataFrame({"stay": stay, "time_s": start_s, "value": 0.0}))
    lo, hi = window_bounds(starts.time_s, starts.offsets, at_s, at_offsets, EVER_S)
    return (hi > lo) & (at_s <= np.append(end_s, 0)[hi - 1])


def _flags(stay_events: StayEvents, oxygen: str) -> pd.DataFrame:
    marks = {oxygen if name == "oxygen" else concept: name for concept, name in MARKS.items()}
    rows = stay_events.rows(*marks)
    flags = pd.DataFrame({name: rows["concept"] == concept for concept, name in marks.items()})
    return flags.groupby([rows["stay"], rows["time_s"]], sort=True).max().reset_index()


@kernel
def ventilated_state(time_s, ventilator, oxygen, extubated, offsets, at_s, at_offsets, gap_s):
    """
    Whether each moment is ventilated by the marks up to it.

    A ventilator mark overrides an oxygen device of the same time; an extubation ends the ventilation after
    its own minute.
    """
    found = np.zeros(len(at_s), dtype=np.bool_)
    for s in range(len(offsets) - 1):
        i = offsets[s]
        mark_s = until_s = -(1 << 60)
        at_mark = False
        for k in range(at_offsets[s], at_offsets[s + 1]):
            while i < offsets[s + 1] and time_s[i] <= at_s[k]:
                mark_s = time_s[i]
                at_mark = ventilator[i] or (not oxygen[i] and mark_s <= until_s)
                holds = ventilator[i] and not extubated[i]
                until_s = mark_s + gap_s if holds else mark_s - 1
                i += 1
            found[k] = at_mark if at_s[k] == mark_s else at_s[k] <= until_s
    return found


@kernel
def ventilation_episodes(time_s, ventilator, oxygen, extubated, offsets, gap_s):
    """
    Episodes of ventilation by the rule of mimic-code: stay, start_s, end_s.

    A new episode begins after an extubation, after an oxygen device without a ventilator mark, and
    with a ventilator mark more than `gap_s` after the last one. An episode has a ventilator mark
    and two distinct times; it ends with its last ventilator or extubation mark.
    """
    stay = np.empty(len(time_s), dtype=np.int64)
    start_s = np.empty(len(time_s), dtype=np.int64)
    end_s = np.empty(len(time_s), dtype=np.int64)
    count = 0
    for s in range(len(offsets) - 1):
        first = last = last_ventilator = np.int64(-1)  # positions of marks
        after_extubation = has_ventilator = False
        for i in range(offsets[s], offsets[s + 1]):
            member = ventilator[i] or extubated[i]
            new = (member and after_extubation) or (oxygen[i] and not ventilator[i])
            if ventilator[i] and last_ventilator >= 0 and time_s[i] - time_s[last_ventilator] > gap_s:
                new = True
            if new:
                if first >= 0 and has_ventilator and time_s[last] > time_s[first]:
                    stay[count], start_s[count], end_s[count] = s, time_s[first], time_s[last]
                    count += 1
                first, has_ventilator = np.int64(-1), False
            if member:
                first = np.int64(i) if first < 0 else first
                last = np.int64(i)
                has_ventilator = has_ventilator or ventilator[i]
                after_extubation = extubated[i]
            if ventilator[i]:
                last_ventilator = np.int64(i)
        if first >= 0 and has_ventilator and time_s[last] > time_s[first]:
            stay[count], start_s[count], end_s[count] = s, time_s[first], time_s[last]
            count += 1
    return stay[:count], start_s[:count], end_s[:count]
