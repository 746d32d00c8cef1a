"""
A label definition: six tables of options. Code asks for options, never for the name of a definition.

Every option has its unit in its name; `data_schema/presets/moor2019.toml` has a value and a source for each.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from sepsis.core.settings import settings
from sepsis.labels.sofa_options import NonNegative, NonNegativeInt, SofaOptions


@settings("antibiotics")
class AntibioticOptions:
    """Which antibiotics count."""

    # Name list of data_schema/2_concepts.toml: the column in_<names> of the antibiotics table. An export
    # without drug names has no such column; all its orders count.
    names: str
    # What must be systemic: the order itself ("row"); some order of the same drug name ("name", the code of
    # Moor et al.) or of the same drug and route (mimic-code IV); or nothing.
    route_test: Literal["row", "name", "drug_and_route", "none"]
    # Every order of the admission counts for each of its stays, or only orders that begin between intime and
    # outtime of the stay.
    begun: Literal["in_admission", "in_stay"]
    # Orders, doses given, or both; the options above are about orders.
    source: Literal["ordered", "given", "either"]
    # Hour of the day at which an order counts if only its day is known.
    date_only_hour: NonNegative
    # Doses of one drug this close together make one course, dated by its first; 0: each dose counts.
    course_gap_h: NonNegative
    # A course counts only if another dose starts within this time of the end of one of its own; 0: any.
    isolated_h: NonNegative


@settings("cultures")
class CultureOptions:
    """Which cultures count."""

    # Kinds of specimen, as the export names them; empty: any.
    specimens: tuple[str, ...]
    # Only cultures with growth.
    positive_only: bool
    # Cultures of the stay's admission, or of the person in any admission or none.
    taken_in: Literal["admission", "anywhere"]
    # Hour of the day at which a culture counts, as if timed, if only its day is known; 0: it stays a day
    # (`SuspicionOptions.date_only`).
    date_only_hour: NonNegative


@settings("suspicion")
class SuspicionOptions:
    """How an antibiotic and a culture make a suspicion of infection."""

    # Longest time from a culture to the antibiotic after it.
    culture_first_h: NonNegative
    # A culture less than this after the antibiotic counts.
    antibiotic_first_h: NonNegative
    # Which of the two dates the suspicion.
    time: Literal["earlier", "culture"]
    # A culture dated by the day alone can follow an antibiotic.
    date_only_after_antibiotic: bool
    # The branch of an antibiotic and a culture of the same time.
    same_minute: Literal["antibiotic_first", "neither", "both"]
    # A culture exactly antibiotic_first_h after the antibiotic counts.
    antibiotic_first_closed: bool
    # What a culture dated by the day alone pairs with (D its midnight, A the antibiotic). Moments: what some
    # moment of the day would. Midnights: D <= A <= D + culture_first_h + 24 h and
    # D - antibiotic_first_h <= A <= D. Days: by the difference of the calendar days.
    date_only: Literal["moments", "midnights", "days"]
    # Every qualifying pair; or for each antibiotic order the earliest culture before it, otherwise the
    # earliest after it; or for each order every combination of a culture before it and one after it, dated
    # by the one before.
    per: Literal["pair", "order", "combination"]
    # An antibiotic without a culture near it is no suspicion ("pair").
    culture_needed: bool
    # Both times are rounded down to the hour since admission ("pair").
    whole_hours: bool


@settings("onset")
class OnsetOptions:
    """When a stay reaches onset."""

    # Computed, or the export's own labels.
    source: Literal["sofa_rise", "export_labels"]
    # The earliest suspicion of a stay only, or each in turn until one has a rise (sorted by suspicion,
    # antibiotic, culture).
    suspicion: Literal["first", "any"]
    # The time of onset: the rise; the suspicion; the earlier of the two; or the time at which rise,
    # antibiotic and culture have all happened.
    stamp: Literal["rise", "suspicion", "earlier", "known"]
    # SOFA points above the baseline.
    rise_points: NonNegativeInt
    # What the rise is measured from; see `onset.first_rise`.
    baseline: Literal["running_minimum", "first", "minimum_24h", "zero"]
    # Hours that can be baseline or onset: all; from admission to discharge; or from the first to the last
    # hour with data of any component.
    baseline_hours: Literal["all", "in_stay", "with_data"]
    # The onset of the lowest stay_id is lost, as in the code of Moor et al.
    drop_first_onset: bool
    # Hours from the first positive label of the export to onset ("export_labels").
    label_lead_h: NonNegative


@settings("cohort")
class CohortOptions:
    """Which stays are cases or controls."""

    # Stays of this age or younger are left out; stays of unknown age are kept.
    age_above_years: NonNegative
    # Charting systems kept; empty: all. A stay without a named system is kept.
    systems: tuple[str, ...]
    # A control's admission may not have a sepsis diagnosis.
    controls_without_sepsis_code: bool
    # A stay with an onset outside [admission, discharge] is neither case nor control.
    onset_inside_stay: bool
    # A stay with an onset inside it before this hour is left out.
    onset_min_h: NonNegative
    # Shorter and longer stays are left out; 0: no limit.
    stay_min_h: NonNegative
    stay_max_h: NonNegative
    # Only the first ICU stay of an admission is kept.
    first_stay: bool
    # Kinds of admission, and first services, that are left out, as the export names them.
    admission_types_out: tuple[str, ...]
    services_out: tuple[str, ...]
    # A stay is left out if a listed antibiotic was ordered on a day before its first.
    no_antibiotic_before_stay: bool


@dataclass(frozen=True)
class Preset:
    """One label definition; `settings()` is what manifests record."""

    name: str
    antibiotics: AntibioticOptions
    cultures: CultureOptions
    suspicion: SuspicionOptions
    sofa: SofaOptions
    onset: OnsetOptions
    cohort: CohortOptions

    @property
    def reads_detail(self) -> bool:
        """Whether the optional tables of `Events` and the concepts "as charted" are needed."""
        sofa, cohort = self.sofa, self.cohort
        return (
            self.suspicion.per != "pair"
            or self.antibiotics.source != "ordered"
            or bool(cohort.admission_types_out or cohort.services_out)
            or self.antibiotics.begun == "in_stay"
            or self.cultures.taken_in == "anywhere"
            or sofa.grid in ("heart_rate", "hospital_admission", "hospital_clock", "hospital")
            or sofa.ventilation == "status"
            or sofa.oxygen_device_texts == "verbatim"
            or sofa.gases != "admission"
            or sofa.fio2_rule != "vocabulary"
            or sofa.labs != "admission_or_time"
            or sofa.carevue_rates == "to_next_row"
            or sofa.urine in ("rate", "row_sum", "row_mean")
            or sofa.gcs_entries_without_value
        )

    def settings(self) -> dict[str, Any]:
        """Every option as plain values, by table."""
        return dataclasses.asdict(self)
