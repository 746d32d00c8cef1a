"""A small study from export to model folder, for tests of what comes after training."""

from pathlib import Path
from typing import NamedTuple

from sepsis.cohort import select_cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.read import Trained, read_model
from sepsis.pipeline.settings import ExportSettings
from sepsis.pipeline.stages import concept_set, events_of, label_export, open_source, train_one
from sepsis.sources.base import Source
from sepsis.synthetic.export import write_synthetic
from sepsis.training.settings import TrainSettings


class Study(NamedTuple):
    """What lies under `root`: export/, labels/ and model/."""

    source: Source
    labels: LabelFolder
    trained: Trained
    root: Path


def small_study(
    root: Path,
    model: str,
    *,
    stays: int,
    seed: int,
    part_stays: int,
    cohort: CohortSettings,
    **model_settings,
) -> Study:
    """A made-up export, its labels in parts of `part_stays`, and a model fitted on it."""
    export = write_synthetic(root / "export", stays=stays, seed=seed, case_share=0.5)
    source = open_source(ExportSettings(str(export)))
    labels = label_export(source, root / "labels", preset="moor2019", switches={}, part_stays=part_stays)
    events = events_of(source, labels)
    settings = TrainSettings(min_values=60, fit_horizons_h=(0.0,))
    concepts = concept_set(settings.concept_set)
    train_one(
        events, labels, select_cohort(labels.onset, events.events, concepts, cohort), root / "model",
        model=model, model_settings=model_settings, cohort_settings=cohort, settings=settings,
    )  # fmt: skip
    return Study(source, labels, read_model(root / "model"), root)
