"""The benchmark runs and prints every figure; times are not checked."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

BENCH = Path(__file__).with_name("bench_labels.py")
ROWS = 100_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the benchmark printed for one small size, and its data."""
    data = tmp_path_factory.mktemp("bench")
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rows", str(ROWS), "--data", str(data), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), data / f"rows_{ROWS}"


def test_one_json_object_with_every_figure_of_each_size(measured):
    printed, _ = measured
    assert set(printed) == {"sizes", "growth", "machine"}
    (size,) = printed["sizes"]
    assert set(size) == {
        "rows", "stays", "seconds_label", "seconds_scan", "ratio", "peak_mb", "cpu_label", "cpu_scan",
    }  # fmt: skip
    assert size["rows"] >= ROWS
    assert all(value > 0 for value in size.values())
    assert size["ratio"] == pytest.approx(size["seconds_label"] / size["seconds_scan"], rel=0.02)
    assert set(printed["growth"]) == {"rows", "seconds_label", "seconds_scan", "peak_mb"}


def test_most_of_the_release_is_rows_that_are_not_read(measured):
    _, release = measured
    charted = pd.read_csv(release / "icu" / "chartevents.csv.gz")
    assert list(charted.columns) == [
        "subject_id", "hadm_id", "stay_id", "caregiver_id", "charttime", "storetime", "itemid", "value",
        "valuenum", "valueuom", "warning",
    ]  # fmt: skip
    assert 0.1 < (charted.itemid < 229_000).mean() < 0.3
    stays = pd.read_csv(release / "icu" / "icustays.csv.gz")
    assert stays.stay_id.is_unique
    assert set(charted.stay_id) <= set(stays.stay_id)
    laboratory = pd.read_csv(release / "hosp" / "labevents.csv.gz", usecols=["hadm_id"])
    assert 0.05 < laboratory.hadm_id.isin(stays.hadm_id).mean() < 0.5
