"""Which stays of a run are scored hour by hour, and what becomes of the others."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sepsis.models.baselines.logistic import Logistic
from sepsis.pipeline.run import _train_and_score, hourly_stays
from sepsis.pipeline.settings import Pipeline
from sepsis.scoring.predict import NOT_HOURLY, _long, score_hourly
from sepsis.scoring.settings import ScoreSettings
from tests.models.made_up import made_up_tables, made_up_windows


def cohort(n=90):
    """Two stays to a person; splits in thirds; every ninth stay outside the cohort."""
    stay = np.arange(n)
    return pd.DataFrame(
        {
            "stay_id": stay[::-1] + 500,
            "subject_id": stay // 2,
            "split": np.array(["train", "validation", "test"])[(stay // 2) % 3],
            "in_cohort": stay % 9 != 0,
        }
    )


def test_without_a_limit_all_stays_of_the_splits_are_scored():
    table = cohort()
    wanted = hourly_stays(ScoreSettings(), table)
    members = table[table.in_cohort & (table.split != "train")]
    assert sorted(wanted) == sorted(members.stay_id)
    everybody = hourly_stays(ScoreSettings(splits=()), table)
    assert sorted(everybody) == sorted(table[table.in_cohort].stay_id)


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_a_limit_draws_whole_people_whatever_the_order_of_rows(limit):
    table = cohort()
    settings = ScoreSettings(hourly_stays=limit)
    wanted = hourly_stays(settings, table)
    assert limit <= len(wanted) <= limit + 1
    people = table[table.stay_id.isin(wanted)].subject_id
    theirs = table[table.subject_id.isin(people) & table.in_cohort]
    assert set(theirs.stay_id) == set(wanted)
    assert set(theirs.split) <= {"validation", "test"}
    assert np.array_equal(wanted, hourly_stays(settings, table.sample(frac=1, random_state=3)))


def test_another_seed_draws_other_people():
    table = cohort()
    one, two = (hourly_stays(ScoreSettings(hourly_stays=20, hourly_seed=s), table) for s in (0, 1))
    assert set(one) != set(two)


def test_only_wanted_stays_get_a_risk_and_the_others_a_reason():
    windows, y = made_up_windows(40, seed=1)
    model = Logistic().fit(windows, y)
    events, stays, _ = made_up_tables(12, seed=2)
    stays = stays.assign(stay_h=stays.end_h, exclusion=None)
    everybody = score_hourly(model, events, stays)
    some = score_hourly(model, events, stays, wanted=[3, 7])
    assert set(some.stay_id) == set(stays.stay_id)
    scored = some[some.risk.notna()].reset_index(drop=True)
    assert set(scored.stay_id) == {3, 7}
    same = everybody[everybody.stay_id.isin([3, 7]) & everybody.risk.notna()].reset_index(drop=True)
    assert scored.risk.equals(same.risk)
    assert set(some[some.risk.isna() & ~some.stay_id.isin([3, 7])].reason) == {NOT_HOURLY}


def test_one_long_stay_costs_the_memory_of_its_own_hours():
    part = pd.DataFrame({"stay_id": range(256), "subject_id": 1, "is_case": False, "split": ""})
    hours = np.where(np.arange(256) == 0, 3000, 20)
    hour = np.arange(1.0, 3001.0)
    end_h = np.where(hour <= hours[:, None], hour, np.nan)
    tracemalloc.start()
    rows = _long(part.assign(reference_h=np.nan), end_h, np.full(3000, np.nan), end_h / 4096, None, "x")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.groupby("stay_id").size().tolist() == hours.tolist()
    assert np.array_equal(rows.risk * 4096, rows.time_h)
    assert most < 10e6


def test_finished_parts_of_a_stopped_run_are_not_used_for_another_draw_of_stays(tmp_path, monkeypatch):
    keys = []

    def stopped(file, key):
        keys.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr("sepsis.pipeline.run.resumable", stopped)
    monkeypatch.setattr("sepsis.pipeline.run.read_model", lambda path: SimpleNamespace(manifest={}))
    monkeypatch.setattr("sepsis.pipeline.run.load_parts", lambda path: [])
    labels = SimpleNamespace(path=tmp_path, manifest={"inputs": {"export": ""}, "onset_hash": ""})
    run = SimpleNamespace(
        out=tmp_path, stage=lambda name, *_, work=None, after="": work() if "hourly" in name else ""
    )
    for seed in (0, 1):
        settings = ScoreSettings(hourly=True, hourly_stays=20, hourly_seed=seed)
        pipeline = Pipeline("x", models={"clock": {}}, score=settings)
        with pytest.raises(KeyboardInterrupt):
            _train_and_score(pipeline, "clock", run, labels, None, cohort())
    assert keys[0] != keys[1]
