"""Which orders are antibiotics, and which are systemic: by name, type and route."""

from __future__ import annotations

import re

import pandas as pd

from sepsis.events.vocabulary import AntibioticNames


def name_pattern(names: tuple[str, ...]) -> re.Pattern:
    """A pattern that finds any of the names in a drug's lower-case text; "%" matches anything."""
    return re.compile(
        "|".join(".*".join(re.escape(part) for part in name.lower().split("%")) for name in names)
    )


def loose_pattern(names: AntibioticNames) -> str:
    """
    A pattern, in every engine's dialect, that finds at least what `name_pattern` finds for any list.

    >>> loose_pattern(AntibioticNames({"a": ("amoxicillin%clavulanate", "cipro xr")}, (), (), (), ()))
    'amoxicillin.*clavulanate|cipro.xr'
    """
    every = sorted({name.lower() for listed in names.lists.values() for name in listed})
    return "|".join(re.sub(r"[^a-z0-9%]", ".", name).replace("%", ".*") for name in every)


def is_systemic(drug: str, route: str, drug_type: str, names: AntibioticNames) -> bool:
    """
    Whether one order is systemic, by its own type, route and name ("" for a gap).

    An order without a route fails, as in the code of Moor et al. 2019 (and of mimic-code).
    """
    route, drug = route.strip(), drug.lower()
    return (
        drug_type.strip().upper() in names.drug_types
        and route != ""
        and route.upper() not in names.routes_out
        and not any(part in route.lower() for part in names.route_parts_out)
        and not any(part in drug for part in names.name_parts_out)
    )


def judge_orders(orders: pd.DataFrame, names: AntibioticNames) -> pd.DataFrame:
    """
    The distinct orders that are antibiotics.

    Reads    orders(drug, route, drug_type), distinct, "" for a gap
    Writes   the same rows where the drug is in a list, with in_moor2019, in_mimic_iv, in_ricu, systemic (the
             row's own) and name_is_systemic: whether some order of that drug name passes the test
    """
    found = orders.copy()
    lower = found.drug.str.lower()
    for name, listed in names.lists.items():
        pattern = name_pattern(listed)
        found[f"in_{name}"] = [bool(pattern.search(drug)) for drug in lower]
    found = found[found[[f"in_{name}" for name in names.lists]].any(axis=1)]
    found["systemic"] = [
        is_systemic(row.drug, row.route, row.drug_type, names) for row in found.itertuples(index=False)
    ]
    found["systemic"] = found.systemic.astype(bool)
    found["name_is_systemic"] = found.groupby("drug").systemic.transform("max").astype(bool)
    return found.reset_index(drop=True)
