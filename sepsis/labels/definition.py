"""
What a label definition decides: six small tables of options.

Every option has its unit in its name. No code asks for a definition's name, only for its options.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from sepsis.labels.sofa_options import SofaOptions


@dataclass(frozen=True)
class AntibioticOptions:
    """
    Which antibiotic orders count.

    Attributes
    ----------
    names : str
        Name list of `data_schema/2_concepts.toml`: the column `in_<names>` of the antibiotics
        table. An export without drug names has no such column; all its orders count.
    route_test : "row", "name", "drug_and_route" or "none"
        Whether an order must itself be systemic, or only its drug name (the reference code), or its
        drug and route together (mimic-code IV), must once have been ordered systemically; or nothing.
    begun : "in_admission" or "in_stay"
        Whether every order of the admission counts for each of its stays, or only what began between
        intime and outtime of the stay itself.
    source : "ordered", "given" or "either"
        Orders, doses as they were given, or both; the options above are about orders.
    date_only_hour : float
        Hour of its day at which an order counts that is known by the day alone.
    course_gap_h : float
        Doses of one drug this close make one course, which counts at its first; 0: each dose counts.
    isolated_h : float
        A course counts only if another dose starts within this time of the end of one of its own; 0:
        any course.
    """

    names: str
    route_test: Literal["row", "name", "drug_and_route", "none"]
    begun: Literal["in_admission", "in_stay"]
    source: Literal["ordered", "given", "either"]
    date_only_hour: float
    course_gap_h: float
    isolated_h: float


@dataclass(frozen=True)
class CultureOptions:
    """
    Which cultures count.

    Attributes
    ----------
    specimens : tuple of str
        Kinds of specimen, as the export names them; empty: any.
    positive_only : bool
        Whether an organism must have grown.
    taken_in : "admission" or "anywhere"
        Cultures of the stay's admission, or of the person in any admission or none (by subject).
    date_only_hour : float
        Hour of its day at which a culture counts that is known by the day alone, as if it were timed; 0:
        it stays a day (`suspicion.date_only`).
    """

    specimens: tuple[str, ...]
    positive_only: bool
    taken_in: Literal["admission", "anywhere"]
    date_only_hour: float


@dataclass(frozen=True)
class SuspicionOptions:
    """
    How an antibiotic and a culture make a suspicion of infection.

    Attributes
    ----------
    culture_first_h : float
        Longest time from a culture to the antibiotic after it.
    antibiotic_first_h : float
        A culture less than this after the antibiotic counts.
    time : "earlier" or "culture"
        Which of the two dates the suspicion.
    date_only_after_antibiotic : bool
        Whether a culture known by its day alone can follow an antibiotic.
    same_minute : "antibiotic_first", "neither" or "both"
        Which branch an antibiotic and a culture of the same time belong to.
    antibiotic_first_closed : bool
        Whether a culture exactly `antibiotic_first_h` after the antibiotic counts.
    date_only : "moments", "midnights" or "days"
        What a culture known by its day alone pairs with (D its midnight, A the antibiotic). Moments:
        what some moment of the day would; midnights: D <= A <= D + culture_first_h + 24 h and
        D - antibiotic_first_h <= A <= D; days: by the difference of the calendar days.
    per : "pair", "order" or "combination"
        Every pair that qualifies; or for each antibiotic order the earliest culture before it, else
        the earliest after it; or for each order every combination of a culture before it and one
        after it, of which the one before dates it.
    culture_needed : bool
        Whether an antibiotic without a culture near it is no suspicion ("pair").
    whole_hours : bool
        Whether both are taken by the hour since admission in which they lie ("pair").
    """

    culture_first_h: float
    antibiotic_first_h: float
    time: Literal["earlier", "culture"]
    date_only_after_antibiotic: bool
    same_minute: Literal["antibiotic_first", "neither", "both"]
    antibiotic_first_closed: bool
    date_only: Literal["moments", "midnights", "days"]
    per: Literal["pair", "order", "combination"]
    culture_needed: bool
    whole_hours: bool


@dataclass(frozen=True)
class OnsetOptions:
    """
    When a stay reaches onset.

    Attributes
    ----------
    source : "sofa_rise" or "export_labels"
        Computed, or brought by the export.
    suspicion : "first" or "any"
        Whether only the earliest suspicion of a stay is looked at, or each in turn until one has a
        rise: by suspicion, antibiotic, culture.
    stamp : "rise", "suspicion", "earlier" or "known"
        What onset is dated by: the rise; the suspicion; the earlier of the two; or the moment at which
        rise, antibiotic and culture have all happened.
    rise_points : int
        SOFA points above the baseline.
    baseline : "running_minimum", "first", "minimum_24h" or "zero"
        What the rise is measured from.
    baseline_hours : "all", "in_stay" or "with_data"
        Which hours are looked at, as baseline and for onset: all; those from admission to discharge; or
        those from the first to the last with data of any component.
    drop_first_onset : bool
        The reference code loses the onset of the lowest stay_id.
    label_lead_h : float
        Hours that the export's labels begin before onset ("export_labels").
    """

    source: Literal["sofa_rise", "export_labels"]
    suspicion: Literal["first", "any"]
    stamp: Literal["rise", "suspicion", "earlier", "known"]
    rise_points: int
    baseline: Literal["running_minimum", "first", "minimum_24h", "zero"]
    baseline_hours: Literal["all", "in_stay", "with_data"]
    drop_first_onset: bool
    label_lead_h: float


@dataclass(frozen=True)
class CohortOptions:
    """
    Which stays are cases or controls.

    Attributes
    ----------
    age_above_years : float
        Younger stays, and stays of exactly this age, are left out; unknown ages stay.
    systems : tuple of str
        Charting systems kept; empty: all. A stay that names no system is kept.
    controls_without_sepsis_code : bool
        Whether a control's admission may carry no sepsis diagnosis.
    onset_inside_stay : bool
        Whether an onset outside [admission, discharge] makes a stay neither case nor control.
    onset_min_h : float
        A stay with an onset inside it before this hour is left out.
    stay_min_h, stay_max_h : float
        Shorter and longer stays are left out; 0: no limit.
    first_stay : bool
        Whether only the first ICU stay of an admission is looked at.
    admission_types_out, services_out : tuple of str
        Kinds of admission, and first services, that are left out, as the export names them.
    no_antibiotic_before_stay : bool
        Whether a stay is left out if an antibiotic (of the list) was ordered on a day before its first.
    """

    age_above_years: float
    systems: tuple[str, ...]
    controls_without_sepsis_code: bool
    onset_inside_stay: bool
    onset_min_h: float
    stay_min_h: float
    stay_max_h: float
    first_stay: bool
    admission_types_out: tuple[str, ...]
    services_out: tuple[str, ...]
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
