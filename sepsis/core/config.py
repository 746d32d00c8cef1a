"""
The settings of a pipeline, section by section, and the files and options that change them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sepsis.core.errors import SettingsError, UsageError, nearest
from sepsis.core.settings import INFINITE, read_settings, require

LOOKBACK_H = (
    200.0  # a window reaches no further back: Moor et al. 2019 keep series of at most 200 hourly steps
)


@dataclass(frozen=True)
class SynthSettings:
    """A made-up export, when the pipeline starts from nothing."""

    stays: int = 0  # 0: no synthetic export is made
    seed: int = 0
    layout: str = "mimic-iii"


@dataclass(frozen=True)
class ExportSettings:
    """Where the records come from."""

    path: str = ""  # or postgresql://HOST/DATABASE; empty: the synthetic export of this run
    kind: str = ""  # empty: detected
    limit: int = 0  # stays, a seeded random subset; 0: all
    limit_seed: int = 0
    engine: str = ""  # duckdb, postgres or spark; empty: by the place
    schemas: tuple[str, ...] = ()  # of a database; empty: found out
    codes: str = ""  # of a MEDS dataset: a map of codes before the package's own; empty: none


@dataclass(frozen=True)
class LabelSettings:
    """Which definition of onset: a preset of `data_schema/presets`, with single switches changed."""

    preset: str = "moor2019"
    switches: dict[str, Any] = field(default_factory=dict)  # e.g. {"onset.rise_points": 3}, or nested

    def __post_init__(self):
        object.__setattr__(self, "switches", dict(_flat(self.switches)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything in nested sections."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True)
class CohortSettings:
    """Who is in the study: see `data_schema/5_cohort.toml` and `data_schema/decisions.md`."""

    horizon_max_h: float = 7.0  # farthest prediction before the reference; Moor et al. 2019 report 0..7
    min_history_h: float = 1.0  # in the unit before the farthest prediction
    max_reference_h: float = 200.0  # Moor et al. 2019: hourly grids of at most 200 steps
    min_observations: int = 10  # up to the reference; Moor et al. 2019
    max_observations: int = 10_000  # up to the reference; Moor et al. 2019
    controls_per_case: int = 0  # of every case alike; 0: the most that `kept_case_share` allows
    kept_case_share: float = 0.95  # of the cases that could have one control, when the ratio is chosen
    most_controls_per_case: int = 12  # Moor et al. 2019 have about 10
    validation_share: float = 0.1
    test_share: float = 0.1
    seed: int = 0

    def __post_init__(self):
        require(
            "cohort", self,
            horizon_max_h=(0, LOOKBACK_H), min_history_h=(0, INFINITE), max_reference_h=(0, LOOKBACK_H),
            min_observations=(0, INFINITE), max_observations=(1, INFINITE), controls_per_case=(0, INFINITE),
            kept_case_share=(0, 1), most_controls_per_case=(1, INFINITE),
            validation_share=(0, 1), test_share=(0, 1), seed=(0, INFINITE),
        )  # fmt: skip
        if self.validation_share + self.test_share >= 1:
            raise SettingsError(
                "[cohort] validation_share + test_share", "leave nothing to train on", "below 1"
            )


LICENCE = "The weights derive from the records of the export and carry its terms of use."


@dataclass(frozen=True)
class TrainSettings:
    """What models learn from."""

    concept_set: str = "moor44"  # a set of data_schema/2_concepts.toml
    min_values: int = 500  # in the training windows; rarer variables are left out (Moor et al. 2019)
    min_stays: int = 10  # with a value, likewise: a mean of fewer would tell the values of single patients
    fit_horizons_h: tuple[float, ...] = (0.0, 3.0, 6.0)  # each stay is seen cut at each of these
    # other cuts for single models; a stay stands once among the neighbours of the k-NN
    fit_horizons_of: dict[str, Any] = field(default_factory=lambda: {"dtw_knn": [0.0]})
    seed: int = 0
    licence: str = LICENCE  # of the weights, for the model folder and its card

    def __post_init__(self):
        require(
            "train", self,
            min_values=(1, INFINITE), min_stays=(1, INFINITE),
            fit_horizons_h=(0, LOOKBACK_H), seed=(0, INFINITE),
        )  # fmt: skip
        for name, hours in {"fit_horizons_h": self.fit_horizons_h, **self.fit_horizons_of}.items():
            where = f"[train] {name}" if name == "fit_horizons_h" else f"[train.fit_horizons_of] {name}"
            if not isinstance(hours, list | tuple) or not hours or not all(map(_is_hour, hours)):
                raise SettingsError(where, "is not a list of hours before the reference", "e.g. [0, 3]")


def _is_hour(value: Any) -> bool:
    """Whether a value is a number of hours, 0 or more."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LOOKBACK_H


SPLITS = ("train", "validation", "test", "external")


@dataclass(frozen=True)
class ScoreSettings:
    """Which risks are written."""

    horizons: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)  # hours before the reference
    splits: tuple[str, ...] = ("validation", "test")  # others appear with a reason instead of a risk
    # a risk at every hour too, for alarms: some 70 predictions a stay in place of 8 (`docs/decisions.md`)
    hourly: bool = False
    hourly_stays: int = 0  # of those splits, a seeded random share by subject; 0: all
    hourly_seed: int = 0
    hourly_except: tuple[str, ...] = ()  # models that take too long for it

    def __post_init__(self):
        require(
            "score", self, horizons=(0, LOOKBACK_H), hourly_stays=(0, INFINITE), hourly_seed=(0, INFINITE)
        )
        if not self.horizons:
            raise SettingsError("[score] horizons", "is empty", "hours before the reference")
        if len(set(self.horizons)) < len(self.horizons):
            raise SettingsError("[score] horizons", "an hour stands there twice", "each once")
        for name in self.splits:
            if name not in SPLITS:
                raise SettingsError("[score] splits", f"no split {name!r}", todo=nearest(name, SPLITS))


CONTROL_REFERENCES = ("matched", "absolute", "relative", "random")


@dataclass(frozen=True)
class EvaluateSettings:
    """How risks are judged."""

    split: str = "auto"  # test; external where no stay is of the export the model was fitted on
    n_bootstrap: int = 1000
    level: float = 0.95
    seed: int = 0
    control_reference: str = "matched"  # the cohort's own hour; absolute, relative, random: hourly scores
    controls_at_risk: bool = True  # false: controls may have left the unit by then, as in published code
    windows_h: tuple[float, ...] = (6.0, 12.0, 24.0)  # onset so soon after an hour makes it positive
    recalls: tuple[float, ...] = (0.8, 0.9)  # of onsets, that alarm thresholds are chosen for
    alert_budgets: tuple[float, ...] = (20.0,)  # alarms per 100 patients a day, likewise
    silence_h: float = 6.0  # after an alarm
    alarm_window_h: float = 12.0  # an alarm is right if onset comes within it
    max_alarms: int = 0  # of one stay; 0: no limit
    censor: bool = True  # judge again without the hours after antibiotic, culture or suspicion
    groups: tuple[str, ...] = ("site", "sex", "age", "year", "system")
    min_group_stays: int = 20  # smaller groups are named and not judged
    min_group_events: int = 5
    target_prevalence: float = 0.0  # share of cases where the model would be used; 0: the cohort's
    net_benefit_thresholds: tuple[float, ...] = (0.05, 0.1, 0.2)
    show_stay: bool = False  # one stay's hourly risks and alarms on the page: a record of a patient

    def __post_init__(self):
        require(
            "evaluate", self,
            n_bootstrap=(0, INFINITE), level=(0.5, 0.999), seed=(0, INFINITE), windows_h=(1, LOOKBACK_H),
            recalls=(0.01, 1), alert_budgets=(0.01, 2400), silence_h=(0, LOOKBACK_H),
            alarm_window_h=(1, LOOKBACK_H), max_alarms=(0, INFINITE), min_group_stays=(1, INFINITE),
            min_group_events=(1, INFINITE), target_prevalence=(0, 0.99),
            net_benefit_thresholds=(0.001, 0.999),
        )  # fmt: skip
        if self.control_reference not in CONTROL_REFERENCES:
            raise SettingsError(
                "[evaluate] control_reference", f"no reference {self.control_reference!r}",
                todo=nearest(self.control_reference, CONTROL_REFERENCES),
            )  # fmt: skip
        if self.split not in ("auto", *SPLITS):
            raise SettingsError(
                "[evaluate] split", f"no split {self.split!r}", todo=nearest(self.split, SPLITS)
            )


@dataclass(frozen=True)
class Pipeline:
    """One pipeline file: its sections in the order of the stages."""

    name: str
    synth: SynthSettings = field(default_factory=SynthSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    cohort: CohortSettings = field(default_factory=CohortSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    models: dict[str, Any] = field(default_factory=dict)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)

    def __post_init__(self):
        for name, settings in self.models.items():
            if not isinstance(settings, Mapping):
                raise SettingsError(
                    f"[models.{name}]", f"is {type(settings).__name__}", "a section of settings"
                )
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

    Parameters
    ----------
    path : str or Path
        A TOML file, or the name of one that the package brings (e.g. "demo").
    changes : tuple of str
        `section.key=value`; the value is read as TOML, else as text.

    Raises
    ------
    UsageError
        If there is no such file.
    SettingsError
        If it is not TOML, or a setting is unknown or of the wrong type.
    """
    path = find_pipeline(path)
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise SettingsError(path.name, "not readable as TOML (nested too deep)", todo="Correct it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            path.name, f"not readable as TOML ({error})", todo="Correct the line named."
        ) from None
    for change in changes:
        _apply(values, change)
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


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one `section.key=value` in a nested dict."""
    name, found, text = change.partition("=")
    if not found or not name.strip():
        raise UsageError(f"--set {change}", "no '=' in it", "section.key=value")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, key = name.strip().split(".")
    here = values
    for section in sections:
        here = here.setdefault(section, {})
        if not isinstance(here, dict):
            raise SettingsError(f"--set {name}", f"{section!r} is not a section", "section.key=value")
    here[key] = value


def change_settings(pipeline: Pipeline, changes: tuple[str, ...]) -> Pipeline:
    """A pipeline with single settings changed, as `read_pipeline` does for a file."""
    values = pipeline.as_dict()
    for change in changes:
        _apply(values, change)
    return read_settings(Pipeline, values, "--set")


def read_switches(changes: tuple[str, ...]) -> dict[str, Any]:
    """
    Switches of a label definition from the command line.

    Examples
    --------
    >>> read_switches(("onset.rise_points=3", "suspicion.time=culture"))
    {'onset.rise_points': 3, 'suspicion.time': 'culture'}
    """
    switches: dict[str, Any] = {}
    for change in changes:
        nested: dict[str, Any] = {}
        _apply(nested, change)
        name, here = change.partition("=")[0].strip(), nested
        for section in name.split("."):
            here = here[section]
        switches[name] = here
    return switches


def read_horizons(text: str) -> tuple[float, ...]:
    """
    Hours before the reference from the command line.

    Raises
    ------
    UsageError
        If the text is neither `first:last` nor numbers between commas, or a number is negative.

    Examples
    --------
    >>> read_horizons("0:3")
    (0.0, 1.0, 2.0, 3.0)
    >>> read_horizons("0,4.5")
    (0.0, 4.5)
    """
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            hours = tuple(float(h) for h in range(first, last + 1))
        else:
            hours = tuple(float(part) for part in text.split(","))
    except ValueError:
        hours = ()
    if not hours or min(hours) < 0:
        raise UsageError(f"--horizons {text}", "is not a range of hours", "e.g. 0:7 or 0,4,7")
    return hours
