"""
Does labelling a whole release cost little more than reading it, in memory that does not grow?

    python tests/benchmarks/bench_labels.py --json
    python tests/benchmarks/bench_labels.py --rows 10000000 40000000 --data bench_data --json

For each size a made-up release in the shape of MIMIC-IV (`release.py`) is labelled by the command
`sepsis label --preset moor2019`, in a process of its own, and the same files are read once by DuckDB in
another: every column of every file that the labels are made from, in the types that
`data_schema/1_export.toml` declares (text where it names none), each value counted. Both are timed from
start to end of the process. `peak_mb` is the largest resident memory of the labelling process, as the
system counts it. The scan runs before and after; the mean of the two is used, so that a machine
that is busy with something else is busy for both.

Prints one JSON object {"sizes": [...], "growth": {...}}: per size rows, stays, seconds_label,
seconds_scan, ratio, peak_mb, cpu_label, cpu_scan. Not a timed test; the figures and their machine
are in docs/decisions.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.release import FOLDER, TABLES, write_release  # noqa: E402 - after the path

ROWS = (10_000_000, 40_000_000)
SCAN = "from tests.benchmarks.bench_labels import scan; import sys; scan(sys.argv[1])"


@dataclass(frozen=True)
class Used:
    """What a child process took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    printed: str


def spent(command: list[str]) -> Used:
    """
    Run a command in a process of its own.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    with tempfile.TemporaryFile() as printed:
        began = time.monotonic()
        child = subprocess.Popen(
            command, stdout=printed, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"{command[:4]} ended with {child.returncode}")
        printed.seek(0)
        text = printed.read().decode()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere
    return Used(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, text)


def scan(folder: str | Path) -> None:
    """Read every column of every file once with DuckDB; print the chart rows and the ICU stays."""
    import duckdb

    from sepsis.core import schema

    declared = schema.read_toml("1_export")["mimic_iv"]
    types = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}
    connection, rows = duckdb.connect(), {}
    connection.execute("SET enable_progress_bar = false")  # it would be printed with the result
    for table in TABLES:
        file = Path(folder) / FOLDER.get(table, "hosp") / f"{table}.csv.gz"
        known = {**declared[table]["columns"], **declared[table].get("optional", {})}
        header = connection.execute(
            f"SELECT * FROM read_csv('{file}', all_varchar = true) LIMIT 0"
        ).description
        names = [column[0] for column in header]
        columns = {name: types[known.get(name.lower(), "string")] for name in names}
        counts = ", ".join(f'count("{name}")' for name in names)
        found = connection.execute(
            f"SELECT count(*), {counts} FROM read_csv('{file}', header = true, columns = {columns})"
        ).fetchall()
        rows[table] = found[0][0]
    print(json.dumps({"rows": rows["chartevents"], "stays": rows["icustays"]}))


def measure(rows: int, data: Path) -> dict[str, float]:
    """One size: make the release (unless it is there), scan, label, scan."""
    release = write_release(data / f"rows_{rows}", rows)
    before = spent([sys.executable, "-c", SCAN, str(release)])
    with tempfile.TemporaryDirectory(dir=data) as out:
        label = spent(
            [sys.executable, "-m", "sepsis", "label", str(release), "--preset", "moor2019",
             "--out", f"{out}/labels"]
        )  # fmt: skip
    after = spent([sys.executable, "-c", SCAN, str(release)])
    scanned = (before.seconds + after.seconds) / 2
    return {
        **json.loads(before.printed),
        "seconds_label": round(label.seconds, 2),
        "seconds_scan": round(scanned, 2),
        "ratio": round(label.seconds / scanned, 3),
        "peak_mb": round(label.peak_mb, 1),
        "cpu_label": round(label.cpu_seconds, 2),
        "cpu_scan": round((before.cpu_seconds + after.cpu_seconds) / 2, 2),
    }


def growth(sizes: list[dict[str, float]]) -> dict[str, float]:
    """How much more the largest size takes than the smallest: 4 times the rows, how many times the rest."""
    small, large = (pick(sizes, key=lambda size: size["rows"]) for pick in (min, max))
    return {
        key: round(large[key] / small[key], 3) for key in ("rows", "seconds_label", "seconds_scan", "peak_mb")
    }


def main(arguments: list[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="Chart rows of each size.")
    parser.add_argument("--data", type=Path, help="Folder that keeps the releases; default: one that goes.")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sepsis-bench-") as temporary:
        data = given.data or Path(temporary)
        data.mkdir(parents=True, exist_ok=True)
        sizes = [measure(rows, data.resolve()) for rows in given.rows]
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    if given.json:
        print(json.dumps({"sizes": sizes, "growth": growth(sizes), "machine": machine}))
        return
    for size in sizes:
        print("  ".join(f"{key} {value:,}" for key, value in size.items()))


if __name__ == "__main__":
    main()
