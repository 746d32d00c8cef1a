"""
Optional tables of `Events` for definitions (mimic-code's) that link rows by person, by sample, or by the
time around an admission.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core import schema
from sepsis.events.antibiotics import judge_orders
from sepsis.events.vocabulary import Vocabulary
from sepsis.sources import Source

LABS = (
    "po2", "fio2_lab", "blood_gas_specimen", "hemoglobin_gas", "so2", "pco2", "aado2", "bicarbonate_gas",
    "total_co2", "lactate", "ph", "o2_flow_gas", "creatinine", "bilirubin_total", "platelets",
)  # fmt: skip
AS_MEASURED = ("fio2_lab",)  # definitions disagree on its bounds, so it is not held to any here
DRUGS = ("norepinephrine", "epinephrine", "dopamine", "dobutamine")
_DAY_S = 86400.0
CULTURE_BEFORE_S, CULTURE_AFTER_S = 5 * _DAY_S, 3 * _DAY_S  # around a stay; no definition looks further


def detail_tables(source: Source, vocabulary: Vocabulary) -> dict[str, pd.DataFrame]:
    """
    The optional tables of `Events`; empty where the kind of export has no `DETAIL_TABLES`.

    Writes
    ------
    lab_samples : stay_id, time_h, concept, value, text, sample, named, near_admission, near_stay
        `value` is NaN where it is not plausible.
    orders : stay_id, order, time_h, date_only, drug, in_stay, in_<list>, systemic, name_is_systemic,
        drug_route_is_systemic
        One row per order of an antibiotic and ICU stay of its admission. `order` numbers the
        antibiotic orders of a person by start, stop, drug; `in_stay`: it began during the stay.
    specimens : stay_id, time_h, day_h, date_only, sample, specimen, positive, named
        One row per culture of the person and stay it is near to, or whose admission it names.
    carevue_rates : stay_id, time_h, concept, value, per_weight, stopped
        Rates as charted; `per_weight`: the rate is for the whole body.
    zero_rates : stay_id, start_h, end_h, concept, value
        Infusions charted at a rate of 0, which `Events.infusions` leaves out.
    admissions : stay_id, admit_h, discharge_h, admission_type, service
    administrations : stay_id, start_h, end_h, item
        Doses of the items of `[antibiotics.given]`; MIMIC-III charts them in MetaVision only.
    """
    if not source.has_detail:
        return {}
    return {
        "lab_samples": _lab_samples(source, vocabulary),
        "orders": _orders(source, vocabulary),
        "specimens": _specimens(source),
        "carevue_rates": _carevue_rates(source, vocabulary),
        "zero_rates": _zero_rates(source, vocabulary),
        "admissions": _admissions(source),
        "administrations": _administrations(source),
    }


def _items(source: Source, vocabulary: Vocabulary, concepts: tuple[str, ...], table: str) -> pd.DataFrame:
    pairs = [(item, c) for c in concepts for item in vocabulary[c].keys(source.items_of, table)]
    return pd.DataFrame(pairs, columns=["item", "concept"]).astype("str")


def _lab_samples(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    items = _items(source, vocabulary, LABS, "labs")
    rows = source.detail("lab_samples", items["item"].unique())
    rows = rows.astype({"item": "str"}).merge(items, on="item")
    for concept in LABS:
        bounds = vocabulary[concept].plausible
        if concept not in AS_MEASURED:
            above = rows["value"] >= bounds.low if bounds.with_low else rows["value"] > bounds.low
            below = rows["value"] <= bounds.high if bounds.with_high else rows["value"] < bounds.high
            rows.loc[(rows["concept"] == concept) & ~(above & below), "value"] = np.nan
    types: dict[str, str] = {"stay_id": "int64", "time_h": "float64", "value": "float64", "sample": "float64"}
    types |= dict.fromkeys(("named", "near_admission", "near_stay"), "bool")
    rows["concept"] = pd.Categorical(rows["concept"], categories=list(LABS))
    rows["text"] = rows["text"].where(rows["concept"] == "blood_gas_specimen")
    order = ["stay_id", "time_h", "concept", "sample", "value", "text"]
    rows = rows[[*order, "named", "near_admission", "near_stay"]].astype(types)
    return rows.sort_values(order, ignore_index=True)


def _orders(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    rows = source.detail("orders")
    keys = ["drug", "route", "drug_type"]
    judged = judge_orders(rows[keys].drop_duplicates(), vocabulary.antibiotics)
    judged["drug_route_is_systemic"] = (
        judged.groupby(["drug", "route"])["systemic"].transform("max").astype(bool)
    )
    rows = rows.merge(judged, on=keys)
    stays = source.detail("stay_links").rename(columns={"known_stay": "stay_id", "known_hadm": "hadm_id"})
    order = ["subject_id", "start_s", "stop_s", "drug", "hadm_id"]
    rows = rows.sort_values(order, na_position="first", kind="stable", ignore_index=True)
    rows["row"] = np.arange(len(rows))
    rows = rows.merge(stays[["stay_id", "hadm_id", "intime_s", "outtime_s"]], on="hadm_id", how="left")
    rows["time_h"] = (rows["start_s"] - rows["intime_s"]) / 3600.0
    rows["in_stay"] = (rows["start_s"] >= rows["intime_s"]) & (rows["start_s"] < rows["outtime_s"])
    flags = [c for c in judged if c not in keys]
    columns = ["stay_id", "subject_id", "row", "time_h", "date_only", "drug", "route", "in_stay", *flags]
    rows = rows[columns].sort_values(["subject_id", "row", "stay_id"], ignore_index=True)
    return rows.astype(dict.fromkeys(flags, "bool"))


def _specimens(source: Source) -> pd.DataFrame:
    rows, links = source.detail("specimens"), source.detail("stay_links")
    rows["date_only"] = rows["time_s"].isna()
    rows["time_s"] = rows["time_s"].fillna(rows["day_s"])
    rows["day_s"] = rows["day_s"].fillna(rows["time_s"].astype("float64") // _DAY_S * _DAY_S)
    rows = rows[rows["time_s"].notna()].merge(links, left_on="subject_id", right_on="known_subject")
    rows["named"] = (rows["hadm_id"] == rows["known_hadm"]).fillna(False).astype(bool)
    near = (rows["time_s"] >= rows["intime_s"] - CULTURE_BEFORE_S) & (
        rows["time_s"] <= rows["outtime_s"] + CULTURE_AFTER_S
    )
    rows = rows[near | rows["named"]]
    table = pd.DataFrame(
        {
            "stay_id": rows["known_stay"].astype("int64"),
            "time_h": (rows["time_s"] - rows["intime_s"]) / 3600.0,
            "day_h": (rows["day_s"] - rows["intime_s"]) / 3600.0,
            "date_only": rows["date_only"].astype(bool),
            "sample": rows["sample"].astype("float64"),
            "specimen": rows["specimen"].astype("str"),
            "positive": rows["positive"].astype(bool),
            "named": rows["named"],
        }
    )
    return table.sort_values(["stay_id", "day_h", "time_h", "sample", "specimen"], ignore_index=True)


def _carevue_rates(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    items = _items(source, vocabulary, DRUGS, "infusions")
    rows = source.detail("carevue_rates", items["item"])
    rows = rows.astype({"item": "str"}).merge(items, on="item")
    unit = rows["unit"].astype("str").str.lower().str.replace(" ", "")
    rows["per_weight"] = unit.isin(["mcgmin", "mcg/min"])
    types = {"stay_id": "int64", "time_h": "float64", "value": "float64", "stopped": "bool"}
    columns = ["stay_id", "time_h", "concept", "value", "per_weight", "stopped"]
    return rows[columns].astype(types).sort_values(columns[:4], ignore_index=True)


def _zero_rates(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    items = _items(source, vocabulary, DRUGS, "infusions")
    table = source.raw("infusions", sorted(items["item"]))
    with source.explained("infusions"):
        rows = source.fetch(table.filter((table.value == 0) & table.exclusion.isnull()))
    rows = rows.astype({"item": "str"}).merge(items, on="item")
    rows = rows[rows["stay_id"].notna() & (rows["end_h"] > rows["start_h"])]
    columns = ["stay_id", "start_h", "end_h", "concept", "value"]
    types = {"stay_id": "int64", "start_h": "float64", "end_h": "float64", "value": "float64"}
    return rows[columns].astype(types).sort_values(columns, ignore_index=True)


def _admissions(source: Source) -> pd.DataFrame:
    types = {"stay_id": "int64", "admit_h": "float64", "discharge_h": "float64",
             "admission_type": "str", "service": "str"}  # fmt: skip
    return source.detail("admissions").astype(types).sort_values("stay_id", ignore_index=True)


def _administrations(source: Source) -> pd.DataFrame:
    items = schema.read_toml("2_concepts")["antibiotics"]["given"]["items"]
    types = {"stay_id": "int64", "start_h": "float64", "end_h": "float64", "item": "str"}
    doses = source.detail("administrations", [str(item) for item in items])
    return doses[list(types)].astype(types).sort_values(list(types), ignore_index=True)
