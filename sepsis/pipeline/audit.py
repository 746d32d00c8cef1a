"""The stage `audit`: a model folder and its export go in, findings come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.audit import AuditCase, Recipe, audit_model, findings_json
from sepsis.audit.folds import over_folds
from sepsis.cohort import Cohort, select_cohorts
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError
from sepsis.core.files import check_file, write_json
from sepsis.core.provenance import manifest
from sepsis.core.schema import read_facts, read_table
from sepsis.core.settings import read_settings
from sepsis.events.model_inputs import events_for
from sepsis.events.tables import Events
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.files import OLD_DRAW
from sepsis.models.artifact.members import ModelFolder
from sepsis.models.artifact.operating import Operating
from sepsis.pipeline.source import events_of
from sepsis.scoring.request import cohorts_of, hourly_request, models_of
from sepsis.sources.base import Source
from sepsis.training.settings import TrainSettings


def audit_export(
    source: Source,
    folder: ModelFolder,
    labels: LabelFolder,
    *,
    score_files: Sequence[Path] = (),
    out: Path | None = None,
) -> pd.DataFrame:
    """
    All checks of the leakage audit on a model folder: check, severity, status, found, says.

    Each fold of a cross-fitted model is audited on its own splits and its own rows of the score files; a
    check has the worst status of all folds. Without `score_files` of this model a sample is scored now. `out`
    is a JSON file for the findings and their inputs.

    Raises ExportError if a score file is of another model or was scored with other labels.
    """
    if out is not None:
        check_file(out, [folder.path, labels.path, *source.files(), *score_files])
    events = events_of(source, labels)
    now = {"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"]}
    scores = _scores_of(folder.name, score_files, now) if score_files else None
    wanted = _wanted_hourly(folder, labels, events, score_files, now["export"])
    # one fold in memory at a time: a case keeps what its checks share
    findings = over_folds(
        {fold: audit_model(case) for fold, case in _cases(folder, labels, events, now, scores, wanted)}
    )
    if out is not None:
        note = manifest(
            "audit",
            settings={
                "model": folder.name, "n_stays": AuditCase.n_stays, "scores": len(score_files),
                "folds": len(folder.folds),
            },
            inputs=now,
            definition=labels.manifest["definition"],
            split_hash=folder.manifest["split_hash"],
            seed=AuditCase.seed,
            findings=findings_json(findings),
        )  # fmt: skip
        write_json(note, out)
    return findings


def _cases(
    folder: ModelFolder,
    labels: LabelFolder,
    events: Events,
    now: dict[str, str],
    scores: pd.DataFrame | None,
    wanted: dict[int, np.ndarray] | None,
) -> Iterator[tuple[int, AuditCase]]:
    """The fold and case of each fold; a single one of all folds' mean for people whom no fold knows."""
    facts = folder.manifest["settings"]
    settings = read_settings(TrainSettings, facts["train"], "manifest [train]")
    chosen = read_settings(CohortSettings, facts["cohort"], "manifest [cohort]")
    concepts = tuple(concept_set(settings.concept_set))
    cohorts = cohorts_of(folder, labels, lambda: [events.events])
    own = folder.manifest["inputs"] == now
    again: list[Cohort | None] = [None] * len(cohorts)
    if own and folder.manifest["design"] != OLD_DRAW:
        again = [*select_cohorts(labels.onset, events.events, concepts, chosen)]
    models = models_of(folder, labels.onset, False)
    unknown = len(cohorts) < len(folder.folds)
    for k, cohort in enumerate(cohorts):
        member = folder.folds[k]
        model = models[None] if unknown else models[folder.members.index(member)]
        fold = int(cohort.stays.fold.max())
        recipe = Recipe(
            facts["model"],
            member.trained.manifest["settings"]["parameters"],
            settings,
            concepts,
            chosen,
            again[k],
        )
        mine = None if scores is None else scores[(scores.fold == fold) & (scores.run == 0)]
        yield (
            fold,
            AuditCase(
                model=model,
                events=events_for(events, model.concepts_),
                stays=events.stays,
                onset=labels.onset,
                cohort=cohort,
                recipe=recipe if own else None,
                operating=Operating() if unknown else member.trained.operating,
                scores=mine,
                hourly=None if wanted is None else wanted.get(fold, np.array([], np.int64)),
                horizons=tuple(float(h) for h in range(int(chosen.horizon_max_h) + 1)),
            ),
        )


def _scores_of(model: str, files: Sequence[Path], now: dict[str, str]) -> pd.DataFrame:
    tables = []
    for file in files:
        table, facts = read_table(file, "scores"), read_facts(file)
        if facts.get("inputs", {}).get("onset") not in (None, now["onset"]):
            raise ExportError(
                file.name, "its horizons refer to other labels", "scores made with these labels",
                "Score again with --labels, or give the labels that were scored with.",
            )  # fmt: skip
        recalibrated = bool(facts.get("settings", {}).get("recalibrated"))
        tables.append(table.assign(recalibrated=recalibrated))
    scores = pd.concat(tables, ignore_index=True)
    others = int((scores.model != model).sum())
    if others:
        raise ExportError(
            "--scores", f"{others:,} of {len(scores):,} rows are of another model", f"scores of {model}",
            "Give score files of the audited model.",
        )  # fmt: skip
    return scores


def _wanted_hourly(
    folder: ModelFolder, labels: LabelFolder, events: Events, files: Sequence[Path], fingerprint: str
) -> dict[int, np.ndarray] | None:
    """By fold, the stays that the hourly score files were asked for; None if no file says it."""
    asked: list[dict[str, Any]] = [read_facts(file).get("settings", {}) for file in files]
    asked = [settings for settings in asked if settings.get("hourly")]
    if not asked:
        return None
    stays: dict[int, list[np.ndarray]] = {}
    for settings in asked:
        request = hourly_request(
            folder, labels, events.stays, fingerprint, tuple(settings.get("splits", ())),
            most=settings.get("stays", 0), seed=settings.get("stays_seed", 0),
        )  # fmt: skip
        for task in request.tasks:
            for fold, mine in task.who.groupby("fold").stay_id:
                stays.setdefault(int(fold), []).append(mine.to_numpy())
    return {fold: np.unique(np.concatenate(found)) for fold, found in stays.items()}
