"""`Events`: everything later stages know about an export."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pandas as pd


@dataclass(frozen=True, eq=False)
class Events:
    """
    One export, harmonised; hours are since ICU admission. Every column: `data_schema/3_events.toml`.

    Attributes
    ----------
    stays : stay_id, subject_id, hadm_id, intime, outtime, stay_h, age, sex, system, sepsis_code, exclusion
        One row per ICU stay, none dropped; `exclusion` says why a row cannot be used, or is null. `age` is in
        years, 91.4 where the export hides it (over 89). `sepsis_code`: the admission has a sepsis diagnosis
        code (995.91, 995.92, 785.52 and the ICD-10 equivalents); null if unknown.
    events : stay_id, time_h, concept, value, text
        Measured values in the vocabulary's units; `text` only for concepts that are read as text.
    infusions : stay_id, start_h, end_h, concept, value
        Vasoactive drugs; `value` = rate in mcg/kg/min (vasopressin units/h).
    antibiotics : stay_id, time_h, date_only, in_moor2019, in_mimic_iv, in_ricu, systemic, name_is_systemic
        Orders of the stay's admission, copied to each of its ICU stays. `date_only`: the export knows the day
        only and `time_h` is its midnight. `in_*`: the vocabulary's lists, at least one. `systemic`: the row's
        own type, route and name pass the test; `name_is_systemic`: some order of that name passes.
    cultures : stay_id, time_h, date_only, specimen, positive
        Specimens of the stay's admission, copied to each of its ICU stays.
    labels : stay_id, first_labelled_h, first_row_h, last_row_h, or None
        The export's own labels (PhysioNet 2019).
    ledger : concept, reason, rows
        Rows read by outcome: kept, implausible, no number, outside the stays, ...
    lab_samples, orders, specimens, carevue_rates, zero_rates, admissions, administrations : DataFrame or None
        For definitions that look beyond the admission; see `sepsis.events.detail`. None if not asked for, or
        the kind of export has none (all but MIMIC and MEDS).
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
