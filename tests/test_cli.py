"""The commands as a user meets them: help, exit codes, messages."""

import subprocess
import sys

import pytest

from sepsis.cli import main
from sepsis.pipeline.stages import STAGES

COMMANDS = [stage.command for stage in STAGES.values() if not stage.within]


def sepsis(*arguments, cwd=None):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "sepsis", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


def test_help_waits_for_neither_torch_nor_pandas():
    code = (
        "import sys, sepsis.cli\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'numba'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = sepsis(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: sepsis {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["label", "nowhere", "--out", "x"], 11, "nowhere"),
        (["run", "nowhere.toml"], 2, "no such pipeline file"),
        (["run", "demo", "--set", "cohort.sed=1"], 10, "Did you mean 'seed'?"),
        (["run", "demo", "--set", "synth.stays=0"], 10, "[export] path: is empty"),
        (["train", "x", "--labels", "x", "--model", "dtw_kn", "--out", "m"], 10, "Did you mean 'dtw_knn'?"),
        (["score", "x", "--model", "x", "--out", "s"], 11, "no such file or folder"),
        (["evaluate", "x.parquet", "--labels", "x", "--out", "r"], 11, "no such folder"),
        (["label", "x"], 2, "--out"),
        (["serve", "x", "--host", "0.0.0.0"], 2, "is reachable from the network, and there is no token"),
        (["serve", "x", "--port", "0"], 11, "no such folder"),
        (["lable"], 2, "lable"),
    ],
)
def test_a_mistake_is_one_message_and_a_documented_exit_code(tmp_path, arguments, code, message):
    done = sepsis(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing half-written"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            KeyboardInterrupt(),
            130,
            "sepsis: stopped; finished work is kept, and the same command resumes it.\n",
        ),
        (OSError("read 3 bytes"), 2, "sepsis: files: incomplete, or cannot be read or written.\n"),
    ],
)
def test_an_interrupt_and_a_system_error_are_one_message(monkeypatch, capsys, raised, code, said):
    def stopped(*_, **__):
        raise raised

    monkeypatch.setattr("sepsis.synthetic.export.write_synthetic", stopped)
    monkeypatch.setattr("sys.argv", ["sepsis", "synth", "--out", "x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err == said
