"""
Arterial blood gases: PaO2/FiO2, and whether the patient was ventilated.

A gas is arterial if its specimen says so. Where the specimen is missing, a published logistic
model may decide; its coefficients are data (`data_schema/arterial_model.toml`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sepsis import schema
from sepsis.labels.definition import SofaOptions
from sepsis.labels.tracks import StayTracks, Track, highest_per_time, latest, offsets_of
from sepsis.labels.ventilation import ventilated_at


def arterial_gases(tracks: StayTracks, options: SofaOptions) -> pd.DataFrame:
    """
    Every arterial gas with an oxygen pressure.

    Reads    concepts po2, fio2_lab, fio2_chart, blood_gas_specimen, the marks of `ventilation`, and
             the terms of the arterial model
    Writes   gases(stay, time_s, pf, ventilated), sorted; `pf` in mmHg, NaN without a FiO2
    Rule     FiO2 of the same sample, else the last charted in the `fio2_match_h` hours before.
             Samples of one stay and time are one gas, each quantity its highest value.
    """
    model = schema.read_toml("arterial_model")
    gases = _samples(tracks, model)
    offsets = offsets_of(np.bincount(gases["stay"], minlength=len(tracks.stay_ids)))
    time_s = np.array(gases["time_s"], np.int64)
    keep = gases["specimen"].isin(list(options.arterial_specimens)).to_numpy(bool)
    if options.arterial_model != "off":
        likely = arterial_probability(tracks, gases, offsets, model) > model["probability"]
        keep = keep | likely & (
            gases["specimen"].isna().to_numpy(bool) | (options.arterial_model == "every_gas")
        )
    charted = latest(_charted(tracks, "fio2_chart"), time_s, offsets, options.fio2_match_h)
    gases["pf"] = 100.0 * gases["po2"] / gases["fio2_lab"].where(gases["fio2_lab"].notna(), charted)
    gases["ventilated"] = ventilated_at(
        tracks, time_s, offsets, rule=options.ventilation, gap_h=options.ventilation_gap_h
    )
    return gases.loc[keep, ["stay", "time_s", "pf", "ventilated"]]


def arterial_probability(
    tracks: StayTracks, gases: pd.DataFrame, offsets: np.ndarray, model: dict[str, Any]
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
        `intercept` and `terms`: each a concept, its weight, what counts where it is missing
        (`if_missing`), and `within_h` hours to look back (0: the same sample).

    Returns
    -------
    probability : ndarray, shape (number of gases,)
    """
    score = np.full(len(gases), float(model["intercept"]))
    time_s = np.array(gases["time_s"], np.int64)
    for term in model["terms"]:
        if term["within_h"] > 0:
            value = latest(_charted(tracks, term["concept"]), time_s, offsets, term["within_h"])
        else:
            value = gases[term["concept"]].to_numpy(float)
        score += np.where(np.isnan(value), term["if_missing"], term["weight"] * value)
    return 1.0 / (1.0 + np.exp(-score))


def _samples(tracks: StayTracks, model: dict[str, Any]) -> pd.DataFrame:
    """Every sample with an oxygen pressure: stay, time_s, specimen, and what the same sample holds."""
    same = [term["concept"] for term in model["terms"] if term["within_h"] == 0]
    concepts = list(dict.fromkeys(["po2", "fio2_lab", *same]))
    found = highest_per_time(tracks.rows(*concepts), concepts)
    found = found[found["po2"].notna()]
    text = tracks.rows("blood_gas_specimen")
    text = text[text["text"].notna()].groupby(["stay", "time_s"], as_index=False)["text"].max()
    return found.merge(text.rename(columns={"text": "specimen"}), on=["stay", "time_s"], how="left")


def _charted(tracks: StayTracks, concept: str) -> Track:
    """One value per time: the highest."""
    wide = highest_per_time(tracks.rows(concept), [concept])
    return tracks.track(wide.rename(columns={concept: "value"}))
