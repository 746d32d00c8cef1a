"""
eICU: made-up files by its published schema (Pollard et al. 2018); no record of the release was at hand.
"""

import numpy as np
import pandas as pd
import pytest

import sepsis
from sepsis.core.errors import ExportError
from sepsis.events import extract_events
from sepsis.sources import open_export
from tests.tables import table

LONG = {
    "vitalperiodic": (
        "patientunitstayid observationoffset temperature sao2 heartrate respiration "
        "systemicsystolic systemicdiastolic systemicmean"
    ),
    "vitalaperiodic": (
        "patientunitstayid observationoffset noninvasivesystolic noninvasivediastolic noninvasivemean"
    ),
    "nursecharting": (
        "patientunitstayid nursingchartoffset nursingchartcelltypevallabel "
        "nursingchartcelltypevalname nursingchartvalue"
    ),
    "intakeoutput": ("patientunitstayid intakeoutputoffset cellpath celllabel cellvaluenumeric"),
}


def named(name, text):
    """A table whose columns have the names of the release, which are too long to be read in a row."""
    return table(text).set_axis(LONG[name].split(), axis=1)


def files(**changes):
    """The tables of two patients: the first is infected, the second has two stays of the same person."""
    tables = {
        "patient": table("""
            patientunitstayid | patienthealthsystemstayid | uniquepid | gender | age  | unitdischargeoffset
            ------------------+---------------------------+-----------+--------+------+--------------------
                          101 |                        11 | 002-1     | Female | > 89 |               4320
                          202 |                        12 | 001-7     | Male   | 54   |               1440
                          203 |                        12 | 001-7     | Male   | 54   |               2880
        """),
        "vitalperiodic": named("vitalperiodic", """
            stay | minute | temperature | sao2 | heartrate | respiration | systolic | diastolic | mean
            -----+--------+-------------+------+-----------+-------------+----------+-----------+-----
            101  | 60     | 37.5        | 96   | 90        | 20          |          |           |
            101  | 120    |             | 95   |           |             | 110      | 55        | 70
        """),
        "vitalaperiodic": named("vitalaperiodic", """
            stay | minute | systolic | diastolic | mean
            -----+--------+----------+-----------+-----
            101  | 90     | 100      | 50        | 60
        """),
        "lab": table("""
            patientunitstayid | labresultoffset | labname          | labresult | labmeasurenamesystem
            ------------------+-----------------+------------------+-----------+---------------------
                          101 |             -30 | creatinine       |       1.0 | mg/dL
                          101 |             300 | creatinine       |       4.0 | mg/dL
                          101 |             300 | platelets x 1000 |        40 | K/mcL
                          101 |             300 | paO2             |        80 | mm Hg
                          101 |             300 | FiO2             |        50 | %
                          202 |             100 | uric acid        |         5 | mg/dL
        """),
        "nursecharting": named("nursecharting", """
            stay | minute | label              | name            | value
            -----+--------+--------------------+-----------------+------
            101  | 30     | Glasgow coma score | Eyes            | 4
            101  | 40     | Temperature        | Temperature (F) | 98.6
            101  | 50     | Temperature        | Temperature (C) | warm
        """),
        "intakeoutput": named("intakeoutput", """
            stay | minute | cellpath                  | celllabel | cellvaluenumeric
            -----+--------+---------------------------+-----------+-----------------
            101  | 180    | flowsheet;I&O;Output (ml) | Urine     | 250
            101  | 180    | flowsheet;I&O;Intake (ml) | Urine     | 10
        """),
        "infusiondrug": table("""
            patientunitstayid | infusionoffset | drugname                     | drugrate | patientweight
            ------------------+----------------+------------------------------+----------+--------------
                          101 |            300 | Norepinephrine (mcg/min)     | 8        |            80
                          101 |            420 | Norepinephrine (mcg/kg/min)  | 0.2      |            80
                          101 |            600 | Dopamine (ml/hr)             | 5        |            80
        """),
        "medication": table("""
            patientunitstayid | drugstartoffset | drugname             | routeadmin | drugordercancelled
            ------------------+-----------------+----------------------+------------+-------------------
                          101 |             240 | VANCOMYCIN 1 g       | IV         | No
                          101 |             240 | CEFEPIME             | IV         | Yes
                          101 |             240 | ASPIRIN              | PO         | No
        """),
        "microlab": table("""
            patientunitstayid | culturetakenoffset | culturesite            | organism
            ------------------+--------------------+------------------------+------------------
                          101 |                180 | Blood, Venipuncture    | Escherichia coli
                          101 |                180 | Blood, Venipuncture    | Klebsiella
                          101 |                200 | Urine, Catheter        | no growth
        """),
    }  # fmt: skip
    return tables | changes


def write(folder, tables):
    folder.mkdir()
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv.gz", index=False)
    return folder


@pytest.fixture
def export(tmp_path):
    return write(tmp_path / "eicu", files())


def test_stays_have_no_clock_and_ages_over_89_are_hidden(export):
    source = open_export(export)
    assert source.kind == "eicu"
    stays = extract_events(source).stays
    assert list(stays.stay_id) == [101, 202, 203]
    assert list(stays.subject_id) == [2, 1, 1]
    assert list(stays.stay_h) == [72.0, 24.0, 48.0]
    assert list(stays.age) == [91.4, 54.0, 54.0]
    assert list(stays.sex) == ["F", "M", "M"]
    assert stays.intime.isna().all()


def test_wide_tables_nurses_and_laboratory_come_out_in_the_vocabulary(export):
    events = extract_events(open_export(export))
    found = {(e.concept, round(e.time_h, 3)): e.value for e in events.events.itertuples()}
    assert found["heart_rate", 1.0] == 90
    assert ("heart_rate", 2.0) not in found
    assert (found["sbp", 1.5], found["sbp", 2.0]) == (100, 110)
    assert found["creatinine", -0.5] == 1.0
    assert found["platelets", 5.0] == 40
    assert found["fio2_lab", 5.0] == 50
    assert found["gcs_eye", 0.5] == 4
    assert found["temperature", round(40 / 60, 3)] == pytest.approx(37.0)
    assert found["urine_output", 3.0] == 250
    assert list(events.events.concept).count("urine_output") == 1
    ledger = events.ledger.set_index(["concept", "reason"]).rows
    assert ledger["temperature", "no number"] == 1


def test_a_rate_holds_until_the_next_and_a_rate_by_volume_is_counted(export):
    events = extract_events(open_export(export))
    rows = events.infusions[["start_h", "end_h", "concept", "value"]].values.tolist()
    assert rows == [[5.0, 7.0, "norepinephrine", 0.1], [7.0, 31.0, "norepinephrine", 0.2]]
    assert events.ledger.set_index(["concept", "reason"]).rows["dopamine", "rate by volume"] == 1


def test_orders_that_were_cancelled_are_none_and_organisms_of_a_specimen_are_one_culture(export):
    events = extract_events(open_export(export))
    assert list(events.antibiotics.time_h) == [4.0]
    assert events.ledger.set_index(["concept", "reason"]).rows["antibiotic", "order cancelled"] == 1
    assert list(zip(events.cultures.specimen, events.cultures.positive, strict=True)) == [
        ("Blood, Venipuncture", True),
        ("Urine, Catheter", False),
    ]


def test_an_infected_stay_whose_organs_fail_is_a_case(export):
    onset = sepsis.label(extract_events(open_export(export)), sepsis.load_preset("moor2019")).onset
    onset = onset.set_index("stay_id")
    assert onset.suspicion_h[101] == 3.0
    assert bool(onset.is_case[101])
    # creatinine, platelets and a vasopressor all fail at hour 5
    assert 4.0 <= onset.onset_h[101] <= 6.0
    assert not onset.is_case[[202, 203]].any()
    assert np.isnan(onset.onset_h[202])


def test_letter_case_and_form_of_the_files_do_not_matter(export, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, frame in files().items():
        frame.rename(columns=str.upper).to_parquet(other / f"{name.upper()}.parquet", index=False)
    one, two = (extract_events(open_export(path)) for path in (export, other))
    for name in ("stays", "events", "infusions", "antibiotics", "cultures"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


def test_rows_of_no_known_stay_are_counted(tmp_path):
    lab = files()["lab"]
    lab.loc[len(lab)] = [999, 10, "creatinine", 2.0, "mg/dL"]
    ledger = extract_events(open_export(write(tmp_path / "eicu", files(lab=lab)))).ledger
    assert ledger.set_index(["concept", "reason"]).rows["creatinine", "outside the stays"] == 1


def test_what_is_missing_and_what_is_malformed_is_one_message(tmp_path):
    tables = files()
    del tables["microlab"], tables["nursecharting"]
    source = open_export(write(tmp_path / "less", tables))
    with pytest.raises(ExportError, match="table microlab is missing"):
        source.require_usable()
    check = source.check().set_index(["table", "column"])
    assert check.feeds["nursecharting", ""] == "GCS, temperature"
    lab = files()["lab"].astype({"labresult": object})
    lab.loc[0, "labresult"] = "high-secret"
    with pytest.raises(ExportError, match="1 of 6 cells of column labresult are not a number") as caught:
        extract_events(open_export(write(tmp_path / "text", files(lab=lab))))
    assert "secret" not in str(caught.value)


def test_a_unit_that_leads_nowhere_stops_the_run(tmp_path):
    drugs = files()["infusiondrug"]
    drugs.loc[0, "drugname"] = "Norepinephrine (drops)"
    with pytest.raises(ExportError, match="1 of 2 norepinephrine rows are in 'drops'"):
        extract_events(open_export(write(tmp_path / "eicu", files(infusiondrug=drugs))))


def test_a_rate_by_volume_or_a_second_dose_at_the_same_time_ends_no_dose(tmp_path):
    drugs = table("""
        patientunitstayid | infusionoffset | drugname                    | drugrate | patientweight
        ------------------+----------------+-----------------------------+----------+--------------
                      101 |            300 | Norepinephrine (ml/hr)      | 5        |            80
                      101 |            300 | Norepinephrine (mcg/kg/min) | 0.1      |            80
                      101 |            300 | Norepinephrine (mcg/kg/min) | 0.3      |            80
                      101 |            360 | Norepinephrine (ml/hr)      | 6        |            80
                      101 |            420 | Norepinephrine (mcg/kg/min) | 0.2      |            80
    """)
    events = extract_events(open_export(write(tmp_path / "eicu", files(infusiondrug=drugs))))
    rows = events.infusions[["start_h", "end_h", "value"]].values.tolist()
    assert rows == [[5.0, 7.0, 0.1], [5.0, 7.0, 0.3], [7.0, 31.0, 0.2]]
    assert events.ledger.set_index(["concept", "reason"]).rows["norepinephrine", "rate by volume"] == 2


def test_a_person_that_is_not_known_and_an_id_that_is_none_are_refused_and_a_long_stay_is_named(tmp_path):
    for k, (column, value, message) in enumerate(
        [
            ("uniquepid", None, "1 of 3 rows have no subject_id"),
            ("patientunitstayid", "12.5", "1 of 3 cells of column patientunitstayid are not a whole number"),
        ]
    ):
        patient = files()["patient"].astype({"patientunitstayid": object})
        patient.loc[1, column] = value
        with pytest.raises(ExportError, match=message):
            extract_events(open_export(write(tmp_path / str(k), files(patient=patient))))
    patient = files()["patient"]
    patient.loc[1, "unitdischargeoffset"] = 90_000_000
    stays = extract_events(open_export(write(tmp_path / "long", files(patient=patient)))).stays
    assert stays.exclusion[1] == "longer than 5 years"
