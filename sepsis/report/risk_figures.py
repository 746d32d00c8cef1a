"""Figures about the risk: around onset, reliability, decision curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sepsis.evaluation.prevalence import COHORT
from sepsis.models.registry import NEGATIVE_CONTROL
from sepsis.report.elements import Chart, interval, number
from sepsis.report.figures import trace
from sepsis.report.names import Style

STRATEGIES = {"treat all": "dash", "treat none": "dot"}  # without a model


def risk_around_onset_chart(curve: pd.DataFrame, looks: Sequence[Style], percent: str) -> Chart:
    """
    Mean risk by hours to onset (negative before): cases solid, controls dotted.

    `curve` has model, class ("case" or "control"), hours_to_onset, mean, low, high, n.
    """
    data, words = [], []
    for look, part in each_model(curve, looks):
        for group, dash in (("case", "solid"), ("control", "dot")):
            rows = part[part["class"] == group].sort_values("hours_to_onset")
            hover = [
                f"<b>{look.name}</b>, {group}s<br>{hours_to_onset(hour)}<br>mean risk {number(mean)}"
                f"<br>{interval(low, high)}<br>{int(n):,} stays"
                for hour, mean, low, high, n in rows[
                    ["hours_to_onset", "mean", "low", "high", "n"]
                ].to_numpy()
            ]
            data.append(trace(look, rows.hours_to_onset, rows["mean"], hover, dash=dash, part=group))
            if len(rows):
                words.append(
                    f"{look.name}, {group}s: {number(rows['mean'].iloc[0])} at "
                    f"{hours_to_onset(rows.hours_to_onset.iloc[0])}, {number(rows['mean'].iloc[-1])} at "
                    f"{hours_to_onset(rows.hours_to_onset.iloc[-1])}"
                )
    return Chart(
        name="risk_around_onset",
        title="Mean risk around onset",
        caption="Solid: cases. Dotted: controls, by hours to their reference hour. The stays at each hour "
        f"differ, because stays begin and end; {percent}% intervals are in the CSV file.",
        description=f"Line chart of mean risk by hours to onset. {'; '.join(words)}.",
        data=data,
        layout={
            "xaxis": {"title": {"text": "hours to onset (onset at 0)"}},
            "yaxis": {"title": {"text": "mean risk"}, "rangemode": "tozero"},
            "shapes": [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}],
        },
        numbers=curve,
    )


def reliability_chart(curve: pd.DataFrame, looks: Sequence[Style], percent: str, horizon: float) -> Chart:
    """
    Share of cases by mean risk; `curve` has model, predicted, observed, low, high, n, a row per bin, and in
    `setting` the prevalence that risks were corrected to.
    """
    data, words = [], []
    for look, part in each_model(curve, looks):
        rows = part.sort_values("predicted")
        hover = [
            f"<b>{look.name}</b><br>mean risk {number(x)}<br>cases {number(y)}<br>{interval(low, high)}"
            f"<br>{int(n):,} predictions"
            for x, y, low, high, n in rows[["predicted", "observed", "low", "high", "n"]].to_numpy(float)
        ]
        data.append(
            trace(look, rows.predicted, rows.observed, hover, low=rows.low, high=rows.high, marked=True)
        )
        worst = rows.iloc[np.argmax(np.abs(rows.predicted - rows.observed).to_numpy())]
        words.append(
            f"{look.name}: largest deviation at mean risk {number(worst.predicted)}, "
            f"share of cases {number(worst.observed)}"
        )
    top = min(1.0, float(np.nanmax(curve[["predicted", "observed", "high"]].to_numpy(float))) * 1.05)
    return Chart(
        name="reliability",
        title=f"Reliability {horizon:g} h before onset",
        caption="Bins of equal size. Dotted: perfect calibration. "
        f"{scale(curve)} Bars: {percent}% intervals.",
        description=f"Share of cases against mean risk in bins. {'; '.join(words)}.",
        data=data,
        layout={
            "xaxis": {"title": {"text": "mean risk"}, "range": [0, top]},
            "yaxis": {"title": {"text": "share of cases"}, "range": [0, top]},
            "shapes": [{"type": "line", "x0": 0, "y0": 0, "x1": top, "y1": top}],
        },
        numbers=curve,
    )


def decision_curve_chart(curve: pd.DataFrame, looks: Sequence[Style]) -> Chart:
    """
    Net benefit by threshold; `curve` has model (also "treat all", "treat none"), threshold, net_benefit.
    """
    data, words = [], []
    for look, part in each_model(curve, looks):
        rows = part.sort_values("threshold")
        hover = [
            f"<b>{look.name}</b><br>threshold {number(x)}<br>net benefit {number(y, 4)}"
            for x, y in rows[["threshold", "net_benefit"]].to_numpy(float)
        ]
        data.append(trace(look, rows.threshold, rows.net_benefit, hover))
        best = rows.iloc[int(np.nanargmax(rows.net_benefit.to_numpy(float)))]
        words.append(
            f"{look.name}: maximum {number(best.net_benefit, 4)} at threshold {number(best.threshold)}"
        )
    for name, dash in STRATEGIES.items():
        rows = curve[curve.model == name].sort_values("threshold")
        hover = [f"<b>{name}</b><br>net benefit {number(y, 4)}" for y in rows.net_benefit]
        plain = Style(name, name, NEGATIVE_CONTROL, "", "series-plain", "circle-open", dash, True)
        data.append(trace(plain, rows.threshold, rows.net_benefit, hover))
    top = float(np.nanmax(curve.net_benefit.to_numpy(float)))
    return Chart(
        name="decision_curve",
        title="Decision curve",
        caption="True positives minus false positives weighted by the odds of the threshold, per prediction. "
        f"Dashed: treat all. Dotted: treat none. {scale(curve)}",
        description=f"Net benefit against threshold. {'; '.join(words)}.",
        data=data,
        layout={
            "xaxis": {"title": {"text": "risk threshold for action"}},
            "yaxis": {"title": {"text": "net benefit"}, "range": [-0.25 * top, 1.1 * top]},
        },
        numbers=curve,
    )


def scale(curve: pd.DataFrame) -> str:
    """Which prevalence the risks of a curve refer to."""
    setting = next(iter(curve.setting), "")
    if not setting:
        return "Risks are those of the matched sets, whose share of cases is not that of a unit."
    prevalence = "the cohort's share of cases" if setting == COHORT else f"a {setting}"
    return f"Risks are corrected to {prevalence}."


def each_model(curve: pd.DataFrame, looks: Sequence[Style]) -> Iterator[tuple[Style, pd.DataFrame]]:
    """The models that have rows, in the page's order."""
    for look in looks:
        part = curve[curve.model == look.model]
        if len(part):
            yield look, part


def hours_to_onset(hour: float) -> str:
    """
    An hour around onset in words.

    >>> hours_to_onset(-3.0), hours_to_onset(0.0), hours_to_onset(2.0)
    ('3 h before onset', 'onset', '2 h after onset')
    """
    if hour == 0:
        return "onset"
    return f"{abs(hour):g} h {'before' if hour < 0 else 'after'} onset"
