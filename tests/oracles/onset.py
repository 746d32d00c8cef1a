"""Onset by walking along the hours once."""


def first_rise(sofa, rise=2, baseline="running_minimum", usable=None):
    """(hour, baseline) of the first rise in a list of totals, or (None, None)."""
    seen = []
    for hour, now in enumerate(sofa):
        if usable is not None and not usable[hour]:
            continue
        seen.append((hour, now))
        if baseline == "zero":
            base = 0
        elif baseline == "first":
            base = seen[0][1]
        elif baseline == "minimum_24h":
            base = min(s for h, s in seen if h >= hour - 24)
        else:
            base = min(s for _, s in seen)
        if now - base >= rise:
            return hour, base
    return None, None
