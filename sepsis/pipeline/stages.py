"""
The single stages: each reads what the one before wrote, calls its room, and writes its own output.

The commands call them one at a time, `sepsis.pipeline.run` all of them in order.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.audit import AuditCase, Recipe, audit_model, findings_json
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError
from sepsis.core.files import check_file, check_folder, whole_folder, write_json
from sepsis.core.provenance import manifest, settings_hash, versions
from sepsis.core.schema import read_table
from sepsis.core.settings import read_settings
from sepsis.core.work import locked, resumable
from sepsis.events import extract_events
from sepsis.events.model_inputs import events_for
from sepsis.events.parts import PART_STAYS
from sepsis.events.store import extract_in, load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.events.vocabulary import concept_set
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.models.artifact.read import Trained
from sepsis.models.artifact.write import write_model
from sepsis.models.registry import model_class
from sepsis.pipeline.evaluate import evaluate_files
from sepsis.pipeline.settings import ExportSettings
from sepsis.scoring.export import score_export, scoring_cohort
from sepsis.sources import open_export
from sepsis.sources.base import Source
from sepsis.training.finish import finish
from sepsis.training.fit import train_model
from sepsis.training.settings import TrainSettings

__all__ = [
    "audit_export", "concept_set", "evaluate_files", "events_of", "label_export", "open_source",
    "score_export", "train_one",
]  # fmt: skip


def open_source(settings: ExportSettings) -> Source:
    """The export of a pipeline or command, opened; nothing is read yet."""
    subset: dict[str, Any] = {"limit": settings.limit, "seed": settings.limit_seed} if settings.limit else {}
    subset |= {"codes": settings.codes} if settings.codes else {}
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
    source.require_labelable()
    source.require_usable()
    fingerprint, detail = source.fingerprint(), definition.reads_detail
    key = ["label", fingerprint, definition.settings(), part_stays, versions()]
    with resumable(out, key) as work:
        events_at = extract_in(work, source, detail=detail, part_stays=part_stays)
        with whole_folder(out, "labels") as temporary:
            write_labels(events_at, definition, temporary, work)
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
    labels.require_of(source.fingerprint())
    if stored_fingerprint(labels.path / "events") == source.fingerprint():
        return load_events(labels.path / "events")
    source.require_usable()
    return extract_events(source)


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
    command goes on from there, with the same versions.
    """
    out = check_folder(out, "model")
    known = events_for(events, model_class(model).reads)
    # of processes that torchrun trains together the first one writes
    first = os.environ.get("RANK", "0") == "0"
    with locked(out) if first else nullcontext():
        fitted = _fit(out, known, cohort, model, model_settings, settings)
        if first:
            finished = finish(
                fitted, known, cohort, labels.onset,
                cohort_settings=cohort_settings, settings=settings, labels=labels.manifest,
            )  # fmt: skip
            write_model(finished, out)
            shutil.rmtree(_checkpoints(out), ignore_errors=True)


def _checkpoints(out: Path) -> Path:
    """Where a long training keeps what it goes on from."""
    return out.with_name(f".{out.name}.training")


def _fit(out: Path, known: pd.DataFrame, cohort: pd.DataFrame, model: str, model_settings, settings):
    """A fitted model; a seed of the run unless its own settings name one."""
    given = {"random_state": settings.seed} if "random_state" in model_class(model)().get_params() else {}
    return train_model(
        known, cohort, concept_set(settings.concept_set),
        model=model, model_settings={**given, **model_settings}, settings=settings,
        work_dir=_checkpoints(out) / settings_hash(versions())[:16],
    )  # fmt: skip


def audit_export(
    source: Source,
    trained: Trained,
    labels: LabelFolder,
    *,
    score_files: Sequence[Path] = (),
    out: Path | None = None,
) -> pd.DataFrame:
    """
    Every check of the leakage audit on a model folder: check, severity, status, found, says.

    Parameters
    ----------
    score_files : sequence of Path
        Scores of this model to audit; without them those that scoring now gives a sample.
    out : Path, optional
        JSON file for the findings and what they are about.

    Raises
    ------
    ExportError
        If a score file is of another model.
    """
    if out is not None:
        check_file(out, [trained.path, labels.path, *source.files(), *score_files])
    events = events_of(source, labels)
    facts, inputs = trained.manifest["settings"], trained.manifest["inputs"]
    settings = read_settings(TrainSettings, facts["train"], "manifest [train]")
    now = {"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"]}
    recipe = Recipe(facts["model"], facts["parameters"], settings, tuple(concept_set(settings.concept_set)))
    horizons = tuple(float(h) for h in range(int(facts["cohort"]["horizon_max_h"]) + 1))
    case = AuditCase(
        model=trained.model_of(labels.onset),
        events=events_for(events, trained.model.concepts_),
        stays=events.stays,
        onset=labels.onset,
        cohort=scoring_cohort(trained, labels, events.events, horizons),
        recipe=recipe if inputs == now else None,
        scores=_scores_of(facts["model"], score_files) if score_files else None,
        horizons=horizons,
    )
    findings = audit_model(case)
    if out is not None:
        note = manifest(
            "audit",
            settings={"model": facts["model"], "n_stays": case.n_stays, "scores": len(score_files)},
            inputs=now,
            definition=labels.manifest["definition"],
            split_hash=trained.manifest["split_hash"],
            seed=case.seed,
            findings=findings_json(findings),
        )
        write_json(note, out)
    return findings


def _scores_of(model: str, files: Sequence[Path]) -> pd.DataFrame:
    """Score files of one model, together."""
    scores = pd.concat([read_table(f, "scores") for f in files], ignore_index=True)
    others = int((scores.model != model).sum())
    if others:
        raise ExportError(
            "--scores", f"{others:,} of {len(scores):,} rows are of another model", f"scores of {model}",
            "Give the score files of the model that is audited.",
        )  # fmt: skip
    return scores
