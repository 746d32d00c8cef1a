"""
Measures of evaluation as their definitions read: one stay, one hour, one threshold at a time.

Stays are dictionaries: subject, onset (None for a control), end, times, risks.
"""

import math
import statistics


def rates_at(is_case, risk, threshold, weight):
    """(sensitivity, false-positive rate, share of alerts) of alerting from a threshold."""
    cases = sum(w for c, w in zip(is_case, weight, strict=True) if c)
    controls = sum(weight) - cases
    true = sum(w for c, r, w in zip(is_case, risk, weight, strict=True) if c and r >= threshold)
    false = sum(w for c, r, w in zip(is_case, risk, weight, strict=True) if not c and r >= threshold)
    return true / cases, false / controls, (true + false) / (cases + controls)


def operating_point(is_case, risk, weight, kind, limit):
    """(sensitivity, false-positive rate) at the limit: thresholds tried from the highest down."""
    found = None if kind == "sensitivity" else (0.0, 0.0)
    for threshold in sorted({r for r, w in zip(risk, weight, strict=True) if w}, reverse=True):
        tpr, fpr, alerts = rates_at(is_case, risk, threshold, weight)
        if kind == "sensitivity" and tpr >= limit - 1e-9:
            return tpr, fpr
        if kind == "specificity" and 1 - fpr >= limit - 1e-9:
            found = tpr, fpr
        if kind == "alert rate" and alerts <= limit + 1e-9:
            found = tpr, fpr
    return found


def ring(times, risks, threshold, refractory, hysteresis, most):
    """Hours at which an alarm rings in one stay."""
    rung, last, armed = [], None, True
    for time, risk in zip(times, risks, strict=True):
        if hysteresis is not None and risk < hysteresis * threshold:
            armed = True
        quiet = last is not None and time < last + refractory - 1e-6
        if risk >= threshold and armed and not quiet and (most is None or len(rung) < most):
            rung.append(time)
            last, armed = time, hysteresis is None
    return rung


def alarm_measures(stays, threshold, *, refractory, hysteresis, most, window):
    """Every measure of the alarm view at one threshold."""
    cases = [s for s in stays if s["onset"] is not None]
    n_alarms = n_true = found = late = never = first_true = ever = 0
    timely = {1: 0, 3: 0, 6: 0}
    days, leads = 0.0, []
    for s in stays:
        rung = ring(s["times"], s["risks"], threshold, refractory, hysteresis, most)
        onset = math.inf if s["onset"] is None else s["onset"]
        early = [t for t in rung if t < onset - 1e-6]
        true = [t for t in early if onset - t <= window + 1e-6]
        days += max(0.0, min(s["end"], s["times"][-1] + 1.0, onset) - s["times"][0]) / 24.0
        n_alarms += len(early)
        n_true += len(true)
        ever += bool(early)
        first_true += bool(early) and early[0] in true
        if s["onset"] is not None:
            found += bool(true)
            late += bool(rung) and not early
            never += not rung
            if true:
                leads.append(onset - true[0])
            for hour in timely:
                timely[hour] += any(onset - t >= hour - 1e-6 for t in true)
    return {
        "event_recall": _ratio(found, len(cases)),
        **{f"timely_recall_{h}h": _ratio(n, len(cases)) for h, n in timely.items()},
        "alarm_precision": _ratio(n_true, n_alarms),
        "first_alarm_precision": _ratio(first_true, ever),
        "false_alarms_per_patient_day": _ratio(n_alarms - n_true, days),
        "alarms_per_100_patient_days": _ratio(100 * n_alarms, days),
        "number_needed_to_evaluate": _ratio(n_alarms, n_true),
        "late_alarms": _ratio(late, len(cases)),
        "never_alarmed": _ratio(never, len(cases)),
        "ever_alarmed": _ratio(ever, len(stays)),
        "lead_time_h": statistics.median(leads) if leads else math.nan,
    }


def _ratio(a, b):
    return a / b if b else math.nan


def continuous_rows(stays, window):
    """(positive, risk, stay number) of every hour before onset."""
    rows = []
    for number, s in enumerate(stays):
        for time, risk in zip(s["times"], s["risks"], strict=True):
            if s["onset"] is None:
                rows.append((False, risk, number))
            elif time < s["onset"] - 1e-6:
                rows.append((s["onset"] - time <= window + 1e-6, risk, number))
    return rows


def event_average_precision(points):
    """Points (recall, precision) from the highest threshold down: precision times each gain in recall."""
    area = best = 0.0
    for recall, precision in points:
        if recall > best:
            area += (recall - best) * precision
            best = recall
    return area


def physionet_patient(labels, predictions):
    """Utility of one patient, hour by hour, by the rules of the challenge's paper (figure 1)."""
    onset = labels.index(1) + 6 if 1 in labels else None
    total = 0.0
    for hour, alarm in enumerate(predictions):
        if onset is None:
            total += -0.05 if alarm else 0.0
            continue
        t = hour - onset
        if t > 3:
            continue
        if alarm:
            total += max(1 + (t + 6) / 6, -0.05) if t <= -6 else 1 - (t + 6) / 9
        elif t > -6:
            total += -2 * (t + 6) / 9
    return total


def net_benefit(is_case, risk, threshold, prevalence=None):
    """Cases found less false alarms at the price of the threshold."""
    tpr, fpr, _ = rates_at(is_case, risk, threshold, [1] * len(risk))
    pi = sum(is_case) / len(is_case) if prevalence is None else prevalence
    return pi * tpr - (1 - pi) * fpr * threshold / (1 - threshold)


def fixed_risk(stay, reference, horizon):
    """The last risk not later than `horizon` hours before the reference; None if there is none."""
    found = None
    for time, risk in zip(stay["times"], stay["risks"], strict=True):
        if time <= reference - horizon + 1e-6:
            found = risk
    return found
