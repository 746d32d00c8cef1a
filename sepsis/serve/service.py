"""
The work behind the endpoints, one request at a time: a scorer behind a lock, its answers as plain Python.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.core import __version__
from sepsis.core.errors import UsageError
from sepsis.core.files import MANIFEST, check_folder
from sepsis.events.vocabulary import Interval
from sepsis.live import Scorer
from sepsis.live.incoming import readable
from sepsis.live.state import KIND, model_hash
from sepsis.models.artifact.read import Trained
from sepsis.serve.messages import Batch, Event, Push
from sepsis.serve.settings import MAX_EVENTS, MAX_HOURS, MAX_HOURS_ASKED, MAX_STAYS, NOTICE, Limits

SCORE = ["stay_id", "subject_id", "time_h", "horizon_h", "model", "risk", "risk_sd", "reason"]


class BusyError(Exception):
    """The model is in use for longer than a request may wait."""


class Service:
    """
    A model and the live stays; these are restored from the folder `state`, if it exists, and `save` writes
    them.

    Raises ExportError if the state is incomplete or belongs to another model, UsageError if its folder cannot
    be written.
    """

    def __init__(self, trained: Trained, limits: Limits, state: str | Path | None = None):
        self.trained, self.limits = trained, limits
        self.state = None if state is None else check_folder(state, KIND)
        bounds: dict[str, Any] = {"max_stays": limits.max_stays, "max_hours": MAX_HOURS}
        if self.state is not None and (self.state / MANIFEST).exists():
            self.scorer = Scorer.restore(self.state, trained, **bounds)
        else:
            self.scorer = Scorer(trained, **bounds)
        self.metadata = {
            "model": trained.model.name,
            "model_hash": model_hash(trained.model),
            "version": __version__,
            "notice": NOTICE,
        }
        self._lock = threading.Lock()

    def save(self) -> None:
        """Write the live stays, if there is a state folder."""
        if self.state is not None:
            with self._alone():
                self.scorer.save(self.state)

    def about(self) -> dict[str, Any]:
        """The model, its variables and the limits of a request."""
        model = self.trained.model
        known = readable(model.concepts_)
        return {
            "metadata": self.metadata,
            "concepts": [
                {
                    "concept": name,
                    "name": known[name].name,
                    "unit": known[name].unit,
                    "plausible": _written(known[name].plausible),
                }
                for name in model.concepts_
            ],
            "definition": _text(self.trained.manifest.get("definition")),
            "lookback_h": model.lookback_h if np.isfinite(model.lookback_h) else None,
            "keeps_training_stays": model.keeps_training_stays,
            "limits": {
                "live_stays": self.limits.max_stays,
                "body_bytes": self.limits.max_body,
                "requests_at_once": self.limits.max_requests,
                "events_a_request": MAX_EVENTS,
                "stays_a_request": MAX_STAYS,
                "hours_a_stay": MAX_HOURS,
                "hours_a_request": MAX_HOURS_ASKED,
            },
        }

    def score(self, batch: Batch) -> dict[str, Any]:
        """The risk of every full hour of several stays; nothing is kept."""
        if len({stay.stay_id for stay in batch.stays}) < len(batch.stays):
            raise UsageError("stays", "duplicate stay_id", "each stay once")
        if sum(len(stay.events) for stay in batch.stays) > MAX_EVENTS:
            raise UsageError(
                "stays", "too many events", f"at most {MAX_EVENTS} per request", "Send several requests."
            )
        hours = sum(_last_h(stay) for stay in batch.stays)
        if hours > MAX_HOURS_ASKED:
            raise UsageError(
                "stays", "too many hours", f"at most {MAX_HOURS_ASKED} per request", "Send several requests."
            )
        with self._alone():
            scorer = Scorer(self.trained, max_stays=MAX_STAYS, max_hours=MAX_HOURS, max_streams=0)
            for stay in batch.stays:
                scorer.push(stay.stay_id, table(stay.events), now_h=stay.now_h, subject_id=stay.subject_id)
        return {
            "metadata": self.metadata,
            "scores": records(scorer.scores(), SCORE),
            "ledger": scorer.ledger.to_dict("records"),
        }

    def push(self, stay_id: int, push: Push) -> dict[str, Any]:
        """New events of a live stay."""
        with self._alone():
            before = self.scorer.ledger
            changed = self.scorer.push(
                stay_id, table(push.events), now_h=push.now_h, subject_id=push.subject_id
            )
            return {
                "metadata": self.metadata,
                "stay_id": stay_id,
                "clock_h": self.scorer.clock_h(stay_id),
                "changed": records(changed, [*SCORE, "revised"]),
                "ledger": _added(before, self.scorer.ledger),
            }

    def stay(self, stay_id: int) -> dict[str, Any]:
        """All risks of a live stay."""
        with self._alone():
            events, waiting = self.scorer.n_events(stay_id)
            return {
                "metadata": self.metadata,
                "stay_id": stay_id,
                "subject_id": self.scorer.subject_id(stay_id),
                "clock_h": self.scorer.clock_h(stay_id),
                "events": events,
                "waiting": waiting,
                "scores": records(self.scorer.scores(stay_id), SCORE),
                "as_given": records(self.scorer.scores(stay_id, as_given=True), [*SCORE, "given_at_h"]),
            }

    def discharge(self, stay_id: int) -> dict[str, Any]:
        """Remove a live stay."""
        with self._alone():
            scores = records(self.scorer.discharge(stay_id), SCORE)
        return {"metadata": self.metadata, "stay_id": stay_id, "scores": scores}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self.limits.wait_s):
            raise BusyError
        try:
            yield
        finally:
            self._lock.release()


def table(events: list[Event]) -> pd.DataFrame:
    """Events as the scorer takes them."""
    return pd.DataFrame(
        {
            "time_h": np.array([event.time_h for event in events], float),
            "concept": pd.Series([event.concept for event in events], dtype=object),
            "value": np.array([np.nan if event.value is None else event.value for event in events], float),
            "unit": pd.Series([event.unit for event in events], dtype=object),
        }
    )


def records(frame: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """Rows as dicts; gaps as None."""
    parts = [[None if value != value else value for value in frame[name].tolist()] for name in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*parts, strict=True)]


def _last_h(push: Push) -> float:
    if push.now_h is not None:
        return push.now_h
    return max((0.0, *(event.time_h for event in push.events)))


def _added(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    key = ["concept", "reason"]
    both = after.merge(before, on=key, how="left", suffixes=("", "_before"))
    both["rows"] -= both.rows_before.fillna(0).astype(int)
    return both.loc[both.rows > 0, [*key, "rows"]].to_dict("records")


def _written(bounds: Interval) -> str:
    if not np.isfinite([bounds.low, bounds.high]).all():
        return ""
    left, right = "[" if bounds.with_low else "(", "]" if bounds.with_high else ")"
    return f"{left}{bounds.low:g}, {bounds.high:g}{right}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
