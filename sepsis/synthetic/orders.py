"""
Orders of the synthetic patients: vasopressors, antibiotics, cultures, extubations.

Cases have a culture and an antibiotic around the onset. So have infected patients without organ failure, and
some others at other times: the label rule must find out whether a suspicion coincides with a rise in SOFA. It
finds the same onset with the hour of an antibiotic (MIMIC-IV) and with its day only (MIMIC-III).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.synthetic.course import Course

NOREPINEPHRINE, EPINEPHRINE, DOPAMINE, DOBUTAMINE = 221906, 221289, 221662, 221653
VASOPRESSIN, PHENYLEPHRINE, EXTUBATION = 222315, 221749, 227194

TRIES = 40  # draws of a culture and an antibiotic, the first fitting one is taken
EARLIEST_H, LATEST_H = -21.0, 20.0  # of a suspicion, from the event: inside Moor's -48 h to +24 h
PAIR_H = 24.0  # antibiotic first: the culture follows within this

FIRST_DRUGS = ("Vancomycin", "Piperacillin-Tazobactam", "CefePIME", "Levofloxacin", "Ciprofloxacin IV")
SECOND_DRUGS = ("MetRONIDAZOLE (FLagyl)", "Meropenem", "CeftriaXONE", "Tobramycin", "Azithromycin")
PROPHYLAXIS, EYE_DROPS = "CefazoLIN", "Ciprofloxacin 0.3% Ophth Soln"
OTHER_DRUGS = ("Heparin", "Pantoprazole", "Furosemide", "Acetaminophen")
SPECIMENS = ("BLOOD CULTURE", "URINE", "SPUTUM", "SWAB")
ORGANISMS = ("ESCHERICHIA COLI", "STAPH AUREUS COAG +", "KLEBSIELLA PNEUMONIAE", "ENTEROCOCCUS SP.")


def infusions(plan: pd.DataFrame, course: Course, rng: np.random.Generator) -> pd.DataFrame:
    """
    Vasoactive drugs: stay, start_h, end_h, item, rate, unit, status.

    Norepinephrine from the hour of cardiovascular failure, phenylephrine for a few others (no SOFA points). A
    corrected row's first version stays as "Rewritten".
    """
    fail_h, stay_h = plan.fail_cardiovascular_h.to_numpy(), plan.stay_h.to_numpy()
    who = np.flatnonzero(np.isfinite(fail_h) & (fail_h < stay_h - 1.0))
    pieces = rng.integers(2, 7, len(who))
    stay = np.repeat(who, pieces)
    length = rng.uniform(1.0, 8.0, len(stay))
    after = pd.Series(length).groupby(stay).cumsum().to_numpy()
    begin = fail_h[stay] + after - length
    end = np.minimum(fail_h[stay] + after, stay_h[stay] - 0.05)
    rate = np.clip(rng.gamma(2.0, 0.05, len(stay)), 0.02, 0.9)
    last = np.append(stay[1:] != stay[:-1], True)[: len(stay)]
    status = np.where(last, np.where(rng.random(len(stay)) < 0.5, "Stopped", "FinishedRunning"), "Changed")
    main = _infusion(stay, begin, end, NOREPINEPHRINE, rate, "mcg/kg/min", status)
    again = rng.random(len(stay)) < 0.08
    rewritten = main[again].assign(rate=rate[again] * 2, status="Rewritten")
    frames = [main, rewritten]
    extra = rng.choice(4, size=len(who), p=[0.7, 0.15, 0.1, 0.05])
    for number, (item, low, high, unit) in enumerate(
        [
            (VASOPRESSIN, 1.2, 2.4, "units/hour"),
            (DOPAMINE, 2.0, 12.0, "mcg/kg/min"),
            (DOBUTAMINE, 2.0, 8.0, "mcg/kg/min"),
        ],
        start=1,
    ):
        mine = who[extra == number]
        start = fail_h[mine] + rng.uniform(1.0, 6.0, len(mine))
        stop = np.minimum(start + rng.uniform(2.0, 20.0, len(mine)), stay_h[mine] - 0.05)
        value = rng.uniform(low, high, len(mine)).round(2)
        frames.append(_infusion(mine, start, stop, item, value, unit, "FinishedRunning"))
    others = np.flatnonzero(~np.isfinite(fail_h) & (rng.random(len(plan)) < 0.03))
    start = rng.uniform(0.2, 4.0, len(others))
    stop = start + rng.uniform(1.0, 3.0, len(others))
    rate = rng.uniform(0.3, 2.0, len(others)).round(2)
    frames.append(_infusion(others, start, stop, PHENYLEPHRINE, rate, "mcg/kg/min", "Stopped"))
    rows = pd.concat(frames, ignore_index=True)
    rows = rows[rows.end_h > rows.start_h + 1 / 60]
    return rows.sort_values(["stay", "start_h", "item", "status"], kind="stable", ignore_index=True)


def _infusion(stay, start_h, end_h, item, rate, unit, status) -> pd.DataFrame:
    columns = {"stay": stay, "start_h": start_h, "end_h": end_h, "item": item}
    return pd.DataFrame({**columns, "rate": np.asarray(rate, float), "unit": unit, "status": status})


def extubations(plan: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Recorded extubations: stay, time_h, item."""
    end_h = plan.vent_end_h.to_numpy()
    who = np.flatnonzero((end_h < plan.stay_h.to_numpy() - 0.1) & (rng.random(len(plan)) < 0.8))
    return pd.DataFrame({"stay": who, "time_h": end_h[who], "item": EXTUBATION})


def antibiotics_and_cultures(
    plan: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """
    Prescriptions (stay, time_h, stop_h, drug, route, kind), cultures (stay, time_h, specimen, organism or
    None, day_only) and pairs (culture_h, antibiotic_h), by row of `plan`: the first suspicion with hours
    known, NaN where none was intended.
    """
    n = len(plan)
    kind = plan.kind.to_numpy()
    pairs = _pairs(plan, rng)
    drugs, specimens = _Table(), _Table()
    who = np.flatnonzero(pairs.culture_h.notna())
    culture_h, antibiotic_h = pairs.culture_h.to_numpy()[who], pairs.antibiotic_h.to_numpy()[who]
    grew = rng.random(len(who)) < np.where(kind[who] == "case", 0.45, 0.15)
    _specimen(specimens, rng, who, culture_h, grew)
    later = rng.random(len(who)) < 0.5
    more_h = culture_h[later] + rng.uniform(24.0, 60.0, later.sum())
    _specimen(specimens, rng, who[later], more_h, rng.random(later.sum()) < 0.15, day_only=0.2)
    _drug(drugs, who, antibiotic_h, rng.choice(FIRST_DRUGS, len(who)), rng)
    second = rng.random(len(who)) < 0.6
    _drug(drugs, who[second], antibiotic_h[second] + 0.5, rng.choice(SECOND_DRUGS, second.sum()), rng)
    # Others get a culture alone, an antibiotic alone, or eye drops (no systemic treatment), unless another
    # stay of the admission has a suspicion of its own.
    alone = np.flatnonzero(pairs.culture_h.isna() & ~plan.sibling_event & (kind != "case"))
    alone = alone[plan.stay_number.to_numpy()[alone] == 0]
    choice = rng.random(len(alone))
    cultured, treated = alone[choice < 0.28], alone[(choice >= 0.28) & (choice < 0.5)]
    when = rng.uniform(1.0, plan.stay_h.to_numpy()[cultured])
    _specimen(specimens, rng, cultured, when, rng.random(len(cultured)) < 0.05)
    drops = rng.random(len(cultured)) < 0.06
    _drug(drugs, cultured[drops], when[drops] + 2.0, np.full(drops.sum(), EYE_DROPS), rng, "BOTH EYES")
    lead_h = ((plan.admittime - plan.intime) / pd.Timedelta(hours=1)).to_numpy()
    when = np.maximum(lead_h[treated] + 0.1, rng.uniform(-10.0, 6.0, len(treated)))
    _drug(drugs, treated, when, np.full(len(treated), PROPHYLAXIS), rng)
    for name in OTHER_DRUGS:
        given = np.flatnonzero(rng.random(n) < 0.5)
        _drug(drugs, given, rng.uniform(0.0, 12.0, len(given)), np.full(len(given), name), rng)
    return drugs.frame(), specimens.frame(), pairs


def _pairs(plan: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """
    A culture and an antibiotic for cases, infected controls, and a few with organ failure much later.

    The first draw that fits is taken: the suspicion lies in `EARLIEST_H`..`LATEST_H` of the event, with the
    antibiotic's hour and with its midnight, and both make a pair with the culture.
    """
    n = len(plan)
    kind = plan.kind.to_numpy()
    event_h = plan.event_h.to_numpy()
    far = (kind == "organ") & (event_h > 50.0) & (rng.random(n) < 0.4)
    around = np.where(far, -4.0, event_h)
    culture_h = around[:, None] + np.clip(rng.normal(2.0, 5.0, (n, TRIES)), -10.0, 16.0)
    culture_first = rng.random((n, TRIES)) < 0.75
    gap = np.where(
        culture_first, rng.exponential(3.0, (n, TRIES)) + 0.1, -rng.exponential(3.0, (n, TRIES)) - 0.1
    )
    antibiotic_h = culture_h + np.clip(gap, -14.0, 30.0)
    culture_h, antibiotic_h = (_whole_minutes(plan, hours) for hours in (culture_h, antibiotic_h))
    midnight_h = _midnight(plan, antibiotic_h)
    fits = np.ones((n, TRIES), dtype=bool)
    for order_h in (antibiotic_h, midnight_h):
        suspicion_h = np.minimum(culture_h, order_h)
        fits &= order_h > culture_h - PAIR_H + 0.1
        fits &= (suspicion_h >= around[:, None] + EARLIEST_H) & (suspicion_h <= around[:, None] + LATEST_H)
    lead_h = ((plan.admittime - plan.intime) / pd.Timedelta(hours=1)).to_numpy()
    out_h = ((plan.dischtime - plan.intime) / pd.Timedelta(hours=1)).to_numpy()
    fits &= (np.minimum(culture_h, antibiotic_h) >= lead_h[:, None]) & (culture_h <= out_h[:, None])
    # a patient so early in the admission that nothing fits: culture and antibiotic at the event
    pick, row = fits.argmax(axis=1), np.arange(n)
    wanted = (np.isin(kind, ["case", "infection"]) | far) & fits.any(axis=1)
    pairs = {"culture_h": culture_h[row, pick], "antibiotic_h": antibiotic_h[row, pick]}
    return pd.DataFrame(pairs, index=plan.index).where(pd.Series(wanted, index=plan.index))


def _whole_minutes(plan: pd.DataFrame, hours: np.ndarray) -> np.ndarray:
    second = plan.intime.dt.second.to_numpy()[:, None] / 3600.0
    return np.floor((hours + second) * 60.0 + 1e-6) / 60.0 - second


def _midnight(plan: pd.DataFrame, hours: np.ndarray) -> np.ndarray:
    of_day = ((plan.intime - plan.intime.dt.normalize()) / pd.Timedelta(hours=1)).to_numpy()[:, None]
    return np.floor((hours + of_day) / 24.0 + 1e-9) * 24.0 - of_day


class _Table:
    def __init__(self):
        self._parts: list[pd.DataFrame] = []

    def add(self, **columns) -> None:
        self._parts.append(pd.DataFrame(columns))

    def frame(self) -> pd.DataFrame:
        rows = pd.concat(self._parts, ignore_index=True)
        return rows.sort_values(["stay", "time_h"], kind="stable", ignore_index=True)


def _specimen(table: _Table, rng, stay, time_h, grew, *, day_only: float = 0.0) -> None:
    n = len(stay)
    specimen = rng.choice(SPECIMENS, n, p=[0.55, 0.2, 0.15, 0.1])
    organism = pd.Series(rng.choice(ORGANISMS, n), dtype="str").where(pd.Series(grew, dtype=bool), None)
    day = rng.random(n) < day_only
    table.add(stay=stay, time_h=time_h, specimen=specimen, organism=organism, day_only=day)


def _drug(table: _Table, stay, time_h, drug, rng, route: str = "IV") -> None:
    stop_h = np.asarray(time_h) + 24.0 * rng.integers(1, 7, len(stay))
    table.add(stay=stay, time_h=time_h, stop_h=stop_h, drug=drug, route=route, kind="MAIN")
