"""The figures as Markdown: the same numbers as in the tables beside it."""

import json

import pytest

from tests.report.made_up import report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return report(tmp_path_factory.mktemp("summary") / "report").parent


def test_every_figure_at_fixed_hours_stands_in_the_metrics(folder):
    text = (folder / "summary.md").read_text(encoding="utf-8")
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    rows = [m for m in metrics if m["view"] == "horizon" and (m["group"], m["setting"]) == ("all", "")]
    rows = [m for m in rows if m["metric"] in ("auprc", "auroc", "concordance")]
    assert len(rows) == 4 * 3 * 3
    for row in rows:
        assert f"{row['estimate']:.3f} [{row['low']:.3f} to {row['high']:.3f}]" in text


def test_alarms_stand_beside_their_shuffled_line(folder):
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert "Lead time, h (recall 0.8) | Lead time shuffled, h, and spread (recall 0.8)" in text
    assert "6.2 [6.1 to 6.3] | 5.1 [5.0 to 5.2]" in text


def test_the_summary_says_who_it_is_about_and_what_it_is_not(folder):
    text = (folder / "summary.md").read_text(encoding="utf-8")
    everything = json.loads((folder / "metrics.json").read_text())
    assert text.startswith("At fixed horizons: 29 cases and 89 controls in 29 matched sets, ")
    assert "Primary endpoint: AUPRC 7\N{NO-BREAK SPACE}h before onset." in text
    assert "no difference is claimed" in text
    assert "of the shuffled lead time, the spread over shuffles" in text
    assert "not a medical device" in text
    for step in everything["attrition"]:
        assert f"{step['n']:,}" in text
