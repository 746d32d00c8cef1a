"""Leak: the reference hour tells the class, by its minutes or by what is left of the record."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp, kstest

from sepsis.audit.case import HARD, TOLERANCE_H, AuditCase, Finding, hard, unchecked
from sepsis.cohort import last_full_hour

MAX_DISTANCE, LEVEL = 0.1, 1e-3  # of the distributions of minutes (Kolmogorov-Smirnov), and its p-value
LAST_H = 1.0
MAX_SHIFT, MAX_Z = 0.05, 4.0  # of the mean rank of time left; |z| > 4 happens in 1 of 16,000 fair draws
FAIR = 1e-5  # p-value of the distribution of ranks; the distance as for minutes


def reference_tells_the_class(case: AuditCase) -> Finding:
    """
    Controls that are judged at another hour than the case of their set, and minutes that differ between the
    classes: an onset falls on a charted time, a drawn hour does not. Compared are references, and the times
    of the predictions at horizons and of the hourly ones.
    """
    members = case.members
    own = members[members.is_case].set_index("set_id").reference_h
    apart = np.abs(members.reference_h - own.reindex(members.set_id).to_numpy(float))
    elsewhere = int((~(apart <= TOLERANCE_H)).sum())
    scores = case.judged[case.judged.time_h.notna()]
    at_horizons = scores.horizon_h.notna()
    reached = scores.stay_id.isin(case.onset_h.index).to_numpy()
    minutes = {
        "references": (members.is_case, members.reference_h),
        "predictions at horizons": (
            scores.is_case[at_horizons].astype(bool),
            scores.time_h[at_horizons] + scores.horizon_h[at_horizons],
        ),
        "hourly predictions": (pd.Series(reached)[(~at_horizons).to_numpy()], scores.time_h[~at_horizons]),
    }
    telling = [name for name, (is_case, hours) in minutes.items() if _minutes_tell(is_case, hours)]
    says = f"{elsewhere:,} of {len(members):,} members have another reference hour than the case of their set"
    says += (
        f"; minutes tell the class in {', '.join(telling)}" if telling else "; minutes do not tell the class"
    )
    return hard("reference tells the class", elsewhere + len(telling), says)


def controls_not_drawn_at_random(case: AuditCase) -> Finding:
    """
    The rank of each control's time left among all stays of its split that are at risk at its reference hour:
    uniform if controls are drawn at random. Controls at the end of their record (about to leave), or far from
    it, make every model look better than it is. Where no stay is drawn twice, sets choose in descending order
    of their hour, and those chosen before are no longer at risk.

    Source   the rank is the probability integral transform; its sum is that of the rank-sum test (Wilcoxon,
             Biometrics Bull. 1 (1945) 80-83, doi:10.2307/3001968)
    """
    check = "controls not drawn at random"
    ranks = [_ranks(case, split) for split in sorted(case.members.split.unique())]
    found = pd.concat(ranks)
    found = found[found.at_risk > 1]
    if found.empty:
        return unchecked(check, HARD, "no control with another stay at risk at its hour")
    mean = float(found["rank"].mean())
    # of a draw from n stays the rank has variance (1 - 1/n^2) / 12
    z = (mean - 0.5) / np.sqrt(((1 - 1 / found.at_risk**2) / 12).sum() / len(found) ** 2)
    # ranks within a draw from n stays are steps of 1/n: spread evenly over their step
    spread = np.random.default_rng(case.seed).uniform(-0.5, 0.5, len(found)) / found.at_risk
    test = kstest((found["rank"] + spread).to_numpy(float), "uniform", method="asymp")
    shifted = abs(mean - 0.5) > MAX_SHIFT and abs(z) > MAX_Z
    wrong = shifted or (test.statistic > MAX_DISTANCE and test.pvalue < FAIR)
    return hard(
        check,
        float(test.statistic) if wrong else 0.0,
        f"{found['last'].mean():.1%} of {len(found):,} controls are judged in the last hour of their record "
        f"({found.expected.mean():.1%} expected of a random draw); their time left has mean rank {mean:.2f} "
        f"among the stays at risk (0.5 expected, z = {z:.1f}) and lies {test.statistic:.2f} from uniform "
        f"(p = {test.pvalue:.1g}); median {found.left_h.median():.1f} h",
    )


def _minutes_tell(is_case, hours) -> bool:
    is_case, minutes = np.asarray(is_case, bool), np.round(np.asarray(hours, float), 6) % 1.0
    if not is_case.any() or is_case.all():
        return False
    test = ks_2samp(minutes[is_case], minutes[~is_case], method="asymp")
    return bool(test.statistic > MAX_DISTANCE and test.pvalue < LEVEL)


def _ranks(case: AuditCase, split: str) -> pd.DataFrame:
    """Controls of a split: rank and left_h of their time left, share and count of those at risk."""
    stays = case.included[case.included.split == split].sort_values(["stay_h", "stay_id"])
    # stays without enough values by then stay in: among 8,000 they move the mean rank by less than 0.01
    stays = stays[stays.stay_h.notna()]
    stay_id, stay_h, person = stays.stay_id.to_numpy(), stays.stay_h.to_numpy(), stays.person.to_numpy()
    # at risk before the full hour of an onset; a case whose onset has no time never is
    onset_h = last_full_hour(stays.onset_h.to_numpy(float))
    onset_h = np.where(np.isnan(onset_h), np.where(stays.is_case, -np.inf, np.inf), onset_h)
    free = np.ones(len(stays), bool)
    members = case.members[case.members.split == split]
    controls = members[~members.is_case & (members.stay_h >= members.reference_h)]
    without_replacement = not controls.stay_id.duplicated().any()
    if without_replacement and controls.onset_h.isna().all():  # the paper's design: never septic
        free &= np.isinf(onset_h)
    persons = members[members.is_case].set_index("set_id").person
    rows = []
    order = controls.assign(later=-controls.reference_h).groupby(["later", "set_id"], sort=True)
    for (later, set_id), mine in order:
        there = free & (stay_h >= -later) & (onset_h > -later) & (person != persons.get(set_id, -1))
        at_risk = stay_h[there]
        chosen = np.isin(stay_id, mine.stay_id.to_numpy())
        ends = stay_h[chosen & there]
        below, upto = (np.searchsorted(at_risk, ends, side) for side in ("left", "right"))
        rows.append(
            pd.DataFrame(
                {
                    "rank": (below + upto) / 2 / max(1, len(at_risk)),
                    "left_h": ends + later,
                    "last": ends + later < LAST_H,
                    "expected": (at_risk + later < LAST_H).mean(),
                    "at_risk": len(at_risk),
                }
            )
        )
        if without_replacement:
            free &= ~chosen
    columns = ["rank", "left_h", "last", "expected", "at_risk"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns, dtype=float)
