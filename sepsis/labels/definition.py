"""
What a label definition decides: six small tables of options.

Every option has its unit in its name. No code asks for a definition's name, only for its options.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class AntibioticOptions:
    """
    Which antibiotic orders count.

    Attributes
    ----------
    names : str
        Name list of `data_schema/2_concepts.toml`: the column `in_<names>` of the antibiotics
        table. An export without drug names has no such column; all its orders count.
    route_test : "row" or "name"
        Whether an order must itself be systemic, or only its drug name must once have been
        ordered systemically (the reference code).
    """

    names: str
    route_test: Literal["row", "name"]


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
    """

    specimens: tuple[str, ...]
    positive_only: bool


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
    """

    culture_first_h: float
    antibiotic_first_h: float
    time: Literal["earlier", "culture"]
    date_only_after_antibiotic: bool


@dataclass(frozen=True)
class SofaOptions:
    """
    How SOFA is evaluated. Each option that the reference code decides otherwise is a switch.

    Attributes
    ----------
    grid_before_h, grid_after_h : int
        The hourly grid runs from suspicion - before to suspicion + after.
    lookback_h : int
        Each hour judges the worst values of [hour - lookback, hour].
    missing : "zero" or "exclude_hour"
        A component without data counts 0; or the total is 0 unless a vital sign, a vasopressor, an
        arterial gas and a urine entry lie in the window (the reference code's inner join).
    ventilated_pf_200_400 : bool
        See `points.respiration_points`.
    ventilation : "state" or "episodes"
        Whether a gas is ventilated by what was charted before it, or by episodes that are known
        only when a second mark arrives; see `ventilation`.
    ventilation_gap_h : float
        A ventilator setting holds this long.
    fio2_match_h : float
        Oldest charted FiO2 that a gas without its own may use.
    arterial_specimens : tuple of str
        Specimen texts that say a gas is arterial.
    arterial_model : "missing_specimen", "every_gas" or "off"
        For which gases the published model of `data_schema/arterial_model.toml` may decide.
    vasopressor : "overlap" or "start"
        Whether an infusion counts while it runs, or only within 24 h of its start.
    circulation_systems : tuple of str
        Charting systems whose blood pressures and infusions are read; empty: all. Only stays that
        name another system are left out.
    urine : "intervals" or "span"
        See `urine`: entries attributed to the interval they close, or their sum over the time from
        the first to the last.
    urine_coverage_min_h, urine_coverage_max_h : float
        Sum of intervals that makes a day ("intervals").
    urine_interval_max_h : float
        Longest interval that an entry can stand for ("intervals").
    urine_net_of_irrigant : bool
        Whether bladder irrigation is subtracted and its return counted.
    urine_includes_tube_feed_residual : bool
        The reference code's item list does.
    gcs_previous_h : float
        A part of the coma scale not charted is taken from the charting before, if it is at most
        this old.
    gcs_previous : "any" or "in_window"
        Whether that charting may lie before the 24-hour window.
    """

    grid_before_h: int
    grid_after_h: int
    lookback_h: int
    missing: Literal["zero", "exclude_hour"]
    ventilated_pf_200_400: bool
    ventilation: Literal["state", "episodes"]
    ventilation_gap_h: float
    fio2_match_h: float
    arterial_specimens: tuple[str, ...]
    arterial_model: Literal["missing_specimen", "every_gas", "off"]
    vasopressor: Literal["overlap", "start"]
    circulation_systems: tuple[str, ...]
    urine: Literal["intervals", "span"]
    urine_coverage_min_h: float
    urine_coverage_max_h: float
    urine_interval_max_h: float
    urine_net_of_irrigant: bool
    urine_includes_tube_feed_residual: bool
    gcs_previous_h: float
    gcs_previous: Literal["any", "in_window"]


@dataclass(frozen=True)
class OnsetOptions:
    """
    When a stay reaches onset.

    Attributes
    ----------
    source : "sofa_rise" or "export_labels"
        Computed, or brought by the export.
    rise_points : int
        SOFA points above the baseline.
    baseline : "running_minimum", "first", "minimum_24h" or "zero"
        What the rise is measured from.
    baseline_hours : "all" or "in_stay"
        Whether hours before admission and after discharge are looked at.
    drop_first_onset : bool
        The reference code loses the onset of the lowest stay_id.
    label_lead_h : float
        Hours that the export's labels begin before onset ("export_labels").
    """

    source: Literal["sofa_rise", "export_labels"]
    rise_points: int
    baseline: Literal["running_minimum", "first", "minimum_24h", "zero"]
    baseline_hours: Literal["all", "in_stay"]
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
    """

    age_above_years: float
    systems: tuple[str, ...]
    controls_without_sepsis_code: bool
    onset_inside_stay: bool


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

    def settings(self) -> dict[str, Any]:
        """Every option as plain values, by table."""
        return dataclasses.asdict(self)
