"""The model card: one page of Markdown in the model folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sepsis.cohort import Cohort
from sepsis.models.artifact.input_statistics import ConceptStatistics, InputStatistics
from sepsis.models.artifact.operating import Operating

SPLITS = ("train", "validation", "test")


def fitted_on(cohort: Cohort) -> list[dict[str, Any]]:
    """
    Stays, subjects and cases of each split, and the matched sets drawn from it: split, stays, subjects,
    cases, sets, controls (rows; a stay may be a control several times).
    """
    rows = []
    for name in SPLITS:
        stays, members = cohort.stays[cohort.stays.split == name], cohort.members(name)
        rows.append(
            {
                "split": name, "stays": len(stays), "subjects": int(stays.subject_id.nunique()),
                "cases": int(stays.is_case.sum()), "sets": int(members.is_case.sum()),
                "controls": int((~members.is_case).sum()),
            }
        )  # fmt: skip
    return rows


def model_card(
    model: str,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    statistics: InputStatistics,
    operating: Operating,
) -> str:
    """
    What the model is, on whom it was fitted, what it must not be used for.

    `facts`, as in the manifest: definition, export_kind, licence, fitted_on, design, notes,
    stores_of_patients.
    """
    names = [one.concept for one in statistics.concepts]
    lines = [
        f"# Model card: {model}",
        "",
        "Risk that an ICU stay reaches Sepsis-3 onset, from what was charted up to the prediction time.",
        "**Research software, not a medical device: not for decisions on patients.**",
        "",
        f"- Label definition: `{facts['definition']}` on an export of kind `{facts['export_kind']}`.",
        f"- Variables: {len(names)} ({', '.join(names)}).",
        "- A laboratory value counts from the hour it was drawn, as the export charts it. Its result was",
        "  known later: in real time the model would know less.",
        f"- Licence: {facts['licence']}",
        *(f"- {note}" for note in facts["notes"]),
        "",
        "## What this folder contains of patients",
        "",
        *(f"- {note}" for note in facts["stores_of_patients"]),
        "- `preprocessing.json` holds shares, and quantiles rounded to three digits; no value of a patient.",
        "",
        "Treat it as you treat the export.",
        "",
        "## Whom it was fitted on",
        "",
        f"Controls were drawn by the design `{facts['design']}`.",
        "",
        "| split | stays | subjects | cases | matched sets | controls in them |",
        "|---|---|---|---|---|---|",
        *("| " + " | ".join(str(value) for value in p.values()) + " |" for p in facts["fitted_on"]),
        "",
        "## Variables in training",
        "",
        "| variable | unit | mean | SD | stays without |",
        "|---|---|---|---|---|",
        *(variable_row(one) for one in statistics.concepts),
        "",
        "## Calibrator and thresholds",
        "",
        *operating_lines(operating),
        "",
        "## Settings",
        "",
    ]
    lines += [f"- `{key}` = {value}" for key, value in sorted(settings.items())]
    return "\n".join(lines) + "\n"


def variable_row(one: ConceptStatistics) -> str:
    """A variable as a row of a Markdown table."""
    numbers = [f"{v:g}" if v is not None else "too few values" for v in (one.mean, one.sd)]
    return f"| {one.concept} | {one.unit} | {' | '.join(numbers)} | {one.share_missing:.1%} |"


def operating_lines(operating: Operating) -> list[str]:
    """Calibrator and thresholds, a bullet each."""
    if operating.calibrator is None:
        lines = [f"- No calibrator: {operating.why_none}."]
    else:
        offset, slope = operating.calibrator.x
        lines = [
            f"- Calibrator `{operating.calibrator.method}`: log odds become {offset:.4g} + {slope:.4g} x log "
            "odds. Risks are written without it unless it is asked for."
        ]
    if operating.thresholds:
        lines.append(
            f"- Thresholds on the risk, and what they did on {operating.n:,} predictions of the validation "
            f"split ({operating.n_cases:,} of cases):"
        )
    for one in operating.thresholds:
        at = "no alert at all" if one.threshold is None else f"{one.threshold:.4g}"
        least = "at most" if one.kind == "alert rate" else "at least"
        lines.append(
            f"- {one.kind} {least} {one.limit:g}: {at} (sensitivity {one.sensitivity:.3f}, "
            f"specificity {1 - one.false_positive_rate:.3f}, alerts {one.alert_rate:.3f})"
        )
    return lines
