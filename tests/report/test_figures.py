import json

import numpy as np
import plotly.graph_objects as go
import pytest

from sepsis.evaluation import evaluate_scores
from sepsis.report.context import Results
from sepsis.report.figures import description, horizon_chart
from sepsis.report.landmark_figures import landmark_charts, risk_table
from sepsis.report.names import styles
from sepsis.report.page import Page
from sepsis.report.sections import sections
from tests.evaluation.made_up import study, value
from tests.report.made_up import MANY
from tests.report.made_up_evaluation import evaluated

MODELS = ("mgp_tcn", "clock")
HOURS = (0.0, 3.0, 7.0)


def figure_of(metrics, metric, models=MODELS):
    return horizon_chart(metrics, metric, styles(models), "95")


@pytest.fixture(scope="module")
def metrics():
    return evaluate_scores(*study(), n_bootstrap=50)


@pytest.fixture(scope="module")
def charts():
    """Every figure of a page with many models, by name."""
    everything = evaluated(models=MANY)
    results = Results.of(everything)
    page = Page(results, sections(results), everything.risk_set, everything.coverage, [], {}, [], {}, "test")
    return {chart.name: chart for chart in page.charts}


@pytest.mark.parametrize("metric", ["auprc", "auroc"])
def test_plotly_accepts_the_figure_and_it_shows_the_metrics(metrics, metric):
    drawn = go.Figure(figure_of(metrics, metric).drawing)
    lines = [t for t in drawn.data if t.meta["part"] == "" and t.fill is None]
    assert [t.name for t in lines] == ["MGP-TCN", "Clock"]
    for model, trace in zip(MODELS, lines, strict=True):
        for horizon, x, y, up, down in zip(
            HOURS, trace.x, trace.y, trace.error_y.array, trace.error_y.arrayminus, strict=True
        ):
            assert x == pytest.approx(horizon, abs=0.5)
            assert y == value(metrics, model, metric, horizon)
            assert y + up == pytest.approx(value(metrics, model, metric, horizon, "high"))
            assert y - down == pytest.approx(value(metrics, model, metric, horizon, "low"))


def test_onset_is_at_the_right(metrics):
    left, right = figure_of(metrics, "auprc").layout["xaxis"]["range"]
    assert left > 7 > 0 > right


def test_the_line_of_chance_is_the_prevalence_or_one_half(metrics):
    for metric, chance in (("auprc", 0.25), ("auroc", 0.5)):
        [line] = figure_of(metrics, metric).layout["shapes"]
        assert (line["y0"], line["y1"]) == (chance, chance)


def test_every_interval_lies_inside_the_axis(metrics):
    for metric in ("auprc", "auroc"):
        low, high = figure_of(metrics, metric).layout["yaxis"]["range"]
        rows = metrics[metrics.metric == metric]
        assert low <= rows.low.min()
        assert rows.high.max() <= high


def test_without_intervals_the_bars_are_gaps_not_nan():
    metrics = evaluate_scores(*study(horizons=(3.0,)), n_bootstrap=0)
    chart = figure_of(metrics, "auprc")
    assert chart.data[-1]["error_y"]["array"] == [None]
    assert np.isfinite(chart.layout["yaxis"]["range"]).all()


def test_the_description_says_what_the_figure_shows(metrics):
    text = description(metrics, "auprc")
    assert f"MGP-TCN {value(metrics, 'mgp_tcn', 'auprc', 7.0):.3f} at 7 hours" in text
    assert "prevalence, 0.25" in text


def test_the_page_has_every_figure(charts):
    assert set(charts) == {
        "auprc", "auroc", "concordance", "auprc-extended", "auroc-extended", "landmark_auroc",
        "landmark_auprc", "landmark_observed_expected", "risk_around_onset", "event_precision_recall",
        "burden_recall", "lead_time", "reliability", "decision_curve", "forest",
    }  # fmt: skip


def test_every_figure_is_one_that_plotly_and_json_accept(charts):
    for chart in charts.values():
        go.Figure(chart.drawing)
        json.dumps(chart.drawing, allow_nan=False)
        assert len(chart.description) > 40
        assert chart.caption.endswith(".")


def test_every_figure_draws_every_model_and_names_it_for_the_switch(charts):
    for name, chart in charts.items():
        drawn = {trace["meta"]["model"] for trace in chart.data}
        assert drawn - {"treat all", "treat none", "chance"} == set(MANY), name


def test_what_is_drawn_stands_in_the_numbers_of_the_figure(charts):
    def column(name, column, **where):
        rows = charts[name].numbers
        for key, wanted in where.items():
            rows = rows[rows[key] == wanted]
        return sorted(rows[column])

    def drawn(name, model, part, axis="y"):
        return [t for t in charts[name].data if t["meta"]["model"] == model and t["meta"]["part"] == part][0][
            axis
        ]

    for name, y in (
        ("event_precision_recall", "precision"), ("burden_recall", "alarms_per_100_patient_days"),
        ("decision_curve", "net_benefit"), ("reliability", "observed"),
    ):  # fmt: skip
        assert sorted(drawn(name, "dtw_knn", "")) == pytest.approx(column(name, y, model="dtw_knn")), name
    for group in ("case", "control"):
        mean = column("risk_around_onset", "mean", model="dtw_knn", **{"class": group})
        assert sorted(drawn("risk_around_onset", "dtw_knn", group)) == pytest.approx(mean)
    for part in ("events", "events_shuffled"):
        counts = column("lead_time", part, model="dtw_knn", setting="recall 0.8")
        assert sorted(drawn("lead_time", "dtw_knn", part)[:-1]) == pytest.approx(counts)


def test_the_forest_names_a_group_that_is_too_small_without_a_mark(charts):
    chart = charts["forest"]
    assert "age: 80 or more" in chart.layout["yaxis"]["ticktext"]
    assert all(len(trace["x"]) == len(chart.layout["yaxis"]["ticktext"]) - 1 for trace in chart.data)
    assert not any("80 or more" in text for trace in chart.data for text in trace["hovertext"])


def test_the_shuffled_line_is_dotted_and_the_real_one_is_not(charts):
    dashes = {(t["meta"]["part"], t["line"]["dash"]) for t in charts["lead_time"].data}
    assert dashes == {("events", "solid"), ("events_shuffled", "dot")}


def test_bands_lie_around_the_line_of_their_model_and_that_of_chance_is_of_none(charts):
    chart = charts["auprc"]
    bands = {t["meta"]["model"]: t for t in chart.data if t.get("fill")}
    assert set(bands) == {*MANY, "chance"}
    rows = chart.numbers.set_index(["model", "metric", "horizon_h"])
    for model in MANY:
        low, high = (
            [rows.loc[(model, "auprc", h), column] for h in HOURS] for column in ("band_low", "band_high")
        )
        assert bands[model]["y"] == pytest.approx([*low, *high[::-1]])
    low, high = ([rows.loc[("all", "auprc_chance", h), column] for h in HOURS] for column in ("low", "high"))
    assert bands["chance"]["y"] == pytest.approx([*low, *high[::-1]])
    assert bands["chance"]["x"] == [*HOURS, *HOURS[::-1]]
    assert "95% of risks without signal" in chart.caption


def test_the_landmark_figure_of_precision_has_the_share_with_onset(charts):
    [share] = [t for t in charts["landmark_auprc"].data if t["meta"]["model"] == "chance"]
    rows = evaluated(models=MANY).curves["landmark"]
    rows = rows[rows.metric == "prevalence"]
    assert share["y"] == rows.estimate.to_list()
    assert share["x"] == rows.hour.to_list()


def test_a_landmark_without_a_number_is_a_gap_and_its_stays_are_counted():
    curve = evaluated().curves["landmark"]
    curve.loc[curve.hour == 6, ["estimate", "low", "high", "band_low", "band_high"]] = np.nan
    chart = landmark_charts(curve, styles(MODELS), "95")[0]
    line = next(t for t in chart.data if t["meta"] == {"role": "series-0", "model": "mgp_tcn", "part": ""})
    assert line["y"][0] is None
    json.dumps(chart.drawing, allow_nan=False)
    table = risk_table(curve)
    assert [cell.text for cell in table.rows[0][:3]] == ["Still at risk", "740", "680"]
