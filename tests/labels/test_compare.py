"""Definitions side by side: counts, overlap, shift, and the walk from one to another."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from sepsis.core.errors import UsageError
from sepsis.labels import label_stays, load_preset
from sepsis.labels.compare import (
    COUNTS,
    PAIR_MEASURES,
    agreement,
    changed,
    changes,
    compare,
    counts,
    kappa,
    shown,
    walk,
)
from tests.labels.made_up import export
from tests.tables import table

PROSE, CODE = load_preset("moor2019"), load_preset("moor2019_code")


def onsets(text):
    """An onset table from the columns a comparison reads."""
    found = table(text)
    yes = {"yes": True, "no": False}
    return found.assign(
        is_case=found["is_case"].map(yes).astype(bool),
        included=found["included"].map(yes).astype(bool),
        onset_h=found["onset_h"].astype(float),
        suspicion_h=found["suspicion_h"].astype(float),
        stay_h=50.0,
    )


FIRST = onsets("""
    stay_id | suspicion_h | onset_h | is_case | included
    --------+-------------+---------+---------+---------
          1 |         5.0 |     7.0 | yes     | yes
          2 |         5.0 |     6.9 | yes     | yes
          3 |         5.0 |    -2.0 | no      | no        # before admission
          4 |         5.0 |         | no      | yes
          5 |             |         | no      | yes
          6 |         5.0 |    60.0 | no      | no        # after discharge
""")
SECOND = onsets("""
    stay_id | suspicion_h | onset_h | is_case | included
    --------+-------------+---------+---------+---------
          1 |         5.0 |     9.0 | yes     | yes
          2 |         5.0 |         | no      | yes
          3 |         5.0 |     1.0 | yes     | yes
          4 |         5.0 |         | no      | yes
          5 |         5.0 |         | no      | no
          6 |         5.0 |    61.0 | no      | no
""")


def test_counts_of_one_definition():
    assert counts(FIRST) == {
        "stays": 6, "suspected": 5, "onsets": 4, "onsets_in_stay": 2, "cases": 2, "cases_from_7_h": 1,
        "controls": 2, "excluded": 2,
    }  # fmt: skip


def test_an_excluded_stay_that_reaches_onset_is_no_case():
    young = FIRST.assign(included=False)
    assert (counts(young)["cases"], counts(young)["onsets"], counts(young)["excluded"]) == (0, 4, 6)


def test_agreement_of_two_definitions():
    found = agreement(FIRST, SECOND)
    assert list(found) == list(PAIR_MEASURES)
    assert found["cases_both"] == found["cases_first_only"] == found["cases_second_only"] == 1
    # Agree on 4 of 6; each calls 2 of 6 a case: by chance 4/36 + 16/36 = 20/36.
    assert found["kappa"] == pytest.approx((4 / 6 - 20 / 36) / (1 - 20 / 36))
    # Onsets by both: stays 1, 3, 6, later by 2, 3, 1 h.
    assert found["onsets_both"] == 3
    assert [found[f"onset_shift_{q}_h"] for q in ("q1", "median", "q3")] == [1.5, 2.0, 2.5]


def test_the_shift_turns_its_sign_with_the_order():
    assert (
        agreement(SECOND, FIRST)["onset_shift_median_h"] == -agreement(FIRST, SECOND)["onset_shift_median_h"]
    )


def test_without_a_common_onset_there_is_no_shift():
    none = SECOND.assign(onset_h=np.nan)
    found = agreement(FIRST, none)
    assert found["onsets_both"] == 0
    assert np.isnan(found["onset_shift_median_h"])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_kappa_is_that_of_scikit_learn(pairs):
    one, two = np.array(pairs).T
    if len({*one.tolist(), *two.tolist()}) == 1:
        assert np.isnan(kappa(one, two))
    else:
        assert kappa(one, two) == pytest.approx(cohen_kappa_score(one, two))


def test_nobody_has_no_kappa():
    assert np.isnan(kappa(np.array([], dtype=bool), np.array([], dtype=bool)))


def test_a_comparison_is_one_number_a_row():
    found = compare({"a": FIRST, "b": SECOND, "c": FIRST})
    assert list(found.columns) == ["preset", "other", "measure", "value"]
    assert not found.duplicated(["preset", "other", "measure"]).any()
    assert (found.other == "").sum() == 3 * len(COUNTS)
    pairs = found[found.other != ""]
    assert list(pairs.groupby(["preset", "other"]).groups) == [("a", "b"), ("a", "c"), ("b", "c")]
    same = pairs[(pairs.other == "c") & (pairs.preset == "a") & (pairs.measure == "kappa")]
    assert list(same.value) == [1.0]


DEMO = {
    "events": """
        stay_id | time_h | concept         | value | text
        --------+--------+-----------------+-------+-----
              1 |    8.0 | bilirubin_total |   6.5 |
              2 |    8.0 | bilirubin_total |   6.5 |
              2 |    2.0 | bilirubin_total |   6.5 |
    """,
    "antibiotics": "stay_id | time_h\n 1 | 3.0\n 2 | 3.0",
    "cultures": "stay_id | time_h\n 1 | 4.0\n 2 | 4.0",
}


def test_a_walk_begins_at_one_definition_and_ends_at_the_other():
    events = export(**DEMO)
    steps = walk(lambda preset: label_stays(events, preset).onset, PROSE, CODE)
    assert list(steps.switch[1:]) == [change.switch for change in changes(PROSE, CODE)]
    assert list(steps.step) == list(range(len(steps)))
    for row, preset in ((steps.iloc[0], PROSE), (steps.iloc[-1], CODE)):
        assert {name: row[name] for name in COUNTS} == counts(label_stays(events, preset).onset)
    moved = steps.cases.diff().fillna(0)
    assert ((steps.cases_gained - steps.cases_lost)[1:] == moved[1:]).all()


def test_a_walk_names_the_switch_that_decides():
    events = export(**DEMO)
    steps = walk(lambda preset: label_stays(events, preset).onset, PROSE, CODE).set_index("switch")
    assert steps.loc["", "cases"] == 2
    # No vital sign, vasopressor, gas or urine entry: with the joins made inner, every hour scores 0.
    lost = steps[steps.cases_lost > 0]
    assert list(lost.index) == ["sofa.missing"]
    assert (lost.before.item(), lost.after.item(), lost.cases_lost.item()) == ("zero", "exclude_hour", 2)


def test_one_switch_at_a_time_leads_all_the_way():
    here = PROSE
    for change in changes(PROSE, CODE):
        before, here = here, changed(here, change)
        assert [c.switch for c in changes(before, here)] == [change.switch]
    assert dataclasses.replace(here, name=CODE.name) == CODE


def test_a_walk_nowhere_is_refused():
    with pytest.raises(UsageError, match="the two definitions are the same"):
        walk(lambda preset: pd.DataFrame(), PROSE, PROSE)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (24.0, "24"), (("ART", "ART."), "[ART, ART.]"), ((), "[]"), ("zero", "zero"), (2, "2")],
)
def test_values_are_shown_as_a_preset_writes_them(value, text):
    assert shown(value) == text
