"""Sections about fixed horizons: all stays, subgroups, and hours before treatment."""

from __future__ import annotations

import pandas as pd

from sepsis.models.artifact.files import OLD_DRAW
from sepsis.report import tables
from sepsis.report.context import Results
from sepsis.report.elements import Chart, Section, Table
from sepsis.report.figures import horizon_chart
from sepsis.report.forest import forest_chart
from sepsis.report.names import in_text, reference_model
from sepsis.report.primary import endpoint
from sepsis.report.study_tables import before_onset_table, label_delay_text, late_controls, time_left_table
from sepsis.report.tables import CONCORDANCE, CURVE_NAMES, METRIC_NAMES, Want, models_table, population
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


DESIGNS = {  # of the score files: how controls were drawn
    "incidence_density": (
        "Controls were drawn at random, afresh for each case, from the stays of the same split that were "
        "still in the unit without an onset at the case's reference hour. A stay may be in several sets, and "
        "a later case may be a control before its onset."
    ),
    "paper": (
        "Controls never reach onset. Each case has its own, drawn at random from those still in the unit at "
        "its reference hour; a case without a full set is not in these figures. Who never reaches onset is "
        "known only later, so these figures describe a chosen part of the onsets."
    ),
    OLD_DRAW: (
        "Controls were drawn by an earlier version, which chose those who had just become eligible. Many are "
        "at the end of their stay, which flatters every figure at fixed horizons."
    ),
    "": "How controls were drawn is not known from the scores.",
}


def headline(results: Results) -> tuple[Chart, ...]:
    """The main figures; empty without fixed-horizon risks."""
    return tuple(
        horizon_chart(results.horizon, metric, results.looks, results.percent)
        for metric in _curves(results)
    )  # fmt: skip


def _curves(results: Results) -> list[str]:
    return [m for m in CURVE_NAMES if (results.horizon.metric == m).any()]


def comparison_text(results: Results) -> list[str]:
    """How controls were drawn, and what the main figures compare."""
    text = [DESIGNS.get(results.design, f"Design of the controls: {results.design}.")]
    if (results.horizon.metric == CONCORDANCE).any():
        text.append(
            "Concordance compares a case with the controls of its own set only. All of a set are judged at "
            "the same hour since admission, so that hour cannot help; AUROC compares all cases with all "
            "controls."
        )
    return text + late_controls(results.table("time_left"))


def numbers_section(results: Results) -> Section:
    """The main figures as tables, time left, and operating points."""
    title = "Discrimination at fixed horizons"
    if results.horizon.empty:
        why = "No fixed-horizon evaluation was possible; the notes above give the reason."
        return Section("horizon", title, missing=why)
    text = (
        "All figures of this part refer to the same predictions. Below each estimate is its "
        f"{results.percent}% interval."
    )
    made = [tables.horizon_table(results.horizon, metric) for metric in _curves(results)]
    left = results.table("time_left")
    made += [] if left is None else [time_left_table(left)]
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
    rows = rows[(rows.horizon_h == results.main_h) & rows.metric.isin(list(OPERATING))]
    pairs = sorted(
        rows[["metric", "setting"]].drop_duplicates().itertuples(index=False),
        key=lambda p: (list(OPERATING).index(p.metric), *population(p.setting)),
    )
    wants = [Want(OPERATING[p.metric], p.metric, results.main_h, p.setting, p.setting) for p in pairs]
    if not wants:
        return ()
    caption = (
        f"Operating points {results.main_h:g} h before onset. Alert rate and precision depend on the share "
        "of cases, which matching sets; where the cohort's is known, they are also given at it"
    )
    return (models_table(rows, results.models, wants, name="operating-points", caption=caption),)


def differences_section(results: Results) -> Section | None:
    """Paired differences from the reference; None for a single model."""
    models = tables.models_of(results.horizon)
    if len(models) < 2:
        return None
    reference = reference_model(models)
    clock = (
        "The clock knows only the time since admission. A model that is not above it may have learned no "
        "more than that. "
    )
    text = (
        f"Differences are paired and exploratory, except at the primary endpoint ({endpoint(results)}), "
        "where a triangle marks an adjusted p value. An interval that excludes zero elsewhere is no claim: "
        "of many such intervals some exclude zero by chance."
    )
    made = tuple(
        tables.difference_table(results.horizon, metric, results.alpha)
        for metric in _curves(results)
        if (results.horizon.metric == f"{metric}_difference").any()
    )
    return Section(
        "differences",
        f"Comparison with {in_text(reference)}",
        ((clock if reference == "clock" else "") + text,),
        tables=made,
    )


def censoring_section(results: Results) -> Section:
    """The main measures on all hours and on those before treatment."""
    title, compared = "Before treatment or suspicion", results.before_after
    if compared.empty:
        why = "The labels have no times of antibiotics, cultures or suspicion, so no hour is censored."
        return Section("censoring", title, missing=why)
    known = results.table("before_onset")
    text = (
        "Hours after the first antibiotic, culture or suspicion are removed and the measures are recomputed. "
        "What is lost came from hours in which infection was already suspected. The stays differ as well: a "
        "stay without an earlier hour is excluded."
    )
    table = before_after_table(_main_rows(compared, results), results.models)
    known_before = () if known is None else (before_onset_table(known),)
    delay = results.table("label_delay")
    said = (text,) if delay is None else (text, label_delay_text(delay))
    return Section("censoring", title, said, tables=(*known_before, table))


def _main_rows(compared: pd.DataFrame, results: Results) -> pd.DataFrame:
    picked = []
    for view, metric in COMPARED:
        rows = compared[(compared["view"] == view) & (compared.metric == metric)]
        if view == "horizon":
            rows = rows[(rows.horizon_h == results.main_h) & (rows.setting == "")]
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
    if (rows.group == "all").all() or results.main_h is None:
        why = "The labels have no columns for subgroups (site, sex, age, year)."
        return Section("subgroups", title, missing=why)
    at = rows[(rows.horizon_h == results.main_h) | rows.horizon_h.isna()]
    site = at.group.str.startswith("site: ") | (at.group == "all")
    made = [
        groups_table(
            part, results.models, name=f"{name}-{metric}", metric=metric,
            caption=f"{measure_name(metric)}{when}, by {name}; a dash where a group is too small",
        )
        for name, part in (("site", at[site]), ("group", at[~site | (at.group == "all")]))
        if (part.group != "all").any()
        for metric, when in (
            ("auprc", f" at {results.main_h:g} h before onset"),
            ("auroc", f" at {results.main_h:g} h before onset"),
            ("without_risk", ""),
        )
        if (part.metric == metric).any()
    ]  # fmt: skip
    return Section(
        "subgroups",
        title,
        ("Exploratory: intervals of small groups are wide; among many groups some lie apart by chance.",),
        (forest_chart(at, results.looks, "auroc", results.main_h, results.percent),),
        tuple(made),
    )
