"""
Risks as the predictions of the Medical Event Data Standard, for its own evaluation tools.

The file has the columns of `PredictionSchema` of the package `meds-evaluation`, an extension of the label
schema of `meds`; neither package is needed to write it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.errors import ExportError, NothingLeftError, SettingsError
from sepsis.outputs import whole_file
from sepsis.schema import FACTS_KEY

COLUMNS = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("prediction_time", pa.timestamp("us")),
        ("boolean_value", pa.bool_()),
        ("predicted_boolean_value", pa.bool_()),
        ("predicted_boolean_probability", pa.float32()),
    ]
)
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class WrittenPredictions:
    """
    What became of the rows of `scores`.

    Attributes
    ----------
    rows : int
        Predictions in the file.
    labelled : bool
        Whether it has the column `boolean_value`.
    without_risk, without_clock, without_label : int
        Rows that are not in it: the model gave no risk; the stay has no time of admission; labels were
        asked for and this one is not known.
    """

    rows: int
    labelled: bool
    without_risk: int
    without_clock: int
    without_label: int


def write_predictions(
    scores: pd.DataFrame,
    stays: pd.DataFrame,
    out: str | Path,
    *,
    threshold: float | None = None,
    labelled: bool = False,
    facts: dict[str, Any] | None = None,
) -> WrittenPredictions:
    """
    Write risks of one model in MEDS form, whole or not at all.

    Reads    scores(stay_id, subject_id, time_h, risk, is_case, reference_h), stays(stay_id, intime)
    Writes   subject_id, prediction_time, boolean_value, predicted_boolean_value,
             predicted_boolean_probability; sorted by subject, time and stay
    Rule     prediction_time is `intime` + `time_h`, to the microsecond. boolean_value says whether the stay
             reaches onset: known where the stay has a reference (it is in a cohort), but not for a
             case's hours after its reference, when the onset is no longer ahead. The schema allows no
             gap in it, so the column is there only where every label is known. predicted_boolean_value
             is risk >= threshold, null without a threshold. Rows without a risk, and stays without a
             clock, have no place in the schema: they are left out and counted.

    Parameters
    ----------
    threshold : float, optional
        In [0, 1].
    labelled : bool
        Leave out the rows whose label is not known, so that the others have theirs: what the standard's
        evaluation asks for.
    facts : dict, optional
        Settings, versions, hashes: kept in the file's metadata, as in the file of scores.

    Raises
    ------
    SettingsError
        A threshold outside [0, 1].
    ExportError
        Scores of several models; a scored stay that is not in `stays`; an export without a clock.
    NothingLeftError
        No row has a risk, or labels were asked for and none is known.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError("--threshold", f"{threshold:g}", "between 0 and 1")
    if "model" in scores and scores.model.nunique() > 1:
        raise ExportError(
            "MEDS predictions", f"scores of {scores.model.nunique()} models", "one model a file",
            "Write a file for each: a prediction in MEDS does not name its model.",
        )  # fmt: skip
    scored = scores[scores.risk.notna() & scores.time_h.notna()]
    if scored.empty:
        raise NothingLeftError("MEDS predictions", f"none of {len(scores):,} rows has a risk", "at least one")
    unknown = ~scored.stay_id.isin(stays.stay_id)
    if unknown.any():
        raise ExportError(
            "MEDS predictions", f"{int(unknown.sum()):,} of {len(scored):,} rows are of no known stay",
            "scores and stays of one export",
        )  # fmt: skip
    intime = pd.to_datetime(scored.stay_id.map(stays.set_index("stay_id").intime))
    clock = intime.notna().to_numpy()
    require_clock(pd.DataFrame({"intime": intime}))
    kept = scored[clock].assign(
        prediction_time=_instants(intime[clock], scored.time_h[clock]), known=_label_known(scored[clock])
    )
    unlabelled = int((~kept.known).sum()) if labelled else 0
    kept = kept[kept.known] if labelled else kept
    if kept.empty:
        raise NothingLeftError(
            "MEDS predictions", f"no label is known of {unlabelled:,} rows", "scores of a cohort",
            "Scores at --horizons know it, and hourly scores with the labels the model was fitted on.",
        )  # fmt: skip
    kept = kept.sort_values(["subject_id", "prediction_time", "stay_id"], kind="stable", ignore_index=True)
    table = _table(kept, threshold)
    note = json.dumps(
        {"table": "meds_predictions", "threshold": threshold, **(facts or {})}, sort_keys=True, default=str
    )
    with whole_file(out) as temporary:
        pq.write_table(
            table.replace_schema_metadata({FACTS_KEY: note.encode()}), temporary, compression="zstd"
        )
    return WrittenPredictions(
        rows=len(kept),
        labelled="boolean_value" in table.column_names,
        without_risk=len(scores) - len(scored),
        without_clock=int((~clock).sum()),
        without_label=unlabelled,
    )


def require_clock(stays: pd.DataFrame) -> None:
    """
    Raise unless a stay has a time of admission: asked before hours of scoring.

    Reads    stays(intime)
    """
    if not stays.intime.notna().any():
        raise ExportError(
            "MEDS predictions", "no stay has a time of admission, so predictions have no time",
            "an export with a clock (MIMIC, MEDS)",
            "Write plain scores: PhysioNet records hold hours since admission only.",
        )  # fmt: skip


def _table(kept: pd.DataFrame, threshold: float | None) -> pa.Table:
    """The columns of the schema; `boolean_value` where all labels are known."""
    risk = kept.risk.to_numpy(float)
    columns = {
        "subject_id": kept.subject_id.to_numpy(),
        "prediction_time": kept.prediction_time.to_numpy(),
        "boolean_value": kept.is_case.to_numpy(bool),
        "predicted_boolean_value": None if threshold is None else risk >= threshold,
        "predicted_boolean_probability": risk,
    }
    if not kept.known.all():
        del columns["boolean_value"]
    kinds = {field.name: field.type for field in COLUMNS}
    return pa.table(
        {
            name: pa.nulls(len(kept), kinds[name]) if values is None else pa.array(values, kinds[name])
            for name, values in columns.items()
        }
    )


def _instants(intime: pd.Series, time_h: pd.Series) -> np.ndarray:
    """Wall-clock times, to the microsecond."""
    after = np.round(time_h.to_numpy(float) * _HOUR_US).astype("timedelta64[us]")
    return intime.to_numpy().astype("datetime64[us]") + after


def _label_known(scores: pd.DataFrame) -> np.ndarray:
    """Whether `is_case` is known and an onset, if there is one, is not past."""
    past = scores.is_case.to_numpy(bool) & (scores.time_h > scores.reference_h).to_numpy()
    return scores.reference_h.notna().to_numpy() & ~past
