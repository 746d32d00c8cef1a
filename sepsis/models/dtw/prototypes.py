"""
A smaller train set: prototypes that vote for the stays they stand for.

The windows of a class are grouped around medoids, by the distances the model itself uses; a group is
then represented by its medoid, or by its barycentre, the series with the least summed squared distance
to the group. A prototype's vote counts as many times as its group has windows, so shares of cases stay
on the scale of the full prevalence.

Medoids: alternating k-medoids, Park and Jun, Expert Syst Appl 36 (2009) 3336-3341,
doi:10.1016/j.eswa.2008.01.039, seeded as in Arthur and Vassilvitskii, SODA 2007 (k-means++).
Barycentres: Petitjean, Ketterlin and Gancarski, Pattern Recognit 44 (2011) 678-693,
doi:10.1016/j.patcog.2010.09.013, by tslearn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from tslearn.utils import to_time_series_dataset

from sepsis.models.dtw.distance import Neighbours
from sepsis.models.dtw.selection import whole_series_as_queries
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train

ROUNDS = 3  # of moving medoids; the seeding is already good
CANDIDATES = 64  # members nearest to a medoid among which the next is sought: bounds the work of a big group
ROWS_AT_ONCE = 256  # of a distance matrix
COLUMNS_AT_ONCE = 64  # the sweep sorts as it goes, which is quick for short lists
BARYCENTRE_ITERATIONS = 10

Sweep = Callable[[Queries, Train, int], Neighbours]


@dataclass(frozen=True, eq=False)
class Groups:
    """
    Windows grouped around medoids.

    Attributes
    ----------
    medoid : ndarray of int, shape (G,)
        Positions in the train set.
    owner : ndarray of int, shape (M,)
        Group of each of the grouped windows.
    """

    medoid: np.ndarray
    owner: np.ndarray


def condense(
    train: Train,
    y: np.ndarray,
    *,
    kind: str,
    n_prototypes: int,
    controls_only: bool,
    dependent: bool,
    nearest: Sweep,
    random_state,
) -> tuple[Train, np.ndarray, np.ndarray]:
    """
    A train set of prototypes.

    Parameters
    ----------
    train : Train, length N
    y : ndarray of 0 and 1, shape (N,)
    kind : "medoids" or "barycentres"
    n_prototypes : int
        For each class; a class with no more windows than that stays as it is.
    controls_only : bool
        Leave the cases, the rare class, as they are.
    dependent : bool
        Average all channels along one path; False: each channel along its own, over the windows that
        measured it.
    nearest : callable
        The model's sweep: queries, train and k to the neighbours.
    random_state : int or RandomState
        Of the first medoids.

    Returns
    -------
    prototypes : Train
        A barycentre is of no subject, and measured where any window of its group was.
    y : ndarray of 0 and 1
    position : ndarray of int
        In `train`, of each medoid or window kept; -1 for a barycentre.
    """
    random = check_random_state(random_state)
    parts = []
    for label in (0, 1):
        members = np.flatnonzero(y == label)
        if len(members) <= n_prototypes or (controls_only and label == 1):
            parts.append((taken(train, members), np.full(len(members), label), members))
            continue
        groups = group(train, members, n_prototypes, nearest, random)
        ballot = np.zeros((len(groups.medoid), 2))
        np.add.at(ballot, groups.owner, train.ballot[members])
        if kind == "medoids":
            prototypes = taken(train, groups.medoid)._replace(ballot=ballot)
            position = groups.medoid
        else:
            prototypes = _barycentres(train, members, groups, ballot, dependent)
            position = np.full(len(ballot), -1)
        parts.append((prototypes, np.full(len(ballot), label), position))
    trains, labels, positions = zip(*parts, strict=True)
    return _joined(trains), np.concatenate(labels), np.concatenate(positions)


def group(train: Train, members: np.ndarray, n_groups: int, nearest: Sweep, random) -> Groups:
    """
    Alternating k-medoids over the windows at `members`.

    Each group holds at least its medoid; a window belongs to the nearest medoid, the first of equals.
    """
    mass = train.ballot[members, 0]
    medoid = _seeds(train, members, n_groups, nearest, random)
    owner = _owners(train, members, medoid, nearest)
    for _ in range(ROUNDS):
        moved = medoid.copy()
        for g in range(n_groups):
            mine = np.flatnonzero(owner == g)
            if len(mine) > 2:  # of two, either is as good
                moved[g] = _middle(train, members[mine], mass[mine], medoid[g], nearest)
        if np.array_equal(moved, medoid):
            break
        medoid = moved
        owner = _owners(train, members, medoid, nearest)
    return Groups(medoid, owner)


def _owners(train: Train, members: np.ndarray, medoid: np.ndarray, nearest: Sweep) -> np.ndarray:
    """Group of each member; a medoid is in its own even where another is just as near."""
    owner = np.argmin(_distances(train, members, medoid, nearest), axis=1)
    owner[np.searchsorted(members, medoid)] = np.arange(len(medoid))
    return owner


def _seeds(train: Train, members: np.ndarray, n_groups: int, nearest: Sweep, random) -> np.ndarray:
    """First medoids: each drawn with a chance that grows with its squared distance to those before."""
    drawn = [int(random.randint(len(members)))]
    gap = _distances(train, members, members[drawn], nearest)[:, 0]
    while len(drawn) < n_groups:
        chance = gap**2
        chance[drawn] = 0.0
        if chance.sum() == 0:  # only copies of those drawn are left
            chance = np.ones(len(members))
            chance[drawn] = 0.0
        drawn.append(int(random.choice(len(members), p=chance / chance.sum())))
        gap = np.minimum(gap, _distances(train, members, members[drawn[-1:]], nearest)[:, 0])
    return members[drawn]


def _middle(train: Train, mine: np.ndarray, mass: np.ndarray, medoid: int, nearest: Sweep) -> int:
    """The window with the least summed distance to a group, among those near its present medoid."""
    near = np.argsort(_distances(train, mine, np.array([medoid]), nearest)[:, 0], kind="stable")[:CANDIDATES]
    candidates = mine[near]
    total = (_distances(train, mine, candidates, nearest) * mass[:, None]).sum(axis=0)
    return int(candidates[np.argmin(total)])


def _distances(train: Train, rows: np.ndarray, columns: np.ndarray, nearest: Sweep) -> np.ndarray:
    """
    Distances between training windows, shape (len(rows), len(columns)).

    Root of the mean square over the channels that both measured; two windows without such a channel are
    as far apart as the farthest two that have one.
    """
    asked = taken(train, rows)
    distance = np.empty((len(rows), len(columns)))
    for right in range(0, len(columns), COLUMNS_AT_ONCE):
        among = taken(train, columns[right : right + COLUMNS_AT_ONCE])
        among = among._replace(subject_id=np.full(len(among.subject_id), NO_SUBJECT))
        for below in range(0, len(rows), ROWS_AT_ONCE):
            queries = whole_series_as_queries(asked, below, below + ROWS_AT_ONCE)
            block = _mean_over_channels(nearest(queries, among, len(among.subject_id)))
            distance[below : below + len(block), right : right + block.shape[1]] = block
    farthest = np.nanmax(distance) if np.isfinite(distance).any() else 1.0
    return np.where(np.isnan(distance), farthest, distance)


def _mean_over_channels(found: Neighbours) -> np.ndarray:
    """Root mean square over the channels that both measured, (B, N), from all N neighbours; NaN without."""
    size, n = len(found.distance), found.distance.shape[-1]
    b, _, c, rank = np.nonzero(found.neighbour >= 0)
    cell = b * n + found.neighbour[b, 0, c, rank]
    square = found.distance[b, 0, c, rank].astype(float) ** 2
    total = np.bincount(cell, weights=square, minlength=size * n)
    count = np.bincount(cell, minlength=size * n)
    mean = np.divide(total, count, out=np.full(size * n, np.nan), where=count > 0)
    return np.sqrt(mean).reshape(size, n)


def _barycentres(
    train: Train, members: np.ndarray, groups: Groups, ballot: np.ndarray, dependent: bool
) -> Train:
    """One barycentre for each group, as long as its medoid."""
    series, measured = [], []
    for g, medoid in enumerate(groups.medoid):
        mine = members[groups.owner == g]
        start = train.series.one(medoid).astype(float)
        if dependent:
            centre = _barycentre([train.series.one(n) for n in mine], train.ballot[mine, 0], start)
        else:
            centre = np.zeros(start.shape)  # 0, the mean, where no window of the group has a value
            for c in np.flatnonzero(train.measured[mine].any(axis=0)):
                voting = mine[train.measured[mine, c]]
                parts = [train.series.one(n)[:, c : c + 1] for n in voting]
                first = start[:, c : c + 1] if train.measured[medoid, c] else None
                centre[:, c : c + 1] = _barycentre(parts, train.ballot[voting, 0], first, len(start))
        series.append(centre)
        measured.append(train.measured[mine].any(axis=0))
    return Train(
        _packed_like(train.series, series),
        np.array(measured),
        np.full(len(series), NO_SUBJECT),
        ballot,
    )


def _barycentre(parts: list[np.ndarray], mass: np.ndarray, start, size: int | None = None) -> np.ndarray:
    """The barycentre of weighted series; tslearn's, from `start`, or from their stretched mean."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "h5py not installed")  # said when imported; nothing here is hdf5
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best iterate so far is what is wanted
        from tslearn.barycenters import dtw_barycenter_averaging

        return dtw_barycenter_averaging(
            to_time_series_dataset(parts),
            barycenter_size=size if start is None else None,
            init_barycenter=start,
            max_iter=BARYCENTRE_ITERATIONS,
            weights=mass,
        )


def taken(train: Train, rows: np.ndarray) -> Train:
    """The training windows at some positions."""
    series = _packed_like(train.series, [train.series.one(n) for n in rows])
    return Train(series, train.measured[rows], train.subject_id[rows], train.ballot[rows])


def _joined(parts) -> Train:
    """Train sets one after the other."""
    series = [one.series.one(n) for one in parts for n in range(len(one.subject_id))]
    return Train(
        _packed_like(parts[0].series, series),
        np.concatenate([one.measured for one in parts]),
        np.concatenate([one.subject_id for one in parts]),
        np.concatenate([one.ballot for one in parts]),
    )


def _packed_like(like: Series, parts: list[np.ndarray]) -> Series:
    """Series of the same channels, packed."""
    length = np.array([len(one) for one in parts], dtype=np.int64)
    values = np.zeros((int(length.sum()), like.values.shape[1]), np.float32)
    values[:, : like.n_channels] = np.concatenate(parts)
    return Series(values, np.concatenate([[0], np.cumsum(length)]), like.n_channels)
