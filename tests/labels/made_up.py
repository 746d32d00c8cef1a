"""Made-up exports, written as tables a clinician can read."""

import dataclasses

import numpy as np
import pandas as pd

from sepsis.events.tables import Events
from tests.tables import table

COLUMNS = {
    "stays": {
        "stay_id": "int64", "subject_id": "int64", "hadm_id": "int64", "intime": "datetime64[us]",
        "outtime": "datetime64[us]", "stay_h": "float64", "age": "float64", "sex": "str", "system": "str",
        "sepsis_code": "boolean", "exclusion": "str",
    },
    "events": {"stay_id": "int64", "time_h": "float64", "concept": "str", "value": "float64", "text": "str"},
    "infusions": {
        "stay_id": "int64", "start_h": "float64", "end_h": "float64", "concept": "str", "value": "float64",
    },
    "antibiotics": {
        "stay_id": "int64", "time_h": "float64", "date_only": "bool", "systemic": "bool",
    },
    "cultures": {
        "stay_id": "int64", "time_h": "float64", "date_only": "bool", "specimen": "str", "positive": "bool",
    },
    "labels": {
        "stay_id": "int64", "first_labelled_h": "float64", "first_row_h": "float64", "last_row_h": "float64",
    },
}  # fmt: skip
DEFAULTS = {
    "subject_id": 1, "hadm_id": 1, "stay_h": 100.0, "age": 60.0, "sex": "F", "system": "metavision",
    "sepsis_code": False, "date_only": False, "systemic": True, "specimen": "BLOOD CULTURE",
    "positive": False,
}  # fmt: skip


TWO_STAYS_OF_ONE = pd.DataFrame(
    {
        "stay_id": [1, 2, 3], "subject_id": [1, 1, 2], "hadm_id": [7, 7, 8],
        "intime": pd.to_datetime(["2150-01-01", "2150-01-03", "2150-01-01"]), "stay_h": 24.0,
    }
)  # fmt: skip


def part(name, given):
    """One table of `Events` from text, rows or a frame; columns not given get their usual value."""
    frame = table(given) if isinstance(given, str) else pd.DataFrame(given)
    for column, dtype in COLUMNS[name].items():
        if column not in frame:
            frame[column] = DEFAULTS.get(column)
        gap = frame[column].isna()
        if dtype == "bool":
            frame[column] = frame[column].astype("str").str.lower().isin(["true", "yes", "1"])
        elif dtype == "boolean":
            yes = frame[column].astype("str").str.lower().isin(["true", "yes", "1"]).astype("boolean")
            frame[column] = yes.where(~gap)
        elif dtype == "str":
            frame[column] = frame[column].astype("str").where(~gap, None)
        else:
            frame[column] = frame[column].astype(dtype)
    return frame


def export(*, stays=None, labels=None, **tables) -> Events:
    """An export; without `stays`, every stay that any table names, 100 h long."""
    built = {
        name: part(name, tables.get(name, [])) for name in ("events", "infusions", "antibiotics", "cultures")
    }
    if stays is None:
        ids = sorted(set().union(*(frame["stay_id"] for frame in built.values())))
        stays = pd.DataFrame({"stay_id": ids, "subject_id": ids, "hadm_id": ids})
    stays = part("stays", stays)
    stays["intime"] = stays["intime"].fillna(pd.Timestamp("2100-01-01 08:20:00"))
    stays["outtime"] = stays["intime"] + pd.to_timedelta(stays["stay_h"], unit="h")
    ledger = pd.DataFrame({"concept": pd.Series(dtype="str"), "reason": pd.Series(dtype="str"), "rows": []})
    return Events(
        stays=stays, labels=None if labels is None else part("labels", labels), ledger=ledger, **built
    )


def with_orders(orders, specimens):
    """An export with these orders and cultures; columns not given get their usual value."""
    usual = {"subject_id": 1, "row": None, "date_only": False, "drug": "Vancomycin", "route": "IV",
             "in_stay": True, "in_moor2019": True, "in_mimic_iv": True, "systemic": True,
             "name_is_systemic": True, "drug_route_is_systemic": True}  # fmt: skip
    orders = table(orders)
    for column, value in usual.items():
        if column not in orders:
            orders[column] = np.arange(len(orders)) if column == "row" else value
    orders["in_stay"] = orders["in_stay"].isin([True, "yes"])
    specimens = table(specimens)
    for column, value in {"sample": None, "specimen": "BLOOD CULTURE", "positive": False, "named": True,
                          "date_only": False}.items():  # fmt: skip
        if column not in specimens:
            specimens[column] = np.arange(len(specimens), dtype=float) if column == "sample" else value
    for column in ("date_only", "positive", "named"):
        specimens[column] = specimens[column].isin([True, "yes"])
    if "day_h" not in specimens:
        specimens["day_h"] = np.floor(specimens["time_h"] / 24.0) * 24.0
    specimens["time_h"] = specimens["time_h"].astype(float)
    stays = pd.DataFrame({"stay_id": [1], "subject_id": [1], "hadm_id": [1]})
    return dataclasses.replace(export(stays=stays), orders=orders, specimens=specimens)
