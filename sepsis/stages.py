"""
The single stages: each reads what the one before wrote, calls its room, and writes its own output.

The commands call them one at a time, `sepsis.run` all of them in order.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sepsis.cohort import select_cohort
from sepsis.config import (
    CohortSettings,
    EvaluateSettings,
    ExportSettings,
    ScoreSettings,
    TrainSettings,
)
from sepsis.errors import ExportError, NothingLeftError, SettingsError, UsageError
from sepsis.evaluation import evaluate_scores
from sepsis.events import extract_events
from sepsis.events.concepts import load_vocabulary
from sepsis.events.extraction import extract_parts
from sepsis.events.parts import PART_STAYS
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.models.registry import model_class
from sepsis.report import write_report
from sepsis.schema import (
    check_file,
    check_folder,
    frame_hash,
    manifest,
    read_facts,
    read_table,
    versions,
    whole_folder,
    write_table,
)
from sepsis.scoring import score_horizons, score_hourly
from sepsis.sources import open_export
from sepsis.sources.base import Source
from sepsis.training import Trained, train_model, write_model


def open_source(settings: ExportSettings) -> Source:
    """The export of a pipeline or command, opened; nothing is read yet."""
    subset = {"limit": settings.limit, "seed": settings.limit_seed} if settings.limit else {}
    return open_export(
        settings.path, kind=settings.kind or None, engine=settings.engine, schemas=settings.schemas, **subset
    )


def label_export(
    source: Source,
    out: str | Path,
    *,
    preset: str,
    switches: dict[str, Any],
    part_stays: int | None = PART_STAYS,
) -> LabelFolder:
    """
    Read an export, derive its labels, write the labels folder: whole or not at all.

    Parameters
    ----------
    part_stays : int, optional
        Stays that are labelled at a time: decides the memory it takes, and no label.
    """
    definition = load_preset(preset, **switches)
    check_folder(out, "labels")
    source.require_usable()
    with whole_folder(out, "labels") as temporary:
        fingerprint = source.fingerprint()
        with TemporaryDirectory(dir=temporary) as aside:
            parts = extract_parts(source, Path(aside), detail=definition.reads_detail, part_stays=part_stays)
            write_labels(parts, definition, temporary, kind=source.kind, fingerprint=fingerprint)
    return read_labels(out)


def events_of(source: Source, labels: LabelFolder | None) -> Events:
    """
    The events of an export: those kept beside its labels, or read now.

    Raises
    ------
    ExportError
        If the labels were made from another export.
    """
    if labels is None:
        source.require_usable()
        return extract_events(source)
    fingerprint = source.fingerprint()
    if labels.manifest["inputs"]["export"] != fingerprint:
        raise ExportError(
            str(labels.path), "the labels were made from another export, or the export has changed",
            "labels of this export", "Label it again.",
        )  # fmt: skip
    if stored_fingerprint(labels.path / "events") == fingerprint:
        return load_events(labels.path / "events")
    source.require_usable()
    return extract_events(source)


def concept_set(name: str) -> list[str]:
    """The variables of a named set of the vocabulary."""
    return list(load_vocabulary().set(name))


def train_one(
    events: Events,
    labels: LabelFolder,
    cohort: pd.DataFrame,
    out: str | Path,
    *,
    model: str,
    model_settings: dict[str, Any],
    cohort_settings: CohortSettings,
    settings: TrainSettings,
) -> None:
    """
    Fit one model on a cohort and write its folder.

    What a long training keeps lies beside it in `.NAME.training` until the folder is written: the same
    command goes on from there.
    """
    check_folder(out, "model")
    beside = Path(out).resolve()
    beside = beside.with_name(f".{beside.name}.training")
    given = {"random_state": settings.seed} if "random_state" in model_class(model)().get_params() else {}
    fitted = train_model(
        events.events, cohort, concept_set(settings.concept_set),
        model=model, model_settings={**given, **model_settings}, settings=settings, work_dir=beside,
    )  # fmt: skip
    write_model(
        fitted, cohort, out,
        cohort_settings=cohort_settings, settings=settings,
        labels_manifest=labels.manifest, seed=settings.seed,
    )  # fmt: skip
    shutil.rmtree(beside, ignore_errors=True)


def splits_seen(trained: Trained, fingerprint: str) -> pd.Series | None:
    """
    Split of each subject when the model was fitted, if it was fitted on the export of this fingerprint.

    Labels of another definition make other cases of the same people: who was trained on stays known.
    """
    if trained.manifest["inputs"]["export"] != fingerprint:
        return None
    members = trained.cohort[trained.cohort.in_cohort]
    return members.drop_duplicates("subject_id").set_index("subject_id").split


def scoring_cohort(
    trained: Trained, labels: LabelFolder, events: Events, horizons: tuple[float, ...]
) -> pd.DataFrame:
    """
    Whom to score before a reference: the model's own cohort for the labels it was fitted on; for other
    labels a cohort by the same settings.

    People the model was fitted, tuned or tested on keep their split; all others are "external".

    Raises
    ------
    SettingsError
        If a horizon is farther than the cohort's, so that stays would lack the history.
    """
    settings = CohortSettings(**trained.manifest["settings"]["cohort"])
    if max(horizons) > settings.horizon_max_h:
        raise SettingsError(
            "--horizons",
            f"go to {max(horizons):g} h",
            f"at most {settings.horizon_max_h:g} h, as the model's cohort",
            "Train with a larger cohort.horizon_max_h.",
        )
    if trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    cohort = select_cohort(labels.onset, events.events, concepts, settings, split=False)
    seen = splits_seen(trained, labels.manifest["inputs"]["export"])
    if seen is not None:
        known = cohort.subject_id.map(seen)
        cohort["split"] = cohort.split.where(~cohort.in_cohort | known.isna(), known)
    return cohort


def score_export(
    source: Source,
    trained: Trained,
    out: str | Path,
    *,
    labels: LabelFolder | None,
    horizons: tuple[float, ...] | None,
    splits: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Risks of every stay at horizons before the reference (needs labels) or at every hour."""
    if horizons is not None and labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    check_file(out)
    events = events_of(source, labels)
    if horizons is None:
        scores = _score_hourly(trained, events, labels, source.fingerprint())
    else:
        ScoreSettings(horizons=horizons, splits=splits)  # misspelt splits are refused
        assert labels is not None
        cohort = scoring_cohort(trained, labels, events, horizons)
        scores = score_horizons(trained.model, events.events, cohort, horizons=horizons, splits=splits)
    if scores.risk.isna().all():
        reasons = "; ".join(f"{n} x {why}" for why, n in scores.reason.value_counts().head(3).items())
        raise NothingLeftError(
            "sepsis score", f"no stay gets a risk ({reasons})", "at least one", "See --split."
        )
    inputs = {"export": source.fingerprint(), "onset": labels.manifest["onset_hash"] if labels else None}
    settings = {"horizons": horizons, "splits": splits, "hourly": horizons is None}
    write_scores(scores, out, trained, inputs=inputs, settings=settings)
    return scores


def _score_hourly(trained: Trained, events: Events, labels: LabelFolder | None, fingerprint: str):
    """Hourly risks, with the splits and references that are known."""
    own = labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]
    if own:
        return score_hourly(trained.model, events.events, events.stays, trained.cohort)
    scores = score_hourly(trained.model, events.events, events.stays)
    seen = splits_seen(trained, fingerprint)
    if seen is not None:
        scores["split"] = scores.subject_id.map(seen).fillna("external")
    return scores


def write_scores(
    scores: pd.DataFrame,
    out: str | Path,
    trained: Trained,
    *,
    inputs: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """
    One Parquet file that carries what made the risks.

    Parameters
    ----------
    inputs : dict
        Fingerprint of the export that was scored, and hash of the onsets the horizons count from (None
        for hourly scores without labels).
    settings : dict
        Horizons and splits that were asked for.
    """
    facts = trained.manifest
    write_table(
        scores, out, "scores",
        {
            "model": facts["settings"]["model"],
            "settings": settings,
            "inputs": inputs,
            "versions": versions(),
            "split_hash": facts["split_hash"],
            "seed": facts["seed"],
            "definition": facts["definition"],
            "fitted": {key: facts[key] for key in ("settings", "inputs", "versions")},
        },
    )  # fmt: skip


def judged_split(scores: pd.DataFrame, asked: str) -> str:
    """
    The share of the cohort to judge.

    "auto" is the test split, or "external" where no stay with a risk is of a split of the model's own.

    Raises
    ------
    SettingsError
        If no stay of the split has a risk, naming those that have.
    """
    there = set(scores[scores.risk.notna()].split) - {""}
    wanted = ("external" if there == {"external"} else "test") if asked == "auto" else asked
    if wanted not in there:
        raise SettingsError(
            "[evaluate] split",
            f"no stay of the {wanted} split has a risk",
            " or ".join(sorted(there)) or "scores",
            "Choose one of them with --split, or score again.",
        )
    return wanted


def evaluate_files(
    score_files: list[Path],
    labels: LabelFolder,
    out: str | Path,
    settings: EvaluateSettings,
    run: dict[str, Any],
) -> Path:
    """Judge score files together and write the report folder; returns the page."""
    check_folder(out, "report")
    scores = pd.concat([read_table(f, "scores") for f in score_files], ignore_index=True)
    facts = [read_facts(f) for f in score_files]
    splits = sorted({str(f.get("split_hash", "unknown")) for f in facts})
    if len(splits) > 1:
        raise ExportError(
            ", ".join(f.name for f in score_files), "the models were fitted on different splits",
            "scores of one cohort", "Train them with the same labels, settings and seed.",
        )  # fmt: skip
    onset = labels.manifest["onset_hash"]
    for file, fact in zip(score_files, facts, strict=True):
        if fact.get("inputs", {}).get("onset") not in (None, onset):
            raise ExportError(
                file.name, "the horizons count from other labels than these", "scores made with these labels",
                "Score again with --labels, or give the labels that were scored with.",
            )  # fmt: skip
    judged = judged_split(scores, settings.split)
    metrics = evaluate_scores(
        scores, labels.onset, split=judged, n_bootstrap=settings.n_bootstrap,
        level=settings.level, random_state=settings.seed,
    )  # fmt: skip
    note = manifest(
        "report",
        settings={"evaluate": {**asdict(settings), "split": judged}, **run},
        inputs={"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"],
                "scores": frame_hash(scores)},
        definition=labels.manifest["definition"],
        export_kind=labels.manifest["export_kind"],
        split_hash=splits[0],
        seed=settings.seed,
        models={str(f.get("model", "unknown")): f.get("fitted", {}) for f in facts},
    )  # fmt: skip
    return write_report(
        metrics, scores, labels.onset, labels.attrition, note, out, split=judged, level=settings.level
    )
