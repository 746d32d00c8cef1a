"""
The models by name: the one place where a model is entered.

Classes are imported when asked for, so `sepsis --help`, evaluation and reports read this table without torch.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sepsis.core.errors import SettingsError, nearest

if TYPE_CHECKING:
    from sepsis.models.base import WindowClassifier

MODEL, BEDSIDE_SCORE, NEGATIVE_CONTROL = "model", "bedside score", "negative control"


@dataclass(frozen=True)
class Entry:
    """
    What is known of a model without importing it.

    `place` is "MODULE:CLASS", the module below `sepsis.models`; "" for an outside model. A "negative control"
    knows no physiology: a model that does not beat it has learned nothing. `circular` says how the label is
    made of what the model reads; "" if it is not. `in_text` is the title inside a sentence, if different.
    """

    place: str
    title: str
    kind: str = MODEL
    circular: str = ""
    in_text: str = ""


MODELS = {
    "mgp_tcn": Entry("networks.mgp_tcn:MGPTCN", "MGP-TCN"),
    "mgp_rnn": Entry("networks.mgp_tcn:MGPRNN", "MGP-RNN"),
    "raw_tcn": Entry("networks.raw:RawTCN", "Raw-TCN"),
    "raw_gru": Entry("networks.raw:RawGRU", "Raw-GRU"),
    "dtw_knn": Entry("dtw.knn:DTWKNN", "DTW k-NN"),
    "logistic": Entry("baselines.logistic:Logistic", "Logistic regression", in_text="logistic regression"),
    "sirs": Entry("baselines.bedside:SIRS", "SIRS", BEDSIDE_SCORE),
    "qsofa": Entry("baselines.bedside:QSOFA", "qSOFA", BEDSIDE_SCORE),
    "news2": Entry("baselines.bedside:NEWS2", "NEWS2", BEDSIDE_SCORE),
    "sofa": Entry(
        "baselines.bedside:WindowSOFA", "SOFA", BEDSIDE_SCORE, circular="the label is derived from it"
    ),
    "clock": Entry("baselines.negative_controls:Clock", "Clock", NEGATIVE_CONTROL, in_text="the clock"),
    "observation_count": Entry(
        "baselines.negative_controls:ObservationCount", "Observation count", NEGATIVE_CONTROL
    ),
    "last_lab": Entry("baselines.negative_controls:LastLab", "Last laboratory value", NEGATIVE_CONTROL),
    "demographics": Entry("baselines.negative_controls:Demographics", "Demographics", NEGATIVE_CONTROL),
}

# the classes by the names of `import sepsis`
CLASSES = {
    entry.place.partition(":")[2]: f"sepsis.models.{entry.place}" for entry in MODELS.values()
}  # fmt: skip


def entry_of(name: str) -> Entry:
    """
    The entry of a model; one that repeats the name if the model is unknown.

    >>> entry_of("clock").kind, entry_of("ours").title
    ('negative control', 'ours')
    """
    return MODELS.get(name) or Entry("", name)


def names_of(kind: str) -> tuple[str, ...]:
    """
    Names of the models of a kind, in the order of the table.

    >>> names_of("bedside score")
    ('sirs', 'qsofa', 'news2', 'sofa')
    """
    return tuple(name for name, entry in MODELS.items() if entry.kind == kind)


def names_by_kind() -> str:
    """All names, as `--help` gives them."""
    parts = [", ".join(names_of(MODEL))]
    parts += [f"{kind}s {', '.join(names_of(kind))}" for kind in (BEDSIDE_SCORE, NEGATIVE_CONTROL)]
    return "; ".join(parts) + "."


def require_known(name: str, where: str) -> None:
    """Raise SettingsError, with the nearest known name, unless there is a model of that name."""
    if name not in MODELS:
        raise SettingsError(where, f"no model {name!r}", todo=nearest(name, MODELS))


def model_class(name: str) -> type[WindowClassifier]:
    """The class of a model, imported now; SettingsError, with the nearest known name, if it is unknown."""
    require_known(name, "--model")
    module, cls = MODELS[name].place.split(":")
    return getattr(importlib.import_module(f"sepsis.models.{module}"), cls)


def make_model(name: str, settings: dict[str, Any]) -> WindowClassifier:
    """
    An unfitted model with settings from a pipeline file.

    SettingsError for an unknown model or setting, or one that could not be stored.
    """
    from sepsis.core.settings import checked_arguments  # pydantic: `--help` does not wait for it

    cls = model_class(name)
    made = cls(**checked_arguments(cls, settings, f"[models.{name}]"))
    made.json_settings()  # raises before hours of work, not after them
    return made
