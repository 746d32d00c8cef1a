"""How SOFA is evaluated: the options of a definition's `[sofa]` table."""

from __future__ import annotations

from typing import Annotated, Literal

from sepsis.core.settings import between, settings

NonNegative = Annotated[float, between(0)]
NonNegativeInt = Annotated[int, between(0)]


@settings("sofa")
class SofaOptions:
    """
    How SOFA is evaluated; each departure of published code from the prose is a switch.

    A note in quotes or brackets says with which option a setting has an effect. "Hourly grids" are all grids
    but "suspicion".
    """

    # Where SOFA is evaluated: every hour around the suspicion; or, whatever is suspected, every hour of every
    # stay. heart_rate: clock hours from the first charted heart rate, rounded up, to the last; admission:
    # hours since admission to the unit; admission_clock: clock hours from the one in which the stay begins;
    # hospital_admission: hours since admission to hospital, until discharge from it; hospital_clock: clock
    # hours from 72 h before that admission (or the end of the previous stay) to 72 h after that discharge (or
    # the end of this stay, if another follows); hospital: hours of the unit from admission to hospital to
    # discharge from it.
    grid: Literal[
        "suspicion", "heart_rate", "admission", "admission_clock", "hospital_admission", "hospital_clock",
        "hospital",
    ]  # fmt: skip
    # Onset is looked for from suspicion - before to suspicion + after.
    grid_before_h: NonNegativeInt
    grid_after_h: NonNegativeInt
    # A stay reads what was charted in it, or in any stay of its admission.
    charted: Literal["stay", "admission"]
    # What the row at time t of an hourly grid contains: (t - 1 h, t], [t, t + 1 h), or
    # (t - 30 min, t + 30 min]. The last two look ahead.
    hour_holds: Literal["end", "start", "nearest"]
    # Each hour scores the worst values of [hour - lookback, hour] (the grid around a suspicion); or each row
    # is scored alone, and a component is the highest of the last window_rows rows (hourly grids).
    aggregate: Literal["raw_then_score", "score_then_max"]
    # Length of the window ("raw_then_score").
    lookback_h: NonNegativeInt
    # Rows of the window, the current one included ("score_then_max").
    window_rows: NonNegativeInt
    # A row counts once for each gas and each overlapping infusion in it, as in the joins of mimic-code III,
    # so that the window reaches less far back.
    row_repeats: bool
    # A component without data counts 0; or the total is 0 unless the window has a vital sign, a vasopressor,
    # an arterial gas and a urine entry (the inner join of the code of Moor et al.).
    missing: Literal["zero", "exclude_hour"]
    # See `sofa_points.ventilated_points`.
    ventilated_pf_200_400: bool
    # A gas is ventilated by what was charted before it; by episodes, known only at a second mark; or by a
    # status from device and mode. See `ventilation` and `published_code.ventilation_status`.
    ventilation: Literal["state", "episodes", "status"]
    # Whether blanks around the text of a device matter ("episodes").
    oxygen_device_texts: Literal["trimmed", "verbatim"]
    # How long a ventilator setting holds.
    ventilation_gap_h: NonNegative
    # Oldest charted FiO2 that a gas without its own may use.
    fio2_match_h: NonNegative
    # The charting that such a gas uses: the last with a value; or the last, even without one, so that the gas
    # has no FiO2 (the code of Moor et al., in which a CareVue share of exactly 1 has no value either).
    fio2_last_charting: Literal["with_value", "any"]
    # Blood gases of the stay's admission; or those drawn near the stay (up to half way to the next one within
    # 24 h, otherwise 12 h) in any admission; or all of the person's. With the last two a gas is one sample,
    # not one time.
    gases: Literal["admission", "near_stay", "subject"]
    # How several results of one sample or time are combined (gases not by "admission").
    sample_value: Literal["highest", "mean"]
    # A gas with more than one specimen text is left out (gases not by "admission").
    one_specimen: bool
    # Which FiO2 is plausible (gases not by "admission"); see `published_code.lab_samples`.
    fio2_rule: Literal["vocabulary", "percent_or_share", "by_item"]
    # Creatinine, bilirubin and platelets: of rows that name the stay's admission, or name none and lie in it;
    # that name it; or that lie near the admission, whatever they name.
    labs: Literal["admission_or_time", "admission", "near_admission"]
    # Several laboratory results of one time: each alone, or their mean (hourly grids).
    lab_value: Literal["each", "mean"]
    # Laboratory values are carried forward (LOCF) to each later draw of the panel (hourly grids).
    labs_carried: bool
    # Several mean arterial pressures of one time: each alone, or their mean (hourly grids).
    pressure_value: Literal["each", "mean"]
    # Specimen texts of an arterial gas.
    arterial_specimens: tuple[str, ...]
    # The gases for which the model of data_schema/arterial_model.toml may decide; any_gas: each gas counts,
    # whatever its specimen (gases by "admission").
    arterial_model: Literal["missing_specimen", "every_gas", "off", "any_gas"]
    # Assumed FiO2 of a gas without one, in %; 0: none is assumed (gases by "admission").
    fio2_default: NonNegative
    # An infusion counts while it runs; only within 24 h of its start; or in the rows at whose end it runs
    # (hourly grids).
    vasopressor: Literal["overlap", "start", "hour_end"]
    # Shortest time that a drug must run, without a break of over 5 min, to count; 0: any.
    vasopressor_min_h: NonNegative
    # Norepinephrine or epinephrine charted with a rate of 0 scores 3.
    zero_rate_counts: bool
    # A CareVue rate holds until the next rate, at most 8 h; or until the next row of its drug, with a rate or
    # not, and never after the last.
    carevue_rates: Literal["bounded", "to_next_row"]
    # Charting systems whose blood pressures and infusions are read; empty: all. A stay without a named system
    # is read.
    circulation_systems: tuple[str, ...]
    # See `urine`: entries by the interval that they close; or their sum over the time from the first to the
    # last. On hourly grids also the highest rate of an entry of the row and those of the 23 h before it; the
    # sum of the last urine_rows rows; or their mean times 24, from 12 rows between first and last entry on.
    urine: Literal["intervals", "span", "rate", "row_sum", "row_mean"]
    # Rows of "row_sum" and "row_mean".
    urine_rows: NonNegativeInt
    # Rows before this hour of the stay in the unit have no urine; 0: all have.
    urine_from_h: NonNegativeInt
    # Sum of intervals that counts as a day ("intervals", "rate").
    urine_coverage_min_h: NonNegative
    urine_coverage_max_h: NonNegative
    # Longest interval of one entry ("intervals").
    urine_interval_max_h: NonNegative
    # Bladder irrigation is subtracted and its return added.
    urine_net_of_irrigant: bool
    # As in the item list of Moor et al.
    urine_includes_tube_feed_residual: bool
    # A urine row without a volume is an entry of 0 mL, which moves the time from the first to the last entry
    # ("span"; the code of Moor et al.).
    urine_entries_without_volume: bool
    # A missing part of the coma scale is taken from the previous charting if that is less than this old.
    gcs_previous_h: NonNegative
    # Whether that charting may lie before the 24-hour window.
    gcs_previous: Literal["any", "in_window"]
    # Rows of the scale with an empty cell are a charting with all parts missing (mimic-code).
    gcs_entries_without_value: bool
