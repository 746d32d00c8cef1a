"""SIRS, qSOFA, NEWS2 and SOFA: the published rules, partial data, and the curve to a risk."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.cohort.windows import pack
from sepsis.core.errors import SettingsError
from sepsis.events.model_inputs import RATES
from sepsis.events.vocabulary import load_vocabulary
from sepsis.labels import sofa_points as label_points
from sepsis.models.baselines.bedside import NEWS2, QSOFA, SIRS, WindowSOFA
from sepsis.models.baselines.bedside_score import MIN_SLOPE, rising_logistic
from sepsis.models.registry import entry_of
from tests.models.made_up import made_up_windows
from tests.oracles import clinical as oracle
from tests.tables import table

SCORES = (SIRS, QSOFA, NEWS2, WindowSOFA)


def windows(model, charts, end_h=30.0):
    """Windows of lists of (time_h, concept, value), packed with the variables of a score."""
    rows = [(b, *row) for b, chart in enumerate(charts) for row in chart]
    events = pd.DataFrame(rows, columns=["stay_id", "time_h", "concept", "value"]).astype(
        {"stay_id": int, "time_h": float, "concept": str, "value": float}
    )
    ids = np.arange(len(charts))
    stays = pd.DataFrame({"stay_id": ids, "subject_id": ids, "end_h": end_h})
    return pack(events, stays, model.reads)


def at_once(model, **values):
    """Points of one window in which these values were charted an hour before the prediction."""
    return model.points(windows(model, [[(29.0, name, value) for name, value in values.items()]]))[0]


def one(model, concept, value):
    """Points of a window with a single value."""
    return float(np.nansum(at_once(model, **{concept: value})))


# --- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concept", "none", "point"),
    [
        ("temperature", (36.0, 37.0, 38.0), (35.9, 38.1)),
        ("heart_rate", (60.0, 90.0), (91.0,)),
        ("resp_rate", (12.0, 20.0), (21.0,)),
        ("pco2", (32.0, 45.0), (31.9,)),
        ("wbc", (4.0, 12.0), (3.9, 12.1)),
        ("bands", (0.0, 10.0), (11.0,)),
    ],
)
def test_sirs_gives_a_point_for_each_criterion_of_bone_1992(concept, none, point):
    assert [one(SIRS(), concept, v) for v in none] == [0.0] * len(none)
    assert [one(SIRS(), concept, v) for v in point] == [1.0] * len(point)


def test_two_ways_to_meet_one_criterion_of_sirs_are_one_point():
    assert np.nansum(at_once(SIRS(), resp_rate=30.0, pco2=25.0, wbc=20.0, bands=30.0)) == 2.0


def test_a_hundred_point_four_fahrenheit_is_no_fever_for_sirs():
    assert one(SIRS(), "temperature", 100.4 * 0.5555555555555556 - 17.77777777777778) == 0.0


def test_qsofa_counts_22_breaths_100_mmhg_and_a_coma_scale_below_15():
    model = QSOFA()
    assert [one(model, "resp_rate", v) for v in (21.0, 22.0)] == [0.0, 1.0]
    assert [one(model, "sbp", v) for v in (101.0, 100.0)] == [0.0, 1.0]
    assert [one(model, "gcs_verbal", v) for v in (5.0, 4.0)] == [0.0, 1.0]
    assert np.nansum(at_once(model, resp_rate=30.0, sbp=80.0, gcs_eye=1.0)) == 3.0


NEWS2_CHART = table("""
    part        | low  | high | points     # RCP 2017, chart 1, SpO2 scale 1
    resp_rate   |    1 |    8 | 3
    resp_rate   |    9 |   11 | 1
    resp_rate   |   12 |   20 | 0
    resp_rate   |   21 |   24 | 2
    resp_rate   |   25 |   60 | 3
    spo2        |   50 |   91 | 3
    spo2        |   92 |   93 | 2
    spo2        |   94 |   95 | 1
    spo2        |   96 |  100 | 0
    fio2_chart  |   21 |   21 | 0
    fio2_chart  |   22 |  100 | 2
    o2_flow     |    0 |    0 | 0
    o2_flow     |  0.5 |   15 | 2
    sbp         |   40 |   90 | 3
    sbp         |   91 |  100 | 2
    sbp         |  101 |  110 | 1
    sbp         |  111 |  219 | 0
    sbp         |  220 |  300 | 3
    heart_rate  |   10 |   40 | 3
    heart_rate  |   41 |   50 | 1
    heart_rate  |   51 |   90 | 0
    heart_rate  |   91 |  110 | 1
    heart_rate  |  111 |  130 | 2
    heart_rate  |  131 |  250 | 3
    temperature |   30 | 35.0 | 3
    temperature | 35.1 | 36.0 | 1
    temperature | 36.1 | 38.0 | 0
    temperature | 38.1 | 39.0 | 1
    temperature | 39.1 |   42 | 2
    gcs_motor   |    1 |    5 | 3
    gcs_motor   |    6 |    6 | 0
""")


@pytest.mark.parametrize(
    "row", list(NEWS2_CHART.itertuples()), ids=lambda r: f"{r.part} {r.low:g}-{r.high:g}"
)
def test_news2_is_the_chart_of_the_college(row):
    assert [one(NEWS2(), row.part, v) for v in (row.low, row.high)] == [row.points] * 2


def test_the_highest_news2_is_20():
    worst = {
        "resp_rate": 30.0, "spo2": 80.0, "fio2_chart": 60.0, "sbp": 70.0, "heart_rate": 140.0, "gcs_eye": 1.0,
        "temperature": 34.0,
    }  # fmt: skip
    assert NEWS2().total(windows(NEWS2(), [[(29.0, k, v) for k, v in worst.items()]])) == [20.0]


@pytest.mark.parametrize(
    ("concept", "column", "rule"),
    [
        ("platelets", 1, label_points.coagulation_points),
        ("bilirubin_total", 2, label_points.liver_points),
        ("map", 3, label_points.pressure_points),
        ("creatinine", 5, label_points.creatinine_points),
    ],
)
def test_the_points_of_sofa_are_those_of_the_labels(concept, column, rule):
    values = np.concatenate([np.linspace(0.1, 200.0, 300), [1.2, 2, 3.5, 5, 6, 12, 20, 50, 70, 100, 150]])
    model = WindowSOFA()
    ours = model.points(windows(model, [[(20.0, concept, v)] for v in values]))[:, column]
    np.testing.assert_array_equal(ours, rule(values))


def test_sofa_of_the_lungs_passes_two_only_on_a_ventilator():
    model = WindowSOFA()
    gas = [(10.0, "fio2_chart", 100.0), (20.0, "po2", 80.0)]
    on_air = [(20.0, "po2", 80.0)]  # no FiO2: not judged
    late = [(20.0, "po2", 80.0), (21.0, "fio2_chart", 100.0)]
    charts = [gas, [*gas, (12.0, "total_peep", 5.0)], on_air, late]
    np.testing.assert_array_equal(model.points(windows(model, charts))[:, 0], [2.0, 4.0, np.nan, np.nan])


@pytest.mark.parametrize("drug", label_points.DRUGS)
def test_the_highest_rate_that_ran_counts_as_in_the_labels(drug):
    model, rates = WindowSOFA(), np.array([0.0, 0.05, 0.1, 0.2, 5.0, 5.1, 15.0, 15.1])
    expected = label_points.drug_points(rates, drug)
    stopped = [[(20.0, drug, rate), (25.0, drug, 0.0)] for rate in rates]
    since_long = [[(1.0, drug, rate)] for rate in rates]  # began more than a day ago and still runs
    over = [[(1.0, drug, rate), (3.0, drug, 0.0)] for rate in rates]
    for charts, want in ((stopped, expected), (since_long, expected), (over, 0.0 * expected)):
        np.testing.assert_array_equal(model.points(windows(model, charts))[:, 3], want)


def test_who_is_silent_on_a_ventilator_is_not_taken_for_comatose():
    parts = {"gcs_verbal": 1.0, "gcs_motor": 4.0, "gcs_eye": 2.0}
    assert at_once(WindowSOFA(), **parts)[4] == 3.0
    assert at_once(WindowSOFA(), **parts, total_peep=5.0)[4] == 0.0
    assert at_once(QSOFA(), **parts)[2] == 1.0
    assert np.isnan(at_once(QSOFA(), **parts, total_peep=5.0)[2])
    assert at_once(NEWS2(), **parts)[5] == 3.0
    assert np.isnan(at_once(NEWS2(), **parts, total_peep=5.0)[5])


def test_urine_counts_once_a_day_has_passed():
    model = WindowSOFA()
    charts = [[(4.0, "urine_output", 300.0), (20.0, "urine_output", 150.0)]] * 2
    points = model.points(windows(model, charts, end_h=[23.0, 24.5]))[:, 5]
    np.testing.assert_array_equal(points, [np.nan, 3.0])


# --- partial data -------------------------------------------------------------------------------


def test_the_last_value_of_the_stated_hours_counts():
    model = SIRS(vital_h=12.0)
    chart = [(17.0, "heart_rate", 120.0), (18.5, "heart_rate", 80.0)]
    charts = [chart, chart[:1], [*chart, (29.0, "heart_rate", 130.0)]]
    X = windows(model, charts, end_h=30.0)
    np.testing.assert_array_equal(model.points(X)[:, 1], [0.0, np.nan, 1.0])


@pytest.mark.parametrize("score", SCORES)
def test_an_empty_chart_scores_nothing_and_still_has_a_risk(score):
    model = score()
    X = windows(model, [[], [(29.0, model.reads[0], 30.0)]])
    assert np.isnan(model.points(X)[0]).all()
    assert model.total(X)[0] == 0.0
    assert np.isfinite(model.fit(X, [0, 1]).predict_proba(X)).all()


def test_what_was_never_charted_stands_on_the_model_card():
    X, y = made_up_windows(30, 1)
    notes = " ".join(QSOFA().fit(X, y).notes())
    assert "nothing was charted of respiration, systolic pressure, consciousness" in notes
    notes = " ".join(SIRS().fit(X, y).notes())
    assert "heart rate 100%" in notes
    assert "nothing was charted of temperature, respiration, white cells" in notes
    assert "doi:10.1378/chest.101.6.1644" in notes


def test_only_sofa_is_flagged_circular():
    assert [bool(entry_of(score.name).circular) for score in SCORES] == [False, False, False, True]
    X, y = made_up_windows(30, 1)
    assert "the label is derived from it" in " ".join(WindowSOFA().fit(X, y).notes())


@pytest.mark.parametrize("score", SCORES)
def test_a_score_reads_variables_of_the_vocabulary(score):
    known = {concept.id: concept.group for concept in load_vocabulary().chosen(None)}
    assert set(score.reads) <= set(known)
    assert {name for name in score.reads if known[name] == "vasoactive"} <= set(RATES)


@pytest.mark.parametrize("score", SCORES)
def test_hours_that_make_no_sense_are_refused(score):
    X, y = made_up_windows(10, 1)
    name = next(iter(score().get_params()))
    with pytest.raises(SettingsError, match=f"{name} = 0.0. Expected: hours, above 0."):
        score(**{name: 0.0}).fit(X, y)


# --- from points to a risk ----------------------------------------------------------------------


@pytest.mark.parametrize("flip", [False, True])
def test_the_order_of_the_risks_is_that_of_the_points(flip):
    random = np.random.default_rng(0)
    model = NEWS2()
    charts = [[(29.0, "heart_rate", v), (29.0, "sbp", w)] for v, w in random.uniform(30, 200, (200, 2))]
    X = windows(model, charts)
    total = model.total(X)
    y = (random.random(200) < (total + 1) / 10).astype(int)
    risk = model.fit(X, 1 - y if flip else y).predict_proba(X)[:, 1]
    np.testing.assert_array_equal(
        np.unique(risk, return_inverse=True)[1], np.unique(total, return_inverse=True)[1]
    )
    assert ((risk > 0) & (risk < 1)).all()


def test_the_curve_is_calibrated_in_the_large():
    random = np.random.default_rng(1)
    points = random.integers(0, 5, 2000).astype(float)
    for y in ((random.random(2000) < 0.05 * (1 + points)), (random.random(2000) < 0.25 - 0.05 * points)):
        slope, intercept = rising_logistic(points, y.astype(int))
        risk = 1 / (1 + np.exp(-(slope * points + intercept)))
        assert risk.mean() == pytest.approx(y.mean(), abs=1e-4)
        assert slope >= MIN_SLOPE


# --- against the pencil -------------------------------------------------------------------------

CONCEPTS = sorted({name for score in SCORES for name in score.reads})
RANGES = {
    "temperature": (34, 41), "heart_rate": (30, 150), "resp_rate": (5, 40), "pco2": (20, 60), "wbc": (1, 20),
    "bands": (0, 20), "sbp": (60, 240), "spo2": (80, 100), "fio2_chart": (21, 100), "fio2_lab": (21, 100),
    "o2_flow": (0, 3), "po2": (40, 150), "platelets": (5, 200), "bilirubin_total": (0, 14), "map": (50, 100),
    "creatinine": (0, 6), "urine_output": (0, 400), "gcs_verbal": (1, 5), "gcs_motor": (1, 6),
    "gcs_eye": (1, 4), "dopamine": (0, 20), "norepinephrine": (0, 1), "epinephrine": (0, 1),
}  # fmt: skip


@st.composite
def charts(draw):
    """A chart of few times, so that values meet, and whole or half numbers, so that edges are hit."""
    rows = {}
    for _ in range(draw(st.integers(0, 40))):
        name = draw(st.sampled_from(CONCEPTS))
        low, high = RANGES.get(name, (1, 30))
        whole = name.startswith("gcs") or name == "fio2_chart"
        value = draw(st.integers(low, high)) if whole else draw(st.integers(2 * low, 2 * high)) / 2
        rows[draw(st.integers(0, 30)), name] = float(value)
    return [(float(t), name, v) for (t, name), v in rows.items()]


@settings(deadline=None, max_examples=150)
@given(chart=charts(), end_h=st.integers(1, 30), hours=st.sampled_from([6.0, 12.0, 24.0]))
def test_every_score_agrees_with_the_pencil(chart, end_h, hours):
    twins = {
        SIRS(vital_h=hours, lab_h=24.0): oracle.sirs(chart, end_h, hours, 24.0),
        QSOFA(vital_h=hours): oracle.qsofa(chart, end_h, hours),
        NEWS2(vital_h=hours): oracle.news2(chart, end_h, hours),
        WindowSOFA(worst_h=hours): oracle.sofa(chart, 0.0, end_h, hours),
    }
    for model, expected in twins.items():
        # two companions: a window does not see its neighbours
        X = windows(model, [[(1.0, "map", 30.0)], chart, chart[:3]], end_h=float(end_h))
        want = np.array([np.nan if p is None else p for p in expected], float)
        np.testing.assert_array_equal(model.points(X)[1], want, err_msg=model.name)
