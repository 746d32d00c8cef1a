"""Which orders count as systemic antibiotics."""

import pandas as pd
import pytest

from sepsis.events.antibiotics import is_systemic, judge_orders, name_pattern
from sepsis.events.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("drug", "route", "drug_type", "systemic"),
    [
        ("Vancomycin", "IV", "MAIN", True),
        ("Vancomycin", "PO/NG", "ADDITIVE", True),
        ("Vancomycin", "iv", "main", True),
        ("Vancomycin", "IV", "BASE", False),
        ("Vancomycin", "", "MAIN", False),  # no route
        ("Vancomycin", "TP", "MAIN", False),  # topical
        ("Ciprofloxacin", "OU", "MAIN", False),  # both eyes
        ("Ciprofloxacin", "LEFT EAR", "MAIN", False),
        ("Ciprofloxacin", "Both Eyes", "MAIN", False),
        ("Erythromycin 0.5% Ophth Oint", "PO", "MAIN", False),
        ("MetroNIDAZOLE Topical 1 % Gel", "IV", "MAIN", False),
        ("Clindamycin Cream", "VG", "MAIN", False),
        ("Penicillin Desensitization", "IV", "MAIN", False),
    ],
)
def test_the_systemic_test(drug, route, drug_type, systemic):
    assert is_systemic(drug, route, drug_type, load_vocabulary().antibiotics) is systemic


@pytest.mark.parametrize(
    ("drug", "moor", "four"),
    [
        ("Vancomycin HCl", True, True),
        ("CefTRIAXone", False, True),  # Moor's list has the brand alone
        ("Rocephin", True, True),
        ("Meropenem", False, True),
        ("Daptomycin", False, False),  # neither list has it
        ("Amoxicillin-Clavulanic Acid", True, True),
        ("TOBI", True, False),
        ("Heparin", False, False),
    ],
)
def test_the_two_lists(drug, moor, four):
    lists = load_vocabulary().antibiotics.lists
    two = ("moor2019", "mimic_iv")
    found = {name: bool(name_pattern(lists[name]).search(drug.lower())) for name in two}
    assert found == {"moor2019": moor, "mimic_iv": four}


def test_one_systemic_order_makes_the_name_systemic_and_no_other_name():
    orders = pd.DataFrame(
        [
            ("Tobramycin", "IV", "MAIN"),
            ("Tobramycin", "OU", "MAIN"),
            ("Tobramycin Drops", "OU", "MAIN"),
            ("Aspirin", "PO", "MAIN"),
        ],
        columns=["drug", "route", "drug_type"],
    )
    judged = judge_orders(orders, load_vocabulary().antibiotics)
    assert list(judged.drug) == ["Tobramycin", "Tobramycin", "Tobramycin Drops"]
    assert list(judged.systemic) == [True, False, False]
    assert list(judged.name_is_systemic) == [True, True, False]


def test_no_orders_are_no_antibiotics():
    empty = pd.DataFrame({"drug": [], "route": [], "drug_type": []}, dtype="str")
    judged = judge_orders(empty, load_vocabulary().antibiotics)
    assert len(judged) == 0
    assert {"in_moor2019", "in_mimic_iv", "systemic", "name_is_systemic"} <= set(judged)
