"""The flow of stays from the export to the figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.evaluation.risk_set import RiskSet
from sepsis.report.elements import Cell, Column, Table, count_cell

FIXED, HOURLY = "In the figures at fixed horizons", "In the hourly figures"
NO_FIXED, NO_HOURS = "no prediction at a fixed horizon", "no hourly risk from every model"
ELSEWHERE = "only in matched sets of another split"


@dataclass(frozen=True)
class FlowStep:
    """
    One step of the flow: its stays, those that reach onset (None before labels exist), and the (reason, n)
    lost before the next step.

    A `part` is a part of the page with stays of its own: `lost` are those of the last whole step that it
    lacks. `detail` replaces the numbers of cases and controls where they are not those of stays.
    """

    title: str
    n: int
    n_events: int | None
    lost: tuple[tuple[str, int], ...] = ()
    part: bool = False
    detail: str = ""

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
    *,
    hourly_stays: Collection[int] | None = None,
    reasons: Mapping[int, str] | None = None,
) -> list[FlowStep]:
    """
    Every stay of the export, down to those evaluated, and from there to each part of the page: its figures at
    fixed horizons rest on other stays than the hourly ones.

    `hourly_stays` are the stays of the hourly figures, None without any; `reasons` say by stay why it has no
    prediction, where the scores themselves do not.

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
    is_case = labelled.set_index("stay_id").is_case.astype(bool)
    place = _place_in_scores(scores, is_case.index, split, reasons or {})
    matched: list | np.ndarray = [] if risk_set is None else risk_set.split_stay_id
    hourly = [] if hourly_stays is None else list(hourly_stays)
    evaluated = place.index.isin([*matched, *hourly])
    evaluated |= (place.split == split).to_numpy() if split else False
    outside = place[~evaluated & (place.split == "")]
    elsewhere = place[~evaluated & (place.split != "")]
    place = place[evaluated]

    def step(title: str, stays: pd.Index, lost=()) -> FlowStep:
        return FlowStep(title, len(stays), int(is_case.loc[stays].sum()), lost)

    steps = [
        FlowStep("ICU stays in the export", len(attrition), None, _counts(attrition.exclusion[~included])),
        step("Included by the labels", is_case.index, _counts(outside.reason)),
        step("In the cohort", place.index.append(elsewhere.index), _counts(elsewhere.split + " split")),
        step("Evaluated" if split is None else f"In the {split} split", place.index),
    ]
    if risk_set is not None:
        steps.append(_fixed_part(risk_set, place))
    if hourly_stays is not None:
        there = place.index.isin(hourly)
        lost = ((NO_HOURS, int((~there).sum())),) if not there.all() else ()
        steps.append(replace(step(HOURLY, place.index[there], lost), part=True))
    return steps


def _fixed_part(risk_set: RiskSet, place: pd.DataFrame) -> FlowStep:
    stays = np.unique(risk_set.stay_id)
    cases, rows = int(risk_set.is_case.sum()), len(risk_set.stay_id)
    never = place[~place.index.isin(risk_set.split_stay_id)]
    lost = list(_counts(never.reason.replace("", NO_FIXED)))
    silent = len(np.setdiff1d(risk_set.split_stay_id, stays))
    by_reason = [(str(r), int(n)) for r, n in zip(risk_set.left_out.reason, risk_set.left_out.n, strict=True)]
    if sum(n for _, n in by_reason) == silent:
        lost += by_reason
    elif silent:  # members of several sets, lost for several reasons
        lost.append((f"no risk from every model ({', '.join(r for r, _ in by_reason)})", silent))
    detail = ""
    if (risk_set.set_id >= 0).any():
        sets = len(np.unique(risk_set.set_id[risk_set.set_id >= 0]))
        detail = f"{cases:,} cases and {rows - cases:,} controls in {sets:,} matched sets"
    return FlowStep(FIXED, len(stays), cases, tuple(lost), part=True, detail=detail)


def _place_in_scores(
    scores: pd.DataFrame, stays: pd.Index, wanted: str | None, reasons: Mapping[int, str]
) -> pd.DataFrame:
    """
    Split of each stay, and why it has no prediction at a fixed horizon, both "" if unknown or none; with
    folds, a stay is in the split `wanted` if it is there in any fold.
    """
    split = (scores.split if "split" in scores else pd.Series("", scores.index)).fillna("").astype(str)
    scores = scores.assign(split=split).iloc[(split != wanted).argsort(kind="stable")]
    first = scores.drop_duplicates("stay_id").set_index("stay_id").split
    said = pd.Series(dtype=object)
    if "reason" in scores:
        account = scores[scores.time_h.isna() & scores.risk.isna() & scores.reason.fillna("").ne("")]
        said = account.drop_duplicates("stay_id").set_index("stay_id").reason
    drawn = scores.stay_id[scores.horizon_h.notna() & scores.time_h.notna()]
    elsewhere = pd.Series(ELSEWHERE, index=drawn.unique(), dtype=object)
    reason = pd.Series("", stays, dtype=object)
    for found in (elsewhere, pd.Series(dict(reasons), dtype=object), said):  # the last word counts
        reason = found.reindex(stays).fillna(reason)
    place = pd.DataFrame({"split": first.reindex(stays), "reason": reason})
    return place.assign(
        reason=place.reason.where(place.split.notna(), "not in the scores"), split=place.split.fillna("")
    )


def _counts(column: pd.Series) -> tuple[tuple[str, int], ...]:
    counts = column.fillna("").replace("", "no reason given").value_counts()
    return tuple(sorted(((str(r), int(n)) for r, n in counts.items()), key=lambda x: (-x[1], x[0])))


def flow_table(flow: list[FlowStep]) -> Table:
    """The flow as a table, exclusions below each step; what a part lacks is below it."""
    rows = []
    for step in flow:
        counts = (step.n, step.n_events, step.n_controls)
        cells = [count_cell(float("nan") if n is None else n) for n in counts]
        rows.append((Cell(step.title, step.detail), *cells))
        word = "not in this part" if step.part else "excluded"
        rows += [(Cell(f"{word}: {why}"), count_cell(n), Cell(""), Cell("")) for why, n in step.lost]
    return Table(
        name="flow",
        caption="Stays at each step, with exclusions before the next; the last rows are parts of this page",
        columns=(Column("Step", numeric=False), Column("Stays"), Column("Cases"), Column("Controls")),
        rows=tuple(rows),
        sortable=False,
    )
