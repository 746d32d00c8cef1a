"""
The paper's view: one risk per stay at fixed hours before onset, for everybody, for groups, and without
the hours after somebody acted.
"""

from __future__ import annotations

import pandas as pd

from sepsis.report import tables
from sepsis.report.context import Shown
from sepsis.report.elements import Chart, Section, Table
from sepsis.report.figures import horizon_chart
from sepsis.report.forest import forest_chart
from sepsis.report.names import in_text, reference_model
from sepsis.report.tables import METRIC_NAMES, Want, models_table
from sepsis.report.view_tables import before_after_table, groups_table, measure_name

OPERATING = {  # metric: heading; each with every setting it has
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "alert_rate": "Alert rate",
    "precision": "Precision",
    "partial_auroc": "Partial AUROC",
}
COMPARED = (  # what is shown again without the hours after somebody acted: (view, metric)
    ("horizon", "auprc"), ("horizon", "auroc"), ("continuous", "auprc"), ("continuous", "auroc"),
    ("alarm", "event_recall"), ("alarm", "alarm_precision"), ("utility", "normalised_utility"),
)  # fmt: skip


def headline(shown: Shown) -> tuple[Chart, ...]:
    """The paper's figure; nothing where no stay has a risk at fixed hours."""
    if shown.horizon.empty:
        return ()
    return tuple(horizon_chart(shown.horizon, m, shown.looks, shown.percent) for m in METRIC_NAMES)


def numbers_section(shown: Shown) -> Section:
    """The paper's figure as tables, and fixed operating points."""
    title = "The figures in numbers"
    if shown.horizon.empty:
        why = "No fixed hours before onset could be judged; the notes above say why."
        return Section("horizon", title, missing=why)
    made = [tables.horizon_table(shown.horizon, metric) for metric in METRIC_NAMES]
    text = f"Every figure is about the same stays. Under each estimate stands its {shown.percent}% interval."
    return Section("horizon", title, (text,), tables=(*made, *_operating_points(shown)))


def extended_section(shown: Shown) -> Section | None:
    """The paper's figure over more hours; None where the hours scored are all there are."""
    if shown.extended.empty:
        return None
    charts = (
        horizon_chart(shown.extended, m, shown.looks, shown.percent, extended=True) for m in METRIC_NAMES
    )
    made = (
        tables.horizon_table(shown.extended, m, f"{m}-extended", ", from hourly risks", folded=True)
        for m in METRIC_NAMES
    )
    text = (
        "From hourly risks: the last one at or before each hour. Fewer stays have a history that long, so "
        "these are other stays than above."
    )
    return Section("extended", "More hours before onset", (text,), tuple(charts), tuple(made))


def _operating_points(shown: Shown) -> tuple[Table, ...]:
    """Sensitivity at fixed specificity and the like, at the farthest horizon."""
    rows = shown.rows("horizon")
    rows = rows[(rows.horizon_h == shown.farthest_h) & rows.metric.isin(list(OPERATING))]
    pairs = rows[["metric", "setting"]].drop_duplicates().itertuples(index=False)
    wants = [Want(OPERATING[p.metric], p.metric, shown.farthest_h, p.setting, p.setting) for p in pairs]
    if not wants:
        return ()
    caption = f"At fixed operating points, {shown.farthest_h:g} h before onset"
    return (models_table(rows, shown.models, wants, name="operating-points", caption=caption),)


def differences_section(shown: Shown) -> Section | None:
    """Paired differences to the reference; None where there is nothing to compare."""
    models = tables.models_of(shown.horizon)
    if len(models) < 2:
        return None
    reference = reference_model(models)
    clock = (
        "The clock knows only how long a stay has lasted. A model that does not beat it may have learned no "
        "more than that. "
    )
    text = (
        "Differences are paired: both models on the same resampled subjects. A triangle marks an interval "
        "that excludes zero; the many intervals are not corrected for being many."
    )
    return Section(
        "differences",
        f"Better than {in_text(reference)}?",
        ((clock if reference == "clock" else "") + text,),
        tables=tuple(tables.difference_table(shown.horizon, metric) for metric in METRIC_NAMES),
    )


def censoring_section(shown: Shown) -> Section:
    """The main measures on all hours and on those before anybody acted."""
    title, compared = "Before anybody acted", shown.before_after
    if compared.empty:
        why = "The labels bring no times of antibiotics, cultures or suspicion, so no hour is dropped."
        return Section("censoring", title, missing=why)
    text = (
        "Hours after the first antibiotic, culture or suspicion are dropped, and everything is computed "
        "again. What is lost came from hours in which somebody already suspected an infection. The stays "
        "differ too: one that has no earlier hour is gone."
    )
    table = before_after_table(_main_rows(compared, shown), shown.models)
    return Section("censoring", title, (text,), tables=(table,))


def _main_rows(compared: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Of each compared measure the farthest horizon, the shortest window, the first setting."""
    picked = []
    for view, metric in COMPARED:
        rows = compared[(compared["view"] == view) & (compared.metric == metric)]
        if view == "horizon":
            rows = rows[(rows.horizon_h == shown.farthest_h) & (rows.setting == "")]
        if rows.empty:
            continue
        if view == "continuous":
            rows = rows[rows.horizon_h == rows.horizon_h.min()]
        picked.append(rows[rows.setting == rows.setting.iloc[0]])
    return pd.concat(picked) if picked else compared.iloc[:0]


def groups_section(shown: Shown) -> Section:
    """Subgroups and sites: the same measures, small groups kept back."""
    title = "Groups and sites"
    rows = shown.metrics[(shown.metrics["view"] == "horizon") & (shown.metrics.setting == "")]
    rows = rows[rows.model.isin(shown.models) & ((rows.group == "all") | rows.group.str.contains(": "))]
    if (rows.group == "all").all() or shown.farthest_h is None:
        why = "The labels bring no columns to make groups of (site, sex, age, year)."
        return Section("subgroups", title, missing=why)
    at = rows[(rows.horizon_h == shown.farthest_h) | rows.horizon_h.isna()]
    site = at.group.str.startswith("site: ") | (at.group == "all")
    made = [
        groups_table(
            part, shown.models, name=f"{name}-{metric}", metric=metric,
            caption=f"{measure_name(metric)}{when}, by {name}; a dash where one is too small",
        )
        for name, part in (("site", at[site]), ("group", at[~site | (at.group == "all")]))
        if (part.group != "all").any()
        for metric, when in (
            ("auprc", f" at {shown.farthest_h:g} h before onset"),
            ("auroc", f" at {shown.farthest_h:g} h before onset"),
            ("without_risk", ""),
        )
        if (part.metric == metric).any()
    ]  # fmt: skip
    return Section(
        "subgroups",
        title,
        ("Intervals of small groups are wide. Many groups are looked at: some differences are chance.",),
        (forest_chart(at, shown.looks, "auroc", shown.farthest_h, shown.percent),),
        tuple(made),
    )
