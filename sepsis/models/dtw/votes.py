"""From neighbours to votes: vote weights, shares of cases, and weights of the channels."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.utils import check_random_state

from sepsis.models.dtw.distance import Neighbours


def case_share(found: Neighbours, vote_weight: np.ndarray) -> np.ndarray:
    """
    Share of cases among the neighbours, shape (B, P, C); NaN where there is no neighbour.

    `vote_weight`, shape (N, 2): vote of each training window, and the same if it is a case, else 0. Windows
    as far as the k-th, including those beyond k, share what is left of the k votes.
    """
    kept = found.neighbour >= 0
    weight = kept.astype(float)
    farthest = kept & (found.distance == found.distance[..., -1:])
    places = farthest.sum(axis=-1)
    portion = places / np.maximum(places + found.ties_beyond_k[..., 0], 1.0)
    weight = np.where(farthest, weight * portion[..., None], weight)
    votes = (weight[..., None] * vote_weight[found.neighbour]).sum(axis=-2)
    votes += weight[..., -1:] * found.ties_beyond_k[..., 1:]
    all_votes, case_votes = votes[..., 0], votes[..., 1]
    return np.divide(case_votes, all_votes, out=np.full(all_votes.shape, np.nan), where=all_votes > 0)


def first_k(found: Neighbours, k: int, vote_weight: np.ndarray) -> Neighbours:
    """
    The k nearest, from a sweep that kept more: what a sweep for k alone would have found.

    Series that tie with the k-th and are cut off go to the ties.
    """
    if k == found.distance.shape[-1]:
        return found
    worst = found.distance[..., k - 1 : k]
    tied = (found.distance[..., k:] == worst) & (found.neighbour[..., k:] >= 0)
    ties = np.empty_like(found.ties_beyond_k)
    ties[..., 0] = tied.sum(axis=-1)
    ties[..., 1:] = (tied[..., None] * vote_weight[found.neighbour[..., k:]]).sum(axis=-2)
    reaches_end = (found.distance[..., -1] == worst[..., 0]) & np.isfinite(worst[..., 0])
    ties += np.where(reaches_end[..., None], found.ties_beyond_k, 0.0)
    return Neighbours(found.distance[..., :k], found.neighbour[..., :k], ties)


def average_share(share: np.ndarray, channel_weight: np.ndarray, otherwise: float) -> np.ndarray:
    """
    Weighted mean over the channels that vote; `otherwise` where no channel with a weight votes.

    `share` has shape (..., C), NaN where a channel abstains.
    """
    weight = np.where(np.isnan(share), 0.0, channel_weight)
    total = weight.sum(axis=-1)
    cases = (weight * np.nan_to_num(share)).sum(axis=-1)
    mean = np.divide(cases, total, out=np.full(total.shape, otherwise), where=total > 0)
    return np.clip(mean, 0.0, 1.0)  # a rounded quotient may be a hair above 1


def precision_above_chance(share: np.ndarray, y: np.ndarray) -> np.ndarray:
    """
    Weights of the channels: (AP - prevalence) / (1 - prevalence) of each alone, not below 0.

    `share` has shape (B, C), without NaN; `y` has both classes. If no channel is above chance all weights
    are 1.
    """
    chance = y.mean()
    precision = np.array([average_precision_score(y, one) for one in share.T])
    above = np.maximum(0.0, (precision - chance) / (1.0 - chance))
    return above if above.sum() > 0 else np.ones(len(above))


def draw_controls(y: np.ndarray, max_train: int | None, random_state) -> tuple[np.ndarray, np.ndarray]:
    """
    All cases, and controls drawn at random: their positions, ascending, and how many windows each represents.

    `max_train` windows are kept, more if that would leave fewer controls than cases; None keeps all.
    """
    cases, controls = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    if max_train is None or len(y) <= max_train:
        return np.arange(len(y)), np.ones(len(y))
    room = min(len(controls), max(max_train - len(cases), len(cases)))
    drawn = check_random_state(random_state).choice(controls, room, replace=False)
    kept = np.sort(np.concatenate([cases, drawn]))
    return kept, np.where(y[kept] == 1, 1.0, len(controls) / room)
