"""The stage `audit`: a model folder and its export go in, findings come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sepsis.audit import AuditCase, Recipe, audit_model, findings_json
from sepsis.core.errors import ExportError
from sepsis.core.files import check_file, write_json
from sepsis.core.provenance import manifest
from sepsis.core.schema import read_table
from sepsis.core.settings import read_settings
from sepsis.events.model_inputs import events_for
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.members import ModelFolder
from sepsis.pipeline.source import events_of
from sepsis.scoring.request import cohorts_of
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

    Without `score_files` of this model a sample is scored now. `out` is a JSON file for the findings and
    their inputs.

    Raises ExportError if a score file is of another model.
    """
    if out is not None:
        check_file(out, [folder.path, labels.path, *source.files(), *score_files])
    trained = folder.first
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
        cohort=cohorts_of(folder, labels, lambda: [events.events])[0],
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
    scores = pd.concat([read_table(f, "scores") for f in files], ignore_index=True)
    others = int((scores.model != model).sum())
    if others:
        raise ExportError(
            "--scores", f"{others:,} of {len(scores):,} rows are of another model", f"scores of {model}",
            "Give score files of the audited model.",
        )  # fmt: skip
    return scores
