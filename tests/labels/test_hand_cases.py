"""
Cases made by hand, through a whole export and every definition that reads one.

Each stay of a small export is one case; the tables below say what each definition makes of it. The rest of
the usual twenty stand where their rule is tested: SOFA of 3, 1, 3 in test_onset; a first onset, an onset a
minute before admission, two stays with one suspicion and the ages in test_label_stays; a control that
left before its reference in tests/cohort; ages shifted by 300 years in tests/events.
"""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from sepsis.events import extract_events
from sepsis.labels import label_stays, load_preset
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, write_export

BEGAN = pd.Timestamp("2150-01-01")
DAY = 24.0
MINUTE = 1 / 60
COLUMNS = {
    "icustays": "subject_id hadm_id icustay_id stay_id dbsource intime outtime",
    "admissions": "subject_id hadm_id admittime dischtime has_chartevents_data admission_type",
    "patients": "subject_id gender dob anchor_age anchor_year",
    "chartevents": "icustay_id stay_id itemid charttime value valuenum valueuom",
    "labevents": "subject_id hadm_id specimen_id itemid charttime value valuenum valueuom",
    "outputevents": "icustay_id stay_id itemid charttime value valueuom",
    "inputevents": "icustay_id stay_id itemid starttime endtime rate rateuom patientweight statusdescription",
    "prescriptions": "subject_id hadm_id startdate starttime drug_type drug route",
    "microbiologyevents": "subject_id hadm_id micro_specimen_id chartdate charttime spec_type_desc "
    "org_itemid org_name",
}


class Book:
    """Rows of an export, written with hours since the beginning of each stay."""

    def __init__(self):
        self.rows = defaultdict(list)
        self.names = {}

    def stay(self, name, **rows):
        """A stay of 100 h with a heart rate at its ends, and what is given: one list a kind of row."""
        number = len(self.names) + 1
        self.names[name] = number
        at = {"subject_id": number, "hadm_id": 1000 + number, "icustay_id": number, "stay_id": number}
        self.rows["icustays"].append(at | {"dbsource": "metavision", "intime": time(0), "outtime": time(100)})
        self.rows["admissions"].append(
            at
            | {
                "admittime": time(0),
                "dischtime": time(120),
                "has_chartevents_data": 1,
                "admission_type": "EW EMER.",
            }
        )
        self.rows["patients"].append(
            at | {"gender": "F", "dob": "2100-01-01 00:00:00", "anchor_age": 50, "anchor_year": 2150}
        )
        for hour, item, value, *text in [(0, 220045, 80), (99, 220045, 80), *rows.get("charted", ())]:
            value_text = text[0] if text else value
            self.rows["chartevents"].append(
                at | {"itemid": item, "charttime": time(hour), "value": value_text, "valuenum": value}
            )
        for hour, item, value in rows.get("labs", ()):
            number_only = value if not isinstance(value, str) else None
            self.rows["labevents"].append(
                at
                | {"itemid": item, "charttime": time(hour), "value": value, "valuenum": number_only,
                   "specimen_id": number}
            )  # fmt: skip
        for hour, item, value in rows.get("outputs", ()):
            self.rows["outputevents"].append(
                at | {"itemid": item, "charttime": time(hour), "value": value, "valueuom": "mL"}
            )
        given = [(hour, hour + 0.5, 225798, 1.0, "dose") for hour in rows.get("doses", ())]
        for start, end, item, rate, unit in [*rows.get("infusions", ()), *given]:
            self.rows["inputevents"].append(
                at | {"itemid": item, "starttime": time(start), "endtime": time(end), "rate": rate,
                      "rateuom": unit, "patientweight": 70, "statusdescription": "FinishedRunning"}
            )  # fmt: skip
        for hour in rows.get("orders", ()):
            self.rows["prescriptions"].append(
                at | {"startdate": time(hour), "starttime": time(hour), "drug_type": "MAIN",
                      "drug": "Vancomycin", "route": "IV"}
            )  # fmt: skip
        for k, (hour, day_only) in enumerate(rows.get("cultures", ())):
            self.rows["microbiologyevents"].append(
                at | {"micro_specimen_id": 10 * number + k, "chartdate": time(hour // DAY * DAY),
                      "charttime": None if day_only else time(hour), "spec_type_desc": "BLOOD CULTURE"}
            )  # fmt: skip

    def write(self, folder, base):
        """The export in the form of MIMIC-III or MIMIC-IV."""
        tables = {}
        for key in base:
            name = key.split("/")[-1]
            kind = "inputevents" if name == "inputevents_mv" else name
            if kind not in COLUMNS:
                tables[name] = (
                    None if name in ("inputevents_cv", "diagnoses_icd") else base[key].split("\n")[1]
                )
                continue
            other = "stay_id" if base is III else "icustay_id"
            columns = [c for c in COLUMNS[kind].split() if c != other]
            rows = [[shown(row.get(c)) for c in columns] for row in self.rows[kind]]
            tables[name] = "\n".join(" | ".join(r) for r in [columns, *rows])
        return write_export(folder, base, **tables)


def time(hour):
    """An hour of the stay on the export's clock."""
    return str(BEGAN + pd.to_timedelta(round(hour * 60), unit="min"))


def shown(value):
    return "" if value is None else str(value)


def pair(culture, antibiotic, *, day_only=False):
    """A culture, and an antibiotic that is ordered and given, and given again 12 h later."""
    return {
        "cultures": [(culture, day_only)],
        "orders": [antibiotic],
        "doses": [antibiotic, antibiotic + 12],
    }


SUSPECTED = pair(30.0, 48.0)  # so that every grid holds hour 24
GAS = {"labs": [(23.2, 50821, 100.0)]}


def cases(arterial_item, arterial_text, venous_text):
    book = Book()
    book.stay("72 h 0 min", **pair(24.0, 96.0))
    book.stay("72 h 1 min", **pair(24.0 - MINUTE, 96.0))
    book.stay("culture exactly 24 h later", **pair(72.0, 48.0))
    book.stay("same minute", **pair(48.0, 48.0))
    book.stay("day alone, antibiotic on day 3", **pair(24.0, 96.0, day_only=True))
    book.stay("day alone, antibiotic on day 4", **pair(0.0, 96.0, day_only=True))
    ett = [(20.0, 223900, 1, "No Response-ETT"), (20.0, 223901, 1), (20.0, 220739, 1)]
    book.stay("intubated", **SUSPECTED, charted=ett)
    book.stay("extubated", **SUSPECTED, charted=[*ett, (22.0, 223900, 4, "Confused")])
    norepinephrine = 221906
    running = [(-10.0, 40.0, norepinephrine, 0.05, "mcg/kg/min")]
    book.stay("norepinephrine for 34 h without a new row", **SUSPECTED | {"infusions": running})
    zero = [(20.0, 40.0, norepinephrine, 0.0, "mcg/kg/min")]
    book.stay("rate of 0", **SUSPECTED | {"infusions": zero})
    book.stay("one urine entry", **SUSPECTED, outputs=[(20.0, 226559, 300.0)])
    passed = [(h, 226559, 50.0) for h in range(1, 25)]
    book.stay("irrigant in over out", **SUSPECTED, outputs=[*passed, (12.0, 227488, 2000.0)])
    tube = [(22.0, 226732, None, "Endotracheal tube"), (22.0, 224684, 500), (23.5, 224684, 500)]
    arterial = {"labs": [*GAS["labs"], (23.2, arterial_item, arterial_text)]}
    book.stay("ventilated 250", **SUSPECTED, **arterial, charted=[*tube, (22.5, 223835, 40)])
    venous = {"labs": [(23.2, 50821, 40.0), (23.2, arterial_item, venous_text)]}
    book.stay("venous", **SUSPECTED, **venous, charted=[(22.5, 223835, 40)])
    for fio2 in (0.4, 40, 4):
        book.stay(f"FiO2 {fio2}", **SUSPECTED, **arterial, charted=[(22.5, 223835, fio2)])
    edges = [(23.2, 50912, 5.0), (23.2, 50885, 1.2), (23.2, 51265, 150.0)]
    gcs = [(23.2, 223900, 4, "Confused"), (23.2, 223901, 5), (23.2, 220739, 4)]
    book.stay("edges", **SUSPECTED, labs=edges, charted=gcs)
    book.stay("first bilirubin ever", **SUSPECTED, labs=[(23.2, 50885, 6.0)])
    return book


READ_IN = {
    "moor2019": "iv", "moor2019_code": "iv", "mimic_code_iv": "iv", "ricu": "iv", "datasig_h1": "iv",
    "atttcn": "iv", "mimic_code_iii": "iii",
}  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """(book, labels by preset)."""
    found = {}
    for form, base, gas in (("iii", III, (50800, "ART", "VEN")), ("iv", IV, (52033, "ART.", "VEN."))):
        book = cases(*gas)
        events = extract_events(open_export(book.write(tmp_path_factory.mktemp(form), base)))
        for preset, read_in in READ_IN.items():
            if read_in == form:
                found[preset] = (book, label_stays(events, load_preset(preset)))
    return found


PRESETS = ("moor2019", "moor2019_code", "mimic_code_iii", "mimic_code_iv", "ricu", "datasig_h1", "atttcn")
PAIRED = {  # with a culture; in the order of PRESETS
    "72 h 0 min": "yes yes yes yes yes yes yes",
    "72 h 1 min": "no no no no no no no",
    "culture exactly 24 h later": "no no yes yes yes yes yes",
    "same minute": "yes yes yes no yes yes yes",
    "day alone, antibiotic on day 3": "yes yes yes yes yes yes yes",
    "day alone, antibiotic on day 4": "no no yes no no no no",
}


@pytest.mark.parametrize("case", PAIRED)
@pytest.mark.parametrize("preset", PRESETS)
def test_which_pairs_are_a_suspicion(labelled, preset, case):
    book, labels = labelled[preset]
    pairs = labels.suspicion[labels.suspicion.stay_id == book.names[case]]
    expected = dict(zip(PRESETS, PAIRED[case].split(), strict=True))[preset]
    assert ("yes" if pairs.culture_h.notna().any() else "no") == expected


POINTS = {  # component, then the points at hour 24; "-": nothing is known
    "intubated": ("cns", "0 0 0 0 0 0 0"),
    "extubated": ("cns", "1 1 1 1 1 1 1"),
    "norepinephrine for 34 h without a new row": ("cardiovascular", "3 - 3 3 3 3 -"),
    "rate of 0": ("cardiovascular", "- - 3 3 - 3 3"),
    "one urine entry": ("renal", "- - 3 - - 3 3"),
    "irrigant in over out": ("renal", "4 0 4 4 4 4 4"),
    "ventilated 250": ("respiration", "2 0 0 2 2 2 2"),
    "venous": ("respiration", "- - - - 2 - -"),
    "FiO2 0.4": ("respiration", "2 2 2 2 2 2 2"),
    "FiO2 40": ("respiration", "2 2 2 2 2 2 2"),
    "FiO2 4": ("respiration", "- - - - 0 0 -"),
}


def at_24(labels, stay):
    rows = labels.sofa[(labels.sofa.stay_id == stay) & np.isclose(labels.sofa.time_h, 24.0)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("case", POINTS)
@pytest.mark.parametrize("preset", PRESETS)
def test_points_of_a_component(labelled, preset, case):
    book, labels = labelled[preset]
    component, points = POINTS[case]
    found = at_24(labels, book.names[case])[component]
    expected = dict(zip(PRESETS, points.split(), strict=True))[preset]
    assert ("-" if np.isnan(found) else f"{found:g}") == expected


@pytest.mark.parametrize("preset", PRESETS)
def test_edges_of_the_score_table(labelled, preset):
    book, labels = labelled[preset]
    row = at_24(labels, book.names["edges"])
    assert (row.renal, row.liver, row.coagulation, row.cns) == (4, 1, 0, 1)


@pytest.mark.parametrize(
    ("preset", "reached"),
    [("moor2019", True), ("moor2019_code", False), ("mimic_code_iii", True), ("mimic_code_iv", True),
     ("ricu", False), ("datasig_h1", True), ("atttcn", True)],
)  # fmt: skip
def test_a_first_bilirubin_of_6_is_a_rise_unless_hours_without_data_are_left_out(labelled, preset, reached):
    book, labels = labelled[preset]
    onset = labels.onset.set_index("stay_id").loc[book.names["first bilirubin ever"]]
    assert pd.notna(onset.sofa_rise_h) == reached
