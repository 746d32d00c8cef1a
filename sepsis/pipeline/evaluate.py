"""The stage `evaluate`: score files and labels go in, measures and the report folder come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from sepsis.core.errors import ExportError
from sepsis.core.files import check_folder
from sepsis.core.provenance import frame_hash, manifest
from sepsis.core.work import locked
from sepsis.evaluation import Evaluation, EvaluationSettings, evaluate_all
from sepsis.labels.store import LabelFolder, read_labels
from sepsis.report import Context, write_report
from sepsis.report.elements import Chart
from sepsis.report.names import styles
from sepsis.report.score_files import ScoreFiles, read_score_files
from sepsis.report.tables import models_of
from sepsis.report.timeline import timeline_chart

MADE_UP_NOTE = "The records are synthetic, including the single stay that is shown."


def evaluate(
    scores: pd.DataFrame | Path | str | Sequence[Path | str],
    labels: LabelFolder | pd.DataFrame | Path | str,
    settings: EvaluationSettings | None = None,
    *,
    groups: Path | None = None,
    **changes: Any,
) -> Evaluation:
    """
    Evaluate scores of any models: the measures of `sepsis evaluate`, without the report.

    Parameters
    ----------
    scores : DataFrame, path or sequence of paths
        A table as `sepsis.evaluation.evaluate_all` reads it, or score files.
    labels : LabelFolder, path or DataFrame
        A folder written by `sepsis label`, or a table of outcomes.
    groups : path, optional
        With a labels folder: CSV or Parquet with stay_id and further columns to make groups of.
    **changes
        Single settings by name.

    Raises as `sepsis.evaluation.evaluate_all`; ExportError also if files cannot be read or do not belong
    together.

    Examples
    --------
    >>> outcomes = pd.DataFrame({"stay_id": range(8), "subject_id": range(8), "is_case": [True, False] * 4,
    ...                          "onset_h": [9.0, None] * 4, "included": True, "exclusion": ""})
    >>> scores = pd.DataFrame([{"stay_id": s, "subject_id": s, "time_h": t, "risk": (t + s % 2) / 20}
    ...                        for s in range(8) for t in range(1, 13)])
    >>> sorted(evaluate(scores, outcomes, horizons=[0, 1], n_bootstrap=0).metrics.view.unique())
    ['alarm', 'calibration', 'continuous', 'horizon', 'landmark', 'net_benefit', 'utility']
    """
    folder = read_labels(labels) if isinstance(labels, str | Path) else labels
    onset_hash = None if isinstance(folder, pd.DataFrame) else folder.manifest["onset_hash"]
    if not isinstance(scores, pd.DataFrame):
        paths = [scores] if isinstance(scores, str | Path) else scores
        scores = read_score_files([Path(path) for path in paths], onset_hash).scores
    outcomes = folder if isinstance(folder, pd.DataFrame) else with_groups(folder, groups)
    return evaluate_all(scores, outcomes, settings, **changes)


def evaluate_files(
    score_files: Sequence[Path],
    labels: LabelFolder,
    out: str | Path,
    settings: EvaluationSettings,
    run: dict[str, Any],
    *,
    groups_file: Path | None = None,
    made_up: bool = False,
) -> Path:
    """
    Evaluate score files together and write the report folder; returns its page.

    Files are at fixed hours, hour by hour, or both; of any model (`sepsis.report.score_files`). `run` has
    further settings for the manifest. `groups_file` is CSV or Parquet with stay_id and further columns to
    make groups of. `made_up`: the records are synthetic, so a single stay may be shown.

    Raises ExportError if files cannot be read or do not belong together, SettingsError if no stay of the
    split has a risk.
    """
    check_folder(out, "report")
    with locked(out):
        files = read_score_files(score_files, labels.manifest["onset_hash"])
        outcomes = with_groups(labels, groups_file)
        evaluation = evaluate(files.scores, outcomes, settings)
        split = evaluation.settings.split
        timeline = one_stay(files.scores, labels.onset, evaluation) if settings.show_stay or made_up else None
        notes = [MADE_UP_NOTE] * made_up + hourly_note(files.scores, split) + files.notes
        facts = _manifest(files, labels, {"evaluate": asdict(evaluation.settings), **run}, settings.seed)
        context = Context(
            manifest=facts,
            split=split,
            cards=files.cards,
            timeline=timeline,
            notes=notes,
            design=files.design,
            reasons=files.reasons,
        )
        return write_report(evaluation, files.scores, outcomes, labels.attrition, out, context)


def hourly_note(scores: pd.DataFrame, split: str | None) -> list[str]:
    """A note if fewer stays have hourly risks than risks at fixed hours."""
    rows = scores[scores.risk.notna() & (scores.split == split if split else True)]
    hourly, fixed = (rows[gap].stay_id.nunique() for gap in (rows.horizon_h.isna(), rows.horizon_h.notna()))
    if not hourly or hourly >= fixed:
        return []
    return [f"{hourly:,} of the {fixed:,} evaluated stays were scored hour by hour; alarms are about these."]


def _manifest(files: ScoreFiles, labels: LabelFolder, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    return manifest(
        "report",
        settings=settings,
        inputs={"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"],
                "scores": frame_hash(files.scores)},
        definition=labels.manifest["definition"],
        export_kind=labels.manifest["export_kind"],
        split_hash=files.split_hash,
        seed=seed,
        models=files.models,
    )  # fmt: skip


def with_groups(labels: LabelFolder, groups_file: Path | None) -> pd.DataFrame:
    """
    The outcomes with columns for subgroups: age, sex and charting system of the export, where its events were
    kept with the labels, and the columns of the user's table.

    Raises ExportError if that table has no stay_id, or a stay twice.
    """
    outcomes = labels.onset
    kept = labels.path / "events" / "stays.parquet"
    if kept.is_file():
        outcomes = outcomes.merge(_read(kept, ["stay_id", "age", "sex", "system"]), on="stay_id", how="left")
    if groups_file is None:
        return outcomes
    brought = _read(groups_file)
    if "stay_id" not in brought or brought.stay_id.duplicated().any():
        raise ExportError(
            groups_file.name, "has no column stay_id, or a duplicate stay", "one row per stay", "Correct it."
        )
    brought = brought.drop(columns="subject_id", errors="ignore")
    clash = [c for c in brought if c != "stay_id" and c in labels.onset]
    if clash:
        raise ExportError(groups_file.name, f"{', '.join(clash)} are columns of the labels", "other names")
    outcomes = outcomes.drop(columns=[c for c in brought if c != "stay_id"], errors="ignore")
    return outcomes.merge(brought, on="stay_id", how="left")


def _read(file: Path, columns: list[str] | None = None) -> pd.DataFrame:
    if not file.is_file():
        raise ExportError(file.name, "no such file", "a CSV or Parquet file", "Check the path.")
    try:
        return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file, columns=columns)
    except (ValueError, OSError, pa.ArrowException):
        raise ExportError(file.name, "not readable", "a CSV or Parquet file", "Check the path.") from None


def one_stay(scores: pd.DataFrame, onset: pd.DataFrame, evaluation: Evaluation) -> Chart | None:
    """The alarms of one case of the evaluated split; None without hourly risks."""
    split = evaluation.settings.split
    hours = scores[scores.horizon_h.isna() & scores.risk.notna()]
    hours = hours if split is None else hours[hours.split == split]
    cases = onset[onset.is_case & onset.included].set_index("stay_id").onset_h
    looks = styles(models_of(evaluation.metrics))
    return timeline_chart(hours, cases, evaluation.thresholds, looks, evaluation.settings.alarm)
