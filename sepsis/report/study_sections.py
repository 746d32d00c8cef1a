"""Sections about the study itself: participants, sample size, and the spread over folds and seeds."""

from __future__ import annotations

from sepsis.report.context import Results
from sepsis.report.elements import Section
from sepsis.report.study_tables import fold_counts, frame_table, spread_table


def participants_section(results: Results) -> Section:
    """Table 1: who is in the study, by class and split."""
    title, found = "Participants", results.table("table_one")
    if found is None:
        return Section(
            "participants", title, missing="The labels and scores have nothing to describe them by."
        )
    table = frame_table(found, "table-one", "Participants by class and split; small counts are not shown")
    return Section("participants", title, tables=(table,))


def sample_size_section(results: Results) -> Section:
    """Stays and cases that the criteria of Riley et al. ask for, beside those at hand."""
    title, found = "Sample size", results.table("sample_size")
    if found is None:
        return Section(
            "sample_size", title, missing="The criteria need cases, controls and a calibrated risk."
        )
    text = (
        "What an evaluation, and the development of a model, would need by the criteria of Riley et al. "
        "(doi:10.1136/bmj.m441, doi:10.1002/sim.9025), beside what this study has."
    )
    table = frame_table(
        found, "sample-size",
        "Sample size by criterion, in predictions of the matched sets: needed and at hand",
        {"needed": "Needed", "needed_events": "Cases needed", "n": "At hand", "n_events": "Cases at hand"},
    )  # fmt: skip
    return Section("sample_size", title, (text,), tables=(table,))


def spread_section(results: Results) -> Section | None:
    """Spread over folds and over seeds of a network; None where each model was trained once."""
    horizon, made, text = results.main_h, [], []
    for name, caption, what in (
        (
            "folds", "every fold with a model of its own, on stays that it never saw",
            "Folds: every stay is evaluated by a model that was trained, tuned and calibrated without it. "
            "Folds differ by chance and by their models; the range is no confidence interval.",
        ),
        (
            "seeds", "the same network trained with other seeds",
            "Seeds: the intervals of this page hold the trained models fixed. This range is what they leave "
            "out.",
        ),
    ):  # fmt: skip
        spread = results.table(name)
        if spread is not None and horizon is not None:
            made.append(spread_table(spread, horizon, name, f"{horizon:g} h before onset: {caption}"))
            counts = f" {fold_counts(results.risk_set)}" if name == "folds" and results.risk_set else ""
            text.append(what + counts)
    return Section("spread", "Folds and seeds", tuple(text), tables=tuple(made)) if made else None
