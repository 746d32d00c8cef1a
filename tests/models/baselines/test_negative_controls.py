"""The negative controls: what each reads, and that it finds a cohort that leaks just that."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sepsis.cohort.windows import pack
from sepsis.core.errors import SettingsError
from sepsis.events.model_inputs import DEMOGRAPHICS, events_for
from sepsis.events.tables import Events
from sepsis.events.vocabulary import load_vocabulary
from sepsis.models.baselines.negative_controls import (
    LABORATORY,
    Clock,
    Demographics,
    LastLab,
    ObservationCount,
)
from tests.models.made_up import CONCEPTS, made_up_windows, windows_of

CONTROLS = (Clock, ObservationCount, LastLab, Demographics)


def risks(model, X):
    return model.predict_proba(X)[:, 1]


def windows_at(end_h):
    """Windows without a value that end at these hours."""
    events = pd.DataFrame({"stay_id": [0], "time_h": [0.0], "concept": ["none"], "value": [0.0]})
    ids = np.arange(len(end_h)) + 1
    return pack(events, pd.DataFrame({"stay_id": ids, "subject_id": ids, "end_h": end_h}), CONCEPTS)


# --- clock --------------------------------------------------------------------------------------


def test_the_clock_finds_a_cohort_that_leaks_its_hours():
    random = np.random.default_rng(11)
    y = (random.random(400) < 0.3).astype(int)
    leaky = windows_at(np.where(y, random.uniform(20, 30, 400), random.uniform(5, 60, 400)))
    fair = windows_at(random.uniform(5, 60, 400))
    assert roc_auc_score(y, risks(Clock().fit(leaky, y), leaky)) > 0.75
    assert roc_auc_score(y, risks(Clock().fit(fair, y), fair)) < 0.6


def test_knots_are_no_numbers_of_a_patient():
    """Neither the first and last of the training windows, nor any to more than three digits."""
    X = windows_at(np.random.default_rng(3).uniform(5.0, 60.0, 61))  # 61: quantiles are numbers that occur
    (knots,) = Clock().fit(X, np.arange(61) % 2).knots_
    assert X.end_h.min() < knots[0] < knots[-1] < X.end_h.max()
    assert not set(knots) & set(X.end_h)
    assert knots == pytest.approx(np.quantile(X.end_h, [0.05, 0.275, 0.5, 0.725, 0.95]), rel=5e-3)


def test_the_clock_reads_no_value():
    X, y = made_up_windows(40, 12)
    model = Clock().fit(X, y)
    assert np.array_equal(risks(model, X), risks(model, windows_at(X.end_h)))


def test_the_clock_is_the_share_of_cases_at_that_hour():
    hours = np.repeat([10.0, 20.0, 30.0, 40.0, 50.0], 40)
    share = np.array([0.1, 0.5, 0.2, 0.4, 0.3])
    y = np.concatenate([np.arange(40) < 40 * s for s in share]).astype(int)
    model = Clock().fit(windows_at(hours), y)
    assert risks(model, windows_at([10.0, 20.0, 30.0, 40.0, 50.0])) == pytest.approx(share, abs=0.03)
    assert risks(model, windows_at([1.0, 90.0])) == pytest.approx(risks(model, windows_at([10.0, 50.0])))


def test_a_clock_that_always_stood_still_says_the_prevalence():
    y = np.array([1, 0, 0, 0])
    model = Clock().fit(windows_at([12.0] * 4), y)
    assert risks(model, windows_at([12.0, 40.0])) == pytest.approx([0.25, 0.25])
    restored = Clock().restore(*model.state())
    assert np.array_equal(risks(restored, windows_at([3.0])), risks(model, windows_at([3.0])))


# --- observation count --------------------------------------------------------------------------


def test_the_count_finds_a_cohort_whose_cases_are_charted_more():
    random = np.random.default_rng(1)
    y = np.arange(300) % 2
    sizes = random.poisson(np.where(y, 12, 6))
    X = windows_of([{"map": [(t, random.normal()) for t in random.uniform(0, 9, n)]} for n in sizes])
    fair = windows_of([{"map": [(t, v) for t in random.uniform(0, 9, 8)]} for v in random.normal(y, 1.0)])
    assert roc_auc_score(y, risks(ObservationCount().fit(X, y), X)) > 0.85
    assert len(np.unique(risks(ObservationCount().fit(fair, y), fair))) == 1, "equal counts, equal risks"


def test_the_count_reads_no_value_and_no_variable():
    X, y = made_up_windows(40, 12)
    model = ObservationCount().fit(X, y)
    events = pd.DataFrame(
        {
            "stay_id": np.repeat(X.stay_id, np.diff(X.offsets)),
            "time_h": np.arange(len(X.value)) / len(X.value),
            "concept": "map",
            "value": 1.0,
        }
    )
    stays = pd.DataFrame({"stay_id": X.stay_id, "subject_id": X.subject_id, "end_h": 50.0})
    assert np.array_equal(risks(model, X), risks(model, pack(events, stays, CONCEPTS)))


# --- time since the last laboratory value -------------------------------------------------------


def test_laboratory_values_are_those_of_the_vocabulary():
    assert set(LABORATORY) == {c.id for c in load_vocabulary().chosen(None) if c.group == "lab"}


def test_the_delay_is_that_of_the_latest_laboratory_value_and_a_gap_without_one():
    X = windows_of(
        [{"lactate": [(1.0, 2.0), (4.0, 3.0)], "map": [(9.5, 60.0)]}, {"map": [(9.0, 60.0)]}],
        end_h=[10.0, 10.0],
    )
    np.testing.assert_array_equal(LastLab().numbers_of(X), [[6.0], [np.nan]])


def test_the_delay_finds_a_cohort_whose_cases_were_tested_lately():
    random = np.random.default_rng(2)
    y = np.arange(300) % 2
    delay = np.where(y, random.uniform(0, 3, 300), random.uniform(1, 9, 300))
    series = [{"lactate": [(10.0 - d, v)]} for d, v in zip(delay, random.normal(size=300), strict=True)]
    X = windows_of(series, end_h=[10.0] * 300)
    assert roc_auc_score(y, risks(LastLab().fit(X, y), X)) > 0.75


def test_never_tested_is_a_risk_of_its_own():
    series = [{"lactate": [(5.0, 1.0)]}] * 40 + [{"map": [(5.0, 1.0)]}] * 40
    y = np.concatenate([np.arange(40) % 4 == 0, np.arange(40) % 4 != 0]).astype(int)
    X = windows_of(series, end_h=[10.0] * 80)
    risk = risks(LastLab(C=1e4).fit(X, y), X)
    assert risk[[0, -1]] == pytest.approx([0.25, 0.75], abs=0.01)


# --- demographics -------------------------------------------------------------------------------


def stays_of(age, sex, stay_h):
    frame = pd.DataFrame({"stay_id": np.arange(len(age)) + 1, "age": age, "sex": sex, "stay_h": stay_h})
    empty = pd.DataFrame({"stay_id": [1], "time_h": [1.0], "concept": ["lactate"], "value": [2.0]})
    empty["concept"] = empty.concept.astype("category")
    return Events(frame, empty, *[pd.DataFrame()] * 3, None, pd.DataFrame())


def test_age_and_sex_are_known_at_every_hour_and_unknown_ones_are_gaps():
    events = stays_of([64.0, np.nan, 30.0], ["F", "M", None], [500.0, 10.0, np.nan])
    rows = events_for(events, Demographics.reads)
    stays = pd.DataFrame(
        {"stay_id": [1, 1, 1, 2, 3], "subject_id": 1, "end_h": [0.0, 150.0, 499.0, 8.0, 3.0]}
    )
    numbers = Demographics().numbers_of(pack(rows, stays, Demographics.reads))
    gap = np.nan
    np.testing.assert_array_equal(numbers, [[64, 1], [64, 1], [64, 1], [gap, 0], [30, gap]])


def test_age_and_sex_come_only_where_they_are_asked_for():
    events = stays_of([64.0], ["F"], [10.0])
    assert events_for(events, ("lactate", "map")) is events.events
    assert set(events_for(events, ("lactate", "age")).concept) == {"lactate", "age"}
    assert set(events_for(events, ("age",)).concept) == {"age"}
    assert Demographics.reads == DEMOGRAPHICS


def test_demographics_find_a_cohort_of_older_cases():
    random = np.random.default_rng(3)
    y = np.arange(200) % 2
    events = stays_of(random.normal(60 + 15 * y, 8), random.choice(["F", "M"], 200), 10.0)
    stays = events.stays.assign(subject_id=1, end_h=5.0)
    X = pack(events_for(events, Demographics.reads), stays, Demographics.reads)
    assert roc_auc_score(y, risks(Demographics().fit(X, y), X)) > 0.8


def test_an_export_without_demographics_is_told_and_the_risk_is_the_prevalence(caplog):
    X, y = made_up_windows(40, 4)
    model = Demographics().fit(X, y)
    assert risks(model, X) == pytest.approx(np.full(40, y.mean()))
    assert "the training windows hold no age and no sex; its risk is the same for everybody" in caplog.text
    assert model.notes()


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(("setting", "value"), [("n_knots", 1), ("C", -1.0)])
def test_a_setting_that_makes_no_sense_says_what_would(control, setting, value):
    X, y = made_up_windows(12, 10)
    message = rf"\[models.{control.name}\]: .*{setting} = {value}.* Expected: n_knots from 2, C above 0."
    with pytest.raises(SettingsError, match=message):
        control(**{setting: value}).fit(X, y)
