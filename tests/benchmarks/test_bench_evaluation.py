"""The benchmark runs and prints every figure; times are not checked."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("bench_evaluation.py")


def test_one_json_object_with_every_figure():
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"whole", "horizon", "hourly", "machine"}
    measured = {
        "resamples", "seconds", "plain_loop_seconds_extrapolated", "plain_loop_resamples_run", "times_faster",
    }  # fmt: skip
    assert set(printed["horizon"]) == {"stays", "models", "horizons"} | measured
    assert set(printed["hourly"]) == {"hours", "subjects", "weightings"} | measured
    whole = printed["whole"]
    assert whole["hours"] > 5_000
    assert whole["members_of_sets"] > 50
    assert whole["table_mb"] <= whole["peak_mb"]
    assert 0 < whole["memory_growth"] < 1.1
