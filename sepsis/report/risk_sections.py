"""Sections about the value of the risk: calibration and net benefit."""

from __future__ import annotations

import pandas as pd

from sepsis.report.context import Results
from sepsis.report.elements import Chart, Section
from sepsis.report.risk_figures import decision_curve_chart, reliability_chart
from sepsis.report.tables import Want, models_table, population

CALIBRATION = {
    "calibration_intercept": "Intercept",
    "calibration_slope": "Slope",
    "observed_expected": "Observed / expected",
    "brier": "Brier",
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
    rows, horizon, title = results.rows("calibration"), results.main_h, "Calibration"
    if rows.empty or horizon is None:
        return Section("calibration", title, missing="No fixed-horizon evaluation was possible.")
    curve = results.curve("reliability")
    charts: tuple[Chart, ...] = ()
    if curve is not None:
        curve = curve[(curve.variant == AS_IS) & (curve.horizon_h == horizon)]
        charts = (reliability_chart(curve, results.looks, results.percent, horizon),)
    made = [
        models_table(
            rows, results.models, _calibration_columns(rows, horizon, variant),
            name=f"calibration-{variant or 'as-is'}", folded=bool(variant),
            caption=f"Calibration {horizon:g} h before onset, {words}",
        )
        for variant, words in VARIANTS.items()
        if (rows.setting == variant).any()
    ]  # fmt: skip
    text = (
        "Perfect calibration: intercept 0, slope 1, observed/expected 1. Measures without an interval have "
        "none that covers. At another prevalence than the stated one the intercept must be re-estimated."
    )
    return Section("calibration", title, (text,), charts, tuple(made))


def _calibration_columns(rows: pd.DataFrame, horizon: float, variant: str) -> list[Want]:
    """Each measure among the matched rows, and beside it that at another prevalence, where there is one."""
    names = {
        s: name for s in rows.setting.unique() for base, name in [population(s)] if base == variant and name
    }
    wants = []
    for metric, title in CALIBRATION.items():
        wants.append(Want(title, metric, horizon, variant))
        there = rows[(rows.metric == metric) & rows.setting.isin(list(names))].setting.unique()
        wants += [Want(title, metric, horizon, s, names[s]) for s in there]
    return wants


def net_benefit_section(results: Results) -> Section:
    """Net benefit, and the decision curve."""
    rows, horizon, title = results.rows("net_benefit"), results.main_h, "Net benefit"
    if rows.empty or horizon is None:
        return Section("net_benefit", title, missing="No fixed-horizon evaluation was possible.")
    rows = rows[rows.horizon_h == horizon]
    thresholds = sorted(rows.setting.unique(), key=population)  # a threshold beside itself elsewhere
    wants = [Want("Net benefit", "net_benefit", horizon, s, s) for s in thresholds]
    wants += [Want("Treat all", "net_benefit_treat_all", horizon, s, s) for s in thresholds]
    curve = results.curve("decision_curve")
    charts = () if curve is None else (decision_curve_chart(_at(curve, horizon), results.looks),)
    table = models_table(
        rows,
        results.models,
        wants,
        name="net-benefit",
        caption=f"Net benefit per prediction, {horizon:g} h before onset",
    )
    text = (
        "Net benefit depends on the prevalence, and that of matched sets is made by the design. At the "
        "prevalence of the cohort, risks are corrected for it before they meet the threshold."
    )
    return Section("net_benefit", title, (text,), charts=charts, tables=(table,))


def _at(curve: pd.DataFrame, horizon: float) -> pd.DataFrame:
    return curve[curve.horizon_h == horizon]
