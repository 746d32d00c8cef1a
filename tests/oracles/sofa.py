"""
Hourly SOFA of one stay, by looking through all its rows at every hour.

Rows are (minute, concept, value, text), infusions (start, end, drug, rate) in minutes; minutes are
whole numbers since ICU admission. Nothing is clever here.
"""

import math

HOUR = 60
PARTS = ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal")

# The published arterial model: concept, weight, mean, coefficient of being missing, hours to look back.
MODEL = [
    ("po2", 0.04598, None, None, 0),
    ("spo2", -0.15356, 97.49420, 0.13429, 2),
    ("fio2_chart", 0.00621, 51.49550, -0.24958, 4),
    ("hemoglobin_gas", 0.10559, 10.32307, 0.05954, 0),
    ("so2", 0.13251, 93.66539, -0.23172, 0),
    ("pco2", -0.01511, 42.08866, -0.01630, 0),
    ("fio2_lab", 0.01480, 63.97836, -0.31142, 0),
    ("aado2", -0.00200, 442.21186, -0.01328, 0),
    ("bicarbonate_gas", -0.03220, 22.96894, -0.06535, 0),
    ("total_co2", 0.05384, 24.72632, -0.01405, 0),
    ("lactate", 0.08202, 3.06436, 0.06038, 0),
    ("ph", 0.10956, 7.36233, -0.00617, 0),
    ("o2_flow_gas", 0.00848, 7.59362, -0.35803, 0),
]


def hourly(rows, infusions, origin, hours, o):
    """One dict per hour: points of each component (None: no data) and `sofa`."""
    gases = arterial_gases(rows, o)
    return [at_minute(rows, infusions, gases, origin + h * HOUR, o) for h in range(hours + 1)]


def at_minute(rows, infusions, gases, t, o):
    start = t - o["lookback_h"] * HOUR
    near = [r for r in rows if start <= r[0] <= t]
    values = {}
    for _, concept, value, _ in near:
        if value is not None:
            values.setdefault(concept, []).append(value)
    drugs = highest_rates(infusions, start, t, o)
    near_gases = [g for g in gases if start <= g["minute"] <= t]
    urine, any_urine = urine_per_day(rows, start, t, o)
    points = {
        "respiration": respiration(near_gases, o),
        "coagulation": coagulation(min(values["platelets"])) if "platelets" in values else None,
        "liver": liver(max(values["bilirubin_total"])) if "bilirubin_total" in values else None,
        "cardiovascular": cardiovascular(values.get("map"), drugs),
        "cns": cns(lowest_gcs(rows, start, t, o)),
        "renal": renal(max(values["creatinine"]) if "creatinine" in values else None, urine),
    }
    points["sofa"] = sum(points[p] or 0 for p in PARTS)
    if o["missing"] == "exclude_hour":
        vital = {"heart_rate", "sbp", "dbp", "map", "resp_rate", "spo2", "glucose", "temperature"}
        if not (near_gases and drugs and any_urine and any(r[1] in vital for r in near)):
            points["sofa"] = 0
    return points


def worst(*scores):
    known = [s for s in scores if s is not None]
    return max(known) if known else None


def coagulation(x):
    return 4 if x < 20 else 3 if x < 50 else 2 if x < 100 else 1 if x < 150 else 0


def liver(x):
    return 4 if x >= 12 else 3 if x >= 6 else 2 if x >= 2 else 1 if x >= 1.2 else 0


def cns(x):
    if x is None:
        return None
    return 4 if x < 6 else 3 if x <= 9 else 2 if x <= 12 else 1 if x <= 14 else 0


def renal(creatinine, urine):
    c = u = None
    if creatinine is not None:
        c = 4 if creatinine >= 5 else 3 if creatinine >= 3.5 else 2 if creatinine >= 2 else 0
        c = 1 if c == 0 and creatinine >= 1.2 else c
    if urine is not None:
        u = 4 if urine < 200 else 3 if urine < 500 else 0
    return worst(c, u)


def cardiovascular(pressures, drugs):
    if pressures is None and not drugs:
        return None
    ne, ep = drugs.get("norepinephrine", 0), drugs.get("epinephrine", 0)
    da, db = drugs.get("dopamine", 0), drugs.get("dobutamine", 0)
    if da > 15 or ep > 0.1 or ne > 0.1:
        return 4
    if da > 5 or ep > 0 or ne > 0:
        return 3
    if da > 0 or db > 0:
        return 2
    return 1 if pressures and min(pressures) < 70 else 0


def highest_rates(infusions, start, t, o):
    rates = {}
    for begin, end, drug, rate in infusions:
        counts = start <= begin <= t if o["vasopressor"] == "start" else begin <= t and end >= start
        if counts:
            rates[drug] = max(rate, rates.get(drug, rate))
    return rates


def respiration(gases, o):
    on = [g["pf"] for g in gases if g["pf"] is not None and g["ventilated"]]
    off = [g["pf"] for g in gases if g["pf"] is not None and not g["ventilated"]]
    score = []
    if on:
        x = min(on)
        mild = o["ventilated_pf_200_400"]
        score.append(
            4 if x < 100 else 3 if x < 200 else 2 if x < 300 and mild else 1 if x < 400 and mild else 0
        )
    if off:
        score.append(2 if min(off) < 300 else 1 if min(off) < 400 else 0)
    return worst(*score)


def highest_at(rows, concept, minute):
    """Highest value of a concept charted at a minute, or None."""
    found = [v for m, c, v, _ in rows if c == concept and m == minute and v is not None]
    return max(found) if found else None


def last_before(rows, concept, minute, hours):
    """Highest value at the last minute that has one, at most `hours` before."""
    times = [
        m for m, c, v, _ in rows if c == concept and v is not None and minute - hours * HOUR <= m <= minute
    ]
    return highest_at(rows, concept, max(times)) if times else None


def arterial_gases(rows, o):
    found = []
    for minute in sorted({m for m, c, v, _ in rows if c == "po2" and v is not None}):
        texts = [x for m, c, _, x in rows if c == "blood_gas_specimen" and m == minute and x is not None]
        specimen = max(texts) if texts else None
        model = o["arterial_model"] == "every_gas" or (
            o["arterial_model"] == "missing_specimen" and specimen is None
        )
        if specimen not in o["arterial_specimens"] and not (model and probability(rows, minute) > 0.75):
            continue
        fio2 = highest_at(rows, "fio2_lab", minute)
        if fio2 is None:
            fio2 = last_before(rows, "fio2_chart", minute, o["fio2_match_h"])
        pf = None if fio2 is None else 100 * highest_at(rows, "po2", minute) / fio2
        found.append({"minute": minute, "pf": pf, "ventilated": ventilated(rows, minute, o)})
    return found


def probability(rows, minute):
    score = -0.02544
    for concept, weight, mean, missing, hours in MODEL:
        value = last_before(rows, concept, minute, hours) if hours else highest_at(rows, concept, minute)
        score += weight * mean + missing if value is None else weight * value
    return 1 / (1 + math.exp(-score))


def marks(rows):
    """(minute, ventilator, oxygen, extubated), one per minute that has a mark."""
    kinds = ("ventilator_mark", "oxygen_device_mark", "extubation_mark")
    minutes = sorted({m for m, c, _, _ in rows if c in kinds})
    return [(t, *(any(m == t and c == kind for m, c, _, _ in rows) for kind in kinds)) for t in minutes]


def ventilated(rows, minute, o):
    if o["ventilation"] == "episodes":
        return any(
            start <= minute <= end for start, end in episodes(marks(rows), o["ventilation_gap_h"] * HOUR)
        )
    gap = o["ventilation_gap_h"] * HOUR
    on = [t for t, mark, _, _ in marks(rows) if mark and 0 <= minute - t <= gap]
    if not on:
        return False
    for t, mark, oxygen, out in marks(rows):
        if max(on) < t <= minute and oxygen and not mark:
            return False
        if max(on) <= t < minute and out:
            return False
    return True


def episodes(found, gap):
    """(start, end) as the reference code numbers them: cut into groups, keep those of two minutes."""
    groups, group = [], []
    last_on = last_out = None
    for t, on, oxygen, out in found:
        member = on or out
        if (member and last_out) or (oxygen and not on) or (on and last_on is not None and t - last_on > gap):
            groups.append(group)
            group = []
        if member:
            group.append((t, on))
            last_out = out
        if on:
            last_on = t
    groups.append(group)
    return [(g[0][0], g[-1][0]) for g in groups if g and g[-1][0] > g[0][0] and any(on for _, on in g)]


def lowest_gcs(rows, start, t, o):
    normal = {"gcs_verbal": 5, "gcs_motor": 6, "gcs_eye": 4}
    charted = {}
    for m, c, v, x in rows:
        if c in normal:
            v = 0 if c == "gcs_verbal" and x in ("No Response-ETT", "1.0 ET/Trach") else v
            if v is not None:
                parts = charted.setdefault(m, {})
                parts[c] = max(v, parts.get(c, v))
    minutes = sorted(charted)
    totals = []
    for k, m in enumerate(minutes):
        if not start <= m <= t:
            continue
        now, before = charted[m], {}
        if k and m - minutes[k - 1] < o["gcs_previous_h"] * HOUR:
            before = charted[minutes[k - 1]]
        if o["gcs_previous"] == "in_window" and k and minutes[k - 1] < start:
            before = {}
        was_tubed = before.get("gcs_verbal") == 0
        if now.get("gcs_verbal") == 0 or ("gcs_verbal" not in now and was_tubed):
            totals.append(15)
        elif was_tubed:
            totals.append(sum(now.get(c, n) for c, n in normal.items()))
        else:
            totals.append(sum(now.get(c, before.get(c, n)) for c, n in normal.items()))
    return min(totals) if totals else None


def urine_per_day(rows, start, t, o):
    """(millilitres per day or None, whether anything was charted)."""
    output = {"urine_output"}
    if o["urine_net_of_irrigant"]:
        output.add("gu_irrigant_out")
    if o["urine_includes_tube_feed_residual"]:
        output.add("tube_feed_residual")
    entries = [(m, v) for m, c, v, _ in rows if c in output and v is not None]
    if o["urine"] == "intervals":
        entries = [(m, v) for m, v in entries if m > 0]
    minutes = sorted({m for m, _ in entries})
    inside = [m for m in minutes if start <= m <= t]
    if not inside:
        return None, False
    volume = sum(v for m, v in entries if start <= m <= t)
    if o["urine_net_of_irrigant"]:
        volume -= sum(v for m, c, v, _ in rows if c == "gu_irrigant_in" and v is not None and start <= m <= t)
    volume = max(volume, 0)
    if o["urine"] == "span":
        stood = inside[-1] - inside[0]
        return (volume / (stood / 1440) if stood else None), True
    stood = 0
    for m in inside:
        before = max([x for x in minutes if x < m], default=0)
        stood += min(m - before, o["urine_interval_max_h"] * HOUR)
    if not o["urine_coverage_min_h"] * HOUR <= stood <= o["urine_coverage_max_h"] * HOUR:
        return None, True
    return volume / (stood / 1440), True
