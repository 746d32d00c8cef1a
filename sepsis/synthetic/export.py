"""A synthetic MIMIC-style export with known onsets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sepsis.core.errors import UsageError, nearest
from sepsis.core.files import whole_place
from sepsis.core.work import locked
from sepsis.synthetic import measurements as measure
from sepsis.synthetic import orders
from sepsis.synthetic.course import Course
from sepsis.synthetic.layout import IV_SHIFT, LAYOUTS, Batch, ExportWriter
from sepsis.synthetic.plan import ORGANS, plan_stays

BATCH_SUBJECTS = 700  # about a thousand stays are held in memory at a time
TRUTH = "truth.parquet"


def write_synthetic(
    out: str | Path, *, stays: int, seed: int, layout: str = "mimic-iii", case_share: float = 0.2
) -> Path:
    """
    Write an export of synthetic ICU stays, and the truth about them.

    Parameters
    ----------
    out : path
        Folder to write; absent or empty. It appears only when it is complete.
    seed : int
        The same seed gives the same bytes, and the same patients in both layouts.
    layout : {"mimic-iii", "mimic-iv"}
    case_share : float
        Expected share of stays that become septic (0 to 1).

    Writes the tables as .csv.gz, and `truth.parquet`, one row per stay: stay_id, subject_id, hadm_id,
    is_case, onset_h (hours since ICU admission; null for controls), kind ("case"; "plain";
    "infection": suspected infection without organ failure; "organ": organ failure without infection;
    "chronic": organ failure from the start, no infection), event_h, drift_start_h, first_organ,
    culture_h, antibiotic_h (the intended pair, null if none), stay_h. Raises UsageError if `out` is not empty
    or an argument is out of range.
    """
    out = Path(out)
    _check_arguments(out, stays, seed, layout, case_share)
    plan = plan_stays(stays, np.random.default_rng([seed, 0]), case_share=case_share)
    with locked(out), whole_place(out) as unfinished:
        truth = _write(unfinished, plan, seed, layout)
        truth.to_parquet(unfinished / TRUTH, index=False)
    return out


def _check_arguments(out: Path, stays: int, seed: int, layout: str, case_share: float) -> None:
    if layout not in LAYOUTS:
        raise UsageError("layout", f"no layout {layout!r}", todo=nearest(layout, LAYOUTS))
    if stays < 1:
        raise UsageError("stays", f"{stays}", "at least 1")
    if seed < 0:
        raise UsageError("seed", f"{seed}", "0 or more")
    if not 0.0 <= case_share <= 1.0:
        raise UsageError("case_share", f"{case_share}", "a share from 0 to 1")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(str(out), "is not empty", todo="Name a new or an empty folder.")


def _write(folder: Path, plan: pd.DataFrame, seed: int, layout: str) -> pd.DataFrame:
    number = pd.factorize(plan.subject_id)[0] // BATCH_SUBJECTS
    truths = []
    with ExportWriter(folder, layout, seed) as writer:
        for k, part in plan.groupby(number, sort=True):
            batch, pairs = _batch(part.reset_index(drop=True), np.random.default_rng([seed, 1, int(k)]))
            writer.add(batch)
            truths.append(_truth(batch.plan, pairs))
    truth = pd.concat(truths, ignore_index=True)
    if layout == "mimic-iv":
        for column, shift in IV_SHIFT.items():
            truth[column] += shift
    return truth


def _batch(plan: pd.DataFrame, rng: np.random.Generator) -> tuple[Batch, pd.DataFrame]:
    course = Course(plan, rng)
    prescriptions, cultures, pairs = orders.antibiotics_and_cultures(plan, rng)
    batch = Batch(
        plan=plan,
        charted=measure.charted(plan, course, rng),
        laboratory=measure.laboratory(plan, course, rng),
        outputs=measure.outputs(plan, course, rng),
        infusions=orders.infusions(plan, course, rng),
        extubations=orders.extubations(plan, rng),
        prescriptions=prescriptions,
        cultures=cultures,
    )
    return batch, pairs


def _truth(plan: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    is_case = plan.kind == "case"
    organ = pd.Series(np.array([*ORGANS, None], dtype=object)[plan.first_organ], dtype="str")
    return pd.DataFrame(
        {
            "stay_id": plan.stay_id,
            "subject_id": plan.subject_id,
            "hadm_id": plan.hadm_id,
            "is_case": is_case,
            "onset_h": plan.event_h.where(is_case),
            "kind": plan.kind.astype("str"),
            "event_h": plan.event_h,
            "drift_start_h": plan.drift_h,
            "first_organ": organ,
            "culture_h": pairs.culture_h,
            "antibiotic_h": pairs.antibiotic_h,
            "stay_h": plan.stay_h,
        }
    )
