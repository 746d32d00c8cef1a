import numpy as np
import plotly.graph_objects as go
import pytest

from sepsis.evaluation import evaluate_scores
from sepsis.report.figures import SYMBOLS, curve, description, series_styles
from tests.evaluation.made_up import study, value


@pytest.fixture(scope="module")
def metrics():
    return evaluate_scores(*study(), n_bootstrap=50)


@pytest.mark.parametrize("metric", ["auprc", "auroc"])
def test_plotly_accepts_the_figure_and_it_shows_the_metrics(metrics, metric):
    figure = go.Figure(curve(metrics, metric))
    assert [t.name for t in figure.data] == ["MGP-TCN", "Clock"]
    for model, trace in zip(("mgp_tcn", "clock"), figure.data, strict=True):
        for horizon, x, y, up, down in zip(
            (0.0, 3.0, 7.0), trace.x, trace.y, trace.error_y.array, trace.error_y.arrayminus, strict=True
        ):
            assert x == pytest.approx(horizon, abs=0.5)
            assert y == value(metrics, model, metric, horizon)
            assert y + up == pytest.approx(value(metrics, model, metric, horizon, "high"))
            assert y - down == pytest.approx(value(metrics, model, metric, horizon, "low"))


def test_onset_is_at_the_right(metrics):
    left, right = curve(metrics, "auprc")["layout"]["xaxis"]["range"]
    assert left > 7 > 0 > right


def test_the_line_of_chance_is_the_prevalence_or_one_half(metrics):
    for metric, chance in (("auprc", 0.25), ("auroc", 0.5)):
        [line] = curve(metrics, metric)["layout"]["shapes"]
        assert (line["y0"], line["y1"]) == (chance, chance)


def test_every_interval_lies_inside_the_axis(metrics):
    for metric in ("auprc", "auroc"):
        low, high = curve(metrics, metric)["layout"]["yaxis"]["range"]
        rows = metrics[metrics.metric == metric]
        assert low <= rows.low.min()
        assert rows.high.max() <= high


def test_without_intervals_the_bars_are_gaps_not_nan():
    metrics = evaluate_scores(*study(horizons=(3.0,)), n_bootstrap=0)
    figure = curve(metrics, "auprc")
    assert figure["data"][0]["error_y"]["array"] == [None]
    assert np.isfinite(figure["layout"]["yaxis"]["range"]).all()


def test_models_are_told_apart_without_colour():
    styles = series_styles((*(f"m{i}" for i in range(2 * len(SYMBOLS))), "clock"))
    assert len({(s["symbol"], s["dash"]) for s in styles}) == len(styles)
    assert styles[-1]["role"] == "series-plain"


def test_the_description_says_what_the_figure_shows(metrics):
    text = description(metrics, "auprc")
    assert f"MGP-TCN {value(metrics, 'mgp_tcn', 'auprc', 7.0):.3f} at 7 hours" in text
    assert "prevalence, 0.25" in text
