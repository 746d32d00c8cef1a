"""Tables of the page: one row per model, measures side by side. None names a stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sepsis.evaluation.prevalence import COHORT
from sepsis.models.registry import NEGATIVE_CONTROL, entry_of
from sepsis.report.elements import NOTHING, Cell, Column, Table, count_cell, interval, number
from sepsis.report.names import in_text, model_name, reference_model

METRIC_NAMES = {"auprc": "AUPRC", "auroc": "AUROC"}
CONCORDANCE = "concordance"
CURVE_NAMES = {**METRIC_NAMES, CONCORDANCE: "Concordance"}  # by hours before onset
KEY = ["model", "metric", "horizon_h", "setting"]
DIGITS = {  # measures other than shares
    "lead_time_h": 1, "lead_time_shuffled_h": 1, "alarms_per_100_patient_days": 1,
    "number_needed_to_evaluate": 1,
}  # fmt: skip
NO_HOUR = -1.0  # for a missing horizon: NaN cannot be looked up


@dataclass(frozen=True)
class Want:
    """
    A column of a table: the rows of the metrics that it shows.

    `title` is its heading, `note` is below; `horizon_h` is None in views without horizons.
    """

    title: str
    metric: str
    horizon_h: float | None = None
    setting: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, float, str]:
        """Measure, horizon and setting, as `indexed` rows have them."""
        return self.metric, NO_HOUR if self.horizon_h is None else self.horizon_h, self.setting


def models_of(metrics: pd.DataFrame) -> tuple[str, ...]:
    """Models with measures of their own, in their order."""
    alone = metrics.model[~metrics.model.str.contains(" - ", regex=False) & (metrics.model != "all")]
    return tuple(alone[alone.isin(metrics.model[metrics.metric == "prevalence"])].unique())


def models_table(
    rows: pd.DataFrame,
    models: Sequence[str],
    wants: Sequence[Want],
    *,
    name: str,
    caption: str,
    folded: bool = False,
) -> Table:
    """
    One row per model that has any of the numbers, one column for each of them that any model has.

    `rows` are of one group, and not of two views that share a measure.
    """
    found = indexed(rows)
    there = {(row.metric, row.horizon_h, row.setting) for row in found.reset_index().itertuples()}
    wants = [want for want in wants if want.key in there]
    made = []
    for model in models:
        cells = [_wanted(found, model, want) for want in wants]
        if any(cell.text != NOTHING for cell in cells):
            made.append((model_cell(model), *cells))
    columns = (Column(want.title, note=want.note) for want in wants)
    return Table(name, caption, (Column("Model", False), *columns), tuple(made), folded=folded)


def horizon_table(
    metrics: pd.DataFrame, metric: str, name: str = "", more: str = "", folded: bool = False
) -> Table:
    """
    A measure of every model by hours before onset, farthest first.

    `metrics` are fixed-horizon rows of all stays, of one setting. `name` replaces the table's own name,
    `more` is added to its caption.
    """
    setting = str(metrics.setting.iloc[0])
    wants = [Want(f"{h:g} h", metric, h, setting) for h in farthest_first(metrics)]
    caption = f"{CURVE_NAMES[metric]} by hours before onset{more}. {about(metrics)}"
    name = name or f"{metric}-by-hours"
    return models_table(metrics, models_of(metrics), wants, name=name, caption=caption, folded=folded)


def difference_table(metrics: pd.DataFrame, metric: str, alpha: float, folded: bool = False) -> Table:
    """
    Paired difference of every model from the reference, by hours before onset, farthest first. A cell is
    marked by its adjusted p value alone (`difference_cell`).
    """
    models = models_of(metrics)
    reference = reference_model(models)
    found = indexed(metrics)
    horizons = farthest_first(metrics)
    rows = []
    for model in models:
        if model != reference:
            pairs = [paired(found, model, reference, f"{metric}_difference", h) for h in horizons]
            cells = [Cell(NOTHING) if pair is None else difference_cell(pair, alpha) for pair in pairs]
            rows.append((model_cell(model), *cells))
    return Table(
        name=f"{metric}-difference",
        caption=f"Difference in {measure_in_text(metric)} from {in_text(reference)}, by hours before onset",
        columns=(Column("Model", False), *(Column(f"{h:g} h") for h in horizons)),
        rows=tuple(rows),
        folded=folded,
    )


def paired(
    found: pd.DataFrame, model: str, reference: str, metric: str, horizon: float, setting: str = ""
) -> pd.Series | None:
    """
    The row of `model` less `reference` in indexed rows, turned if it is there the other way round; None if
    the pair is missing.
    """
    for pair, way in ((f"{model} - {reference}", 1.0), (f"{reference} - {model}", -1.0)):
        key = (pair, metric, horizon, setting)
        if key in found.index:
            row = found.loc[key].copy()
            row["estimate"] = way * row.estimate + 0.0  # no minus before a zero
            row["low"], row["high"] = sorted((way * row.low, way * row.high))
            return row
    return None


def difference_cell(row: Any, alpha: float) -> Cell:
    """A difference, marked if its Holm-adjusted p value is at most `alpha`."""
    shown = row.p_holm <= alpha  # false without one
    sign = int(row.estimate > 0) - int(row.estimate < 0) if shown else 0
    estimate = float(row.estimate)
    return Cell(number(estimate, signed=True), interval(row.low, row.high, signed=True), sign, estimate)


def band_cell(row: Any) -> Cell:
    """The simultaneous band of an estimate."""
    text = interval(row.band_low, row.band_high)
    return Cell(text, key=float(row.band_low)) if text else Cell(NOTHING)


def about(metrics: pd.DataFrame) -> str:
    """Numbers of predictions and cases in a sentence."""
    row = metrics[metrics.metric == "prevalence"].iloc[0]
    return f"{int(row.n):,} predictions, {int(row.n_events):,} of cases, prevalence {number(row.estimate)}."


def population(setting: str) -> tuple[str, str]:
    """
    A setting without the prevalence it refers to, and that prevalence, "" for that of the rows themselves.

    >>> population("threshold 0.1, cohort prevalence"), population("platt"), population("prevalence 0.01")
    (('threshold 0.1', 'cohort prevalence'), ('platt', ''), ('', 'prevalence 0.01'))
    """
    base, _, name = setting.rpartition(", ")
    return (base, name) if name == COHORT or name.startswith("prevalence ") else (setting, "")


def measure_in_text(metric: str) -> str:
    """Name of a measure of `CURVE_NAMES` inside a sentence."""
    name = CURVE_NAMES[metric]
    return name if name.isupper() else name.lower()


def farthest_first(metrics: pd.DataFrame) -> list[float]:
    """The horizons."""
    return sorted((float(h) for h in metrics.horizon_h.dropna().unique()), reverse=True)


def indexed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows indexed by (model, metric, horizon_h, setting)."""
    return rows.assign(horizon_h=rows.horizon_h.fillna(NO_HOUR)).set_index(KEY).sort_index()


def _wanted(found: pd.DataFrame, model: str, want: Want) -> Cell:
    key = (model, *want.key)
    digits = DIGITS.get(want.metric, 3)
    return measure_cell(found.loc[key], digits) if key in found.index else Cell(NOTHING)


def measure_cell(row: Any, digits: int = 3) -> Cell:
    """An estimate with its interval."""
    if pd.isna(row.estimate):
        return Cell(NOTHING)
    value = float(row.estimate)
    return Cell(number(value, digits), interval(row.low, row.high, digits), key=value)


def model_cell(model: str) -> Cell:
    """A model as a row's heading, with its flag."""
    entry = entry_of(model)
    flag = "circular" if entry.circular else NEGATIVE_CONTROL if entry.kind == NEGATIVE_CONTROL else ""
    return Cell(model_name(model), flag, key=model_name(model))


def coverage_table(coverage: pd.DataFrame) -> Table:
    """Stays without a risk by model, horizons and reason; horizons with equal counts are joined."""
    by = coverage.assign(hours=[f"{h:g}" if pd.notna(h) else "" for h in coverage.horizon_h])
    rows = []
    for (model, reason, n, events), part in by.groupby(["model", "reason", "n", "n_events"], sort=False):
        name = "all models" if model == "all" else model_name(str(model))
        hours = ", ".join(h for h in part.hours if h) or "all"
        rows.append((Cell(name), Cell(hours), Cell(str(reason)), count_cell(n), count_cell(events)))
    words = (Column(t, numeric=False) for t in ("Model", "Hours before onset", "Reason"))
    return Table(
        name="without-risk",
        caption="Stays of the split without a risk, and stays that occur in only one of labels and scores; a "
        "stay can appear in several rows",
        columns=(*words, Column("Stays"), Column("Cases")),
        rows=tuple(rows),
    )
