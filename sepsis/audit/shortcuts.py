"""
Leak: the class can be predicted from how long, how recently or how much was charted, by whom, or whether a
variable was measured at all. Where one such number separates cases from controls at a horizon, the cohort
offers this shortcut to every model. Two more, the rows of the whole record and the time left in the unit,
know the future: no honest model can see them, and a model that follows them does not predict.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from sepsis.audit.case import SOFT, AuditCase, Finding, soft, unchecked
from sepsis.audit.laboratory import laboratory_variables, repeated
from sepsis.audit.separation import Separation, separation
from sepsis.cohort.windows import Windows

MAX_AUROC = 0.6  # in either direction; the interval must also exclude 0.5
ONE_CLASS = "only one class"
MAX_LEVELS = 30  # a constant with so few levels may be a code: of a unit, a site
CHARTED = 0.5  # share of stays that have a value of a constant
EARLY_H = 1.0  # a constant is charted by then
NEARLY_ALL = 0.95
# columns of `stays` that are no facts at admission; `sepsis_code` is a diagnosis at discharge
NO_FACTS = ("subject_id", "hadm_id", "intime", "outtime", "stay_h", "exclusion", "sepsis_code")
PARTS = 5  # of persons: the rate of cases at a level comes from the others


def length_alone(case: AuditCase) -> Finding:
    """Length of stay so far at the prediction."""
    return _alone(case, "length alone", lambda X: X.end_h)


def gap_alone(case: AuditCase) -> Finding:
    """Time since anything was charted; since the start of the window if nothing was."""
    return _alone(case, "gap alone", hours_since_anything)


def count_alone(case: AuditCase) -> Finding:
    """Number of values in the window."""
    return _alone(case, "count alone", lambda X: np.diff(X.offsets).astype(float))


def density_alone(case: AuditCase) -> Finding:
    """Values per hour of the window."""
    return _alone(case, "density alone", lambda X: np.diff(X.offsets) / np.maximum(X.end_h - X.start_h, 1.0))


def repeats_alone(case: AuditCase) -> Finding:
    """Laboratory values in the window that repeat the one before, of all variables or of one."""
    names = laboratory_variables(case.model.concepts_)
    return _best(case, "repeats alone", _repeats, (*names, "the laboratory") if names else ())


def presence_alone(case: AuditCase) -> Finding:
    """Whether a variable was measured in the window."""
    return _best(case, "presence alone", _presence, case.model.concepts_)


def static_alone(case: AuditCase) -> Finding:
    """
    What is known at admission and never changes: variables of the model that are constant in a stay, and
    further columns of `stays`. Of codes, the rate of cases among other persons of the same code.
    """
    check = "constant alone"
    members = case.compared
    is_case = members.is_case.to_numpy(bool)
    if is_case.all() or not is_case.any():
        return unchecked(check, SOFT, ONE_CLASS)
    constants = _constants(case)
    if not constants:
        return soft(check, False, 0.5, "no variable is constant in a stay")
    found = []
    for name, value in constants.items():
        value = value.reindex(members.stay_id).to_numpy(float)
        number, directed = np.nan_to_num(value, nan=-1e9), False
        if len(np.unique(number)) <= MAX_LEVELS:
            number, directed = _rate_of_others(number, is_case, members.person.to_numpy(), case.seed), True
        found.append((_separation(case, number, tries=len(constants), directed=directed), name))
    best, name = max(found, key=lambda one: (one[0].low > 0.5, one[0].area))
    return _finding(check, best, f"{name} ({len(constants)} are constant in a stay)")


def rows_alone(case: AuditCase) -> Finding:
    """Number of rows of the whole record: it includes the future, and no honest model sees it."""
    rows = case.events.groupby("stay_id").size()
    return _whole(
        case, "rows of the record alone", rows.reindex(case.compared.stay_id).fillna(0.0).to_numpy(float)
    )


def time_left_alone(case: AuditCase) -> Finding:
    """Time left in the unit at the reference: it is the future, and no honest model sees it."""
    members = case.compared
    return _whole(case, "time left alone", (members.stay_h - members.reference_h).fillna(0.0).to_numpy(float))


def hours_since_anything(X: Windows) -> np.ndarray:
    """Hours from the last observation in a window to its end, shape (B,)."""
    last = X.start_h.copy()
    filled = np.diff(X.offsets) > 0
    last[filled] = X.time_h[X.offsets[1:][filled] - 1]
    return X.end_h - last


def _alone(case: AuditCase, check: str, number: Callable[[Windows], np.ndarray]) -> Finding:
    """The best AUROC of a number over the horizons, in either direction."""
    return _best(case, check, lambda X: number(X)[:, None], ("",))


def _best(case: AuditCase, check: str, numbers: Callable[[Windows], np.ndarray], names) -> Finding:
    """The number of those in columns (B, K), by name, and the horizon that separate the classes best."""
    is_case = case.compared.is_case.to_numpy(bool)
    if is_case.all() or not is_case.any() or not names:
        return unchecked(check, SOFT, ONE_CLASS if names else "no such variable")
    tries = len(names) * len(case.horizons)
    found = [
        (_separation(case, number, tries=tries), name, horizon)
        for horizon, X in case.horizon_windows.items()
        for name, number in zip(names, numbers(X).T, strict=True)
    ]
    best, name, horizon = max(found, key=lambda one: (one[0].low > 0.5, one[0].area))
    return _finding(check, best, f"{'of ' + name + ' ' if name else ''}at {horizon:g} h")


def _whole(case: AuditCase, check: str, number: np.ndarray) -> Finding:
    is_case = case.compared.is_case.to_numpy(bool)
    if is_case.all() or not is_case.any():
        return unchecked(check, SOFT, ONE_CLASS)
    return _finding(check, _separation(case, number), "it includes the future, which no honest model sees")


def _separation(case: AuditCase, number: np.ndarray, *, tries: int = 1, directed: bool = False) -> Separation:
    members = case.compared
    return separation(
        members.is_case.to_numpy(bool), number, members.person.to_numpy(), tries=tries, directed=directed
    )


def _finding(check: str, found: Separation, where: str) -> Finding:
    noted = found.area > MAX_AUROC and found.low > 0.5
    return soft(check, noted, found.area, f"{found} {where}; more than {MAX_AUROC:g} is a shortcut")


def _presence(X: Windows) -> np.ndarray:
    """Whether each variable has a value in each window, shape (B, C)."""
    seen = np.zeros(X.shape)
    seen[np.repeat(np.arange(len(X)), np.diff(X.offsets)), X.concept] = 1.0
    return seen


def _repeats(X: Windows) -> np.ndarray:
    """Per window and laboratory variable, values that repeat the one before; last, their share of all."""
    names = laboratory_variables(X.concepts)
    column = np.full(len(X.concepts), -1)
    column[[X.concepts.index(name) for name in names]] = np.arange(len(names))
    owner = np.repeat(np.arange(len(X)), np.diff(X.offsets))
    telling = column[X.concept] >= 0
    table = pd.DataFrame({"stay_id": owner, "concept": X.concept, "time_h": X.time_h, "value": X.value})[
        telling
    ]
    same = repeated(table).to_numpy(bool)
    cell = table.stay_id.to_numpy() * len(names) + column[table.concept.to_numpy()]
    size = len(X) * len(names)
    counts = np.bincount(cell[same], minlength=size).reshape(len(X), len(names)).astype(float)
    values = np.bincount(table.stay_id, minlength=len(X))
    return np.column_stack([counts, counts.sum(axis=1) / np.maximum(values, 1)])


def _constants(case: AuditCase) -> dict[str, pd.Series]:
    """Value by stay_id of each variable that most stays have from the start and that never changes."""
    members = case.compared.drop_duplicates("stay_id")
    events = case.events_of(members)
    events = events[events.time_h >= 0]
    by_stay = events.groupby(["concept", "stay_id"]).agg(
        first_h=("time_h", "min"), least=("value", "min"), most=("value", "max")
    )
    found = {}
    for name, stays in by_stay.groupby(level="concept"):
        constant = (stays.first_h <= EARLY_H) & (stays.least == stays.most)
        if len(stays) > CHARTED * len(members) and constant.mean() > NEARLY_ALL:
            found[str(name)] = stays.least.droplevel("concept")
    facts = case.stays.set_index("stay_id")
    for name in facts.columns.difference(NO_FACTS):
        code, _ = pd.factorize(facts[name], sort=True)
        if len(np.unique(code)) > 1:
            found[name] = pd.Series(code.astype(float), index=facts.index)
    return found


def _rate_of_others(level, is_case, person, seed: int) -> np.ndarray:
    """Rate of cases at each row's level among the persons of the other parts, shrunk by one member."""
    people, unit = np.unique(person, return_inverse=True)
    part = (np.random.default_rng(seed).permutation(len(people)) % PARTS)[unit]
    _, code = np.unique(level, return_inverse=True)
    rate = np.empty(len(level))
    for k in range(PARTS):
        others, mine = part != k, part == k
        n = np.bincount(code[others], minlength=code.max() + 1)
        cases = np.bincount(code[others], weights=is_case[others], minlength=code.max() + 1)
        rate[mine] = ((cases + is_case.mean()) / (n + 1.0))[code[mine]]
    return rate
