"""
The figures as Markdown, for a document or a pull request: `summary.md` beside the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sepsis.evaluation.risk_set import RiskSet
from sepsis.report import tables


def summary(
    metrics: pd.DataFrame,
    risk_set: RiskSet,
    flow: list[tables.FlowStep],
    manifest: Mapping[str, Any],
    *,
    split: str | None,
    level: float,
) -> str:
    """
    AUPRC and AUROC by hours before onset with intervals, who they are about, and what made them.

    Parameters
    ----------
    metrics : DataFrame
        Fixed-horizon rows only.
    level : float
        Of the intervals in `metrics`.
    """
    share = f" in the {split} split" if split else ""
    stays, cases = len(risk_set.stay_id), int(risk_set.is_case.sum())
    subjects = len(set(risk_set.subject_id.tolist()))
    lines = [
        f"{stays:,} ICU stays of {subjects:,} people{share}, {cases:,} of which reach onset (prevalence "
        f"{tables.number(risk_set.is_case.mean())}). In brackets: {100 * level:g} % intervals, "
        f"bootstrap over subjects, seed {manifest.get('seed', 'unknown')}. Label definition: "
        f"`{manifest.get('definition', 'unknown')}`.",
        "",
    ]
    for metric, title in tables.METRIC_NAMES.items():
        names = [tables.model_name(m) for m in tables.models_of(metrics)]
        lines += [
            f"{title} by hours before onset:",
            "",
            *_table(tables.horizon_rows(metrics, metric), names),
            "",
        ]
    lines += ["From the export to the figures:", ""]
    for step in flow:
        known = "" if step.n_events is None else f" ({step.n_events:,} reach onset)"
        lines.append(f"- {step.title}: {step.n:,}{known}")
        lines += [f"  - {n:,}: {reason}" for reason, n in step.lost]
    inputs = manifest.get("inputs", {})
    lines += [
        "",
        f"Export `{str(inputs.get('export', 'unknown'))[:12]}`, splits "
        f"`{str(manifest.get('split_hash', 'unknown'))[:12]}`. Research software; not a medical device.",
    ]
    return "\n".join(lines) + "\n"


def _table(rows: list[tables.HorizonRow], names: list[str]) -> list[str]:
    """A Markdown table, one row per horizon."""
    lines = [
        "| hours | " + " | ".join(names) + " | stays | cases | prevalence |",
        "|---|" + "---|" * (len(names) + 3),
    ]
    for row in rows:
        cells = [f"{c.text} [{c.interval}]" if c.interval else c.text for c in row.cells]
        lines.append(f"| {row.hours} | {' | '.join(cells)} | {row.n} | {row.n_events} | {row.prevalence} |")
    return lines
