"""Request and answer schemas. Numbers are finite, ids have 64 bits, unknown fields are refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sepsis.serve.settings import MAX_EVENTS, MAX_HOURS, MAX_STAYS

INT64 = {"ge": -(2**63), "le": 2**63 - 1}
Id = Annotated[int, Field(**INT64)]
Hours = Annotated[float, Field(ge=0, le=MAX_HOURS, allow_inf_nan=False)]


class RequestBody(BaseModel):
    """Base of requests: types are not guessed, and misspelt fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Event(RequestBody):
    """One charted or laboratory value."""

    time_h: float = Field(
        ge=-876_000, le=MAX_HOURS, allow_inf_nan=False, description="Hours since ICU admission."
    )
    concept: str = Field(min_length=1, max_length=64, description="A variable of the vocabulary.")
    value: float | None = Field(description="Its value; null: charted without one.", allow_inf_nan=False)
    unit: str | None = Field(None, max_length=32, description="Unit of `value`; null: the vocabulary's unit.")


class Push(RequestBody):
    """New events of a live stay."""

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
    subject_id: Id | None = Field(None, description="The patient; given at the first push.")
    now_h: Hours | None = Field(
        None, description="Hours since ICU admission; null: time of the latest kept event. Never goes back."
    )
    events: list[Event] = Field(
        default_factory=list, max_length=MAX_EVENTS, description="In any order; late events are accepted."
    )


class WholeStay(Push):
    """All events of one stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stay_id": 7, "now_h": 2.0, "events": []}]})
    stay_id: Id


class Batch(RequestBody):
    """Several stays to score; nothing is kept."""

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
    stays: list[WholeStay] = Field(min_length=1, max_length=MAX_STAYS, description="Each stay once.")


class Refusal(BaseModel):
    """Why a request was refused: counts and field names, no patient data."""

    where: str
    found: str
    expected: str
    todo: str


class Metadata(BaseModel):
    """The model and version that produced the risks."""

    model: str = Field(description="Name of the model.")
    model_hash: str = Field(description="SHA-256 of its settings and learned state.")
    version: str = Field(description="Version of the package.")
    notice: str


class Risk(BaseModel):
    """The risk at one full hour; a stay without a full hour has one row with the reason."""

    stay_id: int
    subject_id: int = Field(description="-1 if it was not given.")
    time_h: float | None
    horizon_h: None = None
    model: str
    risk: float | None
    risk_sd: float | None
    reason: str = Field(description="Why there is no risk; empty if there is one.")


class GivenRisk(Risk):
    """The risk of an hour as first given."""

    given_at_h: float | None = Field(description="The clock when it was given.")


class ChangedRisk(Risk):
    """A risk that is new or has changed."""

    revised: bool = Field(description="Replaces an earlier risk because an event came late.")


class Counted(BaseModel):
    """Rows of a request by outcome."""

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
    waiting: int = Field(description="Of these, events later than the clock.")
    scores: list[Risk] = Field(description="From what is known now.")
    as_given: list[GivenRisk] = Field(description="As first given.")


class Discharged(BaseModel):
    """Final answer about a stay."""

    metadata: Metadata
    stay_id: int
    scores: list[Risk]


class Health(BaseModel):
    """The service is running."""

    status: str


class Variable(BaseModel):
    """A variable the model reads."""

    concept: str
    name: str
    unit: str
    plausible: str = Field(description="Plausible range; values outside are dropped.")


class About(BaseModel):
    """The served model and the limits of a request."""

    metadata: Metadata
    concepts: list[Variable]
    definition: str | None = Field(description="Label definition the model was fitted on.")
    lookback_h: float | None = Field(description="Hours of history the model reads; null: the whole stay.")
    keeps_training_stays: bool
    limits: dict[str, float]


def _whole(text):
    """A path segment as an integer; digits only."""
    if isinstance(text, str) and not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()):
        raise ValueError("not a whole number")
    return text if len(str(text)) <= 20 else 2**63


PathId = Annotated[int, BeforeValidator(_whole), Field(**INT64)]
