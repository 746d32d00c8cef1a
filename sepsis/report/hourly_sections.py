"""Sections about hourly risks: hourly predictions, risk around onset, alarms, utility."""

from __future__ import annotations

import pandas as pd

from sepsis.report import alarm_figures
from sepsis.report.context import NO_HOURLY, Results
from sepsis.report.elements import Section, Table
from sepsis.report.landmark_figures import landmark_charts, risk_table
from sepsis.report.risk_figures import risk_around_onset_chart
from sepsis.report.tables import METRIC_NAMES, Want, models_table

EVENT_AREA = "Area under the event precision-recall curve, over all thresholds"
WEIGHTS = {"hours": "hours weighted equally", "stays": "stays weighted equally"}
FOUND = {  # metric: heading, word below it
    "event_recall": ("Onsets detected", ""),
    "timely_recall_1h": ("Detected early", "1 h or more"),
    "timely_recall_3h": ("Detected early", "3 h or more"),
    "timely_recall_6h": ("Detected early", "6 h or more"),
    "lead_time_h": ("Lead time, h", "median"),
    "lead_time_shuffled_h": ("Lead time, h", "shuffled in time, and spread over shuffles"),
    "late_alarms": ("First alarm after onset", "share of cases"),
    "never_alarmed": ("No alarm", "share of cases"),
}
COST = {
    "threshold": ("Threshold", ""),
    "alarm_precision": ("Alarm precision", ""),
    "first_alarm_precision": ("Precision of first alarms", ""),
    "number_needed_to_evaluate": ("Alarms per true alarm", ""),
    "alarms_per_100_patient_days": ("Alarms", "per 100 patient-days"),
    "false_alarms_per_patient_day": ("False alarms", "per patient-day"),
    "ever_alarmed": ("Stays with an alarm", ""),
}


PARTS = {"hours: to 59": "to hour 59", "hours: from 60": "from hour 60"}  # group: in words
POOLED = "all landmarks"  # setting of the rows over all hours


def landmark_section(results: Results) -> Section:
    """All stays still at risk at fixed hours of the stay."""
    title, curve = "All stays, by hours since admission", results.curve("landmark")
    if curve is None:
        return Section("landmark", title, missing=NO_HOURLY)
    rows, window = results.rows("landmark"), float(curve.window_h.iloc[0])
    text = (
        "At each hour, every stay with hourly risks that is still in the unit without an onset is judged "
        f"once: does onset follow within {window:g} h? {natural_prevalence(results)}",
        "Leaving the unit and death are competing events: a stay that leaves without onset is a stay without "
        "onset. A stay whose record ends for another reason is censored; others stand in for it by "
        "inverse-probability weights. Only stays with a risk not older than 1 h count. An hour at which most "
        "stays at risk reach onset sooner or later has no number: its records are a selection.",
    )
    wants = [
        Want(name, metric, window, POOLED)
        for metric, name in (
            ("auroc", "AUROC"), ("auroc_event_free", "AUROC, event-free controls"),
            ("auprc", "Average precision"), ("observed_expected", "Observed / expected"),
        )
    ]  # fmt: skip
    pooled = models_table(
        rows, results.models, wants, name="landmark-pooled",
        caption="Over all these hours together, where the time since admission can help; exploratory",
    )  # fmt: skip
    made = (risk_table(curve), *([pooled] if pooled.rows else []))
    return Section("landmark", title, text, landmark_charts(curve, results.looks, results.percent), made)


def continuous_section(results: Results) -> Section:
    """Every hour as a prediction of the window after it."""
    rows, title = results.rows("continuous"), "Hourly predictions"
    if rows.empty:
        return Section("continuous", title, missing=NO_HOURLY)
    windows = sorted(rows.horizon_h.dropna().unique())
    made = []
    for weight, words in WEIGHTS.items():
        wants = [
            Want(name, metric, float(w), weight, f"{w:g} h ahead")
            for metric, name in METRIC_NAMES.items()
            for w in windows
        ]
        caption = f"Onset within the window after each hour; {words}. {_hours(rows, windows, weight)}"
        name = f"every-hour-{weight}"
        made.append(
            models_table(rows, results.models, wants, name=name, caption=caption, folded=weight == "stays")
        )
    parts = _parts_table(results, windows)
    made += [] if parts is None else [parts]
    text = "Each hour before onset is one prediction, positive if onset lies in the window after it. "
    return Section(
        "continuous", title, (text + natural_prevalence(results), *_time_alone(rows, windows)),
        tables=tuple(table for table in made if table.rows),
    )  # fmt: skip


def _time_alone(rows: pd.DataFrame, windows: list[float]) -> tuple[str, ...]:
    """What the hours since admission alone tell: the clock's weights are those of the matched study."""
    found = rows[(rows.metric == "auroc_of_hour") & (rows.setting == "hours")].set_index("horizon_h")
    found = found.loc[[w for w in windows if w in found.index]]
    if found.empty:
        return ()
    told = ", ".join(f"{row.estimate:.3f} at {w:g} h" for w, row in found.iterrows())
    return (
        f"Hours since admission alone, later being riskier, have an AUROC of {told}. The clock among the "
        "models learned in matched sets, where time tells nothing.",
    )


def _parts_table(results: Results, windows: list[float]) -> Table | None:
    """Early and late hours apart, at the shortest window; None without such groups."""
    window, found, notes = windows[0], [], []
    for group, words in PARTS.items():
        rows = results.rows("continuous", group=group)
        rows = rows[(rows.horizon_h == window) & (rows.setting == "hours")]
        if len(rows):
            found.append(rows.assign(setting=words))
            notes.append(f"{int(rows.n.max()):,} hours {words}, {int(rows.n_events.max()):,} positive")
    if not found:
        return None
    settings = [rows.setting.iloc[0] for rows in found]
    wants = [Want(name, m, window, s, s) for m, name in METRIC_NAMES.items() for s in settings]
    caption = f"Early and late hours apart, {window:g} h ahead. {'; '.join(notes)}."
    return models_table(
        pd.concat(found), results.models, wants, name="every-hour-parts", caption=caption
    )  # fmt: skip


def natural_prevalence(results: Results) -> str:
    """
    Share of cases among the stays of the hourly figures beside that of the evaluated cohort, in one sentence.
    """
    rows = results.rows("alarm")
    rows = rows[rows.metric == "event_recall"]
    cohort = results.risk_set
    if rows.empty:
        return ""
    n, cases = int(rows.n.max()), int(rows.n_events.max())
    there = f"{cases:,} of the {n:,} stays of the hourly figures reach onset ({_percent(cases, n)})"
    if cohort is None or not cohort.n_cohort:
        return f"{there}; the share in the whole cohort is not known from the scores."
    whole = f"{cohort.n_cohort_cases:,} of {cohort.n_cohort:,}"
    if (n, cases) == (cohort.n_cohort, cohort.n_cohort_cases):
        return f"These are all stays of the evaluated cohort, at its natural prevalence: {there}."
    return (
        f"{there}; in the evaluated cohort {whole} do ({_percent(cohort.n_cohort_cases, cohort.n_cohort)})."
    )


def _hours(rows: pd.DataFrame, windows: list[float], weight: str) -> str:
    said = []
    for window in windows:
        row = rows[(rows.horizon_h == window) & (rows.setting == weight)]
        if len(row):
            said.append(
                f"{int(row.n.iloc[0]):,} hours, {int(row.n_events.iloc[0]):,} positive at {window:g} h"
            )
    return f"{'; '.join(said)}." if said else ""


def _percent(count: int, n: int) -> str:
    return f"{100 * count / n:.1f}\N{NO-BREAK SPACE}%"


def onset_section(results: Results) -> Section:
    """Mean risk around onset, and one stay."""
    title, curve = "Risk around onset", results.curve("risk_around_onset")
    charts = [] if curve is None else [risk_around_onset_chart(curve, results.looks, results.percent)]
    text = []
    if results.timeline is not None:
        charts.append(results.timeline)
    elif charts:
        text.append(
            "Alarms of a single stay are not shown, because the records may be those of patients. The option "
            "--show-stay shows one stay by hours to onset, without its identifier."
        )
    return Section("onset", title, tuple(text), tuple(charts), missing="" if charts else NO_HOURLY)


def alarms_section(results: Results) -> Section:
    """Detection, lead time and burden of alarms."""
    rows, title = results.rows("alarm"), "Alarms"
    if rows.empty:
        return Section("alarms", title, missing=NO_HOURLY)
    charts = [
        draw(curve, results.looks)
        for name, draw in (
            ("event_precision_recall", alarm_figures.event_precision_recall_chart),
            ("burden_recall", alarm_figures.burden_recall_chart),
            ("lead_time", alarm_figures.lead_time_chart),
        )
        if (curve := results.curve(name)) is not None
    ]
    text = (
        "Thresholds were chosen on the validation split and applied unchanged, unless a note above says "
        "otherwise. Lead time is that of the first true alarm; it should be read with that of the same risks "
        "shuffled in time, whose lower line is the spread over shuffles, and with the alarm burden. "
        f"Precision and burden depend on the share of cases. {natural_prevalence(results)}"
    )
    made = [
        models_table(
            rows, results.models, _wants(measures, setting),
            name=f"alarms-{name}-{setting.replace(' ', '-').replace('.', '_')}",
            caption=f"{what}, at thresholds for {alarm_setting(setting)}. {_stays(rows, setting)}",
            folded=k > 0,
        )
        for k, setting in enumerate(s for s in rows.setting.unique() if s)
        for name, what, measures in (
            ("find", "Detection and lead time", FOUND),
            ("cost", "Alarm burden", COST),
        )
    ]  # fmt: skip
    area = [Want("Event AUPRC", "event_auprc")]
    made.append(models_table(rows, results.models, area, name="event-auprc", caption=EVENT_AREA, folded=True))
    return Section("alarms", title, (text,), tuple(charts), tuple(table for table in made if table.rows))


def _stays(rows: pd.DataFrame, setting: str) -> str:
    row = rows[(rows.setting == setting) & (rows.metric == "event_recall")]
    return f"{int(row.n.max()):,} stays, {int(row.n_events.max()):,} cases." if len(row) else ""


def _wants(measures: dict[str, tuple[str, str]], setting: str) -> list[Want]:
    return [Want(title, metric, None, setting, note) for metric, (title, note) in measures.items()]


def alarm_setting(setting: str) -> str:
    """
    The target of a threshold in words.

    >>> alarm_setting("recall 0.8"), alarm_setting("budget 20")
    ('a recall of 0.8', '20 alarms per 100 patient-days')
    """
    kind, _, value = setting.partition(" ")
    return {"recall": f"a recall of {value}", "budget": f"{value} alarms per 100 patient-days"}.get(
        kind, setting
    )


def utility_section(results: Results) -> Section:
    """The measure of the PhysioNet challenge."""
    rows, title = results.rows("utility"), "Utility (PhysioNet 2019)"
    if rows.empty:
        return Section("utility", title, missing=NO_HOURLY)
    setting = str(rows.setting.iloc[0])
    wants = [
        Want("Normalised utility", "normalised_utility", None, setting),
        Want("Threshold", "threshold", None, setting),
    ]
    caption = f"Thresholds {setting}. 0: no alarm at all; 1: the best possible"
    return Section(
        "utility", title, tables=(models_table(rows, results.models, wants, name="utility", caption=caption),)
    )
