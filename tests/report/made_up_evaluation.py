"""An evaluation of every view: the fixed-horizon one as it is computed, the others made up."""

from dataclasses import replace

import numpy as np
import pandas as pd

from sepsis.evaluation import Evaluation, EvaluationSettings, constant_risk_set, evaluate_scores
from sepsis.evaluation.censoring import BEFORE_TREATMENT
from sepsis.evaluation.prevalence import COHORT
from sepsis.evaluation.spread import spread_over_folds
from tests.report.made_up import MODELS, whole_study

CURVES = (
    "event_precision_recall", "burden_recall", "lead_time", "reliability", "decision_curve",
    "risk_around_onset",
)  # fmt: skip
ALARM = {
    "threshold": 0.4, "event_recall": 0.8, "timely_recall_1h": 0.7, "timely_recall_3h": 0.6,
    "timely_recall_6h": 0.5, "alarm_precision": 0.4, "first_alarm_precision": 0.45,
    "false_alarms_per_patient_day": 0.3, "alarms_per_100_patient_days": 31.0,
    "number_needed_to_evaluate": 2.5, "lead_time_h": 6.2, "lead_time_shuffled_h": 5.1, "late_alarms": 0.2,
    "never_alarmed": 0.3, "ever_alarmed": 0.5,
}  # fmt: skip


SETTINGS = EvaluationSettings(primary_horizon_h=7.0)
MADE_UP = ("concordance", "concordance_difference", "auroc_chance", "auprc_chance")
LANDMARKS = np.arange(6.0, 49.0, 6.0)


def evaluated(
    n=120, models=MODELS, *, hourly=True, groups=True, n_bootstrap=100, p_holm=0.004, matched=True, **settings
):
    """
    Every view; without `hourly` the fixed-horizon one alone. At the primary endpoint, the adjusted p value of
    pairs with the clock is `p_holm`, that of all others 0.6.
    """
    scores, outcomes, _ = whole_study(n, models)
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=n_bootstrap, **settings).assign(setting="")
    metrics = with_bands_and_tests(metrics[~metrics.metric.isin(MADE_UP)], p_holm)
    more = [other_views(models, metrics), landmark_rows(models), censored(models)] if hourly else []
    more += group_rows(metrics) if groups else []
    risk_set = constant_risk_set(scores, outcomes)
    if matched:
        risk_set = in_sets(risk_set)
    return Evaluation(
        metrics=pd.concat([metrics, *more], ignore_index=True),
        curves=curves(models) if hourly else {},
        risk_set=risk_set,
        coverage=risk_set.coverage,
        notes=[] if hourly else ["No hourly scores: the continuous, alarm and utility views are omitted."],
        thresholds=pd.DataFrame(columns=["model", "setting", "threshold", "chosen_on", "n", "n_events"]),
        recalibrations={},
        settings=SETTINGS,
        tables={**study_tables(models), "folds": spread_over_folds(risk_set)} if hourly else {},
        hourly_stays=np.arange(80) if hourly else None,
    )


def in_sets(risk_set):
    """Each case and the three stays after it as a set, drawn from a larger cohort, in two folds."""
    first = risk_set.stay_id // 4 * 4
    whole = np.isin(first, risk_set.stay_id[risk_set.is_case])
    return replace(
        risk_set, set_id=np.where(whole, first, -1), fold=(first // 4 % 2).astype(np.int64),
        n_cohort=900, n_cohort_cases=60,
    )  # fmt: skip


def with_bands_and_tests(metrics, p_holm):
    """Bands around areas, the band of chance, concordance, and tests at 7 h."""
    area = metrics.metric.isin(["auroc", "auprc"])
    difference = metrics.metric.str.endswith("_difference")
    primary = (metrics.metric == "auprc_difference") & (metrics.horizon_h == 7)
    adjusted = np.where(metrics.model.str.contains("clock"), p_holm, 0.6)
    metrics = metrics.assign(
        band_low=(metrics.low - 0.03).clip(lower=0).where(area),
        band_high=(metrics.high + 0.03).clip(upper=1).where(area),
        p_value=pd.Series(adjusted / 3, metrics.index).where(difference),
        p_holm=pd.Series(adjusted, metrics.index).where(primary),
    )
    within = metrics[metrics.metric.isin(["auroc", "auroc_difference"])]
    within = within.assign(metric=within.metric.str.replace("auroc", "concordance"), p_holm=np.nan)
    one = metrics[(metrics.metric == "prevalence") & (metrics.model == "clock")]
    chance = [
        one.assign(model="all", metric=f"{name}_chance", estimate=at, low=at - 0.08, high=at + 0.1)
        for name, at in (("auprc", 0.27), ("auroc", 0.5))
    ]
    return pd.concat([metrics, within, *chance], ignore_index=True)


def landmark_rows(models):
    """Rows of the landmark view, over all landmarks."""
    rows = [
        (model, metric, value - 0.02 * k)
        for k, model in enumerate(models)
        for metric, value in (
            ("auroc", 0.75), ("auroc_event_free", 0.77), ("auprc", 0.2), ("observed_expected", 1.1)
        )
    ] + [("all", "prevalence", 0.05)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "metric", "estimate"])
    return frame.assign(
        view="landmark", horizon_h=12.0, group="all", setting="all landmarks", low=frame.estimate - 0.05,
        high=frame.estimate + 0.05, n=5000, n_events=120,
    )  # fmt: skip


def landmark_curve(models):
    """The landmark panel: stays leave, and the measures of models fall."""
    values = {"auroc": 0.75, "auprc": 0.2, "observed_expected": 1.2}
    parts = []
    for k, model in enumerate([*models, "all"]):
        for metric, value in values.items() if model != "all" else [("prevalence", 0.06)]:
            at = value - 0.02 * k - LANDMARKS / 400
            parts.append(
                pd.DataFrame(
                    {
                        "model": model, "hour": LANDMARKS, "window_h": 12.0, "metric": metric, "estimate": at,
                        "low": at - 0.04, "high": at + 0.04, "band_low": at - 0.06, "band_high": at + 0.06,
                        "n": 800 - 10 * LANDMARKS.astype(int), "n_events": 30, "n_left": 90, "n_died": 4,
                        "n_censored": 2, "n_reach_onset": 60, "n_without_risk": 1, "n_had_onset": 5,
                        "n_label_later": 3,
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def study_tables(models):
    """The tables of the study; few controls are at the end of their stay."""
    left = pd.DataFrame(
        {
            "class": ["case", "control"], "rows": [29, 89], "median_left_h": [40.5, 11.2],
            "share_last_hour": [0.01, 0.08], "auroc": [0.71, np.nan],
        }
    )  # fmt: skip
    one = pd.DataFrame(
        {
            "split": ["test", "test"], "class": ["case", "control"], "stays": [60, 840],
            "age, median [quartiles]": ["63 [50 to 74]", "61 [48 to 73]"],
        }
    )  # fmt: skip
    before = pd.DataFrame(
        {
            "horizon_h": [7.0, 3.0, 0.0], "antibiotic": [0.2, 0.3, 0.6], "antibiotic_low": [0.1, 0.2, 0.4],
            "antibiotic_high": [0.3, 0.4, 0.7],
        }
    )  # fmt: skip
    size = pd.DataFrame(
        {
            "model": ["all", models[0]],
            "criterion": ["evaluation: observed / expected", "evaluation: AUROC"],
            "needed": [1200, 800], "needed_events": [90, 60], "n": 900, "n_events": 60,
        }
    )  # fmt: skip
    delay = pd.DataFrame([{"n": 60, "median_h": 3.0, "q1_h": 0.0, "q3_h": 9.5}])
    seeds = pd.DataFrame(
        {
            "model": models[0], "metric": "auprc", "horizon_h": 7.0, "mean": 0.5, "min": 0.44, "max": 0.56,
            "n": 5,
        },
        index=[0],
    )  # fmt: skip
    return {
        "time_left": left, "table_one": one, "before_onset": before, "label_delay": delay,
        "sample_size": size, "seeds": seeds,
    }  # fmt: skip


def other_views(models, metrics):
    """Rows of the views beyond the paper's, falling from model to model."""
    rows = []
    for k, model in enumerate(models):
        rows += [
            (model, "continuous", window, metric, unit, 0.8 - 0.05 * k - window / 200)
            for window in (6.0, 12.0, 24.0)
            for unit in ("hours", "stays")
            for metric in ("auroc", "auprc")
        ]
        rows += [
            (model, "alarm", np.nan, metric, setting, value - 0.03 * k)
            for setting in ("recall 0.8", "recall 0.9", "budget 20")
            for metric, value in ALARM.items()
        ]
        utility = (("normalised_utility", 0.4 - 0.1 * k), ("threshold", 0.2))
        rows += [(model, "utility", np.nan, m, "best on validation", v) for m, v in utility]
        rows += [
            (model, "calibration", h, metric, setting, value)
            for h in (0.0, 7.0)
            for setting in ("", "platt", "isotonic", "intercept")
            for metric, value in (("calibration_slope", 1.1 - 0.2 * k), ("brier", 0.1 + 0.01 * k))
        ]
        rows += [
            (model, "net_benefit", 7.0, metric, f"threshold {t:g}", value)
            for t in (0.05, 0.1)
            for metric, value in (("net_benefit", 0.1 - t / 5 - k / 100), ("net_benefit_treat_all", 0.1 - t))
        ]
        rows += [
            (model, "net_benefit", 7.0, metric, f"threshold {t:g}, cohort prevalence", value / 8)
            for t in (0.05, 0.1)
            for metric, value in (("net_benefit", 0.1 - t / 5 - k / 100), ("net_benefit_treat_all", 0.1 - t))
        ]
        rows += [(model, "calibration", 7.0, "brier", "cohort prevalence", 0.02 + 0.001 * k)]
        rows += [(model, "horizon", 7.0, "sensitivity", "specificity 0.9", 0.5 - 0.05 * k)]
        rows += [(model, "horizon", 7.0, "precision", "specificity 0.9", 0.4 - 0.05 * k)]
        rows += [(model, "horizon", 7.0, "precision", "specificity 0.9, cohort prevalence", 0.1 - 0.01 * k)]
    frame = pd.DataFrame(rows, columns=["model", "view", "horizon_h", "metric", "setting", "estimate"])
    frame = frame.assign(low=frame.estimate - 0.1, high=frame.estimate + 0.1, group="all", n=80, n_events=20)
    alone = metrics[~metrics.model.str.contains(" - ") & (metrics.model != "all")]
    alone = alone[alone.metric.isin(["auroc", "auprc", "prevalence"])]
    extended = [
        alone[alone.horizon_h == 7].assign(horizon_h=h, setting="extended") for h in (0.0, 4.0, 8.0, 12.0)
    ]
    hourly = frame[(frame["view"] == "continuous") & (frame.setting == "hours")]
    parts = [hourly.assign(group=f"hours: {part}") for part in ("to 59", "from 60")]
    return pd.concat([frame, *extended, *parts], ignore_index=True)


def censored(models):
    """Rows before treatment of four measures."""
    rows = [
        (model, view, hour, metric, setting, 0.7 - 0.05 * k)
        for k, model in enumerate(models)
        for view, hour, metric, setting in (
            ("horizon", 7.0, "auprc", ""),
            ("horizon", 7.0, "auroc", ""),
            ("continuous", 6.0, "auroc", "hours"),
            ("alarm", np.nan, "event_recall", "recall 0.8"),
        )
    ]
    frame = pd.DataFrame(rows, columns=["model", "view", "horizon_h", "metric", "setting", "estimate"])
    return frame.assign(low=np.nan, high=np.nan, group=BEFORE_TREATMENT, n=97, n_events=20)


def group_rows(metrics):
    """Rows of three groups and two sites; one group is too small."""
    base = metrics[metrics.metric.isin(["auroc", "auprc", "prevalence"])]
    base = base.assign(band_low=np.nan, band_high=np.nan)
    without = base[(base.metric == "prevalence") & (base.horizon_h == 0)].assign(
        metric="without_risk", horizon_h=np.nan, estimate=0.02, low=0.01, high=0.05
    )
    made = [without]
    for k, group in enumerate(("site: A", "site: B", "sex: female", "sex: male", "age: 80 or more")):
        part = pd.concat([base, without]).assign(group=group, n=60 - 10 * k, n_events=15 - 3 * k)
        for column in ("estimate", "low", "high"):
            part[column] = np.nan if group == "age: 80 or more" else part[column] - 0.02 * k
        made.append(part)
    return made


def curves(models):
    """One made-up curve of each kind for every model."""
    grid, hours, lead = np.linspace(0, 1, 21), np.arange(-24.0, 7.0), np.arange(0.0, 24.0, 2.0)
    bins = np.linspace(0.05, 0.9, 8)
    parts = {name: [] for name in CURVES}

    def add(name, model, **columns):
        parts[name].append(pd.DataFrame({"model": model, **columns}))

    for k, model in enumerate(models):
        fall = 1 - 0.08 * k
        precision = fall * (0.9 - 0.7 * grid)
        add(
            "event_precision_recall", model, threshold=1 - grid, recall=grid, precision=precision,
            precision_first=precision,
        )  # fmt: skip
        burden = (10 + 9 * k) * grid**3 * 10
        add(
            "burden_recall", model, threshold=1 - grid, recall=grid, alarms_per_100_patient_days=burden,
            false_alarms_per_patient_day=burden / 200,
        )  # fmt: skip
        for setting in ("recall 0.8", "recall 0.9"):
            add(
                "lead_time", model, setting=setting, lead_h_from=lead, lead_h_to=lead + 2,
                events=np.round(9 * fall * np.exp(-lead / 8)), events_shuffled=2 + lead / 12,
            )  # fmt: skip
        for variant in ("as is", "platt"):
            add(
                "reliability", model, horizon_h=7.0, variant=variant, setting=COHORT, bin=range(8),
                predicted=bins,
                observed=bins**1.2 * fall, low=bins / 2, high=np.minimum(bins + 0.1, 1), n=15,
            )  # fmt: skip
        add(
            "decision_curve", model, horizon_h=7.0, setting=COHORT, threshold=grid / 2,
            net_benefit=0.25 * fall - grid / 4,
        )  # fmt: skip
        for group, height in (("case", 0.3 * fall), ("control", 0.05)):
            mean = 0.2 + height * np.exp(np.minimum(hours, 0) / 8)
            add(
                "risk_around_onset", model, **{"class": group}, hours_to_onset=hours, mean=mean,
                low=mean - 0.1, high=mean + 0.1, n=30,
            )  # fmt: skip
    for name, value in (("treat all", 0.25 - grid / 2), ("treat none", 0 * grid)):
        add("decision_curve", name, horizon_h=7.0, setting=COHORT, threshold=grid / 2, net_benefit=value)
    made = {name: pd.concat(part, ignore_index=True) for name, part in parts.items()}
    return {**made, "landmark": landmark_curve(models)}
