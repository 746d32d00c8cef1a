"""Scores of a whole export: part by part into one Parquet file. A run that was stopped resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError
from sepsis.core.files import whole_file
from sepsis.core.schema import PartWriter, checked_arrow, read_rows, with_facts, write_rows
from sepsis.core.work import Work
from sepsis.events.model_inputs import events_for
from sepsis.events.parts import EventParts
from sepsis.events.store import extract_in, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.models.artifact.members import ModelFolder
from sepsis.models.base import WindowClassifier
from sepsis.scoring.predict import score_horizons, score_hourly, without_risk
from sepsis.scoring.request import ScoringRequest, models_of
from sepsis.sources.base import Source


@dataclass(frozen=True)
class ScoreSummary:
    """Counts of a score file."""

    risks: int  # rows with a risk
    stays: int  # in the file: all stays of the export
    stays_with_risk: int
    reasons: dict[str, int]  # rows without a risk, by their reason


def events_place(source: Source, stored: Path | None, work: Work) -> Path:
    """The events folder of an export: the one kept with its labels, else a new one in the work folder."""
    fingerprint = source.fingerprint()
    if stored is not None and stored_fingerprint(stored) == fingerprint:
        return stored
    return extract_in(work, source, detail=False, fingerprint=fingerprint)


def score_parts(
    folder: ModelFolder,
    parts: EventParts,
    request: ScoringRequest,
    work: Work,
    numbers: Iterable[int] | None = None,
) -> None:
    """Score each part (of `numbers`, if given) that `work` lacks; one part is in memory at a time."""
    models = models_of(folder, parts.held.stays, request.recalibrated)
    for k in range(len(parts)) if numbers is None else numbers:
        if not work.has(step_of(k)):
            scores = score_part(folder, models, parts[k], request)
            rows = checked_arrow(scores, "scores", f"scores of part {k}", None)
            with work.step(step_of(k)) as place:
                write_rows(rows, place / "scores.arrow")


def score_part(
    folder: ModelFolder, models: Mapping[int | None, WindowClassifier], part: Events, request: ScoringRequest
) -> pd.DataFrame:
    """Scores of the stays of a part (contract `scores`), at least one row for each of them."""
    made = []
    for task in request.tasks:
        model, who = models[task.member], task.who[task.who.stay_id.isin(part.stays.stay_id)]
        known = events_for(part, model.concepts_)
        if request.horizons is None:
            stays = who.merge(part.stays[["stay_id", "stay_h"]], on="stay_id")
            scores = score_hourly(model, known, stays)
        else:
            scores = score_horizons(model, known, who, horizons=request.horizons)
        if request.recalibrated and task.member is not None:  # the mean has recalibrated its members
            recalibrated = folder.members[task.member].trained.operating.recalibrated
            scores = scores.assign(risk=recalibrated(scores.risk.to_numpy(float)), risk_sd=np.nan)
        made.append(scores.assign(run=task.run))
    scored = np.concatenate([scores.stay_id.to_numpy() for scores in made] or [np.array([], np.int64)])
    here = request.stays[request.stays.stay_id.isin(part.stays.stay_id)]
    made.append(without_risk(here[~here.stay_id.isin(scored)], folder.name))
    return pd.concat([scores for scores in made if len(scores)], ignore_index=True)


def write_score_file(
    work: Work, n_parts: int, n_stays: int, out: Path, facts: dict[str, Any]
) -> ScoreSummary:
    """
    The scores of all parts as one file, with a row group for each part and `facts` in its metadata.

    Raises NothingLeftError if no stay has a risk.
    """
    risks = stays = with_risk = 0
    reasons: Counter[str] = Counter()
    with whole_file(out) as temporary:
        with PartWriter(temporary) as writer:
            for k in range(n_parts):
                rows = read_rows(work[step_of(k)] / "scores.arrow")
                writer.add(with_facts(rows, "scores", {**facts, "stays": n_stays}))
                scores = rows.select(["stay_id", "risk", "reason"]).to_pandas()
                scored = scores.risk.notna()
                risks += int(scored.sum())
                stays += scores.stay_id.nunique()
                with_risk += scores.stay_id[scored].nunique()
                reasons.update(scores.reason[~scored])
        if not risks:
            named = "; ".join(f"{n} x {why}" for why, n in reasons.most_common(3))
            raise NothingLeftError(
                "sepsis score", f"no stay has a risk ({named})", "at least one", "See --split."
            )
        assert stays == n_stays, "a stay was lost"
    return ScoreSummary(risks, stays, with_risk, dict(reasons))


def unscored(work: Work, n_parts: int) -> list[int]:
    """Parts without scores."""
    return [k for k in range(n_parts) if not work.has(step_of(k))]


def step_of(k: int) -> str:
    """Name of the step that scores part `k`."""
    return f"scores-{k:05d}"
