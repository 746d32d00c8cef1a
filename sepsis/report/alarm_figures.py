"""Figures about alarms: detection, lead time and burden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.report.elements import Chart, number
from sepsis.report.figures import trace
from sepsis.report.names import Style
from sepsis.report.risk_figures import each_model


def event_precision_recall_chart(curve: pd.DataFrame, looks: Sequence[Style]) -> Chart:
    """Precision of alarms against recall of onsets; `curve` has model, threshold, recall, precision."""
    data, words = _against_recall(
        curve, looks, "precision", (3, 2),
        "precision {}", "precision {} at a recall of 0.8",
    )  # fmt: skip
    return Chart(
        name="event_precision_recall",
        title="Event precision-recall curve",
        caption="Each point is a threshold. An onset is detected by an alarm in the valid window before it.",
        description=f"Precision of alarms against recall of onsets. {'; '.join(words)}.",
        data=data,
        layout=_layout("onsets detected (recall)", "true alarms (precision)", [0, 1.02]),
        numbers=curve,
    )


def burden_recall_chart(curve: pd.DataFrame, looks: Sequence[Style]) -> Chart:
    """Alarms per 100 patient-days against recall; `curve` has model, threshold, recall and that rate."""
    data, words = _against_recall(
        curve, looks, "alarms_per_100_patient_days", (1, 1),
        "{} alarms per 100 patient-days", "{} at a recall of 0.8",
    )  # fmt: skip
    return Chart(
        name="burden_recall",
        title="Alarm burden by recall",
        caption="All alarms, true and false, per 100 patient-days, at each share of onsets detected.",
        description=f"Alarms per 100 patient-days against recall of onsets. {'; '.join(words)}.",
        data=data,
        layout=_layout("onsets detected (recall)", "alarms per 100 patient-days", None),
        numbers=curve,
    )


def _against_recall(curve, looks, column: str, digits: tuple[int, int], hover: str, said: str):
    data, words = [], []
    for look, part in each_model(curve, looks):
        rows = part.sort_values("threshold", ascending=False, kind="stable")
        hovers = [
            f"<b>{look.name}</b><br>recall {number(x)}<br>{hover.format(number(y, digits[0]))}<br>"
            f"threshold {number(t)}"
            for x, y, t in rows[["recall", column, "threshold"]].to_numpy(float)
        ]
        data.append(trace(look, rows.recall, rows[column], hovers))
        words.append(f"{look.name}: {said.format(_at_recall(rows, column, 0.8, digits[1]))}")
    return data, words


def lead_time_chart(curve: pd.DataFrame, looks: Sequence[Style]) -> Chart:
    """
    Histogram of lead times of the first true alarm, with that of shuffled risks.

    `curve` has a row per bin: model, setting (only the first is drawn), lead_h_from, lead_h_to, events,
    events_shuffled.
    """
    setting = curve.setting.iloc[0]
    curve = curve[curve.setting == setting]
    data, words = [], []
    for look, part in each_model(curve, looks):
        rows = part.sort_values("lead_h_from")
        for column, dash, what in (("events", "solid", ""), ("events_shuffled", "dot", ", shuffled in time")):
            hover = [
                f"<b>{look.name}</b>{what}<br>{a:g} to {b:g} h before onset<br>{number(n, 1)} first alarms"
                for a, b, n in rows[["lead_h_from", "lead_h_to", column]].to_numpy(float)
            ]
            x = np.append(rows.lead_h_from.to_numpy(float), rows.lead_h_to.iloc[-1])
            y = np.append(rows[column].to_numpy(float), rows[column].iloc[-1])
            data.append(trace(look, x, y, [*hover, hover[-1]], dash=dash, shape="hv", part=column))
        words.append(
            f"{look.name}: median {_median(rows, 'events')}, shuffled {_median(rows, 'events_shuffled')}"
        )
    return Chart(
        name="lead_time",
        title="Lead time of the first true alarm",
        caption=f"Thresholds for {setting}. Dotted: the same risks shuffled in time within each stay, the "
        "lead times expected by chance. A long lead time that shuffled risks share is no evidence of early "
        "detection.",
        description=f"Histogram of hours from the first true alarm to onset. {'; '.join(words)}.",
        data=data,
        layout=_layout("hours before onset", "first alarms", None) | {"margin": {"r": 16}},
        numbers=curve,
    )


def _layout(x: str, y: str, top: list[float] | None) -> dict:
    vertical: dict = {"title": {"text": y}, "rangemode": "tozero"}
    if top:
        vertical["range"] = top
    horizontal: dict = {"title": {"text": x}, "rangemode": "tozero"}
    if "recall" in x:
        horizontal["range"] = [0, 1.02]
    else:
        horizontal["autorange"] = "reversed"  # onset at the right, as in every figure
    return {"xaxis": horizontal, "yaxis": vertical}


def _at_recall(rows: pd.DataFrame, column: str, recall: float, digits: int = 2) -> str:
    """The value at the highest threshold with at least this recall."""
    reached = rows[rows.recall >= recall]
    return number(reached[column].iloc[0], digits) if len(reached) else "no number"


def _median(rows: pd.DataFrame, column: str) -> str:
    share = rows[column].cumsum().to_numpy(float)
    if not len(share) or not share[-1] > 0:
        return "no alarm"
    row = rows.iloc[int(np.searchsorted(share, share[-1] / 2))]
    return f"{row.lead_h_from:g} to {row.lead_h_to:g} h"
