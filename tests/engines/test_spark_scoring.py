"""Scoring on Spark: the same bytes as in one process, also where a worker is killed on the way."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import StoppedError
from sepsis.models.artifact.members import read_models
from sepsis.scoring.export import score_export
from tests.study import small_study

# py4j leaves a connection to the Java machine open that it made for a thread of its own
pytestmark = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An export, its labels in many parts, and a model."""
    return small_study(
        tmp_path_factory.mktemp("study"), "dtw_knn",
        stays=90, seed=3, part_stays=10, cohort=CohortSettings(), k=5,
    )  # fmt: skip


def score(study, out, *, hourly, engine=""):
    source, labels, trained, _ = study
    horizons = None if hourly else (0.0, 3.0)
    return score_export(source, trained, out, labels=labels, horizons=horizons, engine=engine)


@pytest.mark.parametrize("hourly", [False, True])
def test_workers_give_the_bytes_of_one_process(study, local_spark, tmp_path, hourly):
    here = score(study, tmp_path / "here.parquet", hourly=hourly)
    there = score(study, tmp_path / "there.parquet", hourly=hourly, engine="spark")
    assert here == there
    assert here.stays == 90
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"here.parquet", "there.parquet"}


def workers():
    """Process ids of Spark's Python workers below this process."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(folder.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    daemons = {pid for pid, name in names.items() if b"pyspark.daemon" in name}
    return [pid for pid in daemons if parents[pid] in daemons and _below(pid, parents)]


def _below(pid, parents):
    while pid in parents:
        if pid == os.getpid():
            return True
        pid = parents[pid]
    return False


def test_a_worker_that_is_killed_changes_nothing(study, local_spark, tmp_path):
    score(study, tmp_path / "here.parquet", hourly=True)
    killed, ended = [], threading.Event()

    def kill():
        steps = tmp_path / ".there.parquet.work"
        while not ended.is_set() and len(killed) < 2:
            # once some part is finished, and again after a further one
            if len(list(steps.glob("*/scores-*"))) > len(killed) and (found := workers()):
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        score(study, tmp_path / "there.parquet", hourly=True, engine="spark")
    finally:
        ended.set()
        thread.join()
    assert killed
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()


def test_where_spark_gives_up_the_same_command_goes_on_later(study, local_spark, tmp_path):
    source, labels, _, root = study
    shutil.copytree(root / "model", tmp_path / "model")
    moved = source, labels, read_models(tmp_path / "model"), root
    weights, out = tmp_path / "model" / "weights.safetensors", tmp_path / "scores.parquet"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])  # no worker can read it
    with pytest.raises(StoppedError, match="Spark gave up") as stopped:
        score(moved, out, hourly=False, engine="spark")
    assert "weights" not in str(stopped.value)
    assert not out.exists()
    assert (tmp_path / ".scores.parquet.work").is_dir()
    weights.write_bytes(whole)
    score(moved, out, hourly=False, engine="spark")
    assert {p.name for p in tmp_path.iterdir()} == {"scores.parquet", "model"}
