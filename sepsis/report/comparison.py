"""The page of `sepsis compare`: tables of label definitions side by side; it names no stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sepsis.labels.compare import COUNTS
from sepsis.report.templates import template

TEMPLATE = "comparison.html.j2"
GENERATOR = "sepsis compare"
COUNT_NAMES = {
    "stays": "Stays",
    "suspected": "Suspected",
    "onsets": "Onsets",
    "onsets_in_stay": "Onsets in the stay",
    "cases": "Cases",
    "cases_from_7_h": "Cases from 7 h",
    "controls": "Controls",
    "excluded": "Excluded",
}
assert tuple(COUNT_NAMES) == COUNTS


def render_comparison(compared: pd.DataFrame, walked: pd.DataFrame, manifest: Mapping[str, Any]) -> str:
    """The page as HTML, without script; the same input gives the same bytes. `walked` may be empty."""
    return template(TEMPLATE).render(
        generator=GENERATOR,
        kind=manifest["export_kind"],
        names=COUNT_NAMES,
        counts=counts_table(compared),
        pairs=pairs_table(compared),
        walks={name: steps.to_dict("records") for name, steps in walked.groupby("walk", sort=False)},
        most=max([*walked["cases"], 1]),
    )


def counts_table(compared: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per definition with its counts, in the order given."""
    own = compared[compared["other"] == ""]
    wide = own.pivot(index="preset", columns="measure", values="value").loc[own["preset"].unique()]
    return [{"preset": name, **row.astype(int).to_dict()} for name, row in wide[list(COUNTS)].iterrows()]


def pairs_table(compared: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per pair of definitions, numbers as text."""
    pairs = compared[compared["other"] != ""]
    rows = []
    for (one, two), found in pairs.groupby(["preset", "other"], sort=False):
        value = found.set_index("measure")["value"]
        whole = {m: f"{value[m]:,.0f}" for m in value.index if m.startswith(("cases", "onsets"))}
        rows.append({"preset": one, "other": two, "kappa": _number(value["kappa"], "{:.2f}"), **whole})
        rows[-1]["shift"] = _number(value["onset_shift_median_h"], "{:+.1f}")
        low, high = value["onset_shift_q1_h"], value["onset_shift_q3_h"]
        rows[-1]["quartiles"] = "" if pd.isna(low) else f"{low:+.1f} to {high:+.1f}"
    return rows


def _number(value: float, form: str) -> str:
    return "\N{EN DASH}" if pd.isna(value) else form.format(value)
