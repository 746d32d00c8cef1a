"""
What is asked and answered over HTTP. Numbers are finite, ids are of 64 bits, unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sepsis.serve.settings import MOST_EVENTS, MOST_HOURS, MOST_STAYS

INT64 = {"ge": -(2**63), "le": 2**63 - 1}
Id = Annotated[int, Field(**INT64)]
Hours = Annotated[float, Field(ge=0, le=MOST_HOURS, allow_inf_nan=False)]


class Asked(BaseModel):
    """Base of what comes in: types are not guessed, and misspelt fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Event(Asked):
    """One charted or laboratory value."""

    time_h: float = Field(
        ge=-876_000, le=MOST_HOURS, allow_inf_nan=False, description="Hours since ICU admission."
    )
    concept: str = Field(min_length=1, max_length=64, description="A variable of the vocabulary.")
    value: float | None = Field(description="Its number; null: charted without one.", allow_inf_nan=False)
    unit: str | None = Field(
        None, max_length=32, description="Unit of `value`, converted by the vocabulary; null: its own."
    )


class Push(Asked):
    """What is new of a live stay."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject_id": 21,
                    "now_h": 3.5,
                    "events": [
                        {"time_h": 0.4, "concept": "heart_rate", "value": 92.0},
                        {"time_h": 2.1, "concept": "lactate", "value": 27.0, "unit": "mg/dL"},
                    ],
                }
            ]
        }
    )
    subject_id: Id | None = Field(None, description="Whose stay it is; to be said at the first push.")
    now_h: Hours | None = Field(
        None, description="Hours since ICU admission; null: the latest event that is kept. Never goes back."
    )
    events: list[Event] = Field(
        default_factory=list, max_length=MOST_EVENTS, description="In any order; late ones too."
    )


class WholeStay(Push):
    """All of one stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stay_id": 7, "now_h": 2.0, "events": []}]})
    stay_id: Id


class Batch(Asked):
    """Several stays, scored and forgotten."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "stays": [
                        {
                            "stay_id": 7,
                            "subject_id": 21,
                            "now_h": 2.0,
                            "events": [{"time_h": 0.4, "concept": "heart_rate", "value": 92.0}],
                        }
                    ]
                }
            ]
        }
    )
    stays: list[WholeStay] = Field(min_length=1, max_length=MOST_STAYS, description="Each stay once.")


class Refusal(BaseModel):
    """Why there is no answer: counts and names of fields, nothing of a patient."""

    where: str
    found: str
    expected: str
    todo: str


class Metadata(BaseModel):
    """What gave the risks."""

    model: str = Field(description="Name of the model.")
    model_hash: str = Field(description="SHA-256 of its settings and of what it learned.")
    version: str = Field(description="Of the package.")
    notice: str


class Risk(BaseModel):
    """The answer for one full hour; a stay without one has one row with the reason."""

    stay_id: int
    subject_id: int = Field(description="-1 if it was not said.")
    time_h: float | None
    horizon_h: None = None
    model: str
    risk: float | None
    risk_sd: float | None
    reason: str = Field(description="Why there is no risk; empty where there is one.")


class GivenRisk(Risk):
    """What was first said of an hour, by what was known then."""

    given_at_h: float | None = Field(description="The clock at which it was said.")


class ChangedRisk(Risk):
    """A risk that is new or has changed."""

    revised: bool = Field(description="It replaces one that was given, because an event came late.")


class Counted(BaseModel):
    """What became of the rows of a request."""

    concept: str
    reason: str
    rows: int


class Scores(BaseModel):
    """Answer to a batch."""

    metadata: Metadata
    scores: list[Risk]
    ledger: list[Counted]


class Changed(BaseModel):
    """Answer to a push."""

    metadata: Metadata
    stay_id: int
    clock_h: float
    changed: list[ChangedRisk]
    ledger: list[Counted]


class LiveStay(BaseModel):
    """A live stay."""

    metadata: Metadata
    stay_id: int
    subject_id: int
    clock_h: float
    events: int = Field(description="Events kept.")
    waiting: int = Field(description="Those of them that are stamped later than the clock.")
    scores: list[Risk] = Field(description="By what is known now.")
    as_given: list[GivenRisk] = Field(description="By what was known when each was first given.")


class Discharged(BaseModel):
    """The last answer about a stay."""

    metadata: Metadata
    stay_id: int
    scores: list[Risk]


class Health(BaseModel):
    """It runs."""

    status: str


class Variable(BaseModel):
    """A variable that the model reads."""

    concept: str
    name: str
    unit: str
    plausible: str = Field(description="Values that are kept.")


class About(BaseModel):
    """The model that is served, and the bounds of a request."""

    metadata: Metadata
    concepts: list[Variable]
    definition: str | None = Field(description="Label definition the model was fitted on.")
    lookback_h: float | None = Field(description="History it reads; null: the whole stay.")
    keeps_training_stays: bool
    limits: dict[str, float]


def _whole(text):
    """A path segment as an integer; what Python takes beside digits is refused."""
    if isinstance(text, str) and not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()):
        raise ValueError("not a whole number")
    return text if len(str(text)) <= 20 else 2**63


PathId = Annotated[int, BeforeValidator(_whole), Field(**INT64)]
