"""Expected counts: the file is sound, releases are recognised, and a difference is said."""

import pytest

from sepsis.core import schema
from sepsis.labels import preset_names
from sepsis.labels.compare import COUNTS
from sepsis.labels.release_counts import bounds, expected_against_found, release_of, releases


def test_every_expectation_names_a_release_a_preset_and_a_count():
    ids = [release.id for release in releases()]
    assert len(ids) == len(set(ids))
    for entry in schema.read_toml("expected")["expected"]:
        assert entry["release"] in ids
        assert entry["preset"] in preset_names()
        assert entry["count"] in (*COUNTS, "labelled")
        assert entry["source"]
        low, high = bounds(entry)
        assert 0 <= low <= high


def test_a_release_is_recognised_by_the_rows_of_its_tables():
    rows = {"icustays": 136, "admissions": 129, "patients": 100}
    assert release_of("mimic_iii", rows).id == "mimic_iii_demo_1_4"
    assert release_of("mimic_iii", rows | {"admissions": 128}) is None
    assert release_of("mimic_iii", {"icustays": 136}) is None
    assert release_of("mimic_iv", rows) is None


@pytest.mark.parametrize(("cases", "agrees"), [(569, "NO"), (570, "yes"), (571, "yes"), (572, "NO")])
def test_a_range_holds_its_bounds(cases, agrees):
    release = release_of("mimic_iii", {"icustays": 61532, "admissions": 58976})
    found = expected_against_found(release, "moor2019_code", {"cases_from_7_h": cases}).set_index("count")
    assert found.loc["cases_from_7_h", ["expected", "found", "agrees"]].tolist() == [
        "570 to 571", str(cases), agrees,
    ]  # fmt: skip
    assert found.loc["controls", "agrees"] == "NO"  # not counted


def test_a_definition_of_which_nothing_is_known_has_no_rows():
    release = release_of("mimic_iv", {"icustays": 140, "admissions": 275})
    assert expected_against_found(release, "moor2019", {}).empty
