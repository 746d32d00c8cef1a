import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.core.errors import ExportError
from sepsis.evaluation import physionet2019_utility
from sepsis.evaluation.utility import (
    _utilities,
    best_threshold,
    best_thresholds,
    hours_follow_each_other,
    utility_metrics,
)
from tests.evaluation.made_up import hourly_study, hours_of
from tests.oracles import evaluation as oracle


def test_every_patient_and_the_total_are_those_of_the_official_script(shared):
    folder = shared("oracles/physionet2019_utility")
    hours = pd.read_csv(folder / "hours.csv.gz")
    official = pd.read_csv(folder / "patients.csv").set_index("patient")
    total = json.loads((folder / "summary.json").read_text())["normalized_utility"]
    patients, normalised = physionet2019_utility(hours)
    assert patients.columns.tolist() == ["patient", *official.columns]
    ours = patients.set_index("patient").loc[official.index]
    assert len(ours) == len(patients) == 300
    np.testing.assert_allclose(ours.to_numpy(), official.to_numpy(), rtol=0, atol=1e-12)
    assert normalised == pytest.approx(total, rel=0, abs=1e-12)


course = st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(courses=st.lists(st.tuples(course, st.integers(-1, 30)), min_size=1, max_size=4))
def test_utility_agrees_with_the_rules_hour_by_hour(courses):
    rows, expected = [], {"observed": 0.0, "best": 0.0, "worst": 0.0, "inaction": 0.0}
    for number, (course, first) in enumerate(courses):
        label = [int(0 <= first <= i) for i in range(len(course))]
        prediction = [p for _, p in course]
        rows += [(number, a, b) for a, b in zip(label, prediction, strict=True)]
        onset = label.index(1) + 6 if 1 in label else None
        best = [int(onset is not None and -12 <= i - onset <= 3) for i in range(len(label))]
        expected["observed"] += oracle.physionet_patient(label, prediction)
        expected["best"] += oracle.physionet_patient(label, best)
        expected["worst"] += oracle.physionet_patient(label, [1 - b for b in best])
        expected["inaction"] += oracle.physionet_patient(label, [0] * len(label))
    hours = pd.DataFrame(rows, columns=["patient", "label", "prediction"])
    patients, normalised = physionet2019_utility(hours)
    for name, value in expected.items():
        assert patients[f"{name}_utility"].sum() == pytest.approx(value)
    range_ = expected["best"] - expected["inaction"]
    if range_ > 1e-9:
        assert normalised == pytest.approx((expected["observed"] - expected["inaction"]) / range_)
    else:
        assert np.isnan(normalised) or range_ > 0


def test_patients_may_be_mixed_as_long_as_each_ones_hours_are_in_order():
    hours = pd.DataFrame({"patient": list("aabab"), "label": [0, 1, 0, 1, 0], "prediction": [0, 1, 1, 0, 0]})
    apart = hours.sort_values("patient", kind="stable")
    assert physionet2019_utility(hours)[0].equals(physionet2019_utility(apart)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.drop(columns="label"), "no column label"),
        (lambda h: h.assign(prediction=0.4), "4 rows are neither 0 nor 1"),
        (lambda h: h.assign(label=[0, 1, None, 1]), "1 rows are neither 0 nor 1"),
        (lambda h: h.assign(patient=["a", None, "a", "a"]), "1 gaps"),
    ],
)
def test_hours_that_are_not_what_the_challenge_has_are_refused(change, message):
    hours = pd.DataFrame({"patient": "a", "label": [0, 0, 1, 1], "prediction": 0})
    with pytest.raises(ExportError, match=message):
        physionet2019_utility(change(hours))


def as_challenge(hours, threshold, model=0):
    """Hours with whole onsets as the challenge writes them: label 1 from six hours before onset."""
    onset_h = hours.onset_h[hours.stay]
    return pd.DataFrame(
        {
            "patient": hours.stay_id[hours.stay],
            "label": (hours.time_h >= onset_h - 6).astype(int),
            "prediction": (hours.risk[model] >= threshold).astype(int),
        }
    )


def test_the_view_gives_what_the_challenge_would():
    scores, outcomes = hourly_study(40)
    outcomes = outcomes.assign(onset_h=np.floor(outcomes.onset_h))
    hours = hours_of(scores, outcomes)
    found = utility_metrics(hours, hours, "best on judged rows", level=0.95)
    for m, model in enumerate(hours.models):
        row = found[(found.model == model) & (found.metric == "normalised_utility")].iloc[0]
        expected = physionet2019_utility(as_challenge(hours, best_threshold(hours, m), m))[1]
        assert row.estimate == pytest.approx(expected)


def test_no_threshold_has_a_higher_utility_than_the_best_one():
    scores, outcomes = hourly_study(40, models=("m",))
    hours = hours_of(scores, outcomes.assign(onset_h=np.floor(outcomes.onset_h)))
    best = physionet2019_utility(as_challenge(hours, best_threshold(hours, 0)))[1]
    tried = [physionet2019_utility(as_challenge(hours, t))[1] for t in np.unique(hours.risk[0])[::25]]
    assert best > 0
    assert max(tried) <= best + 1e-12


def test_where_silence_is_best_no_threshold_is_shown():
    scores, outcomes = hourly_study(12, models=("m",))
    inverted = scores.assign(risk=np.where(scores.stay_id % 4 == 0, 0.1, 0.9))
    controls = hours_of(inverted, outcomes.assign(is_case=False, onset_h=np.nan))
    assert best_threshold(controls, 0) == np.inf


def test_hours_with_holes_are_not_hourly():
    scores, outcomes = hourly_study(8, models=("m",))
    assert hours_follow_each_other(hours_of(scores, outcomes))
    hole = scores[(scores.stay_id != 3) | (scores.time_h != 5)]
    assert not hours_follow_each_other(hours_of(hole, outcomes))


def test_each_fold_has_its_best_threshold():
    hours = hours_of(*hourly_study(80, models=("m",)))
    two = replace(hours, fold=1 + hours.stay_id // 4 % 2)
    each = best_thresholds(two, two, "m")
    for fold in (1, 2):
        assert set(each[two.fold == fold]) == {best_threshold(two.of_fold(fold), 0)}
    found = utility_metrics(two, two, "best on validation", level=0.95).set_index("metric")
    one = found.loc["normalised_utility"]
    assert one.low < one.estimate < one.high
    elsewhere = utility_metrics(two, two.of_fold(1), "best on validation", level=0.95)
    assert elsewhere.metric.tolist() == ["threshold"]  # the other fold has none


def test_the_interval_is_that_of_a_ratio_of_sums_over_persons():
    hours = hours_of(*hourly_study(400, models=("m",)))
    found = utility_metrics(hours, hours, "best on judged rows", level=0.95).set_index("metric")
    one, rng, again = found.loc["normalised_utility"], np.random.default_rng(0), []
    alarmed = hours.risk[0] >= best_threshold(hours, 0)
    sums = _utilities(hours.time_h - hours.onset_h[hours.stay], alarmed, hours.stay, 400)
    for _ in range(2000):
        observed, best, _, inaction = sums[rng.integers(0, 400, 400)].sum(axis=0)
        again.append((observed - inaction) / (best - inaction))
    assert one.high - one.low == pytest.approx(np.diff(np.quantile(again, [0.025, 0.975]))[0], rel=0.1)
