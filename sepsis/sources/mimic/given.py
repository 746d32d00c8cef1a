"""
What some definitions ask besides: antibiotics as they were given, and how the admission began.

MIMIC only. Antibiotics given are rows of the infusion tables (MetaVision charts each dose there), the
admission's kind and first service stand in `admissions` and `services`.
"""

from __future__ import annotations

import ibis
import pandas as pd

from sepsis.sources.mimic.base import Mimic, hours

ADMISSIONS = ["stay_id", "admit_h", "discharge_h", "admission_type", "service"]
ADMINISTRATIONS = ["stay_id", "start_h", "end_h", "item"]


def admissions(source: Mimic) -> pd.DataFrame:
    """
    The admission of every stay.

    Writes   stay_id, admit_h, discharge_h (hours since ICU admission; admission is mostly negative),
             admission_type, service: the first that cared for the patient; null where the export
             does not say
    """
    rows = source.tables["admissions"]
    services = source.tables["services"]
    spans = source._spans().select("intime", known_stay="stay_id", known_hadm="hadm_id")
    rows = spans.inner_join(rows, spans.known_hadm == rows.hadm_id)
    found = source.fetch(
        rows.select(
            stay_id=rows.known_stay,
            hadm_id=rows.known_hadm,
            admit_h=hours(rows.admittime, rows.intime),
            discharge_h=hours(rows.dischtime, rows.intime),
            admission_type=rows.admission_type,
        ).distinct()
    ).drop_duplicates("stay_id")
    if "services" in source.tables:
        began = source.fetch(services.select("hadm_id", "transfertime", "curr_service"))
        began = began.dropna(subset=["hadm_id", "transfertime"])
        first = began.sort_values(["hadm_id", "transfertime", "curr_service"]).drop_duplicates("hadm_id")
        found["service"] = found["hadm_id"].map(first.set_index("hadm_id")["curr_service"])
    else:
        found["service"] = None
    return found[ADMISSIONS]


def administrations(source: Mimic, items: list[int]) -> pd.DataFrame:
    """
    Doses of antibiotics as MetaVision charts them.

    Writes   stay_id, start_h, end_h, item; also doses that were rewritten: no definition that reads
             them leaves those out
    """
    name = "inputevents" if source.items_of == "mimic_iv" else "inputevents_mv"
    if name not in source.tables:
        return pd.DataFrame(columns=ADMINISTRATIONS)
    rows = source._at_stay(source._wanted(name, items))
    rows = rows.filter(rows.known_stay.notnull() & rows.starttime.notnull())
    end = ibis.coalesce(rows.endtime, rows.starttime)
    return source.fetch(
        rows.select(
            stay_id=rows.known_stay,
            start_h=hours(rows.starttime, rows.intime),
            end_h=hours(end, rows.intime),
            item=rows.itemid.cast("string"),
        )
    )
