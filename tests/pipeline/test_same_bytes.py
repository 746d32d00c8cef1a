"""`sepsis run` and the single commands give the same files, to the byte."""

import json

import pytest
from typer.testing import CliRunner

from sepsis.cli import app
from sepsis.core.errors import SepsisError
from sepsis.core.schema import read_facts
from sepsis.pipeline.run import run_pipeline
from sepsis.pipeline.settings import read_pipeline
from sepsis.pipeline.stages import STAGES

PIPELINE = """
[synth]
stays = 150
seed = 5

[cohort]
min_observations = 1
seed = 1

[train]
min_values = 10
fit_horizons_h = [0, 3]

[models.clock]

[models.logistic]
trend_h = 4

[score]
horizons = [3, 0]
hourly = true
hourly_stays = 12
hourly_seed = 2

[evaluate]
n_bootstrap = 0
"""
MODELS = ("clock", "logistic")


def command(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of a run, and one that the commands filled from the same export."""
    root = tmp_path_factory.mktemp("bytes")
    file, run, single = root / "small.toml", root / "run", root / "single"
    file.write_text(PIPELINE)
    said: list[str] = []
    run_pipeline(read_pipeline(file), run, said.append)
    (root / "log").write_text("\n".join(said))
    export, labels = run / "export", single / "labels"
    command("label", export, "--out", labels)
    for name in MODELS:
        model, scores = single / "models" / name, single / "scores"
        command("train", export, "--labels", labels, "--model", name, "--settings", file, "--out", model)
        asked = ("--model", model, "--labels", labels, "--split", "validation", "--split", "test")
        command("score", export, *asked, "--horizons", "0,3", "--out", scores / f"{name}.parquet")
        draw = ("--hourly", "--stays", 12, "--stays-seed", 2)
        command("score", export, *asked, *draw, "--out", scores / f"{name}_hourly.parquet")
    return run, single


@pytest.mark.parametrize("folder", ["labels", "models", "scores"])
def test_every_file_of_a_run_has_the_bytes_of_the_commands(both, folder):
    run, single = both
    files = {p.relative_to(run) for p in (run / folder).rglob("*") if p.is_file()}
    assert files == {p.relative_to(single) for p in (single / folder).rglob("*") if p.is_file()}
    assert len(files) >= 4
    differ = [str(file) for file in files if (run / file).read_bytes() != (single / file).read_bytes()]
    assert not differ


def test_a_run_does_its_stages_in_the_order_of_the_contents_page(both):
    run, _ = both
    begun = [line for line in (run.parent / "log").read_text().splitlines() if line.endswith(" ...")]
    done = [line.split()[0] for line in begun]
    assert list(dict.fromkeys(done)) == [name for name in STAGES if name in done]
    assert {"synth", "label", "train", "score", "evaluate"} == set(done)


def test_the_score_files_of_a_run_hold_the_input_check_and_the_fate_of_rows(both):
    run, _ = both
    for name in ("logistic", "logistic_hourly"):
        facts = read_facts(run / "scores" / f"{name}.parquet")
        assert facts["input_check"]["share_missing"] >= 0
        assert facts["rows"]["kept"] > 0
    assert facts["settings"] == {
        "horizons": None, "splits": ["validation", "test"], "hourly": True, "stays": 12, "stays_seed": 2,
    }  # fmt: skip


def test_the_evaluate_command_records_its_settings_and_prints_the_page(both, tmp_path):
    _, single = both
    scores, asked = single / "scores" / "logistic.parquet", ("--bootstrap", 0, "--prevalence", 0.05)
    out = ("--labels", single / "labels", "--out", tmp_path / "report")
    printed = command("evaluate", scores, *asked, *out)
    assert printed.strip() == str(tmp_path / "report" / "index.html")
    settings = json.loads((tmp_path / "report" / "manifest.json").read_text())["settings"]["evaluate"]
    assert (settings["target_prevalence"], settings["n_bootstrap"], settings["split"]) == (0.05, 0, "test")


def test_the_python_evaluate_gives_the_measures_of_the_command(both):
    from sepsis import evaluate

    run, single = both
    found = evaluate(single / "scores" / "logistic.parquet", single / "labels", n_bootstrap=0)
    everything = json.loads((run / "report" / "metrics.json").read_text())
    theirs = {
        (m["metric"], m["horizon_h"], m["group"]): m["estimate"]
        for m in everything["metrics"]
        if (m["model"], m["view"], m["setting"]) == ("logistic", "horizon", "")
    }
    ours = found.metrics.query("model == 'logistic' and view == 'horizon' and setting == ''")
    assert len(ours) > 4
    for row in ours.dropna(subset="estimate").itertuples():
        assert theirs[row.metric, row.horizon_h, row.group] == pytest.approx(row.estimate)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("export.kind=mimic-iv", "mimic_iv"),
        ("export.path=somewhere", "[export] path: is set, and [synth] stays too. Expected: one of them."),
    ],
)
def test_the_kind_of_a_made_up_export_is_kept_and_another_export_beside_it_refused(tmp_path, change, message):
    with pytest.raises(SepsisError) as caught:
        run_pipeline(read_pipeline("demo", ("synth.stays=20", change)), tmp_path / "run", lambda text: None)
    assert message in str(caught.value)
