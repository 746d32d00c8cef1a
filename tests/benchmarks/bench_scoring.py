"""
How fast are cohorts scored, does memory grow with their size, and how much of the time is not the model's?

    python tests/benchmarks/bench_scoring.py --json
    python tests/benchmarks/bench_scoring.py --quick

Two tasks at 1,000, 10,000 and 100,000 stays, each in a process of its own:

- `hourly`: a risk at every full hour of every stay by MGP-TCN (conditioning by filter);
- `horizons`: risks at 8 hours before a reference by DTW k-NN.

The stays are made up: 1,000 synthetic ones, labelled and stored once, whose stored events are repeated under
new ids. What is timed begins with events on disk and ends with the written score file: reading parts,
packing windows, the model, contracts, Parquet. Goals: memory that does not grow with the number of stays;
less than 30 % of the time outside the model. Seconds are elapsed time on all cores.

Prints one JSON object {"hourly": [...], "horizons": [...], "machine": {...}}, a row for each size: stays,
rows, seconds, stays_per_second, outside_model_share, peak_mb. Not a timed test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.core.work import resumable  # noqa: E402
from sepsis.events.store import load_parts  # noqa: E402
from sepsis.models.artifact.members import read_models  # noqa: E402
from sepsis.pipeline.label import label_export  # noqa: E402
from sepsis.pipeline.settings import ExportSettings, Pipeline  # noqa: E402
from sepsis.pipeline.source import open_source  # noqa: E402
from sepsis.pipeline.train import select_study, train_export  # noqa: E402
from sepsis.scoring.parts import score_parts, write_score_file  # noqa: E402
from sepsis.scoring.request import ScoringRequest, Task  # noqa: E402
from sepsis.synthetic.export import write_synthetic  # noqa: E402
from sepsis.training.settings import TrainSettings  # noqa: E402

HORIZONS = tuple(float(h) for h in range(8))
MODELS = {
    "hourly": ("mgp_tcn", {"conditioning": "filter", "max_epochs": 2}),
    "horizons": ("dtw_knn", {"k": 15}),
}
FULL = {"stays": 1000, "sizes": (1_000, 10_000, 100_000)}
QUICK = {"stays": 120, "sizes": (120, 240)}
APART = 10_000_000  # between the ids of one repetition and the next
CHILD = "from tests.benchmarks.bench_scoring import child; import sys; child(*sys.argv[1:])"


def prepare(root: Path, stays: int) -> None:
    """An export of made-up stays, its labels and both models, below `root`."""
    export = write_synthetic(root / "export", stays=stays, seed=1, case_share=0.3)
    source = open_source(ExportSettings(str(export)))
    labels = label_export(source, root / "labels", preset="moor2019", switches={}, part_stays=1000)
    pipeline = Pipeline(
        "bench", train=TrainSettings(min_values=60, fit_horizons_h=(0.0,)), models=dict(MODELS.values())
    )
    study = cache(lambda: select_study(source, labels, pipeline))
    for task, (name, _) in MODELS.items():
        train_export(source, labels, root / task, model=name, pipeline=pipeline, study=study)


def repeat_events(stored: Path, place: Path, size: int) -> None:
    """Stored events of `size` stays: those of `stored` again and again under new ids, a part each time."""
    place.mkdir()
    stays = pq.read_table(stored / "stays.parquet")
    times = -(-size // len(stays))
    for file in stored.glob("*.parquet"):
        table, writer = pq.read_table(file), None
        for k in range(times):
            rows = table if file.stem == "ledger" else shifted(table, k)
            writer = writer or pq.ParquetWriter(place / file.name, rows.schema, compression="zstd")
            writer.write_table(rows, row_group_size=max(1, len(rows)))
            if file.stem == "ledger":
                break
        writer.close()
    shutil.copy(stored / "manifest.json", place)


def shifted(table: pa.Table, k: int) -> pa.Table:
    """The same rows of other stays."""
    for name in ("stay_id", "subject_id", "hadm_id"):
        if name in table.column_names:
            moved = pc.add(table[name], pa.scalar(k * APART, table[name].type))
            table = table.set_column(table.column_names.index(name), name, moved)
    if "part" in table.column_names:
        at = table.column_names.index("part")
        table = table.set_column(at, "part", pa.array([k] * len(table), table["part"].type))
    return table


def cohort_of(stays: pd.DataFrame) -> pd.DataFrame:
    """Every stay with a reference at its end, or its 40th hour: what is timed needs no true onsets."""
    return pd.DataFrame(
        {
            "stay_id": stays.stay_id,
            "subject_id": stays.subject_id,
            "is_case": False,
            "set_id": -1,
            "reference_h": stays.stay_h.clip(upper=40.0).round(),
            "split": "external",
            "fold": 0,
            "reason": "",
        }
    )


def child(root: str, place: str, task: str, out: str) -> None:
    """Score the events of a place, and print what it took."""
    folder = read_models(Path(root) / task)
    model = folder.first.model
    inside, earlier = [0.0], model.predict_earlier

    def timed(*arguments):
        began = time.perf_counter()
        try:
            return earlier(*arguments)
        finally:
            inside[0] += time.perf_counter() - began

    parts = load_parts(Path(place))
    score_warm(model, parts, task)
    model.predict_earlier = timed  # type: ignore[method-assign]
    began = time.perf_counter()
    who = cohort_of(parts.held.stays)
    request = ScoringRequest(None if task == "hourly" else HORIZONS, (Task(0, 0, who),), who)
    with resumable(out, task) as work:
        score_parts(folder, parts, request, work)
        scored = write_score_file(work, len(parts), len(parts.held.stays), Path(out), {})
    seconds = time.perf_counter() - began
    row = {
        "stays": scored.stays,
        "rows": scored.risks,
        "seconds": round(seconds, 1),
        "stays_per_second": round(scored.stays / seconds, 1),
        "outside_model_share": round(1 - inside[0] / seconds, 3),
        "peak_mb": peak_mb(),
    }
    print(json.dumps(row))


def peak_mb() -> float:
    """The largest resident memory of this process; of a forked child, getrusage repeats its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def score_warm(model, parts, task: str) -> None:
    """Compile and import: score the first ten stays once, unmeasured."""
    from sepsis.scoring.predict import score_horizons, score_hourly

    part = parts[0]
    stays = part.stays.head(10)
    if task == "hourly":
        score_hourly(model, part.events, stays)
    else:
        score_horizons(model, part.events, cohort_of(stays), horizons=HORIZONS)


def main() -> None:
    """Parse, prepare, measure each size in its own process, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it runs at all")
    parser.add_argument("--sizes", help="stays, comma between", default="")
    parser.add_argument("--json", action="store_true", help="one line")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    sizes = tuple(int(n) for n in given.sizes.split(",")) if given.sizes else plan["sizes"]
    result: dict = {task: [] for task in MODELS}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(root, plan["stays"])
        for size in sizes:
            place = root / f"events-{size}"
            repeat_events(root / "labels" / "events", place, size)
            for task in MODELS:
                out = root / f"{task}-{size}.parquet"
                command = [sys.executable, "-c", CHILD, str(root), str(place), task, str(out)]
                done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
                result[task].append(json.loads(done.stdout))
                print(f"{task} {done.stdout.strip()}", file=sys.stderr, flush=True)
            shutil.rmtree(place)
    result["machine"] = {
        "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
    }  # fmt: skip
    print(json.dumps(result, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
