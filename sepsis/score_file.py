"""
Scores of a whole export: part by part into one Parquet file, and on from where a run was stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.errors import NothingLeftError
from sepsis.events.extracted import keep_parts, kept_parts
from sepsis.events.parts import PART_STAYS, EventParts
from sepsis.events.store import load_parts, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.outputs import whole_file
from sepsis.progress import progress
from sepsis.schema import PartWriter, checked_arrow, read_rows, write_rows
from sepsis.sources.base import Source
from sepsis.work import Work


@dataclass(frozen=True)
class Scored:
    """
    What a score file holds.

    Attributes
    ----------
    risks : int
        Rows with a risk.
    stays, stays_with_risk : int
        Stays in the file, all of the export, and those with at least one risk.
    reasons : dict of str to int
        Rows without a risk, by their reason.
    """

    risks: int
    stays: int
    stays_with_risk: int
    reasons: dict[str, int]


def event_parts(source: Source, stored: Path | None, work: Work) -> EventParts:
    """
    The events of an export in parts: those stored beside its labels if they are of this export, else
    read once into the work folder.
    """
    if stored is not None and stored_fingerprint(stored) == source.fingerprint():
        return load_parts(stored)
    if not work.has("extracted"):
        source.require_usable()
        with work.step("extracted") as folder:
            keep_parts(source, folder, detail=False, part_stays=PART_STAYS)
    return kept_parts(work["extracted"], detail=False)


def score_parts(
    parts: EventParts, score: Callable[[Events], pd.DataFrame], work: Work, *, label: str
) -> None:
    """
    Score each part that `work` has not yet; one part is in memory at a time.

    Parameters
    ----------
    score : callable
        From the events of a part to its scores (contract `scores`), at least one row for each stay.
    label : str
        For the bar on a terminal.
    """
    for k in progress(range(len(parts)), label):
        if work.has(_step(k)):
            continue
        keep_scores(score(parts[k]), work, k)


def keep_scores(scores: pd.DataFrame, work: Work, k: int) -> None:
    """Scores of part k as a finished step; the contract is checked here."""
    rows = checked_arrow(scores, "scores", f"scores of part {k}", None)
    with work.step(_step(k)) as folder:
        write_rows(rows, folder / "scores.arrow")


def write_score_file(work: Work, n_parts: int, out: Path, facts: dict[str, Any]) -> Scored:
    """
    The scores of all parts as one file, a row group for each.

    Parameters
    ----------
    facts : dict
        What made the risks: kept in the file's metadata.

    Raises
    ------
    NothingLeftError
        If no stay gets a risk.
    """
    found = _count(work, n_parts)
    if not found.risks:
        reasons = "; ".join(f"{n} x {why}" for why, n in Counter(found.reasons).most_common(3))
        raise NothingLeftError(
            "sepsis score", f"no stay gets a risk ({reasons})", "at least one", "See --split."
        )
    with whole_file(out) as temporary, PartWriter(temporary) as writer:
        for k in range(n_parts):
            scores = read_rows(work[_step(k)] / "scores.arrow")
            writer.add(checked_arrow(scores.to_pandas(), "scores", out.name, facts))
    return found


def _count(work: Work, n_parts: int) -> Scored:
    risks = stays = with_risk = 0
    reasons: Counter[str] = Counter()
    for k in range(n_parts):
        scores = read_rows(work[_step(k)] / "scores.arrow").to_pandas()
        scored = scores[scores.risk.notna()]
        risks += len(scored)
        stays += scores.stay_id.nunique()
        with_risk += scored.stay_id.nunique()
        reasons.update(scores.reason[scores.risk.isna()].value_counts().to_dict())
    return Scored(risks, stays, with_risk, dict(reasons))


def _step(k: int) -> str:
    return f"scores-{k:05d}"
