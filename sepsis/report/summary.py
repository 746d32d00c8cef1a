"""The main tables as Markdown: `summary.md` beside the page."""

from __future__ import annotations

from sepsis.report import tables
from sepsis.report.elements import Table
from sepsis.report.hourly_sections import POOLED
from sepsis.report.page import Page, stays_in_words
from sepsis.report.primary import EXPLORATORY, verdict
from sepsis.report.tables import Want, models_table

HOURLY = (  # (view, metric, heading)
    ("landmark", "auroc", "AUROC, all stays still at risk"),
    ("landmark", "auprc", "AUPRC, all stays still at risk"),
    ("continuous", "auprc", "AUPRC, hourly"),
    ("continuous", "auroc", "AUROC, hourly"),
    ("alarm", "event_recall", "Onsets detected"),
    ("alarm", "alarm_precision", "Alarm precision"),
    ("alarm", "lead_time_h", "Lead time, h"),
    ("alarm", "lead_time_shuffled_h", "Lead time shuffled, h, and spread"),
    ("utility", "normalised_utility", "Utility"),
)


def summary(page: Page) -> str:
    """The primary endpoint, AUPRC and AUROC by hours before onset, alarms, flow of stays and provenance."""
    manifest, metrics = page.manifest, page.results.horizon
    lines = [
        *([stays_in_words(page.risk_set, page.split), ""] if page.risk_set else []),
        f"{verdict(page.results)} {EXPLORATORY}",
        "",
        f"In brackets: {page.results.percent} % intervals, seed {manifest.get('seed', 'unknown')}; of the "
        "shuffled lead time, the spread over shuffles. Label definition: "
        f"`{manifest.get('definition', 'unknown')}`.",
        "",
        *(f"- Note: {note}" for note in page.notes),
        *([""] if page.notes else []),
    ]
    if not metrics.empty:
        for metric, title in tables.CURVE_NAMES.items():
            if not (metrics.metric == metric).any():
                continue
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
        known = "" if step.n_events is None else f" ({step.detail or f'{step.n_events:,} reach onset'})"
        lines.append(f"- {step.title}: {step.n:,}{known}")
        word = "not in them, " if step.part else ""
        lines += [f"  - {word}{n:,}: {reason}" for reason, n in step.lost]
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
        if view == "landmark":
            found = found[found.setting == POOLED]
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
