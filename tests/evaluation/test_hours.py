import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, NothingLeftError
from sepsis.core.schema import check_table
from sepsis.evaluation import complete_scores
from sepsis.evaluation.hours import last_at_or_before
from tests.evaluation.made_up import as_stays, hourly_study, hours_of
from tests.oracles import evaluation as oracle


def counted(hours):
    return check_table(hours.coverage, "coverage").set_index(["model", "reason"])[["n", "n_events"]]


def test_every_hour_of_every_stay_comes_back():
    scores, outcomes = hourly_study(12)
    hours = hours_of(scores.sample(frac=1, random_state=0), outcomes)
    assert hours.models == ("mgp_tcn", "clock")
    assert len(hours.time_h) == len(scores) / 2
    for m, model in enumerate(hours.models):
        mine = scores[scores.model == model].sort_values(["stay_id", "time_h"])
        assert np.array_equal(hours.time_h, mine.time_h)
        assert np.array_equal(hours.risk[m], mine.risk)
        assert np.array_equal(hours.stay_id[hours.stay], mine.stay_id)
    assert np.isnan(hours.onset_h[~hours.is_case]).all()
    assert hours.coverage.empty
    assert hours.dropped == 0


def test_an_hour_that_one_model_lacks_leaves_both_and_its_stay_is_counted():
    scores, outcomes = hourly_study(12)
    clock = scores.model == "clock"
    gone = clock & (scores.stay_id == 4) & (scores.time_h <= 3)
    empty = clock & (scores.stay_id == 5) & (scores.time_h == 1)
    scores = scores.assign(risk=scores.risk.mask(empty), reason=np.where(empty, "too early", ""))[~gone]
    hours = hours_of(scores, outcomes)
    assert hours.dropped == 4
    assert hours.time_h[hours.start[4]] == 4.0
    rows = counted(hours)
    assert rows.loc[("clock", "some hours: no row in the scores")].tolist() == [1, 1]
    assert rows.loc[("clock", "some hours: too early")].tolist() == [1, 0]
    assert len(rows) == 2


def test_stays_that_cannot_be_judged_are_counted_and_left_out():
    scores, outcomes = hourly_study(16, models=("m",))
    outcomes.loc[outcomes.stay_id == 1, ["included", "exclusion"]] = [False, "under age"]
    outcomes.loc[outcomes.stay_id == 4, "onset_h"] = np.nan
    scores.loc[scores.stay_id == 5, "risk"] = np.nan
    more = outcomes.iloc[:2].assign(stay_id=[90, 91], subject_id=[90, 91], included=True)
    hours = hours_of(scores, pd.concat([outcomes, more], ignore_index=True))
    assert not set(hours.stay_id) & {1, 4, 5}
    rows = counted(hours)
    assert rows.loc[("all", "excluded by the labels: under age")].tolist() == [1, 0]
    assert rows.loc[("all", "case without an onset time")].tolist() == [1, 1]
    assert rows.loc[("all", "no hour with a risk from every model")].tolist() == [1, 0]
    assert rows.loc[("all", "labelled, not in the scores")].tolist() == [2, 1]


def test_hours_after_discharge_are_left_out_and_their_stays_counted():
    scores, outcomes = hourly_study(8, models=("m",))
    late = scores[scores.stay_id == 3].iloc[-1:].assign(time_h=500.0)
    hours = hours_of(pd.concat([scores, late], ignore_index=True), outcomes)
    assert hours.time_h.max() < 100
    assert counted(hours).loc[("all", "some hours: predicted after discharge")].tolist() == [1, 0]
    never_there = hours_of(scores, outcomes.assign(stay_h=outcomes.stay_h.mask(outcomes.stay_id == 3, 0.5)))
    assert 3 not in never_there.stay_id
    assert counted(never_there).loc[("all", "predicted after discharge")].tolist() == [1, 0]
    unknown = hours_of(pd.concat([scores, late], ignore_index=True), outcomes.drop(columns="stay_h"))
    assert unknown.time_h.max() == 500.0
    assert unknown.end_h[3] == 501.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: pd.concat([s, s.iloc[:2]]), "2 rows repeat the key"),
        (
            lambda s: pd.concat([s, s.iloc[:1].assign(time_h=1.000001)]),
            "1 pairs of stay and time have two risks",
        ),
        (lambda s: s.assign(risk=s.risk.mask(s.time_h == 1, 1.2)), "8 risks lie outside 0 to 1"),
        (lambda s: s.assign(risk=s.risk.mask(s.time_h == 1, np.inf)), "8 risks lie outside 0 to 1"),
        (lambda s: s.assign(risk=100 * s.risk), r"risks lie outside 0 to 1.*Divide percentages"),
        (lambda s: s.assign(time_h=s.time_h.mask(s.time_h == 1)), "8 risks have no time_h"),
        (lambda s: s.assign(time_h=s.time_h.mask(s.time_h == 1, -1.7e9)), "8 rows lie more than 50,000 h"),
        (lambda s: s.assign(time_h=s.time_h.mask(s.time_h == 1, np.inf)), "8 rows lie more than 50,000 h"),
        (lambda s: s.assign(risk="high"), "scores.risk"),
        (lambda s: s.iloc[:0], "no row"),
        (lambda s: s.assign(stay_id=s.stay_id.mask(s.stay_id == 3, 77)), "1 stays are not in the labels"),
        (lambda s: s.drop(columns="time_h"), "no column time_h"),
    ],
)
def test_hourly_scores_that_break_the_rules_are_refused_with_a_count(change, message):
    scores, outcomes = hourly_study(8, models=("m",))
    with pytest.raises(ExportError, match=message):
        hours_of(change(scores), outcomes)


def test_no_common_hour_is_nothing_left():
    scores, outcomes = hourly_study(8)
    odd = (scores.time_h % 2 == 1) == (scores.model == "clock")
    with pytest.raises(NothingLeftError, match="no hour of 8 stays has a risk from all 2 models"):
        hours_of(scores[odd], outcomes)


def test_the_least_table_is_completed_and_knows_splits_and_hours_of_other_models():
    scores, _ = hourly_study(8, models=("m",))
    bare = scores[["stay_id", "subject_id", "time_h", "risk"]]
    alone = complete_scores(bare)
    assert set(alone.model) == {"model"}
    assert set(alone.split) == {""}
    assert alone.horizon_h.isna().all()
    # a column of gaps alone comes as numbers from a CSV file
    gaps = complete_scores(bare.assign(model=np.nan, split=np.nan, reason=np.nan))
    assert (set(gaps.model), set(gaps.split), set(gaps.reason)) == ({"model"}, {""}, {""})
    both = complete_scores(pd.concat([scores, bare.assign(model="theirs")], ignore_index=True))
    theirs = both[both.model == "theirs"].reset_index(drop=True)
    assert set(theirs.split) == {"test"}


def test_only_and_before_keep_whole_stays_together():
    hours = hours_of(*hourly_study(12))
    part = hours.only([3, 8])
    assert part.stay_id.tolist() == [3, 8]
    assert part.risk.shape == (2, len(part.time_h))
    assert np.array_equal(part.time_h[: part.start[1]], hours.time_h[hours.start[3] : hours.start[4]])
    limit = np.full(12, np.nan)
    limit[0], limit[1] = 5.0, 0.5
    cut = hours.before(limit)
    assert cut.stay_id.tolist() == [0, *range(2, 12)]
    assert cut.time_h[: cut.start[1]].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_last_hour_not_later_than_a_time_is_found():
    hours = hours_of(*hourly_study(6, models=("m",)))
    at = np.random.default_rng(0).uniform(-2, 70, (6, 9))
    at[0, 0] = np.nan
    place = np.arange(len(at))
    found = last_at_or_before(hours.start, hours.time_h, place, at)
    assert found[0, 0] == -1
    for i, k in np.ndindex(at.shape):
        here = range(hours.start[i], hours.start[i + 1])
        earlier = [j for j in here if hours.time_h[j] <= at[i, k]]
        assert found[i, k] == (earlier[-1] if earlier else -1)
    assert np.array_equal(found, last_at_or_before.py_func(hours.start, hours.time_h, place, at))


def test_the_oracle_for_fixed_risks_agrees():
    hours = hours_of(*hourly_study(6, models=("m",)))
    for i, stay in enumerate(as_stays(hours)):
        for horizon in (0.0, 2.5, 40.0, 90.0):
            reference_h = hours.end_h[i] - 3.25
            at = np.array([[reference_h - horizon + 1e-6]])
            hour = last_at_or_before(hours.start, hours.time_h, np.array([i]), at)[0, 0]
            expected = oracle.fixed_risk(stay, reference_h, horizon)
            assert (hours.risk[0, hour] if hour >= 0 else None) == expected
