"""
A pipeline file: the settings of every stage, section by section in the order of the stages.

Rooms keep their sections in their own `settings.py`; the sections here say where a pipeline starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any

from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import SettingsError, UsageError
from sepsis.core.settings import apply_change, between, read_settings, read_toml, settings
from sepsis.evaluation.settings import EvaluationSettings
from sepsis.scoring.settings import ScoreSettings
from sepsis.training.settings import TrainSettings


@settings("synth")
class SynthSettings:
    """A synthetic export, if the pipeline starts with one."""

    stays: Annotated[int, between(0)] = 0  # 0: no synthetic export is made
    seed: int = 0
    layout: str = "mimic-iii"


@settings("export")
class ExportSettings:
    """Where the records come from."""

    path: str = ""  # or postgresql://HOST/DATABASE; empty: the synthetic export of this run
    kind: str = ""  # empty: detected
    limit: Annotated[int, between(0)] = 0  # stays, a seeded random subset; 0: all
    limit_seed: int = 0
    engine: str = ""  # duckdb, postgres or spark; empty: by the place
    schemas: tuple[str, ...] = ()  # of a database; empty: found out
    codes: str = ""  # of a MEDS dataset: a map of codes before the package's own; empty: none


@settings("labels")
class LabelSettings:
    """Which definition of onset: a preset of `data_schema/presets`, with single switches changed."""

    preset: str = "moor2019"
    switches: dict[str, Any] = field(default_factory=dict)  # e.g. {"onset.rise_points": 3}, or nested

    def __post_init__(self):
        object.__setattr__(self, "switches", dict(_flat(self.switches)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of all settings in nested sections."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@settings("pipeline")
class Pipeline:
    """One pipeline file."""

    name: str
    synth: SynthSettings = field(default_factory=SynthSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    cohort: CohortSettings = field(default_factory=CohortSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    models: dict[str, Any] = field(default_factory=dict)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    evaluate: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self):
        for name, given in self.models.items():
            if not isinstance(given, Mapping):
                raise SettingsError(f"[models.{name}]", f"is {type(given).__name__}", "a section of settings")
        farthest = max(self.score.horizons)
        if farthest > self.cohort.horizon_max_h:
            raise SettingsError(
                "[score] horizons", f"go to {farthest:g} h",
                f"at most [cohort] horizon_max_h = {self.cohort.horizon_max_h:g}",
                "Raise horizon_max_h, so that every stay has that much history.",
            )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Every setting, defaults included, as JSON can hold it."""
        return asdict(self)


def read_pipeline(path: str | Path, changes: tuple[str, ...] = ()) -> Pipeline:
    """
    A pipeline file, with single settings changed.

    `path` is a TOML file, or the name of one in the package (e.g. "demo"). `changes` are `section.key=value`;
    the value is read as TOML, else as text.

    Raises UsageError if there is no such file; SettingsError if it is not TOML, or a setting is unknown or
    invalid.
    """
    path = find_pipeline(path)
    values = read_toml(path)
    for change in changes:
        apply_change(values, change)
    values.setdefault("name", path.stem)
    return read_settings(Pipeline, values, path.name)


def find_pipeline(path: str | Path) -> Path:
    """A pipeline file at a path, else one of the package's own by name."""
    path = Path(path)
    package = Path(__file__).resolve().parents[1]
    places = [path, *(p / f"{path.stem}.toml" for p in (package / "pipelines", package.parent / "pipelines"))]
    if path.name != str(path) and not path.is_file():
        places = places[:1]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(str(path), "no such pipeline file", "a TOML file", "Check the path.")


def change_settings(pipeline: Pipeline, changes: tuple[str, ...]) -> Pipeline:
    """A pipeline with single settings changed, as `read_pipeline` does for a file."""
    values = pipeline.as_dict()
    for change in changes:
        apply_change(values, change)
    for section in fields(Pipeline):  # a default under the new name gives way
        for old, new in getattr(getattr(pipeline, section.name), "renamed", {}).items():
            if old in values[section.name]:
                values[section.name][new] = values[section.name].pop(old)
    return read_settings(Pipeline, values, "--set")


def read_switches(changes: tuple[str, ...]) -> dict[str, Any]:
    """
    Switches of a label definition from the command line.

    >>> read_switches(("onset.rise_points=3", "suspicion.time=culture"))
    {'onset.rise_points': 3, 'suspicion.time': 'culture'}
    """
    switches: dict[str, Any] = {}
    for change in changes:
        apply_change(switches, change)
    return dict(_flat(switches))
