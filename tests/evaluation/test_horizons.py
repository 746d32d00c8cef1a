from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from sepsis.core.errors import ExportError, NothingLeftError, UsageError
from sepsis.core.schema import check_table
from sepsis.evaluation import constant_risk_set, evaluate_scores
from sepsis.evaluation.horizons import horizon_metrics
from tests.evaluation.made_up import HORIZONS, study, value
from tests.oracles import discrimination as oracle


def without_risk(scores, stays, model, horizon_h, reason="too short"):
    rows = scores.stay_id.isin(stays) & (scores.model == model) & (scores.horizon_h == horizon_h)
    assert rows.sum() == len(stays)
    return scores.assign(
        risk=scores.risk.mask(rows),
        reason=scores.reason.mask(rows, reason),
    )


def in_sets(scores):
    """Each case with the three stays after it as its matched set."""
    return scores.assign(matched_to=scores.stay_id // 4 * 4)


def test_metrics_are_those_of_scikit_learn_on_the_same_stays():
    scores, outcomes = study()
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=0)
    for (model, horizon), part in scores.groupby(["model", "horizon_h"]):
        assert value(metrics, model, "auroc", horizon) == pytest.approx(
            roc_auc_score(part.is_case, part.risk)
        )
        expected = average_precision_score(part.is_case, part.risk)
        assert value(metrics, model, "auprc", horizon) == pytest.approx(expected)
        assert value(metrics, model, "prevalence", horizon) == 0.25
        assert value(metrics, model, "normalised_auprc", horizon) == pytest.approx((expected - 0.25) / 0.75)
    difference = value(metrics, "mgp_tcn - clock", "auprc_difference", 3.0)
    assert difference == value(metrics, "mgp_tcn", "auprc", 3.0) - value(metrics, "clock", "auprc", 3.0)


def test_metrics_keep_their_contract_and_intervals_hold_the_estimate():
    metrics = evaluate_scores(*study(), n_bootstrap=200)
    assert len(check_table(metrics, "metrics")) == len(HORIZONS) * (2 * 4 + 2)
    timed = metrics[metrics.metric != "prevalence"]
    assert (timed.low <= timed.estimate).all()
    assert (timed.estimate <= timed.high).all()
    assert metrics[metrics.metric == "prevalence"].low.isna().all()
    assert set(metrics.n) == {80}
    assert set(metrics.n_events) == {20}


def test_the_difference_of_a_model_and_its_copy_is_exactly_zero():
    scores, outcomes = study(models=("a",))
    twice = pd.concat([scores, scores.assign(model="b", risk=scores.risk / 2)], ignore_index=True)
    metrics = evaluate_scores(twice, outcomes, n_bootstrap=50)
    rows = metrics[metrics.model == "a - b"]
    assert len(rows) == 2 * len(HORIZONS)
    assert (rows[["estimate", "low", "high"]] == 0).all(axis=None)


def test_row_order_changes_nothing():
    scores, outcomes = study()
    shuffled = scores.sample(frac=1, random_state=0), outcomes.sample(frac=1, random_state=1)
    assert evaluate_scores(*shuffled, n_bootstrap=30).equals(
        evaluate_scores(scores, outcomes, n_bootstrap=30)
    )


def test_negative_controls_come_last():
    scores, outcomes = study(models=("clock", "z_model", "a_model"))
    assert constant_risk_set(scores, outcomes).models == ("a_model", "z_model", "clock")


def test_a_stay_without_one_risk_leaves_every_model_and_horizon_and_is_counted():
    scores, outcomes = study()
    scores = without_risk(scores, [0, 1, 2], "mgp_tcn", 7.0)
    scores = without_risk(scores, [0, 5], "clock", 0.0, "")
    scores = scores.drop(scores.index[(scores.stay_id == 9) & (scores.model == "clock")])
    risk_set = constant_risk_set(scores, outcomes)
    assert len(risk_set.stay_id) == 80 - 5
    assert not set(risk_set.stay_id) & {0, 1, 2, 5, 9}
    assert set(evaluate_scores(scores, outcomes, n_bootstrap=0).n) == {75}
    counted = check_table(risk_set.coverage, "coverage").set_index(["model", "horizon_h", "reason"])
    assert counted.loc[("mgp_tcn", 7.0, "too short")].tolist() == [3, 1]
    assert counted.loc[("clock", 0.0, "no reason given")].tolist() == [2, 1]
    assert counted.loc[("clock", 3.0, "no row in the scores")].tolist() == [1, 0]
    assert len(counted) == 2 + len(HORIZONS)
    assert risk_set.left_out.n.sum() == 5  # each stay once, though stay 0 lacks two risks
    assert (len(risk_set.split_stay_id), risk_set.split_is_case.sum()) == (80, 20)


def test_stays_that_only_one_table_counts_are_named():
    scores, outcomes = study()
    outcomes.loc[outcomes.stay_id == 3, ["included", "exclusion"]] = [False, "under age"]
    extra = outcomes.iloc[:2].assign(stay_id=[500, 501], subject_id=[7, 8], included=True)
    counted = constant_risk_set(scores, pd.concat([outcomes, extra], ignore_index=True)).coverage
    rows = counted.set_index("reason")
    assert rows.loc["excluded by the labels: under age", ["model", "n", "n_events"]].tolist() == ["all", 1, 0]
    assert rows.loc["labelled, not in the scores", ["n", "n_events"]].tolist() == [2, 1]


def test_only_the_split_asked_for_is_judged():
    scores, outcomes = study()
    scores.loc[scores.stay_id < 40, "split"] = "train"
    scores.loc[scores.stay_id < 40, "risk"] = np.nan
    assert set(evaluate_scores(scores, outcomes, n_bootstrap=0).n) == {40}
    with pytest.raises(NothingLeftError, match="0 cases and 0 controls of 40 stays"):
        evaluate_scores(scores, outcomes, split="train")
    with pytest.raises(NothingLeftError, match="no row of split 'external' with a horizon among 480 rows"):
        evaluate_scores(scores, outcomes, split="external")


def test_hourly_rows_are_no_fixed_horizon():
    scores, outcomes = study()
    hourly = scores[scores.horizon_h == 0].assign(horizon_h=np.nan, risk=0.5, split="external", is_case=False)
    both = evaluate_scores(pd.concat([scores, hourly], ignore_index=True), outcomes, n_bootstrap=0)
    assert both.equals(evaluate_scores(scores, outcomes, n_bootstrap=0))


def test_stays_outside_the_cohort_may_stand_in_the_scores_with_a_reason():
    scores, outcomes = study()
    outside = scores.iloc[:1].assign(
        stay_id=900, subject_id=900, time_h=np.nan, horizon_h=np.nan, risk=np.nan, split=None, is_case=False,
        reference_h=np.nan, reason="no matched hour",
    )  # fmt: skip
    more = outcomes.iloc[:1].assign(stay_id=900, subject_id=900, is_case=True)
    scores, outcomes = (pd.concat(t, ignore_index=True) for t in ([scores, outside], [outcomes, more]))
    assert set(evaluate_scores(scores, outcomes, n_bootstrap=0).n) == {80}


def test_columns_that_other_peoples_scores_lack_are_made_up_for():
    scores, outcomes = study()
    bare = scores.drop(columns=["risk_sd", "reference_h", "reason", "is_case"])
    assert evaluate_scores(bare, outcomes, n_bootstrap=20).equals(
        evaluate_scores(scores, outcomes, n_bootstrap=20)
    )


def test_one_class_alone_is_refused_with_counts():
    scores, outcomes = study()
    cases = scores[scores.is_case]
    with pytest.raises(NothingLeftError, match="20 cases and 0 controls of 20 stays"):
        evaluate_scores(cases, outcomes)


def test_a_class_without_a_risk_at_one_horizon_is_named_with_the_horizon():
    scores, outcomes = study()
    none = scores.is_case & (scores.horizon_h == 3)
    with pytest.raises(NothingLeftError, match=r"0 cases and 60 controls .* no risk of a case at 3 h\)"):
        evaluate_scores(scores.assign(risk=scores.risk.mask(none)), outcomes)


def test_a_lone_case_has_an_estimate_and_no_interval():
    scores, outcomes = study()
    few = scores[~scores.is_case | (scores.stay_id == 0)]
    metrics = evaluate_scores(few, outcomes, n_bootstrap=20)
    assert metrics.estimate.notna().all()
    assert metrics[["low", "high"]].isna().all(axis=None)


def changed(column, stay, new):
    def change(scores):
        return scores.assign(**{column: scores[column].mask(scores.stay_id == stay, new)})

    return change


BROKEN = {
    "a risk above one": (changed("risk", 5, 1.5), "6 risks lie outside 0 to 1"),
    "a risk below zero": (changed("risk", 5, -0.1), "6 risks lie outside 0 to 1"),
    "a row twice": (lambda s: pd.concat([s, s.iloc[:2]]), "2 rows repeat the key"),
    "a horizon twice at other hours": (
        lambda s: pd.concat([s, s.iloc[:3].assign(time_h=1.0)]),
        "3 rows repeat a stay, horizon and model",
    ),
    "a stay that is not labelled": (changed("stay_id", 5, 999), "1 stays are not in the labels"),
    "another class": (changed("is_case", 4, False), "6 rows have another is_case"),
    "another person": (changed("subject_id", 5, 1), "6 rows have another subject_id"),
    "a prediction after its time": (changed("time_h", 5, 20.5), "6 rows were predicted less than horizon_h"),
    "models asked at different times": (
        lambda s: s.assign(time_h=s.time_h.mask((s.stay_id == 5) & (s.model == "clock"), 1.0)),
        "3 pairs of stay and horizon have different time_h",
    ),
    "a missing column": (lambda s: s.drop(columns="risk"), "no column risk"),
    "an unknown split": (changed("split", 5, "holdout"), "6 rows of split"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_scores_that_break_their_contract_are_refused(name):
    scores, outcomes = study()
    change, message = BROKEN[name]
    with pytest.raises(ExportError, match=message) as caught:
        evaluate_scores(change(scores), outcomes)
    assert caught.value.exit_code == 11


def test_labels_that_break_their_contract_are_refused():
    scores, outcomes = study()
    with pytest.raises(ExportError, match="no column included"):
        evaluate_scores(scores, outcomes.drop(columns="included"))
    with pytest.raises(ExportError, match="1 rows repeat a stay_id"):
        evaluate_scores(scores, pd.concat([outcomes, outcomes.iloc[:1]]))
    gap = outcomes.assign(is_case=outcomes.is_case.astype("boolean").mask(outcomes.stay_id == 3))
    with pytest.raises(ExportError, match="1 included stays have no is_case"):
        evaluate_scores(scores, gap)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizons": [0, 5]}, "5 h asked for"),
        ({"horizons": []}, "none h asked for"),
        ({"level": 95}, "level: is 95"),
        ({"n_bootstrap": -1}, "n_bootstrap: is -1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        evaluate_scores(*study(), **arguments)


def test_fewer_horizons_can_widen_the_risk_set():
    scores, outcomes = study()
    scores = without_risk(scores, [1, 2], "mgp_tcn", 7.0)
    assert set(evaluate_scores(scores, outcomes, n_bootstrap=0).n) == {78}
    assert set(evaluate_scores(scores, outcomes, horizons=[0, 3], n_bootstrap=0).n) == {80}


def test_concordance_is_within_sets_and_that_of_the_clock_is_exactly_one_half():
    scores, outcomes = study()
    scores = in_sets(scores)
    tied = (scores.model == "clock").to_numpy()  # knows the hour of the set and nothing else
    scores.loc[tied, "risk"] = (scores.matched_to[tied] + 1) / 100
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=1)
    part = scores[(scores.model == "mgp_tcn") & (scores.horizon_h == 0)]
    expected = oracle.concordance(part.is_case.tolist(), part.risk.tolist(), part.matched_to.tolist())
    assert value(metrics, "mgp_tcn", "concordance") == pytest.approx(expected)
    for column in ("estimate", "low", "high"):
        assert value(metrics, "clock", "concordance", column=column) == 0.5
    clock = value(metrics, "mgp_tcn - clock", "concordance_difference", column="estimate")
    assert clock == pytest.approx(expected - 0.5)
    # without sets, nobody is compared within one
    assert "concordance" not in set(evaluate_scores(*study(), n_bootstrap=1).metric)


def test_sets_make_a_difference_to_the_clock_more_certain():
    """Within a set the clock says nothing; over all it is noise that both classes of a set share."""
    scores, outcomes = study(400, horizons=(0.0,))
    scores = in_sets(scores)
    noise = np.random.default_rng(3).normal(size=100)[scores.stay_id // 4]
    tied = scores.model == "clock"
    scores["risk"] = scores.risk.where(~tied, 1 / (1 + np.exp(-noise)))
    width = {}
    for name, table in (("sets", scores), ("subjects", scores.drop(columns="matched_to"))):
        metrics = evaluate_scores(table, outcomes, n_bootstrap=1)
        ends = [
            value(metrics, "mgp_tcn - clock", "auroc_difference", column=column) for column in ("low", "high")
        ]
        width[name] = ends[1] - ends[0]
    assert width["sets"] < 0.8 * width["subjects"]


def test_p_values_are_adjusted_for_all_pairs_at_the_primary_endpoint_only():
    scores, outcomes = study(models=("a", "b", "c"))
    metrics = horizon_metrics(
        constant_risk_set(scores, outcomes), n_bootstrap=1, level=0.95, random_state=0, primary=("auprc", 3.0)
    )
    compared = metrics[metrics.metric.str.endswith("_difference")]
    assert compared.p_value.notna().all()
    assert metrics.p_value[~metrics.index.isin(compared.index)].isna().all()
    primary = compared[(compared.metric == "auprc_difference") & (compared.horizon_h == 3.0)]
    assert len(primary) == 3
    assert primary.p_holm.tolist() == pytest.approx(multipletests(primary.p_value, method="holm")[1])
    assert compared.p_holm.drop(primary.index).isna().all()
    excludes_zero = (compared.low > 0) | (compared.high < 0)
    assert (excludes_zero == (compared.p_value < 0.05)).all()


def test_bands_hold_the_intervals_and_are_of_models_over_horizons():
    metrics = evaluate_scores(*study(), n_bootstrap=1)
    areas = metrics[metrics.metric.isin(["auroc", "auprc", "normalised_auprc"])]
    assert (areas.band_low < areas.low).all()
    assert (areas.band_high > areas.high).all()
    assert metrics.band_low.drop(areas.index).isna().all()
    alone = evaluate_scores(*study(horizons=(0.0,)), n_bootstrap=1)
    assert alone.band_low.isna().all()  # one point is no curve


def test_chance_is_what_shuffled_classes_give():
    scores, outcomes = study(200, models=("noise",), horizons=(0.0, 3.0))
    risk_set = constant_risk_set(scores, outcomes)
    metrics = horizon_metrics(risk_set, n_bootstrap=1, level=0.95, random_state=0, n_permutations=400)
    rng = np.random.default_rng(1)
    shuffled = [(rng.permutation(risk_set.is_case), risk_set.risk[0, 0]) for _ in range(400)]
    for metric, measure in (("auprc_chance", average_precision_score), ("auroc_chance", roc_auc_score)):
        found = [measure(*one) for one in shuffled]
        for horizon in (0.0, 3.0):
            row = [value(metrics, "all", metric, horizon, c) for c in ("estimate", "low", "high")]
            assert row == pytest.approx([np.mean(found), *np.quantile(found, [0.025, 0.975])], abs=0.02)
    assert value(metrics, "all", "auprc_chance") > value(metrics, "noise", "prevalence")


def test_a_mean_over_draws_is_as_sure_as_its_draws_are_alike():
    risk_set = constant_risk_set(*study(160, models=("a",), horizons=(0.0,)))
    how = {"n_bootstrap": 1, "level": 0.95, "random_state": 0}
    one = horizon_metrics(risk_set, **how)
    assert horizon_metrics([risk_set] * 5, **how).equals(one)
    moved = np.where(risk_set.is_case, risk_set.risk, np.roll(risk_set.risk, 7, axis=2) * 0.5)
    other = replace(risk_set, risk=moved)
    both = horizon_metrics([risk_set, other], **how)
    estimates = [value(m, "a", "auroc") for m in (one, horizon_metrics(other, **how), both)]
    assert estimates[2] == pytest.approx((estimates[0] + estimates[1]) / 2)
    width = value(both, "a", "auroc", column="high") - value(both, "a", "auroc", column="low")
    assert width > abs(estimates[0] - estimates[1])  # two draws that differ say little


@pytest.mark.parametrize("best", ["above", "below"])
def test_a_perfect_model_has_an_interval_that_is_not_empty(best):
    scores, outcomes = study(48, models=("m",), horizons=(0.0,))
    risk = np.where(scores.is_case == (best == "above"), 0.9, 0.1)
    metrics = evaluate_scores(in_sets(scores.assign(risk=risk)), outcomes, n_bootstrap=1)
    for metric in ("auroc", "concordance"):
        low, at, high = (value(metrics, "m", metric, column=c) for c in ("low", "estimate", "high"))
        assert at == (1.0 if best == "above" else 0.0)
        assert high - low > 0.1
        assert low <= at <= high
