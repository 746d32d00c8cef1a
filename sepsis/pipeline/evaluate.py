"""
From score files and a labels folder to the report folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from sepsis.core.config import SPLITS, EvaluateSettings
from sepsis.core.errors import ExportError, SettingsError
from sepsis.core.files import check_folder
from sepsis.core.provenance import frame_hash, manifest
from sepsis.core.work import locked
from sepsis.evaluation import AlarmRules, Evaluation, EvaluationSettings, evaluate_all
from sepsis.labels.store import LabelFolder
from sepsis.report import Context, write_report
from sepsis.report.elements import Chart
from sepsis.report.names import styles
from sepsis.report.score_files import ScoreFiles, read_score_files
from sepsis.report.tables import models_of
from sepsis.report.timeline import timeline_chart

MADE_UP_NOTE = "The records are made up; so is the single stay that is shown."
NO_SPLIT_NOTE = "The scores know of no split: every scored stay is judged, whoever a model was fitted on."


def evaluate_files(
    score_files: Sequence[Path],
    labels: LabelFolder,
    out: str | Path,
    settings: EvaluateSettings,
    run: dict[str, Any],
    *,
    groups_file: Path | None = None,
    made_up: bool = False,
) -> Path:
    """
    Judge score files together and write the report folder; returns the page.

    Parameters
    ----------
    score_files : sequence of Path
        At fixed hours, hour by hour, or both; of any model (`sepsis.report.score_files`).
    run : dict
        Settings of the run around it, for the manifest.
    groups_file : Path, optional
        CSV or Parquet with stay_id and columns to make groups of, besides age and sex of the export.
    made_up : bool
        Whether the records are nobody's, so that a single stay may be shown.

    Raises
    ------
    ExportError
        If files cannot be read or do not belong together.
    SettingsError
        If no stay of the split that is asked for has a risk.
    """
    check_folder(out, "report")
    with locked(out):
        files = read_score_files(score_files, labels.manifest["onset_hash"])
        split = judged_split(files.scores, settings.split)
        chosen = evaluation_settings(settings, split)
        outcomes = with_groups(labels, groups_file)
        evaluation = evaluate_all(files.scores, outcomes, chosen)
        timeline = one_stay(files.scores, labels.onset, evaluation) if settings.show_stay or made_up else None
        note = _manifest(
            files, labels, {"evaluate": {**asdict(settings), "split": split}, **run}, settings.seed
        )
        context = Context(
            manifest=note,
            split=split,
            level=settings.level,
            cards=files.cards,
            timeline=timeline,
            notes=[
                *([MADE_UP_NOTE] if made_up else []),
                *([NO_SPLIT_NOTE] if split is None else []),
                *hourly_note(files.scores, split),
                *files.notes,
            ],
        )
        return write_report(evaluation, files.scores, outcomes, labels.attrition, out, context)


def hourly_note(scores: pd.DataFrame, split: str | None) -> list[str]:
    """What to say where fewer stays have a risk at every hour than at fixed ones."""
    rows = scores[scores.risk.notna() & (scores.split == split if split else True)]
    hourly, fixed = (rows[gap].stay_id.nunique() for gap in (rows.horizon_h.isna(), rows.horizon_h.notna()))
    if not hourly or hourly >= fixed:
        return []
    return [f"{hourly:,} of the {fixed:,} judged stays were scored hour by hour; alarms are about these."]


def _manifest(files: ScoreFiles, labels: LabelFolder, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """What made the figures."""
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


def judged_split(scores: pd.DataFrame, asked: str) -> str | None:
    """
    The share of the cohort to judge.

    "auto" is the test split, or "external" where no stay with a risk is of a split of the model's own,
    or everything (None) where the scores know of no split.

    Raises
    ------
    SettingsError
        If no stay of the split has a risk, naming those that have.
    """
    there = set(scores[scores.risk.notna()].split) - {""}
    if asked == "auto" and not there:
        return None
    wanted = ("external" if there == {"external"} else "test") if asked == "auto" else asked
    if wanted not in there:
        raise SettingsError(
            "[evaluate] split",
            f"no stay of the {wanted} split has a risk",
            " or ".join(name for name in sorted(SPLITS) if name in there) or "scores that know their splits",
            "Choose one of them with --split, or score again.",
        )
    return wanted


def evaluation_settings(settings: EvaluateSettings, split: str | None) -> EvaluationSettings:
    """Settings of a pipeline or command as the evaluation takes them."""
    return EvaluationSettings(
        split=split,
        control_reference=settings.control_reference,
        controls_at_risk=settings.controls_at_risk,
        windows_h=settings.windows_h,
        recalls=settings.recalls,
        alert_budgets=settings.alert_budgets,
        alarm=AlarmRules(
            silence_h=settings.silence_h,
            window_h=settings.alarm_window_h,
            max_alarms=settings.max_alarms or None,
        ),
        censor=settings.censor,
        groups=settings.groups,
        min_group_stays=settings.min_group_stays,
        min_group_events=settings.min_group_events,
        target_prevalence=settings.target_prevalence or None,
        net_benefit_thresholds=settings.net_benefit_thresholds,
        n_bootstrap=settings.n_bootstrap,
        level=settings.level,
        random_state=settings.seed,
    )


def with_groups(labels: LabelFolder, groups_file: Path | None) -> pd.DataFrame:
    """
    The outcomes with what groups can be made of: age, sex and charting system of the export, where it was
    kept beside the labels, and the columns of a table that the user brings.

    Raises
    ------
    ExportError
        If that table has no stay_id, or lists a stay twice.
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
            groups_file.name, "no column stay_id, or a stay twice", "one row per stay", "Correct it."
        )
    brought = brought.drop(columns="subject_id", errors="ignore")
    clash = [c for c in brought if c != "stay_id" and c in labels.onset]
    if clash:
        raise ExportError(groups_file.name, f"{', '.join(clash)} are columns of the labels", "other names")
    outcomes = outcomes.drop(columns=[c for c in brought if c != "stay_id"], errors="ignore")
    return outcomes.merge(brought, on="stay_id", how="left")


def _read(file: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A small table of CSV or Parquet."""
    if not file.is_file():
        raise ExportError(file.name, "no such file", "a CSV or Parquet file", "Check the path.")
    try:
        return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file, columns=columns)
    except (ValueError, OSError, pa.ArrowException):
        raise ExportError(file.name, "not readable", "a CSV or Parquet file", "Check the path.") from None


def one_stay(scores: pd.DataFrame, onset: pd.DataFrame, evaluation: Evaluation) -> Chart | None:
    """The alarms of one case of the judged split; None where there are no hourly risks."""
    split = evaluation.settings.split
    hours = scores[scores.horizon_h.isna() & scores.risk.notna()]
    hours = hours if split is None else hours[hours.split == split]
    cases = onset[onset.is_case & onset.included].set_index("stay_id").onset_h
    looks = styles(models_of(evaluation.metrics))
    return timeline_chart(hours, cases, evaluation.thresholds, looks, evaluation.settings.alarm)
