"""
Risks as the predictions of the Medical Event Data Standard, for its own evaluation tools.

The file has the columns of `PredictionSchema` of the package `meds-evaluation`, an extension of the label
schema of `meds`; neither package is needed to write it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core.errors import ExportError, NothingLeftError, SettingsError
from sepsis.core.files import whole_file
from sepsis.core.schema import FACTS_KEY

COLUMNS = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("prediction_time", pa.timestamp("us")),
        ("boolean_value", pa.bool_()),
        ("predicted_boolean_value", pa.bool_()),
        ("predicted_boolean_probability", pa.float32()),
    ]
)
READ = ("stay_id", "subject_id", "time_h", "risk", "is_case", "reference_h")
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class WrittenPredictions:
    """Counts of the predictions in a file, and of the rows of `scores` that are left out."""

    rows: int
    labelled: bool  # whether there is a column `boolean_value`
    without_risk: int
    without_clock: int  # the stay has no time of admission
    without_label: int  # `labelled`, and the label is unknown


def write_predictions(
    scores: pd.DataFrame | str | Path,
    stays: pd.DataFrame,
    out: str | Path,
    *,
    threshold: float | None = None,
    labelled: bool = False,
    facts: dict[str, Any] | None = None,
) -> WrittenPredictions:
    """
    Write risks of one model in MEDS form, whole or not at all.

    Reads    scores(stay_id, subject_id, time_h, risk, is_case, reference_h), stays(stay_id, intime,
             [class_known]); a file of `sepsis score` by row group, or whole if its groups are not in the
             order of persons
    Writes   subject_id, prediction_time, boolean_value, predicted_boolean_value,
             predicted_boolean_probability; sorted by subject, time and stay; `facts` in the metadata
    Rule     prediction_time is `intime` + `time_h`, to the microsecond. boolean_value is `is_case`: known
             where the row has a reference, but not after it, when the onset of a case is past; and of other
             stays whose class the labels know (`class_known`). The schema allows no gap in this
             column, so it is written only if every label is known; `labelled` leaves out the rows whose
             label is unknown, as the standard's evaluation requires. predicted_boolean_value is
             risk >= threshold, null without a threshold. Rows without a risk, and stays without a time of
             admission, are left out and counted.
    Raises   SettingsError for a threshold outside [0, 1]; ExportError for scores of several models, a scored
             stay that is not in `stays`, or an export without times; NothingLeftError if no row is left
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError("--threshold", f"{threshold:g}", "between 0 and 1")
    pieces = _pieces(scores)  # read twice: first to count
    n, n_risks, n_placed, n_known = _counted(pieces(), stays)
    if labelled and not n_known:
        raise NothingLeftError(
            "MEDS predictions", f"no label is known of {n_placed:,} rows", "scores of a cohort",
            "Score at --horizons, or --hourly with the labels the model was fitted on.",
        )  # fmt: skip
    with_labels = labelled or n_known == n_placed
    note = json.dumps(
        {"table": "meds_predictions", "threshold": threshold, **(facts or {})}, sort_keys=True, default=str
    )
    schema = pa.schema([field for field in COLUMNS if with_labels or field.name != "boolean_value"])
    schema = schema.with_metadata({FACTS_KEY: note.encode()})
    with whole_file(out) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for piece in pieces():
            rows = _placed(piece, stays)
            rows = rows[rows.known] if labelled else rows
            rows = rows.sort_values(["subject_id", "prediction_time", "stay_id"], kind="stable")
            if len(rows):
                writer.write_table(_table(rows, threshold, schema))
    return WrittenPredictions(
        rows=n_known if labelled else n_placed,
        labelled=with_labels,
        without_risk=n - n_risks,
        without_clock=n_risks - n_placed,
        without_label=n_placed - n_known if labelled else 0,
    )


def _pieces(scores: pd.DataFrame | str | Path) -> Callable[[], Iterator[pd.DataFrame]]:
    """Scores in pieces, each of later persons than the one before."""
    if isinstance(scores, pd.DataFrame):
        return lambda: iter([scores])

    def groups() -> Iterator[pd.DataFrame]:
        with pq.ParquetFile(scores) as rows:
            for k in range(rows.num_row_groups):
                yield rows.read_row_group(k, columns=[*READ, "model"]).to_pandas()

    spans = [(rows.subject_id.min(), rows.subject_id.max()) for rows in groups() if len(rows)]
    in_order = all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    return groups if in_order else lambda: iter([pd.concat(list(groups()), ignore_index=True)])


def _counted(pieces: Iterable[pd.DataFrame], stays: pd.DataFrame) -> tuple[int, int, int, int]:
    """Rows, those with a risk, those of them with a clock, those of them with a known label."""
    models: set[str] = set()
    n = n_risks = n_placed = n_known = unknown = 0
    for scores in pieces:
        models |= set(scores.model.unique()) if "model" in scores else set()
        scored = scores[scores.risk.notna() & scores.time_h.notna()]
        unknown += int((~scored.stay_id.isin(stays.stay_id)).sum())
        placed = _placed(scores, stays)
        n, n_risks, n_placed = n + len(scores), n_risks + len(scored), n_placed + len(placed)
        n_known += int(placed.known.sum())
    if len(models) > 1:
        raise ExportError(
            "MEDS predictions", f"scores of {len(models)} models", "one model a file",
            "Write a file for each: a prediction in MEDS does not name its model.",
        )  # fmt: skip
    if not n_risks:
        raise NothingLeftError("MEDS predictions", f"none of {n:,} rows has a risk", "at least one")
    if unknown:
        raise ExportError(
            "MEDS predictions", f"{unknown:,} of {n_risks:,} rows belong to no known stay",
            "scores and stays of one export",
        )  # fmt: skip
    if not n_placed:
        _no_clock()
    return n, n_risks, n_placed, n_known


def _placed(scores: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    scored = scores[scores.risk.notna() & scores.time_h.notna()]
    intime = pd.to_datetime(scored.stay_id.map(stays.set_index("stay_id").intime))
    clock = intime.notna().to_numpy()
    return scored[clock].assign(
        prediction_time=_instants(intime[clock], scored.time_h[clock]),
        known=_label_known(scored[clock], stays),
    )


def require_clock(stays: pd.DataFrame) -> None:
    """ExportError unless a stay has a time of admission, `intime`: checked before hours of scoring."""
    if not stays.intime.notna().any():
        _no_clock()


def _no_clock() -> NoReturn:
    raise ExportError(
        "MEDS predictions", "no stay has a time of admission, so predictions have no time",
        "an export with a clock (MIMIC, MEDS)",
        "Write plain scores: PhysioNet records hold hours since admission only.",
    )  # fmt: skip


def _table(kept: pd.DataFrame, threshold: float | None, schema: pa.Schema) -> pa.Table:
    risk = kept.risk.to_numpy(float)
    columns = {
        "subject_id": kept.subject_id.to_numpy(),
        "prediction_time": kept.prediction_time.to_numpy(),
        "boolean_value": kept.is_case.to_numpy(bool),
        "predicted_boolean_value": None if threshold is None else risk >= threshold,
        "predicted_boolean_probability": risk,
    }
    made = [
        pa.nulls(len(kept), field.type)
        if columns[field.name] is None
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(made, schema=schema)


def _instants(intime: pd.Series, time_h: pd.Series) -> np.ndarray:
    after = np.round(time_h.to_numpy(float) * _HOUR_US).astype("timedelta64[us]")
    return intime.to_numpy().astype("datetime64[us]") + after


def _label_known(scores: pd.DataFrame, stays: pd.DataFrame) -> np.ndarray:
    """Whether `is_case` is known and an onset, if there is one, is not past."""
    is_case, reference_h = scores.is_case.to_numpy(bool), scores.reference_h.to_numpy(float)
    dated = ~np.isnan(reference_h) & ~(is_case & (scores.time_h.to_numpy(float) > reference_h))
    if "class_known" not in stays:
        return dated
    known = scores.stay_id.map(stays.set_index("stay_id").class_known).fillna(False).to_numpy(bool)
    return dated | (known & ~is_case)
