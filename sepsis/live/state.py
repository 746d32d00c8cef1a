"""
Live stays on disk: three Parquet tables and a manifest, without pickle, written atomically.

The folder holds patients' data: protect it as the export it came from.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.provenance import file_hash, manifest, read_manifest
from sepsis.live.incoming import Charted
from sepsis.live.stay import Stay, full_hours
from sepsis.models.base import WindowClassifier

KIND = "live stays"
FORMAT_VERSION = 1
CONTAINS = "Patients' data: stay and subject ids, charted values and risks. Treat it as you treat the export."
TABLES = {
    "stays.parquet": {"stay_id": "int64", "subject_id": "int64", "clock_h": "float64"},
    "events.parquet": {"stay_id": "int64", "time_h": "float64", "concept": "int16", "value": "float64"},
    "risks.parquet": {
        "stay_id": "int64", "hour": "int64", "risk": "float64", "risk_sd": "float64", "given": "float64",
        "given_sd": "float64", "given_at_h": "float64",
    },
}  # fmt: skip
_ANSWERS = ("risk", "risk_sd", "given", "given_sd", "given_at_h")


def write_state(folder: str | Path, model: WindowClassifier, stays: list[Stay], counts: Counter) -> None:
    """
    Write three tables and a manifest with their hashes; raises a UsageError if the folder cannot be written
    or holds anything other than earlier state.
    """
    stays = sorted(stays, key=lambda stay: stay.stay_id)
    tables = {
        "stays.parquet": pd.DataFrame(
            [(s.stay_id, s.subject_id, s.clock_h) for s in stays], columns=list(TABLES["stays.parquet"])
        ),
        "events.parquet": _together(
            stays,
            lambda s: {"time_h": s.charted.time_h, "concept": s.charted.concept, "value": s.charted.value},
        ),
        "risks.parquet": _together(
            stays, lambda s: {"hour": np.arange(1, s.n_hours + 1), **{n: getattr(s, n) for n in _ANSWERS}}
        ),
    }
    with whole_folder(folder, KIND) as temporary:
        for name, types in TABLES.items():
            frame = tables[name].reindex(columns=list(types)).astype(types)
            arrow = pa.Table.from_pandas(frame, preserve_index=False)
            pq.write_table(arrow.replace_schema_metadata(None), temporary / name, compression="zstd")
        facts = manifest(
            KIND,
            settings={"model": model.name, "concepts": list(model.concepts_)},
            inputs={"model": model_hash(model)},
            format_version=FORMAT_VERSION,
            contains=CONTAINS,
            ledger=[[concept, reason, n] for (concept, reason), n in sorted(counts.items())],
            files={name: file_hash(temporary / name) for name in TABLES},
        )
        write_json(facts, temporary / MANIFEST)


def read_state(folder: str | Path, model: WindowClassifier) -> tuple[list[Stay], Counter]:
    """
    Stays and counts of a folder of `write_state`.

    Raises
    ------
    ExportError
        If a file is missing or was changed, the format differs, or it belongs to another model.
    """
    folder = Path(folder)
    facts = read_manifest(folder, KIND)
    if facts.get("format_version") != FORMAT_VERSION:
        raise ExportError(
            "live stays", "are stored in another format", f"format {FORMAT_VERSION}", "Use that version."
        )
    if facts.get("inputs", {}).get("model") != model_hash(model):
        raise ExportError(
            "live stays", "were scored with another model", "the model they were stored with",
            "Start without the state, or give that model.",
        )  # fmt: skip
    frames = {name: _read(folder, name, facts.get("files", {})) for name in TABLES}
    try:
        counts = Counter({(concept, reason): n for concept, reason, n in facts["ledger"]})
        return _stays(frames, len(model.concepts_)), counts
    except (KeyError, ValueError, TypeError):
        raise _damaged("a table") from None


def _stays(frames: dict[str, pd.DataFrame], n_concepts: int) -> list[Stay]:
    events = dict(list(frames["events.parquet"].groupby("stay_id")))
    risks = dict(list(frames["risks.parquet"].groupby("stay_id")))
    none = {name: frames[name].iloc[:0] for name in frames}
    stays = []
    for row in frames["stays.parquet"].itertuples():
        stay_id = int(row.stay_id)
        mine = events.get(stay_id, none["events.parquet"])
        said = risks.get(stay_id, none["risks.parquet"]).sort_values("hour")
        if not 0 <= row.clock_h < np.inf or len(said) != full_hours(row.clock_h):
            raise ValueError("hours without an answer")
        if not mine.concept.between(0, n_concepts - 1).all() or not (mine.time_h >= 0).all():
            raise ValueError("events of another model")
        charted = Charted.of(mine.time_h, mine.concept, mine.value)
        answers = {name: said[name].to_numpy(float) for name in _ANSWERS}
        stays.append(Stay(stay_id, int(row.subject_id), float(row.clock_h), charted, **answers))
    return stays


def model_hash(model: WindowClassifier) -> str:
    """SHA-256 of a fitted model: its name, settings and learned state."""
    arrays, facts = model.state()
    digest = hashlib.sha256()
    said = {"model": model.name, "settings": model.json_settings(), "facts": facts}
    digest.update(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):  # shapes are left out: stored scalars come back with one dimension
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.size}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _together(stays: list[Stay], columns) -> pd.DataFrame:
    parts = []
    for stay in stays:
        found = columns(stay)
        size = len(next(iter(found.values())))
        parts.append(pd.DataFrame({"stay_id": np.full(size, stay.stay_id, np.int64), **found}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _read(folder: Path, name: str, hashes: dict[str, str]) -> pd.DataFrame:
    path = folder / name
    if not path.is_file() or file_hash(path) != hashes.get(name):
        raise _damaged(name)
    try:
        return pq.read_table(path).to_pandas()[list(TABLES[name])].astype(TABLES[name])
    except (pa.ArrowException, KeyError, ValueError, TypeError):
        raise _damaged(name) from None


def _damaged(name: str) -> ExportError:
    return ExportError(
        "live stays", f"{name} is missing, damaged or was changed", "a folder written by `Scorer.save`",
        "Copy the folder again, or start without it.",
    )  # fmt: skip
