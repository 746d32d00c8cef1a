"""Tables about the study: who is in it, time left, treatment before onset, sample size, folds and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.risk_set import RiskSet
from sepsis.report.elements import NOTHING, Cell, Column, Table, count_cell, interval, number
from sepsis.report.tables import METRIC_NAMES, model_cell
from sepsis.report.view_tables import measure_name

TITLES = {  # heading of a column, where its name does not say it
    "class": "Class", "n": "n", "n_events": "Cases", "horizon_h": "Hours before onset",
    "auroc": "AUROC",
}  # fmt: skip
LATE_SHARE = 0.15  # of controls in their last hour; drawn at random, 8 % are on PhysioNet 2019 set A


def frame_table(frame: pd.DataFrame, name: str, caption: str, *, folded: bool = False) -> Table:
    """
    A table of the evaluation as it is: the first column heads the rows, whole numbers are counts, and `low`
    and `high` (or X_low and X_high) are the interval of the column before them.
    """
    shown = [c for c in frame if c not in ("low", "high") and not c.endswith(("_low", "_high"))]
    columns = [Column(_title(c), pd.api.types.is_numeric_dtype(frame[c])) for c in shown]
    ends = {}
    for column in shown:
        if f"{column}_low" in frame:
            ends[column] = (f"{column}_low", f"{column}_high")
        elif "low" in frame and list(frame).index("low") == list(frame).index(column) + 1:
            ends[column] = ("low", "high")
    rows = [tuple(_cell(row, c, frame[c], ends.get(c)) for c in shown) for row in frame.to_dict("records")]
    return Table(name, caption, tuple(columns), tuple(rows), folded=folded)


def _title(column: str) -> str:
    return TITLES.get(column, column.replace("_", " ").removesuffix(" h").capitalize())


def _cell(row: dict, column: str, values: pd.Series, ends: tuple[str, str] | None) -> Cell:
    value = row[column]
    if column == "model":
        return model_cell(str(value))
    if pd.isna(value):
        return Cell(NOTHING)
    if not pd.api.types.is_numeric_dtype(values):
        return Cell(measure_name(value) if column == "metric" else str(value))
    if (values.dropna() % 1 == 0).all():
        return count_cell(value)
    digits = 1 if column.endswith("_h") else 3
    between = interval(row[ends[0]], row[ends[1]], digits) if ends else ""
    return Cell(number(value, digits), between, key=float(value))


def time_left_table(left: pd.DataFrame) -> Table:
    """How much longer cases and controls stayed after their reference hour."""
    return frame_table(
        left, "time-left",
        "Time left in the unit after the reference hour, onset for a case. Whoever leaves soon looks "
        "different from whoever stays",
    )  # fmt: skip


def late_controls(left: pd.DataFrame | None) -> list[str]:
    """A warning if many controls are judged in the last hour of their record; nothing otherwise."""
    if left is None:
        return []
    share = left.loc[left["class"] == "control", "share_last_hour"]
    if share.empty or not share.iloc[0] > LATE_SHARE:
        return []
    return [
        f"Warning: {100 * share.iloc[0]:.0f} % of the controls are judged in the last hour of their stay. "
        "They are about to leave, which makes them easy to tell from cases: figures at fixed horizons are "
        "flattered."
    ]


def before_onset_table(known: pd.DataFrame) -> Table:
    """Cases that were treated or suspected before each horizon."""
    return frame_table(
        known, "before-onset", "Share of cases already treated, cultured or suspected, by hours before onset"
    )


def spread_table(spread: pd.DataFrame, horizon: float, name: str, caption: str) -> Table:
    """Mean and range of every model's measures at one horizon, over folds or seeds."""
    at = spread[spread.horizon_h == horizon]
    metrics = [metric for metric in METRIC_NAMES if (at.metric == metric).any()]
    rows = []
    for model, mine in at.groupby("model", sort=False):
        found, cells = mine.set_index("metric"), []
        for metric in metrics:
            one = found.loc[metric]
            ends = Cell(interval(one["min"], one["max"]) or NOTHING, key=float(one["min"]))
            cells += [Cell(number(one["mean"]), key=float(one["mean"])), ends]
        rows.append((model_cell(str(model)), *cells, count_cell(found.n.iloc[0])))
    heads = [
        column
        for metric in metrics
        for column in (Column(METRIC_NAMES[metric], note="mean"), Column("", note="lowest to highest"))
    ]
    return Table(name, caption, (Column("Model", False), *heads, Column("n")), tuple(rows), sortable=False)


def fold_counts(risk_set: RiskSet) -> str:
    """Predictions and cases of each fold in a sentence."""
    said = []
    for fold in np.unique(risk_set.fold):
        mine = risk_set.fold == fold
        said.append(f"fold {fold} {mine.sum():,} predictions, {risk_set.is_case[mine].sum():,} of cases")
    return f"Of these, {'; '.join(said)}."
