"""
The items of TRIPOD+AI, and the section of the page that reports each.

References
----------
Collins et al., TRIPOD+AI statement, BMJ 385 (2024) e078378, doi:10.1136/bmj-2023-078378: 27 items, 52
with their parts. Topics are abbreviated here; the statement is authoritative.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

STUDY = "text of the study: intent and care are not in the scores"
EXPORT = "text of the study: not in the export"


@dataclass(frozen=True)
class Item:
    """
    One item or part of an item.

    `section` is the section of the page that reports it, "" if none does. `remark`: what is reported there,
    or why nothing is.
    """

    number: str
    topic: str
    section: str
    remark: str


ITEMS = (
    Item("1", "Title: outcome, population, and whether a model is developed or evaluated", "", STUDY),
    Item("2", "Abstract", "", STUDY),
    Item("3a", "Medical context and rationale", "", STUDY),
    Item("3b", "Intended users, patients and point of care", "", STUDY),
    Item("3c", "Known health inequalities", "", STUDY),
    Item("4", "Objectives: development, evaluation or both", "", STUDY),
    Item(
        "5a",
        "Sources of data and their representativeness",
        "manifest",
        "kind and hash of the export; representativeness belongs in the study's text",
    ),
    Item("5b", "Dates of the data", "", EXPORT + " (dates are shifted or removed)"),
    Item("6a", "Setting and centres", "subgroups", "results by site, if the labels name sites"),
    Item("6b", "Eligibility", "flow", "every stay, with the reason for exclusion"),
    Item("6c", "Treatments received", "censoring", "results before antibiotics, cultures or suspicion"),
    Item(
        "7",
        "Data preparation and quality checks, similar across groups",
        "cards",
        "variables and settings of each model; checks of the export are in the labels' manifest",
    ),
    Item(
        "8a",
        "Outcome, its time and its assessment",
        "manifest",
        "label definition by name and hash; a file of the package",
    ),
    Item(
        "8b",
        "Subjective interpretation in the outcome",
        "",
        "not applicable: the outcome is computed by a rule",
    ),
    Item(
        "8c",
        "Blinding of outcome assessment",
        "how",
        "not blind: SOFA is part of the label, so models see data it is derived from; SOFA is flagged",
    ),
    Item("9a", "Choice of predictors", "cards", "the set of variables, and those omitted as too rare"),
    Item(
        "9b",
        "Definition and timing of predictors",
        "how",
        "data charted at or before the prediction, nothing later",
    ),
    Item("9c", "Subjective interpretation in predictors", "", "not applicable beyond bedside charting"),
    Item("10", "Sample size", "flow", "all available stays; precision is shown by the intervals"),
    Item("11", "Missing data", "coverage", "stays without a risk; handling of gaps is in the model cards"),
    Item(
        "12a",
        "Data used for development and for evaluation",
        "cards",
        "splits by patient, with sizes and a hash",
    ),
    Item("12b", "Handling of predictors", "cards", "settings of each model"),
    Item(
        "12c",
        "Type of model, building steps and selection",
        "cards",
        "settings of each model; selection on the validation split",
    ),
    Item(
        "12d", "Heterogeneity between clusters in methods", "subgroups", "by site, if the labels name sites"
    ),
    Item("12e", "Measures of performance", "how", "each measure and its purpose"),
    Item("12f", "Updating of the model", "calibration", "recalibration on the validation split"),
    Item("12g", "How predictions were computed", "manifest", "versions, seed and hashes; the code is open"),
    Item("13", "Class imbalance", "horizon", "no resampling of classes; the prevalence is given"),
    Item("14", "Fairness", "subgroups", "measures by subgroup; small groups are suppressed"),
    Item(
        "15",
        "Model output and choice of thresholds",
        "alarms",
        "a risk between 0 and 1; thresholds from the validation split",
    ),
    Item(
        "16",
        "Differences between development and evaluation data",
        "cards",
        "splits of one export, or external",
    ),
    Item("17", "Ethical approval", "", STUDY),
    Item("18a", "Funding", "", STUDY),
    Item("18b", "Conflicts of interest", "", STUDY),
    Item("18c", "Protocol", "manifest", "settings; a protocol belongs in the study's text"),
    Item("18d", "Registration", "", STUDY),
    Item("18e", "Sharing of data", "", EXPORT),
    Item("18f", "Sharing of code", "manifest", "version, revision and hash of the code"),
    Item("19", "Patient and public involvement", "", STUDY),
    Item("20a", "Flow of participants", "flow", "from the export to the figures, with numbers of cases"),
    Item(
        "20b",
        "Characteristics of participants",
        "subgroups",
        "sizes of subgroups; a table of characteristics belongs in the study's text",
    ),
    Item(
        "20c",
        "Comparison of development and evaluation data",
        "cards",
        "sizes of the splits; distributions belong in the study's text",
    ),
    Item("21", "Participants and events in each analysis", "horizon", "in every row"),
    Item("22", "Full model specification", "cards", "settings; the weights are in the model folder"),
    Item("23a", "Performance with intervals, also in subgroups", "horizon", "and the sections below it"),
    Item("23b", "Heterogeneity between clusters", "subgroups", "by site, if the labels name sites"),
    Item("24", "Results of updating", "calibration", "before and after recalibration"),
    Item("25", "Interpretation", "", STUDY),
    Item("26", "Limitations", "how", "of the measures; those of the study belong in its text"),
    Item("27a", "Poor or missing input data in use", "coverage", "stays without a risk, with the reason"),
    Item("27b", "Required user interaction and expertise", "", STUDY),
    Item("27c", "Next steps", "", STUDY),
)


def item_map(shown: Collection[str], missing: Collection[str]) -> list[Item]:
    """
    The items as this page reports them.

    An item of a section in `missing` says so; an item whose section does not exist is not on the page.
    """
    items = []
    for item in ITEMS:
        if item.section in missing:
            items.append(
                Item(item.number, item.topic, item.section, "not available for these scores; see the section")
            )
        elif item.section in shown or not item.section:
            items.append(item)
        else:
            items.append(Item(item.number, item.topic, "", "not on this page"))
    return items
