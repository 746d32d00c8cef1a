# ruff: noqa: E501 - tables are easier to read than short lines
"""Rows with all their links to stays: samples, orders, cultures, CareVue rates, rates of 0."""

import numpy as np
import pytest

from sepsis.events import extract_events
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, write_export


def detail(folder, base, **tables):
    return extract_events(open_export(write_export(folder, base, **tables)))


def test_a_laboratory_row_says_whether_it_names_the_admission_or_lies_near_it(tmp_path):
    found = detail(tmp_path, IV, labevents="""
        subject_id | hadm_id | itemid | charttime           | value | valuenum | valueuom | specimen_id
        1          | 10      | 50912  | 2150-01-01 05:00:00 | 2.5   | 2.5      | mg/dL    | 1   # names the admission
        1          |         | 50912  | 2150-01-01 02:00:00 | 2.5   | 2.5      | mg/dL    | 2   # in the emergency department
        1          | 11      | 50912  | 2150-01-01 03:00:00 | 2.5   | 2.5      | mg/dL    | 3   # names another
        1          | 11      | 50912  | 2149-12-30 03:00:00 | 2.5   | 2.5      | mg/dL    | 4   # two days before
        1          | 10      | 50912  | 2150-01-08 03:00:00 | 2.5   | 2.5      | mg/dL    | 5   # long after the stay
        2          | 20      | 50885  | 2150-03-01 03:00:00 | -1    | -1       | mg/dL    | 6   # no such bilirubin
    """).lab_samples  # fmt: skip
    links = found.set_index("sample")[["named", "near_admission", "near_stay"]]
    assert links.loc[1].tolist() == [True, True, True]
    assert links.loc[2].tolist() == [False, True, True]
    assert links.loc[3].tolist() == [False, True, True]
    assert links.loc[4].tolist() == [False, False, False]
    assert 5 not in links.index  # no grid of the stay reaches there
    assert np.isnan(found.set_index("sample").value.loc[6])
    assert found.set_index("sample").time_h.loc[1] == -1.0


ORDERS = """
    hadm_id | starttime           | stoptime            | drug_type | drug        | route
    10      | 2150-01-02 13:00:00 | 2150-01-03 13:00:00 | MAIN      | Ceftriaxone | IV
    10      | 2150-01-01 05:00:00 | 2150-01-03 13:00:00 | MAIN      | Vancomycin  | IV   # before the stay
    11      | 2149-06-01 05:00:00 | 2149-06-02 13:00:00 | MAIN      | Vancomycin  | IV   # another admission of the person
    10      | 2150-01-02 13:00:00 | 2150-01-02 14:00:00 | BASE      | Vancomycin  | IV
    10      | 2150-01-02 13:00:00 | 2150-01-02 15:00:00 | MAIN      | Vancomycin  | PO/NG
    10      | 2150-01-02 13:00:00 | 2150-01-02 15:00:00 | MAIN      | Aspirin     | PO
"""
ADMISSIONS = """
    subject_id | hadm_id | admittime           | dischtime           | edregtime
    1          | 10      | 2150-01-01 04:00:00 | 2150-01-09 00:00:00 | 2150-01-01 01:00:00
    1          | 11      | 2149-06-01 04:00:00 | 2149-06-09 00:00:00 |
    2          | 20      | 2150-02-28 00:00:00 | 2150-03-05 00:00:00 |
"""


def test_antibiotic_orders_of_every_admission_of_the_person_are_kept_in_order(tmp_path):
    found = detail(tmp_path, IV, prescriptions=ORDERS, admissions=ADMISSIONS).orders
    assert found.drug.tolist() == ["Vancomycin", "Vancomycin", "Vancomycin", "Vancomycin", "Ceftriaxone"]
    assert found.stay_id.isna().tolist() == [True, False, False, False, False]
    assert found.in_stay.tolist() == [False, False, True, True, True]
    assert found.row.is_monotonic_increasing


def test_an_order_of_type_base_shares_the_verdict_of_its_drug_and_route(tmp_path):
    found = detail(tmp_path, IV, prescriptions=ORDERS, admissions=ADMISSIONS).orders
    base = found.iloc[2]
    assert (base.systemic, base.drug_route_is_systemic, base.name_is_systemic) == (False, True, True)


def test_a_culture_of_the_person_is_linked_to_each_stay_it_is_near(tmp_path):
    found = detail(tmp_path, IV, admissions=ADMISSIONS, microbiologyevents="""
        subject_id | hadm_id | micro_specimen_id | chartdate           | charttime           | spec_type_desc | org_itemid | org_name
        1          | 10      | 7                 | 2150-01-02 00:00:00 | 2150-01-02 03:00:00 | BLOOD CULTURE  |            |
        1          |         | 8                 | 2149-12-31 00:00:00 |                     | SPUTUM         | 80002      | ESCHERICHIA COLI
        1          | 11      | 9                 | 2149-06-02 00:00:00 | 2149-06-02 03:00:00 | BLOOD CULTURE  | 90856      | NEGATIVE
    """).specimens  # fmt: skip
    assert found[["sample", "named", "date_only", "positive"]].to_numpy().tolist() == [
        [8.0, False, True, True], [7.0, True, False, False],
    ]  # fmt: skip
    assert found.time_h.tolist() == [-30.0, 21.0]
    assert found.day_h.tolist() == [-30.0, 18.0]


def test_carevue_rows_without_a_rate_are_kept_and_rates_of_0_are_kept_aside(tmp_path):
    found = detail(
        tmp_path, III,
        inputevents_cv="""
            icustay_id | itemid | charttime           | rate | rateuom  | stopped
            200        | 30120  | 2150-03-01 02:00:00 | 0.2  | mcgkgmin |
            200        | 30120  | 2150-03-01 03:00:00 |      |          | D/C'd
            200        | 30047  | 2150-03-01 02:00:00 | 8    | mcgmin   |
        """,
        inputevents_mv="""
            icustay_id | itemid | starttime           | endtime             | rate | rateuom    | patientweight | statusdescription
            100        | 221906 | 2150-01-01 08:00:00 | 2150-01-01 10:00:00 | 0    | mcg/kg/min | 70            | FinishedRunning
        """,
    )  # fmt: skip
    rates = found.carevue_rates
    assert rates.value.isna().sum() == 1
    assert rates.stopped.tolist() == [False, False, True]
    assert sorted(rates.per_weight) == [False, False, True]
    assert found.zero_rates[["stay_id", "start_h", "end_h", "value"]].to_numpy().tolist() == [[100, 2, 4, 0]]
    assert 100 not in set(found.infusions.stay_id)


def test_nothing_of_it_is_read_where_it_is_not_asked_for(tmp_path):
    source = open_export(write_export(tmp_path, IV))
    plain = extract_events(source, detail=False)
    assert plain.lab_samples is plain.orders is plain.specimens is plain.carevue_rates is None
    assert "heart_rate_charted" not in set(plain.events.concept)
    assert "heart_rate_charted" in set(extract_events(source).events.concept)


@pytest.mark.parametrize("base", [III, IV])
def test_an_export_without_the_optional_columns_is_read_all_the_same(tmp_path, base):
    found = detail(tmp_path, base)
    assert len(found.orders) >= 1
    assert len(found.lab_samples) >= 1
    assert len(found.specimens) >= 1
