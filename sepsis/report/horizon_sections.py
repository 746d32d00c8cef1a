"""Sections about fixed horizons: all stays, subgroups, and hours before treatment."""

from __future__ import annotations

import pandas as pd

from sepsis.report import tables
from sepsis.report.context import Results
from sepsis.report.elements import Chart, Section, Table
from sepsis.report.figures import horizon_chart
from sepsis.report.forest import forest_chart
from sepsis.report.names import in_text, reference_model
from sepsis.report.tables import METRIC_NAMES, Want, models_table
from sepsis.report.view_tables import before_after_table, groups_table, measure_name

OPERATING = {  # metric: heading
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "alert_rate": "Alert rate",
    "precision": "Precision",
    "partial_auroc": "Partial AUROC",
}
COMPARED = (  # shown again for the hours before treatment: (view, metric)
    ("horizon", "auprc"), ("horizon", "auroc"), ("continuous", "auprc"), ("continuous", "auroc"),
    ("alarm", "event_recall"), ("alarm", "alarm_precision"), ("utility", "normalised_utility"),
)  # fmt: skip


def headline(results: Results) -> tuple[Chart, ...]:
    """The main figure; empty without fixed-horizon risks."""
    if results.horizon.empty:
        return ()
    return tuple(horizon_chart(results.horizon, m, results.looks, results.percent) for m in METRIC_NAMES)


def numbers_section(results: Results) -> Section:
    """The main figure as tables, and operating points."""
    title = "Discrimination at fixed horizons"
    if results.horizon.empty:
        why = "No fixed-horizon evaluation was possible; the notes above give the reason."
        return Section("horizon", title, missing=why)
    made = [tables.horizon_table(results.horizon, metric) for metric in METRIC_NAMES]
    text = f"All figures refer to the same stays. Below each estimate is its {results.percent}% interval."
    return Section("horizon", title, (text,), tables=(*made, *_operating_points(results)))


def extended_section(results: Results) -> Section | None:
    """The main figure at further horizons, if there are any."""
    if results.extended.empty:
        return None
    charts = (
        horizon_chart(results.extended, m, results.looks, results.percent, extended=True)
        for m in METRIC_NAMES
    )
    made = (
        tables.horizon_table(results.extended, m, f"{m}-extended", ", from hourly risks", folded=True)
        for m in METRIC_NAMES
    )
    text = (
        "The last hourly risk at or before each horizon. Fewer stays have a history of this length, so the "
        "stays differ from those above."
    )
    return Section("extended", "Further horizons", (text,), tuple(charts), tuple(made))


def _operating_points(results: Results) -> tuple[Table, ...]:
    rows = results.rows("horizon")
    rows = rows[(rows.horizon_h == results.farthest_h) & rows.metric.isin(list(OPERATING))]
    pairs = rows[["metric", "setting"]].drop_duplicates().itertuples(index=False)
    wants = [Want(OPERATING[p.metric], p.metric, results.farthest_h, p.setting, p.setting) for p in pairs]
    if not wants:
        return ()
    caption = f"Operating points {results.farthest_h:g} h before onset"
    return (models_table(rows, results.models, wants, name="operating-points", caption=caption),)


def differences_section(results: Results) -> Section | None:
    """Paired differences from the reference; None for a single model."""
    models = tables.models_of(results.horizon)
    if len(models) < 2:
        return None
    reference = reference_model(models)
    clock = (
        "The clock knows only the time since admission. A model that does not exceed it may have learned no "
        "more than that. "
    )
    text = (
        "Differences are paired: both models on the same resampled subjects. A triangle marks an interval "
        "that excludes zero. Intervals are not adjusted for multiplicity."
    )
    return Section(
        "differences",
        f"Comparison with {in_text(reference)}",
        ((clock if reference == "clock" else "") + text,),
        tables=tuple(tables.difference_table(results.horizon, metric) for metric in METRIC_NAMES),
    )


def censoring_section(results: Results) -> Section:
    """The main measures on all hours and on those before treatment."""
    title, compared = "Before treatment or suspicion", results.before_after
    if compared.empty:
        why = "The labels have no times of antibiotics, cultures or suspicion, so no hour is censored."
        return Section("censoring", title, missing=why)
    text = (
        "Hours after the first antibiotic, culture or suspicion are removed and the measures are recomputed. "
        "What is lost came from hours in which infection was already suspected. The stays differ as well: a "
        "stay without an earlier hour is excluded."
    )
    table = before_after_table(_main_rows(compared, results), results.models)
    return Section("censoring", title, (text,), tables=(table,))


def _main_rows(compared: pd.DataFrame, results: Results) -> pd.DataFrame:
    picked = []
    for view, metric in COMPARED:
        rows = compared[(compared["view"] == view) & (compared.metric == metric)]
        if view == "horizon":
            rows = rows[(rows.horizon_h == results.farthest_h) & (rows.setting == "")]
        if rows.empty:
            continue
        if view == "continuous":
            rows = rows[rows.horizon_h == rows.horizon_h.min()]
        picked.append(rows[rows.setting == rows.setting.iloc[0]])
    return pd.concat(picked) if picked else compared.iloc[:0]


def groups_section(results: Results) -> Section:
    """The measures by subgroup and site."""
    title = "Subgroups and sites"
    rows = results.metrics[(results.metrics["view"] == "horizon") & (results.metrics.setting == "")]
    rows = rows[rows.model.isin(results.models) & ((rows.group == "all") | rows.group.str.contains(": "))]
    if (rows.group == "all").all() or results.farthest_h is None:
        why = "The labels have no columns for subgroups (site, sex, age, year)."
        return Section("subgroups", title, missing=why)
    at = rows[(rows.horizon_h == results.farthest_h) | rows.horizon_h.isna()]
    site = at.group.str.startswith("site: ") | (at.group == "all")
    made = [
        groups_table(
            part, results.models, name=f"{name}-{metric}", metric=metric,
            caption=f"{measure_name(metric)}{when}, by {name}; a dash where a group is too small",
        )
        for name, part in (("site", at[site]), ("group", at[~site | (at.group == "all")]))
        if (part.group != "all").any()
        for metric, when in (
            ("auprc", f" at {results.farthest_h:g} h before onset"),
            ("auroc", f" at {results.farthest_h:g} h before onset"),
            ("without_risk", ""),
        )
        if (part.metric == metric).any()
    ]  # fmt: skip
    return Section(
        "subgroups",
        title,
        ("Intervals of small groups are wide. Among many groups, some differences arise by chance.",),
        (forest_chart(at, results.looks, "auroc", results.farthest_h, results.percent),),
        tuple(made),
    )
