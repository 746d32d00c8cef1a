"""
The landmark panel as its definitions read: products over times, pairs of stays, thresholds one by one.

Stays are dictionaries: time (since the landmark), event (0 censored, 1 onset, 2 left or died), risk, and
count, how often the stay is counted (a fraction, to take derivatives by).
"""


def uncensored(stays, before):
    """Kaplan-Meier estimate of not being censored before a time; at a time, events come first."""
    product = 1.0
    for time in sorted({s["time"] for s in stays if s["event"] == 0 and s["time"] < before}):
        lost = sum(s["count"] for s in stays if s["event"] == 0 and s["time"] == time)
        followed = sum(
            s["count"] for s in stays if s["time"] > time or (s["time"] == time and s["event"] == 0)
        )
        product *= 1.0 - lost / followed
    return product


def cumulative_incidence(stays, window):
    """Aalen-Johansen estimate of onset within the window, left and died competing."""
    survival, incidence = 1.0, 0.0
    for time in sorted({s["time"] for s in stays if s["event"] > 0 and s["time"] <= window}):
        followed = sum(s["count"] for s in stays if s["time"] >= time)
        onsets = sum(s["count"] for s in stays if s["time"] == time and s["event"] == 1)
        events = sum(s["count"] for s in stays if s["time"] == time and s["event"] > 0)
        incidence += survival * onsets / followed
        survival *= 1.0 - events / followed
    return incidence


def weighted(stays, window):
    """(risk, weight, fate) of every stay whose fate in the window is known: "onset", "gone" or "free"."""
    known = []
    for s in stays:
        if s["event"] > 0 and s["time"] <= window:
            fate, until = ("onset" if s["event"] == 1 else "gone"), s["time"]
        elif s["time"] >= window:
            fate, until = "free", window
        else:
            continue
        known.append((s["risk"], s["count"] / uncensored(stays, until), fate))
    return known


def auroc(stays, window, controls=("gone", "free")):
    """Weighted share of pairs of onset and control in which onset has the higher risk, ties half."""
    known = weighted(stays, window)
    won = total = 0.0
    for risk, weight, fate in known:
        for other, its, kind in known:
            if fate == "onset" and kind in controls:
                total += weight * its
                won += weight * its * ((risk > other) + 0.5 * (risk == other))
    return won / total


def auprc(stays, window):
    """Weighted precision at the risk of every onset, averaged."""
    known = weighted(stays, window)
    gained = total = 0.0
    for risk, weight, fate in known:
        if fate == "onset":
            above = [(w, f) for r, w, f in known if r >= risk]
            gained += weight * sum(w for w, f in above if f == "onset") / sum(w for w, _ in above)
            total += weight
    return gained / total


def observed_expected(stays, window):
    """Cumulative incidence over the mean risk."""
    count = sum(s["count"] for s in stays)
    return cumulative_incidence(stays, window) / (sum(s["count"] * s["risk"] for s in stays) / count)


MEASURES = {
    "auroc": auroc,
    "auroc_event_free": lambda stays, window: auroc(stays, window, controls=("free",)),
    "auprc": auprc,
    "observed_expected": observed_expected,
    "prevalence": cumulative_incidence,
}


def influence(stays, window, metric, step=1e-5):
    """Derivative of a measure by the count of each stay."""
    measure, values = MEASURES[metric], []
    for i in range(len(stays)):
        up, down = (
            [{**s, "count": s["count"] + (d if j == i else 0.0)} for j, s in enumerate(stays)]
            for d in (step, -step)
        )
        values.append((measure(up, window) - measure(down, window)) / (2 * step))
    return values


def at_risk(stays, hour, age=1.0):
    """
    Who is at risk at an hour, as the stays above, from records: stay_id, subject, onset (None), left (None if
    unknown), times, risks.
    """
    found = {}
    for s in stays:
        onset, end = s["onset"], s["left"] if s["left"] is not None else s["times"][-1] + 1.0
        past = [(t, r) for t, r in zip(s["times"], s["risks"], strict=True) if t <= hour]
        if onset is not None:
            end = max(end, onset)
        if end <= hour or (onset is not None and onset <= hour) or not past or hour - past[-1][0] > age:
            continue
        event = 1 if onset is not None else 0 if s["left"] is None else 2
        found[s["stay_id"]] = {
            "time": (end if onset is None else onset) - hour,
            "event": event,
            "risk": past[-1][1],
            "count": 1.0,
        }
    return found
