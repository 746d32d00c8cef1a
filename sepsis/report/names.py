"""
What the page calls a model, what kind of model it is, and how it looks: told apart without colour too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sepsis.evaluation.risk_set import FALSIFIERS

MODEL_NAMES = {
    "mgp_tcn": "MGP-TCN",
    "mgp_rnn": "MGP-RNN",
    "raw_tcn": "Raw-TCN",
    "dtw_knn": "DTW k-NN",
    "logistic": "Logistic regression",
    "sirs": "SIRS",
    "qsofa": "qSOFA",
    "news2": "NEWS2",
    "sofa": "SOFA",
    "clock": "Clock",
    "observation_count": "Observation count",
    "last_lab": "Last laboratory value",
    "demographics": "Demographics",
}
IN_TEXT = {"clock": "the clock", "logistic": "logistic regression"}  # inside a sentence
CLINICAL = ("sirs", "qsofa", "news2", "sofa")  # scores of bedside medicine
CIRCULAR = {"sofa": "the label is made of it"}  # comparators that know part of the answer, and why

GROUPS = {
    "model": "Models",
    "clinical": "Clinical scores",
    "falsifier": "Falsifiers: know no physiology",
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
DASHES = ("solid", "dash", "dashdot")  # dotted is the line of chance
SHOWN_AT_FIRST = 6  # series of a figure that a reader can follow; the others wait behind their switch


@dataclass(frozen=True)
class Style:
    """
    One model as the page shows it.

    Attributes
    ----------
    model, name : str
        As in the tables, and as printed.
    kind : str
        A key of `GROUPS`.
    flag : str
        What a reader must know of it, "" for nothing.
    role : str
        A CSS variable of the page.
    symbol, dash : str
        As Plotly names them.
    shown : bool
        Whether figures show it before a switch is touched.
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
    """
    How the page calls a model: its published name, else its own.

    Examples
    --------
    >>> model_name("mgp_tcn"), model_name("ours")
    ('MGP-TCN', 'ours')
    """
    return MODEL_NAMES.get(model, model)


def in_text(model: str) -> str:
    """A model's name inside a sentence, not broken at its hyphen."""
    return IN_TEXT.get(model, model_name(model)).replace("-", "\N{NON-BREAKING HYPHEN}")


def kind_of(model: str) -> str:
    """model, clinical or falsifier."""
    if model in FALSIFIERS:
        return "falsifier"
    return "clinical" if model in CLINICAL else "model"


def reference_model(models: Sequence[str]) -> str:
    """What the others are compared with: the first falsifier, else the last model."""
    return next((m for m in FALSIFIERS if m in models), models[-1])


def places(looks: Sequence[Style]) -> dict[str, float]:
    """
    Where each model stands beside its tick, in steps from it: those shown at first in the middle.

    Examples
    --------
    >>> places(styles(("a", "b", "clock")))
    {'a': -1.0, 'b': 0.0, 'clock': 1.0}
    """
    shown = [look.model for look in looks if look.shown]
    order = [*shown, *(look.model for look in looks if not look.shown)]
    return {model: k - (len(shown) - 1) / 2 for k, model in enumerate(order)}


def styles(models: Sequence[str]) -> tuple[Style, ...]:
    """
    How each model looks, in the order given.

    Falsifiers are grey and open, clinical scores brown; models have a colour each. Where there are
    more series than a figure can carry, the models and the reference are shown at first.
    """
    crowded = len(models) > SHOWN_AT_FIRST
    reference = reference_model(models)
    used = dict.fromkeys(GROUPS, 0)
    made = []
    for model in models:
        kind = kind_of(model)
        turn, index = divmod(used[kind], len(SYMBOLS))
        used[kind] += 1
        flag = f"circular: {CIRCULAR[model]}" if model in CIRCULAR else ""
        role, symbol, dash = f"series-{index}", SYMBOLS[index], DASHES[min(turn, len(DASHES) - 1)]
        if kind == "falsifier":
            role, symbol, dash = "series-plain", f"{symbol}-open", "dash"
        elif kind == "clinical":
            role, dash = "series-clinical", "dash" if flag else "solid"
        shown = not crowded or kind == "model" or model == reference
        made.append(Style(model, model_name(model), kind, flag, role, symbol, dash, shown))
    return tuple(made)
