"""AUROC and average precision as their definitions read, pair by pair and threshold by threshold."""


def auroc(is_case, risk, weight=None):
    """Share of case-control pairs in which the case has the higher risk, ties half."""
    weight = [1] * len(risk) if weight is None else weight
    right = pairs = 0.0
    for i, case in enumerate(is_case):
        for j, other in enumerate(is_case):
            if case and not other:
                pair = weight[i] * weight[j]
                pairs += pair
                right += pair * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    return right / pairs if pairs else float("nan")


def average_precision(is_case, risk, weight=None):
    """Sum over thresholds, from the highest, of the recall gained there times the precision there."""
    weight = [1] * len(risk) if weight is None else weight
    cases = sum(w for w, case in zip(weight, is_case, strict=True) if case)
    if not cases:
        return float("nan")
    total = recall = 0.0
    for threshold in sorted(set(risk), reverse=True):
        alarmed = [i for i, r in enumerate(risk) if r >= threshold]
        found = sum(weight[i] for i in alarmed if is_case[i])
        called = sum(weight[i] for i in alarmed)
        if called:
            total += (found / cases - recall) * found / called
            recall = found / cases
    return total


def delong_covariance(is_case, risks):
    """DeLong's covariance of the AUROCs of several risks: structural components, case by case."""
    cases = [i for i, case in enumerate(is_case) if case]
    controls = [i for i, case in enumerate(is_case) if not case]

    def wins(risk, i, j):
        return 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0

    by_case = [[sum(wins(r, i, j) for j in controls) / len(controls) for i in cases] for r in risks]
    by_control = [[sum(wins(r, i, j) for i in cases) / len(cases) for j in controls] for r in risks]

    def covariance(x, y):
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / (len(x) - 1)

    size = range(len(risks))
    return [
        [
            covariance(by_case[a], by_case[b]) / len(cases)
            + covariance(by_control[a], by_control[b]) / len(controls)
            for b in size
        ]
        for a in size
    ]


def concordance(is_case, risk, set_id, weight=None):
    """Mean over sets, weighted as their case, of the weighted share of controls below the case, ties half."""
    weight = [1] * len(risk) if weight is None else weight
    total = sets = 0.0
    for one in sorted({s for s in set_id if s >= 0}):
        members = [i for i, s in enumerate(set_id) if s == one]
        case = [i for i in members if is_case[i]]
        controls = [i for i in members if not is_case[i]]
        if not case or not controls:
            continue
        (c,) = case
        below = sum(
            weight[i] * (1.0 if risk[c] > risk[i] else 0.5 if risk[c] == risk[i] else 0.0) for i in controls
        )
        total += weight[c] * below / sum(weight[i] for i in controls)
        sets += weight[c]
    return total / sets if sets else float("nan")


def two_way_variance(values, set_id, person):
    """Squares of sums over sets, plus over persons, less over both; not below that over sets."""

    def squared_sums(keys):
        return sum(sum(v for v, k in zip(values, keys, strict=True) if k == one) ** 2 for one in set(keys))

    by_set, by_person = squared_sums(set_id), squared_sums(person)
    return max(by_set, by_set + by_person - squared_sums(list(zip(set_id, person, strict=True))))
