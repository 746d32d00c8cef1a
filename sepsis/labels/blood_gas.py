"""
Arterial blood gases: PaO2/FiO2, and whether the patient was ventilated.

A gas is arterial by its specimen. If the specimen is missing, a published logistic model may decide; its
coefficients are in `data_schema/arterial_model.toml`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sepsis.core import schema
from sepsis.labels.definition import SofaOptions
from sepsis.labels.ragged import RaggedSeries, StayEvents, highest_per_time, latest, offsets_of
from sepsis.labels.ventilation import ventilated_at


def arterial_gases(stay_events: StayEvents, options: SofaOptions) -> pd.DataFrame:
    """
    Every arterial gas with an oxygen pressure.

    Reads    concepts po2, fio2_lab, fio2_chart, blood_gas_specimen, the marks of `ventilation`, and
             the terms of the arterial model
    Writes   gases(stay, time_s, pf, ventilated), sorted; `pf` in mmHg, NaN without a FiO2
    Rule     FiO2 of the same sample, otherwise the last charted in the `fio2_match_h` hours before.
             Samples of one stay and time are one gas with the highest value of each quantity.
    """
    model = schema.read_toml("arterial_model")
    gases = _samples(stay_events, model)
    offsets = offsets_of(np.bincount(gases["stay"], minlength=len(stay_events.stay_ids)))
    time_s = np.array(gases["time_s"], np.int64)
    keep = gases["specimen"].isin(list(options.arterial_specimens)).to_numpy(bool)
    if options.arterial_model == "any_gas":
        keep = np.ones(len(gases), dtype=bool)
    elif options.arterial_model != "off":
        series = charted_fio2(stay_events, options)
        likely = arterial_probability(stay_events, gases, offsets, model, series) > model["probability"]
        keep = keep | likely & (
            gases["specimen"].isna().to_numpy(bool) | (options.arterial_model == "every_gas")
        )
    charted = latest(charted_fio2(stay_events, options), time_s, offsets, options.fio2_match_h)
    fio2 = gases["fio2_lab"].where(gases["fio2_lab"].notna(), charted)
    if options.fio2_default:
        fio2 = fio2.fillna(options.fio2_default)
    gases["pf"] = 100.0 * gases["po2"] / fio2
    gases["ventilated"] = ventilated_at(
        stay_events, time_s, offsets, rule=options.ventilation, gap_h=options.ventilation_gap_h
    )
    return gases.loc[keep, ["stay", "time_s", "pf", "ventilated"]]


def arterial_probability(
    stay_events: StayEvents,
    gases: pd.DataFrame,
    offsets: np.ndarray,
    model: dict[str, Any],
    fio2: RaggedSeries | None = None,
) -> np.ndarray:
    """
    Probability that a gas is arterial, by the published logistic model.

    Parameters
    ----------
    gases : DataFrame
        stay, time_s, and a column for each term of the same sample; sorted.
    offsets : ndarray of int64, shape (S + 1,)
        Where each stay's gases begin.
    model : dict
        `intercept` and `terms`, each with a concept, its weight, its contribution if missing
        (`if_missing`), and `within_h` hours to look back (0: the same sample).
    fio2 : RaggedSeries, optional
        Charted FiO2; by default the concept fio2_chart.

    Returns
    -------
    probability : ndarray, shape (number of gases,)
    """
    score = np.full(len(gases), float(model["intercept"]))
    time_s = np.array(gases["time_s"], np.int64)
    for term in model["terms"]:
        if term["within_h"] > 0:
            series = fio2 if term["concept"] == "fio2_chart" else None
            if series is None:
                series = _charted(stay_events, term["concept"])
            value = latest(series, time_s, offsets, term["within_h"])
        else:
            value = gases[term["concept"]].to_numpy(float)
        score += np.where(np.isnan(value), term["if_missing"], term["weight"] * value)
    return 1.0 / (1.0 + np.exp(-score))


def charted_fio2(stay_events: StayEvents, options: SofaOptions) -> RaggedSeries:
    """
    Charted FiO2 in %, the highest value per time.

    With `fio2_last_charting = "any"` chartings without a value are included as NaN; a CareVue share of
    exactly 1 counts as one of them. Source: mimic-code III, arterial gases, and mgp-tcn after it.
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


def _samples(stay_events: StayEvents, model: dict[str, Any]) -> pd.DataFrame:
    """Every sample with an oxygen pressure: stay, time_s, specimen, and its other quantities."""
    same = [term["concept"] for term in model["terms"] if term["within_h"] == 0]
    concepts = list(dict.fromkeys(["po2", "fio2_lab", *same]))
    found = highest_per_time(stay_events.rows(*concepts), concepts)
    found = found[found["po2"].notna()]
    text = stay_events.rows("blood_gas_specimen")
    text = text[text["text"].notna()].groupby(["stay", "time_s"], as_index=False)["text"].max()
    return found.merge(text.rename(columns={"text": "specimen"}), on=["stay", "time_s"], how="left")


def _charted(stay_events: StayEvents, concept: str) -> RaggedSeries:
    wide = highest_per_time(stay_events.rows(concept), [concept])
    return stay_events.series(wide.rename(columns={concept: "value"}))
