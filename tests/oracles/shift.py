"""The population stability index by counting, one value at a time."""

import math


def psi(values, edges, expected, floor):
    counts = [0] * (len(edges) + 1)
    for value in values:
        place = 0
        while place < len(edges) and value >= edges[place]:
            place += 1
        counts[place] += 1
    total = 0.0
    for count, q in zip(counts, expected, strict=True):
        p, q = max(count / len(values), floor), max(q, floor)
        total += (p - q) * math.log(p / q)
    return total
