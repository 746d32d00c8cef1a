"""
Where this page answers the items of TRIPOD+AI, and which items a page of figures cannot answer.

References
----------
Collins et al., TRIPOD+AI statement, BMJ 385 (2024) e078378, doi:10.1136/bmj-2023-078378: 27 items, 52
with their parts. The words here are our own and short; the statement is what counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

STUDY = "for the study's text: about intent and care, which no score table knows"
EXPORT = "for the study's text: the export does not say it"


@dataclass(frozen=True)
class Item:
    """
    One item or part of an item.

    Attributes
    ----------
    number : str
    topic : str
        What it asks for, in our words.
    section : str
        Name of the section of the page that answers it; "" where none does.
    remark : str
        What is found there, or why there is nothing.
    """

    number: str
    topic: str
    section: str
    remark: str


ITEMS = (
    Item("1", "Title: what is predicted, in whom, and whether a model is made or judged", "", STUDY),
    Item("2", "Abstract", "", STUDY),
    Item("3a", "Medical context, and why a model", "", STUDY),
    Item("3b", "Who would use it, for whom, at what point of care", "", STUDY),
    Item("3c", "Known inequalities between groups", "", STUDY),
    Item("4", "Objectives: development, evaluation or both", "", STUDY),
    Item(
        "5a",
        "Sources of data, and whether they represent those it is for",
        "manifest",
        "kind and hash of the export; representativeness is for the study's text",
    ),
    Item("5b", "Dates of the data", "", EXPORT + " (dates are shifted, or left out on purpose)"),
    Item("6a", "Setting and centres", "subgroups", "sites side by side where the labels name them"),
    Item("6b", "Who was eligible", "flow", "every stay with its reason"),
    Item(
        "6c",
        "Treatments that were given",
        "censoring",
        "what happens without the hours after antibiotics, cultures or suspicion",
    ),
    Item(
        "7",
        "Preparation and quality checks of the data, alike across groups",
        "cards",
        "variables and settings of each model; checks of the export are in the labels' manifest",
    ),
    Item(
        "8a",
        "Outcome, when and how it is determined",
        "manifest",
        "the label definition by name and hash; a file of the package",
    ),
    Item("8b", "Judgement by people in the outcome", "", "not applicable: the outcome is computed by a rule"),
    Item(
        "8c",
        "Blinding of the outcome to predictors",
        "how",
        "not blind: SOFA is part of the label, so models see what it is made of; scores of it are flagged",
    ),
    Item(
        "9a", "Choice of predictors", "cards", "the set of variables, and which were left out for being rare"
    ),
    Item(
        "9b",
        "Definition and timing of predictors",
        "how",
        "what was charted at or before the prediction, and nothing later",
    ),
    Item(
        "9c", "Judgement by people in predictors", "", "not applicable beyond what charting at the bedside is"
    ),
    Item("10", "Sample size", "flow", "all stays there are; intervals say what that is worth"),
    Item("11", "Missing data", "coverage", "stays without a risk; how a model takes gaps is in its card"),
    Item(
        "12a",
        "Which data made the model and which judged it",
        "cards",
        "splits by person, with sizes and a hash",
    ),
    Item("12b", "How predictors enter the model", "cards", "settings of each model"),
    Item(
        "12c",
        "Type of model, how it was built and chosen",
        "cards",
        "settings of each model; choices were made on the validation split",
    ),
    Item("12d", "Differences between clusters", "subgroups", "by site where the labels name them"),
    Item("12e", "Measures of performance", "how", "each measure and why it is there"),
    Item("12f", "Updating of the model", "calibration", "recalibrated on the validation split, side by side"),
    Item("12g", "How predictions were computed", "manifest", "versions, seed and hashes; the code is open"),
    Item("13", "Class imbalance", "horizon", "nothing is resampled; the prevalence is beside each figure"),
    Item("14", "Fairness", "subgroups", "the measures by group, small groups kept back"),
    Item(
        "15",
        "What the model puts out, and how thresholds were chosen",
        "alarms",
        "a risk between 0 and 1; thresholds from the validation split",
    ),
    Item(
        "16",
        "Differences between the data that made and that judge the model",
        "cards",
        "splits of one export, or external",
    ),
    Item("17", "Ethical approval", "", STUDY),
    Item("18a", "Funding", "", STUDY),
    Item("18b", "Conflicts of interest", "", STUDY),
    Item("18c", "Protocol", "manifest", "the settings; a protocol written before is for the study's text"),
    Item("18d", "Registration", "", STUDY),
    Item("18e", "Sharing of data", "", EXPORT),
    Item("18f", "Sharing of code", "manifest", "version, revision and hash of the code"),
    Item("19", "Patients and public", "", STUDY),
    Item("20a", "Flow of participants", "flow", "from the export to the figures, with cases"),
    Item(
        "20b",
        "Characteristics of participants",
        "subgroups",
        "sizes and cases of groups; a table of characteristics is for the study's text",
    ),
    Item(
        "20c",
        "Development against evaluation data",
        "cards",
        "sizes of the splits; distributions are for the study's text",
    ),
    Item("21", "Participants and events in each analysis", "horizon", "in every row"),
    Item("22", "The whole model", "cards", "settings here, weights in the model folder"),
    Item("23a", "Performance with intervals, in groups too", "horizon", "with the other views below it"),
    Item("23b", "Heterogeneity between clusters", "subgroups", "by site where the labels name them"),
    Item("24", "Results of updating", "calibration", "before and after recalibration"),
    Item("25", "Interpretation", "", STUDY),
    Item("26", "Limitations", "how", "those of the measures; those of the study are for its text"),
    Item("27a", "Poor or missing input in use", "coverage", "who got no risk, and why"),
    Item("27b", "What users must do and know", "", STUDY),
    Item("27c", "Next steps", "", STUDY),
)


def item_map(shown: Collection[str], missing: Collection[str]) -> list[Item]:
    """
    The items as this page answers them.

    Parameters
    ----------
    shown, missing : collection of str
        Sections that have something to show, and those that say why they have not.

    Returns
    -------
    items : list of Item
        An item whose section is missing says so; one whose section the page does not have at all is
        left to the study's text.
    """
    items = []
    for item in ITEMS:
        if item.section in missing:
            items.append(Item(item.number, item.topic, item.section, "not in these scores: see why there"))
        elif item.section in shown or not item.section:
            items.append(item)
        else:
            items.append(Item(item.number, item.topic, "", "not on this page"))
    return items
