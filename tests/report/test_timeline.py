import numpy as np
import pandas as pd

from sepsis.evaluation import AlarmRules
from sepsis.report.names import styles
from sepsis.report.timeline import timeline_chart, typical_case

RULES = AlarmRules(refractory_h=3.0, window_h=6.0)


def hourly(stay_id, n, model="mgp_tcn", risk=None):
    time_h = np.arange(1.0, n + 1)
    risk = np.linspace(0, 1, n) if risk is None else risk
    return pd.DataFrame({"stay_id": stay_id, "time_h": time_h, "model": model, "risk": risk})


THRESHOLDS = pd.DataFrame(
    {"model": ["mgp_tcn"] * 2, "setting": ["recall 0.8", "recall 0.9"], "threshold": [0.5, 0.1]}
)


def test_the_case_of_middling_history_is_shown():
    hours = pd.concat([hourly(1, 5), hourly(2, 40), hourly(3, 20), hourly(4, 300)])
    onset = pd.Series({1: 5.0, 2: 40.0, 3: 20.0})  # 4 is a control
    assert typical_case(hours, onset) == 3
    assert typical_case(hours, pd.Series(dtype=float)) is None


def test_alarms_ring_at_the_first_setting_and_are_silenced():
    chart = timeline_chart(
        hourly(7_654_321, 21), pd.Series({7_654_321: 20.0}), THRESHOLDS, styles(["mgp_tcn"]), RULES
    )
    risk, threshold, alarm = chart.data
    assert set(threshold["y"]) == {0.5}
    assert alarm["x"] == [-9.0, -6.0, -3.0, 0.0]  # 0.5 is reached 9 h before onset; then silence for 3 h
    assert [h for h, a in zip(chart.numbers.hours_to_onset, chart.numbers.alarm, strict=True) if a] == alarm[
        "x"
    ]
    assert risk["x"] == chart.numbers.hours_to_onset.to_list()
    assert "MGP-TCN: alarms 9 h before onset" in chart.description


def test_nothing_tells_which_stay_it_is_or_when():
    chart = timeline_chart(
        hourly(7_654_321, 90), pd.Series({7_654_321: 80.0}), THRESHOLDS, styles(["mgp_tcn"]), RULES
    )
    assert list(chart.numbers.columns) == ["model", "hours_to_onset", "risk", "threshold", "alarm"]
    assert "7654321" not in f"{chart.data}{chart.layout}{chart.csv}{chart.description}"
    assert chart.numbers.hours_to_onset.between(-24, 6).all()


def test_without_hourly_risks_of_a_case_there_is_no_timeline():
    looks = styles(["mgp_tcn"])
    assert timeline_chart(hourly(1, 9), pd.Series({2: 5.0}), THRESHOLDS, looks, RULES) is None
    assert timeline_chart(hourly(1, 9), pd.Series({1: 5.0}), THRESHOLDS.iloc[:0], looks, RULES) is None
