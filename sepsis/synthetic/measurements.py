"""
Measurements of the synthetic patients: charted values, laboratory values, urine output.

Sicker patients are measured a little more often, whatever the cause. One reading is forced: the first sign of
organ failure, at the event itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.synthetic import items
from sepsis.synthetic.course import Course
from sepsis.synthetic.plan import ORGANS

VISIT_H, DRAW_H = 0.85, 6.0  # mean step between chances to chart, and to draw blood
LAB_LEAD_H = 20.0  # the ward's values, at most this long before ICU admission


class Rows:
    """Readings gathered piece by piece: stay (row of the plan), time_h, item, value, text."""

    def __init__(self):
        self._parts: list[pd.DataFrame] = []

    def add(self, stay: np.ndarray, time_h: np.ndarray, item: int, value=np.nan, text=None) -> None:
        """Append readings; `value` is NaN for text alone, `text` None where the number is the whole cell."""
        part = {"stay": stay, "time_h": time_h, "item": item, "value": value, "text": text}
        self._parts.append(pd.DataFrame(part).astype({"text": "str", "item": "int32", "value": "float64"}))

    def frame(self) -> pd.DataFrame:
        """All rows, by stay and time."""
        rows = pd.concat(self._parts, ignore_index=True)
        return rows.sort_values(["stay", "time_h", "item"], kind="stable", ignore_index=True)


def visits(
    begin_h: np.ndarray, end_h: np.ndarray, step_h: float, course: Course, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """
    Irregular times, by stay and ascending, at which something may be measured: stay, time_h.

    Steps are gamma distributed (SD a third of the mean); an eighth of the chances is missed by the healthy,
    one in twenty-five by the ill, and a third of the stays has one longer gap.
    """
    n = len(begin_h)
    most = int(np.ceil(np.max(end_h - begin_h) / step_h * 1.3 + 12))
    time_h = begin_h[:, None] + np.cumsum(rng.gamma(9.0, step_h / 9.0, (n, most)), axis=1)
    gap_begin = rng.uniform(begin_h, end_h)
    gap_end = gap_begin + np.where(rng.random(n) < 0.33, step_h * rng.uniform(2.0, 5.0, n), 0.0)
    inside = (time_h < end_h[:, None]) & ~((time_h > gap_begin[:, None]) & (time_h < gap_end[:, None]))
    stay, column = np.nonzero(inside)
    time_h = time_h[stay, column]
    keep = rng.random(len(stay)) < 0.875 + 0.085 * course.at(course.illness, stay, time_h)
    return stay[keep], time_h[keep]


def charted(plan: pd.DataFrame, course: Course, rng: np.random.Generator) -> pd.DataFrame:
    """Vital signs, GCS, ventilator and oxygen, weight: columns of `Rows`."""
    rows = Rows()
    stay, time_h = visits(np.full(len(plan), 0.02), plan.stay_h.to_numpy(), VISIT_H, course, rng)
    _vitals(rows, plan, course, rng, stay, time_h)
    some = rng.random(len(stay)) < 0.24
    _consciousness(rows, plan, course, rng, stay[some], time_h[some])
    first_cns = np.flatnonzero(plan.first_organ.to_numpy() == ORGANS.index("cns"))
    _consciousness(rows, plan, course, rng, first_cns, plan.event_h.to_numpy()[first_cns])
    _ventilator(rows, plan, rng, stay, time_h)
    who = np.flatnonzero(rng.random(len(plan)) < 0.9)
    rows.add(who, rng.uniform(0.1, 3.0, len(who)), items.WEIGHT, plan.weight_kg.to_numpy()[who])
    return rows.frame()


def _vitals(rows, plan, course, rng, stay, time_h) -> None:
    def chance(share):
        return rng.random(len(stay)) < share

    for name, item, share in (
        ("heart_rate", items.HEART_RATE, 0.97),
        ("resp_rate", items.RESP_RATE, 0.95),
        ("spo2", items.SPO2, 0.94),
    ):
        k = chance(share)
        value = course.read(name, stay[k], time_h[k])
        slip = rng.random(len(value)) < 0.0004  # a slip of the keyboard: out of any range
        rows.add(stay[k], time_h[k], item, np.where(slip, value * 10 + 1000, value))
    line = rng.random(len(plan)) < 0.4
    for ids, who in ((items.LINE, line[stay]), (items.CUFF, ~line[stay])):
        k = who & chance(0.93)
        mean = course.read("map", stay[k], time_h[k])
        pulse = course.read("pulse_pressure", stay[k], time_h[k])
        rows.add(stay[k], time_h[k], ids["map"], mean)
        rows.add(stay[k], time_h[k], ids["sbp"], np.round(mean + 0.64 * pulse))
        rows.add(stay[k], time_h[k], ids["dbp"], np.round(mean - 0.36 * pulse))
    k = chance(0.26)
    celsius = course.read("temperature", stay[k], time_h[k])
    metric = (rng.random(len(plan)) < 0.15)[stay[k]]
    rows.add(stay[k][metric], time_h[k][metric], items.TEMP_C, celsius[metric].round(1))
    rows.add(stay[k][~metric], time_h[k][~metric], items.TEMP_F, (celsius[~metric] * 1.8 + 32).round(1))


def _consciousness(rows, plan, course, rng, stay, time_h) -> None:
    start, end = plan.vent_start_h.to_numpy()[stay], plan.vent_end_h.to_numpy()[stay]
    tube = (time_h >= start) & (time_h < end)
    spare = plan.spare_organ.to_numpy()[stay] == ORGANS.index("cns")
    fails = course.failing("cns", stay, time_h)
    verbal = np.where(spare, 4, 5)
    verbal = np.where(fails, rng.choice([2, 3], len(stay)), verbal)
    motor = np.where(fails, 5, 6)
    eye = np.where(fails, rng.choice([3, 4], len(stay)), 4)
    motor = np.where(tube, rng.choice([4, 5, 6], len(stay), p=[0.2, 0.3, 0.5]), motor)
    eye = np.where(tube, rng.choice([1, 2, 3, 4], len(stay), p=[0.2, 0.2, 0.3, 0.3]), eye)
    verbal = np.where(tube, 1, verbal)
    said = np.where(tube, items.TUBE_VERBAL, pd.Series(verbal).map(items.VERBAL).to_numpy(object))
    rows.add(stay, time_h, items.GCS_VERBAL, verbal, said)
    rows.add(stay, time_h, items.GCS_MOTOR, motor, pd.Series(motor).map(items.MOTOR).to_numpy(object))
    rows.add(stay, time_h, items.GCS_EYE, eye, pd.Series(eye).map(items.EYE).to_numpy(object))


def fio2_percent(plan: pd.DataFrame, stay: np.ndarray, time_h: np.ndarray) -> np.ndarray:
    """The oxygen a ventilated patient gets: 40 or 50 %, 60 to 90 % once the lungs fail."""
    base = np.where(plan.stay_id.to_numpy() % 2 == 0, 40.0, 50.0)[stay]
    more = 60.0 + 10.0 * (plan.stay_id.to_numpy() % 4)[stay]
    return np.where(time_h >= plan.fail_respiration_h.to_numpy()[stay], more, base)


def _ventilator(rows, plan, rng, stay, time_h) -> None:
    start, end = plan.vent_start_h.to_numpy(), plan.vent_end_h.to_numpy()
    on = (time_h >= start[stay]) & (time_h < end[stay])
    some = on & (rng.random(len(stay)) < 0.4)
    begins = np.flatnonzero(~np.isnan(start))
    at = np.concatenate([time_h[some], start[begins] + 0.1, start[begins] + 0.6])
    who = np.concatenate([stay[some], begins, begins])
    inside = at < end[who]
    who, at = who[inside], at[inside]
    tidal = np.where(plan.sex.to_numpy() == "M", 480.0, 400.0)
    rows.add(who, at, items.TIDAL_SET, tidal[who])
    rows.add(who, at, items.FIO2, fio2_percent(plan, who, at))
    who, at = stay[some], time_h[some]
    tidal = tidal[who]
    rows.add(who, at, items.TIDAL_SEEN, np.round(tidal + rng.normal(0, 35, len(who))))
    rows.add(who, at, items.PEAK_PRESSURE, np.round(rng.normal(20, 4, len(who)).clip(8, 45)))
    rows.add(who, at, items.PEEP_SET, rng.choice([5.0, 8.0], len(who), p=[0.8, 0.2]))
    rows.add(who, at, items.PEEP_TOTAL, np.round(rng.normal(6, 1, len(who)).clip(3, 15), 1))
    few = rng.random(len(who)) < 0.3
    rows.add(who[few], at[few], items.VENT_MODE, text="CMV/ASSIST/AutoFlow")
    rows.add(who[few], at[few], items.VENT_TYPE, 1.0, "Drager")
    rows.add(who[few], at[few], items.O2_DEVICE, text="Endotracheal tube")
    free = ~on & (rng.random(len(stay)) < 0.12)
    nasal = (rng.random(len(plan)) < 0.6)[stay] & free
    rows.add(stay[nasal], time_h[nasal], items.O2_DEVICE, text="Nasal cannula")
    rows.add(stay[nasal], time_h[nasal], items.O2_FLOW, rng.choice([2.0, 3.0, 4.0], nasal.sum()))
    rows.add(stay[free & ~nasal], time_h[free & ~nasal], items.O2_DEVICE, text="None")


def laboratory(plan: pd.DataFrame, course: Course, rng: np.random.Generator) -> pd.DataFrame:
    """Panels and blood gases: columns of `Rows`."""
    rows = Rows()
    n = len(plan)
    known_h = ((plan.admittime - plan.intime) / pd.Timedelta(hours=1)).to_numpy()
    earliest = np.where(rng.random(n) < 0.6, np.maximum(known_h + 0.2, -LAB_LEAD_H), 0.1)
    stay, time_h = visits(earliest, plan.stay_h.to_numpy(), DRAW_H, course, rng)
    k = rng.random(len(stay)) < 0.55
    for name, item in items.CHEMISTRY.items():
        rows.add(stay[k], time_h[k], item, course.read(name, stay[k], time_h[k]))
    k = rng.random(len(stay)) < 0.50
    _blood_count(rows, course, rng, stay[k], time_h[k])
    k = (rng.random(len(stay)) < 0.20) & (rng.random(n) < 0.7)[stay]
    for name, item in items.LIVER.items():
        rows.add(stay[k], time_h[k], item, course.read(name, stay[k], time_h[k]))
    k = rng.random(len(stay)) < 0.33
    inr = course.read("inr", stay[k], time_h[k])
    rows.add(stay[k], time_h[k], items.CLOTTING["inr"], inr)
    rows.add(stay[k], time_h[k], items.PROTHROMBIN, (11.6 * inr).round(1))
    rows.add(stay[k], time_h[k], items.CLOTTING["ptt"], course.read("ptt", stay[k], time_h[k]))
    for name, item in items.RARE.items():
        k = rng.random(len(stay)) < 0.05
        rows.add(stay[k], time_h[k], item, course.read(name, stay[k], time_h[k]))
    _gases(rows, plan, course, rng)
    _first_failure(rows, plan, course)
    return rows.frame()


def _first_failure(rows, plan, course) -> None:
    """The one value in which the first failing organ shows, alone: a whole panel would mark the hour."""
    first, event_h = plan.first_organ.to_numpy(), plan.event_h.to_numpy()
    for organ, name, item in (
        ("renal", "creatinine", items.CHEMISTRY["creatinine"]),
        ("coagulation", "platelets", items.BLOOD_COUNT["platelets"]),
        ("liver", "bilirubin_total", items.LIVER["bilirubin_total"]),
    ):
        who = np.flatnonzero(first == ORGANS.index(organ))
        rows.add(who, event_h[who], item, course.read(name, who, event_h[who]))
    who = np.flatnonzero(first == ORGANS.index("respiration"))
    fio2 = fio2_percent(plan, who, event_h[who])
    rows.add(who, event_h[who], items.PO2, np.ceil(course.read("pf_ratio", who, event_h[who]) * fio2 / 100.0))
    rows.add(who, event_h[who], items.FIO2_LAB, fio2)
    rows.add(who, event_h[who], items.SPECIMEN, text="ART")


def _blood_count(rows, course, rng, stay, time_h) -> None:
    rows.add(stay, time_h, items.BLOOD_COUNT["wbc"], course.read("wbc", stay, time_h))
    rows.add(stay, time_h, items.BLOOD_COUNT["platelets"], course.read("platelets", stay, time_h))
    hemoglobin = course.read("hemoglobin", stay, time_h)
    rows.add(stay, time_h, items.BLOOD_COUNT["hemoglobin"], hemoglobin)
    rows.add(stay, time_h, items.HEMATOCRIT, (2.95 * hemoglobin + rng.normal(0, 0.4, len(stay))).round(1))
    k = rng.random(len(stay)) < 0.2
    rows.add(stay[k], time_h[k], items.BANDS, course.read("bands", stay[k], time_h[k]))


def _gases(rows, plan, course, rng) -> None:
    """
    Arterial gases while ventilated, venous ones otherwise. One on room air says so: with an FiO2 charted
    before extubation it would look like failure.
    """
    n = len(plan)
    stay, time_h = visits(np.full(n, 0.1), plan.stay_h.to_numpy(), 5.0, course, rng)
    tube = (time_h >= plan.vent_start_h.to_numpy()[stay]) & (time_h < plan.vent_end_h.to_numpy()[stay])
    keep = rng.random(len(stay)) < np.where(tube, 0.85, 0.30)
    stay, time_h, tube = stay[keep], time_h[keep], tube[keep]
    room = ~tube & (rng.random(len(stay)) < 0.15)
    arterial = tube | room
    for name, item in items.GAS.items():
        value = course.read(name, stay, time_h)
        rows.add(stay, time_h, item, value + np.where(arterial, 0, {"pco2": 6, "ph": -0.03}.get(name, 0)))
    fio2 = np.where(tube, fio2_percent(plan, stay, time_h), 21.0)
    po2 = np.ceil(course.read("pf_ratio", stay, time_h) * fio2 / 100.0)
    rows.add(
        stay, time_h, items.PO2, np.where(arterial, po2, rng.normal(40, 5, len(stay)).clip(24, 58).round())
    )
    k = arterial & (room | (rng.random(len(stay)) < 0.6))
    rows.add(stay[k], time_h[k], items.FIO2_LAB, fio2[k])
    saturation = np.where(arterial, 97.0, 70.0) + rng.normal(0, 1, len(stay)).clip(-2, 2)
    k = rng.random(len(stay)) < 0.3
    rows.add(stay[k], time_h[k], items.SO2, saturation[k].round())
    k = rng.random(len(stay)) < 0.7
    rows.add(stay[k], time_h[k], items.LACTATE, course.read("lactate", stay[k], time_h[k]))
    specimen = np.where(
        arterial, "ART", rng.choice(["VEN", "MIX", "CENTRAL VENOUS"], len(stay), p=[0.8, 0.1, 0.1])
    )
    k = ~arterial | (rng.random(len(stay)) < 0.92)
    rows.add(stay[k], time_h[k], items.SPECIMEN, text=specimen[k])


def outputs(plan: pd.DataFrame, course: Course, rng: np.random.Generator) -> pd.DataFrame:
    """Urine: a catheter read about hourly, or voiding every few hours; some bladders are irrigated."""
    rows = Rows()
    n = len(plan)
    end_h = plan.stay_h.to_numpy()
    habit = rng.choice(["catheter", "void", "irrigated"], size=n, p=[0.75, 0.23, 0.02])
    for name, step_h in (("catheter", 1.1), ("void", 4.5), ("irrigated", 1.1)):
        who = np.flatnonzero(habit == name)
        stay, time_h = visits(np.full(n, 0.05), end_h, step_h, course, rng)
        mine = np.isin(stay, who)
        stay, time_h = stay[mine], time_h[mine]
        before = np.where(np.r_[True, stay[1:] != stay[:-1]], 0.0, np.r_[0.0, time_h[:-1]])
        volume = np.ceil(course.read("urine_rate", stay, time_h) * (time_h - before))
        if name == "irrigated":
            rows.add(stay, time_h, items.IRRIGANT_IN, 250.0)
            rows.add(stay, time_h, items.IRRIGANT_OUT, 250.0 + volume)
        else:
            rows.add(stay, time_h, items.FOLEY if name == "catheter" else items.VOID, volume)
    return rows.frame()
