"""
The report: one page that works offline, with every number on it in files beside it.

In: an `Evaluation`, its scores and outcomes. Out: a folder with index.html, tables and figures as CSV. Open
`page` first: it fills `page.html.j2`. `sections` lists the parts in order; each part is a function in
`primary`, `horizon_sections`, `hourly_sections`, `risk_sections` or `study_sections` that builds tables
(`tables`, `view_tables`, `study_tables`) and figures (`figures`, `landmark_figures`, `alarm_figures`,
`risk_figures`, `forest`, `timeline`). `how.html.j2` explains the measures.

`primary` alone may say that models differ, and only by a p value adjusted for all pairs; keep it so. Words,
tables and figures may be changed freely: nothing here computes a measure. Names, kinds and order of
models come from `sepsis.models.registry`; `names` gives each its colour and symbol. `comparison` is the page
of `sepsis compare`. Text from score files and model cards is escaped; keep it so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sepsis.calibration.recalibration import maps_as_json
from sepsis.core import files as outputs
from sepsis.core import schema
from sepsis.core.errors import ExportError, NothingLeftError
from sepsis.evaluation.risk_set import RiskSet
from sepsis.report.context import Results
from sepsis.report.elements import Chart
from sepsis.report.flow import FlowStep, attrition_flow
from sepsis.report.page import Page
from sepsis.report.sections import sections
from sepsis.report.study_tables import late_controls
from sepsis.report.summary import summary
from sepsis.report.tables import models_of

if TYPE_CHECKING:
    from sepsis.evaluation import Evaluation

__all__ = ["Context", "write_report"]

KIND = "report"  # in the manifest: an earlier report may be replaced, nothing else
FIGURES = "figures"  # folder of the figures' numbers
RECALIBRATION = "recalibration.json"


@dataclass(frozen=True, eq=False)
class Context:
    """
    What the page needs besides the evaluation.

    `manifest` is the provenance shown on the page: settings, hashes of the inputs, versions, seed. `cards`
    are Markdown by model. `timeline` shows one stay: None unless that is allowed. `notes` are caveats, in
    addition to those of the evaluation. `design` is how controls were drawn, "" if unknown; `reasons` say by
    stay why it has no prediction at a fixed horizon.
    """

    manifest: Mapping[str, Any]
    split: str | None = "test"
    cards: Mapping[str, str] = field(default_factory=dict)
    timeline: Chart | None = None
    notes: Sequence[str] = ()
    design: str = ""
    reasons: Mapping[int, str] = field(default_factory=dict)


def write_report(
    evaluation: Evaluation,
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    attrition: pd.DataFrame,
    out: str | Path,
    context: Context,
) -> Path:
    """
    Write the report folder, whole or not at all; returns the path of index.html.

    Reads    evaluation (of `evaluate_all`), the scores and outcomes it was computed from,
             attrition(stay_id, included, is_case, exclusion), one row per stay of the export
    Writes   index.html; summary.md (the main tables as text); metrics.parquet, metrics.csv, metrics.json
             (every number on the page), coverage.csv, attrition.csv, manifest.json; figures/NAME.csv, the
             data of each figure; recalibration.json, if maps could be fitted
             (`sepsis.evaluation.read_recalibrations`)
    Raises   UsageError if `out` holds something other than an earlier report, or cannot be written;
             ExportError if the tables break their contracts or do not belong together; NothingLeftError if
             there are no metrics
    """
    metrics = schema.check_table(evaluation.metrics, "metrics")
    if metrics.empty:
        raise NothingLeftError("metrics", "no row", todo="Evaluate scores with risks of cases and controls.")
    results = replace(Results.of(evaluation, context.timeline, context.design), metrics=metrics)
    risk_set = evaluation.risk_set
    if risk_set is not None:
        _check_same_stays(results, risk_set)
    flow = attrition_flow(
        attrition, scores, outcomes, risk_set, context.split,
        hourly_stays=evaluation.hourly_stays, reasons=context.reasons,
    )  # fmt: skip
    manifest = {**context.manifest, "kind": KIND}
    notes = [*context.notes, *evaluation.notes, *late_controls(results.table("time_left"))]
    page = Page(
        results, sections(results), risk_set, evaluation.coverage, flow, manifest, notes, context.cards,
        context.split,
    )  # fmt: skip
    text = summary(page)
    with outputs.whole_folder(out, KIND) as folder:
        (folder / "summary.md").write_text(text, encoding="utf-8")
        files = _write_numbers(folder, metrics, evaluation.coverage, flow, manifest, page.charts, notes)
        if evaluation.recalibrations:
            maps = {"maps": maps_as_json(evaluation.recalibrations), "manifest": manifest}
            outputs.write_json(maps, folder / RECALIBRATION)
            files.append(RECALIBRATION)
        (folder / "index.html").write_text(page.render(files), encoding="utf-8")
    return Path(out) / "index.html"


def _check_same_stays(results: Results, risk_set: RiskSet) -> None:
    rows = results.horizon[results.horizon.metric == "prevalence"]
    found = set(zip(rows.n, rows.n_events, strict=True))
    expected = (len(risk_set.stay_id), int(risk_set.is_case.sum()))
    if found != {expected} or models_of(rows) != risk_set.models:
        raise ExportError(
            "metrics",
            f"not computed from the {expected[0]:,} stays, {expected[1]:,} cases and "
            f"{len(risk_set.models)} models of these scores",
            "metrics of the same scores, labels and split",
            "Evaluate again.",
        )


def _write_numbers(
    folder: Path,
    metrics: pd.DataFrame,
    coverage: pd.DataFrame,
    flow: list[FlowStep],
    manifest: dict[str, Any],
    charts: list[Chart],
    notes: list[str],
) -> list[str]:
    rows = [
        row
        for s in flow
        for row in [(s.title, "", s.n, s.n_events), *((s.title, r, n, None) for r, n in s.lost)]
    ]
    attrition = pd.DataFrame(rows, columns=["step", "lost_to", "n", "n_events"]).astype({"n_events": "Int64"})
    schema.write_table(metrics, folder / "metrics.parquet", "metrics", manifest)
    metrics.to_csv(folder / "metrics.csv", index=False)
    coverage.to_csv(folder / "coverage.csv", index=False)
    attrition.to_csv(folder / "attrition.csv", index=False)
    (folder / FIGURES).mkdir()
    for chart in charts:
        (folder / FIGURES / f"{chart.name}.csv").write_text(chart.csv, encoding="utf-8")
    everything = {
        "metrics": _records(metrics),
        "coverage": _records(coverage),
        "attrition": _records(attrition),
        "figures": {chart.name: _records(chart.numbers) for chart in charts},
        "notes": notes,
        "manifest": manifest,
    }
    outputs.write_json(everything, folder / "metrics.json")
    outputs.write_json(manifest, folder / outputs.MANIFEST)
    fixed = [
        "metrics.csv", "metrics.json", "metrics.parquet", "coverage.csv", "attrition.csv", "manifest.json",
    ]  # fmt: skip
    return fixed + [f"{FIGURES}/{chart.name}.csv" for chart in charts]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records", double_precision=15))
