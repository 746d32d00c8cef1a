"""Tables about the study: who is in it, time left, treatment before onset, sample size, folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sepsis.evaluation.risk_set import RiskSet
from sepsis.report.elements import NOTHING, Cell, Column, Table, count_cell, interval, number
from sepsis.report.tables import METRIC_NAMES, model_cell

LATE_SHARE = 0.15  # of controls in their last hour; drawn at random, 8 % are on PhysioNet 2019 set A


def frame_table(
    frame: pd.DataFrame, name: str, caption: str, titles: Mapping[str, str] | None = None
) -> Table:
    """
    A table of the evaluation as it is: the first column heads the rows, whole numbers are counts, and X_low
    and X_high are the interval of X. `titles` are headings of columns whose name does not say it.
    """
    shown = [c for c in frame if not c.endswith(("_low", "_high"))]
    heads = [(titles or {}).get(c, c.replace("_", " ").capitalize()) for c in shown]
    columns = [Column(h, pd.api.types.is_numeric_dtype(frame[c])) for h, c in zip(heads, shown, strict=True)]
    rows = [tuple(_cell(row, c, frame[c]) for c in shown) for row in frame.to_dict("records")]
    return Table(name, caption, tuple(columns), tuple(rows))


def _cell(row: dict, column: str, values: pd.Series) -> Cell:
    value = row[column]
    if column == "model":
        return Cell("All models") if value == "all" else model_cell(str(value))
    if pd.isna(value):
        return Cell(NOTHING)
    if not pd.api.types.is_numeric_dtype(values):
        return Cell(str(value))
    if (values.dropna() % 1 == 0).all():
        return count_cell(value)
    digits = 1 if column.endswith("_h") else 3
    ends = (row.get(f"{column}_low", np.nan), row.get(f"{column}_high", np.nan))
    return Cell(number(value, digits), interval(*ends, digits), key=float(value))


def time_left_table(left: pd.DataFrame) -> Table:
    """How much longer cases and controls stayed after their reference hour."""
    return frame_table(
        left, "time-left",
        "Time left in the unit after the reference hour (onset of a case), and how well it alone tells the "
        "classes apart: a stay that is about to end looks different",
        {"rows": "Predictions", "median_left_h": "Median, h", "share_last_hour": "Share in the last hour",
         "auroc": "AUROC of the time left"},
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
    """Cases that were treated or suspected before each horizon, and whose label could be known."""
    return frame_table(
        known, "before-onset",
        "Share of cases already treated, cultured or suspected, and of those whose label could be known, by "
        "hours before onset",
        {"horizon_h": "Hours before onset", "n": "Cases", "antibiotic": "Antibiotic given",
         "culture": "Culture taken", "suspicion": "Suspected", "label_known": "Label known"},
    )  # fmt: skip


def label_delay_text(delay: pd.DataFrame) -> str:
    """How long after onset the label could be known, in a sentence; `delay` has one row."""
    row = delay.iloc[0]
    return (
        f"The label could be known a median of {number(row.median_h, 1)} h after onset (quartiles "
        f"{number(row.q1_h, 1)} and {number(row.q3_h, 1)} h; {int(row.n):,} cases)."
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
        said.append(f"{fold}: {mine.sum():,}, {risk_set.is_case[mine].sum():,} of cases")
    return f"Predictions by fold: {'; '.join(said)}."
