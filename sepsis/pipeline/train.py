"""
The stage `train`: an export and its labels go in, a model folder comes out.

The cohort is selected here and kept in the model folder; there is no other copy of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sepsis.cohort import Cohort, select_cohorts
from sepsis.core.files import check_folder
from sepsis.core.provenance import settings_hash, versions
from sepsis.core.work import locked, resumable
from sepsis.events.model_inputs import events_for
from sepsis.events.tables import Events
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.members import member_folder, write_members
from sepsis.models.artifact.write import Fitted, write_model
from sepsis.models.registry import make_model, model_class
from sepsis.pipeline.settings import Pipeline
from sepsis.pipeline.source import events_of
from sepsis.sources.base import Source
from sepsis.training.finish import finish
from sepsis.training.fit import train_model


@dataclass(frozen=True, eq=False)
class Study:
    """Events, and the cohort of each fold (one without folds): all models of a pipeline are fitted on it."""

    events: Events
    cohorts: list[Cohort]


def select_study(source: Source, labels: LabelFolder, pipeline: Pipeline) -> Study:
    """Select the cohorts by [cohort] and [train] concept_set."""
    events = events_of(source, labels)
    concepts = concept_set(pipeline.train.concept_set)
    return Study(events, select_cohorts(labels.onset, events.events, concepts, pipeline.cohort))


def train_export(
    source: Source,
    labels: LabelFolder,
    out: str | Path,
    *,
    model: str,
    pipeline: Pipeline,
    study: Callable[[], Study] | None = None,
) -> list[Cohort]:
    """
    Select the cohort, fit a model on it and write its folder; returns the cohort of each fold.

    With [cohort] folds, a model is fitted for each fold; with [train] runs, a network is also fitted with the
    seeds that follow. Finished ones, and the epochs of a long training in `.NAME.training`, are kept until
    the folder is written: the same command resumes from there, with the same versions. `study` returns the
    result of `select_study`, so that several models share it. `pipeline` has the settings: [cohort], [train]
    and [models.MODEL].

    Raises SettingsError for an unknown model or setting, before the export is read; NothingLeftError if no
    case, no control or no variable remains.
    """
    settings, parameters = pipeline.train, dict(pipeline.models.get(model, {}))
    known = make_model(model, parameters).get_params()
    if "random_state" in known:
        parameters = {"random_state": settings.seed, **parameters}
    runs = settings.runs if "max_epochs" in known else 1
    out = check_folder(out, "model")
    chosen = study() if study else select_study(source, labels, pipeline)
    checkpoints = out.with_name(f".{out.name}.training")
    fit = partial(
        _fit_member, chosen.events, labels=labels, model=model, parameters=parameters, pipeline=pipeline,
        checkpoints=checkpoints / settings_hash(versions())[:16],
    )  # fmt: skip
    # torchrun trains in several processes; the first one writes
    first, processes = os.environ.get("RANK", "0") == "0", int(os.environ.get("WORLD_SIZE", "1"))
    members = [(cohort, run) for cohort in chosen.cohorts for run in range(runs)]
    if len(members) == 1:
        with locked(out) if first else nullcontext():
            fitted = fit(chosen.cohorts[0], 0)
            if first:
                write_model(fitted, out)
    else:
        with resumable(out, _key(labels, model, parameters, pipeline)) if first else nullcontext() as work:
            finished = {}
            for cohort, run in members:
                fold = int(cohort.stays.fold.iloc[0])
                step = member_folder(fold, run)
                if work is None or processes > 1 or not work.has(step):  # all processes fit the same members
                    fitted = fit(cohort, run)
                    if work is not None:
                        with work.step(step) as folder:
                            write_model(fitted, folder / "model")
                if work is not None:
                    finished[fold, run] = work[step] / "model"
            if work is not None:
                write_members(finished, out)
    if first:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return chosen.cohorts


def _fit_member(
    all_events: Events,
    cohort: Cohort,
    run: int,
    *,
    labels: LabelFolder,
    model: str,
    parameters: dict[str, Any],
    pipeline: Pipeline,
    checkpoints: Path,
) -> Fitted:
    settings = pipeline.train
    events = events_for(all_events, model_class(model).reads)
    if run:
        parameters = {**parameters, "random_state": parameters["random_state"] + run}
    fitted = train_model(
        events, cohort, concept_set(settings.concept_set),
        model=model, model_settings=parameters, settings=settings,
        work_dir=checkpoints / member_folder(int(cohort.stays.fold.iloc[0]), run),
    )  # fmt: skip
    return finish(
        fitted, events, cohort, labels.onset,
        cohort_settings=pipeline.cohort, settings=settings, labels=labels.manifest,
    )  # fmt: skip


def _key(labels: LabelFolder, model: str, parameters: dict[str, Any], pipeline: Pipeline) -> list[Any]:
    """All that decides the members of a model."""
    inputs = [labels.manifest["inputs"]["export"], labels.manifest["onset_hash"]]
    return ["train", model, parameters, asdict(pipeline.cohort), asdict(pipeline.train), inputs, versions()]
