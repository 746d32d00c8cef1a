import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from sepsis.core import files as outputs
from sepsis.core import schema
from sepsis.core.errors import ExportError, NothingLeftError, UsageError
from sepsis.evaluation import constant_risk_set
from sepsis.report import Context, page, write_report
from tests.evaluation.made_up import study
from tests.report.made_up import CARD, MANIFEST, MANY, report, whole_study
from tests.report.made_up_evaluation import evaluated

FILES = {"index.html", "metrics.parquet", "metrics.csv", "metrics.json", "figures"}
FILES |= {"summary.md", "coverage.csv", "attrition.csv", "manifest.json"}
FIGURES = {
    "auprc", "auroc", "concordance", "auprc-extended", "auroc-extended", "landmark_auroc", "landmark_auprc",
    "landmark_observed_expected", "risk_around_onset", "event_precision_recall", "burden_recall", "lead_time",
    "reliability", "decision_curve", "forest",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return report(tmp_path_factory.mktemp("page") / "report", cards={"mgp_tcn": CARD})


class Outline(HTMLParser):
    """Visible text, attributes by tag, and whether tags close."""

    def __init__(self, html):
        super().__init__()
        self.text, self.seen, self.open, self.wrong = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "rect", "circle", "path", "line", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


def visible(outline):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", " ".join(outline.text))


@pytest.fixture(scope="module")
def outline(written):
    return Outline(written.read_text(encoding="utf-8"))


def test_the_folder_holds_the_page_and_every_number(written):
    assert {p.name for p in written.parent.iterdir()} == FILES
    everything = json.loads((written.parent / "metrics.json").read_text())
    metrics = schema.read_table(written.parent / "metrics.parquet", "metrics")
    table = pd.read_csv(written.parent / "metrics.csv")
    assert len(everything["metrics"]) == len(metrics) == len(table) == len(evaluated().metrics)
    assert table.estimate.to_numpy() == pytest.approx(metrics.estimate.to_numpy(), nan_ok=True)
    noted = [r["estimate"] for r in everything["metrics"] if r["estimate"] is not None]
    assert noted == pytest.approx(metrics.estimate.dropna().to_list())
    assert everything["coverage"][0]["n"] == 2
    assert everything["attrition"][0] == {
        "step": "ICU stays in the export", "lost_to": "", "n": 155, "n_events": None,
    }  # fmt: skip
    assert schema.read_facts(written.parent / "metrics.parquet")["seed"] == 7
    assert outputs.folder_kind(written.parent) == "report"


def test_the_page_says_what_it_must(outline):
    text = visible(outline)
    for said in (
        "29 cases and 89 controls in 29 matched sets, 118 different ICU stays of 118 patients of the test",
        "(prevalence 0.246), drawn from 900 stays of which 60 reach onset",
        "at 0, 3 and 7 hours before onset",
        "Not a medical device",
        "MGP-TCN", "DTW k-NN", "Logistic regression", "Clock",
        "no data", "too young", "no match", "nothing charted",
        "ab" * 32, "cd" * 32, "moor2019",
    ):  # fmt: skip
        assert said in text, said


def test_the_page_says_what_intervals_prevalence_and_lead_time_are(outline):
    text = visible(outline)
    assert "They take the patient as the unit" in text
    assert "the spread over shuffles, which is no confidence interval" in text
    assert "Net benefit depends on the prevalence" in text
    assert "Time from the first true alarm to onset" in text
    assert "Risks are corrected to the cohort's share of cases." in text
    assert "Grey: 95% of risks without signal (classes permuted)." in text
    for wrong in (
        "the value of an uninformative risk", "of twenty comparisons", "the prevalence exceeds",
        "In all figures",
    ):  # fmt: skip
        assert wrong not in text


def test_each_part_of_the_page_has_its_own_counts(outline):
    text = visible(outline)
    assert (
        "In the figures at fixed horizons 118 29 cases and 89 controls in 29 matched sets 2 nothing" in text
    )
    assert "In the hourly figures 80 20 cases, 60 controls 40 no hourly risk from every model" in text
    assert "20 of the 80 stays of the hourly figures reach onset (25.0 %)" in text
    assert "in the evaluated cohort 60 of 900 do (6.7 %)" in text


def test_the_primary_endpoint_stands_before_the_figures(written):
    html = written.read_text(encoding="utf-8")
    assert html.index('id="primary"') < html.index('id="auprc-plot"')
    assert html.index('id="primary-models-table"') < html.index('id="auprc-plot"')


def test_matched_precision_and_net_benefit_have_that_of_the_cohort_beside(outline):
    text = visible(outline)
    assert re.search(r"Precision ↕? ?specificity 0.9 Precision ↕? ?specificity 0.9, cohort prevalence", text)
    assert "threshold 0.05 Net benefit threshold 0.05, cohort prevalence" in text
    assert "Brier Brier cohort prevalence" in text


def test_the_page_can_be_read_without_seeing_it(outline):
    assert outline.all("html") == [{"lang": "en"}]
    assert len(outline.all("h1")) == 1
    assert (outline.open, outline.wrong) == ([], [])
    assert len(outline.all("caption")) == len(outline.all("table"))
    plots = [a for a in outline.all("div") if a.get("class") == "plot"]
    assert {p["id"] for p in plots} == {f"{name}-plot" for name in FIGURES}
    assert all(p["role"] == "img" and len(p["aria-label"]) > 40 for p in plots)
    skip = next(a for a in outline.all("a") if a.get("class") == "skip")
    ids = [attrs["id"] for _, attrs in outline.seen if "id" in attrs]
    assert skip["href"] == "#horizon"
    assert len(ids) == len(set(ids))
    anchors = {a["href"][1:] for a in outline.all("a") if a["href"].startswith("#")}
    assert anchors <= set(ids)
    named = {n for _, a in outline.seen for n in a.get("aria-labelledby", "").split()}
    assert named <= set(ids)


def test_nothing_on_the_page_is_fetched(outline):
    for tag, attrs in outline.seen:
        assert "src" not in attrs, tag
        if tag == "link":
            assert attrs["href"] == "data:,"
        if tag == "a" and not attrs["href"].startswith(("#", "data:text/csv")):
            assert attrs["href"] in FILES | {f"figures/{name}.csv" for name in FIGURES}
    policy = next(
        a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_text_from_outside_is_escaped(written):
    html = written.read_text(encoding="utf-8")
    assert "&lt;b&gt;raw&lt;/b&gt;" in html
    assert "<b>raw" not in html
    assert "</script><i>" not in html


def test_every_figure_brings_its_numbers_and_the_file_beside_has_the_same(written, outline):
    links = {a["download"]: a["href"] for a in outline.all("a") if "download" in a}
    assert set(links) == {f"{name}.csv" for name in FIGURES}
    everything = json.loads((written.parent / "metrics.json").read_text())["figures"]
    for name, address in links.items():
        beside = (written.parent / "figures" / name).read_text(encoding="utf-8")
        head, _, text = address.partition(",")
        assert head == "data:text/csv;charset=utf-8"
        assert unquote(text) == beside
        assert len(pd.read_csv(io.StringIO(beside))) == len(everything[name.removesuffix(".csv")]) > 0


def test_models_are_switched_in_groups_and_circular_ones_are_flagged(tmp_path):
    html = report(tmp_path / "r", models=MANY, evaluation=evaluated(models=MANY)).read_text(encoding="utf-8")
    buttons = [a for a in Outline(html).all("button") if "data-model" in a]
    pressed = {a["data-model"]: a["aria-pressed"] == "true" for a in buttons}
    assert set(pressed) == set(MANY)
    assert {m for m, on in pressed.items() if on} == {"mgp_tcn", "dtw_knn", "logistic", "clock"}
    text = visible(Outline(html))
    assert "SOFA (circular)" in text
    assert "SOFA is not a fair comparator: the label is derived from it." in text
    assert "Negative controls (no physiology)" in text


def test_every_heading_of_a_sortable_table_is_a_button(outline):
    counted, sortable = [], False
    for tag, attrs in outline.seen:
        if tag == "table":
            sortable = attrs.get("class") == "sortable"
            counted += [[0, 0]] if sortable else []
        if sortable and tag == "th" and attrs.get("scope") == "col":
            counted[-1][0] += 1
        if sortable and tag == "button" and "data-model" not in attrs:
            counted[-1][1] += 1
    assert len(counted) > 8
    assert all(heads == buttons > 0 for heads, buttons in counted)


def test_a_card_is_on_the_page_and_a_model_without_one_is_named(outline):
    text = visible(outline)
    assert "A laboratory value counts from the hour it was drawn" in text
    assert "No model card was supplied for DTW k-NN, Logistic regression, Clock." in text


HOSTILE_CARD = """# Model card: </title><script>alert(1)</script>

A <img src=x onerror=alert(2)> of **<svg onload=alert(3)>** and `</script><script>alert(4)</script>`.
[a](javascript:alert(5)) {{ 7 * 191 }} {% raw %} <!-- &lt;b&gt;

## <iframe src="data:text/html,x"></iframe>

- <style>*{display:none}</style>

| <td onclick=alert(6)> | "' |
|---|---|
| </table><base href=//x> | \x00\x1b[2J |
"""


def test_a_card_of_a_stranger_is_text_on_the_page(written, tmp_path):
    html = report(tmp_path / "r", cards={"mgp_tcn": HOSTILE_CARD}).read_text(encoding="utf-8")
    ours, theirs = Outline(written.read_text(encoding="utf-8")), Outline(html)
    known = {(tag, *sorted(names)) for tag, names in ours.seen}
    assert {(tag, *sorted(names)) for tag, names in theirs.seen} <= known
    for text in (
        "<img src=x",
        "<svg onload",
        "<iframe",
        "<style>*{",
        "<td onclick",
        "<base",
        "<script>alert",
    ):
        assert text not in html
    assert "&lt;img src=x onerror=alert(2)&gt;" in html
    assert "{{ 7 * 191 }}" in html


def test_what_cannot_be_shown_is_left_out_with_the_reason(tmp_path):
    evaluation = evaluated(hourly=False, groups=False, matched=False)
    html = report(tmp_path / "r", evaluation=evaluation).read_text(encoding="utf-8")
    outline = Outline(html)
    text = visible(outline)
    assert text.count("Omitted: the scores have no hourly risks") == 5
    assert "Notes No hourly scores" in text
    assert "The labels have no columns for subgroups" in text
    assert "no times of antibiotics, cultures or suspicion" in text
    figures = {"auprc.csv", "auroc.csv", "concordance.csv"}
    assert {p.name for p in (tmp_path / "r" / "figures").iterdir()} == figures
    assert text.count("not available for these scores; see the section") >= 4
    assert "Time from the first true alarm" not in text
    assert "The criteria need cases, controls and a calibrated risk." in text
    assert "How controls were drawn is not known from the scores." in text
    assert 'id="spread"' not in html


def test_hourly_scores_alone_make_a_page_too(tmp_path):
    whole = evaluated(groups=False)
    metrics = whole.metrics[(whole.metrics["view"] == "continuous") & (whole.metrics.group == "all")]
    prevalence = metrics.drop_duplicates("model").assign(metric="prevalence")
    hourly = replace(
        whole, risk_set=None, metrics=pd.concat([metrics, prevalence]),
        curves={"risk_around_onset": whole.curves["risk_around_onset"]},
    )  # fmt: skip
    html = report(tmp_path / "r", evaluation=hourly).read_text(encoding="utf-8")
    text = visible(Outline(html))
    assert "4 models, evaluated on hourly risks only." in text
    assert "No fixed-horizon evaluation was possible" in text
    assert {p.name for p in (tmp_path / "r" / "figures").iterdir()} == {"risk_around_onset.csv"}


def test_no_stay_or_person_is_on_the_page_or_beside_it(tmp_path):
    scores, outcomes, attrition = whole_study()
    secret = 87_654_321  # ids that no count or figure could be mistaken for
    scores, outcomes, attrition = (
        t.assign(stay_id=t.stay_id + secret, subject_id=t.subject_id + 10 * secret)
        for t in (scores, outcomes, attrition)
    )
    risk_set = constant_risk_set(scores, outcomes)
    evaluation = replace(
        evaluated(), risk_set=risk_set, coverage=risk_set.coverage, hourly_stays=np.arange(80) + secret
    )
    out = write_report(evaluation, scores, outcomes, attrition, tmp_path / "r", Context(MANIFEST)).parent
    ids = {str(i) for i in pd.concat([scores.stay_id, scores.subject_id]).unique()}
    for path in (p for p in out.rglob("*") if p.is_file()):
        assert not ids & set(re.findall(r"\d+", path.read_bytes().decode("latin-1"))), path.name


def test_the_same_tables_give_the_same_bytes(written, tmp_path):
    again = report(tmp_path / "again", cards={"mgp_tcn": CARD}).parent
    for path in (p for p in written.parent.rglob("*") if p.is_file()):
        assert path.read_bytes() == (again / path.relative_to(written.parent)).read_bytes(), path.name


def test_an_earlier_report_is_replaced_and_nothing_else_is(tmp_path):
    out = tmp_path / "report"
    report(out)
    (out / "left-over.txt").write_text("of the earlier report")
    report(out, n=80)
    assert {p.name for p in out.iterdir()} == FILES
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not written by this command"):
        report(other)
    assert [p.name for p in other.iterdir()] == ["notes.txt"]
    assert {p.name for p in tmp_path.iterdir()} == {"report", "other"}


def test_one_model_alone_is_compared_with_nothing(tmp_path):
    models = ("mgp_tcn",)
    html = report(tmp_path / "r", models=models).read_text(encoding="utf-8")
    assert "A single model has no comparator." in html
    assert 'id="differences-title"' not in html


def test_metrics_of_other_stays_are_refused(tmp_path):
    scores, outcomes, attrition = whole_study()
    whole = evaluated(hourly=False, groups=False)
    for metrics in (
        whole.metrics.assign(n=whole.metrics.n + 1),
        whole.metrics[whole.metrics.model != "clock"],
    ):
        other = replace(whole, metrics=metrics)
        with pytest.raises(ExportError, match="not computed from the 118 stays, 29 cases and 4 models"):
            write_report(other, scores, outcomes, attrition, tmp_path / "r", Context(MANIFEST))
    nothing = replace(whole, metrics=whole.metrics.iloc[:0])
    with pytest.raises(NothingLeftError, match="metrics: no row"):
        write_report(nothing, scores, outcomes, attrition, tmp_path / "r", Context(MANIFEST))
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("horizons", "words"),
    [((0.0, 1.0, 2.0), "0 to 2"), ((0.0, 3.0), "0 and 3"), ((5.0,), "5"), ((0.0, 1.0, 3.0), "0, 1 and 3")],
)
def test_hours_are_written_as_a_reader_would(horizons, words):
    assert page.hours_in_words(constant_risk_set(*study(horizons=horizons))) == words
