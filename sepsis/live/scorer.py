"""Incremental scoring: push new events of a live stay, get the risks that are new or have changed."""

from __future__ import annotations

import operator
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from sepsis.core.errors import UsageError
from sepsis.live.incoming import Admission, Charted
from sepsis.live.refusals import ConflictError, TooLateError, TooManyError, UnknownStayError
from sepsis.live.stay import NO_RISK, Stay, full_hours
from sepsis.live.streams import Streams
from sepsis.models.artifact.read import Trained, read_model
from sepsis.models.base import WindowClassifier

NOBODY = -1  # subject of a stay pushed without a subject
MAX_STAYS, MAX_EVENTS, MAX_HOURS, MAX_STREAMS = 1000, 100_000, 8784.0, 8
_INT64 = np.iinfo(np.int64)


class Scorer:
    """
    Live stays of one model, which reads `concepts`: other variables are counted and left out.

    Not thread-safe: guard it with a lock. Holds patients' data.

    After any pushes, in any order and in any batches, `scores()` equals `score_hourly` of all pushed events
    (sorted by time, concept and value) up to each stay's clock: to the last bit for every model except the
    networks, and to 1e-6 for those (convolutions of another length sum in another order). A stay pushed as a
    whole agrees to the last bit for every model.

    Parameters
    ----------
    model : Trained, WindowClassifier or path
        A model, or the folder of one.
    max_stays : int
        Live stays at once; another is refused until one is discharged.
    max_events : int
        Events kept per stay.
    max_hours : float
        Longest stay; later times are refused, so that a time in seconds does not make a million hours.
    max_streams : int
        DTW only: stays with a stream of their own, each twice the memory of the training values.

    Examples
    --------
    >>> from sepsis.models.baselines.bedside import SIRS
    >>> from sepsis.cohort.windows import pack
    >>> events = pd.DataFrame({"stay_id": 1, "time_h": [0.5], "concept": "heart_rate", "value": [80.0]})
    >>> stays = pd.DataFrame({"stay_id": [1, 2], "subject_id": [1, 2], "end_h": [4.0, 4.0]})
    >>> scorer = Scorer(SIRS().fit(pack(events, stays, ["heart_rate"]), [0, 1]))
    >>> first = pd.DataFrame({"time_h": [0.5], "concept": ["heart_rate"], "value": [72.0]})
    >>> scorer.push(7, first, now_h=2.0).time_h.tolist()
    [1.0, 2.0]
    >>> late = pd.DataFrame({"time_h": [1.5], "concept": ["heart_rate"], "value": [120.0]})
    >>> changed = scorer.push(7, late)
    >>> changed.time_h.tolist(), changed.revised.tolist()
    ([2.0], [True])
    """

    def __init__(
        self,
        model: Trained | WindowClassifier | str | Path,
        *,
        max_stays: int = MAX_STAYS,
        max_events: int = MAX_EVENTS,
        max_hours: float = MAX_HOURS,
        max_streams: int = MAX_STREAMS,
    ):
        if isinstance(model, str | Path):
            model = read_model(model)
        self.model: WindowClassifier = model.model if isinstance(model, Trained) else model
        for name, value, least in (
            ("max_stays", max_stays, 1), ("max_events", max_events, 1), ("max_hours", max_hours, 1),
            ("max_streams", max_streams, 0),
        ):  # fmt: skip
            if not least <= value < np.inf:
                raise UsageError(f"Scorer {name}", f"is {value:g}", f"a number, {least} or more")
        self.max_stays, self.max_events, self.max_hours = max_stays, max_events, float(max_hours)
        self.concepts = tuple(self.model.concepts_)
        self._admission = Admission(self.concepts, self.max_hours)
        self._streams = Streams(self.model, max_streams)
        self._stays: dict[int, Stay] = {}
        self._counts: Counter = Counter()

    @property
    def stays(self) -> tuple[int, ...]:
        """Ids of the live stays, ascending."""
        return tuple(sorted(self._stays))

    @property
    def ledger(self) -> pd.DataFrame:
        """Pushed rows by outcome, discharged stays included: concept, reason, rows."""
        rows = [(concept, reason, n) for (concept, reason), n in sorted(self._counts.items())]
        frame = pd.DataFrame(rows, columns=["concept", "reason", "rows"])
        return frame.astype({"concept": "str", "reason": "str", "rows": "int64"})

    def push(
        self,
        stay_id: int,
        events: pd.DataFrame | None = None,
        *,
        now_h: float | None = None,
        subject_id: int | None = None,
    ) -> pd.DataFrame:
        """
        Add new events of one stay, or admit a new stay; a refused push changes nothing.

        Parameters
        ----------
        events : DataFrame : time_h, concept, value; optional unit, stay_id, text
            New events in any order, including late ones; `time_h` in hours since ICU admission. Duplicates
            count again, as in batch: values of one variable at one time are averaged. Events later than the
            clock are kept until the clock reaches them.
        now_h : float, optional
            The clock; it never goes back. Default: the time of the latest kept event.
        subject_id : int, optional
            The patient; given at the first push, else -1. A model that excludes training stays of the same
            subject needs it, and must know people by their ids (`Trained.model_of`): a stored model knows
            codes.

        Returns
        -------
        changed : DataFrame
            Contract `scores` plus `revised`: one row per full hour that is new, or whose risk was replaced
            because an event came late (`revised` is true). May be empty.

        Raises
        ------
        ExportError
            If the events break their contract; see `Admission.admit`.
        UsageError
            If an id is not a 64-bit integer, or the clock is not a number of hours.
        ConflictError
            If the stay belongs to another subject.
        TooManyError
            If there are `max_stays` live stays, or `max_events` events of this one.
        TooLateError
            If a time is later than `max_hours`.
        """
        stay_id = whole_number(stay_id, "stay_id")
        before = self._known_or_new(stay_id, subject_id)
        charted, counts = self._admission.admit(events, stay_id)
        clock_h = self._clock(now_h, charted)
        if len(before.charted) + len(charted) > self.max_events:
            raise TooManyError(
                "events", "too many for one stay", f"at most {self.max_events}",
                "Discharge the stay, or raise max_events.",
            )  # fmt: skip
        now, first = before.later(charted, clock_h)
        now = self._answered(now, first)
        self._stays[stay_id] = now
        self._counts += counts
        return self._changed(before, now, first)

    def scores(self, stay_id: int | None = None, *, as_given: bool = False) -> pd.DataFrame:
        """
        The risk of every full hour of one stay, or of all (contract `scores`); a stay without a full hour has
        one row with the reason.

        `as_given` gives the risks as first given, from what was known then, with `given_at_h`, the clock at
        that time; otherwise they are from what is known now.
        """
        chosen = self.stays if stay_id is None else (self._known(stay_id).stay_id,)
        if not chosen:
            return Stay.admitted(0, 0).rows(self.model.name, as_given=as_given).iloc[:0]
        parts = [self._stays[one].rows(self.model.name, as_given=as_given) for one in chosen]
        return pd.concat(parts, ignore_index=True)

    def clock_h(self, stay_id: int) -> float:
        """The clock of a live stay, in hours since ICU admission."""
        return self._known(stay_id).clock_h

    def subject_id(self, stay_id: int) -> int:
        """The subject of a live stay; -1 if it was not given."""
        return self._known(stay_id).subject_id

    def n_events(self, stay_id: int) -> tuple[int, int]:
        """Events kept of a live stay, and how many of them are later than its clock."""
        stay = self._known(stay_id)
        return len(stay.charted), int((stay.charted.time_h > stay.clock_h).sum())

    def discharge(self, stay_id: int) -> pd.DataFrame:
        """Remove a stay; returns its final `scores`."""
        stay = self._known(stay_id)
        self._streams.forget(stay.stay_id)
        del self._stays[stay.stay_id]
        return stay.rows(self.model.name)

    def save(self, folder: str | Path) -> None:
        """Write all live stays into a folder, whole or not at all; see `sepsis.live.state`."""
        from sepsis.live.state import write_state

        write_state(folder, self.model, list(self._stays.values()), self._counts)

    @classmethod
    def restore(cls, folder: str | Path, model: Trained | WindowClassifier | str | Path, **limits) -> Scorer:
        """
        A scorer that continues, to the bit, from where `save` was called, with the same model; `limits` as of
        `Scorer`.

        Raises
        ------
        ExportError
            If the folder is incomplete, was changed, or belongs to another model.
        TooManyError
            If it holds more stays than `max_stays`.
        """
        from sepsis.live.state import read_state

        scorer = cls(model, **limits)
        stays, counts = read_state(folder, scorer.model)
        if len(stays) > scorer.max_stays:
            raise TooManyError(
                "state", f"holds {len(stays)} stays", f"at most {scorer.max_stays}", "Raise max_stays."
            )
        scorer._stays = {stay.stay_id: stay for stay in stays}
        scorer._counts = counts
        return scorer

    def _known(self, stay_id: int) -> Stay:
        stay = self._stays.get(whole_number(stay_id, "stay_id"))
        if stay is None:
            raise UnknownStayError("stay_id", "no such live stay", todo="Push its events first.")
        return stay

    def _known_or_new(self, stay_id: int, subject_id: int | None) -> Stay:
        subject = None if subject_id is None else whole_number(subject_id, "subject_id")
        stay = self._stays.get(stay_id)
        if stay is None:
            if len(self._stays) >= self.max_stays:
                raise TooManyError(
                    "stays", f"{len(self._stays)} are live", f"at most {self.max_stays}",
                    "Discharge one, or raise max_stays.",
                )  # fmt: skip
            return Stay.admitted(stay_id, NOBODY if subject is None else subject)
        if subject is not None and subject != stay.subject_id:
            raise ConflictError(
                "subject_id", "differs from the first push of this stay", "the same subject",
                "Discharge the stay and push it again.",
            )  # fmt: skip
        return stay

    def _clock(self, now_h: float | None, charted: Charted) -> float:
        """The clock according to this push; the stay's own clock may be later."""
        if now_h is None:
            return float(charted.time_h[-1]) if len(charted) else 0.0
        if isinstance(now_h, bool) or not isinstance(now_h, int | float | np.integer | np.floating):
            raise UsageError("now_h", "is not a number", "hours since ICU admission")
        if not now_h >= 0:
            raise UsageError("now_h", "is negative or not a number", "hours since ICU admission")
        if now_h > self.max_hours:
            raise TooLateError(
                "now_h", "is too late", f"at most {self.max_hours:g} hours since ICU admission",
                "Times are hours, not seconds; or raise max_hours.",
            )  # fmt: skip
        return float(now_h)

    def _answered(self, now: Stay, first: int) -> Stay:
        last = full_hours(now.clock_h)
        if first > last:
            return now
        window = now.window(self.concepts)
        streamed = self._streams.risks(window, first)
        if streamed is not None:
            return now.answered(streamed, np.full(len(streamed), np.nan))
        hours = np.arange(first, last + 1, dtype=float)
        risk, sd = self.model.predict_earlier(window, hours[None, :])
        return now.answered(risk[0], np.full(len(hours), np.nan) if sd is None else sd[0])

    def _changed(self, before: Stay, now: Stay, first: int) -> pd.DataFrame:
        hours = np.arange(first, now.n_hours + 1)
        old = hours[hours <= before.n_hours] - 1
        same = np.zeros(len(hours), bool)
        same[: len(old)] = _same(before.risk[old], now.risk[old]) & _same(
            before.risk_sd[old], now.risk_sd[old]
        )
        rows = now.rows(self.model.name, hours[~same])
        return rows.assign(revised=(hours <= before.n_hours)[~same])


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one == other) | (np.isnan(one) & np.isnan(other))


def whole_number(value, name: str) -> int:
    """An id as a Python integer; raises a UsageError unless it is a whole number of 64 bits."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not _INT64.min <= number <= _INT64.max:
        raise UsageError(name, "is not a 64-bit integer", "a whole number")
    return number


__all__ = ["NOBODY", "NO_RISK", "Scorer", "whole_number"]
