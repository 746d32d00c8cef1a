"""The flow of stays from the export to the figures."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.evaluation.risk_set import RiskSet
from sepsis.report.elements import Cell, Column, Table, count_cell


@dataclass(frozen=True)
class FlowStep:
    """
    One step of the flow: its stays, those that reach onset (None before labels exist), and the (reason, n)
    lost before the next step.
    """

    title: str
    n: int
    n_events: int | None
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def n_controls(self) -> int | None:
        """Stays that do not reach onset."""
        return None if self.n_events is None else self.n - self.n_events


def attrition_flow(
    attrition: pd.DataFrame,
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    risk_set: RiskSet | None,
    split: str | None,
) -> list[FlowStep]:
    """
    Every stay of the export, down to the stays of all fixed-horizon figures, if there are any.

    Raises ExportError if attrition and outcomes are not about the same stays.
    """
    included = attrition.included.fillna(False).astype(bool)
    labelled = outcomes[outcomes.included.fillna(False).astype(bool)]
    if len(attrition) != len(outcomes) or int(included.sum()) != len(labelled):
        raise ExportError(
            "attrition",
            f"{len(attrition):,} stays, {int(included.sum()):,} included",
            f"{len(outcomes):,} and {len(labelled):,}, as in the labels",
            "Give the attrition table that was written with the labels.",
        )
    cases = labelled.set_index("stay_id").is_case.astype(bool)
    place = _place_in_scores(scores, cases.index)
    excluded = _reasons(attrition.exclusion[~included])
    first = FlowStep("ICU stays in the export", len(attrition), None, excluded)
    if risk_set is None:
        return [first, FlowStep("Included by the labels", len(cases), int(cases.sum()))]
    judged = place.index.isin(risk_set.split_stay_id)
    place, outside = place[judged | (place.split != "")], place[~judged & (place.split == "")]
    elsewhere = place[~place.index.isin(risk_set.split_stay_id)].split
    elsewhere = (elsewhere + " split").where(elsewhere != split, "no prediction at these horizons")
    left_out = tuple(
        (str(r), int(n)) for r, n in zip(risk_set.left_out.reason, risk_set.left_out.n, strict=True)
    )
    return [
        first,
        FlowStep("Included by the labels", len(cases), int(cases.sum()), _reasons(outside.reason)),
        FlowStep("In the cohort", len(place), int(cases.loc[place.index].sum()), _reasons(elsewhere)),
        FlowStep(
            "Evaluated" if split is None else f"In the {split} split",
            len(risk_set.split_stay_id),
            int(risk_set.split_is_case.sum()),
            left_out,
        ),
        FlowStep("In all figures", len(risk_set.stay_id), int(risk_set.is_case.sum())),
    ]


def _place_in_scores(scores: pd.DataFrame, stays: pd.Index) -> pd.DataFrame:
    first = scores.drop_duplicates("stay_id").set_index("stay_id")
    place = pd.DataFrame(
        {"split": first["split"].fillna("") if "split" in first else "", "reason": ""}, first.index
    )
    if "reason" in first:
        place["reason"] = first.reason.fillna("").replace("", "no reason given")
    place = place.reindex(stays)
    place["reason"] = place.reason.where(place.split.notna(), "not in the scores")
    return place.assign(split=place.split.fillna(""))


def _reasons(column: pd.Series) -> tuple[tuple[str, int], ...]:
    counts = column.fillna("").replace("", "no reason given").value_counts()
    return tuple(sorted(((str(r), int(n)) for r, n in counts.items()), key=lambda x: (-x[1], x[0])))


def flow_table(flow: list[FlowStep]) -> Table:
    """The flow as a table, exclusions below each step."""
    rows = []
    for step in flow:
        counts = (step.n, step.n_events, step.n_controls)
        cells = [count_cell(float("nan") if n is None else n) for n in counts]
        rows.append((Cell(step.title), *cells))
        rows += [(Cell(f"excluded: {why}"), count_cell(n), Cell(""), Cell("")) for why, n in step.lost]
    return Table(
        name="flow",
        caption="Stays at each step, with exclusions before the next",
        columns=(Column("Step", numeric=False), Column("Stays"), Column("Cases"), Column("Controls")),
        rows=tuple(rows),
        sortable=False,
    )
