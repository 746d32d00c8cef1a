"""
Leak: a laboratory result that stands in the export before it can have been known, repeated backwards.

A result is charted once, when it was drawn. Equal results hour after hour are fillings, and a filled table no
longer tells the draw from the copies. A result whose time was moved, without a copy at its own time, cannot
be seen here.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from sepsis.audit.case import HARD, SOFT, AuditCase, Finding, hard, soft, unchecked
from sepsis.events.vocabulary import load_vocabulary

GROUPS = ("lab", "blood_gas")
NO_VALUES = "the model reads no laboratory variable with enough values"
HOURLY_H = 1.5  # equal values no further apart are a run
RUN = 3  # values; the hourly tables of PhysioNet 2019 often repeat a result once
MIN_VALUES = 100  # of a variable
# shares of a variable's values. The largest on PhysioNet 2019 and the MIMIC demos: 0.05 in runs, 0.27 copied
# at one lag; 0.39 equal to the value before, among variables with at least MIN_LEVELS different values
MAX_IN_RUNS, MAX_COPIED, MAX_EQUAL = 0.2, 0.3, 0.6
MIN_LEVELS = 30
LAG_H, NEXT = 0.1, 12  # lags are compared in steps of this, with so many values after each
AT_A_LAG = 0.5  # share of equal values among those at a lag that are copies
LATE_H = 3.0  # a first result from then on was waited for
MAX_FROM_ADMISSION = 0.95  # of the records without an early first result or with one that is repeated
MIN_RECORDS = 10


def laboratory_variables(concepts: Iterable[str]) -> list[str]:
    """
    Those of the laboratory and the blood gas machine.

    >>> laboratory_variables(["heart_rate", "lactate", "unknown"])
    ['lactate']
    """
    known = load_vocabulary().concepts
    return [name for name in concepts if name in known and known[name].group in GROUPS]


def repeated(values: pd.DataFrame) -> pd.Series:
    """Whether each value equals the one before of its stay and variable (stay_id, concept, time_h, value)."""
    ordered = values.sort_values(["stay_id", "concept", "time_h"], kind="stable")
    before = ordered.groupby(["stay_id", "concept"], sort=False).value.shift()
    return (ordered.value == before).reindex(values.index)


def results_repeated(case: AuditCase) -> Finding:
    """
    Laboratory variables with equal values hour after hour, mostly equal to the value before, or equal to a
    value a fixed time before. Whether they were carried forwards, which is no leak, or backwards cannot be
    told from the copies alone.
    """
    check = "results repeated"
    values = _laboratory_values(case)
    if values.empty:
        return unchecked(check, SOFT, NO_VALUES)
    by_name = values.groupby("concept")
    table = pd.DataFrame(
        {
            "in_runs": by_name.in_run.mean(),
            "copied": _copied_at_a_lag(values),
            "equal": by_name.equal.sum() / by_name.second.sum().clip(lower=1),
            "levels": by_name.value.nunique(),
        }
    ).fillna({"copied": 0.0})
    wrong = (table.in_runs > MAX_IN_RUNS) | (table.copied > MAX_COPIED)
    wrong |= (table.equal > MAX_EQUAL) & (table.levels >= MIN_LEVELS)
    return soft(
        check,
        bool(wrong.any()),
        int(wrong.sum()),
        f"{int(wrong.sum())} of {len(table)} laboratory variables are filled or copied{_named(wrong)}; "
        f"at most {table.in_runs.max():.0%} of the values of one stand in runs of {RUN} equal hourly values, "
        f"{table.copied.max():.0%} are copies at one lag, and {table.equal.max():.0%} equal the value before",
    )


def results_before_known(case: AuditCase) -> Finding:
    """
    Laboratory variables for which hardly any record has to wait for its first result: it is repeated hour by
    hour from admission on, which a fill backwards does and no draw.
    """
    check = "results before they are known"
    values = _laboratory_values(case)
    records = values.groupby(["concept", "stay_id"]).agg(
        first_h=("first_h", "first"), repeated=("in_first_run", "any")
    )
    filled = records.repeated & (records.first_h <= HOURLY_H)
    known = filled | (records.first_h >= LATE_H)
    by_name = filled[known].groupby(level="concept")
    share = by_name.mean()[by_name.size() >= MIN_RECORDS]
    if share.empty:
        return unchecked(check, HARD, NO_VALUES)
    wrong = share > MAX_FROM_ADMISSION
    return hard(
        check,
        int(wrong.sum()),
        f"{int(wrong.sum())} of {len(share)} laboratory variables have their first result repeated from "
        f"admission on{_named(wrong)}; at most {share.max():.0%} of the records of one do, of those that do "
        f"or have none before hour {LATE_H:g}",
    )


def _named(wrong: pd.Series) -> str:
    names = ", ".join(wrong.index[wrong])
    return f" ({names})" if names else ""


def _copied_at_a_lag(values: pd.DataFrame) -> pd.Series:
    """By variable, the share of its values that equal one a fixed time before, at the lag with most."""
    pairs = []
    for step in range(1, NEXT + 1):
        before = values.groupby(["concept", "stay_id"])[["time_h", "value"]].shift(step)
        pairs.append(
            pd.DataFrame(
                {
                    "concept": values.concept,
                    "lag": ((values.time_h - before.time_h) / LAG_H).round(),
                    "equal": values.value == before.value,
                }
            ).dropna()
        )
    at_lag = pd.concat(pairs).groupby(["concept", "lag"]).equal.agg(["mean", "sum"])
    copies = at_lag["sum"][at_lag["mean"] > AT_A_LAG].groupby(level="concept").max()
    return copies / values.groupby("concept").size()


def _laboratory_values(case: AuditCase) -> pd.DataFrame:
    """
    Values of laboratory variables with at least `MIN_VALUES`, in order: `second` of its record or later,
    `equal` to the value before, `in_run` of equal hourly values, `in_first_run` of its record; `first_h`.
    """
    events = case.member_events
    events = events[events.concept.isin(laboratory_variables(case.model.concepts_)) & (events.time_h >= 0)]
    key = ["concept", "stay_id"]
    values = events.groupby([*key, "time_h"], as_index=False).value.mean()
    values = values[values.groupby("concept").value.transform("size") >= MIN_VALUES]
    by_record = values.groupby(key)
    gap = by_record.time_h.diff()
    equal = by_record.value.diff() == 0
    run = (~(equal & (gap <= HOURLY_H))).cumsum()
    size = run.groupby(run).transform("size")
    first_run = run.groupby([values.concept, values.stay_id]).transform("min")
    return values.assign(
        second=gap.notna(),
        equal=equal,
        in_run=size >= RUN,
        in_first_run=(size >= RUN) & (run == first_run),
        first_h=by_record.time_h.transform("min"),
    )
