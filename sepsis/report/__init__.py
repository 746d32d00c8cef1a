"""
The report: one page that works offline, and every number in it beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis import schema
from sepsis.errors import ExportError, NothingLeftError
from sepsis.evaluation import RiskSet, constant_risk_set
from sepsis.report import page, tables
from sepsis.report.summary import summary

__all__ = ["write_report"]

KIND = "report"  # in the manifest: an earlier report may be replaced, nothing else


def write_report(
    metrics: pd.DataFrame,
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    attrition: pd.DataFrame,
    manifest: Mapping[str, Any],
    out: str | Path,
    *,
    split: str | None = "test",
    level: float = 0.95,
) -> Path:
    """
    Write the report folder, whole or not at all.

    Reads    metrics (of `evaluate_scores`), scores and outcomes it was computed from,
             attrition(stay_id, included, is_case, exclusion), one row per stay of the export
    Writes   index.html; summary.md (the same figures as text); metrics.parquet, metrics.csv,
             metrics.json (everything on the page), coverage.csv, attrition.csv, manifest.json

    Parameters
    ----------
    manifest : mapping
        What made the figures: settings, hashes of the inputs, versions, seed. Shown on the page.
    out : str or Path
        Folder; replaced if it is empty or an earlier report.
    split, level
        As given to `evaluate_scores`.

    Returns
    -------
    path : Path
        Of index.html.

    Raises
    ------
    UsageError
        If `out` holds something else, or cannot be written.
    ExportError
        If the tables break their contracts or do not belong together.
    NothingLeftError
        If `metrics` has no figure at a fixed horizon.
    """
    metrics = schema.check_table(metrics, "metrics")
    shown = metrics[(metrics.view == "horizon") & (metrics.group == "all")]
    if shown.empty:
        raise NothingLeftError(
            "metrics", "no figure at a fixed horizon", todo="Evaluate scores that have some."
        )
    risk_set = constant_risk_set(scores, outcomes, split=split, horizons=shown.horizon_h.unique())
    _check_same_stays(shown, risk_set)
    flow = tables.attrition_flow(attrition, scores, outcomes, risk_set, split)
    manifest = {**manifest, "kind": KIND}
    html = page.render(shown, risk_set, flow, manifest, split=split, level=level)
    text = summary(shown, risk_set, flow, manifest, split=split, level=level)
    with schema.whole_folder(out, KIND) as folder:
        (folder / "index.html").write_text(html, encoding="utf-8")
        (folder / "summary.md").write_text(text, encoding="utf-8")
        _write_numbers(folder, metrics, risk_set.coverage, flow, manifest)
    return Path(out) / "index.html"


def _check_same_stays(metrics: pd.DataFrame, risk_set: RiskSet) -> None:
    """Raise unless the metrics are about the stays of these scores."""
    found = set(zip(metrics.n, metrics.n_events, strict=True))
    expected = (len(risk_set.stay_id), int(risk_set.is_case.sum()))
    if found != {expected} or tables.models_of(metrics) != risk_set.models:
        raise ExportError(
            "metrics",
            f"not computed from the {expected[0]:,} stays, {expected[1]:,} cases and "
            f"{len(risk_set.models)} models of these scores",
            "metrics of the same scores, labels and split",
            "Evaluate again.",
        )


def _write_numbers(folder: Path, metrics, coverage, flow: list[tables.FlowStep], manifest: dict) -> None:
    """Every number of the page as tables and as JSON."""
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
    everything = {
        "metrics": _records(metrics),
        "coverage": _records(coverage),
        "attrition": _records(attrition),
        "manifest": manifest,
    }
    schema.write_json(everything, folder / "metrics.json")
    schema.write_json(manifest, folder / schema.MANIFEST)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON can hold them, gaps as null."""
    return json.loads(table.to_json(orient="records", double_precision=15))
