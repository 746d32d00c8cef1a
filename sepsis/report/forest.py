"""Forest plot: one measure in every subgroup, with intervals, models side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.report.elements import Chart, interval, listed, number
from sepsis.report.names import Style, places
from sepsis.report.view_tables import group_name, measure_name

ROW_PX = 34  # height of a group on the screen


def forest_chart(
    rows: pd.DataFrame, looks: Sequence[Style], metric: str, horizon: float, percent: str
) -> Chart:
    """Subgroups from top to bottom; a group too small has no estimate and is named without a mark."""
    rows = rows[(rows.metric == metric) & rows.model.isin([look.model for look in looks])]
    groups = list(dict.fromkeys(rows.group))
    place = {group: float(len(groups) - 1 - k) for k, group in enumerate(groups)}
    data, beside = [], places(looks)
    for look in looks:
        part = rows[(rows.model == look.model) & rows.estimate.notna()]
        shift = -beside[look.model] * min(0.16, 0.7 / len(looks))
        estimate = part.estimate.to_numpy(float)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": look.name,
                "meta": {"role": look.role, "model": look.model, "part": ""},
                "x": listed(estimate),
                "y": listed(part.group.map(place).to_numpy(float) + shift),
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": listed(part.high.to_numpy(float) - estimate),
                    "arrayminus": listed(estimate - part.low.to_numpy(float)),
                    "thickness": 1.25,
                    "width": 0,
                },
                "marker": {"size": 8, "symbol": look.symbol},
                "hovertext": [
                    f"<b>{look.name}</b><br>{group_name(r.group)}<br>{measure_name(metric)} "
                    f"{number(r.estimate)}<br>{interval(r.low, r.high)}<br>{r.n:,} predictions, "
                    f"{r.n_events:,} of cases"
                    for r in part.itertuples()
                ],
                "hoverinfo": "text",
            }
        )
    everybody = rows[(rows.group == "all") & rows.estimate.notna()]
    return Chart(
        name="forest",
        title=f"{measure_name(metric)} at {horizon:g} h before onset, by subgroup",
        caption=f"Bars: {percent}% intervals. Groups without a mark are too small.",
        description=_description(rows, looks, metric),
        data=data,
        layout={
            "height": 110 + ROW_PX * len(groups),
            "xaxis": {"title": {"text": measure_name(metric)}, "showgrid": True},
            "yaxis": {
                "tickvals": [place[g] for g in groups],
                "ticktext": [group_name(g) for g in groups],
                "range": [-0.6, len(groups) - 0.4],
                "showgrid": False,
            },
            "margin": {"r": 16},
            "shapes": []
            if everybody.empty
            else [
                {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x}
                for x in [float(everybody.estimate.iloc[0])]
                if len(looks) == 1
            ],
        },
        numbers=rows[["model", "group", "horizon_h", "metric", "estimate", "low", "high", "n", "n_events"]],
    )


def _description(rows: pd.DataFrame, looks: Sequence[Style], metric: str) -> str:
    words = []
    for look in looks:
        part = rows[(rows.model == look.model) & (rows.group != "all") & rows.estimate.notna()]
        if len(part):
            lowest = part.iloc[int(np.argmin(part.estimate.to_numpy(float)))]
            highest = part.iloc[int(np.argmax(part.estimate.to_numpy(float)))]
            words.append(
                f"{look.name}: from {number(lowest.estimate)} ({group_name(lowest.group)}) to "
                f"{number(highest.estimate)} ({group_name(highest.group)})"
            )
    return (
        f"Forest of {measure_name(metric)} by group. {'; '.join(words)}. All values are in the table below."
    )
