"""Sections about the value of the risk: calibration and net benefit."""

from __future__ import annotations

import pandas as pd

from sepsis.report.context import Results
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
    "": "without recalibration",
    "intercept": "intercept re-estimated on the validation split",
    "platt": "Platt recalibration on the validation split",
    "isotonic": "isotonic recalibration on the validation split",
}
AS_IS = "as is"  # variant of the reliability curve without recalibration


def calibration_section(results: Results) -> Section:
    """Calibration without and with recalibration."""
    rows, title = results.rows("calibration"), "Calibration"
    if rows.empty:
        return Section("calibration", title, missing="No fixed-horizon evaluation was possible.")
    horizon = float(rows.horizon_h.max())
    curve = results.curve("reliability")
    charts: tuple[Chart, ...] = ()
    if curve is not None:
        curve = curve[(curve.variant == AS_IS) & (curve.horizon_h == horizon)]
        charts = (reliability_chart(curve, results.looks, results.percent, horizon),)
    made = [
        models_table(
            rows, results.models, [Want(name, m, horizon, variant) for m, name in CALIBRATION.items()],
            name=f"calibration-{variant or 'as-is'}", folded=bool(variant),
            caption=f"Calibration {horizon:g} h before onset, {words}",
        )
        for variant, words in VARIANTS.items()
        if (rows.setting == variant).any()
    ]  # fmt: skip
    text = (
        "Perfect calibration: intercept 0, slope 1, observed/expected 1. Calibration refers to the "
        "prevalence of the cohort; elsewhere the intercept must be re-estimated."
    )
    return Section("calibration", title, (text,), charts, tuple(made))


def net_benefit_section(results: Results) -> Section:
    """Net benefit, and the decision curve."""
    rows, title = results.rows("net_benefit"), "Net benefit"
    if rows.empty:
        return Section("net_benefit", title, missing="No fixed-horizon evaluation was possible.")
    horizon = float(rows.horizon_h.max())
    rows = rows[rows.horizon_h == horizon]
    thresholds = list(dict.fromkeys(rows.setting))
    wants = [Want("Net benefit", "net_benefit", horizon, s, s) for s in thresholds]
    wants += [Want("Treat all", "net_benefit_treat_all", horizon, s, s) for s in thresholds]
    curve = results.curve("decision_curve")
    charts = () if curve is None else (decision_curve_chart(_at(curve, horizon), results.looks),)
    table = models_table(
        rows,
        results.models,
        wants,
        name="net-benefit",
        caption=f"Net benefit per stay, {horizon:g} h before onset",
    )
    text = (
        "Net benefit depends on the prevalence. It is that of the evaluated stays, which matching "
        "determines, unless a target prevalence was set (see Provenance)."
    )
    return Section("net_benefit", title, (text,), charts=charts, tables=(table,))


def _at(curve: pd.DataFrame, horizon: float) -> pd.DataFrame:
    return curve[curve.horizon_h == horizon]
