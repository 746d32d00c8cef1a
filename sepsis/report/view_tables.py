"""Tables that compare: subgroups side by side, and all hours against those before treatment."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sepsis.report.elements import NOTHING, Cell, Column, Table, count_cell, number
from sepsis.report.names import model_name
from sepsis.report.tables import measure_cell, model_cell

MEASURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "without_risk": "Predictions without a risk",
    "event_recall": "Onsets detected",
    "alarm_precision": "Alarm precision",
    "normalised_utility": "Utility",
}


def measure_name(metric: str) -> str:
    """Printed name of a measure."""
    return MEASURES.get(metric, metric.replace("_", " ").capitalize())


def groups_table(rows: pd.DataFrame, models: Sequence[str], *, name: str, caption: str, metric: str) -> Table:
    """Subgroups below each other, models side by side; `rows` are of one horizon, the group "all" first."""
    rows = rows[rows.metric == metric]
    made = []
    for group, part in rows.groupby("group", sort=False):
        found = part.drop_duplicates("model").set_index("model")
        cells = [measure_cell(found.loc[m]) if m in found.index else Cell(NOTHING) for m in models]
        counts = (count_cell(part.n.max()), count_cell(part.n_events.max()))
        made.append((Cell(group_name(str(group))), *counts, *cells))
    heads = (Column("Group", numeric=False), Column("Predictions"), Column("Of cases"))
    return Table(name, caption, (*heads, *(Column(model_name(m)) for m in models)), tuple(made))


def group_name(group: str) -> str:
    """Printed name of a group."""
    return "All" if group == "all" else group


def before_after_table(compared: pd.DataFrame, models: Sequence[str]) -> Table:
    """
    Measures before treatment; below each value all hours, and the change.

    `compared` is `Evaluation.before_after()`; the table has a column per view, horizon, metric and setting.
    """
    keys = ["view", "horizon_h", "metric", "setting"]
    columns = compared[keys].drop_duplicates()
    cells: dict[str, list[Cell]] = {model: [] for model in models}
    heads = []
    for column in columns.itertuples(index=False):
        hour = (
            compared.horizon_h.isna() if pd.isna(column.horizon_h) else compared.horizon_h == column.horizon_h
        )
        same = (compared["view"] == column.view) & (compared.metric == column.metric) & hour
        part = (
            compared[same & (compared.setting == column.setting)].drop_duplicates("model").set_index("model")
        )
        for model in models:
            cells[model].append(_before_after(part.loc[model]) if model in part.index else Cell(NOTHING))
        heads.append(Column(measure_name(column.metric), note=_where(column)))
    return Table(
        "before-after",
        "Hours before the first antibiotic, culture or suspicion; below each value all hours and the change",
        (Column("Model", numeric=False), *heads),
        tuple((model_cell(model), *row) for model, row in cells.items()),
    )


def _before_after(row: pd.Series) -> Cell:
    value = row["before_treatment"]
    if pd.isna(value):
        return Cell(NOTHING)
    below = f"{number(row['all'])}, {number(row['difference'], signed=True)}"
    return Cell(number(value), below, key=float(value))


def _where(column) -> str:
    if column.view == "horizon":
        return f"at {column.horizon_h:g} h"
    if column.view == "continuous":
        return f"hourly, {column.horizon_h:g} h ahead"
    return column.setting
