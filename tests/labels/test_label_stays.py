"""The stage: every stay of an export gets a label, or a reason."""

import dataclasses

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.core import schema
from sepsis.core.errors import ExportError
from sepsis.events import tables as events_tables
from sepsis.labels import label_stays, load_preset
from tests.labels.made_up import export, part

PROSE = load_preset("moor2019")


def infected(*, platelets_h=20.0, antibiotic_h=21.0, culture_h=20.0, **stay):
    """One stay with a suspicion at hour 20 and platelets of 40 at `platelets_h`."""
    platelets = {"stay_id": 1, "time_h": platelets_h, "concept": "platelets", "value": 40.0}
    return export(
        stays=[{"stay_id": 1, **stay}],
        events=[platelets],
        antibiotics=[{"stay_id": 1, "time_h": antibiotic_h}],
        cultures=[{"stay_id": 1, "time_h": culture_h}],
    )


def test_a_case_and_all_its_times():
    labels = label_stays(infected(), PROSE)
    row = labels.onset.iloc[0]
    assert row.is_case
    assert row.included
    assert row.exclusion == ""
    assert (row.onset_h, row.suspicion_h, row.antibiotic_h, row.culture_h) == (20.0, 20.0, 21.0, 20.0)
    assert (row.label_known_h, row.sofa_at_onset, row.sofa_baseline) == (21.0, 3, 0)
    assert len(labels.sofa) == 73
    assert len(labels.suspicion) == 1
    assert labels.attrition.iloc[0].to_dict() == {
        "stay_id": 1, "subject_id": 1, "included": True, "is_case": True, "exclusion": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stay", "exclusion"),
    [
        ({"age": 14.0}, "age not above 14 years"),
        ({"age": 14.01}, ""),
        ({"age": 91.4}, ""),  # an age over 89, as the export hides it
        ({"age": None}, ""),
        ({"system": "carevue"}, "charting system not metavision"),
        ({"system": "both"}, "charting system not metavision"),
        ({"system": None}, ""),
        ({"exclusion": "no chart data"}, "no chart data"),
        ({"stay_h": None}, "no admission or no discharge time"),
        ({"sepsis_code": True}, ""),  # of a case nobody asks
        ({"stay_h": 19.9}, "onset after discharge"),
        ({"stay_h": 20.0}, ""),
    ],
)
def test_who_is_left_out_and_why(stay, exclusion):
    found = label_stays(infected(**stay), PROSE).onset.iloc[0]
    assert found.exclusion == exclusion
    assert found.included == (exclusion == "")


def test_an_onset_one_minute_before_admission_is_neither_case_nor_control():
    minute = 1 / 60
    before = label_stays(
        infected(platelets_h=-minute, culture_h=-minute, antibiotic_h=1.0), PROSE
    ).onset.iloc[0]
    assert (before.is_case, before.exclusion) == (False, "onset before admission")
    assert before.onset_h == pytest.approx(-minute)
    at_once = label_stays(infected(platelets_h=0.0, culture_h=0.0, antibiotic_h=1.0), PROSE).onset.iloc[0]
    assert (at_once.is_case, at_once.onset_h) == (True, 0.0)


def test_a_control_has_no_onset_and_no_sepsis_diagnosis():
    made_up = export(
        stays="""
            stay_id | subject_id | sepsis_code
                  1 |          1 | False
                  2 |          2 | True
                  3 |          3 |              # not known
        """,
        antibiotics=[{"stay_id": 1, "time_h": 3.0}],
        cultures=[{"stay_id": 1, "time_h": 3.0}],
    )
    found = label_stays(made_up, PROSE).onset
    assert not found.is_case.any()
    assert list(found.exclusion) == ["", "control with a sepsis diagnosis code", ""]
    assert list(found.suspicion_h.fillna(-1)) == [3.0, -1.0, -1.0]


def test_two_stays_of_an_admission_share_a_suspicion_and_only_one_holds_the_onset():
    made_up = export(
        stays="""
            stay_id | subject_id | stay_h
                  1 |          1 |   30.0
                  2 |          1 |   50.0   # admitted 40 h after the first
        """,
        events="""
            stay_id | time_h | concept   | value
                  1 |   20.0 | platelets |    40   # a laboratory value reaches every stay
                  2 |  -20.0 | platelets |    40
        """,
        antibiotics="stay_id | time_h \n 1 | 21 \n 2 | -19",
        cultures="stay_id | time_h \n 1 | 20 \n 2 | -20",
    )
    found = label_stays(made_up, PROSE)
    assert list(found.onset.is_case) == [True, False]
    assert list(found.onset.exclusion) == ["", "onset before admission"]
    assert list(found.suspicion.suspicion_h) == [20.0, -20.0]


def test_a_first_bilirubin_of_6_ever_is_a_rise_because_a_gap_counts_0():
    made_up = infected()
    row = part("events", [{"stay_id": 1, "time_h": 18.0, "concept": "bilirubin_total", "value": 6.0}])
    found = label_stays(dataclasses.replace(made_up, events=row), PROSE)
    assert (found.onset.onset_h[0], found.onset.sofa_baseline[0]) == (18.0, 0)
    before = found.sofa[found.sofa.time_h < 18.0]
    assert (before.liver_source == "missing").all()  # the evidence says that it was not a normal value


def test_exported_labels_are_taken_as_they_are():
    made_up = export(
        stays=[
            {"stay_id": i, "subject_id": i, "stay_h": 30.0, "system": None, "age": 15.0} for i in (1, 2, 3, 4)
        ],
        labels="""
            stay_id | first_labelled_h | first_row_h | last_row_h
                  1 |               10 |           1 |         30
                  2 |                1 |           1 |         30
                  3 |                  |           1 |         30
                  4 |               25 |           1 |         30
        """,
    )
    made_up = dataclasses.replace(made_up, stays=made_up.stays.assign(intime=pd.NaT, outtime=pd.NaT))
    found = label_stays(made_up, load_preset("physionet2019"))
    assert list(found.onset.exclusion) == [
        "", "onset cannot be dated: labelled from the first row on", "", "onset after discharge",
    ]  # fmt: skip
    assert list(found.onset.is_case) == [True, False, False, False]
    assert found.onset.onset_h[0] == 16.0
    assert len(found.sofa) == len(found.suspicion) == 0


def test_a_preset_that_does_not_fit_the_export_is_refused():
    with pytest.raises(ExportError, match="the export brings no labels"):
        label_stays(infected(), load_preset("physionet2019"))
    labelled = export(stays=[{"stay_id": 1}], labels=[{"stay_id": 1, "first_row_h": 1, "last_row_h": 5}])
    with pytest.raises(ExportError, match="Choose the preset physionet2019"):
        label_stays(labelled, PROSE)


@st.composite
def exports(draw):
    """A few stays with antibiotics, cultures and measurements at half hours."""
    half = st.integers(-40, 120).map(lambda n: n / 2)
    ids = st.integers(1, 3)
    values = st.sampled_from([("platelets", 40.0), ("platelets", 200.0), ("creatinine", 2.5), ("map", 60.0)])
    measured = draw(st.lists(st.tuples(ids, half, values), max_size=12))
    orders, taken = (draw(st.lists(st.tuples(ids, half), min_size=1, max_size=4)) for _ in range(2))
    return export(
        stays=[{"stay_id": i, "subject_id": i, "stay_h": 40.0} for i in (1, 2, 3)],
        events=[{"stay_id": i, "time_h": t, "concept": c, "value": v} for i, t, (c, v) in measured],
        antibiotics=[{"stay_id": i, "time_h": t} for i, t in orders],
        cultures=[{"stay_id": i, "time_h": t} for i, t in taken],
    )


TABLES = ("onset", "sofa", "suspicion", "attrition")


@settings(deadline=None, max_examples=10)
@given(exports())
def test_tables_keep_their_contracts_and_every_stay(made_up):
    labels = label_stays(made_up, PROSE)
    for name in TABLES:
        schema.check_table(getattr(labels, name), name)
    assert list(labels.onset.stay_id) == list(labels.attrition.stay_id) == [1, 2, 3]
    onset = labels.onset
    with_onset = onset[onset.onset_h.notna()]
    assert (with_onset.sofa_at_onset - with_onset.sofa_baseline >= 2).all()
    assert with_onset.onset_h.between(with_onset.suspicion_h - 48, with_onset.suspicion_h + 24).all()
    assert (onset.suspicion_h.dropna() == onset[["antibiotic_h", "culture_h"]].min(axis=1).dropna()).all()


@settings(deadline=None, max_examples=10)
@given(exports(), st.integers(0, 2**32 - 1))
def test_wall_clock_row_order_and_other_stays_change_no_label(made_up, seed):
    before = label_stays(made_up, PROSE)
    moved = {name: getattr(made_up, name) for name in events_tables.TABLES}
    for name in ("stays", "events", "antibiotics", "cultures"):
        moved[name] = moved[name].sample(frac=1, random_state=seed)
    years = pd.Timedelta(days=40_000)
    moved["stays"] = moved["stays"].assign(
        intime=moved["stays"].intime + years, outtime=moved["stays"].outtime + years
    )
    after = label_stays(dataclasses.replace(made_up, **moved), PROSE)
    wall_clock = ["intime", "outtime"]
    pd.testing.assert_frame_equal(before.onset.drop(columns=wall_clock), after.onset.drop(columns=wall_clock))
    for name in TABLES[1:]:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))
    alone = {n: v[v.stay_id == 2] for n, v in moved.items() if v is not None and n != "ledger"}
    single = label_stays(dataclasses.replace(made_up, **alone), PROSE)
    both = [
        t.onset[t.onset.stay_id == 2].drop(columns=wall_clock).reset_index(drop=True)
        for t in (before, single)
    ]
    pd.testing.assert_frame_equal(*both)


@settings(deadline=None, max_examples=10)
@given(exports())
def test_what_was_charted_until_the_label_is_known_gives_it_and_nothing_gives_it_before(made_up):
    def seen(until):
        cut = {n: getattr(made_up, n) for n in ("events", "antibiotics", "cultures")}
        cut = {n: frame[frame.time_h <= until] for n, frame in cut.items()}
        return label_stays(dataclasses.replace(made_up, **cut), PROSE).onset.set_index("stay_id")

    whole = label_stays(made_up, PROSE).onset.set_index("stay_id")
    for stay_id, row in whole[whole.onset_h.notna()].iterrows():
        label = ["onset_h", "suspicion_h", "label_known_h", "sofa_at_onset", "sofa_baseline"]
        assert list(seen(row.label_known_h).loc[stay_id, label]) == list(row[label])
        before = row.label_known_h - 1 / 60
        early = seen(before).loc[stay_id]
        same = early.onset_h == row.onset_h and early.suspicion_h == row.suspicion_h
        assert not (same and early.label_known_h <= before)
