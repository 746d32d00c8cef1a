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
from sepsis.report.horizon_sections import comparison_text, headline
from sepsis.report.names import GROUPS
from sepsis.report.primary import verdict
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
    sections: list[Section]  # the primary endpoint first
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
            comparison=comparison_text(self.results),
            primary=self.sections[0],
            sections=self.sections[1:],
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
        each = "member of a set" if (self.risk_set.set_id >= 0).any() else "stay"
        return (
            f"{stays_in_words(self.risk_set, self.split)} {who} one risk per {each} at "
            f"{hours_in_words(self.risk_set)} hours before onset."
        )


def stays_in_words(risk_set: RiskSet, split: str | None) -> str:
    """Who the figures at fixed horizons are about, and of how many stays they were drawn."""
    share = f" of the {split} split" if split else ""
    rows, cases = len(risk_set.stay_id), int(risk_set.is_case.sum())
    stays, patients = (len(np.unique(ids)) for ids in (risk_set.stay_id, risk_set.subject_id))
    matched = risk_set.set_id[risk_set.set_id >= 0]
    if len(matched):
        who = (
            f"At fixed horizons: {cases:,} cases and {rows - cases:,} controls in "
            f"{len(np.unique(matched)):,} matched sets, {stays:,} different ICU stays of {patients:,} "
            f"patients{share}"
        )
    else:
        who = f"At fixed horizons: {stays:,} ICU stays of {patients:,} patients{share}, {cases:,} with onset"
    drawn = ""
    if risk_set.n_cohort:
        drawn = f", drawn from {risk_set.n_cohort:,} stays of which {risk_set.n_cohort_cases:,} reach onset"
    return f"{who} (prevalence {number(cases / rows)}){drawn}."


def hours_in_words(risk_set: RiskSet) -> str:
    """Horizons in words: "0 to 7" for consecutive whole hours, else "0, 3 and 7"."""
    horizons = risk_set.horizons
    hours = [f"{h:g}" for h in horizons]
    if len(hours) > 2 and np.array_equal(horizons, np.arange(horizons[0], horizons[-1] + 1)):
        return f"{hours[0]} to {hours[-1]}"
    return f"{', '.join(hours[:-1])} and {hours[-1]}" if len(hours) > 1 else hours[0]
