"""An evaluation of every view: the fixed-horizon one as it is computed, the others made up."""

import numpy as np
import pandas as pd

from sepsis.evaluation import Evaluation, EvaluationSettings, constant_risk_set, evaluate_scores
from sepsis.evaluation.censoring import BEFORE_TREATMENT
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


def evaluated(n=120, models=MODELS, *, hourly=True, groups=True, n_bootstrap=100, **settings):
    """Every view; without `hourly` the fixed-horizon one alone."""
    scores, outcomes, _ = whole_study(n, models)
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=n_bootstrap, **settings).assign(setting="")
    more = [other_views(models, metrics), censored(models)] if hourly else []
    more += group_rows(metrics) if groups else []
    risk_set = constant_risk_set(scores, outcomes)
    return Evaluation(
        metrics=pd.concat([metrics, *more], ignore_index=True),
        curves=curves(models) if hourly else {},
        risk_set=risk_set,
        coverage=risk_set.coverage,
        notes=[] if hourly else ["No hourly scores: the continuous, alarm and utility views are omitted."],
        thresholds=pd.DataFrame(columns=["model", "setting", "threshold", "chosen_on", "n", "n_events"]),
        recalibrations={},
        settings=EvaluationSettings(),
    )


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
        rows += [(model, "horizon", 7.0, "sensitivity", "specificity 0.9", 0.5 - 0.05 * k)]
    frame = pd.DataFrame(rows, columns=["model", "view", "horizon_h", "metric", "setting", "estimate"])
    frame = frame.assign(low=frame.estimate - 0.1, high=frame.estimate + 0.1, group="all", n=80, n_events=20)
    alone = metrics[~metrics.model.str.contains(" - ") & ~metrics.metric.str.contains("difference")]
    extended = [
        alone[alone.horizon_h == 7].assign(horizon_h=h, setting="extended") for h in (0.0, 4.0, 8.0, 12.0)
    ]
    return pd.concat([frame, *extended], ignore_index=True)


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
                "reliability", model, horizon_h=7.0, variant=variant, bin=range(8), predicted=bins,
                observed=bins**1.2 * fall, low=bins / 2, high=np.minimum(bins + 0.1, 1), n=15,
            )  # fmt: skip
        add("decision_curve", model, horizon_h=7.0, threshold=grid / 2, net_benefit=0.25 * fall - grid / 4)
        for group, height in (("case", 0.3 * fall), ("control", 0.05)):
            mean = 0.2 + height * np.exp(np.minimum(hours, 0) / 8)
            add(
                "risk_around_onset", model, **{"class": group}, hours_to_onset=hours, mean=mean,
                low=mean - 0.1, high=mean + 0.1, n=30,
            )  # fmt: skip
    for name, value in (("treat all", 0.25 - grid / 2), ("treat none", 0 * grid)):
        add("decision_curve", name, horizon_h=7.0, threshold=grid / 2, net_benefit=value)
    return {name: pd.concat(part, ignore_index=True) for name, part in parts.items()}
