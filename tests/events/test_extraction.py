# ruff: noqa: E501 - tables are easier to read than short lines
"""From made-up exports to events: what is kept, converted, matched to stays, counted."""

import pandas as pd
import pytest

from sepsis.core import schema
from sepsis.core.errors import ExportError, SettingsError
from sepsis.events import Events, extract_events
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, write_export


def extract(folder, base=III, concepts=None, **tables) -> Events:
    return extract_events(open_export(write_export(folder, base, **tables)), concepts)


def ledger_of(events: Events, concept: str) -> dict[str, int]:
    rows = events.ledger[events.ledger.concept == concept]
    return dict(zip(rows.reason, rows.rows, strict=True))


def values(events: Events, concept: str) -> list[tuple]:
    """(stay_id, time_h, value) of one concept, rounded to what a chart shows."""
    rows = events.events[events.events.concept == concept]
    return [(r.stay_id, round(r.time_h, 3), round(r.value, 3)) for r in rows.itertuples()]


def test_units_are_converted_and_implausible_values_counted(tmp_path):
    events = extract(
        tmp_path,
        concepts=["temperature", "fio2_chart", "weight"],
        chartevents="""
        icustay_id | itemid | charttime           | value | valuenum | valueuom | error
        100        | 223761 | 2150-01-01 07:00:00 | 98.6  | 98.6     | ?F       | 0    # Fahrenheit
        100        | 223762 | 2150-01-01 08:00:00 | 38.5  | 38.5     | ?C       | 0
        200        | 678    | 2150-03-01 01:00:00 | 104   | 104      | Deg. F   |
        200        | 678    | 2150-03-01 02:00:00 | 95    | 95       |          |      # no unit: the item knows
        100        | 223762 | 2150-01-01 09:00:00 | 98.6  | 98.6     | ?C       | 0    # Fahrenheit as Celsius
        100        | 223835 | 2150-01-01 07:00:00 | 0.5   | 0.5      |          | 0    # a share
        100        | 223835 | 2150-01-01 08:00:00 | 60    | 60       |          | 0
        100        | 223835 | 2150-01-01 09:00:00 | 10    | 10       |          | 0    # neither
        200        | 190    | 2150-03-01 01:00:00 | 1     | 1        | torr     |      # CareVue says torr
        100        | 226531 | 2150-01-01 07:00:00 | 200   | 200      |          | 0    # pounds
        200        | 3582   | 2150-03-01 01:00:00 | 2400  | 2400     |          |      # ounces
        100        | 224639 | 2150-01-01 08:00:00 | 0     | 0        | kg       | 0
        """,
    )
    assert values(events, "temperature") == [
        (100, 1.0, 37.0), (100, 2.0, 38.5), (200, 1.0, 40.0), (200, 2.0, 35.0)
    ]  # fmt: skip
    assert ledger_of(events, "temperature") == {"implausible": 1, "kept": 4}
    assert values(events, "fio2_chart") == [(100, 1.0, 50.0), (100, 2.0, 60.0), (200, 1.0, 100.0)]
    assert ledger_of(events, "fio2_chart") == {"implausible": 1, "kept": 3}
    assert values(events, "weight") == [(100, 1.0, 90.718), (200, 1.0, 68.039)]


def test_rows_without_stay_time_number_or_good_name_are_counted(tmp_path):
    events = extract(
        tmp_path,
        concepts=["heart_rate"],
        chartevents="""
        icustay_id | itemid | charttime           | value | valuenum | valueuom | error
        100        | 220045 | 2150-01-01 07:00:00 | 80    | 80       | bpm      | 1    # marked as an error
        100        | 220045 | 2150-01-01 08:00:00 | 81    | 81       | bpm      | 0
        200        | 211    | 2150-03-01 01:00:00 | 82    | 82       | BPM      |      # CareVue has no flag
                   | 220045 | 2150-01-01 08:00:00 | 83    | 83       | bpm      | 0    # no stay
        999        | 220045 | 2150-01-01 08:00:00 | 84    | 84       | bpm      | 0    # not a stay of the export
        100        | 220045 |                     | 85    | 85       | bpm      | 0    # no time
        100        | 220045 | 2150-01-01 09:00:00 |       |          | bpm      | 0    # no number
        100        | 220045 | 2150-01-01 05:00:00 | 86    | 86       | bpm      | 0    # an hour before the stay
        100        | 123456 | 2150-01-01 05:00:00 | 87    | 87       | bpm      | 0    # not in the vocabulary
        """,
    )
    assert values(events, "heart_rate") == [(100, -1.0, 86.0), (100, 2.0, 81.0), (200, 1.0, 82.0)]
    assert ledger_of(events, "heart_rate") == {
        "kept": 3, "marked as an error": 1, "outside the stays": 2, "no time": 1, "no number": 1
    }  # fmt: skip


def test_an_unknown_unit_stops_the_run_with_counts(tmp_path):
    lab = "\n".join(
        ["hadm_id | itemid | charttime | value | valuenum | valueuom"]
        + [f"10 | 50813 | 2150-01-01 0{k}:00:00 | 2 | 2 | mmol/L" for k in range(6)]
        + [f"10 | 50813 | 2150-01-01 0{k}:30:00 | 20 | 20 | furlong" for k in range(3)]
    )
    with pytest.raises(ExportError) as error:
        extract(tmp_path, concepts=["lactate"], labevents=lab)
    # 18 rows: the admission has two ICU stays.
    assert str(error.value) == (
        "events (labs): 6 of 18 lactate rows are in 'furlong'. Expected: lactate in 'mmol/L', as in the "
        "vocabulary. Add a conversion to data_schema/2_concepts.toml, or correct the export."
    )
    assert error.value.exit_code == 11


def test_an_unknown_unit_of_a_row_that_is_dropped_anyway_does_not_stop_the_run(tmp_path):
    text = III["chartevents"] + "        100 | 220045 | 2150-01-01 09:00:00 | 90 | 90 | furlong | 1\n"
    assert ledger_of(extract(tmp_path, III, ["heart_rate"], chartevents=text), "heart_rate") == {
        "kept": 2,
        "marked as an error": 1,
    }


def test_known_other_units_lead_to_the_vocabulary(tmp_path):
    events = extract(
        tmp_path,
        concepts=["creatinine", "po2", "platelets", "potassium"],
        labevents="""
        hadm_id | itemid | charttime           | value | valuenum | valueuom
        20      | 50912  | 2150-03-01 01:00:00 | 100   | 100      | umol/L    # creatinine
        20      | 50821  | 2150-03-01 01:00:00 | 80    | 80       | MM HG     # spelling
        20      | 51265  | 2150-03-01 01:00:00 | 3     | 3        | K/uL      # low, and kept
        20      | 50971  | 2150-03-01 01:00:00 | 4.1   | 4.1      | mmol/L    # the same for a monovalent ion
        """,
    )
    assert values(events, "creatinine") == [(200, 1.0, 1.131)]
    assert values(events, "po2") == [(200, 1.0, 80.0)]
    assert values(events, "platelets") == [(200, 1.0, 3.0)]
    assert values(events, "potassium") == [(200, 1.0, 4.1)]


def test_mimic_iii_labs_go_to_every_stay_of_their_admission(tmp_path):
    events = extract(tmp_path, III, ["lactate"])
    assert values(events, "lactate") == [(100, -1.0, 2.5), (101, -91.0, 2.5)]


def test_mimic_iv_labs_without_an_admission_are_matched_by_patient_and_time(tmp_path):
    events = extract(
        tmp_path,
        IV,
        ["lactate"],
        labevents="""
        subject_id | hadm_id | itemid | charttime           | value | valuenum | valueuom
        1          |         | 50813  | 2150-01-01 00:59:00 | 1.1   | 1.1      | mmol/L    # before the emergency room
        1          |         | 50813  | 2150-01-01 01:00:00 | 1.2   | 1.2      | mmol/L    # its first minute
        1          |         | 50813  | 2150-01-09 00:00:00 | 1.3   | 1.3      | mmol/L    # discharge
        1          |         | 50813  | 2150-01-09 00:01:00 | 1.4   | 1.4      | mmol/L
        2          |         | 50813  | 2150-02-28 00:00:00 | 1.5   | 1.5      | mmol/L    # no emergency room: admission
        2          |         | 50813  | 2150-02-27 23:59:00 | 1.6   | 1.6      | mmol/L
        1          | 10      | 50813  | 2149-12-31 06:00:00 | 1.7   | 1.7      | mmol/L    # named: whatever the time
        1          | 99      | 50813  | 2150-01-01 07:00:00 | 1.8   | 1.8      | mmol/L    # another admission
        3          |         | 50813  | 2150-01-01 07:00:00 | 1.9   | 1.9      | mmol/L    # another patient
        """,
    )
    assert [value for _, _, value in values(events, "lactate")] == [1.7, 1.2, 1.3, 1.5]


def test_marks_of_ventilation_follow_what_the_row_says(tmp_path):
    events = extract(
        tmp_path,
        chartevents="""
        icustay_id | itemid | charttime           | value           | valuenum | valueuom | error
        100        | 223848 | 2150-01-01 07:00:00 | Drager          | 1        |          | 0
        100        | 223848 | 2150-01-01 08:00:00 | Other           |          |          | 0
        100        | 223849 | 2150-01-01 09:00:00 |                 |          |          | 0    # nothing charted
        100        | 224685 | 2150-01-01 10:00:00 | 480             | 480      | mL       | 0    # also a tidal volume
        200        | 720    | 2150-03-01 01:00:00 | CMV             |          |          |
        200        | 720    | 2150-03-01 02:00:00 | Other/Remarks   |          |          |
        200        | 467    | 2150-03-01 03:00:00 | Ventilator      |          |          |
        200        | 467    | 2150-03-01 04:00:00 | Nasal Cannula   |          |          |
        200        | 467    | 2150-03-01 05:00:00 | Other/Remarks   |          |          |
        100        | 226732 | 2150-01-01 11:00:00 | Nasal cannula   |          |          | 0
        100        | 226732 | 2150-01-01 12:00:00 | Endotracheal tube |        |          | 0
        100        | 226732 | 2150-01-01 13:00:00 | None            |          |          | 0    # III: no device there
        200        | 640    | 2150-03-01 06:00:00 | Extubated       |          |          |
        200        | 640    | 2150-03-01 07:00:00 | Fluid Bolus     |          |          |
        """,
    )

    def hours(concept):
        rows = events.events[events.events.concept == concept]
        assert rows.value.isna().all()
        return list(zip(rows.stay_id, rows.time_h, strict=True))

    assert hours("ventilator_mark") == [(100, 1.0), (100, 4.0), (200, 1.0), (200, 3.0)]
    assert hours("oxygen_device_mark") == [(100, 5.0), (200, 4.0)]
    assert hours("extubation_mark") == [(100, 24.0), (200, 6.0)]
    assert values(events, "tidal_volume_observed") == [(100, 4.0, 480.0)]


def test_the_spoken_part_of_gcs_keeps_its_text_and_a_specimen_has_text_alone(tmp_path):
    events = extract(
        tmp_path,
        concepts=["gcs_verbal", "gcs_motor", "blood_gas_specimen"],
        chartevents="""
        icustay_id | itemid | charttime           | value           | valuenum | valueuom | error
        100        | 223900 | 2150-01-01 07:00:00 | No Response-ETT | 1        |          | 0
        100        | 223901 | 2150-01-01 07:00:00 | Obeys Commands  | 6        |          | 0
        """,
        labevents="""
        hadm_id | itemid | charttime           | value | valuenum | valueuom
        20      | 50800  | 2150-03-01 01:00:00 | ART   |          |
        20      | 50800  | 2150-03-01 02:00:00 |       |          |
        """,
    )
    rows = events.events.set_index("concept")
    assert (rows.loc["gcs_verbal", "value"], rows.loc["gcs_verbal", "text"]) == (1.0, "No Response-ETT")
    assert pd.isna(rows.loc["gcs_motor", "text"])
    assert rows.loc["blood_gas_specimen", "text"] == "ART"
    assert pd.isna(rows.loc["blood_gas_specimen", "value"])
    assert ledger_of(events, "blood_gas_specimen") == {"kept": 1, "no number": 1}


def test_every_stay_is_there_with_the_reason_why_it_cannot_be_used(tmp_path):
    stays = extract(
        tmp_path,
        concepts=[],
        icustays="""
        subject_id | hadm_id | icustay_id | dbsource   | intime              | outtime
        1          | 10      | 100        | metavision | 2150-01-01 06:00:00 | 2150-01-04 06:00:00
        1          | 10      | 101        | metavision |                     | 2150-01-06 00:00:00
        1          | 10      | 102        | metavision | 2150-01-05 00:00:00 |
        1          | 10      | 103        | metavision | 2150-01-05 00:00:00 | 2150-01-04 00:00:00
        2          | 20      | 200        | carevue    | 2150-03-01 00:00:00 | 2150-03-02 12:00:00
        3          | 30      | 300        | both       | 2150-03-01 00:00:00 | 2150-03-02 12:00:00
        """,
        admissions=III["admissions"].replace("2150-03-05 00:00:00 | 1", "2150-03-05 00:00:00 | 0"),
    ).stays.set_index("stay_id")
    assert stays.exclusion.fillna("").to_dict() == {
        100: "", 101: "no intime", 102: "no outtime", 103: "outtime before intime", 200: "no chart data", 300: ""
    }  # fmt: skip
    assert stays.loc[100, "stay_h"] == 72.0
    assert stays.loc[300, "system"] == "both"
    assert pd.isna(stays.loc[300, "age"])  # its patient is not in the export


def test_ages_over_89_are_91_4(tmp_path):
    three = extract(tmp_path / "iii", III, []).stays.set_index("stay_id").age
    four = extract(tmp_path / "iv", IV, []).stays.set_index("stay_id").age
    assert three[100] == pytest.approx(18262 / 365.242)  # days from the birth to the admission
    assert three[200] == 91.4  # 300 years
    assert four[100] == 52.0  # 50 in 2148, admitted in 2150
    assert four[200] == 91.4  # anchor_age 91


def test_sepsis_codes_of_both_revisions(tmp_path):
    three = extract(tmp_path / "iii", III, []).stays.set_index("stay_id").sepsis_code
    four = extract(tmp_path / "iv", IV, []).stays.set_index("stay_id").sepsis_code
    assert three.to_dict() == {100: True, 101: True, 200: False}
    assert four.to_dict() == {100: True, 200: False}


def test_a_culture_is_one_row_a_specimen_and_knows_whether_it_has_an_hour(tmp_path):
    cultures = extract(
        tmp_path,
        concepts=[],
        microbiologyevents="""
        hadm_id | chartdate           | charttime           | spec_type_desc | org_name
        20      | 2150-03-01 00:00:00 | 2150-03-01 03:00:00 | URINE          |
        20      | 2150-03-01 00:00:00 | 2150-03-01 03:00:00 | URINE          | E. COLI      # the same specimen
        20      | 2150-03-01 00:00:00 | 2150-03-01 03:00:00 | BLOOD CULTURE  |
        20      | 2150-03-02 00:00:00 |                     | SPUTUM         |              # a date only
        99      | 2150-03-02 00:00:00 |                     | SPUTUM         |              # no ICU stay
        """,
    ).cultures
    assert cultures.to_dict("records") == [
        {"stay_id": 200, "time_h": 3.0, "date_only": False, "specimen": "BLOOD CULTURE", "positive": False},
        {"stay_id": 200, "time_h": 3.0, "date_only": False, "specimen": "URINE", "positive": True},
        {"stay_id": 200, "time_h": 24.0, "date_only": True, "specimen": "SPUTUM", "positive": False},
    ]


def test_a_mimic_iv_culture_that_was_cancelled_or_negative_is_not_positive(tmp_path):
    cultures = extract(
        tmp_path,
        IV,
        [],
        microbiologyevents="""
        subject_id | hadm_id | micro_specimen_id | chartdate           | charttime           | spec_type_desc | org_itemid | org_name
        1          | 10      | 1                 | 2150-01-02 00:00:00 | 2150-01-02 03:00:00 | BLOOD CULTURE  | 90760      | CANCELLED
        1          | 10      | 2                 | 2150-01-02 00:00:00 | 2150-01-02 04:00:00 | BLOOD CULTURE  | 90856      | NEGATIVE
        1          |         | 3                 | 2150-01-01 00:00:00 |                     | URINE          | 80002      | E. COLI    # the day of arrival
        2          |         | 4                 | 2150-02-27 00:00:00 |                     | URINE          | 80002      | E. COLI    # the day before
        """,
    ).cultures
    assert [(r.time_h, r.positive) for r in cultures.itertuples()] == [
        (-6.0, True),
        (21.0, False),
        (22.0, False),
    ]


def test_antibiotic_orders_carry_what_a_definition_may_ask(tmp_path):
    orders = extract(
        tmp_path,
        concepts=[],
        prescriptions="""
        hadm_id | startdate           | drug_type | drug               | route
        20      | 2150-03-01 00:00:00 | MAIN      | Vancomycin HCl     | IV
        20      | 2150-03-02 00:00:00 | MAIN      | Vancomycin HCl     | LEFT EYE    # the row is not systemic
        20      | 2150-03-03 00:00:00 | MAIN      | Ceftriaxone        | IV          # in the MIMIC-IV list only
        20      | 2150-03-04 00:00:00 | MAIN      | Tobramycin Ophth Oint | OU       # never systemic
        20      | 2150-03-05 00:00:00 | BASE      | Piperacillin       | IV
        20      | 2150-03-06 00:00:00 | MAIN      | Doxycycline        |             # no route: fails
        20      | 2150-03-07 00:00:00 | MAIN      | Aspirin            | PO
        20      |                     | MAIN      | Vancomycin HCl     | IV          # no time
        99      | 2150-03-07 00:00:00 | MAIN      | Piperacillin       | IV          # elsewhere, but the name counts
        """,
    )
    rows = orders.antibiotics.set_index((orders.antibiotics.time_h / 24).astype(int) + 1)
    assert rows.date_only.all()
    assert list(rows.index) == [1, 2, 3, 4, 5, 6]
    assert list(rows.in_moor2019) == [True, True, False, True, True, True]
    assert list(rows.in_mimic_iv) == [True, True, True, True, True, True]
    assert list(rows.systemic) == [True, False, True, False, False, False]
    assert list(rows.name_is_systemic) == [True, True, True, False, True, False]
    assert ledger_of(orders, "antibiotic") == {"kept": 6, "no time": 1, "outside the stays": 1}


def test_mimic_iv_antibiotics_have_an_hour(tmp_path):
    orders = extract(tmp_path, IV, []).antibiotics
    assert orders[["stay_id", "time_h", "date_only"]].to_dict("records") == [
        {"stay_id": 100, "time_h": 31.0, "date_only": False}
    ]


def test_asking_for_some_concepts_gives_these_and_no_others(tmp_path):
    events = extract(tmp_path, concepts=["heart_rate", "norepinephrine"])
    assert set(events.events.concept) == {"heart_rate"}
    assert set(events.infusions.concept) == {"norepinephrine"}
    assert set(events.ledger.concept) == {"heart_rate", "norepinephrine", "antibiotic", "culture"}
    assert len(extract(tmp_path / "moor", concepts="moor44").events.concept.cat.categories) == 44


def test_an_unknown_concept_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match="no concept 'lactat'. Did you mean 'lactate'"):
        extract(tmp_path, concepts=["lactat"])


def test_moving_a_stay_in_time_changes_no_hour(tmp_path):
    def moved(base):
        return {name: text.replace("2150-", "2171-") for name, text in base.items()}

    here, there = extract(tmp_path / "a"), extract(tmp_path / "b", moved(III))
    assert here.events.equals(there.events)
    assert here.infusions.equals(there.infusions)
    assert here.antibiotics.equals(there.antibiotics)
    assert here.cultures.equals(there.cultures)


def test_the_order_of_rows_changes_nothing(tmp_path):
    def turned(base):
        lines = {name: text.strip().splitlines() for name, text in base.items()}
        return {name: "\n".join([rows[0], *rows[:0:-1]]) for name, rows in lines.items()}

    here, there = extract(tmp_path / "a"), extract(tmp_path / "b", turned(III))
    assert here.stays.equals(there.stays)
    assert here.events.equals(there.events)
    assert here.infusions.equals(there.infusions)


@pytest.mark.parametrize("base", [III, IV])
def test_the_tables_have_the_columns_of_their_contract(tmp_path, base):
    events = extract(tmp_path, base)
    contract = schema.read_toml("3_events")
    for name in ("stays", "events", "infusions", "antibiotics", "cultures", "ledger"):
        assert list(getattr(events, name).columns) == list(contract[name]["columns"]), name
        for column, spec in contract[name]["columns"].items():
            assert spec.get("nullable") or getattr(events, name)[column].notna().all(), (name, column)
    assert events.labels is None


@pytest.mark.parametrize(
    ("folder", "stays", "systems", "rows"),
    [
        ("data/mimic-iii-demo", 136, {"metavision": 77, "carevue": 59}, 758_355),
        ("data/mimic-iv-demo", 140, {"metavision": 140}, 668_862),
    ],
)
def test_the_open_demos_keep_every_stay(shared, folder, stays, systems, rows):
    source = open_export(shared(folder))
    with source.explained("charted"):
        assert source.fetch(source.tables["chartevents"].count().as_table()).iloc[0, 0] == rows
    events = extract_events(source)
    assert len(events.stays) == events.stays.stay_id.nunique() == stays
    assert events.stays.system.value_counts().to_dict() == systems
    assert source.check().query("status != 'ok'").empty
    kept = events.ledger[events.ledger.reason == "kept"].set_index("concept").rows
    measured = kept.drop(["antibiotic", "culture", *set(events.infusions.concept)])
    assert measured.sum() == len(events.events)
    assert not events.events.time_h.isna().any()


def test_spot_facts_of_the_mimic_iii_demo(shared):
    events = extract_events(open_export(shared("data/mimic-iii-demo")), "sofa")
    kept = events.ledger[events.ledger.reason == "kept"].set_index("concept").rows
    # Counted apart from this code, with one query over the raw files each.
    assert kept["gcs_verbal"] == 3985
    assert kept["tube_feed_residual"] == 142  # 143 rows, one without a stay
    assert ledger_of(events, "norepinephrine")["rewritten"] == 83
    assert (events.stays.exclusion == "no chart data").sum() == 1
