"""A small study from export to model folder, for tests of what comes after training."""

from pathlib import Path
from typing import NamedTuple

from sepsis.cohort.settings import CohortSettings
from sepsis.labels.store import LabelFolder
from sepsis.models.artifact.members import ModelFolder, read_models
from sepsis.pipeline.label import label_export
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import open_source
from sepsis.pipeline.train import train_export
from sepsis.sources.base import Source
from sepsis.synthetic.export import write_synthetic
from sepsis.training.settings import TrainSettings


class Study(NamedTuple):
    """What lies under `root`: export/, labels/ and model/."""

    source: Source
    labels: LabelFolder
    folder: ModelFolder
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
    settings = TrainSettings(min_values=60, fit_horizons_h=(0.0,))
    pipeline = Pipeline("study", cohort=cohort, train=settings, models={model: model_settings})
    train_export(source, labels, root / "model", model=model, pipeline=pipeline)
    return Study(source, labels, read_models(root / "model"), root)
