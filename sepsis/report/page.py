"""
One self-contained page: the text around tables and figures, filled into `page.html.j2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from sepsis.evaluation.risk_set import RiskSet
from sepsis.report import figures, tables

TEMPLATE = "page.html.j2"
GENERATOR = "sepsis report"
NOT_SHOWN = ("kind", "notice")  # of the manifest: the page says both elsewhere


def render(
    metrics: pd.DataFrame,
    risk_set: RiskSet,
    flow: list[tables.FlowStep],
    manifest: Mapping[str, Any],
    *,
    split: str | None,
    level: float,
) -> str:
    """
    The page as text.

    Parameters
    ----------
    metrics : DataFrame
        Fixed-horizon rows only.
    level : float
        Of the intervals in `metrics`.

    Returns
    -------
    html : str
        Everything inside: style, data, Plotly. The same input gives the same bytes.
    """
    models = tables.models_of(metrics)
    reference = tables.reference_model(models)
    styles = figures.series_styles(models)
    charts = {metric: figures.curve(metrics, metric) for metric in ("auprc", "auroc")}
    return _template().render(
        generator=GENERATOR,
        plotly_js=get_plotlyjs(),
        charts=charts,
        descriptions={metric: figures.description(metrics, metric) for metric in charts},
        legend=[
            {"model": m, "name": tables.model_name(m), **style}
            for m, style in zip(models, styles, strict=True)
        ],
        models=[tables.model_name(m) for m in models],
        compared=[tables.model_name(m) for m in models if m != reference],
        reference=in_text(reference),
        has_clock="clock" in models,
        metric_names=tables.METRIC_NAMES,
        horizon_rows={metric: tables.horizon_rows(metrics, metric) for metric in charts},
        difference_rows={metric: tables.difference_rows(metrics, metric) for metric in charts},
        verdict=verdict(metrics),
        coverage=tables.coverage_rows(risk_set.coverage),
        flow=flow,
        manifest=tables.manifest_sections({k: v for k, v in manifest.items() if k not in NOT_SHOWN}),
        split=split,
        percent=f"{100 * level:g}",
        n=len(risk_set.stay_id),
        n_subjects=len(set(risk_set.subject_id.tolist())),
        n_events=int(risk_set.is_case.sum()),
        prevalence=tables.number(risk_set.is_case.mean()),
        hours=_hours(risk_set),
    )


def verdict(metrics: pd.DataFrame) -> str:
    """
    Which models rank cases better than the reference at the farthest horizon, in one sentence.

    Only a paired difference in AUPRC whose whole interval lies on one side of zero counts.
    """
    models = tables.models_of(metrics)
    if len(models) < 2:
        return "There is one model, so nothing is compared."
    reference = tables.reference_model(models)
    row = tables.difference_rows(metrics, "auprc")[0]
    signs = dict(zip((m for m in models if m != reference), (cell.sign for cell in row.cells), strict=True))
    better = [in_text(m) for m, sign in signs.items() if sign > 0]
    worse = [in_text(m) for m, sign in signs.items() if sign < 0]
    than = f"than {in_text(reference)}"
    start = f"At {row.hours}\N{NO-BREAK SPACE}h before onset"
    if not any(cell.interval for cell in row.cells):
        return f"{start} there are no intervals, so no model is said to rank better or worse {than}."
    if not better and not worse:
        return (
            f"{start} no model can be said to rank cases better {than}: every paired interval includes zero."
        )
    parts = [f"{_joined(better)} better {than}"] if better else []
    parts += [f"{_joined(worse)} worse {than}"] if worse else []
    return f"{start}, {' and '.join(parts)} (paired difference in AUPRC, interval without zero)."


def in_text(model: str) -> str:
    """A model's name inside a sentence, not broken at its hyphen."""
    names = {"clock": "the clock", "logistic": "logistic regression"}
    return names.get(model, tables.model_name(model)).replace("-", "\N{NON-BREAKING HYPHEN}")


def _joined(names: list[str]) -> str:
    """a, b and c, then the verb."""
    return f"{', '.join(names[:-1])} and {names[-1]} rank" if len(names) > 1 else f"{names[0]} ranks"


def _hours(risk_set: RiskSet) -> str:
    """The horizons in words: "0 to 7" where no whole hour between is left out, else "0, 3 and 7"."""
    horizons = risk_set.horizons
    hours = [f"{h:g}" for h in horizons]
    if len(hours) > 2 and np.array_equal(horizons, np.arange(horizons[0], horizons[-1] + 1)):
        return f"{hours[0]} to {hours[-1]}"
    return f"{', '.join(hours[:-1])} and {hours[-1]}" if len(hours) > 1 else hours[0]


@cache
def _template() -> jinja2.Template:
    """The page's template; text put into it is escaped, a missing name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda n: f"{n:,}"
    return environment.get_template(TEMPLATE)
