import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sepsis.evaluation.continuous import continuous_metrics
from tests.evaluation.made_up import HOW, as_stays, hourly_study, hours_of
from tests.oracles import evaluation as oracle


def one(metrics, **key):
    rows = metrics
    for column, wanted in key.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("window", [1.0, 6.0, 24.0])
def test_hours_are_judged_as_scikit_learn_judges_them_one_by_one(window):
    hours = hours_of(*hourly_study(40))
    metrics = continuous_metrics(hours, [window], **HOW)
    for m, model in enumerate(hours.models):
        positive, risk, stay = map(
            np.array, zip(*oracle.continuous_rows(as_stays(hours, m), window), strict=True)
        )
        row = one(metrics, model=model, metric="auroc", setting="hours")
        assert row.estimate == pytest.approx(roc_auc_score(positive, risk))
        assert (row.n, row.n_events) == (len(positive), positive.sum())
        expected = average_precision_score(positive, risk)
        assert one(metrics, model=model, metric="auprc", setting="hours").estimate == pytest.approx(expected)
        alike = 1.0 / np.bincount(stay)[stay]
        row = one(metrics, model=model, metric="auroc", setting="stays")
        assert row.estimate == pytest.approx(roc_auc_score(positive, risk, sample_weight=alike))
        expected = average_precision_score(positive, risk, sample_weight=alike)
        assert one(metrics, model=model, metric="auprc", setting="stays").estimate == pytest.approx(expected)
        row = one(metrics, model=model, metric="prevalence", setting="stays")
        assert row.estimate == pytest.approx(np.average(positive, weights=alike))


def test_an_hour_is_positive_from_w_before_onset_to_just_before_it():
    scores, outcomes = hourly_study(4, models=("m",))
    onset = float(outcomes.onset_h[0])
    scores = scores[(scores.stay_id != 0)]
    rows = scores.iloc[:5].assign(
        stay_id=0, subject_id=1000, time_h=[onset - 6.5, onset - 6, onset - 1, onset, onset + 1], risk=0.5
    )
    hours = hours_of(rows, outcomes)
    metrics = continuous_metrics(hours, [6.0], **HOW)
    row = one(metrics, metric="prevalence", setting="hours")
    assert (row.n, row.n_events) == (3, 2)  # 6.5 h before: not yet; at onset and after: left out


def test_nothing_at_or_after_onset_changes_a_figure():
    scores, outcomes = hourly_study(30, models=("m",))
    onset = scores.stay_id.map(outcomes.set_index("stay_id").onset_h)
    after = scores.time_h >= onset
    assert after.any()
    changed = scores.assign(risk=scores.risk.mask(after, 0.999))
    one_way, other = (continuous_metrics(hours_of(s, outcomes), [6.0], **HOW) for s in (scores, changed))
    assert one_way.equals(other)


def test_a_copy_of_a_model_differs_by_exactly_zero():
    scores, outcomes = hourly_study(30, models=("a",))
    twice = scores.assign(model="b", risk=scores.risk / 2)
    hours = hours_of(pd.concat([scores, twice], ignore_index=True), outcomes)
    metrics = continuous_metrics(hours, [6.0], n_bootstrap=40, level=0.95, random_state=0)
    rows = metrics[metrics.model == "a - b"]
    assert len(rows) == 4
    assert (rows[["estimate", "low", "high"]] == 0).all(axis=None)


def test_without_a_positive_hour_there_is_no_number():
    scores, outcomes = hourly_study(8, models=("m",))
    hours = hours_of(scores, outcomes.assign(onset_h=outcomes.onset_h + 0.0))
    metrics = continuous_metrics(hours, [0.01], **HOW)
    assert metrics[metrics.metric.isin(["auroc", "auprc"])].estimate.isna().all()
    assert (metrics.n_events == 0).all()


def test_intervals_hold_subjects_together():
    """Ten copies of a stay's hours add no information: subjects are drawn, not hours."""
    scores, outcomes = hourly_study(60, models=("m",))
    again = [scores.assign(time_h=scores.time_h + k / 100) for k in range(10)]
    hours, more = hours_of(scores, outcomes), hours_of(pd.concat(again), outcomes)
    how = {"n_bootstrap": 300, "level": 0.95, "random_state": 0}
    few, many = (
        one(continuous_metrics(h, [6.0], **how), metric="auroc", setting="hours") for h in (hours, more)
    )
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.15)


def test_late_hours_stand_apart_and_are_what_they_are_alone():
    scores, outcomes = hourly_study(40, models=("m", "clock"), hours=(50, 120))
    how = {"n_bootstrap": 1, "level": 0.95, "random_state": 0}
    hours = hours_of(scores, outcomes)
    metrics = continuous_metrics(hours, [6.0], **how)
    parts = {"hours: to 59": scores.time_h < 60, "hours: from 60": scores.time_h >= 60}
    assert list(dict.fromkeys(metrics.group)) == ["all", *parts]
    for name, mine in parts.items():
        alone = continuous_metrics(hours_of(scores[mine], outcomes), [6.0], **how, differences=False)
        part = metrics[metrics.group == name].drop(columns="group").reset_index(drop=True)
        assert not part.model.str.contains(" - ").any()
        alone = alone[alone.group == "all"].drop(columns="group").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone)
    late = parts["hours: from 60"]
    short = continuous_metrics(hours_of(scores[~late], outcomes), [6.0], **how)
    assert set(short.group) == {"all"}  # a part that is the whole says nothing new
    named = continuous_metrics(hours, [6.0], **how, group="sex: female")
    assert set(named.group) == {"sex: female"}


def test_the_prevalence_of_hours_is_random_and_moves_the_normalised_area():
    """Against resampled persons, drawn whatever their class."""
    hours = hours_of(*hourly_study(150, models=("m",), seed=2))
    metrics = continuous_metrics(hours, [12.0], n_bootstrap=1, level=0.95, random_state=0)
    before = ~(hours.time_h >= hours.onset_h[hours.stay] - 1e-6)
    positive = ((hours.onset_h[hours.stay] - hours.time_h) <= 12.0 + 1e-6)[before]
    stay, risk = hours.stay[before], hours.risk[0][before]
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        weight = np.bincount(rng.integers(0, 150, 150), minlength=150)[stay]
        prevalence = np.average(positive, weights=weight)
        precision = average_precision_score(positive, risk, sample_weight=weight)
        found.append((prevalence, (precision - prevalence) / (1 - prevalence)))
    for metric, drawn in zip(("prevalence", "normalised_auprc"), np.std(found, axis=0), strict=True):
        row = one(metrics, metric=metric, setting="hours")
        assert (row.high - row.low) / 4 == pytest.approx(drawn, rel=0.25)


def test_the_hours_since_admission_alone_are_measured_beside_the_models():
    scores, outcomes = hourly_study(40, models=("m",))
    hours = hours_of(scores, outcomes)
    found = continuous_metrics(hours, [6.0], n_bootstrap=1, level=0.95)
    rows = found[(found.metric == "auroc_of_hour") & (found.group == "all")].set_index("setting")
    onset_h = hours.onset_h[hours.stay]
    before = ~(hours.time_h >= onset_h)
    positive = (onset_h - hours.time_h <= 6.0)[before]
    assert rows.loc["hours", "estimate"] == pytest.approx(roc_auc_score(positive, hours.time_h[before]))
    assert (rows.model == "all").all()
    assert (rows.low < rows.estimate).all()
    assert (rows.estimate < rows.high).all()
