"""
Arterial blood gases: PaO2/FiO2, and whether the patient was ventilated.

A gas is arterial by its specimen. If the specimen is missing, a published logistic model may decide; its
coefficients are in `data_schema/arterial_model.toml`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core import schema
from sepsis.labels.definition import SofaOptions
from sepsis.labels.ragged import RaggedSeries, StayEvents, highest_per_time, latest, offsets_of
from sepsis.labels.ventilation import ventilated_at


def arterial_gases(stay_events: StayEvents, options: SofaOptions) -> pd.DataFrame:
    """
    Every arterial gas with an oxygen pressure.

    Writes   gases(stay, time_s, pf, ventilated), sorted; `pf` in mmHg, NaN without a FiO2
    Rule     FiO2 of the same sample, otherwise the last charted in the `fio2_match_h` hours before.
             Samples of one stay and time are one gas with the highest value of each quantity.
    """
    gases = _samples(stay_events)
    offsets = offsets_of(np.bincount(gases["stay"], minlength=len(stay_events.stay_ids)))
    time_s = np.array(gases["time_s"], np.int64)
    fio2_chart = charted_fio2(stay_events, options)
    within_h = {term["concept"]: term["within_h"] for term in schema.read_toml("arterial_model")["terms"]}
    looked_back = {
        concept: latest(series, time_s, offsets, within_h[concept])
        for concept, series in (("fio2_chart", fio2_chart), ("spo2", _charted(stay_events, "spo2")))
    }
    charted = latest(fio2_chart, time_s, offsets, options.fio2_match_h)
    fio2 = gases["fio2_lab"].where(gases["fio2_lab"].notna(), charted)
    if options.fio2_default:
        fio2 = fio2.fillna(options.fio2_default)
    gases["pf"] = 100.0 * gases["po2"] / fio2
    gases["ventilated"] = ventilated_at(
        stay_events, time_s, offsets, rule=options.ventilation, gap_h=options.ventilation_gap_h
    )
    arterial = is_arterial(gases, looked_back, options)
    return gases.loc[arterial, ["stay", "time_s", "pf", "ventilated"]]


def is_arterial(gases: pd.DataFrame, charted: dict[str, np.ndarray], options: SofaOptions) -> np.ndarray:
    """
    Whether each gas counts as arterial, by its specimen or by the published logistic model.

    `charted` has the terms of the model that are looked back to, one value per gas; `gases` the others.
    """
    if options.arterial_model == "any_gas":
        return np.ones(len(gases), dtype=bool)
    arterial = gases["specimen"].isin(list(options.arterial_specimens)).to_numpy(bool)
    if options.arterial_model == "off":
        return arterial
    model = schema.read_toml("arterial_model")
    score = np.full(len(gases), float(model["intercept"]))
    for term in model["terms"]:
        concept = term["concept"]
        value = charted[concept] if concept in charted else gases[concept].to_numpy(float)
        score += np.where(np.isnan(value), term["if_missing"], term["weight"] * value)
    likely = 1.0 / (1.0 + np.exp(-score)) > model["probability"]
    missing = gases["specimen"].isna().to_numpy(bool)
    return arterial | likely & (missing | (options.arterial_model == "every_gas"))


def sample_concepts() -> list[str]:
    """What is read of the sample itself: oxygen pressure, FiO2 and terms of the arterial model."""
    terms = schema.read_toml("arterial_model")["terms"]
    same = [term["concept"] for term in terms if term["within_h"] == 0]
    return list(dict.fromkeys(["po2", "fio2_lab", *same]))


def charted_fio2(stay_events: StayEvents, options: SofaOptions) -> RaggedSeries:
    """
    Charted FiO2 in %, the highest value per time.

    With `fio2_last_charting = "any"`, chartings without a value are NaN; a CareVue share of exactly 1 counts
    as one of them. Source: mimic-code III, arterial gases, and mgp-tcn after it.
    """
    if options.fio2_last_charting == "with_value":
        return _charted(stay_events, "fio2_chart")
    key = ["stay", "time_s", "value"]
    shares, found = stay_events.rows("fio2_share"), stay_events.rows("fio2_chart")
    shares = shares[shares["value"] == 100.0]
    taken = shares[key].assign(nth=shares.groupby(key).cumcount(), whole_share=True)
    found = found.assign(nth=found.groupby(key).cumcount()).merge(taken, on=[*key, "nth"], how="left")
    found = found[found["whole_share"].isna()]
    every = pd.concat([found, stay_events.rows("fio2_charting").assign(value=np.nan)])
    return stay_events.series(every.groupby(["stay", "time_s"], sort=True, as_index=False)["value"].max())


def _samples(stay_events: StayEvents) -> pd.DataFrame:
    concepts = sample_concepts()
    found = highest_per_time(stay_events.rows(*concepts), concepts)
    found = found[found["po2"].notna()]
    text = stay_events.rows("blood_gas_specimen")
    text = text[text["text"].notna()].groupby(["stay", "time_s"], as_index=False)["text"].max()
    return found.merge(text.rename(columns={"text": "specimen"}), on=["stay", "time_s"], how="left")


def _charted(stay_events: StayEvents, concept: str) -> RaggedSeries:
    wide = highest_per_time(stay_events.rows(concept), [concept])
    return stay_events.series(wide.rename(columns={concept: "value"}))
