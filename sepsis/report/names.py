"""Name, group and style of each model on the page, distinguishable without colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sepsis.models.registry import BEDSIDE_SCORE, MODEL, NEGATIVE_CONTROL, entry_of, names_of

GROUPS = {
    MODEL: "Models",
    BEDSIDE_SCORE: "Clinical scores",
    NEGATIVE_CONTROL: "Negative controls (no physiology)",
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
DASHES = ("solid", "dash", "dashdot")  # dotted is the line of chance
SHOWN_AT_FIRST = 6  # most series drawn before a reader switches others on


@dataclass(frozen=True)
class Style:
    """
    A model on the page: its name, group and marks, and whether figures show it at first.

    `kind` is a key of `GROUPS`, `flag` a caveat ("" for none), `role` a CSS variable of the page; `symbol`
    and `dash` are Plotly's.
    """

    model: str
    name: str
    kind: str
    flag: str
    role: str
    symbol: str
    dash: str
    shown: bool


def model_name(model: str) -> str:
    """Printed name of a model; an unknown one keeps its own."""
    return entry_of(model).title


def in_text(model: str) -> str:
    """Name inside a sentence, with a non-breaking hyphen."""
    entry = entry_of(model)
    return (entry.in_text or entry.title).replace("-", "\N{NON-BREAKING HYPHEN}")


def reference_model(models: Sequence[str]) -> str:
    """The comparator: the first negative control, else the last model."""
    return next((m for m in names_of(NEGATIVE_CONTROL) if m in models), models[-1])


def places(looks: Sequence[Style]) -> dict[str, float]:
    """
    Offset of each model from its tick, in steps; those shown at first in the middle.

    >>> places(styles(("a", "b", "clock")))
    {'a': -1.0, 'b': 0.0, 'clock': 1.0}
    """
    shown = [look.model for look in looks if look.shown]
    order = [*shown, *(look.model for look in looks if not look.shown)]
    return {model: k - (len(shown) - 1) / 2 for k, model in enumerate(order)}


def styles(models: Sequence[str]) -> tuple[Style, ...]:
    """
    The style of each model, in the order given; negative controls are grey and open, clinical scores brown.

    If there are too many series, figures show the models and the reference at first.
    """
    crowded = len(models) > SHOWN_AT_FIRST
    reference = reference_model(models)
    used = dict.fromkeys(GROUPS, 0)
    made = []
    for model in models:
        entry = entry_of(model)
        kind = entry.kind
        turn, index = divmod(used[kind], len(SYMBOLS))
        used[kind] += 1
        flag = f"circular: {entry.circular}" if entry.circular else ""
        role, symbol, dash = f"series-{index}", SYMBOLS[index], DASHES[min(turn, len(DASHES) - 1)]
        if kind == NEGATIVE_CONTROL:
            role, symbol, dash = "series-plain", f"{symbol}-open", "dash"
        elif kind == BEDSIDE_SCORE:
            role, dash = "series-clinical", "dash" if flag else "solid"
        shown = not crowded or kind == MODEL or model == reference
        made.append(Style(model, entry.title, kind, flag, role, symbol, dash, shown))
    return tuple(made)
