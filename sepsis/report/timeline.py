"""
One stay, hour by hour: its risks, the threshold and the alarms.

This is a patient's record: it is drawn only for a synthetic export or on request. Hours count from onset; no
identifier, time of day or length of stay is included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.evaluation import AlarmRules, alarm_times
from sepsis.report.elements import Chart, number
from sepsis.report.figures import trace
from sepsis.report.names import Style
from sepsis.report.risk_figures import hours_to_onset

BEFORE_H, AFTER_H = 24.0, 6.0  # what is shown of the stay


def timeline_chart(
    hours: pd.DataFrame, onset: pd.Series, thresholds: pd.DataFrame, looks: Sequence[Style], rules: AlarmRules
) -> Chart | None:
    """
    Risks and alarms of a typical case around its onset; None if no case has hourly risks.

    Reads    hours(stay_id, time_h, model, risk) of the evaluated stays, onset by stay_id (cases only, hours
             since admission), thresholds(model, setting, threshold), whose first setting is used
    """
    stay = typical_case(hours, onset)
    if stay is None or thresholds.empty:
        return None
    setting = str(thresholds.setting.iloc[0])
    limit = thresholds[thresholds.setting == setting].drop_duplicates("model").set_index("model").threshold
    mine = hours[(hours.stay_id == stay) & hours.risk.notna()].sort_values("time_h")
    data, words, parts = [], [], []
    for look in looks:
        rows = mine[mine.model == look.model]
        if rows.empty or look.model not in limit.index:
            continue
        fired = alarm_times(rows.time_h.to_numpy(), rows.risk.to_numpy(), float(limit[look.model]), rules)
        part = pd.DataFrame(
            {
                "model": look.model,
                "hours_to_onset": rows.time_h.to_numpy() - onset[stay],
                "risk": rows.risk.to_numpy(),
                "threshold": float(limit[look.model]),
                "alarm": np.isin(rows.time_h.to_numpy(), fired),
            }
        )
        part = part[part.hours_to_onset.between(-BEFORE_H, AFTER_H)]
        parts.append(part)
        data += _traces(part, look)
        words.append(_words(part, look))
    if not parts:
        return None
    return Chart(
        name="timeline",
        title="Alarms of one stay",
        caption=f"A case with a median number of hours before onset. Dots: alarms at the threshold for "
        f"{setting}, refractory period {rules.refractory_h:g} h. Dashed: thresholds. Grey: valid window.",
        description=f"Risks of one stay by hours to onset, with alarms. {'; '.join(words)}.",
        data=data,
        layout={
            "xaxis": {
                "title": {"text": "hours to onset (onset at 0)"},
                "range": [-BEFORE_H - 0.5, AFTER_H + 0.5],
            },
            "yaxis": {"title": {"text": "risk"}, "rangemode": "tozero"},
            "shapes": [
                {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1},
                {"type": "rect", "x0": -rules.window_h, "x1": 0, "yref": "paper", "y0": 0, "y1": 1},
            ],
        },
        numbers=pd.concat(parts, ignore_index=True),
    )


def typical_case(hours: pd.DataFrame, onset: pd.Series):
    """The case with the median number of risks before onset; None without any."""
    cases = hours[hours.stay_id.isin(onset.index) & hours.risk.notna()]
    counts = cases[cases.time_h <= cases.stay_id.map(onset)].groupby("stay_id").time_h.nunique()
    if counts.empty:
        return None
    ranked = counts.sort_values(kind="stable")
    return ranked.index[(len(ranked) - 1) // 2]


def _traces(part: pd.DataFrame, look: Style) -> list[dict]:
    hover = [
        f"<b>{look.name}</b><br>{hours_to_onset(round(hour, 1))}<br>risk {number(risk)}"
        f"{'<br>alarm' if alarm else ''}"
        for hour, risk, alarm in zip(part.hours_to_onset, part.risk, part.alarm, strict=True)
    ]
    risk = trace(look, part.hours_to_onset, part.risk, hover, shape="hv", dash="solid", part="risk")
    level = f"<b>{look.name}</b><br>threshold {number(part.threshold.iloc[0])}" if len(part) else ""
    line = trace(
        look, part.hours_to_onset, part.threshold, [level] * len(part), dash="dash", part="threshold"
    )
    line["line"]["width"] = 1
    fired = part[part.alarm]
    marks = trace(
        look, fired.hours_to_onset, fired.risk, [h for h, a in zip(hover, part.alarm, strict=True) if a],
        marked=True, part="alarm",
    )  # fmt: skip
    marks["mode"] = "markers"
    marks["marker"]["size"] = 11
    return [risk, line, marks]


def _words(part: pd.DataFrame, look: Style) -> str:
    fired = part.hours_to_onset[part.alarm]
    said = ", ".join(hours_to_onset(round(float(hour), 1)) for hour in fired)
    return f"{look.name}: {f'alarms {said}' if said else 'no alarm'}"
