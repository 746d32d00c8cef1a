"""The benchmark runs and prints every figure; times are not checked."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("bench_scoring.py")


def test_one_json_object_with_a_row_for_each_size():
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"hourly", "horizons", "machine"}
    for task in ("hourly", "horizons"):
        assert [row["stays"] for row in printed[task]] == [120, 240]
        few, many = printed[task]
        assert many["rows"] == 2 * few["rows"] > 0
        for row in printed[task]:
            assert 0 < row["outside_model_share"] < 1
            assert row["peak_mb"] > 0
            assert row["stays_per_second"] > 0
