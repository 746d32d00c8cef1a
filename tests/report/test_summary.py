"""The figures as Markdown: the same numbers as in the tables beside it."""

import json
import re

import pytest

from tests.report.made_up import report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return report(tmp_path_factory.mktemp("summary") / "report").parent


def test_every_figure_of_the_summary_stands_in_the_metrics(folder):
    text = (folder / "summary.md").read_text(encoding="utf-8")
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    for row in metrics:
        if row["metric"] in ("auprc", "auroc"):
            assert f"{row['estimate']:.3f}" in text
            assert f"[{row['low']:.3f} to {row['high']:.3f}]" in text
    horizons = {row["horizon_h"] for row in metrics}
    assert len(re.findall(r"^\| \d", text, flags=re.MULTILINE)) == 2 * len(horizons)


def test_the_summary_says_who_it_is_about_and_what_it_is_not(folder):
    text = (folder / "summary.md").read_text(encoding="utf-8")
    everything = json.loads((folder / "metrics.json").read_text())
    n = everything["metrics"][0]["n"]
    assert text.startswith(f"{n:,} ICU stays of ")
    assert "bootstrap over subjects" in text
    assert "not a medical device" in text
    for step in everything["attrition"]:
        assert f"{step['n']:,}" in text
