"""
DTW and the k-NN ensemble written out plainly: every path tried in turn, whole tables, full sorts.

Imports nothing from `sepsis`.
"""

import math


def distance_over_all_paths(x, y, radius=None):
    """Root of the least summed squares over every warping path, tried in turn; for tiny series."""

    def cheapest(i, j):
        if radius is not None and abs(i - j) > radius:
            return math.inf
        cost = (x[i] - y[j]) ** 2
        if i == len(x) - 1 and j == len(y) - 1:
            return cost
        ways = [(i + 1, j), (i, j + 1), (i + 1, j + 1)]
        return cost + min((cheapest(a, b) for a, b in ways if a < len(x) and b < len(y)), default=math.inf)

    return math.sqrt(cheapest(0, 0))


def distance(x, y, radius=None):
    """Root of the last cell of the whole table."""
    table = {}
    for i in range(len(x)):
        for j in range(len(y)):
            before = [table[a] for a in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if a in table]
            best = 0.0 if (i, j) == (0, 0) else min(before, default=math.inf)
            outside = radius is not None and abs(i - j) > radius
            table[i, j] = math.inf if outside else best + (float(x[i]) - float(y[j])) ** 2
    return math.sqrt(table[len(x) - 1, len(y) - 1])


def filled(column):
    """The last value carried on; 0 before the first."""
    out, last = [], 0.0
    for value in column:
        if not math.isnan(value):
            last = value
        out.append(last)
    return out


def share_of_cases(distances, is_case, mass, k):
    """
    The vote of one channel; `distances` has None for a train series that may not be a neighbour.

    All series as far as the k-th share what the nearer ones leave of the k places.
    """
    known = sorted((d, n) for n, d in enumerate(distances) if d is not None)
    if not known:
        return None
    kth = known[min(k, len(known)) - 1][0]
    nearer = [(d, n) for d, n in known if d < kth]
    as_far = [(d, n) for d, n in known if d == kth]
    places = min(k, len(known)) - len(nearer)
    votes = [(d, n, 1.0) for d, n in nearer] + [(d, n, places / len(as_far)) for d, n in as_far]
    total = sum(part * mass[n] for _, n, part in votes)
    return sum(part * mass[n] for _, n, part in votes if is_case[n]) / total


def ensemble_risk(query, train, is_case, *, k, length_normalise=False, otherwise):
    """
    Risk of one query: the mean of the channels' votes.

    `query` and each of `train` are hourly z-scores, (T, C), NaN where nothing was charted.
    """
    shares = []
    for c in range(query.shape[1]):
        if all(math.isnan(v) for v in query[:, c]):
            continue
        distances = []
        for series in train:
            if all(math.isnan(v) for v in series[:, c]):
                distances.append(None)
                continue
            d = distance(filled(query[:, c]), filled(series[:, c]))
            distances.append(d / math.sqrt(len(query) + len(series)) if length_normalise else d)
        share = share_of_cases(distances, is_case, [1.0] * len(train), k)
        if share is not None:
            shares.append(share)
    return sum(shares) / len(shares) if shares else otherwise


def dependent_distance(x, y, both, radius=None):
    """One path for all channels in `both`, whose squares are summed and scaled up to all channels."""
    table = {}
    for i in range(len(x)):
        for j in range(len(y)):
            before = [table[a] for a in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if a in table]
            best = 0.0 if (i, j) == (0, 0) else min(before, default=math.inf)
            outside = radius is not None and abs(i - j) > radius
            cost = sum((float(x[i][c]) - float(y[j][c])) ** 2 for c in range(len(both)) if both[c])
            table[i, j] = math.inf if outside else best + cost
    scale = len(both) / sum(1 for one in both if one)
    return math.sqrt(scale * table[len(x) - 1, len(y) - 1])
