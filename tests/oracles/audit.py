"""Slow twins of the statistics of the audit: every pair and every stay in turn."""

import math


def separation(is_case, number, person):
    """(AUROC, standard error) with the influence of each row summed by person (Obuchowski 1997)."""
    cases = [x for x, c in zip(number, is_case, strict=True) if c]
    controls = [x for x, c in zip(number, is_case, strict=True) if not c]

    def wins(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    area = sum(wins(x, y) for x in cases for y in controls) / (len(cases) * len(controls))
    by_person = {}
    for x, c, p in zip(number, is_case, person, strict=True):
        if c:
            placed = (sum(wins(x, y) for y in controls) / len(controls) - area) / len(cases)
        else:
            placed = (sum(wins(y, x) for y in cases) / len(cases) - area) / len(controls)
        by_person[p] = by_person.get(p, 0.0) + placed
    return area, math.sqrt(sum(v * v for v in by_person.values()))


def time_left_ranks(sets, stays):
    """
    Rank of the time left of each control among all at risk at its hour, in order of set and stay.

    `sets`: (set_id, stay_id, is_case, reference_h); `stays`: {stay_id: (stay_h, onset_h or None, person)}.
    """
    persons = {set_id: stays[stay][2] for set_id, stay, is_case, _ in sets if is_case}
    ranks = []
    for set_id, stay, is_case, at_h in sorted(sets):
        if is_case:
            continue
        at_risk = [
            stay_h - at_h
            for stay_h, onset_h, person in stays.values()
            if stay_h >= at_h
            and (onset_h is None or math.floor(onset_h) > at_h)
            and person != persons[set_id]
        ]
        mine = stays[stay][0] - at_h
        below, upto = sum(x < mine for x in at_risk), sum(x <= mine for x in at_risk)
        ranks.append((below + upto) / 2 / len(at_risk))
    return ranks
