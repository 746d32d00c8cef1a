"""The reader of a model folder: verified files, and the model made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sepsis.cohort import Cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError, SettingsError
from sepsis.core.files import MANIFEST
from sepsis.core.pseudonyms import Pseudonyms
from sepsis.core.settings import read_settings
from sepsis.models.artifact.arrays import read_arrays, read_cohort, read_rows
from sepsis.models.artifact.files import (
    CODED,
    parsed,
    read_folder,
    read_plain,
    require_fields,
    require_version,
)
from sepsis.models.artifact.input_statistics import InputStatistics, statistics_from
from sepsis.models.artifact.operating import Operating, operating_from
from sepsis.models.registry import MODELS, make_model, model_class

if TYPE_CHECKING:
    from sepsis.models.base import WindowClassifier


@dataclass(frozen=True, eq=False)
class Contents:
    """
    A model folder, verified, before the model is made of it.

    `manifest` has the fields that format 2 added, whatever the format; `note` is `model.json`: model,
    settings, facts. `card` (Markdown) is "" where there is none, `statistics` None in format 1.
    """

    path: Path
    manifest: dict[str, Any]
    note: dict[str, Any]
    weights: bytes
    cohort: bytes
    sets: bytes | None  # before format 3 they are in `cohort`
    card: str
    operating: Operating
    statistics: InputStatistics | None

    def where(self, name: str) -> str:
        """A file of the folder, for messages."""
        return f"{self.path.name}/{name}"


@dataclass(frozen=True, eq=False)
class Trained:
    """
    A model folder in memory: the model, the cohort it was fitted on, and how.

    `coded_cohort` has codes for ids; see `cohort_of`. `card` is Markdown; `statistics`,
    of the inputs in training, is None in format 1; `path` is the folder it was read from, if any.
    """

    model: WindowClassifier
    coded_cohort: Cohort
    manifest: dict[str, Any]
    card: str = ""
    operating: Operating = Operating()
    statistics: InputStatistics | None = None
    path: Path | None = None

    def cohort_of(self, stays: pd.DataFrame) -> Cohort:
        """
        The cohort with the ids of the export it was fitted on, in order of stay_id.

        Parameters
        ----------
        stays : DataFrame : stay_id, subject_id, intime, outtime, stay_h
            Every stay of that export: `onset` of its labels, or `Events.stays`.

        Raises
        ------
        ExportError
            If these are the stays of another export.
        """
        coded = self.coded_cohort
        if self.manifest["ids"] != CODED:
            return coded
        codes = Pseudonyms(stays)
        own, sets = (
            table.assign(
                **{name: codes.stays(table[name]) for name in ("stay_id", "set_id") if name in table},
                subject_id=codes.subjects(table.subject_id),
            )
            for table in (coded.stays, coded.sets)
        )
        return Cohort(
            own.sort_values("stay_id", ignore_index=True),
            sets.sort_values(["set_id", "stay_id"], ignore_index=True),
        )

    def model_of(self, stays: pd.DataFrame) -> WindowClassifier:
        """
        The model, able to recognise the people among these stays if it was fitted on them.

        A nearest-neighbour model leaves out the stays of the person it scores; a stored one knows people
        only by their codes. `stays` as in `cohort_of`, of the export that is scored.
        """
        return self.model.recognising(Pseudonyms(stays)) if self.model.keeps_training_stays else self.model


def read_model(path: str | Path) -> Trained:
    """
    A model folder, verified; `docs/model_folder.md` says how.

    A folder of format 1 has no statistics, calibrator, thresholds or licence, and its ids are in clear.

    Raises
    ------
    ExportError
        If it is not a model folder, is of a newer format, has unknown content, or a file differs from its
        hash in the manifest.
    """
    found = read_contents(path)
    settings, where = found.manifest["settings"], found.where(MANIFEST)
    require_fields(settings["train"], {"concept_set": str}, f"{where} [train]")
    try:
        read_settings(CohortSettings, settings["cohort"], f"{where} [cohort]")
    except SettingsError as error:
        raise ExportError(error.where, error.found, error.expected, "Upgrade, or train again.") from None
    model = _restored(found.note, found.weights, found.path.name)
    statistics = found.statistics
    if statistics is not None and tuple(one.concept for one in statistics.concepts) != tuple(model.concepts_):
        raise ExportError(
            found.where("preprocessing.json"), "has other variables than the model", "those of model.json"
        )
    cohort = Cohort(*_stays_and_sets(found))
    return Trained(model, cohort, found.manifest, found.card, found.operating, statistics, found.path)


def _stays_and_sets(found: Contents) -> tuple[pd.DataFrame, pd.DataFrame]:
    stays, sets = read_cohort(found.cohort, found.where("cohort.parquet"))
    if sets is None:
        where = found.where("matched_sets.parquet")
        if found.sets is None:
            raise ExportError(where, "no such file", "a whole model folder", "Copy it again.")
        sets = read_rows(found.sets, "matched_sets", where)[1]
    return stays, sets


def read_contents(path: str | Path) -> Contents:
    """
    The verified files of a model folder, read without importing a library of models.

    ExportError as in `read_model`, except for what only the model's class can tell.
    """
    path = Path(path)
    manifest, content = read_folder(path)
    objects = {
        name: parsed(content[name], f"{path.name}/{name}")
        for name in ("model.json", "preprocessing.json", "operating.json")
        if name in content
    }
    note = _checked_note(objects["model.json"], path.name)
    if note["model"] != manifest["settings"]["model"]:
        raise ExportError(
            f"{path.name}/{MANIFEST}", "names another model than model.json", "one model", "Train again."
        )
    operating, statistics = Operating(), None
    if "operating.json" in objects:
        operating = operating_from(objects["operating.json"], f"{path.name}/operating.json")
    if "preprocessing.json" in objects:
        statistics = statistics_from(objects["preprocessing.json"], f"{path.name}/preprocessing.json")
    try:
        card = content.get("model_card.md", b"").decode("utf-8")
    except UnicodeDecodeError:
        raise ExportError(f"{path.name}/model_card.md", "is not text", "Markdown in UTF-8") from None
    return Contents(
        path, manifest, note, content["weights.safetensors"], content["cohort.parquet"],
        content.get("matched_sets.parquet"), card, operating, statistics,
    )  # fmt: skip


def load_model(path: str | Path) -> WindowClassifier:
    """
    A fitted model from a folder that `artifact.write.save_model` wrote: two files, without a manifest.

    ExportError if a file is missing, damaged or of a newer format, or names an unknown model or one that it
    does not fit.
    """
    path = Path(path)
    note = _checked_note(parsed(read_plain(path, "model.json"), f"{path.name}/model.json"), path.name)
    return _restored(note, read_plain(path, "weights.safetensors"), path.name)


def _checked_note(note: dict[str, Any], folder: str) -> dict[str, Any]:
    where = f"{folder}/model.json"
    require_version(note.get("format_version", 1), where)
    require_fields(note, {"model": str, "settings": dict, "facts": dict}, where)
    return note


def _restored(note: dict[str, Any], weights: bytes, folder: str) -> WindowClassifier:
    where, name = f"{folder}/model.json", note["model"]
    if name not in MODELS:
        raise ExportError(where, "unknown model", ", ".join(MODELS), "Upgrade, or train again.")
    arrays = read_arrays(weights, f"{folder}/weights.safetensors")
    settings = _without_removed(note["settings"], model_class(name).removed_settings, where)
    try:
        return make_model(name, settings).restore(arrays, note["facts"])
    except SettingsError as error:
        raise ExportError(where, error.found, error.expected, "Upgrade, or train again.") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        # no check foresaw this: the fault may be ours, so its kind is named; content is not repeated
        found = f"does not hold what {name} stores ({type(error).__name__})"
        raise ExportError(where, found, "a whole model folder", "Copy it again.") from None


def _without_removed(settings: dict[str, Any], removed: dict[str, tuple], where: str) -> dict[str, Any]:
    """The settings without removed ones, provided these had no effect on the fit."""
    for name, harmless in removed.items():
        if name in settings and settings[name] not in harmless:
            raise ExportError(
                where, f"the model was fitted with the setting {name}, which was removed",
                "a model fitted by this version", "Train again without it.",
            )  # fmt: skip
    return {name: value for name, value in settings.items() if name not in removed}
