"""The landmark panel: measures of all stays still at risk, by hours since admission."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.models.registry import NEGATIVE_CONTROL
from sepsis.report.elements import Cell, Chart, Column, Table, count_cell, interval, number
from sepsis.report.figures import CHANCE, band, level_label, level_line, trace
from sepsis.report.names import Style, places
from sepsis.report.risk_figures import each_model

MEASURES = {  # metric: name, caption, level of a risk without signal
    "auroc": (
        "AUROC", "Probability that a stay with onset in the window has a higher risk than any other stay. "
        "Dotted: chance.", 0.5,
    ),
    "auprc": ("Average precision", "Grey dotted line: share of the stays with onset in the window.", None),
    "observed_expected": (
        "Observed / expected", "Onsets in the window over the sum of the risks. Dotted: 1, perfect.", 1.0,
    ),
}  # fmt: skip
COUNTS = {  # column of the curve: row of the table
    "n": "Still at risk",
    "n_events": "Onset in the window",
    "n_left": "Left the unit before onset",
    "n_died": "Died before onset",
    "n_censored": "Record ends (censored)",
    "n_reach_onset": "Onset at any later time",
    "n_without_risk": "Left out: no recent risk",
}
FEW = 10  # onsets: with fewer, intervals span most of the scale and hide the other hours
DODGE = 0.06  # share of the distance between landmarks, so that intervals do not overlap


def landmark_charts(curve: pd.DataFrame, looks: Sequence[Style], percent: str) -> tuple[Chart, ...]:
    """A figure per measure; `curve` is that of `sepsis.evaluation.landmark`."""
    found = [m for m in MEASURES if curve.estimate[(curve.metric == m)].notna().any()]
    return tuple(_chart(curve, metric, looks, percent) for metric in found)


def _chart(curve: pd.DataFrame, metric: str, looks: Sequence[Style], percent: str) -> Chart:
    title, caption, level = MEASURES[metric]
    window = curve.window_h.iloc[0]
    rows = curve[curve.metric == metric]
    many = rows[rows.n_events >= FEW]
    few = ""
    if 0 < len(many) < len(rows):
        few = f" Hours with fewer than {FEW} onsets are not drawn; their numbers are in the CSV file."
    hours = np.sort(rows.hour.unique())
    step = float(np.diff(hours).min()) if len(hours) > 1 else 1.0
    beside, data, words = places(looks), [], []
    if metric == "auprc":
        data += _share_with_onset(curve)
    for look, part in each_model(rows if many.empty else many, looks):
        part = part.sort_values("hour")
        x = part.hour + beside[look.model] * min(DODGE, 0.5 / len(looks)) * step
        data += band(look, x, part.band_low, part.band_high)
        hover = [
            f"<b>{look.name}</b><br>hour {r.hour:g}<br>{title} {number(r.estimate)}<br>"
            f"{interval(r.low, r.high)}<br>{int(r.n):,} at risk, {int(r.n_events):,} with onset"
            for r in part.itertuples()
        ]
        data.append(trace(look, x, part.estimate, hover, low=part.low, high=part.high, marked=True))
        ends = part[part.estimate.notna()]
        if len(ends):
            first, last = ends.iloc[0], ends.iloc[-1]
            words.append(
                f"{look.name} {number(first.estimate)} at hour {first.hour:g} and {number(last.estimate)} at "
                f"hour {last.hour:g}"
            )
    return Chart(
        name=f"landmark_{metric}",
        title=f"{title} by hours since admission, onset within {window:g} h",
        caption=f"{caption} Bars: {percent}% intervals; light bands hold a model's whole curve.{few}",
        description=f"Line chart of {title} against hours since admission. {'; '.join(words)}.",
        data=data,
        layout={
            "xaxis": {"title": {"text": "hours since admission"}, "tickvals": hours[1::2].tolist()},
            "yaxis": {"rangemode": "tozero" if metric == "auprc" else "normal"},
            "shapes": [] if level is None else [level_line(level)],
            "annotations": [] if level is None else [level_label(level, CHANCE if level < 1 else "perfect")],
        },
        numbers=rows,
    )


def _share_with_onset(curve: pd.DataFrame) -> list[dict]:
    rows = curve[curve.metric == "prevalence"].sort_values("hour")
    plain = Style(
        CHANCE, "share with onset", NEGATIVE_CONTROL, "", "series-plain", "circle-open", "dot", True
    )
    hover = [
        f"<b>share with onset</b><br>hour {r.hour:g}<br>{number(r.estimate)}<br>{interval(r.low, r.high)}"
        for r in rows.itertuples()
    ]
    return [trace(plain, rows.hour, rows.estimate, hover)] if len(rows) else []


def risk_table(curve: pd.DataFrame) -> Table:
    """Stays at risk at each landmark, and what became of them within the window."""
    at = curve.drop_duplicates("hour").sort_values("hour")
    window = curve.window_h.iloc[0]
    titles = dict(COUNTS)
    if at.n_died.isna().all():  # the labels have no times of death
        titles["n_left"] = f"{titles['n_left']}, alive or dead"
        del titles["n_died"]
    rows = [(Cell(title), *(count_cell(n) for n in at[column])) for column, title in titles.items()]
    return Table(
        "landmark-counts",
        f"Stays at risk at each hour since admission, and what came first within {window:g} h",
        (Column("Hour", False), *(Column(f"{hour:g}") for hour in at.hour)),
        tuple(rows),
        sortable=False,
    )
