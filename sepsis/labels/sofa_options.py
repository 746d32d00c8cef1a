"""
How SOFA is evaluated: the options of a definition's `[sofa]` table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SofaOptions:
    """
    How SOFA is evaluated. Each option that the reference code decides otherwise is a switch.

    Attributes
    ----------
    grid : "suspicion", "heart_rate", "admission", "admission_clock", "hospital_admission",
        "hospital_clock" or "hospital"
        When SOFA is evaluated: every hour around the suspicion; or every hour of every stay, whatever
        is suspected: clock hours from the first charted heart rate, rounded up, to the last; hours
        since admission to the unit; clock hours from the one in which the stay begins; hours since
        the admission to hospital, to the discharge from it; clock hours from 72 h before that admission (or
        the end of the stay before) to 72 h after that discharge (or the end of this stay, if another
        follows); hours of the unit from the admission to hospital to the discharge from it.
    grid_before_h, grid_after_h : int
        Onset is looked for from suspicion - before to suspicion + after.
    charted : "stay" or "admission"
        Whether a stay reads what was charted in it, or in any stay of its admission.
    hour_holds : "end", "start" or "nearest"
        What a row of an hourly grid at time t holds: (t - 1 h, t], [t, t + 1 h), or
        (t - 30 min, t + 30 min]. The last two look ahead.
    aggregate : "raw_then_score" or "score_then_max"
        Each hour judges the worst values of [hour - lookback, hour] (the grid around a suspicion); or
        each row is scored by itself, and a component is the highest of the last `window_rows` rows.
    lookback_h : int
        Length of the window ("raw_then_score").
    window_rows : int
        Rows of the window, the current one included ("score_then_max").
    row_repeats : bool
        Whether a row counts once for each gas and each overlapping infusion in it, as the joins of
        mimic-code III make them: the window then reaches less far back.
    missing : "zero" or "exclude_hour"
        A component without data counts 0; or the total is 0 unless a vital sign, a vasopressor, an
        arterial gas and a urine entry lie in the window (the reference code's inner join).
    ventilated_pf_200_400 : bool
        See `points.respiration_points`.
    ventilation : "state", "episodes" or "status"
        Whether a gas is ventilated by what was charted before it, or by episodes that are known
        only when a second mark arrives, or by a status read from device and mode; see `ventilation`
        and `ventilation_status`.
    oxygen_device_texts : "trimmed" or "verbatim"
        Whether blanks around the text of a device matter ("episodes").
    ventilation_gap_h : float
        A ventilator setting holds this long.
    fio2_match_h : float
        Oldest charted FiO2 that a gas without its own may use.
    fio2_last_charting : "with_value" or "any"
        Which charting of FiO2 a gas without its own takes: the last with a value, or the last, even
        if its value is a gap (the reference code, to which a CareVue share of exactly 1 is one too):
        the gas then has no FiO2.
    gases : "admission", "near_stay" or "subject"
        Blood gases of the stay's admission; or those drawn in the reach of the stay (half way to the
        next within 24 h, else 12 h) in any admission; or all of the person's. The last two make one
        gas of a sample, not of a time.
    sample_value : "highest" or "mean"
        What several results of one sample or time come to (gases not by "admission").
    one_specimen : bool
        Whether a gas with more than one specimen text is left out (gases not by "admission").
    fio2_rule : "vocabulary", "percent_or_share" or "by_item"
        Which FiO2 is believed (gases not by "admission"): see `samples.FIO2`.
    labs : "admission_or_time", "admission" or "near_admission"
        Creatinine, bilirubin and platelets of rows that name the stay's admission, or none and lie in
        it; that name it; that lie in the reach of the admission, whatever they name.
    lab_value : "each" or "mean"
        Several results of one time, each by itself or their mean (hourly grids).
    labs_carried : bool
        Whether a laboratory value is read again whenever anything else is drawn (hourly grids).
    pressure_value : "each" or "mean"
        The same for mean arterial pressures of one time.
    arterial_specimens : tuple of str
        Specimen texts that say a gas is arterial.
    arterial_model : "missing_specimen", "every_gas", "off" or "any_gas"
        For which gases the published model of `data_schema/arterial_model.toml` may decide; "any_gas": each
        gas counts, whatever its specimen (gases by "admission").
    fio2_default : float
        What a gas without a FiO2 is taken to have, in %; 0: nothing (gases by "admission").
    vasopressor : "overlap", "start" or "hour_end"
        Whether an infusion counts while it runs, or only within 24 h of its start; or in the rows at
        whose end it runs (hourly grids).
    vasopressor_min_h : float
        Shortest time that a drug must have run without a break of over 5 min to count; 0: any.
    zero_rate_counts : bool
        Whether norepinephrine or epinephrine charted with a rate of 0 scores 3.
    carevue_rates : "bounded" or "to_next_row"
        Whether a CareVue rate holds until the next rate, but 8 h at most; or until the next row of its
        drug, with a rate or not, and never after the last.
    circulation_systems : tuple of str
        Charting systems whose blood pressures and infusions are read; empty: all. Only stays that
        name another system are left out.
    urine : "intervals", "span", "rate", "row_sum" or "row_mean"
        See `urine`: entries attributed to the interval they close, or their sum over the time from
        the first to the last. On hourly grids: the highest rate that an entry of the row makes with
        those of the 23 h before it, or the plain sum of the last `urine_rows` rows, or their mean times
        24 if at least 12 of them lie between the first entry and the last.
    urine_rows : int
        Rows of "row_sum" and "row_mean".
    urine_from_h : int
        Rows before this hour of the stay in the unit say nothing of urine; 0: all do.
    urine_coverage_min_h, urine_coverage_max_h : float
        Sum of intervals that makes a day ("intervals").
    urine_interval_max_h : float
        Longest interval that an entry can stand for ("intervals").
    urine_net_of_irrigant : bool
        Whether bladder irrigation is subtracted and its return counted.
    urine_includes_tube_feed_residual : bool
        The reference code's item list does.
    urine_entries_without_volume : bool
        Whether a row charted as urine without a volume counts as an entry of 0 mL: it then moves the
        time from the first to the last ("span"; the reference code).
    gcs_previous_h : float
        A part of the coma scale not charted is taken from the charting before, if it is at most
        this old.
    gcs_previous : "any" or "in_window"
        Whether that charting may lie before the 24-hour window.
    gcs_entries_without_value : bool
        Whether rows of the scale with an empty cell count as a charting (mimic-code): all its parts are
        then missing.
    """

    grid: Literal[
        "suspicion",
        "heart_rate",
        "admission",
        "admission_clock",
        "hospital_admission",
        "hospital_clock",
        "hospital",
    ]
    grid_before_h: int
    grid_after_h: int
    charted: Literal["stay", "admission"]
    hour_holds: Literal["end", "start", "nearest"]
    aggregate: Literal["raw_then_score", "score_then_max"]
    lookback_h: int
    window_rows: int
    row_repeats: bool
    missing: Literal["zero", "exclude_hour"]
    ventilated_pf_200_400: bool
    ventilation: Literal["state", "episodes", "status"]
    oxygen_device_texts: Literal["trimmed", "verbatim"]
    ventilation_gap_h: float
    fio2_match_h: float
    fio2_last_charting: Literal["with_value", "any"]
    gases: Literal["admission", "near_stay", "subject"]
    sample_value: Literal["highest", "mean"]
    one_specimen: bool
    fio2_rule: Literal["vocabulary", "percent_or_share", "by_item"]
    labs: Literal["admission_or_time", "admission", "near_admission"]
    lab_value: Literal["each", "mean"]
    labs_carried: bool
    pressure_value: Literal["each", "mean"]
    arterial_specimens: tuple[str, ...]
    arterial_model: Literal["missing_specimen", "every_gas", "off", "any_gas"]
    fio2_default: float
    vasopressor: Literal["overlap", "start", "hour_end"]
    vasopressor_min_h: float
    zero_rate_counts: bool
    carevue_rates: Literal["bounded", "to_next_row"]
    circulation_systems: tuple[str, ...]
    urine: Literal["intervals", "span", "rate", "row_sum", "row_mean"]
    urine_rows: int
    urine_from_h: int
    urine_coverage_min_h: float
    urine_coverage_max_h: float
    urine_interval_max_h: float
    urine_net_of_irrigant: bool
    urine_includes_tube_feed_residual: bool
    urine_entries_without_volume: bool
    gcs_previous_h: float
    gcs_previous: Literal["any", "in_window"]
    gcs_entries_without_value: bool
