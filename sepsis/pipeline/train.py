"""
The stage `train`: an export and its labels go in, a model folder comes out.

The cohort is selected here and kept in the model folder; there is no other copy of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sepsis.cohort import select_cohort
from sepsis.core.files import check_folder
from sepsis.core.provenance import settings_hash, versions
from sepsis.core.work import locked
from sepsis.events.model_inputs import events_for
from sepsis.events.tables import Events
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.write import write_model
from sepsis.models.registry import make_model, model_class
from sepsis.pipeline.settings import Pipeline
from sepsis.pipeline.source import events_of
from sepsis.sources.base import Source
from sepsis.training.finish import finish
from sepsis.training.fit import train_model


@dataclass(frozen=True, eq=False)
class Study:
    """Events and cohort (contract `cohort`) that all models of a pipeline are fitted on."""

    events: Events
    cohort: pd.DataFrame


def select_study(source: Source, labels: LabelFolder, pipeline: Pipeline) -> Study:
    """Select the cohort by [cohort] and [train] concept_set, and split it by subject."""
    events = events_of(source, labels)
    concepts = concept_set(pipeline.train.concept_set)
    return Study(events, select_cohort(labels.onset, events.events, concepts, pipeline.cohort))


def train_export(
    source: Source,
    labels: LabelFolder,
    out: str | Path,
    *,
    model: str,
    pipeline: Pipeline,
    study: Callable[[], Study] | None = None,
) -> pd.DataFrame:
    """
    Select the cohort, fit one model on it and write its folder; returns the cohort (contract `cohort`).

    A long training keeps its epochs in `.NAME.training` until the folder is written; the same command resumes
    from there, with the same versions. `study` returns the result of `select_study`, so that several models
    share it. `pipeline` has the settings: [cohort], [train] and [models.MODEL].

    Raises SettingsError for an unknown model or setting, before the export is read; NothingLeftError if no
    case, no control or no variable remains.
    """
    settings, parameters = pipeline.train, dict(pipeline.models.get(model, {}))
    if "random_state" in make_model(model, parameters).get_params():
        parameters = {"random_state": settings.seed, **parameters}
    out = check_folder(out, "model")
    chosen = study() if study else select_study(source, labels, pipeline)
    cohort = chosen.cohort
    events = events_for(chosen.events, model_class(model).reads)
    checkpoints = out.with_name(f".{out.name}.training")
    # torchrun trains in several processes; the first one writes
    first = os.environ.get("RANK", "0") == "0"
    with locked(out) if first else nullcontext():
        fitted = train_model(
            events, cohort, concept_set(settings.concept_set),
            model=model, model_settings=parameters, settings=settings,
            work_dir=checkpoints / settings_hash(versions())[:16],
        )  # fmt: skip
        if first:
            finished = finish(
                fitted, events, cohort, labels.onset,
                cohort_settings=pipeline.cohort, settings=settings, labels=labels.manifest,
            )  # fmt: skip
            write_model(finished, out)
            shutil.rmtree(checkpoints, ignore_errors=True)
    return cohort
