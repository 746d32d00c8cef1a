"""
The single stages: each reads what the one before wrote, calls its room, and writes its own output.

The commands call them one at a time, `sepsis.run` all of them in order.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.audit import AuditCase, Recipe, audit_model, findings_json
from sepsis.cohort import select_cohort
from sepsis.config import (
    CohortSettings,
    ExportSettings,
    ScoreSettings,
    TrainSettings,
    read_settings,
)
from sepsis.errors import ExportError, SettingsError, UsageError
from sepsis.events import extract_events
from sepsis.events.concepts import load_vocabulary
from sepsis.events.extracted import keep_parts, kept_parts
from sepsis.events.parts import PART_STAYS
from sepsis.events.readable import events_for
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.fitted import input_statistics, operating_of
from sepsis.input_check import check_inputs
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.meds_predictions import write_predictions
from sepsis.models.registry import model_class
from sepsis.outputs import check_file, check_folder, whole_folder, write_json
from sepsis.progress import progress
from sepsis.provenance import manifest, versions
from sepsis.report.evaluating import evaluate_files
from sepsis.schema import read_table
from sepsis.score_file import Asked, Scored, events_place, open_parts, score_parts, write_score_file
from sepsis.sources import open_export
from sepsis.sources.base import Source
from sepsis.training import Trained, train_model, write_model
from sepsis.work import locked, resumable

__all__ = [
    "audit_export", "concept_set", "evaluate_files", "events_of", "label_export", "open_source",
    "score_export", "score_facts", "scoring_cohort", "splits_seen", "train_one",
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
        if not work.has("extracted"):
            with work.step("extracted") as folder:
                keep_parts(source, folder, detail=detail, part_stays=part_stays)
            _require_unchanged(source, fingerprint)
        parts = kept_parts(work["extracted"], detail=detail)
        with whole_folder(out, "labels") as temporary:
            write_labels(parts, definition, temporary, work, kind=source.kind, fingerprint=fingerprint)
    return read_labels(out)


def _require_unchanged(source: Source, fingerprint: str) -> None:
    """Refuse to go on with what was read of files that somebody wrote to meanwhile."""
    if source.fingerprint() != fingerprint:
        raise ExportError(
            str(source.path), "changed while it was read", "an export that nobody writes to",
            "Run the command again when it is whole.",
        )  # fmt: skip


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
    _require_own_labels(source, labels)
    if stored_fingerprint(labels.path / "events") == source.fingerprint():
        return load_events(labels.path / "events")
    source.require_usable()
    return extract_events(source)


def _require_own_labels(source: Source, labels: LabelFolder) -> None:
    """Refuse labels of another export."""
    if labels.manifest["inputs"]["export"] != source.fingerprint():
        raise ExportError(
            str(labels.path), "the labels were made from another export, or the export has changed",
            "labels of this export", "Label it again.",
        )  # fmt: skip


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
    out = check_folder(out, "model")
    known = events_for(events, model_class(model).reads)
    # of processes that torchrun trains together the first one writes
    first = os.environ.get("RANK", "0") == "0"
    with locked(out) if first else nullcontext():
        fitted = _fit(out, known, cohort, model, model_settings, settings)
        if first:
            write_model(
                fitted, cohort, out,
                stays=labels.onset, cohort_settings=cohort_settings, settings=settings,
                labels_manifest=labels.manifest, seed=settings.seed,
                statistics=input_statistics(fitted, known, cohort, settings),
                operating=operating_of(fitted, known, cohort, cohort_settings),
            )  # fmt: skip
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
        work_dir=_checkpoints(out),
    )  # fmt: skip


def splits_seen(trained: Trained, fingerprint: str, stays: pd.DataFrame) -> pd.Series | None:
    """
    Split of each subject when the model was fitted, if it was fitted on the export of this fingerprint.

    Labels of another definition make other cases of the same people: who was trained on stays known.
    `stays` are all of that export: by them the folder's coded ids are told (`Trained.cohort_of`).
    """
    if trained.manifest["inputs"]["export"] != fingerprint:
        return None
    cohort = trained.cohort_of(stays)
    members = cohort[cohort.in_cohort]
    return members.drop_duplicates("subject_id").set_index("subject_id").split


def scoring_cohort(
    trained: Trained,
    labels: LabelFolder,
    events: pd.DataFrame | Iterable[pd.DataFrame],
    horizons: tuple[float, ...],
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
        return trained.cohort_of(labels.onset)
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    cohort = select_cohort(labels.onset, events, concepts, settings, split=False)
    seen = splits_seen(trained, labels.manifest["inputs"]["export"], labels.onset)
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
    engine: str = "",
    meds_out: Path | None = None,
    recalibrate: bool = False,
) -> Scored:
    """
    Risks of every stay at horizons before the reference (needs labels) or at every hour, in one file.

    One part of the stays is in memory at a time. A run that was stopped goes on from the last finished
    part and ends with the same bytes.

    Parameters
    ----------
    engine : str
        "spark": parts are scored by the workers of the running Spark session (`sepsis.spark_scoring`), and
        the file has the same bytes; otherwise in this process.
    meds_out : Path, optional
        The risks once more, in the form of `sepsis.meds_predictions`.
    recalibrate : bool
        Risks by the calibrator in the model folder.

    Raises
    ------
    SettingsError
        If the model folder holds no calibrator and one was asked for.
    """
    if horizons is not None and labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    ScoreSettings(horizons=horizons or (0.0,), splits=splits)  # misspelt splits are refused
    out, fingerprint = check_file(out), source.fingerprint()
    if meds_out is not None:
        check_file(meds_out)
    if labels is not None:
        _require_own_labels(source, labels)
    settings = {"horizons": horizons, "splits": splits, "hourly": horizons is None}
    if recalibrate:
        if trained.operating.calibrator is None:
            raise SettingsError(
                "--recalibrated", f"the model folder holds no calibrator ({trained.operating.why_none})",
                "one fitted on a validation split", "Score without it.",
            )  # fmt: skip
        settings["recalibrated"] = True
    inputs = {"export": fingerprint, "onset": labels.manifest["onset_hash"] if labels else None}
    with resumable(out, ["score", settings, inputs, trained.manifest, versions()]) as work:
        place = events_place(source, labels.path / "events" if labels else None, work)
        parts = open_parts(place)
        if horizons is None:
            asked = _every_hour(trained, labels, parts.held.stays, fingerprint, splits)
        else:
            assert labels is not None
            cohort = scoring_cohort(trained, labels, (part.events for part in parts), horizons)
            asked = Asked(horizons, splits, cohort)
        found = check_inputs(trained, parts, asked)
        if recalibrate:
            asked = replace(asked, recalibrate=trained.operating.recalibrated)
        if engine == "spark":
            from sepsis.spark_scoring import score_on_spark  # an extra

            score_on_spark(trained, place, asked, work)
        else:
            left = progress(range(len(parts)), f"score {trained.model.name}")
            score_parts(trained.model_of(parts.held.stays), parts, asked, work, left)
        _require_unchanged(source, fingerprint)
        facts = score_facts(trained, inputs=inputs, settings=settings) | {"input_check": found}
        scored = write_score_file(work, len(parts), out, facts)
        if meds_out is not None:
            write_predictions(read_table(out, "scores"), parts.held.stays, meds_out, facts=facts)
        return scored


def _every_hour(
    trained: Trained,
    labels: LabelFolder | None,
    stays: pd.DataFrame,
    fingerprint: str,
    splits: tuple[str, ...],
) -> Asked:
    """Hourly risks, with the splits and references that are known."""
    if labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        cohort = trained.cohort_of(stays)
    else:
        seen = splits_seen(trained, fingerprint, stays)
        split = "external" if seen is None else stays.subject_id.map(seen).fillna("external")
        cohort = pd.DataFrame({"stay_id": stays.stay_id, "split": split})
    wanted = cohort.stay_id[cohort.split.isin(list(splits))].to_numpy() if splits else None
    return Asked(None, cohort=cohort, wanted=wanted)


def score_facts(trained: Trained, *, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """
    What made the risks of a score file.

    Parameters
    ----------
    inputs : dict
        Fingerprint of the export that was scored, and hash of the onsets the horizons count from (None
        for hourly scores without labels).
    settings : dict
        Horizons and splits that were asked for.
    """
    facts = trained.manifest
    return {
        "model": facts["settings"]["model"],
        "settings": settings,
        "inputs": inputs,
        "versions": versions(),
        "split_hash": facts["split_hash"],
        "seed": facts["seed"],
        "definition": facts["definition"],
        "fitted": {key: facts[key] for key in ("settings", "inputs", "versions")},
        "card": trained.card,
    }


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
        check_file(out)
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
