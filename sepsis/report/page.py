"""The page: text, sections, figures and tables in `page.html.j2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sepsis.evaluation.risk_set import RiskSet
from sepsis.models.registry import entry_of
from sepsis.report import tables
from sepsis.report.cards import card_html
from sepsis.report.context import Results
from sepsis.report.elements import Chart, Section, number
from sepsis.report.flow import FlowStep, flow_table
from sepsis.report.horizon_sections import headline
from sepsis.report.names import GROUPS, in_text, reference_model
from sepsis.report.provenance import manifest_sections
from sepsis.report.templates import template
from sepsis.report.tripod import item_map

TEMPLATE = "page.html.j2"
GENERATOR = "sepsis report"
NOT_SHOWN = ("kind", "notice", "cards")  # of the manifest: the page says them elsewhere
FIXED = {  # parts of the page that every report has
    "flow": "Flow of stays",
    "coverage": "Stays without a risk",
    "cards": "Model cards",
    "how": "How to read this page",
    "tripod": "TRIPOD+AI items",
    "manifest": "Provenance",
}


@dataclass(frozen=True)
class Card:
    """A model card."""

    name: str
    flag: str
    html: Markup


@dataclass(frozen=True, eq=False)
class Page:
    """The content of the page; `cards` are Markdown by model."""

    results: Results
    sections: list[Section]
    risk_set: RiskSet | None
    coverage: pd.DataFrame
    flow: list[FlowStep]
    manifest: Mapping[str, Any]
    notes: Sequence[str]
    cards: Mapping[str, str]
    split: str | None

    @property
    def charts(self) -> list[Chart]:
        """Every figure of the page."""
        return [*headline(self.results), *(c for section in self.sections for c in section.charts)]

    def render(self, files: Sequence[str]) -> str:
        """The page as self-contained HTML; the same input gives the same bytes. `files` lie beside it."""
        looks = self.results.looks
        titles = {s.name: s.title for s in self.sections} | FIXED
        missing = {s.name for s in self.sections if s.missing}
        circular = [look for look in looks if entry_of(look.model).circular]
        return template(TEMPLATE).render(
            generator=GENERATOR,
            plotly_js=get_plotlyjs(),
            lead=self._lead(),
            verdict=verdict(self.results),
            notes=self.notes,
            contents=list(titles.items()),
            titles=titles,
            shown=set(titles) - missing,
            legend=[
                (title, members)
                for kind, title in GROUPS.items()
                if (members := [look for look in looks if look.kind == kind])
            ],
            headline=headline(self.results),
            sections=self.sections,
            charts={chart.name: chart.drawing for chart in self.charts},
            flow=self.flow,
            flow_table=flow_table(self.flow),
            coverage=tables.coverage_table(self.coverage),
            split=self.split,
            circular=" ".join(
                f"{look.name} is not a fair comparator: {entry_of(look.model).circular}." for look in circular
            ),
            cards=[
                Card(look.name, look.flag, card_html(self.cards[look.model], look.name))
                for look in looks
                if look.model in self.cards
            ],
            without_card=", ".join(look.name for look in looks if look.model not in self.cards),
            tripod=item_map(set(titles) - missing, missing),
            manifest=manifest_sections({k: v for k, v in self.manifest.items() if k not in NOT_SHOWN}),
            files=files,
        )

    def _lead(self) -> str:
        if self.risk_set is None:
            count = len(self.results.models)
            return f"{count} model{'s' if count > 1 else ''}, evaluated on hourly risks only."
        count = len(self.risk_set.models)
        who = f"Each of {count} models gives" if count > 1 else "The model gives"
        return (
            f"{stays_in_words(self.risk_set, self.split)} {who} one risk per stay at "
            f"{hours_in_words(self.risk_set)} hours before onset."
        )


def stays_in_words(risk_set: RiskSet, split: str | None) -> str:
    """Numbers of stays, patients and cases in a sentence."""
    share = f" in the {split} split" if split else ""
    stays, events = len(risk_set.stay_id), int(risk_set.is_case.sum())
    patients = len(set(risk_set.subject_id.tolist()))
    return (
        f"{stays:,} ICU stays of {patients:,} patients{share}, {events:,} of which reach onset (prevalence "
        f"{number(risk_set.is_case.mean())})."
    )


def verdict(results: Results) -> str:
    """
    Models with a higher or lower AUPRC than the reference at the farthest horizon, in one sentence.

    A difference counts only if its paired interval excludes zero. Clinical scores and negative controls are
    not listed.
    """
    if results.horizon.empty:
        return "No fixed-horizon evaluation was possible."
    models = tables.models_of(results.horizon)
    if len(models) < 2:
        return "A single model has no comparator."
    reference = reference_model(models)
    table = tables.difference_table(results.horizon, "auprc")
    compared = [m for m in models if m != reference]
    kinds = {look.model: look.kind for look in results.looks}
    listed = {
        model: row[1]  # the farthest hours
        for model, row in zip(compared, table.rows, strict=True)
        if kinds[model] == "model" or "model" not in kinds.values()
    }
    better = [in_text(m) for m, cell in listed.items() if cell.sign > 0]
    worse = [in_text(m) for m, cell in listed.items() if cell.sign < 0]
    than = f"AUPRC than {in_text(reference)}"
    start = f"At {results.farthest_h:g}\N{NO-BREAK SPACE}h before onset"
    if not any(cell.interval for cell in listed.values()):
        return f"{start} there are no intervals, so no difference from {in_text(reference)} is stated."
    if not better and not worse:
        return f"{start}, no model has a demonstrably higher {than}: every paired interval includes zero."
    said = [f"{_joined(better)} a higher {than}"] if better else []
    said += [f"{_joined(worse)} a lower {than}"] if worse else []
    return f"{start}, {' and '.join(said)} (paired difference; the interval excludes zero)."


def _joined(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} have" if len(names) > 1 else f"{names[0]} has"


def hours_in_words(risk_set: RiskSet) -> str:
    """Horizons in words: "0 to 7" for consecutive whole hours, else "0, 3 and 7"."""
    horizons = risk_set.horizons
    hours = [f"{h:g}" for h in horizons]
    if len(hours) > 2 and np.array_equal(horizons, np.arange(horizons[0], horizons[-1] + 1)):
        return f"{hours[0]} to {hours[-1]}"
    return f"{', '.join(hours[:-1])} and {hours[-1]}" if len(hours) > 1 else hours[0]
