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
