"""The main tables as Markdown: `summary.md` beside the page."""

from __future__ import annotations

from sepsis.report import tables
from sepsis.report.elements import Table
from sepsis.report.page import Page, stays_in_words
from sepsis.report.tables import Want, models_table

HOURLY = (  # (view, metric, heading)
    ("continuous", "auprc", "AUPRC, hourly"),
    ("continuous", "auroc", "AUROC, hourly"),
    ("alarm", "event_recall", "Onsets detected"),
    ("alarm", "alarm_precision", "Alarm precision"),
    ("alarm", "lead_time_h", "Lead time, h"),
    ("alarm", "lead_time_shuffled_h", "Lead time shuffled, h"),
    ("utility", "normalised_utility", "Utility"),
)


def summary(page: Page, level: float) -> str:
    """
    AUPRC and AUROC by hours before onset, alarms, flow of stays and provenance, with intervals at `level`.
    """
    manifest, metrics = page.manifest, page.results.horizon
    lines = [
        *([stays_in_words(page.risk_set, page.split), ""] if page.risk_set else []),
        f"In brackets: {100 * level:g} % intervals, bootstrap over subjects, seed "
        f"{manifest.get('seed', 'unknown')}. Label definition: `{manifest.get('definition', 'unknown')}`.",
        "",
        *(f"- Note: {note}" for note in page.notes),
        *([""] if page.notes else []),
    ]
    if not metrics.empty:
        for metric, title in tables.METRIC_NAMES.items():
            lines += [
                f"{title} by hours before onset:",
                "",
                *_table(tables.horizon_table(metrics, metric)),
                "",
            ]
    hourly = _hourly_table(page)
    if hourly.rows:
        lines += ["Hourly predictions:", "", *_table(hourly), ""]
    lines += ["Flow of stays:", ""]
    for step in page.flow:
        known = "" if step.n_events is None else f" ({step.n_events:,} reach onset)"
        lines.append(f"- {step.title}: {step.n:,}{known}")
        lines += [f"  - {n:,}: {reason}" for reason, n in step.lost]
    lines += [
        "",
        f"Export `{str(manifest.get('inputs', {}).get('export', 'unknown'))[:12]}`, splits "
        f"`{str(manifest.get('split_hash', 'unknown'))[:12]}`. Research software; not a medical device.",
    ]
    return "\n".join(lines) + "\n"


def _hourly_table(page: Page) -> Table:
    """One row per model: the first window, threshold and weighting of each hourly view."""
    rows = page.results.metrics[page.results.metrics.group == "all"]
    wants = []
    for view, metric, title in HOURLY:
        found = rows[(rows["view"] == view) & (rows.metric == metric)]
        if len(found):
            first = found.sort_values("horizon_h", kind="stable").iloc[0]
            hour = None if first.isna().horizon_h else float(first.horizon_h)
            note = first.setting if hour is None else f"{hour:g} h ahead"
            wants.append(Want(title, metric, hour, first.setting, note))
    views = rows[rows["view"].isin([view for view, _, _ in HOURLY])]
    return models_table(views, page.results.models, wants, name="hourly", caption="")


def _table(table: Table) -> list[str]:
    titles = [f"{c.title} ({c.note})" if c.note else c.title for c in table.columns]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in table.rows:
        cells = [f"{c.text} [{c.interval}]" if c.interval else c.text for c in row[1:]]
        lines.append(f"| {' | '.join([row[0].text, *cells])} |")
    return lines
