"""
What needs a risk at every hour: every hour judged, risk around onset, alarms, the challenge's utility.
"""

from __future__ import annotations

import pandas as pd

from sepsis.report import alarm_figures
from sepsis.report.context import NO_HOURLY, Shown
from sepsis.report.elements import Section
from sepsis.report.risk_figures import risk_around_onset_chart
from sepsis.report.tables import METRIC_NAMES, Want, models_table

EVENT_AREA = "Area under the curve of onsets found and alarms that are right, at all thresholds"
WEIGHTS = {"hours": "each hour counts alike", "stays": "each stay counts alike"}
FOUND = {  # what alarms find: metric, heading, word below it
    "event_recall": ("Onsets found", ""),
    "timely_recall_1h": ("Found early", "1 h or more"),
    "timely_recall_3h": ("Found early", "3 h or more"),
    "timely_recall_6h": ("Found early", "6 h or more"),
    "lead_time_h": ("Lead time, h", "median"),
    "lead_time_shuffled_h": ("Lead time, h", "shuffled in time"),
    "late_alarms": ("Alarmed too late", "share of cases"),
    "never_alarmed": ("Never alarmed", "share of cases"),
}
COST = {  # and at what price
    "threshold": ("Threshold", ""),
    "alarm_precision": ("Alarms that are right", ""),
    "first_alarm_precision": ("First alarms that are right", ""),
    "number_needed_to_evaluate": ("Alarms per right one", ""),
    "alarms_per_100_patient_days": ("Alarms", "per 100 patients a day"),
    "false_alarms_per_patient_day": ("False alarms", "per patient a day"),
    "ever_alarmed": ("Stays ever alarmed", ""),
}


def continuous_section(shown: Shown) -> Section:
    """Every hour judged by the window after it."""
    rows, title = shown.rows("continuous"), "Every hour of a stay"
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
            models_table(rows, shown.models, wants, name=name, caption=caption, folded=weight == "stays")
        )
    text = "Each hour up to onset is judged: positive if onset lies in the window after it."
    return Section("continuous", title, (text,), tables=tuple(table for table in made if table.rows))


def _hours(rows: pd.DataFrame, windows: list[float], weight: str) -> str:
    """How many hours are judged, and how many are positive."""
    said = []
    for window in windows:
        row = rows[(rows.horizon_h == window) & (rows.setting == weight)]
        if len(row):
            said.append(
                f"{int(row.n.iloc[0]):,} hours, {int(row.n_events.iloc[0]):,} positive at {window:g} h"
            )
    return f"{'; '.join(said)}." if said else ""


def onset_section(shown: Shown) -> Section:
    """Mean risk around onset, and one stay."""
    title, curve = "Around onset", shown.curve("risk_around_onset")
    charts = [] if curve is None else [risk_around_onset_chart(curve, shown.looks, shown.percent)]
    text = []
    if shown.timeline is not None:
        charts.append(shown.timeline)
    elif charts:
        text.append(
            "The alarms of a single stay are not shown, because these may be records of patients; the option "
            "--show-stay shows one, by hours to onset and without its number."
        )
    return Section("onset", title, tuple(text), tuple(charts), missing="" if charts else NO_HOURLY)


def alarms_section(shown: Shown) -> Section:
    """What alarms find, how early and at what cost."""
    rows, title = shown.rows("alarm"), "Alarms"
    if rows.empty:
        return Section("alarms", title, missing=NO_HOURLY)
    charts = [
        draw(curve, shown.looks)
        for name, draw in (
            ("event_precision_recall", alarm_figures.event_precision_recall_chart),
            ("burden_recall", alarm_figures.burden_recall_chart),
            ("lead_time", alarm_figures.lead_time_chart),
        )
        if (curve := shown.curve(name)) is not None
    ]
    text = (
        "Thresholds are chosen on the validation split and carried over, unless a note above says otherwise. "
        "Lead time says little by itself: compare it with the same risks shuffled in time, and with the "
        "alarms it costs. Where controls were matched to cases, cases are more frequent here than in the "
        "unit, and fewer alarms are right there."
    )
    made = [
        models_table(
            rows, shown.models, _wants(measures, setting),
            name=f"alarms-{name}-{setting.replace(' ', '-').replace('.', '_')}",
            caption=f"{what}, at thresholds for {alarm_setting(setting)}. {_stays(rows, setting)}",
            folded=k > 0,
        )
        for k, setting in enumerate(s for s in rows.setting.unique() if s)
        for name, what, measures in (
            ("find", "What alarms find, and how early", FOUND),
            ("cost", "What alarms cost", COST),
        )
    ]  # fmt: skip
    area = [Want("Event AUPRC", "event_auprc")]
    made.append(models_table(rows, shown.models, area, name="event-auprc", caption=EVENT_AREA, folded=True))
    return Section("alarms", title, (text,), tuple(charts), tuple(table for table in made if table.rows))


def _stays(rows: pd.DataFrame, setting: str) -> str:
    """Whom alarms at a setting are about."""
    row = rows[(rows.setting == setting) & (rows.metric == "event_recall")]
    return f"{int(row.n.max()):,} stays, {int(row.n_events.max()):,} cases." if len(row) else ""


def _wants(measures: dict[str, tuple[str, str]], setting: str) -> list[Want]:
    """Columns for measures at one choice of threshold."""
    return [Want(title, metric, None, setting, note) for metric, (title, note) in measures.items()]


def alarm_setting(setting: str) -> str:
    """
    What a threshold was chosen for, in words.

    Examples
    --------
    >>> alarm_setting("recall 0.8"), alarm_setting("budget 20")
    ('0.8 of the onsets', '20 alarms per 100 patients a day')
    """
    kind, _, value = setting.partition(" ")
    return {
        "recall": f"{value} of the onsets",
        "budget": f"{value} alarms per 100 patients a day",
    }.get(kind, setting)


def utility_section(shown: Shown) -> Section:
    """The challenge's own measure."""
    rows, title = shown.rows("utility"), "Utility of the PhysioNet challenge"
    if rows.empty:
        return Section("utility", title, missing=NO_HOURLY)
    setting = str(rows.setting.iloc[0])
    wants = [
        Want("Normalised utility", "normalised_utility", None, setting),
        Want("Threshold", "threshold", None, setting),
    ]
    caption = f"Thresholds {setting}. 0: no alarm at all, 1: the best there could be"
    return Section(
        "utility",
        title,
        tables=(models_table(rows, shown.models, wants, name="utility", caption=caption),),
    )
