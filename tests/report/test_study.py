"""Sections about the study: design, time left, participants, sample size, folds and seeds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.models.artifact.files import OLD_DRAW
from sepsis.report.context import Results
from sepsis.report.horizon_sections import comparison_text
from sepsis.report.hourly_sections import continuous_section, natural_prevalence
from sepsis.report.study_sections import spread_section
from sepsis.report.study_tables import frame_table, late_controls
from tests.report.made_up import report
from tests.report.made_up_evaluation import evaluated, study_tables
from tests.report.test_page import Outline, visible


@pytest.fixture(scope="module")
def everything():
    return evaluated(n_bootstrap=20)


@pytest.mark.parametrize(
    ("design", "said"),
    [
        ("incidence_density", "a later case may be a control before its onset"),
        ("paper", "Controls never reach onset"),
        (OLD_DRAW, "chose those who had just become eligible"),
        ("", "not known from the scores"),
    ],
)
def test_the_page_says_how_controls_were_drawn(everything, design, said):
    assert said in " ".join(comparison_text(Results.of(everything, design=design)))


@pytest.mark.parametrize(("share", "warned"), [(0.08, False), (0.447, True), (np.nan, False)])
def test_controls_at_the_end_of_their_stay_are_warned_of(share, warned):
    left = study_tables(("a",))["time_left"]
    left["share_last_hour"] = left.share_last_hour.mask(left["class"] == "control", share)
    said = late_controls(left)
    assert bool(said) == warned
    assert not warned or said[0].startswith("Warning: 45 % of the controls are judged in the last hour")


def test_the_warning_stands_among_the_notes_of_the_page(everything, tmp_path):
    left = study_tables(("a",))["time_left"].assign(share_last_hour=0.447)
    late = replace(everything, tables={**everything.tables, "time_left": left})
    text = visible(Outline(report(tmp_path / "r", evaluation=late).read_text(encoding="utf-8")))
    assert text.count("Warning: 45 % of the controls") == 2  # in the notes and beside the figures
    assert text.index("Notes Warning: 45 %") < text.index("Primary endpoint The primary endpoint")


def test_folds_and_seeds_have_their_range_and_each_fold_its_counts(everything):
    section = spread_section(Results.of(everything))
    folds, seeds = section.tables
    assert "Predictions by fold: 0: 59, 15 of cases; 1: 59, 14 of cases." in section.text[0]
    assert [cell.text for cell in seeds.rows[0]] == ["MGP-TCN", "0.500", "0.440 to 0.560", "5"]
    assert [column.title for column in folds.columns] == ["Model", "AUPRC", "", "AUROC", "", "n"]
    made = everything.tables["folds"]
    row = made[(made.model == "clock") & (made.metric == "auroc") & (made.horizon_h == 7)].iloc[0]
    assert [cell.text for cell in folds.rows[-1][3:]] == [
        f"{row['mean']:.3f}", f"{row['min']:.3f} to {row['max']:.3f}", "2",
    ]  # fmt: skip


def test_models_trained_once_have_no_spread(everything):
    assert spread_section(replace(Results.of(everything), tables={})) is None


@pytest.mark.parametrize(
    ("n_cohort", "n_cases", "said"),
    [
        (900, 60, "in the evaluated cohort 60 of 900 do (6.7\N{NO-BREAK SPACE}%)."),
        (80, 20, "These are all stays of the evaluated cohort, at its natural prevalence: 20 of the 80"),
        (0, 0, "the share in the whole cohort is not known from the scores."),
    ],
)
def test_the_share_of_cases_is_said_as_it_is(everything, n_cohort, n_cases, said):
    risk_set = replace(everything.risk_set, n_cohort=n_cohort, n_cohort_cases=n_cases)
    text = natural_prevalence(replace(Results.of(everything), risk_set=risk_set))
    assert said in text
    assert "20 of the 80 stays of the hourly figures reach onset (25.0\N{NO-BREAK SPACE}%)" in text


def test_early_and_late_hours_have_columns_of_their_own(everything):
    table = continuous_section(Results.of(everything)).tables[-1]
    assert table.name == "every-hour-parts"
    assert [column.note for column in table.columns[1:]] == ["to hour 59", "from hour 60"] * 2


def test_a_table_of_the_evaluation_is_printed_with_intervals_counts_and_gaps():
    frame = pd.DataFrame(
        {
            "class": ["case", "control"], "stays": [1200, np.nan], "median_left_h": [4.25, 7.0],
            "share": [0.5, np.nan], "share_low": [0.4, np.nan], "share_high": [0.6, np.nan],
        }
    )  # fmt: skip
    table = frame_table(frame, "x", "", {"median_left_h": "Median, h"})
    assert [c.title for c in table.columns] == ["Class", "Stays", "Median, h", "Share"]
    assert [(c.text, c.interval) for c in table.rows[0]] == [
        ("case", ""), ("1,200", ""), ("4.2", ""), ("0.500", "0.400 to 0.600"),
    ]  # fmt: skip
    assert [c.text for c in table.rows[1]] == ["control", "–", "7.0", "–"]


def test_the_page_says_when_the_label_could_be_known_who_was_treated_and_how_many_are_needed(tmp_path):
    html = report(tmp_path / "r").read_text(encoding="utf-8")
    text = visible(Outline(html))
    assert "known a median of 3.0 h after onset (quartiles 0.0 and 9.5 h; 60 cases)" in text
    assert "Hours before onset Antibiotic given 7 0.200 0.100 to 0.300" in text
    assert "Cases needed At hand Cases at hand All models evaluation: observed / expected 1,200 90" in text
    assert "Split Class Stays Age, median [quartiles] test case 60 63 [50 to 74]" in text
