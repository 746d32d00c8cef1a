"""
The main figure, a measure by hours before onset, and what all figures share.

Figures are Plotly specifications without colours: the page adds them for its light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sepsis.report.elements import Chart, interval, listed, number
from sepsis.report.names import Style, model_name, places
from sepsis.report.tables import CURVE_NAMES, models_of

NUMBERS = [
    "model", "horizon_h", "metric", "estimate", "low", "high", "band_low", "band_high", "n", "n_events",
]  # fmt: skip
DODGE = 0.07  # share of the distance between horizons, so that intervals do not overlap
TITLE = "by hours before onset"
CHANCE = "chance"  # the model of a band that belongs to none
CAPTIONS = {
    "auprc": "Step-wise average precision. Dotted line: prevalence.",
    "auroc": "Probability that a case has a higher risk than a control, ties half. Dotted line: chance.",
    "concordance": "Share of the controls of its own matched set that a case exceeds, ties half, averaged "
    "over the sets. Dotted line: chance; the clock is there by design.",
}
WITHOUT_SIGNAL = {
    True: "Grey: {}% of risks without signal (classes permuted).",
    False: "In a small study a risk without signal lies above the prevalence on average.",
}


def horizon_chart(
    metrics: pd.DataFrame, metric: str, looks: Sequence[Style], percent: str, *, extended: bool = False
) -> Chart:
    """
    A measure of `CURVE_NAMES` by hours before onset, onset at the right.

    `metrics` are fixed-horizon rows of all stays and one setting; `extended`: the figure at further horizons.
    Bars are intervals of single points, bands hold a whole curve; the grey band is that of risks without
    signal, where there is one.
    """
    rows = metrics[metrics.metric == metric].sort_values(["model", "horizon_h"])
    rows = rows[rows.model.isin([look.model for look in looks])]
    without_signal = metrics[metrics.metric == f"{metric}_{CHANCE}"].sort_values("horizon_h")
    horizons = np.sort(rows.horizon_h.unique())
    step = float(np.diff(horizons).min()) if len(horizons) > 1 else 1.0
    chance = _prevalence(metrics) if metric == "auprc" else 0.5
    data, beside = [chance_band(without_signal)] if len(without_signal) > 1 else [], places(looks)
    for look in looks:
        shift = beside[look.model] * min(DODGE, 0.5 / len(looks)) * step
        part = rows[rows.model == look.model]
        x = part.horizon_h - shift
        data += band(look, x, part.band_low, part.band_high)
        data.append(
            trace(
                look, x, part.estimate, _hover(part, look, metric),
                low=part.low, high=part.high, marked=True,
            )
        )  # fmt: skip
    margin = 0.5 * step
    span = [float(horizons[-1] + margin), float(horizons[0] - margin)]  # reversed: onset at the right
    layout = {
        "xaxis": {
            "title": {"text": "hours before onset"},
            "range": span,
            "tickvals": horizons.tolist(),
            "ticktext": [f"{h:g}" for h in horizons],
        },
        "yaxis": {"range": _vertical_range(pd.concat([rows, without_signal]), metric, chance)},
        "shapes": [level_line(chance)],
        "annotations": [level_label(chance, "prevalence" if metric == "auprc" else "chance")],
    }
    said = [CAPTIONS[metric]]
    if metric == "auprc" or len(without_signal) > 1:
        said.append(WITHOUT_SIGNAL[len(without_signal) > 1].format(percent))
    said.append(f"Bars: {percent}% intervals.")
    if rows.band_low.notna().any():
        said.append("Light bands hold a model's whole curve with the same confidence.")
    return Chart(
        name=f"{metric}-extended" if extended else metric,
        title=f"{CURVE_NAMES[metric]} {'at further horizons, from hourly risks' if extended else TITLE}",
        caption=" ".join(said),
        description=description(metrics, metric),
        data=data,
        layout=layout,
        numbers=pd.concat([rows, without_signal])[NUMBERS],
    )


def band(look: Style, x: Any, low: Any, high: Any) -> list[dict[str, Any]]:
    """The simultaneous band of a model as a trace; no trace without one."""
    x, low, high = (np.asarray(v, float) for v in (x, low, high))
    there = ~(np.isnan(low) | np.isnan(high))
    if there.sum() < 2:
        return []
    return [_filled(x[there], low[there], high[there], look.role, look.model, "band")]


def chance_band(rows: pd.DataFrame) -> dict[str, Any]:
    """The band of risks without signal, from rows with horizon_h, low and high."""
    return _filled(rows.horizon_h, rows.low, rows.high, "series-plain", CHANCE, "")


def _filled(x, low, high, role: str, model: str, part: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "meta": {"role": role, "model": model, "part": part},
        "x": listed([*x, *list(x)[::-1]]),
        "y": listed([*low, *list(high)[::-1]]),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def description(metrics: pd.DataFrame, metric: str) -> str:
    """Text alternative of the figure."""
    rows = metrics[metrics.metric == metric].sort_values("horizon_h")
    parts = []
    for model in models_of(metrics):
        part = rows[rows.model == model]
        near, far = part.iloc[0], part.iloc[-1]
        parts.append(
            f"{model_name(model)} {number(far.estimate)} at {far.horizon_h:g} hours and "
            f"{number(near.estimate)} at {near.horizon_h:g} hours"
        )
    baseline, chance = ("prevalence", _prevalence(metrics)) if metric == "auprc" else (CHANCE, 0.5)
    return (
        f"Line chart of {CURVE_NAMES[metric]} against hours before onset. {'; '.join(parts)}. "
        f"Dotted line: {baseline}, {chance:.2g}. All values are in the table below."
    )


def trace(
    look: Style,
    x: Any,
    y: Any,
    hover: Sequence[str],
    *,
    low: Any = None,
    high: Any = None,
    marked: bool = False,
    dash: str = "",
    shape: str = "linear",
    part: str = "",
) -> dict[str, Any]:
    """
    One series of one model.

    `low` and `high` are ends of intervals, drawn as bars. `marked`: points have the model's symbol. `dash`
    replaces the model's own; `shape` "hv" draws steps. `part` names the series among those of a model.
    """
    estimate = np.asarray(y, float)
    made = {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": look.name,
        "meta": {"role": look.role, "model": look.model, "part": part},
        "x": listed(x),
        "y": listed(estimate),
        "line": {"width": 2, "dash": dash or look.dash, "shape": shape},
        "hovertext": list(hover),
        "hoverinfo": "text",
    }
    if marked:
        made["marker"] = {"size": 8, "symbol": look.symbol}
    if low is not None:
        made["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": listed(np.asarray(high, float) - estimate),
            "arrayminus": listed(estimate - np.asarray(low, float)),
            "thickness": 1.25,
            "width": 0,
        }
    return made


def level_line(y: float) -> dict[str, Any]:
    """A horizontal line across the figure."""
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y}


def level_label(y: float, text: str) -> dict[str, Any]:
    """The label of a horizontal line, at the right of the figure."""
    return {
        "x": 1,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 4,
        "y": y,
        "yanchor": "middle",
        "align": "left",
        "showarrow": False,
        "text": f"{text}<br>{y:.2g}",
    }


def _hover(part: pd.DataFrame, look: Style, metric: str) -> list[str]:
    return [
        f"<b>{look.name}</b><br>{row.horizon_h:g} h before onset<br>{CURVE_NAMES[metric]} "
        f"{number(row.estimate)}<br>{interval(row.low, row.high)}<br>{row.n:,} predictions, "
        f"{row.n_events:,} of cases"
        for row in part.itertuples()
    ]


def _prevalence(metrics: pd.DataFrame) -> float:
    return float(metrics.estimate[metrics.metric == "prevalence"].iloc[0])


def _vertical_range(rows: pd.DataFrame, metric: str, chance: float) -> list[float]:
    reached = float(np.nanmax([rows.high.max(), rows.band_high.max(), rows.estimate.max(), chance]))
    top = min(1.0, np.ceil(reached * 10 + 0.2) / 10)
    if metric == "auprc":
        return [0.0, top + 0.01]
    lowest = float(np.nanmin([rows.low.min(), rows.band_low.min(), rows.estimate.min(), 0.44]))
    return [max(0.0, np.floor(lowest * 10) / 10), top + 0.01]
