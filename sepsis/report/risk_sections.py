"""
What the number itself is worth: whether risks are right, and what acting on them would gain.
"""

from __future__ import annotations

import pandas as pd

from sepsis.report.context import Shown
from sepsis.report.elements import Chart, Section
from sepsis.report.risk_figures import decision_curve_chart, reliability_chart
from sepsis.report.tables import Want, models_table

CALIBRATION = {
    "calibration_intercept": "Intercept",
    "calibration_slope": "Slope",
    "observed_expected": "Observed / expected",
    "brier": "Brier",
    "ece": "ECE",
    "ici": "ICI",
    "e50": "E50",
    "e90": "E90",
}
VARIANTS = {  # setting: in words
    "": "of the risks as they are",
    "intercept": "intercept moved on the validation split",
    "platt": "recalibrated on the validation split by a logistic line (Platt)",
    "isotonic": "recalibrated on the validation split by steps (isotonic)",
}
AS_IS = "as is"  # variant of the reliability curve without recalibration


def calibration_section(shown: Shown) -> Section:
    """Whether risks are what they say, as they are and recalibrated."""
    rows, title = shown.rows("calibration"), "Are the risks right?"
    if rows.empty:
        return Section(
            "calibration", title, missing="No fixed hours could be judged, so calibration is left out."
        )
    horizon = float(rows.horizon_h.max())
    curve = shown.curve("reliability")
    charts: tuple[Chart, ...] = ()
    if curve is not None:
        curve = curve[(curve.variant == AS_IS) & (curve.horizon_h == horizon)]
        charts = (reliability_chart(curve, shown.looks, shown.percent, horizon),)
    made = [
        models_table(
            rows, shown.models, [Want(name, m, horizon, variant) for m, name in CALIBRATION.items()],
            name=f"calibration-{variant or 'as-is'}", folded=bool(variant),
            caption=f"Calibration {horizon:g} h before onset, {words}",
        )
        for variant, words in VARIANTS.items()
        if (rows.setting == variant).any()
    ]  # fmt: skip
    text = (
        "Right would be: intercept 0, slope 1, observed/expected 1. The share of controls is that of the "
        "cohort, and so is the calibration: elsewhere the intercept must be set anew."
    )
    return Section("calibration", title, (text,), charts, tuple(made))


def net_benefit_section(shown: Shown) -> Section:
    """What acting on the risks would gain."""
    rows, title = shown.rows("net_benefit"), "What acting on them would gain"
    if rows.empty:
        return Section(
            "net_benefit", title, missing="No fixed hours could be judged, so net benefit is left out."
        )
    horizon = float(rows.horizon_h.max())
    rows = rows[rows.horizon_h == horizon]
    thresholds = list(dict.fromkeys(rows.setting))
    wants = [Want("Net benefit", "net_benefit", horizon, s, s) for s in thresholds]
    wants += [Want("Of alarming for all", "net_benefit_treat_all", horizon, s, s) for s in thresholds]
    curve = shown.curve("decision_curve")
    charts = () if curve is None else (decision_curve_chart(_at(curve, horizon), shown.looks),)
    table = models_table(
        rows,
        shown.models,
        wants,
        name="net-benefit",
        caption=f"Net benefit per stay, {horizon:g} h before onset",
    )
    text = (
        "Net benefit depends on the share of cases. It is that of the judged stays, which matching sets, "
        "unless a target prevalence was given (see the settings at the end)."
    )
    return Section("net_benefit", title, (text,), charts=charts, tables=(table,))


def _at(curve: pd.DataFrame, horizon: float) -> pd.DataFrame:
    """A curve's rows at one horizon."""
    return curve[curve.horizon_h == horizon]
