"""Antibiotics as they were given, and the admission of every stay: optional tables of `Events`."""

from __future__ import annotations

import pandas as pd

from sepsis.core import schema
from sepsis.sources import Source
from sepsis.sources.mimic import given as raw
from sepsis.sources.mimic.base import Mimic


def given_tables(source: Source) -> dict[str, pd.DataFrame | None]:
    """
    Two optional tables of `Events`; both None where the export is not MIMIC.

    Writes
    ------
    admissions : stay_id, admit_h, discharge_h, admission_type, service
    administrations : stay_id, start_h, end_h, item
        Doses of the items of `[antibiotics.given]`, sorted; MIMIC-III charts them in MetaVision only.
    """
    if not isinstance(source, Mimic):
        return dict.fromkeys(("admissions", "administrations"))
    items = schema.read_toml("2_concepts")["antibiotics"]["given"]["items"]
    with source.explained("stays"):
        admissions = raw.admissions(source)
    with source.explained("infusions"):
        doses = raw.administrations(source, [int(item) for item in items])
    hours = {"start_h": "float64", "end_h": "float64"}
    return {
        "admissions": admissions.astype(
            {"stay_id": "int64", "admit_h": "float64", "discharge_h": "float64", "admission_type": "str",
             "service": "str"}
        ).sort_values("stay_id", ignore_index=True),
        "administrations": doses.astype({"stay_id": "int64", "item": "str", **hours}).sort_values(
            raw.ADMINISTRATIONS, ignore_index=True
        ),
    }  # fmt: skip
