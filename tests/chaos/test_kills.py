"""
Fifty kills at random moments of label, train, score and evaluate: nothing is lost, the bytes are the same.

Half of the kills come before a counted operation on files, where partial writes would show; half come
at a random moment. The output must be the same in every case.
"""

import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sepsis.synthetic.export import write_synthetic

ROOT = Path(__file__).resolve().parents[2]
TRAIN = (
    "--set", "train.min_values=60", "--set", "models.mgp_tcn.max_epochs=3",
    "--set", "models.mgp_tcn.n_samples=2", "--set", "train.fit_horizons_h=[0]",
)  # fmt: skip
LABEL = ("label", "export", "--out", "labels")
SCORE = ("score", "export", "--model", "model")
FIXED = (*SCORE, "--labels", "labels", "--out", "fixed.parquet", "--horizons")
EVALUATE = ("evaluate", "--labels", "labels", "--out", "report", "fixed.parquet")
COMMANDS = {  # name: (command, its output, a command that writes another output there first)
    "label": (LABEL, "labels", ("label", "export", "--preset", "moor2019_code", "--out", "labels")),
    "train": (
        ("train", "export", "--labels", "labels", "--model", "mgp_tcn", "--out", "model", *TRAIN),
        "model",
        ("train", "export", "--labels", "labels", "--model", "clock", "--out", "model", *TRAIN),
    ),
    "score": ((*FIXED, "0:7"), "fixed.parquet", (*FIXED, "0")),
    "score hourly": ((*SCORE, "--hourly", "--out", "hourly.parquet"), "hourly.parquet", None),
    "evaluate": (
        (*EVALUATE, "hourly.parquet", "--bootstrap", "20"),
        "report",
        (*EVALUATE, "--bootstrap", "10"),
    ),
}
KILLS = {"label": 10, "train": 16, "score": 8, "score hourly": 8, "evaluate": 8}
IN_A_ROW = 2  # a resumed run is killed again


@dataclass
class World:
    """A folder of outputs, and the process that runs commands in it."""

    root: Path
    process: subprocess.Popen
    log: Path
    runs: dict = field(default_factory=dict)

    def run(self, argv, **kill):
        places = [str(self.root / a) if a.split(".")[0] in NAMES else a for a in argv]
        self.process.stdin.write(json.dumps({"argv": places, **kill}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


NAMES = {"export", "labels", "model", "fixed", "hourly", "report"}


def content(path):
    """Every file of an output and its bytes; None if it is not there."""
    if not path.exists():
        return None
    if path.is_file():
        return path.read_bytes()
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """All five commands done once, undisturbed; what each wrote is kept as the truth."""
    root = tmp_path_factory.mktemp("world")
    log = root.parent / f"{root.name}.log"
    write_synthetic(root / "export", stays=90, seed=3, case_share=0.5)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.forked", str(root), str(log)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    world = World(root, process, log)
    for name, (argv, output, _) in COMMANDS.items():
        done = world.run(argv)
        assert done["status"] == 0, log.read_text()
        world.runs[name] = {**done, "content": content(root / output)}
    yield world
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


def test_the_kills_are_fifty():
    assert sum(KILLS.values()) == 50


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_resumes_and_ends_with_the_same_bytes(world, name):
    argv, output, other = COMMANDS[name]
    whole, place = world.runs[name], world.root / output
    others = {p.name for p in world.root.iterdir()} - {output}
    before = None
    if other:
        _remove(place)
        assert world.run(other)["status"] == 0, world.log.read_text()
        before = content(place)
        assert before != whole["content"]
    dice, killed = random.Random(name), 0
    kept = _copy(place)
    while killed < KILLS[name]:
        for turn in range(IN_A_ROW):
            if turn % 2:
                kill = {"kill_after": dice.uniform(0.0, 1.0) * whole["seconds"]}
            else:
                kill = {"kill_at": dice.randint(1, whole["operations"])}
            done = world.run(argv, **kill)
            assert done["status"] in (0, -9), world.log.read_text()  # it may have ended before the moment
            killed += done["status"] == -9
            now = content(place)
            if now is None and before is not None:  # between two renames: the next run puts it back
                now = content(place.with_name(f".{output}.old"))
            assert now in (before, whole["content"])
        assert world.run(argv)["status"] == 0, world.log.read_text()
        assert content(place) == whole["content"]
        assert {p.name for p in world.root.iterdir()} == others | {output}, "something is left over"
        _restore(kept, place)
    world.run(argv)


def _copy(place):
    """What lies at an output before the kills, put aside."""
    aside = place.parent.parent / f"{place.parent.name}-{place.name}"
    if place.is_dir():
        shutil.copytree(place, aside)
    elif place.exists():
        shutil.copy2(place, aside)
    return aside


def _restore(aside, place):
    _remove(place)
    if aside.is_dir():
        shutil.copytree(aside, place)
    elif aside.exists():
        shutil.copy2(aside, place)


def _remove(place):
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
