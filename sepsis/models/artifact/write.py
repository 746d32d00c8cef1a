"""The writer of a model folder: what training hands over, in files that cannot run code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save as save_arrays

from sepsis.cohort import Cohort, split_hash
from sepsis.core.files import MANIFEST, whole_file, whole_folder, write_json
from sepsis.core.provenance import file_hash, manifest
from sepsis.core.pseudonyms import Pseudonyms
from sepsis.core.schema import write_table
from sepsis.models.artifact.card import fitted_on, model_card
from sepsis.models.artifact.files import CODED, FORMAT_VERSION
from sepsis.models.artifact.input_statistics import InputStatistics
from sepsis.models.artifact.operating import Operating
from sepsis.models.base import WindowClassifier

STORES_COHORT = (
    "`cohort.parquet` lists every stay of the export: coded ids of stay and person, class, split, hour of "
    "onset; `matched_sets.parquet` the cases and their controls. Who has the export can tell who is who; the "
    "codes cannot be tried out without it."
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """
    A fitted model and everything its folder says of it.

    `cohort`, stays and matched sets, is written with codes for ids. `stays` (stay_id, subject_id, intime,
    outtime, stay_h) are all those of the export: the key of the codes, not written. `settings` are the
    sections `cohort` and `train` of a pipeline file; `labels` is the manifest of the labels.
    """

    model: WindowClassifier
    statistics: InputStatistics
    operating: Operating
    cohort: Cohort
    stays: pd.DataFrame
    settings: dict[str, Any]
    labels: dict[str, Any]


def write_model(fitted: Fitted, out: str | Path) -> None:
    """Write a model folder, whole or not at all; `docs/model_folder.md` describes every file."""
    codes, cohort = Pseudonyms(fitted.stays), fitted.cohort
    stays, sets = (
        table.assign(
            subject_id=codes.of_subjects(table.subject_id),
            **{name: codes.of_stays(table[name]) for name in ("stay_id", "set_id") if name in table},
        )
        for table in (cohort.stays, cohort.sets)
    )
    # the order of the ids would tell who is who
    stays, sets = stays.sort_values("stay_id"), sets.sort_values(["set_id", "stay_id"])
    model = fitted.model.with_coded_ids(codes)
    parameters = model.json_settings()
    facts = {
        "definition": fitted.labels["definition"],
        "export_kind": fitted.labels["export_kind"],
        "licence": fitted.settings["train"]["licence"],
        "fitted_on": fitted_on(cohort),
        "design": fitted.settings["cohort"]["design"],
        "notes": model.notes(),
        "stores_of_patients": [STORES_COHORT, *model.stores_of_patients()],
    }
    with whole_folder(out, "model") as temporary:
        save_model(model, temporary)
        hash_ = split_hash(cohort.stays)
        for table, name in ((stays, "cohort"), (sets, "matched_sets")):
            table = table.reset_index(drop=True)
            write_table(table, temporary / f"{name}.parquet", name, {"split_hash": hash_})
        write_json(fitted.statistics.as_json(), temporary / "preprocessing.json")
        write_json(fitted.operating.as_json(), temporary / "operating.json")
        card = model_card(model.name, parameters, facts, fitted.statistics, fitted.operating)
        (temporary / "model_card.md").write_text(card, encoding="utf-8")
        files = {p.name: file_hash(p) for p in sorted(temporary.iterdir())}
        settings = {"model": model.name, **fitted.settings, "parameters": parameters}
        inputs = {"export": fitted.labels["inputs"]["export"], "onset": fitted.labels["onset_hash"]}
        note = manifest(
            "model", settings=settings, inputs=inputs, split_hash=hash_,
            seed=fitted.settings["train"]["seed"], files=files, format_version=FORMAT_VERSION, ids=CODED,
            **facts,
        )  # fmt: skip
        write_json(note, temporary / MANIFEST)


def save_model(model: WindowClassifier, path: str | Path) -> None:
    """Write `model.json` and `weights.safetensors` into an existing folder."""
    path = Path(path)
    settings = model.json_settings()
    arrays, facts = model.state()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole_file(path / "weights.safetensors") as temporary:
        temporary.write_bytes(save_arrays(whole))
    write_json(
        {"format_version": FORMAT_VERSION, "model": model.name, "settings": settings, "facts": facts},
        path / "model.json",
    )
