"""Mean risk by hours to onset, in cases and in controls."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.cohort.windows import concatenated_ranges
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import Statistic, percentile_interval, resampled, together, units_of
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import ratio

FROM_H, TO_H = -24, 12
COLUMNS = ["model", "class", "hours_to_onset", "mean", "low", "high", "n"]


def risk_around_onset(
    hours: Hours, members: pd.DataFrame, *, n_bootstrap: int, level: float, random_state
) -> pd.DataFrame:
    """
    Mean risk of cases by hours to onset, and of controls by hours to the reference of each of their sets.

    Reads    members as `sepsis.evaluation.risk_set.members_of`; those without hourly scores are left out
    A risk counts for the whole hour that contains it: -1 is the hour that ends at onset. n counts stays.
    """
    place = pd.Index(hours.stay_id).get_indexer(members.stay_id)
    members, place = members[place >= 0], place[place >= 0]
    is_case = members.is_case.to_numpy(bool)
    reference_h = np.where(is_case, hours.onset_h[place], members.reference_h.to_numpy(float))
    hour = concatenated_ranges(hours.start[place], hours.start[place + 1])
    row = np.repeat(np.arange(len(place)), np.diff(hours.start)[place])
    after = np.floor(hours.time_h[hour] - reference_h[row] + TOLERANCE_H)
    there = (after >= FROM_H) & (after <= TO_H)  # false where the reference is not known
    columns = (after[there] - FROM_H).astype(int)
    return _curve(
        hours.models, hours.subject_id[place], is_case, row[there], columns, hours.risk[:, hour[there]],
        np.arange(FROM_H, TO_H + 1), n_bootstrap, level, random_state,
    )  # fmt: skip


def risk_at_horizons(risk_set: RiskSet, *, n_bootstrap: int, level: float, random_state) -> pd.DataFrame:
    """`risk_around_onset` from fixed-horizon risks, one point per horizon."""
    size, n_horizons = len(risk_set.stay_id), len(risk_set.horizons)
    stay, column = np.tile(np.arange(size), n_horizons), np.repeat(np.arange(n_horizons), size)
    risk = risk_set.risk.reshape(len(risk_set.models), -1)
    return _curve(
        risk_set.models, risk_set.subject_id, risk_set.is_case, stay, column, risk, -risk_set.horizons,
        n_bootstrap, level, random_state,
    )  # fmt: skip


def _curve(
    models, subject_id, is_case, stay, column, risk, places, n_bootstrap, level, random_state
) -> pd.DataFrame:
    """Means by class and place; stay and column (T,) locate each risk (M, T)."""
    unit, has_event = units_of(subject_id, is_case)
    shape = (len(has_event), len(places))
    statistics, stays = {}, {}
    for name, chosen in (("case", is_case[stay]), ("control", ~is_case[stay])):
        cell = unit[stay[chosen]] * shape[1] + column[chosen]
        count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        visits = np.unique(np.stack([column[chosen], stay[chosen]]), axis=1)[0]
        stays[name] = np.bincount(visits, minlength=shape[1])
        for m in range(len(models)):
            total = np.bincount(cell, weights=risk[m, chosen], minlength=count.size).reshape(shape)
            statistics[m, name] = _weighted_mean(total, count.astype(float))
    estimates = together(statistics)(np.ones((1, shape[0]), np.int32))
    samples = resampled(has_event, n_bootstrap, random_state, together(statistics))
    parts = []
    for key, estimate in estimates.items():
        (m, name), _ = key
        low, high = np.array([percentile_interval(s, level) for s in samples[key]]).T
        part = {"model": models[m], "class": name, "hours_to_onset": places.astype(float)}
        part |= {"mean": estimate[:, 0], "low": low, "high": high, "n": stays[name]}
        table = pd.DataFrame(part)[COLUMNS]
        parts.append(table[table.n > 0].sort_values("hours_to_onset"))
    return pd.concat(parts, ignore_index=True)


def _weighted_mean(total, count) -> Statistic:
    return lambda weights: {"mean": ratio(weights @ total, weights @ count).T}
