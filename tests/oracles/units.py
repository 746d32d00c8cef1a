"""Plain twins of the event queries: one row at a time, no table, nothing from the package."""


def harmonised(row, rules):
    """
    What becomes of one raw row: a list of (concept, value, text, reason).

    `row` has stay, time, item, value, unit, text, exclusion (None for a gap); `rules` is a list of
    dicts with concept, items, unit, others {spelling: (factor, offset)}, low, high, open_low, and
    optionally unit_of {item: unit}, fraction, text, mark, text_in {item: texts}, text_not_in.
    """
    made = []
    for rule in rules:
        if row["item"] not in rule["items"]:
            continue
        text = (row["text"] or "").strip() or None
        kept_text = text if rule.get("text") else None
        value, reason = None, None
        unit = rule.get("unit_of", {}).get(row["item"]) or (row["unit"] or "").replace(" ", "").lower()
        unit = unit or rule["unit"]
        if unit in rule["others"] and row["value"] is not None:
            factor, offset = rule["others"][unit]
            value = row["value"] * factor + offset
            if rule.get("fraction") and 0 < value <= 1:
                value *= 100
        listed = rule.get("text_in", {}).get(row["item"])
        barred = rule.get("text_not_in", {}).get(row["item"], ())
        if row["exclusion"] is not None:
            reason = row["exclusion"]
        elif row["stay"] is None:
            reason = "outside the stays"
        elif row["time"] is None:
            reason = "no time"
        elif (
            (rule.get("mark") and text is None)
            or (listed is not None and text not in listed)
            or text in barred
        ):
            reason = "text does not count"
        elif rule.get("mark") or (rule.get("text") and row["value"] is None and text is not None):
            reason = "kept"
        elif row["value"] is None:
            reason = "no number"
        elif unit not in rule["others"]:
            reason = "unknown unit"
        elif value < rule["low"] or value > rule["high"] or (rule["open_low"] and value == rule["low"]):
            reason = "implausible"
        else:
            reason = "kept"
        made.append((rule["concept"], None if rule.get("mark") else value, kept_text, reason))
    return made


def carevue_rates(rows, longest_h):
    """
    Intervals of one drug in one stay from (hour, rate or None, stopped) rows: (start, end, rate).
    """
    told = [row for row in rows if row[1] is not None or row[2]]
    intervals = []
    for hour in sorted({row[0] for row in told}):
        here = [row for row in told if row[0] == hour]
        rates = [rate for _, rate, _ in here if rate is not None]
        later = [row[0] for row in told if row[0] > hour]
        if any(stopped for _, _, stopped in here) or not rates or max(rates) <= 0:
            continue
        end = min([*later, hour + longest_h])
        intervals.append((hour, end, max(rates)))
    return intervals
