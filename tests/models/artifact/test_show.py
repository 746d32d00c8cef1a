"""`sepsis model show`, as a user calls it."""

import json
import subprocess
import sys

import pytest

from sepsis.models.baselines.logistic import Logistic
from tests.models.artifact.test_hostile_artifacts import change, sign, written
from tests.test_cli import sepsis


@pytest.fixture
def folder(tmp_path):
    written(Logistic(C=1.0), tmp_path / "model")
    return tmp_path / "model"


def test_the_command_prints_what_the_folder_says(folder):
    done = sepsis("model", "show", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("logistic: a model folder of format 3.")
    for part in ("moor2019, on an export of kind mimic_iii", "Calibrator `platt`", "40 stays in its cohort"):
        assert part in done.stdout


def test_as_json_it_is_one_object_with_the_hash_of_every_file(folder):
    done = sepsis("model", "show", folder, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["model"] == "logistic"
    assert set(facts["files"]) == {file.name for file in folder.iterdir()} - {"manifest.json"}
    assert [one["concept"] for one in facts["variables"]] == ["heart_rate", "lactate", "map"]


def test_a_folder_that_fails_is_one_message_and_exit_code_11(folder):
    (folder / "model_card.md").write_text("another")
    done = sepsis("model", "show", folder)
    assert (done.returncode, done.stdout) == (11, "")
    assert "model_card.md is missing or was changed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_strangers_text_moves_no_cursor(folder):
    change(folder, licence="free\x1b[2J\x07\nlicence      as the export")
    done = sepsis("model", "show", folder)
    assert done.returncode == 0
    assert not {"\x1b", "\x07"} & set(done.stdout)
    assert "free?[2J??licence" in done.stdout


def test_it_waits_for_no_library_of_models(folder):
    code = (
        "import sys\n"
        "from sepsis.models.artifact.show import model_facts, shown_text\n"
        f"shown_text(model_facts({str(folder)!r}))\n"
        "heavy = {'torch', 'sklearn', 'numba', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_manifest_that_names_another_model_is_not_believed(folder):
    settings = json.loads((folder / "manifest.json").read_text())["settings"]
    change(folder, settings={**settings, "model": "clock"})
    done = sepsis("model", "show", folder)
    assert (done.returncode, done.stdout) == (11, "")
    assert "names another model than model.json" in done.stderr


@pytest.mark.parametrize("name", ["operating.json", "preprocessing.json", "model_card.md"])
def test_a_folder_of_format_2_without_one_of_its_files_is_no_old_folder(folder, name):
    (folder / name).unlink()
    sign(folder)
    done = sepsis("model", "show", folder)
    assert done.returncode == 11
    assert f"does not list {name}" in done.stderr
