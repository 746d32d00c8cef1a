"""Suspicion of infection by trying every antibiotic against every culture."""


def pairs(
    antibiotics,
    cultures,
    *,
    culture_first_h=72.0,
    antibiotic_first_h=24.0,
    time="earlier",
    date_only_after_antibiotic=True,
):
    """
    Sorted set of (stay, suspicion, antibiotic, culture), in hours.

    antibiotics: (stay, hour); cultures: (stay, hour, date_only).
    """
    found = set()
    for stay, a in antibiotics:
        for other, c, day in cultures:
            if other != stay:
                continue
            if c < a:
                ok = a < c + culture_first_h + 24 if day else a <= c + culture_first_h
            else:
                ok = c - antibiotic_first_h < a and (date_only_after_antibiotic or not day)
            if ok:
                found.add((stay, c if time == "culture" else min(a, c), a, c))
    return sorted(found)


def earliest(found):
    """The pair that dates each stay: earliest suspicion, then complete first."""
    best = {}
    for stay, suspicion, a, c in found:
        key = (suspicion, max(a, c), a, c)
        if stay not in best or key < best[stay]:
            best[stay] = key
    return {stay: (key[0], key[2], key[3]) for stay, key in best.items()}
