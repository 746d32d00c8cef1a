import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.duration.survfunc import CumIncidenceRight

from sepsis.evaluation.at_risk import landmark_at
from sepsis.evaluation.censoring_weights import CENSORED, DIED, LEFT, ONSET, censoring_weights
from sepsis.evaluation.contract import checked_outcomes
from sepsis.evaluation.landmark import (
    METRICS,
    POOLED,
    Estimate,
    Panel,
    areas_within,
    landmark_metrics,
    simultaneous_level,
)
from sepsis.evaluation.prevalence import Target
from tests.evaluation.made_up import hourly_study, hours_of
from tests.oracles import landmark as oracle
from tests.tables import table

HOW = {"level": 0.95, "random_state": 0}
LANDMARKS = (12.0, 18.0, 24.0)


def study(n=60, *, unknown_every=5, **how):
    """Hours and outcomes; of some stays nobody knows when they left."""
    scores, outcomes = hourly_study(n, **how)
    outcomes["stay_h"] = outcomes.stay_h.mask(outcomes.stay_id % unknown_every == 1)
    ends = np.random.default_rng(3).uniform(8, 40, n)  # records that stop early, of those alone
    cut = outcomes.stay_h.isna().to_numpy() & ~outcomes.is_case.to_numpy()
    late = cut[scores.stay_id] & (scores.time_h > ends[scores.stay_id])
    return hours_of(scores[~late], outcomes), checked_outcomes(outcomes)


def records(hours, outcomes, model=0):
    left = outcomes.set_index("stay_id").stay_h
    made = []
    for i, stay in enumerate(hours.stay_id):
        here = slice(hours.start[i], hours.start[i + 1])
        made.append(
            {
                "stay_id": int(stay),
                "onset": None if np.isnan(hours.onset_h[i]) else float(hours.onset_h[i]),
                "left": None if np.isnan(left[stay]) else float(left[stay]),
                "times": hours.time_h[here].tolist(),
                "risks": hours.risk[model, here].tolist(),
            }
        )
    return made


def drawn(n=80, seed=0, censored=0.25):
    """Times on a coarse grid, so that there are ties, and fates; a risk that tells a little, with ties."""
    rng = np.random.default_rng(seed)
    event = rng.choice(
        [CENSORED, ONSET, LEFT, DIED], n, p=[censored, 0.3, 0.35 - censored / 2, 0.35 - censored / 2]
    )
    time_h = np.ceil(rng.exponential(10, n) * 2) / 2
    risk = np.round(1 / (1 + np.exp(2 - (event == ONSET) - rng.normal(size=n))), 2)
    return time_h, event, risk


def as_stays(time_h, event, risk):
    return [
        {"time": t, "event": min(int(e), 2), "risk": r, "count": 1.0}
        for t, e, r in zip(time_h, event, risk, strict=True)
    ]


def one(metrics, **key):
    for column, wanted in key.items():
        metrics = metrics[metrics[column] == wanted]
    assert len(metrics) == 1
    return metrics.iloc[0]


@pytest.mark.parametrize("seed", range(4))
def test_weights_and_figures_are_those_of_the_definitions(seed):
    hours, outcomes = study(60, seed=seed)
    metrics, _ = landmark_metrics(hours, outcomes, LANDMARKS, 12.0, **HOW)
    for m, model in enumerate(hours.models):
        for hour in LANDMARKS:
            stays = list(oracle.at_risk(records(hours, outcomes, m), hour).values())
            assert {s["event"] for s in stays} == {0, 1, 2}
            for metric, measure in oracle.MEASURES.items():
                row = one(
                    metrics, model="all" if metric == "prevalence" else model, metric=metric,
                    setting=f"hour {hour:g}",
                )  # fmt: skip
                assert row.estimate == pytest.approx(measure(stays, 12.0)), metric
                assert (row.n, row.horizon_h) == (len(stays), 12.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_of_onset_add_up_to_the_aalen_johansen_estimate(seed):
    time_h, event, risk = drawn(seed=seed)
    for window in (2.0, 7.5, 12.0, 30.0):
        weights = censoring_weights(time_h, event, window)
        stays = as_stays(time_h, event, risk)
        assert weights.weight.sum() == pytest.approx(len(stays))
        assert weights.weight[weights.onset].sum() / len(stays) == pytest.approx(
            oracle.cumulative_incidence(stays, window)
        )


@pytest.mark.parametrize("censored", [0.0, 0.25])
def test_influence_values_are_the_derivatives_by_the_count_of_each_stay(censored):
    time_h, event, risk = drawn(50, seed=5, censored=censored)
    scores = pd.DataFrame({"stay_id": range(50), "subject_id": range(50), "time_h": 1.0, "risk": risk})
    labels = pd.DataFrame(
        {
            "stay_id": range(50), "subject_id": range(50), "is_case": event == ONSET,
            "onset_h": np.where(event == ONSET, 1.0 + time_h, np.nan),
            "stay_h": np.where(event == CENSORED, np.nan, 1.0 + time_h), "included": True, "exclusion": "",
        }
    )  # fmt: skip
    # a last risk an hour before the record of a censored stay ends
    last = scores.assign(time_h=time_h, risk=0.5)[event == CENSORED]
    hours = hours_of(pd.concat([scores, last[last.time_h > 1]], ignore_index=True), labels)
    panel = Panel.of(hours, checked_outcomes(labels), [1.0], 9.0)
    stays = list(oracle.at_risk(records(hours, checked_outcomes(labels)), 1.0).values())
    found = panel.estimates(0, None)
    for metric in METRICS:
        expected = oracle.influence(stays, 9.0, metric)
        assert found[metric].influence == pytest.approx(expected, abs=1e-7), metric


def test_a_stay_that_leaves_in_the_window_is_a_control_and_no_gap():
    """Ten stays, nobody censored: plain shares and pairs."""
    event = np.array([ONSET, ONSET, LEFT, LEFT, DIED, LEFT, LEFT, LEFT, LEFT, LEFT])
    time_h = np.array([3.0, 30.0, 2.0, 5.0, 6.0, 40.0, 40.0, 40.0, 40.0, 40.0])
    weights = censoring_weights(time_h, event, 12.0)
    assert (weights.weight == 1.0).all()
    assert weights.onset.tolist() == [True] + [False] * 9
    assert np.flatnonzero(weights.free).tolist() == [1, 5, 6, 7, 8, 9]


def test_a_censored_stay_hands_its_weight_to_those_still_followed():
    #          event first at its hour; the censored stay of hour 4 leaves 2 of 3
    time_h, event = np.array([4.0, 4.0, 9.0, 20.0]), np.array([ONSET, CENSORED, LEFT, LEFT])
    weights = censoring_weights(time_h, event, 12.0)
    assert weights.weight == pytest.approx([1.0, 0.0, 1.5, 1.5])


def test_who_is_at_risk_reads_as_a_table():
    stays = table("""
        stay_id | onset_h | stay_h | death_h | label_known_h | last_h
        --------+---------+--------+---------+---------------+-------
              1 |         |   40.0 |         |               |   12.0   # in the unit
              2 |         |   12.0 |         |               |   12.0   # leaves at the landmark
              3 |    12.0 |   40.0 |         |          15.0 |   12.0   # onset now, not known yet
              4 |     9.0 |   40.0 |         |          10.0 |   12.0   # had onset, and one knew
              5 |    12.5 |   40.0 |         |          20.0 |   12.0   # at risk still
              6 |         |   40.0 |         |               |   11.0   # its risk is an hour old
              7 |         |   40.0 |         |               |   10.5   # silent for longer
              8 |         |        |         |               |   12.0   # record ends an hour after
              9 |         |   15.0 |    15.0 |               |   12.0   # dies in the unit
             10 |         |   15.0 |    60.0 |               |   12.0   # dies elsewhere, later
    """)
    stays = stays.assign(subject_id=stays.stay_id, is_case=stays.onset_h.notna(), included=True, exclusion="")
    scores = stays[["stay_id", "subject_id"]].assign(time_h=stays.last_h, risk=0.1)
    # an undated risk of later does not make a stay recent
    later = scores[scores.stay_id == 7].assign(time_h=13.0, risk=0.9)
    hours = hours_of(pd.concat([scores, later], ignore_index=True), stays)
    found = landmark_at(hours, checked_outcomes(stays), 12.0)
    assert hours.stay_id[found.stay].tolist() == [1, 5, 6, 8, 9, 10]
    assert found.event.tolist() == [LEFT, ONSET, LEFT, CENSORED, DIED, LEFT]
    assert found.time_h == pytest.approx([28.0, 0.5, 28.0, 1.0, 3.0, 3.0])
    assert (found.n_without_risk, found.n_had_onset, found.n_label_later) == (1, 2, 1)
    assert found.counts(12.0) == {
        "n": 6, "n_events": 1, "n_left": 1, "n_died": 1, "n_censored": 1, "n_reach_onset": 1,
        "n_without_risk": 1, "n_had_onset": 2, "n_label_later": 1,
    }  # fmt: skip


def test_without_times_of_death_nobody_is_said_to_have_survived():
    hours, outcomes = study(120)
    _, curve = landmark_metrics(hours, outcomes, LANDMARKS, 12.0, **HOW)
    assert curve.n_died.isna().all()
    died = outcomes.stay_h.where(outcomes.stay_id % 3 == 0)
    _, told = landmark_metrics(hours, outcomes.assign(death_h=died), LANDMARKS, 12.0, **HOW)
    assert (told.n_died > 0).any()
    assert (told.n_left + told.n_died == curve.n_left).all()
    assert told.estimate.equals(curve.estimate)  # both compete


def test_deleting_the_future_changes_no_risk_at_a_landmark():
    scores, outcomes = hourly_study(40)
    outcomes = checked_outcomes(outcomes)
    whole, cut = (hours_of(s, outcomes) for s in (scores, scores[scores.time_h <= 12.0]))
    one_way, other = (landmark_at(hours, outcomes, 12.0) for hours in (whole, cut))
    assert (one_way.risk == other.risk).all()
    assert (whole.stay_id[one_way.stay] == cut.stay_id[other.stay]).all()
    assert (one_way.time_h == other.time_h).all()


def test_the_clock_knows_nothing_at_one_landmark_and_something_over_all():
    hours, outcomes = study(120, unknown_every=1000)
    metrics, _ = landmark_metrics(hours, outcomes, LANDMARKS, 12.0, **HOW)
    for hour in LANDMARKS:
        row = one(metrics, model="clock", metric="auroc", setting=f"hour {hour:g}")
        assert (row.estimate, row.low, row.high) == (0.5, 0.5, 0.5)
    pooled = metrics[metrics.setting == POOLED]
    assert one(pooled, model="clock", metric="auroc").estimate > 0.55
    a, b = (one(pooled, model=model, metric="auprc") for model in ("mgp_tcn", "clock"))
    row = one(pooled, model="mgp_tcn - clock", metric="auprc_difference")
    assert row.estimate == pytest.approx(a.estimate - b.estimate)
    assert row.low < row.estimate < row.high
    assert (row.p_value < 0.05) == (row.low > 0.0 or row.high < 0.0)
    counted = metrics[(metrics.metric == "prevalence") & (metrics.setting != POOLED)]
    assert (row.n, row.n_events) == (counted.n.sum(), counted.n_events.sum())


def test_a_copy_of_the_clock_differs_by_exactly_zero():
    scores, outcomes = hourly_study(60, models=("clock",))
    hours = hours_of(pd.concat([scores, scores.assign(model="copy")], ignore_index=True), outcomes)
    metrics, _ = landmark_metrics(hours, checked_outcomes(outcomes), LANDMARKS, 12.0, **HOW)
    rows = metrics[metrics.model == "copy - clock"]
    assert sorted(rows.metric) == ["auprc_difference", "auroc_difference"]
    assert (rows[["estimate", "low", "high"]] == 0.0).all(axis=None)
    assert (rows.p_value == 1.0).all()


def test_a_band_holds_its_intervals_and_the_curve_repeats_the_metrics():
    hours, outcomes = study(120)
    metrics, curve = landmark_metrics(hours, outcomes, LANDMARKS, 12.0, **HOW)
    rows = metrics[metrics.setting != POOLED]
    assert metrics[metrics.setting == POOLED].band_low.isna().all()
    assert rows.low.notna().all()
    assert (rows.band_low <= rows.low).all()
    assert (rows.band_high >= rows.high).all()
    assert ((rows.low <= rows.estimate) & (rows.estimate <= rows.high)).all()
    assert ((rows.band_high - rows.band_low) > (rows.high - rows.low)).mean() > 0.7  # not the clock's AUROC
    numbers = ["estimate", "low", "high", "band_low", "band_high", "n", "n_events"]
    assert (rows[numbers].to_numpy() == curve[numbers].to_numpy()).all()
    assert set(curve.hour) == set(LANDMARKS)


def test_stays_that_are_all_ranked_rightly_have_an_interval_with_a_width():
    scores, outcomes = hourly_study(60, models=("m",))
    onset = outcomes.set_index("stay_id").onset_h.loc[scores.stay_id].to_numpy()
    soon = (onset > scores.time_h) & (onset <= scores.time_h + 12.0)
    scores["risk"] = np.where(soon, 0.9, 0.1)
    metrics, _ = landmark_metrics(hours_of(scores, outcomes), checked_outcomes(outcomes), [24.0], 12.0, **HOW)
    for metric in ("auroc", "auprc", "auroc_event_free"):
        row = one(metrics, metric=metric, setting="hour 24")
        assert row.estimate == row.high == row.band_high == 1.0
        assert 0.5 < row.low < 0.99
        assert row.band_low == pytest.approx(row.low)


def test_persons_are_the_units_of_an_interval():
    """The same stays as pairs of one person: half the persons, so intervals at least as wide on average."""
    scores, outcomes = hourly_study(80, models=("m",), hours=(30, 60))
    twice = [
        (s.assign(stay_id=s.stay_id + k * 1000), o.assign(stay_id=o.stay_id + k * 1000))
        for k in (0, 1)
        for s, o in [(scores, outcomes)]
    ]
    doubled = hours_of(*(pd.concat(tables, ignore_index=True) for tables in zip(*twice, strict=True)))
    both = checked_outcomes(pd.concat([o for _, o in twice], ignore_index=True))
    few, _ = landmark_metrics(hours_of(scores, outcomes), checked_outcomes(outcomes), [24.0], 12.0, **HOW)
    many, _ = landmark_metrics(doubled, both, [24.0], 12.0, **HOW)
    assert many.estimate.to_numpy() == pytest.approx(few.estimate.to_numpy())
    for metric in ("auroc", "auprc", "auroc_event_free"):
        a, b = (one(t, metric=metric, setting="hour 24") for t in (few, many))
        assert (b.low, b.high) == pytest.approx((a.low, a.high))


def test_the_level_of_a_band_is_that_of_independent_or_equal_errors():
    rng = np.random.default_rng(0)
    apart = [Estimate("auroc", 0.5, row, 20, 50) for row in np.linalg.qr(rng.normal(size=(50, 5)))[0].T]
    assert simultaneous_level(apart, 0.95, 0) == pytest.approx(0.95 ** (1 / 5), abs=0.002)
    assert simultaneous_level([apart[0]] * 5, 0.95, 0) == pytest.approx(0.95, abs=0.004)


def test_risks_of_matched_sets_are_taken_to_the_cohort_before_they_are_expected():
    hours, outcomes = study(60)
    metrics = [
        landmark_metrics(hours, outcomes, [12.0], 12.0, target=target, **HOW)[0]
        for target in (None, Target(0.02, "cohort prevalence", 0.1))
    ]
    key = {"model": "mgp_tcn", "setting": "hour 12"}
    plain, moved = (one(m, metric="observed_expected", **key).estimate for m in metrics)
    risk = landmark_at(hours, outcomes, 12.0).risk[hours.models.index("mgp_tcn")]
    odds = risk / (1 - risk) * (0.02 / 0.98) / (0.1 / 0.9)
    assert moved == pytest.approx(plain * risk.mean() / (odds / (1 + odds)).mean())
    assert one(metrics[0], metric="auroc", **key).equals(one(metrics[1], metric="auroc", **key))


def test_a_landmark_without_onset_or_without_anybody_has_counts_and_no_number():
    hours, outcomes = study(24)
    metrics, curve = landmark_metrics(hours, outcomes, [2.0, 24.0, 500.0], 1.0, **HOW)
    first = metrics[metrics.setting == "hour 2"]
    assert (first.n == 24).all()
    assert (first.n_events == 0).all()
    assert first[first.metric.str.startswith("au")].estimate.isna().all()
    row = one(first, metric="prevalence")
    assert (row.estimate, row.low) == (0.0, 0.0)
    assert row.high == pytest.approx(1 - 0.025 ** (1 / 24))  # exact, of 0 of 24
    row = one(first, metric="observed_expected", model="mgp_tcn")
    assert row.estimate == 0.0
    assert row.high > 0.0
    assert (metrics[metrics.setting == "hour 500"].n == 0).all()
    assert metrics[metrics.setting == "hour 500"].estimate.isna().all()
    assert (curve[curve.hour == 500.0].n == 0).all()


def test_without_any_time_of_leaving_nobody_is_known_to_leave():
    scores, outcomes = hourly_study(40)
    outcomes = checked_outcomes(outcomes.drop(columns="stay_h"))
    _, curve = landmark_metrics(hours_of(scores, outcomes), outcomes, [12.0, 30.0], 12.0, **HOW)
    assert (curve.n_left == 0).all()
    assert (curve.n_censored > 0).any()
    assert curve.estimate.notna().any()


def test_where_nobody_is_followed_to_the_end_of_the_window_there_is_no_number():
    scores, outcomes = hourly_study(24)
    outcomes = checked_outcomes(outcomes.assign(stay_h=np.nan))
    hours = hours_of(scores[scores.time_h <= 15], outcomes)
    hours = hours.only(outcomes.stay_id[~outcomes.is_case])
    metrics, _ = landmark_metrics(hours, outcomes, [12.0], 12.0, **HOW)
    assert metrics.estimate.isna().all()
    assert (metrics.n > 0).all()


def test_where_most_stays_at_risk_reach_onset_there_is_no_number():
    """As in PhysioNet 2019, where stays without onset have no record after hour 60."""
    scores, outcomes = hourly_study(80)
    gone = (outcomes.stay_h > 24) & ~outcomes.is_case & (outcomes.stay_id % 10 > 0)
    outcomes["stay_h"] = outcomes.stay_h.mask(gone, 24.0)
    scores = scores[scores.time_h <= outcomes.stay_h.loc[scores.stay_id].to_numpy()]
    outcomes = checked_outcomes(outcomes)
    hours = hours_of(scores, outcomes)
    metrics, curve = landmark_metrics(hours, outcomes, [12.0, 18.0, 24.0], 12.0, **HOW)
    last = curve[curve.hour == 24]
    assert (last.n_reach_onset > 0.5 * last.n).all()
    assert (last.n < 80).all()
    assert last.estimate.isna().all()
    # at hour 24, the end of the window of hour 12, controls in the unit reach onset later
    first = curve[curve.hour == 12]
    assert first[first.metric == "auroc_event_free"].estimate.isna().all()
    assert first[first.metric == "auroc"].estimate.notna().all()
    first = first[first.metric == "prevalence"]
    assert (first.n_reach_onset == 20).all()
    assert first.estimate.notna().all()
    pooled = one(metrics, metric="prevalence", setting=POOLED)
    assert pooled.n == curve[(curve.hour < 24) & (curve.metric == "prevalence")].n.sum()


@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_compared_within_folds(seed):
    rng = np.random.default_rng(seed)
    _, event, risk = drawn(90, seed=seed)
    fold, onset, weight = rng.integers(0, 3, 90), event == ONSET, rng.choice([0.0, 1.0, 1.5], 90)
    risk = risk + 0.3 * fold  # folds differ in level

    def twin(weight):
        """Pairs and precisions, fold by fold."""
        won = pairs = gained = onsets = 0.0
        for k in range(3):
            rows = [i for i in range(90) if fold[i] == k]
            for i in rows:
                above = sum(weight[j] for j in rows if risk[j] >= risk[i])
                hits = sum(weight[j] for j in rows if risk[j] >= risk[i] and onset[j])
                if onset[i] and weight[i]:
                    gained, onsets = gained + weight[i] * hits / above, onsets + weight[i]
                for j in rows:
                    if onset[i] and not onset[j]:
                        pairs += weight[i] * weight[j]
                        won += weight[i] * weight[j] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
        return np.array([won / pairs, gained / onsets])

    found = areas_within(fold, onset, risk, weight)
    assert (found.auroc, found.auprc) == pytest.approx(tuple(twin(weight)))
    step = 1e-6
    slopes = np.array([(twin(weight + step * e) - twin(weight - step * e)) / (2 * step) for e in np.eye(90)])
    counted = weight > 0
    influence = np.stack([found.auroc_influence, found.auprc_influence], axis=1)
    assert influence[counted] == pytest.approx((weight[:, None] * slopes)[counted], abs=1e-6)


def test_the_clock_of_folds_that_differ_in_level_knows_nothing_at_a_landmark():
    scores, outcomes = hourly_study(120, models=("clock",))
    scores["fold"] = scores.stay_id % 3
    scores["risk"] = scores.risk / (2 + scores.fold)
    hours = hours_of(scores, outcomes)
    assert set(hours.fold) == {0, 1, 2}
    metrics, _ = landmark_metrics(hours, checked_outcomes(outcomes), LANDMARKS, 12.0, **HOW)
    rows = metrics[(metrics.metric == "auroc") & (metrics.setting != POOLED)]
    assert (rows[["estimate", "low", "high"]] == 0.5).all(axis=None)


def test_a_fold_without_onset_is_compared_with_nobody():
    fold, onset = np.array([0, 0, 0, 1, 1]), np.array([True, False, False, False, False])
    found = areas_within(fold, onset, np.array([0.5, 0.4, 0.6, 0.9, 0.8]), np.ones(5))
    assert (found.auroc, found.auprc) == (0.5, 0.5)
    assert (found.auroc_influence[3:] == 0.0).all()


def test_two_stays_of_one_person_have_an_interval_of_a_share():
    """A person alone has no spread: the share is of one."""
    scores, outcomes = hourly_study(8, models=("m",))
    outcomes["subject_id"] = scores["subject_id"] = 1
    hours = hours_of(scores, outcomes).only([0, 1, 2])
    metrics, _ = landmark_metrics(hours, checked_outcomes(outcomes), [12.0], 48.0, **HOW)
    row = one(metrics, metric="prevalence", setting="hour 12")
    assert row.estimate == pytest.approx(1 / 3)
    assert row.low < 0.05
    assert row.high > 0.9


def test_one_class_gives_no_area():
    hours, outcomes = study(40)
    for part in (
        hours.only(outcomes.stay_id[outcomes.is_case]),
        hours.only(outcomes.stay_id[~outcomes.is_case]),
    ):
        metrics, _ = landmark_metrics(part, outcomes, [12.0, 24.0], 48.0, **HOW)
        assert metrics[metrics.metric == "auroc"].estimate.isna().all()


def test_no_landmark_is_no_view():
    hours, outcomes = study(24)
    metrics, curve = landmark_metrics(hours, outcomes, (), 12.0, **HOW)
    assert metrics.empty
    assert curve.empty


@pytest.mark.parametrize("seed", range(3))
def test_statsmodels_finds_the_same_cumulative_incidence(seed):
    time_h, event, _ = drawn(300, seed=seed)
    fitted = CumIncidenceRight(time_h, np.minimum(event, 2), freq_weights=np.ones(300))  # no variances
    weights = censoring_weights(time_h, event, 12.0)
    at = np.searchsorted(fitted.times, 12.0, side="right") - 1
    assert weights.weight[weights.onset].sum() / 300 == pytest.approx(fitted.cinc[ONSET - 1][at])


@pytest.mark.parametrize("seed", range(3))
def test_lifelines_finds_the_same_cumulative_incidence(seed):
    lifelines = pytest.importorskip("lifelines")
    time_h, event, _ = drawn(300, seed=seed)
    # without ties, which lifelines breaks at random
    time_h = time_h + np.random.default_rng(seed).uniform(0, 0.4, 300)
    fitted = lifelines.AalenJohansenFitter(calculate_variance=False)
    fitted.fit(time_h, np.minimum(event, 2), event_of_interest=ONSET)
    weights = censoring_weights(time_h, event, 12.0)
    assert weights.weight[weights.onset].sum() / 300 == pytest.approx(fitted.predict(12.0))


@pytest.mark.parametrize("seed", range(3))
def test_scikit_survival_finds_the_same_area(seed):
    """Its AUC knows no competing event, so those are censored here, too."""
    metrics = pytest.importorskip("sksurv.metrics")
    time_h, event, risk = drawn(300, seed=seed)
    time_h = time_h + np.random.default_rng(seed).uniform(0, 0.4, 300)
    event = np.where(event == ONSET, ONSET, CENSORED)
    record = np.array(list(zip(event == ONSET, time_h, strict=True)), dtype=[("e", bool), ("t", float)])
    expected = metrics.cumulative_dynamic_auc(record, record, risk, [12.0])[0][0]
    weights = censoring_weights(time_h, event, 12.0)
    known = weights.onset | weights.free
    found = roc_auc_score(weights.onset[known], risk[known], sample_weight=weights.weight[known])
    assert found == pytest.approx(expected)
