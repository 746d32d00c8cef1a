"""
Blood gases and laboratory values by sample and by link, as in mimic-code. Reads `Events.lab_samples`.

A gas belongs to a person, not to an admission. Its FiO2 is that of the sample, otherwise the last one
charted for the person (or the admission) in any stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.labels.blood_gas import is_arterial, sample_concepts
from sepsis.labels.definition import SofaOptions
from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, seconds


@dataclass(frozen=True, eq=False)
class People:
    """Person, admission and time (epoch seconds of intime) of S stays, in ascending order of their id."""

    subject: np.ndarray
    admission: np.ndarray
    intime_s: np.ndarray

    @property
    def clock_s(self) -> np.ndarray:
        """Seconds from the last full clock hour to admission, shape (S,)."""
        return self.intime_s % HOUR_S


def people_of(stays: pd.DataFrame) -> People:
    """From stays(subject_id, hadm_id, intime), sorted by stay_id; a stay without intime counts from 0."""
    intime = pd.to_datetime(stays["intime"]).to_numpy("datetime64[s]")
    known = ~np.isnat(intime)
    admission = stays["hadm_id"].astype("Int64").fillna(-1) if "hadm_id" in stays else stays["subject_id"]
    return People(
        stays["subject_id"].to_numpy(np.int64),
        admission.to_numpy(np.int64),
        np.where(known, intime.astype("int64"), 0),
    )


def metavision_share(value: np.ndarray, *, least: float, least_share: float) -> np.ndarray:
    """FiO2 in %: unchanged from `least` to 100; a share in (`least_share`, 1] times 100; otherwise NaN."""
    percent = np.where((value > least_share) & (value <= 1), 100.0 * value, np.nan)
    return np.where((value >= least) & (value <= 100), value, percent)


def _charted_fio2(stay_events: StayEvents, rule: str) -> pd.DataFrame:
    if rule == "vocabulary":
        return stay_events.rows("fio2_chart").dropna(subset=["value"])
    rows = stay_events.rows("fio2_metavision", "fio2_carevue_set", "fio2_carevue").dropna(subset=["value"])
    value, concept = rows["value"].to_numpy(float), rows["concept"].to_numpy()
    if rule == "percent_or_share":
        found = np.where(
            concept == "fio2_metavision", metavision_share(value, least=20.0, least_share=0.2), np.nan
        )
    else:
        share = np.where((value > 0.2) & (value < 1), 100.0 * value, np.nan)
        found = np.select(
            [concept == "fio2_metavision", concept == "fio2_carevue_set"],
            [metavision_share(value, least=21.0, least_share=0.0), share],
            default=value,
        )
        found = np.where((value > 0) & (value < 100), found, np.nan)
    return rows.assign(value=found).dropna(subset=["value"])


def _sample_fio2(value: np.ndarray, rule: str) -> np.ndarray:
    if rule == "percent_or_share":
        found = metavision_share(value, least=20.0, least_share=0.2)
        return np.where(value == 20.0, np.nan, found)
    if rule == "by_item":
        return np.where((value >= 20) & (value <= 100), value, np.nan)
    return metavision_share(value, least=20.0, least_share=0.0)


def sample_gases(
    samples: pd.DataFrame, stay_events: StayEvents, people: People, options: SofaOptions
) -> pd.DataFrame:
    """
    Every arterial gas near the stays.

    Reads    samples, as `Events.lab_samples`; concepts of charted FiO2 and spo2 through `stay_events`
    Writes   gases(stay, time_s, pf), sorted; `pf` in mmHg, NaN without a FiO2
    Source   mimic-code: bg (IV), pivoted_bg and pivoted_bg_art (III)
    """
    gases = _by_sample(samples, stay_events.stay_ids, options)
    key = people.subject if options.gases == "subject" else people.admission
    gases["fio2_lab"] = _sample_fio2(gases["fio2_lab"].to_numpy(float), options.fio2_rule)
    fio2 = _charted_fio2(stay_events, options.fio2_rule)
    charted = latest_charted(fio2, gases, key, people, within_h=options.fio2_match_h, several="max")
    looked_back = {}
    if options.arterial_model != "off":
        spo2 = stay_events.rows("spo2").dropna(subset=["value"])
        looked_back = {
            "fio2_chart": charted,
            "spo2": latest_charted(spo2, gases, key, people, within_h=2.0, several="mean"),
        }
    arterial = is_arterial(gases, looked_back, options)
    own = gases["fio2_lab"].to_numpy(float)
    gases["pf"] = 100.0 * gases["po2"] / np.where(np.isnan(own), charted, own)
    return gases.loc[arterial, ["stay", "time_s", "pf"]].reset_index(drop=True)


def _by_sample(samples: pd.DataFrame, stay_ids: np.ndarray, options: SofaOptions) -> pd.DataFrame:
    rows = samples[samples["near_stay"]] if options.gases == "near_stay" else samples
    rows = rows[rows["sample"].notna() & rows["time_h"].notna() & rows["stay_id"].isin(stay_ids)]
    rows = rows.assign(
        stay=np.searchsorted(stay_ids, rows["stay_id"].to_numpy(np.int64)), time_s=seconds(rows["time_h"])
    )
    key = ["stay", "sample", "time_s"]
    text = rows[rows["concept"] == "blood_gas_specimen"].groupby(key)["text"].agg(["max", "size"])
    rows = rows[rows["value"].notna()]
    how = "mean" if options.sample_value == "mean" else "max"
    columns = pd.DataFrame({c: rows["value"].where(rows["concept"] == c) for c in sample_concepts()})
    gases = columns.groupby([rows[k] for k in key]).agg(how).reset_index()
    gases = gases[gases["po2"].notna()].merge(text.reset_index(), on=key, how="left")
    if options.one_specimen:
        gases = gases[~(gases["size"] > 1)]
    gases = gases.rename(columns={"max": "specimen"}).drop(columns=["size", "sample"])
    return gases.sort_values(["stay", "time_s"], kind="stable", ignore_index=True)


def latest_charted(
    rows: pd.DataFrame, at: pd.DataFrame, key: np.ndarray, people: People, *, within_h: float, several: str
) -> np.ndarray:
    """
    The last value charted in the `within_h` hours before each row of `at`; NaN without one.

    `key`, shape (S,), is what stays must share: their person, or their admission. `several`: how values of
    one time are combined, "max" or "mean".
    """

    def keyed(table: pd.DataFrame) -> pd.DataFrame:
        stay = table["stay"].to_numpy(np.int64)
        at_s = table["time_s"].to_numpy(np.int64) + people.intime_s[stay]
        return pd.DataFrame({"key": key[stay], "at_s": at_s})

    known = keyed(rows).assign(value=rows["value"].to_numpy(float))
    known = known.groupby(["at_s", "key"], as_index=False)["value"].agg(several)
    wanted = keyed(at).assign(row=np.arange(len(at))).sort_values("at_s", kind="stable")
    found = pd.merge_asof(wanted, known, on="at_s", by="key", tolerance=int(within_h * HOUR_S))
    return found.sort_values("row")["value"].to_numpy(float)


def lab_series(
    concept: str, samples: pd.DataFrame | None, stay_events: StayEvents, options: SofaOptions
) -> RaggedSeries:
    """A laboratory value from the rows that a definition links to each stay (`labs`, `lab_value`)."""
    if options.labs == "admission_or_time":
        rows = stay_events.rows(concept)
    else:
        assert samples is not None  # Preset.reads_detail
        link = "named" if options.labs == "admission" else "near_admission"
        found = samples[(samples["concept"] == concept) & samples[link]]
        found = found[found["stay_id"].isin(stay_events.stay_ids) & found["time_h"].notna()]
        stay = np.searchsorted(stay_events.stay_ids, found["stay_id"].to_numpy(np.int64))
        rows = pd.DataFrame(
            {"stay": stay, "time_s": seconds(found["time_h"]), "value": found["value"].to_numpy(float)}
        )
        rows = rows.sort_values(["stay", "time_s"], kind="stable")
    rows = rows[rows["value"].notna()]
    if options.lab_value == "mean":
        rows = rows.groupby(["stay", "time_s"], sort=True, as_index=False)["value"].mean()
    return stay_events.series(rows)
