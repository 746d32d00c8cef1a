"""`Events`: everything later stages know about an export."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pandas as pd


@dataclass(frozen=True, eq=False)
class Events:
    """
    One export, harmonised. Hours are since ICU admission (float, negative before it).

    Attributes
    ----------
    stays : stay_id, subject_id, hadm_id, intime, outtime, stay_h, age, sex, system, sepsis_code,
        exclusion
        One row per ICU stay of the export, none dropped. `stay_h` = hours from `intime` to
        `outtime`; `age` in years (91.4 where the export hides it: over 89); `sex` "F"/"M"/null;
        `system` "metavision", "carevue", "both" or null; `sepsis_code` whether the admission has a
        sepsis diagnosis code (995.91, 995.92, 785.52 and the ICD-10 equivalents; null if
        unknown); `exclusion` null, or why the row itself cannot be used (e.g. no intime).
    events : stay_id, time_h, concept, value, text
        Charted and laboratory values in the vocabulary's units; `concept` is a concept id of
        `data_schema/2_concepts.toml`; `text` only for concepts that are read as text.
    infusions : stay_id, start_h, end_h, concept, value
        Vasoactive drugs; `value` = rate in mcg/kg/min (vasopressin units/h).
    antibiotics : stay_id, time_h, date_only, in_moor2019, in_mimic_iv, in_ricu, systemic,
        name_is_systemic
        One row per antibiotic order of the stay's admission, copied to each of its ICU stays.
        `date_only`: the export knows the day only and `time_h` is its midnight.
        `in_moor2019`, `in_mimic_iv`, `in_ricu`: the drug is in that list of the vocabulary (in one at least).
        `systemic`: the row's own drug type, route and name pass the systemic test.
        `name_is_systemic`: some order of the same drug name, of any patient, passes it.
    cultures : stay_id, time_h, date_only, specimen, positive
        One row per specimen of the stay's admission, copied to each of its ICU stays.
    labels : stay_id, first_labelled_h, first_row_h, last_row_h, or None
        Labels that the export brings itself (PhysioNet 2019).
    ledger : concept, reason, rows
        Rows read by outcome: kept, implausible, no number, outside the stays, ...
    lab_samples, orders, specimens, carevue_rates, zero_rates, admissions, administrations : DataFrame or None
        What definitions read that look beyond the stay and its admission; see `sepsis.events.detail`.
        None where it was not asked for, or the kind of export has none (all but MIMIC and MEDS).
    lacks : str
        What labels need and this kind of export never has (`Source.lacks`); "" if nothing is missing.
    """

    stays: pd.DataFrame
    events: pd.DataFrame
    infusions: pd.DataFrame
    antibiotics: pd.DataFrame
    cultures: pd.DataFrame
    labels: pd.DataFrame | None
    ledger: pd.DataFrame
    lab_samples: pd.DataFrame | None = None
    orders: pd.DataFrame | None = None
    specimens: pd.DataFrame | None = None
    carevue_rates: pd.DataFrame | None = None
    zero_rates: pd.DataFrame | None = None
    admissions: pd.DataFrame | None = None
    administrations: pd.DataFrame | None = None
    lacks: str = ""


TABLES = tuple(field.name for field in fields(Events) if field.name != "lacks")
