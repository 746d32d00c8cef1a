import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from sepsis import schema
from sepsis.errors import ExportError, NothingLeftError, UsageError
from sepsis.evaluation import constant_risk_set, evaluate_scores
from sepsis.report import page, write_report
from tests.evaluation.made_up import study
from tests.report.made_up import MANIFEST, report, whole_study
from tests.report.test_tables import difference

FILES = {"index.html", "metrics.parquet", "metrics.csv", "metrics.json"}
FILES |= {"summary.md", "coverage.csv", "attrition.csv", "manifest.json"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return report(tmp_path_factory.mktemp("page") / "report")


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


@pytest.fixture(scope="module")
def outline(written):
    return Outline(written.read_text(encoding="utf-8"))


def test_the_folder_holds_the_page_and_every_number(written):
    assert {p.name for p in written.parent.iterdir()} == FILES
    everything = json.loads((written.parent / "metrics.json").read_text())
    metrics = schema.read_table(written.parent / "metrics.parquet", "metrics")
    table = pd.read_csv(written.parent / "metrics.csv")
    assert len(everything["metrics"]) == len(metrics) == len(table) == 3 * (4 * 4 + 6 * 2)
    assert table.estimate.to_numpy() == pytest.approx(metrics.estimate.to_numpy())
    assert [r["estimate"] for r in everything["metrics"]] == pytest.approx(metrics.estimate.to_list())
    assert everything["coverage"][0]["n"] == 2
    assert everything["attrition"][0] == {
        "step": "ICU stays in the export", "lost_to": "", "n": 155, "n_events": None,
    }  # fmt: skip
    assert schema.read_facts(written.parent / "metrics.parquet")["seed"] == 7
    assert schema.folder_kind(written.parent) == "report"


def test_the_page_says_what_it_must(outline):
    text = re.sub(r"\s+", " ", " ".join(outline.text))
    for said in (
        "118 ICU stays of 118 people in the test split, 29 of which reach onset (prevalence 0.246)",
        "at 0, 3 and 7 hours before onset",
        "Not a medical device",
        "MGP-TCN", "DTW k-NN", "Logistic regression", "Clock",
        "no data", "too young", "no match", "nothing charted",
        "ab" * 32, "cd" * 32, "moor2019",
    ):  # fmt: skip
        assert said in text, said


def test_the_page_can_be_read_without_seeing_it(outline):
    assert outline.all("html") == [{"lang": "en"}]
    assert len(outline.all("h1")) == 1
    assert (outline.open, outline.wrong) == ([], [])
    assert len(outline.all("caption")) == len(outline.all("table"))
    plots = [a for a in outline.all("div") if a.get("class") == "plot"]
    assert len(plots) == 2
    assert all(p["role"] == "img" and "hours before onset" in p["aria-label"] for p in plots)
    skip = next(a for a in outline.all("a") if a.get("class") == "skip")
    ids = [attrs["id"] for _, attrs in outline.seen if "id" in attrs]
    assert skip["href"] == f"#{'content'}"
    assert "content" in ids
    assert len(ids) == len(set(ids))


def test_nothing_on_the_page_is_fetched(outline):
    for tag, attrs in outline.seen:
        assert "src" not in attrs, tag
        if tag == "link":
            assert attrs["href"] == "data:,"
        if tag == "a":
            assert attrs["href"] == "#content" or attrs["href"] in FILES
    policy = next(
        a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_text_from_outside_is_escaped(written):
    html = written.read_text(encoding="utf-8")
    assert "&lt;b&gt;raw&lt;/b&gt;" in html
    assert "<b>raw" not in html
    assert "</script><i>" not in html


def test_no_stay_or_person_is_on_the_page_or_beside_it(tmp_path):
    scores, outcomes, attrition = whole_study()
    secret = 87_654_321  # ids that no count or figure could be mistaken for
    scores, outcomes, attrition = (
        t.assign(stay_id=t.stay_id + secret, subject_id=t.subject_id + 10 * secret)
        for t in (scores, outcomes, attrition)
    )
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=0)
    out = write_report(metrics, scores, outcomes, attrition, MANIFEST, tmp_path / "r").parent
    ids = {str(i) for i in pd.concat([scores.stay_id, scores.subject_id]).unique()}
    for path in out.iterdir():
        assert not ids & set(re.findall(r"\d+", path.read_bytes().decode("latin-1"))), path.name


def test_the_same_tables_give_the_same_bytes(written, tmp_path):
    again = report(tmp_path / "again")
    for path in written.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes(), path.name


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
    html = report(tmp_path / "r", models=("mgp_tcn",)).read_text(encoding="utf-8")
    assert "There is one model, so nothing is compared." in html
    assert 'id="differences-title"' not in html


def test_metrics_of_other_stays_are_refused(tmp_path):
    scores, outcomes, attrition = whole_study()
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=0)
    for other in (metrics.assign(n=metrics.n + 1), metrics[metrics.model != "clock"]):
        with pytest.raises(ExportError, match="not computed from the 118 stays, 29 cases and 4 models"):
            write_report(other, scores, outcomes, attrition, MANIFEST, tmp_path / "r")
    with pytest.raises(NothingLeftError, match="no figure at a fixed horizon"):
        write_report(metrics.iloc[:0], scores, outcomes, attrition, MANIFEST, tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.02, 0.08, "a ranks better than the clock (paired"),
        (-0.08, -0.02, "a ranks worse than the clock (paired"),
        (-0.02, 0.08, "no model can be said to rank cases better than the clock"),
        (float("nan"), float("nan"), "there are no intervals"),
    ],
)
def test_the_verdict_follows_the_paired_interval(low, high, sentence):
    assert sentence in page.verdict(difference(low, high))


@pytest.mark.parametrize(
    ("horizons", "words"),
    [((0.0, 1.0, 2.0), "0 to 2"), ((0.0, 3.0), "0 and 3"), ((5.0,), "5"), ((0.0, 1.0, 3.0), "0, 1 and 3")],
)
def test_hours_are_written_as_a_reader_would(horizons, words):
    assert page._hours(constant_risk_set(*study(horizons=horizons))) == words
