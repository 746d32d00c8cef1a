"""
The tables of the page, ready to be printed: rows of text and counts, no markup.

Nothing here names a stay: every row is a count or a figure about many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sepsis.errors import ExportError
from sepsis.evaluation.risk_set import FALSIFIERS, RiskSet

MODEL_NAMES = {
    "mgp_tcn": "MGP-TCN",
    "dtw_knn": "DTW k-NN",
    "logistic": "Logistic regression",
    "clock": "Clock",
}
METRIC_NAMES = {"auprc": "AUPRC", "auroc": "AUROC"}
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Cell:
    """A figure as printed: `text`, its `interval` ("" if none), and whether the interval is off zero."""

    text: str
    interval: str = ""
    sign: int = 0


@dataclass(frozen=True)
class HorizonRow:
    """What is known at one horizon: counts, and one cell per model (or pair of models)."""

    hours: str
    n: int
    n_events: int
    prevalence: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FlowStep:
    """
    One step from the export to the risk set.

    Attributes
    ----------
    title : str
    n : int
        Stays at this step.
    n_events : int or None
        Those that reach onset; None before labels exist.
    lost : tuple of (reason, n)
        Who does not reach the next step.
    """

    title: str
    n: int
    n_events: int | None
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def n_controls(self) -> int | None:
        """Stays that do not reach onset."""
        return None if self.n_events is None else self.n - self.n_events


def model_name(model: str) -> str:
    """How the page calls a model: its published name, else its own."""
    return MODEL_NAMES.get(model, model)


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """
    A figure as text, a dash where there is none.

    Examples
    --------
    >>> number(0.51234), number(float("nan")), number(0.02, signed=True)
    ('0.512', '–', '+0.020')
    """
    if pd.isna(value):
        return "\N{EN DASH}"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, signed: bool = False) -> str:
    """An interval as text, "" where there is none."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"{number(low, signed=signed)} to {number(high, signed=signed)}"


def models_of(metrics: pd.DataFrame) -> tuple[str, ...]:
    """Models that have figures of their own, in their order in the table."""
    return tuple(metrics.model[metrics.metric == "prevalence"].unique())


def reference_model(models: tuple[str, ...]) -> str:
    """What the others are compared with: the first falsifier, else the last model."""
    return next((m for m in FALSIFIERS if m in models), models[-1])


def horizon_rows(metrics: pd.DataFrame, metric: str) -> list[HorizonRow]:
    """One row per horizon, farthest first; one cell per model."""
    names = models_of(metrics)
    return _rows(metrics, metric, [(name, 1.0) for name in names], signed=False)


def difference_rows(metrics: pd.DataFrame, metric: str) -> list[HorizonRow]:
    """One row per horizon, farthest first; one cell per model: how far it is above the reference."""
    models = models_of(metrics)
    reference = reference_model(models)
    pairs = set(metrics.model)
    compared = []
    for model in models:
        if model == reference:
            continue
        if f"{model} - {reference}" in pairs:
            compared.append((f"{model} - {reference}", 1.0))
        else:  # the table has the pair the other way round
            compared.append((f"{reference} - {model}", -1.0))
    return _rows(metrics, f"{metric}_difference", compared, signed=True)


def _rows(
    metrics: pd.DataFrame, metric: str, columns: list[tuple[str, float]], signed: bool
) -> list[HorizonRow]:
    """Cells of (model name, +1 or -1) in `columns` at each horizon."""
    keyed = metrics[metrics.group == "all"].set_index(["metric", "horizon_h", "model"]).sort_index()
    rows = []
    for horizon in sorted(metrics.horizon_h.unique(), reverse=True):
        cells = []
        for name, direction in columns:
            found = keyed.loc[(metric, horizon, name)]
            low, high = sorted((direction * found.low, direction * found.high))
            sign = int(low > 0) - int(high < 0) if signed else 0
            text = number(direction * found.estimate, signed=signed)
            cells.append(Cell(text, interval(low, high, signed), sign))
        prevalence = keyed.loc[("prevalence", horizon)].iloc[0]
        rows.append(
            HorizonRow(
                hours=f"{horizon:g}",
                n=int(prevalence.n),
                n_events=int(prevalence.n_events),
                prevalence=number(prevalence.estimate),
                cells=tuple(cells),
            )
        )
    return rows


def coverage_rows(coverage: pd.DataFrame) -> list[tuple[str, str, str, int, int]]:
    """(model, hours, reason, stays, cases); hours are joined where the same number is missing at each."""
    rows = []
    by = coverage.assign(hours=[f"{h:g}" if pd.notna(h) else "" for h in coverage.horizon_h])
    for (model, reason, n, events), part in by.groupby(["model", "reason", "n", "n_events"], sort=False):
        name = "every model" if model == "all" else model_name(str(model))
        rows.append((name, ", ".join(h for h in part.hours if h) or "all", str(reason), int(n), int(events)))
    return rows


def attrition_flow(
    attrition: pd.DataFrame,
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    risk_set: RiskSet,
    split: str | None,
) -> list[FlowStep]:
    """
    Every stay of the export, down to the stays of every figure.

    Raises
    ------
    ExportError
        If attrition and outcomes are not about the same stays.
    """
    included = attrition.included.fillna(False).astype(bool)
    labelled = outcomes[outcomes.included.fillna(False).astype(bool)]
    if len(attrition) != len(outcomes) or int(included.sum()) != len(labelled):
        raise ExportError(
            "attrition",
            f"{len(attrition):,} stays, {int(included.sum()):,} included",
            f"{len(outcomes):,} and {len(labelled):,}, as in the labels",
            "Give the attrition table that was written with the labels.",
        )
    cases = labelled.set_index("stay_id").is_case.astype(bool)
    place = _place_in_scores(scores, cases.index)
    judged = place.index.isin(risk_set.split_stay_id)
    place, outside = place[judged | (place.split != "")], place[~judged & (place.split == "")]
    elsewhere = place[~place.index.isin(risk_set.split_stay_id)].split
    elsewhere = (elsewhere + " split").where(elsewhere != split, "no prediction at these hours")
    left_out = tuple(
        (str(r), int(n)) for r, n in zip(risk_set.left_out.reason, risk_set.left_out.n, strict=True)
    )
    return [
        FlowStep("ICU stays in the export", len(attrition), None, _reasons(attrition.exclusion[~included])),
        FlowStep("Included by the labels", len(cases), int(cases.sum()), _reasons(outside.reason)),
        FlowStep("In the cohort", len(place), int(cases.loc[place.index].sum()), _reasons(elsewhere)),
        FlowStep(
            "Judged" if split is None else f"In the {split} split",
            len(risk_set.split_stay_id),
            int(risk_set.split_is_case.sum()),
            left_out,
        ),
        FlowStep("In every figure", len(risk_set.stay_id), int(risk_set.is_case.sum())),
    ]


def _place_in_scores(scores: pd.DataFrame, stays: pd.Index) -> pd.DataFrame:
    """split ("" outside the cohort) and reason of each labelled stay, indexed by stay_id."""
    first = scores.drop_duplicates("stay_id").set_index("stay_id")
    place = pd.DataFrame(
        {"split": first["split"].fillna("") if "split" in first else "", "reason": ""}, first.index
    )
    if "reason" in first:
        place["reason"] = first.reason.fillna("").replace("", "no reason given")
    place = place.reindex(stays)
    place["reason"] = place.reason.where(place.split.notna(), "not in the scores")
    return place.assign(split=place.split.fillna(""))


def _reasons(column: pd.Series) -> tuple[tuple[str, int], ...]:
    """(reason, stays), most stays first."""
    counts = column.fillna("").replace("", "no reason given").value_counts()
    return tuple(sorted(((str(r), int(n)) for r, n in counts.items()), key=lambda x: (-x[1], x[0])))


def manifest_sections(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """
    The run manifest as (heading, [(name, value)]): single facts first, then each section.

    Nested names are joined by dots.

    Examples
    --------
    >>> manifest_sections({"seed": 1, "versions": {"python": "3.11", "deep": {"er": [1, 2]}}})
    [('run', [('seed', '1')]), ('versions', [('python', '3.11'), ('deep.er', '1, 2')])]
    """
    single = [(k, _plain(v)) for k, v in manifest.items() if not isinstance(v, Mapping)]
    sections = [("run", single)] if single else []
    sections += [(k, list(_flat(v))) for k, v in manifest.items() if isinstance(v, Mapping) and v]
    return sections


def _flat(values: Mapping[str, Any], prefix: str = ""):
    """(dotted name, value as text) of everything in nested mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _plain(value)


def _plain(value: Any) -> str:
    """A JSON value as a reader would write it."""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_plain(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if value is None or value == "":
        return "\N{EN DASH}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
