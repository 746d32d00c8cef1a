"""
Bedside scores, one chart at a time, as one would do it with a pencil.

A chart is a list of (time_h, name, value) in any order; no two of one name at one time.
"""

GCS = {"gcs_verbal": 5, "gcs_motor": 6, "gcs_eye": 4}
VENTILATOR = ("tidal_volume_set", "peak_insp_pressure", "total_peep")
DRUGS = {
    "norepinephrine": ((0, 3), (0.1, 4)),
    "epinephrine": ((0, 3), (0.1, 4)),
    "dopamine": ((0, 2), (5, 3), (15, 4)),
    "dobutamine": ((0, 2),),
}


def charted(chart, names, end_h, hours):
    """What counts, oldest first."""
    return sorted((t, v) for t, name, v in chart if name in names and end_h - hours < t <= end_h)


def last(chart, name, end_h, hours):
    rows = charted(chart, [name], end_h, hours)
    return rows[-1][1] if rows else None


def any_of(*answers):
    """Points of the criteria that can be judged; None if none can."""
    known = [a for a in answers if a is not None]
    return max(known) if known else None


def judged(value, rule):
    return None if value is None else int(rule(value))


def last_gcs(chart, end_h, hours):
    parts = {name: last(chart, name, end_h, hours) for name in GCS}
    if all(value is None for value in parts.values()):
        return None
    if parts["gcs_verbal"] == 1 and charted(chart, VENTILATOR, end_h, hours):
        return None
    return sum(GCS[name] if value is None else value for name, value in parts.items())


def sirs(chart, end_h, vital_h, lab_h):
    t = last(chart, "temperature", end_h, vital_h)
    return [
        judged(t, lambda v: round(v, 1) > 38 or round(v, 1) < 36),
        judged(last(chart, "heart_rate", end_h, vital_h), lambda v: v > 90),
        any_of(
            judged(last(chart, "resp_rate", end_h, vital_h), lambda v: v > 20),
            judged(last(chart, "pco2", end_h, lab_h), lambda v: v < 32),
        ),
        any_of(
            judged(last(chart, "wbc", end_h, lab_h), lambda v: v > 12 or v < 4),
            judged(last(chart, "bands", end_h, lab_h), lambda v: v > 10),
        ),
    ]


def qsofa(chart, end_h, vital_h):
    return [
        judged(last(chart, "resp_rate", end_h, vital_h), lambda v: v >= 22),
        judged(last(chart, "sbp", end_h, vital_h), lambda v: v <= 100),
        judged(last_gcs(chart, end_h, vital_h), lambda v: v < 15),
    ]


def banded(value, *bands):
    """Points of the first band (highest value it holds, points) that holds the value."""
    if value is None:
        return None
    for highest, points in bands:
        if value <= highest:
            return points
    raise AssertionError("the last band has no end")


def news2(chart, end_h, vital_h):
    def whole(name):
        value = last(chart, name, end_h, vital_h)
        return None if value is None else int(value + 0.5)

    t = last(chart, "temperature", end_h, vital_h)
    rest = float("inf")
    oxygen = any_of(
        judged(whole("fio2_chart"), lambda v: v > 21),
        judged(last(chart, "o2_flow", end_h, vital_h), lambda v: v > 0),
    )
    conscious = judged(last_gcs(chart, end_h, vital_h), lambda v: v < 15)
    return [
        banded(whole("resp_rate"), (8, 3), (11, 1), (20, 0), (24, 2), (rest, 3)),
        banded(whole("spo2"), (91, 3), (93, 2), (95, 1), (rest, 0)),
        None if oxygen is None else 2 * oxygen,
        banded(whole("sbp"), (90, 3), (100, 2), (110, 1), (219, 0), (rest, 3)),
        banded(whole("heart_rate"), (40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (rest, 3)),
        None if conscious is None else 3 * conscious,
        banded(None if t is None else round(t, 1), (35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (rest, 2)),
    ]


def sofa(chart, start_h, end_h, worst_h):
    def extreme(pick, name):
        values = [v for _, v in charted(chart, [name], end_h, worst_h)]
        return pick(values) if values else None

    def drug(name):
        rates = [v for _, v in charted(chart, [name], end_h, worst_h)]
        before = sorted((t, v) for t, n, v in chart if n == name and t <= end_h - worst_h)
        rates += [v for _, v in before[-1:]]
        return max([0, *(p for edge, p in DRUGS[name] if max(rates) > edge)]) if rates else None

    ventilated = bool(charted(chart, VENTILATOR, end_h, worst_h))
    ratios = []
    for t, po2 in charted(chart, ["po2"], end_h, worst_h):
        before = [(u, n, v) for u, n, v in chart if n in ("fio2_chart", "fio2_lab") and t - worst_h < u <= t]
        # of two charted at one time the blood gas's own, later in the list of variables, counts
        if before:
            ratios.append(po2 / (max(before, key=lambda r: (r[0], r[1] == "fio2_lab"))[2] / 100))
    respiration = None
    if ratios:
        r = min(ratios)
        respiration = 4 if r < 100 else 3 if r < 200 else 2 if r < 300 else 1 if r < 400 else 0
        respiration = respiration if ventilated else min(respiration, 2)
    totals = []
    for t, name, _ in chart:
        if name in GCS and end_h - worst_h < t <= end_h:
            held = [last(chart, part, t, worst_h) for part in GCS]
            total = sum(n if v is None else v for v, n in zip(held, GCS.values(), strict=True))
            totals.append(15 if held[0] == 1 and charted(chart, VENTILATOR, t, worst_h) else total)
    urine = [v for _, v in charted(chart, ["urine_output"], end_h, worst_h)]
    per_day = sum(urine) * 24 / worst_h if urine and end_h - start_h >= worst_h else None
    gcs = min(totals) if totals else None
    creatinine, bilirubin = extreme(max, "creatinine"), extreme(max, "bilirubin_total")
    return [
        respiration,
        judged_steps(extreme(min, "platelets"), (150, 1), (100, 2), (50, 3), (20, 4), below=True),
        judged_steps(bilirubin, (1.2, 1), (2, 2), (6, 3), (12, 4), below=False),
        any_of(judged_steps(extreme(min, "map"), (70, 1), below=True), *(drug(name) for name in DRUGS)),
        judged_steps(gcs, (15, 1), (13, 2), (10, 3), (6, 4), below=True),
        any_of(
            judged_steps(creatinine, (1.2, 1), (2, 2), (3.5, 3), (5, 4), below=False),
            judged_steps(per_day, (500, 3), (200, 4), below=True),
        ),
    ]


def judged_steps(value, *steps, below):
    """Points of the last step that the value is below, or reaches."""
    if value is None:
        return None
    return max([0, *(points for edge, points in steps if (value < edge if below else value >= edge))])
