"""
Leak: the same record under two ids, in different splits: copied, or with its values rounded or jittered, its
times shifted, or a part left out.
"""

from __future__ import annotations

import hashlib

import numpy as np

from sepsis.audit.case import HARD, AuditCase, Finding, hard, unchecked
from sepsis.cohort.windows import Windows

CHECK = "duplicated records"
MIN_VALUES = 10  # shorter records may agree by chance
NEAREST = 3  # records of other splits that each record is compared with
COMMON = 0.95  # share of records that have a common variable
BLOCK = 512  # records whose neighbours are sought at once
SAME_TIME_H = 0.51  # the times of a copy may be rounded to the hour
MIN_SHARED, MIN_SHARE = 30, 0.5  # values at the same times; of the shorter record
# Of deviations from each variable's mean. between people at most 0.71 among 2,000 stays of PhysioNet 2019,
# and 0.66 in the MIMIC demos; copies jittered by 5 % have 0.9
MIN_CORRELATION = 0.85
MOST = 0.5  # of a relative deviation, so that one outlier does not decide


def duplicated_records(case: AuditCase) -> Finding:
    """
    Records of at least `MIN_VALUES` values that occur in several splits.

    Exact copies have the same variables and values in the same order, at whatever times. Near copies are
    sought among the `NEAREST` records of other splits, by mean, first, last and number of values of each
    variable, and by mean and range of those that most records have. Two records are copies if, after a shift
    of time, `MIN_SHARE` of the values of the shorter one are charted at the times of the other, and the
    relative deviations from the mean of each variable correlate: people who are alike share a level, not each
    turn of their course. Not found: copies with more than about 5 % of noise, or of which little is left.
    """
    stays = case.included
    X = case.windows(case.member_events, stays, stays.stay_h.fillna(0.0).to_numpy(float), lookback_h=np.inf)
    long = np.diff(X.offsets) >= MIN_VALUES
    X, split = X[long], stays.split.to_numpy()[long]
    if len(np.unique(split)) < 2:
        return unchecked(CHECK, HARD, "only one split has records to compare")
    exact, near = _exact_copies(X, split), _near_copies(X, split)
    found = len(exact | near)
    return hard(
        CHECK,
        found,
        f"{found:,} of {len(X):,} records occur in another split too: {len(exact):,} exact copies, "
        f"{len(near - exact):,} with other values or times",
    )


def _exact_copies(X: Windows, split: np.ndarray) -> set[int]:
    """Records whose variables and values, in order, also occur in another split."""
    by_print: dict[bytes, list[int]] = {}
    for b in range(len(X)):
        _, concept, value = X.observations(b)
        by_print.setdefault(hashlib.blake2b(concept.tobytes() + value.tobytes()).digest(), []).append(b)
    return {b for same in by_print.values() if len(set(split[same])) > 1 for b in same}


def _near_copies(X: Windows, split: np.ndarray) -> set[int]:
    """Records, of all splits but the largest, that are nearly one of another split."""
    features_of, scale = _features(X)
    names, counts = np.unique(split, return_counts=True)
    found = set()
    for name in names[np.argsort(counts, kind="stable")[:-1]]:
        mine, others = np.flatnonzero(split == name), np.flatnonzero(split != name)
        for start in range(0, len(mine), BLOCK):
            rows = mine[start : start + BLOCK]
            near = [others[_nearest(features[rows], features[others])] for features in features_of]
            for b, candidates in zip(rows, np.concatenate(near, axis=1), strict=True):
                if any(_is_copy(X, b, c, scale) for c in np.unique(candidates)):
                    found.add(int(b))
    return found


def _features(X: Windows) -> tuple[list[np.ndarray], np.ndarray]:
    """Two sets of features to find neighbours by, shape (B, F) each; the scale of each variable (C,)."""
    B, C = X.shape
    n = np.maximum(np.bincount(X.concept, minlength=C), 1)
    mean = np.bincount(X.concept, weights=X.value, minlength=C) / n
    variance = np.bincount(X.concept, weights=(X.value - mean[X.concept]) ** 2, minlength=C) / n
    sd = np.where(variance > 0, np.sqrt(variance), 1.0)
    z = np.clip((X.value - mean[X.concept]) / sd[X.concept], -4.0, 4.0)
    cell = np.repeat(np.arange(B), np.diff(X.offsets)) * C + X.concept
    count = np.bincount(cell, minlength=B * C)
    level = np.bincount(cell, weights=z, minlength=B * C) / np.maximum(count, 1)
    first, last, least, most = (np.zeros(B * C) for _ in range(4))
    first[cell[::-1]], last[cell] = z[::-1], z  # the last assignment counts
    np.minimum.at(least, cell, z)
    np.maximum.at(most, cell, z)
    common = (count.reshape(B, C) > 0).mean(axis=0) > COMMON
    features = [
        np.concatenate([part.reshape(B, C)[:, columns] for part in parts], axis=1).astype(np.float32)
        for columns, parts in (
            (np.ones(C, bool), (level, 0.5 * first, 0.5 * last, 0.5 * np.log1p(count))),
            (common, (level, 0.5 * least, 0.5 * most)),
        )
    ]
    return features, np.maximum(np.abs(mean), 2.0 * sd)


def _nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Positions in `others` of the nearest of each row, shape (R, K)."""
    apart = (others**2).sum(axis=1)[None, :] - 2.0 * rows @ others.T
    k = min(NEAREST, len(others))
    return np.argpartition(apart, k - 1, axis=1)[:, :k]


def _is_copy(X: Windows, b: int, c: int, scale: np.ndarray) -> bool:
    first, second = X.observations(b), X.observations(c)
    _, in_first, in_second = np.intersect1d(first[1], second[1], return_indices=True)
    if not len(in_first):
        return False
    # observations are in order of time: these are the first of each variable
    shift = first[0][in_first] - second[0][in_second]
    return any(_agree(first, second, by, scale) for by in {0.0, float(np.median(shift))})


def _agree(first, second, shift: float, scale: np.ndarray) -> bool:
    """Whether enough values stand at the same times, and their deviations correlate."""
    key = [concept * 1e6 + time_h for time_h, concept, _ in (first, second)]  # variables lie far apart
    key[0] = key[0] - shift
    order = np.argsort(key[1], kind="stable")
    ordered = key[1][order]
    after = np.clip(np.searchsorted(ordered, key[0]), 0, len(ordered) - 1)
    before = np.maximum(after - 1, 0)
    place = np.where(np.abs(ordered[before] - key[0]) <= np.abs(ordered[after] - key[0]), before, after)
    same = np.abs(ordered[place] - key[0]) <= SAME_TIME_H
    if same.sum() < max(MIN_SHARED, MIN_SHARE * min(len(key[0]), len(key[1]))):
        return False
    concept = first[1][same]
    x = _deviations(concept, first[2][same], scale)
    y = _deviations(concept, second[2][order][place[same]], scale)
    length = np.sqrt((x**2).sum() * (y**2).sum())
    return bool(length > 0 and (x * y).sum() / length >= MIN_CORRELATION)


def _deviations(concept: np.ndarray, value: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """From the mean of the variable in the record, relative to its usual size: (N,)."""
    n = np.maximum(np.bincount(concept, minlength=len(scale)), 1)
    mean = np.bincount(concept, weights=value, minlength=len(scale)) / n
    return np.clip((value - mean[concept]) / scale[concept], -MOST, MOST)
