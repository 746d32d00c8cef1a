"""`sepsis compare` and `sepsis check --preset` on a small export, from command to files."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from sepsis.cli import app
from sepsis.core.errors import UsageError
from sepsis.core.provenance import read_manifest
from sepsis.labels.compare import COMPARE, COUNTS, WALK
from sepsis.pipeline.compare import compare_export, table_text
from sepsis.sources import open_export
from sepsis.synthetic.export import write_synthetic


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A synthetic export and the folder of a comparison."""
    where = tmp_path_factory.mktemp("comparison")
    write_synthetic(where / "export", stays=60, seed=3, layout="mimic-iv")
    return where


@pytest.fixture(scope="module")
def compared(made):
    return compare_export(
        open_export(made / "export"), ["moor2019", "moor2019_code"], made / "out",
        walks=["moor2019:moor2019_code"],
    )  # fmt: skip


def test_the_folder_holds_the_tables_and_the_page(made, compared):
    out = made / "out"
    assert sorted(p.name for p in out.iterdir()) == ["compare.csv", "index.html", "manifest.json", "walk.csv"]
    table, steps = pd.read_csv(out / "compare.csv", keep_default_na=False), pd.read_csv(out / "walk.csv")
    assert (list(table), list(steps)) == (COMPARE, WALK)
    assert len(table) == len(compared.compared)
    facts = read_manifest(out, "comparison")
    assert list(facts["settings"]) == ["moor2019", "moor2019_code"]
    assert facts["walks"] == ["moor2019:moor2019_code"]


def test_the_page_shows_every_number_and_names_no_stay(made, compared):
    page = (made / "out" / "index.html").read_text()
    for value in compared.compared[compared.compared.other == ""].value:
        assert f'<td class="num">{int(value):,}</td>' in page
    for switch in compared.walked.switch[1:]:
        assert f"<code>{switch}</code>" in page
    stays = pd.read_csv(next((made / "export").rglob("icustays.csv*")))
    assert not any(str(stay) in page for stay in stays.stay_id)
    assert "<script" not in page


def test_the_same_comparison_gives_the_same_bytes(made, compared):
    again = made / "again"
    (made / ".again.tmp-killed").mkdir()  # left by a killed run
    compare_export(
        open_export(made / "export"), ["moor2019", "moor2019_code"], again, walks=["moor2019:moor2019_code"]
    )
    assert not [p.name for p in made.iterdir() if p.name.startswith(".")]
    for file in again.iterdir():
        assert file.read_bytes() == (made / "out" / file.name).read_bytes(), file.name


def test_the_text_shows_counts_pairs_and_steps(compared):
    text = table_text(compared)
    assert all(name in text for name in (*COUNTS, "kappa", "median_shift_h", "walk moor2019:moor2019_code"))


@pytest.mark.parametrize(
    ("presets", "walks", "message"),
    [
        (["moor2019", "moor2019"], [], "moor2019 is given twice"),
        ([], [], "is empty"),
        (["moor2019"], ["moor2019"], "is not two presets"),
        (["moor2019"], ["moor2019:moor2019"], "definitions are the same"),
    ],
)
def test_a_mistake_is_found_before_the_export_is_read(made, presets, walks, message):
    with pytest.raises(UsageError, match=message):
        compare_export(open_export(made / "export"), presets, walks=walks)


def command(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_the_command_prints_its_table_and_writes_nothing_unless_asked(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("compare", made / "export", "--presets", "moor2019,moor2019_code")
    assert done.exit_code == 0, done.output
    assert "cases_from_7_h" in done.stdout
    assert "label: moor2019_code" in done.stderr
    assert not list(tmp_path.iterdir())


def test_check_has_nothing_to_compare_in_an_unknown_export(made):
    done = command("check", made / "export", "--preset", "moor2019")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().endswith("nothing to compare")


def test_check_prints_expected_against_found_for_the_demo(shared):
    done = command("check", shared("data/mimic-iii-demo"), "--preset", "moor2019_code")
    assert done.exit_code == 0, done.output
    lines = done.stdout[done.stdout.index("MIMIC-III demo v1.4, moor2019_code") :].splitlines()
    assert [line.split()[:4] for line in lines[2:]] == [
        ["suspected", "98", "98", "yes"], ["onsets", "7", "7", "yes"], ["controls", "54", "54", "yes"],
    ]  # fmt: skip
