"""Findings of several folds as one table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from sepsis.audit.case import FAILED, NOTED, PASSED, UNCHECKED

WORST_FIRST = (FAILED, NOTED, UNCHECKED, PASSED)


def over_folds(findings: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """
    One row per check from the findings of each fold: the worst status, and what that fold says which found
    most, with the folds of that status. A single table is returned as it is.
    """
    if len(findings) == 1:
        return next(iter(findings.values()))
    rows = pd.concat([table.assign(fold=fold) for fold, table in findings.items()])
    rank = rows.status.map({status: k for k, status in enumerate(WORST_FIRST)})
    rows = rows.assign(rank=rank).sort_values(["rank", "found"], ascending=[True, False], kind="stable")
    worst = rows.drop_duplicates("check").set_index("check")
    alike = rows[rows["rank"] == worst["rank"].reindex(rows.check).to_numpy()]
    folds = alike.groupby("check").fold.agg(lambda numbers: ", ".join(map(str, sorted(numbers))))
    counts = alike.groupby("check").size()
    where = {
        check: "every fold" if counts[check] == len(findings) else f"fold {folds[check]}"
        for check in worst.index
    }
    says = [f"{where[one.Index]}; of fold {one.fold}: {one.says}" for one in worst.itertuples()]
    order = next(iter(findings.values())).check
    columns = ["check", "severity", "status", "found", "says"]
    return worst.assign(says=says).reindex(order).reset_index()[columns]
