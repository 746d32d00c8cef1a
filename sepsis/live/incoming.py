"""Incoming events of one stay: validated against the vocabulary as an export is, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError, nearest
from sepsis.events.model_inputs import DEMOGRAPHICS, RATES
from sepsis.events.units import IMPLAUSIBLE, KEPT, NO_NUMBER, normal, unit_rules
from sepsis.events.vocabulary import Concept, Interval, load_vocabulary
from sepsis.live.refusals import TooLateError

NEEDED = ("time_h", "concept", "value")
ALLOWED = (*NEEDED, "unit", "stay_id", "text")  # stay_id and text: rows of `Events.events` can be pushed
BEFORE = "before admission"
UNKNOWN = "not in the vocabulary"
UNREAD = "not read by the model"


@dataclass(frozen=True, eq=False)
class Charted:
    """
    N observations of one stay, sorted by time (hours since ICU admission, not negative), concept (position
    among the model's) and value (in the vocabulary's unit, plausible). Duplicate rows are kept.
    """

    time_h: np.ndarray
    concept: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, time_h, concept, value) -> Charted:
        """Observations in any order."""
        time_h, value = np.asarray(time_h, float), np.asarray(value, float)
        concept = np.asarray(concept, np.int16)
        order = np.lexsort((value, concept, time_h))
        return cls(time_h[order], concept[order], value[order])

    def __len__(self) -> int:
        return len(self.time_h)

    def with_(self, other: Charted) -> Charted:
        """Both together."""
        return Charted.of(
            np.concatenate([self.time_h, other.time_h]),
            np.concatenate([self.concept, other.concept]),
            np.concatenate([self.value, other.value]),
        )


def readable(concepts: Iterable[str] = ()) -> dict[str, Concept]:
    """
    Concepts that may be pushed, by id: the vocabulary, age and sex, and `concepts`.

    A drug that stops is pushed as a rate of 0, as in batch scoring. Exports mark the end of an infusion
    instead, so some drugs have no rate of 0 in the vocabulary.
    """
    known = dict(load_vocabulary().concepts)
    for name in RATES:
        known[name] = replace(known[name], plausible=replace(known[name].plausible, with_low=True))
    for name in (*DEMOGRAPHICS, *concepts):  # age and sex are columns of an export, not items
        known.setdefault(name, Concept(name, name, "years" if name == "age" else "", "stay"))
    return known


class Admission:
    """
    Validation of incoming events for one model, whose variables are `concepts` in its order; times later than
    `max_hours` are refused.
    """

    def __init__(self, concepts: Sequence[str], max_hours: float):
        self.concepts, self.max_hours = tuple(concepts), max_hours
        self.known = readable(self.concepts)
        every = list(self.known.values())
        rules = unit_rules(load_vocabulary(), every)
        self._rules = {
            (every[row.number].id, row.spelling): (row.factor, row.offset, row.per_weight)
            for row in rules.itertuples()
        }

    def admit(self, events: pd.DataFrame | None, stay_id: int) -> tuple[Charted, Counter]:
        """
        Events of one stay as a model may read them, and rows by (concept, outcome).

        A missing unit means the vocabulary's. Rows are kept, or dropped as implausible (outside the
        vocabulary's range after conversion), without a number, before admission, not in the vocabulary, or
        not read by the model.

        Raises
        ------
        ExportError
            If a column is missing or unknown, a time or concept is missing, a value is text, a unit cannot be
            converted, or rows belong to another stay.
        TooLateError
            If a time is later than `max_hours`.
        """
        if events is None or not len(events):
            if events is not None and len(events.columns):
                _check_columns(events)
            return Charted.of([], [], []), Counter()
        _check_columns(events)
        time_h, value = _numbers(events, "time_h"), _numbers(events, "value")
        self._check_times(time_h)
        names = _names(events)
        if "stay_id" in events and not (events.stay_id == stay_id).all():
            strangers = int((events.stay_id != stay_id).sum())
            raise ExportError(
                "events.stay_id", f"{strangers} rows belong to another stay", "one stay per push"
            )
        value = self._converted(names, value, events.get("unit"))
        reason = self._reasons(names, time_h, value)
        counts = Counter(
            (name if why != UNKNOWN else UNKNOWN, why) for name, why in zip(names, reason, strict=True)
        )
        kept = np.array([why == KEPT for why in reason], bool)
        place = {name: at for at, name in enumerate(self.concepts)}
        concept = [place[name] for name, keep in zip(names, kept, strict=True) if keep]
        return Charted.of(time_h[kept], concept, value[kept]), counts

    def _check_times(self, time_h: np.ndarray) -> None:
        gaps = int((~np.isfinite(time_h)).sum())
        if gaps:
            raise ExportError(
                "events.time_h", f"{gaps} of {len(time_h)} times are missing or not finite", "hours"
            )
        late = int((time_h > self.max_hours).sum())
        if late:
            raise TooLateError(
                "events.time_h", f"{late} of {len(time_h)} times are too late",
                f"at most {self.max_hours:g} hours since ICU admission", "Times are hours, not seconds.",
            )  # fmt: skip

    def _converted(self, names: list[str], value: np.ndarray, units: pd.Series | None) -> np.ndarray:
        """Values in the vocabulary's units; fractions as percent where the vocabulary says so."""
        value = value.copy()
        bad: Counter = Counter()
        by_weight: Counter = Counter()
        given = [None] * len(names) if units is None else units.tolist()
        for row, (name, unit) in enumerate(zip(names, given, strict=True)):
            if name not in self.known or np.isnan(value[row]):
                continue
            if isinstance(unit, str) and normal(unit):
                rule = self._rules.get((name, normal(unit)))
                if rule is None:
                    bad[name] += 1
                elif rule[2]:
                    by_weight[name] += 1
                else:
                    with np.errstate(over="ignore"):  # what becomes infinite is implausible
                        value[row] = value[row] * rule[0] + rule[1]
            elif unit is not None and unit is not pd.NA and not isinstance(unit, str) and unit == unit:
                bad[name] += 1
            if self.known[name].fraction and 0 < value[row] <= 1:
                value[row] *= 100.0
        for counts, why, todo in (
            (bad, "have a unit the vocabulary cannot convert", "Convert them first."),
            (by_weight, "are not per kg", "Divide them by the patient's weight first."),
        ):
            if counts:
                found = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
                units_of = ", ".join(f"{name} in {self.known[name].unit!r}" for name in sorted(counts))
                raise ExportError(
                    "events.unit",
                    f"rows that {why}: {found}",
                    f"{units_of}, or a unit that data_schema converts",
                    todo,
                )
        return value

    def _reasons(self, names: list[str], time_h: np.ndarray, value: np.ndarray) -> list[str]:
        return [
            self._reason(name, t, x)
            for name, t, x in zip(names, time_h.tolist(), value.tolist(), strict=True)
        ]

    def _reason(self, name: str, time_h: float, value: float) -> str:
        concept = self.known.get(name)
        if concept is None:
            return UNKNOWN
        if name not in self.concepts or concept.mark:
            return UNREAD
        if np.isnan(value):
            return NO_NUMBER
        plausible: Interval = concept.plausible
        if not np.isfinite(value) or value not in plausible:
            return IMPLAUSIBLE
        return KEPT if time_h >= 0 else BEFORE


def _check_columns(events: pd.DataFrame) -> None:
    missing = [name for name in NEEDED if name not in events.columns]
    if missing:
        raise ExportError("events", f"no column {', '.join(missing)}", ", ".join(NEEDED))
    strange = [name for name in events.columns if name not in ALLOWED]
    if strange or events.columns.has_duplicates:
        # a misspelt `unit` must not be ignored; the name may be anything, so it is not repeated
        hint = nearest(str(strange[0]), ALLOWED) if strange else ""
        raise ExportError(
            "events", f"{len(strange)} unknown columns" if strange else "duplicate column",
            ", ".join(ALLOWED), hint if hint.startswith("Did") else "Remove the others.",
        )  # fmt: skip


def _numbers(events: pd.DataFrame, name: str) -> np.ndarray:
    """A column as float64, NaN for gaps; text and booleans are refused."""
    column = events[name]
    if column.dtype == object:
        given = [np.nan if v is None or v is pd.NA else v for v in column]
        wrong = [v for v in given if isinstance(v, bool) or not _is_number(v)]
        if not wrong:
            column = pd.Series([float(v) for v in given], dtype=float)
    else:
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        wrong = [] if is_number and not pd.api.types.is_complex_dtype(column) else list(column)
    if wrong:
        raise ExportError(f"events.{name}", f"{len(wrong)} of {len(column)} rows are not numbers", "numbers")
    return column.to_numpy(float, na_value=np.nan)


def _is_number(value) -> bool:
    if not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _names(events: pd.DataFrame) -> list[str]:
    names = events.concept.astype(object).tolist()
    wrong = sum(not isinstance(name, str) for name in names)
    if wrong:
        raise ExportError("events.concept", f"{wrong} of {len(names)} rows have no name", "concept ids")
    return names
