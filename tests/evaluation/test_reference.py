import numpy as np
import pytest

from sepsis.core.errors import NothingLeftError, SettingsError
from sepsis.evaluation import EvaluationSettings, evaluate_all
from sepsis.evaluation.discrimination import auroc
from sepsis.evaluation.reference import risk_sets_of_hours
from tests.evaluation.made_up import as_stays, hourly_study, hours_of, table_of
from tests.oracles import evaluation as oracle

HORIZONS = (0.0, 3.0, 7.0)


def draws_of(hours, reference, *, horizons=HORIZONS, **changes):
    how = {"reference": reference, "at_risk": True, "n_draws": 3, "random_state": 0, "design": "paper"}
    return risk_sets_of_hours(hours, horizons, **{**how, **changes})


def matched_draws(scores, outcomes, **changes):
    """At the reference hours that the hourly rows give."""
    table = table_of(scores, outcomes)
    return draws_of(hours_of(scores, outcomes), "matched", members=table.members(table.scores), **changes)


def test_matched_risks_are_the_last_ones_not_later_than_each_horizon():
    hours = hours_of(*hourly_study(24))
    (risk_set,), notes = matched_draws(*hourly_study(24))
    assert notes == []
    assert risk_set.stay_id.tolist() == list(range(24))
    for m in range(2):
        for i, stay in enumerate(as_stays(hours, m)):
            for h, horizon in enumerate(HORIZONS):
                expected = oracle.fixed_risk(stay, risk_set.reference_h[i], horizon)
                assert risk_set.risk[m, h, i] == expected


def test_deleting_everything_after_the_hour_leaves_the_fixed_risk_as_it_is():
    scores, outcomes = hourly_study(24, models=("m",))
    (whole,), _ = matched_draws(scores, outcomes)
    known = scores[scores.time_h <= scores.reference_h]
    (cut,), _ = matched_draws(known, outcomes)
    assert np.array_equal(whole.risk, cut.risk)


@pytest.mark.parametrize("reference", ["absolute", "relative", "random"])
def test_controls_are_judged_inside_their_stay_and_cases_before_onset(reference):
    """The risk is the hour itself, so it says when each stay was judged."""
    scores, outcomes = hourly_study(200, models=("m",), hours=(15, 90))
    hours = hours_of(scores.assign(risk=scores.time_h / 100), outcomes)
    draws, _ = draws_of(hours, reference)
    assert len(draws) == (3 if reference == "random" else 1)
    for risk_set in draws:
        stay_h = outcomes.set_index("stay_id").stay_h.loc[risk_set.stay_id].to_numpy()
        onset_h = outcomes.set_index("stay_id").onset_h.loc[risk_set.stay_id].to_numpy()
        for h, horizon in enumerate(HORIZONS):
            judged_h = risk_set.risk[0, h] * 100
            assert (judged_h <= stay_h - horizon + 1e-6).all()
            case = risk_set.is_case
            assert (judged_h[case] <= onset_h[case] - horizon).all()
            assert (judged_h[case] > onset_h[case] - horizon - 1).all()
    assert (risk_set.risk[0, 0] != draws[0].risk[0, 0]).any() == (reference == "random")


def test_the_clock_says_nothing_when_controls_are_matched_at_the_absolute_hour():
    scores, outcomes = hourly_study(600, models=("clock",), hours=(20, 90))
    hours = hours_of(scores, outcomes)
    (matched,), _ = draws_of(hours, "absolute")
    assert auroc(matched.is_case, matched.risk[0, 0]) == pytest.approx(0.5, abs=1e-9)


def test_unchecked_controls_warn_and_let_length_of_stay_tell_the_classes_apart():
    """Cases stay long and get onset late; controls leave early, so their last score is an old one."""
    scores, outcomes = hourly_study(600, models=("m",), hours=(20, 90))
    short = ~outcomes.is_case
    outcomes = outcomes.assign(stay_h=outcomes.stay_h.where(~short, outcomes.stay_h / 3))
    kept = scores.time_h <= scores.stay_id.map(outcomes.set_index("stay_id").stay_h)
    hours = hours_of(scores[kept].assign(risk=scores.time_h / 100), outcomes)
    with pytest.warns(UserWarning, match="length of stay separates the classes"):
        (unchecked,), notes = draws_of(hours, "absolute", at_risk=False)
    assert any("not required to be in the unit" in note for note in notes)
    assert any("more than 1 h older" in note for note in notes)
    (checked,), _ = draws_of(hours, "absolute")
    assert auroc(checked.is_case, checked.risk[0, 0]) == pytest.approx(0.5, abs=0.02)
    assert auroc(unchecked.is_case, unchecked.risk[0, 0]) > 0.7


def test_a_control_that_left_before_its_matched_hour_is_counted_not_judged():
    scores, outcomes = hourly_study(24, models=("m",))
    outcomes.loc[outcomes.stay_id == 1, "stay_h"] = 10.0
    (risk_set,), _ = matched_draws(scores[(scores.stay_id != 1) | (scores.time_h <= 10)], outcomes)
    assert 1 not in risk_set.stay_id
    rows = risk_set.left_out.set_index("reason")
    assert rows.loc["control no longer in the unit at its reference hour", "n"] == 1


def test_unmatched_controls_and_late_first_scores_have_their_reasons():
    scores, outcomes = hourly_study(46, models=("m",))  # 11 cases to match, 34 controls: three each
    onset_h = outcomes.onset_h[0]
    hours = hours_of(scores[(scores.stay_id != 0) | (scores.time_h > onset_h - 5)], outcomes)
    (risk_set,), _ = draws_of(hours, "absolute")
    assert 0 not in risk_set.stay_id
    lost = risk_set.left_out.set_index("reason")
    assert lost.loc["no score that long before the reference", ["n", "n_events"]].tolist() == [1, 1]
    assert lost.loc["not drawn as a control", "n_events"] == 0
    assert len(risk_set.stay_id) + lost.n.sum() == 46


def test_controls_without_a_matched_hour_are_said_to_have_none():
    scores, outcomes = hourly_study(24)
    hours = hours_of(scores.drop(columns="reference_h"), outcomes)
    with pytest.raises(NothingLeftError, match="no control has a reference_h"):
        draws_of(hours, "matched", members=None)
    found = evaluate_all(scores.drop(columns="reference_h"), outcomes, n_bootstrap=0)
    assert any("controls were drawn here for each case" in note for note in found.notes)
    assert found.risk_set is not None


def test_risks_after_treatment_take_their_stay_out():
    study = hourly_study(40, models=("m",))  # suspicion 5 h before onset
    with pytest.raises(NothingLeftError, match="0 cases"):
        matched_draws(*study, censor=True)
    (risk_set,), _ = matched_draws(*study, horizons=(5.0, 7.0), censor=True)
    assert risk_set.is_case.sum() == 10


def test_a_reference_that_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="Did you mean 'absolute'"):
        EvaluationSettings(control_reference="absolut")
    with pytest.raises(SettingsError, match="controls_at_risk"):
        EvaluationSettings(control_reference="random", controls_at_risk=False)
