"""
The figures of the page as Plotly specifications, without colours: the page gives each series its
colour in the reader's light or dark scheme, and draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sepsis.evaluation.risk_set import FALSIFIERS
from sepsis.report.tables import METRIC_NAMES, interval, model_name, models_of, number

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
DASHES = ("solid", "dash", "dashdot")  # dotted is the line of chance
DODGE = 0.07  # of the distance between horizons: intervals of two models do not hide each other


def series_styles(models: tuple[str, ...]) -> list[dict[str, Any]]:
    """
    Colour role, marker and dash of each model: told apart without colour too.

    Returns
    -------
    styles : list of dict
        `role` names a CSS variable of the page; falsifiers are grey, open and dashed.
    """
    styles, used = [], 0
    for model in models:
        if model in FALSIFIERS:
            styles.append({"role": "series-plain", "symbol": "circle-open", "dash": "dash"})
            continue
        turn, index = divmod(used, len(SYMBOLS))
        styles.append(
            {"role": f"series-{index}", "symbol": SYMBOLS[index], "dash": DASHES[min(turn, len(DASHES) - 1)]}
        )
        used += 1
    return styles


def curve(metrics: pd.DataFrame, metric: str) -> dict[str, Any]:
    """
    A measure against hours before onset, onset at the right.

    Parameters
    ----------
    metrics : DataFrame
        Fixed-horizon rows of `data_schema/7_metrics.toml`.
    metric : "auprc" or "auroc"

    Returns
    -------
    figure : dict
        `data` and `layout` for Plotly; each trace has a colour role in `meta`.
    """
    models = models_of(metrics)
    rows = metrics[(metrics.group == "all") & (metrics.metric == metric)]
    horizons = np.sort(rows.horizon_h.unique())
    step = float(np.diff(horizons).min()) if len(horizons) > 1 else 1.0
    chance = _chance(metrics, metric)
    data = []
    for k, (model, style) in enumerate(zip(models, series_styles(models), strict=True)):
        shift = (k - (len(models) - 1) / 2) * DODGE * step
        data.append(_trace(rows[rows.model == model].sort_values("horizon_h"), model, metric, style, -shift))
    margin = 0.5 * step
    span = [float(horizons[-1] + margin), float(horizons[0] - margin)]  # reversed: onset at the right
    layout = {
        "xaxis": {
            "title": {"text": "hours before onset"},
            "range": span,
            "tickvals": horizons.tolist(),
            "ticktext": [f"{h:g}" for h in horizons],
        },
        "yaxis": {"range": _vertical_range(rows, metric, chance)},
        "shapes": [{"type": "line", "x0": span[0], "x1": span[1], "y0": chance, "y1": chance}],
        "annotations": [
            {
                "x": 1,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 4,
                "y": chance,
                "yanchor": "middle",
                "align": "left",
                "showarrow": False,
                "text": f"{'prevalence' if metric == 'auprc' else 'chance'}<br>{chance:.2g}",
            }
        ],
    }
    return {"data": data, "layout": layout}


def description(metrics: pd.DataFrame, metric: str) -> str:
    """The figure in words, for those who do not see it."""
    rows = metrics[(metrics.group == "all") & (metrics.metric == metric)].sort_values("horizon_h")
    parts = []
    for model in models_of(metrics):
        part = rows[rows.model == model]
        near, far = part.iloc[0], part.iloc[-1]
        parts.append(
            f"{model_name(model)} {number(far.estimate)} at {far.horizon_h:g} hours and "
            f"{number(near.estimate)} at {near.horizon_h:g} hours"
        )
    baseline = "prevalence" if metric == "auprc" else "chance"
    return (
        f"Line chart of {METRIC_NAMES[metric]} against hours before onset. {'; '.join(parts)}. "
        f"Dotted line: {baseline}, {_chance(metrics, metric):.2g}. All values are in the table below."
    )


def _chance(metrics: pd.DataFrame, metric: str) -> float:
    """What a risk without any signal would have: the prevalence, or one half."""
    if metric == "auroc":
        return 0.5
    return float(metrics.estimate[metrics.metric == "prevalence"].iloc[0])


def _trace(
    part: pd.DataFrame, model: str, metric: str, style: dict[str, Any], shift: float
) -> dict[str, Any]:
    """One model's line with its intervals, shifted sideways by `shift` hours."""
    estimate = part.estimate.to_numpy(float)
    hover = [
        f"<b>{model_name(model)}</b><br>{row.horizon_h:g} h before onset<br>{METRIC_NAMES[metric]} "
        f"{number(row.estimate)}<br>{interval(row.low, row.high)}<br>{row.n:,} stays, {row.n_events:,} cases"
        for row in part.itertuples()
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": model_name(model),
        "meta": {"role": style["role"], "model": model},
        "x": (part.horizon_h.to_numpy(float) + shift).tolist(),
        "y": _listed(estimate),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": _listed(part.high.to_numpy(float) - estimate),
            "arrayminus": _listed(estimate - part.low.to_numpy(float)),
            "thickness": 1.25,
            "width": 0,
        },
        "line": {"width": 2, "dash": style["dash"]},
        "marker": {"size": 8, "symbol": style["symbol"]},
        "hovertext": hover,
        "hoverinfo": "text",
    }


def _vertical_range(rows: pd.DataFrame, metric: str, chance: float) -> list[float]:
    """From 0 for AUPRC, from below chance for AUROC, up to what is reached; in tenths."""
    reached = float(np.nanmax([rows.high.max(), rows.estimate.max(), chance]))
    top = min(1.0, np.ceil(reached * 10 + 0.2) / 10)
    if metric == "auprc":
        return [0.0, top + 0.01]
    lowest = float(np.nanmin([rows.low.min(), rows.estimate.min(), 0.44]))
    return [max(0.0, np.floor(lowest * 10) / 10), top + 0.01]


def _listed(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, gaps as null."""
    return [None if np.isnan(v) else float(v) for v in values]
