"""
The synthetic patients and their clinical events: one row per ICU stay, before any measurement.

Two rules keep the task honest. Cases and controls draw the hour of their event (`event_h`) and length of
stay from the same distributions, so that neither separates the classes. A patient without organ failure has
at most one SOFA point (`spare_organ`), so that the first failing organ, two points or more at once, is the
first rise a label rule can find.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

ORGANS = ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal")
KINDS = ("case", "plain", "infection", "organ", "chronic")
CONTROL_SHARES = {"plain": 0.60, "infection": 0.18, "organ": 0.17, "chronic": 0.05}

FIRST_EVENT_H, LAST_EVENT_H = 8.0, 96.0
HOURS_AFTER_EVENT = 14.0  # at least; a stay continues after its onset
DRIFT_H = (5.0, 12.0)  # a drift begins this long before the event
BETWEEN_STAYS_H = 48.0  # of one admission, at least: a suspicion in one does not reach the other
SUBJECT_IDS, ADMISSION_IDS, STAY_IDS = 10_000, 100_000, 200_000

# Organ failure shows in a laboratory value in only three cases of ten: if every onset were the hour of a
# blood draw, the time since the last draw would predict it.
_FIRST_ORGAN = {
    "respiration": 0.09, "coagulation": 0.05, "liver": 0.05, "cardiovascular": 0.52, "cns": 0.18,
    "renal": 0.11,
}  # fmt: skip
_SPARE_ORGAN = {
    "respiration": 0.05, "coagulation": 0.06, "liver": 0.05, "cardiovascular": 0.70, "cns": 0.04,
    "renal": 0.10,
}  # fmt: skip


def plan_stays(stays: int, rng: np.random.Generator, *, case_share: float = 0.2) -> pd.DataFrame:
    """
    Draw the stays; slightly fewer than `case_share` become septic: of an admission only one is not "plain".

    Writes   subject_id, hadm_id, stay_id; stay_number (in its admission, from 0), sibling_event (the
             other stay of the admission is not "plain"); kind (of `KINDS`); sex, age (years at
             admission), weight_kg; admittime, intime, outtime, dischtime; stay_h, event_h (onset of a
             case, start of organ failure or infection of a control), drift_h (a drift begins, hours),
             strength (of it); first_organ, spare_organ (indices into `ORGANS`; -1 if none);
             fail_<organ>_h (infinite if it never fails); vent_start_h, vent_end_h (NaN if never
             ventilated); died, sepsis_code. Sorted by subject and time.
    """
    plan = _people(stays, rng)
    _what_happens(plan, rng, case_share)
    _clock(plan, rng)
    _organs(plan, rng)
    _ventilation(plan, rng)
    septic = (plan.kind == "case").to_numpy()
    plan["died"] = rng.random(stays) < np.where(septic, 0.20, 0.08)
    # the stays of an admission share its codes; coding is neither complete nor always right
    coded = rng.random(stays) < np.where(septic, 0.6, 0.02)
    plan["sepsis_code"] = pd.Series(coded).groupby(plan.hadm_id).transform("max")
    last = plan.stay_id.eq(plan.groupby("subject_id").stay_id.transform("last"))
    plan["died"] &= last
    return plan


def _people(stays: int, rng: np.random.Generator) -> pd.DataFrame:
    """Subjects with one to three admissions of one or two ICU stays each; ids as in the releases."""
    admissions = rng.choice([1, 2, 3], size=stays, p=[0.72, 0.20, 0.08])
    subject = np.repeat(np.arange(stays), admissions)
    per_admission = rng.choice([1, 2], size=len(subject), p=[0.88, 0.12])
    admission = np.repeat(np.arange(len(subject)), per_admission)[:stays]
    number = np.arange(stays) - np.searchsorted(admission, admission)
    subject = subject[admission]
    ids = {
        "subject_id": _unique_ids(subject[-1] + 1, SUBJECT_IDS, rng)[subject],
        "hadm_id": _unique_ids(admission[-1] + 1, ADMISSION_IDS, rng)[admission],
        "stay_id": _unique_ids(stays, STAY_IDS, rng),
    }
    plan = pd.DataFrame({**ids, "stay_number": number})
    person = pd.DataFrame(
        {
            "sex": np.where(rng.random(subject[-1] + 1) < 0.56, "M", "F"),
            "first_age": np.clip(rng.normal(64, 16, subject[-1] + 1), 18.5, 97.0),
            "weight_kg": np.clip(rng.normal(80, 18, subject[-1] + 1), 42, 170).round(1),
        }
    )
    return pd.concat([plan, person.iloc[subject].reset_index(drop=True)], axis=1)


def _unique_ids(n: int, base: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct integers above `base`, in random order, from a range that grows with n."""
    return base + 1 + rng.permutation(max(2 * n, 89_999))[:n]


def _what_happens(plan: pd.DataFrame, rng: np.random.Generator, case_share: float) -> None:
    n = len(plan)
    shares = [case_share, *((1 - case_share) * CONTROL_SHARES[kind] for kind in KINDS[1:])]
    kind = rng.choice(KINDS, size=n, p=shares)
    paired = plan.groupby("hadm_id").stay_number.transform("size").to_numpy() == 2
    second = plan.stay_number.to_numpy() == 1
    before = np.concatenate([["plain"], kind[:-1]])
    kind[second & (before != "plain")] = "plain"
    plan["kind"] = kind
    eventful = pd.Series(kind != "plain").groupby(plan.hadm_id).transform("sum").to_numpy()
    plan["sibling_event"] = paired & (eventful > (kind != "plain"))
    event_h = FIRST_EVENT_H + rng.gamma(1.5, 18.0, n)
    late = event_h > LAST_EVENT_H
    event_h[late] = rng.uniform(30.0, LAST_EVENT_H, late.sum())
    plan["event_h"] = event_h
    plan["stay_h"] = event_h + HOURS_AFTER_EVENT + np.minimum(rng.gamma(1.3, 18.0, n), 120.0)
    plan["drift_h"] = event_h - rng.uniform(*DRIFT_H, n)
    plan["strength"] = rng.gamma(4.0, 0.25, n)


def _clock(plan: pd.DataFrame, rng: np.random.Generator) -> None:
    """
    Wall-clock times; `event_h` and `stay_h` move to whole minutes. Admissions of one person are a month or
    more apart, stays of one admission at least `BETWEEN_STAYS_H`.
    """
    n = len(plan)
    lead_h = np.minimum(0.5 + rng.exponential(12.0, n), 60.0)  # hospital, or ward, before the unit
    second = plan.stay_number.to_numpy() == 1
    lead_h[second] += BETWEEN_STAYS_H
    end_h = (lead_h + plan.stay_h).groupby(plan.hadm_id, sort=False).cumsum()
    in_h = end_h - plan.stay_h
    admission = pd.DataFrame({"hadm_id": plan.hadm_id, "subject_id": plan.subject_id, "end_h": end_h})
    admission = admission.groupby("hadm_id", sort=False).last()
    tail_h = 24.0 + rng.exponential(48.0, len(admission))
    away_h = 24.0 * rng.uniform(40, 700, len(admission))
    span_h = admission.end_h + tail_h + away_h
    begin_h = span_h.groupby(admission.subject_id, sort=False).cumsum() - span_h
    birth = rng.integers(0, 365 * 80 * 24, admission.subject_id.nunique())  # hours after 2110-01-01
    origin = pd.Series(birth, index=admission.subject_id.unique())
    begin_h = begin_h + origin.reindex(admission.subject_id).to_numpy()
    start = pd.Timestamp("2110-01-01")

    def clock(hours, unit):
        return (start + pd.to_timedelta(np.asarray(hours) * 3600.0, unit="s")).floor(unit)

    at = plan.hadm_id.map(begin_h)
    plan["admittime"] = clock(at, "min")
    plan["intime"] = clock(at + in_h, "s")
    plan["outtime"] = clock(at + end_h, "s")
    plan["dischtime"] = clock(at + plan.hadm_id.map(admission.end_h + tail_h), "min")
    plan["stay_h"] = (plan.outtime - plan.intime) / pd.Timedelta(hours=1)
    event = (plan.intime + pd.to_timedelta(plan.event_h * 3600.0, unit="s")).dt.ceil("min")
    plan["event_h"] = (event - plan.intime) / pd.Timedelta(hours=1)
    plan["age"] = plan.first_age + (at - plan.subject_id.map(origin)) / (24.0 * 365.242)
    del plan["first_age"]


def _organs(plan: pd.DataFrame, rng: np.random.Generator) -> None:
    """The first failing organ, those that follow and when, and the organ that may have one point."""
    n = len(plan)
    kind = plan.kind.to_numpy()
    first = rng.choice(6, size=n, p=list(_FIRST_ORGAN.values()))
    spare = rng.choice(6, size=n, p=list(_SPARE_ORGAN.values()))
    # a rise of two points must come from another organ; vasopressors give three
    clash = (spare == first) & (first != ORGANS.index("cardiovascular"))
    spare[clash] = ORGANS.index("cardiovascular")
    failing = np.isin(kind, ["case", "organ"])
    event_h = plan.event_h.to_numpy()
    fail_h = np.full((n, 6), np.inf)
    follows = (rng.random((n, 6)) < 0.3) & failing[:, None]
    fail_h = np.where(follows, event_h[:, None] + rng.uniform(2, 24, (n, 6)), fail_h)
    fail_h[failing, first[failing]] = event_h[failing]
    chronic = kind == "chronic"
    organ = rng.choice([ORGANS.index("coagulation"), ORGANS.index("liver"), ORGANS.index("renal")], size=n)
    fail_h[chronic, organ[chronic]] = -np.inf
    plan["first_organ"] = np.where(failing, first, -1)
    plan["spare_organ"] = spare
    for k, name in enumerate(ORGANS):
        plan[f"fail_{name}_h"] = fail_h[:, k]


def _ventilation(plan: pd.DataFrame, rng: np.random.Generator) -> None:
    """From admission for a third, later for some, and around a failing lung; never where GCS is first."""
    n = len(plan)
    stay_h = plan.stay_h.to_numpy()
    from_start = rng.random(n) < 0.33
    later = ~from_start & (rng.random(n) < 0.06)
    start = np.where(from_start, rng.uniform(0.1, 1.0, n), rng.uniform(3.0, stay_h - 6.0))
    end = np.minimum(start + np.maximum(5.0, rng.gamma(1.5, 20.0, n)), stay_h)
    ventilated = from_start | later
    start, end = np.where(ventilated, start, np.nan), np.where(ventilated, end, np.nan)
    fail_h = plan.fail_respiration_h.to_numpy()
    lung = np.isfinite(fail_h) & (fail_h < stay_h)
    already = lung & (start < fail_h - 1.5)
    start = np.where(lung & ~already, fail_h - 1.5, start)
    until = np.minimum(fail_h + 30.0, stay_h)
    end = np.where(lung, np.fmax(until, np.where(already, end, np.nan)), end)
    awake = plan.first_organ.to_numpy() == ORGANS.index("cns")
    plan["vent_start_h"] = np.where(awake, np.nan, start)
    plan["vent_end_h"] = np.where(awake, np.nan, end)
