"""Long work: held by one run, and what it had finished is there for the next."""

import json
import os
import subprocess
import sys

import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.core.files import whole_file, whole_folder, write_json
from sepsis.core.work import locked, resumable
from sepsis.pipeline.run import _write_synthetic_again
from sepsis.synthetic.export import TRUTH, write_synthetic

HOLD = """
import sys, time
from sepsis.core.work import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "out"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_until_the_first_has_gone_however_it_went(tmp_path, holder):
    with pytest.raises(UsageError, match="is being written by another run"), locked(tmp_path / "out"):
        pass
    with locked(tmp_path / "other"):  # another output is free
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / ".out.lock").exists()  # a killed run leaves its file, not its hold
    with locked(tmp_path / "out"):
        pass
    assert not (tmp_path / ".out.lock").exists()


def test_one_process_may_hold_an_output_twice(tmp_path):
    with locked(tmp_path / "out"), locked(tmp_path / "out"):
        assert (tmp_path / ".out.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path):
    old = tmp_path / ".out.old"  # killed between two renames: no `out`
    old.mkdir()
    (old / "kept").write_text("before")
    (tmp_path / ".out.tmp-abc").mkdir()
    (tmp_path / ".out.tmp-def").write_text("half")
    (tmp_path / ".outer.tmp-def").write_text("of another output")
    with locked(tmp_path / "out"):
        assert (tmp_path / "out" / "kept").read_text() == "before"
    assert {p.name for p in tmp_path.iterdir()} == {"out", ".outer.tmp-def"}


def test_what_was_replaced_is_gone_once_its_successor_is_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.old").mkdir()
    with locked(tmp_path / "out"):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


def steps(path, key, fail=None, names=("a", "b")):
    """A run of two steps that fails after the first; what it had to do itself."""
    made = []
    with resumable(path, key) as work:
        for name in names:
            if not work.has(name):
                made.append(name)
                with work.step(name) as folder:
                    (folder / "file").write_text(name)
            if fail and name == "a":
                raise fail
        assert [(work[name] / "file").read_text() for name in names] == list(names)
    return made


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_was_stopped_goes_on_from_its_last_finished_step(tmp_path, stop):
    with pytest.raises(type(stop)):
        steps(tmp_path / "out", {"seed": 1}, fail=stop)
    assert steps(tmp_path / "out", {"seed": 1}) == ["b"]
    assert list(tmp_path.iterdir()) == []


def test_steps_of_other_settings_are_not_used(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        steps(tmp_path / "out", {"seed": 1}, fail=KeyboardInterrupt())
    assert steps(tmp_path / "out", {"seed": 2}) == ["a", "b"]


def test_a_worker_that_outlives_its_run_leaves_nothing_to_one_of_other_settings(tmp_path):
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path / "out", {"seed": 1}) as left:
        raise KeyboardInterrupt
    with resumable(tmp_path / "out", {"seed": 2}) as work:
        with pytest.raises(FileNotFoundError), left.step("a"):
            pass
        assert not work.has("a")


ENDING = """
import os, sys
from sepsis.core.work import resumable

operations, kill_at, ending = 0, 0, False

def watch(event, arguments):
    global operations
    if ending and event.startswith(("os.", "shutil.")):
        operations += 1
        if operations == kill_at:
            os.kill(os.getpid(), 9)

def run(at):
    global kill_at, ending
    kill_at = at
    with resumable(sys.argv[1], 1) as work:
        for name in "abc":
            if not work.has(name):
                with work.step(name) as folder:
                    (folder / "file").write_text(name)
        assert [(work[name] / "file").read_text() for name in "abc"] == ["a", "b", "c"]
        ending = True
    os._exit(0)

sys.addaudithook(watch)
for at in range(1, 40):
    statuses = []
    for kill in (at, 0):
        child = os.fork()
        if child == 0:
            run(kill)
        statuses.append(os.waitpid(child, 0)[1])
    assert statuses[1] == 0 and os.listdir(os.path.dirname(sys.argv[1])) == [], at
    if statuses[0] == 0:  # it had no more to do
        break
print(at)
"""


def test_a_run_killed_while_it_tidies_up_can_be_run_again(tmp_path):
    done = subprocess.run([sys.executable, "-c", ENDING, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 5 < int(done.stdout) < 39


@pytest.mark.parametrize("stop", [ExportError("x", "y"), ValueError("a fault of ours")])
def test_after_a_mistake_nothing_is_kept(tmp_path, stop):
    with pytest.raises(type(stop)):
        steps(tmp_path / "out", {"seed": 1}, fail=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_was_not_finished_is_not_there(tmp_path):
    def stopped():
        with resumable(tmp_path / "out", 1) as work, work.step("a") as folder:
            (folder / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with resumable(tmp_path / "out", 1) as work:
        assert not work.has("a")


def test_a_run_killed_while_it_removes_its_made_up_export_can_be_run_again(tmp_path, monkeypatch):
    def killed(folder, **_):
        (folder / TRUTH).unlink()
        raise KeyboardInterrupt

    again = (tmp_path / "export", 3, 2, "mimic-iii")
    write_synthetic(tmp_path / "export", stays=3, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            _write_synthetic_again(*again)
    _write_synthetic_again(*again)
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


FULL = """
import resource, sys
sys.argv = ["sepsis", *sys.argv[1:]]
import numba, torch, pyarrow, duckdb, sepsis.pipeline.run  # what they write themselves is not the question
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
from sepsis.cli import main
main()
"""


@pytest.mark.slow
def test_a_full_disk_is_one_message_and_the_earlier_output_is_whole(tmp_path):
    """A limit on the size of files stands for the disk: writing fails in the same place, with an OSError."""
    export, labels = tmp_path / "export", tmp_path / "labels"
    for command in (["synth", "--stays", "60", "--out", export], ["label", export, "--out", labels]):
        subprocess.run([sys.executable, "-m", "sepsis", *map(str, command)], check=True, capture_output=True)
    before = {p: p.read_bytes() for p in labels.rglob("*") if p.is_file()}
    command = ["label", str(export), "--preset", "mimic_code_iii", "--out", str(labels)]
    done = subprocess.run([sys.executable, "-c", FULL, *command], capture_output=True, text=True)
    assert done.returncode == UsageError.exit_code, done.stderr
    assert done.stderr.startswith("sepsis: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert {p: p.read_bytes() for p in labels.rglob("*") if p.is_file()} == before
    assert {p.name for p in tmp_path.iterdir()} <= {"export", "labels", ".labels.work"}
    after = subprocess.run([sys.executable, "-m", "sepsis", *command], capture_output=True, text=True)
    assert after.returncode == 0, after.stderr  # with room again the same command ends
    assert {p.name for p in tmp_path.iterdir()} == {"export", "labels"}


def test_whole_or_not_at_all(tmp_path):
    def half(place):
        with place as temporary:
            (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
            raise ZeroDivisionError

    for place in (whole_file(tmp_path / "file"), whole_folder(tmp_path / "folder", "labels")):
        with pytest.raises(ZeroDivisionError):
            half(place)
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with whole_folder(tmp_path / "folder", "labels") as temporary:
            write_json({"kind": "labels", "text": text}, temporary / "manifest.json")
    assert json.loads((tmp_path / "folder" / "manifest.json").read_text())["text"] == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert os.stat(tmp_path / "folder").st_mode & 0o777 == 0o777 & ~umask()


def test_bytes_are_on_the_disk_before_their_name_is_there(tmp_path, monkeypatch):
    """A power cut cannot be had here: what is looked at is the order of the two."""
    synced = []

    def fsync(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", fsync)
    with whole_file(tmp_path / "file") as temporary:
        temporary.write_text("x")
    assert synced == [str(temporary)]
    with resumable(tmp_path / "out", 1) as work:
        with work.step("a") as folder:
            (folder / "rows").write_text("x")
        assert synced[1:] == [str(folder / "rows")]


def umask():
    """What this process withholds from others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
