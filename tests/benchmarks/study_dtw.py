"""
Does warping pay? DTW k-NN against the same model with Euclidean distance, and against the clock.

    python tests/benchmarks/study_dtw.py --export training_setA.zip --json
    python tests/benchmarks/study_dtw.py --export training_setA.zip --limit 3000 --work study_3000 --json
    python tests/benchmarks/study_dtw.py --export demo_export --kind mimic-iv --preset moor2019 \\
        --concept-set moor44 --min-values 500 --smaller --json

Labels, cohort, splits, variables and cuts are those of `pipelines/physionet2019.toml` if nothing else is
said (of all stays where `--limit` is left out). k, combination and length normalisation are chosen
for each distance on the validation split, by average precision averaged over the horizons; the test split
is scored once:

- `dtw_default`  the defaults of `DTWKNN`
- `dtw`          DTW with the settings that were best on validation
- `end`, `start` the same settings (k, combination) with Euclidean distance. Stays differ in length, so
                 what is compared is the hours that both have: the last n of each (the hours before the
                 prediction), or the first n (hour i with hour i since admission); the distance is the root
                 of the mean squared difference, because n differs from pair to pair
- `end_own`, `start_own`  Euclidean distance with its own best settings
- `drawn_...`    as `dtw` with half, a quarter or a tenth of the controls (`--smaller`): what that costs
- `clock`

Prints one JSON object: the counts, every setting tried with its validation AP, the test metrics (as
`data_schema/7_metrics.toml`, paired differences included, 95 % intervals over subjects). Nothing here is
timed; `cpu_s` says what each sweep took of the processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.cohort import Cohort, select_cohort  # noqa: E402 - after the path
from sepsis.cohort.settings import CohortSettings  # noqa: E402
from sepsis.cohort.windows import Windows, pack  # noqa: E402
from sepsis.evaluation import evaluate_scores  # noqa: E402
from sepsis.events.vocabulary import concept_set  # noqa: E402
from sepsis.labels.store import read_labels  # noqa: E402
from sepsis.models.dtw.distance import Neighbours  # noqa: E402
from sepsis.models.dtw.knn import DTWKNN  # noqa: E402
from sepsis.models.dtw.selection import own_subjects, select  # noqa: E402
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Train  # noqa: E402
from sepsis.models.dtw.stacking import fit_stack  # noqa: E402
from sepsis.models.dtw.votes import average_share, case_share, first_k, precision_above_chance  # noqa: E402
from sepsis.pipeline.label import label_export  # noqa: E402
from sepsis.pipeline.settings import ExportSettings  # noqa: E402
from sepsis.pipeline.source import events_of, open_source  # noqa: E402
from sepsis.scoring.predict import score_horizons  # noqa: E402
from sepsis.training.fit import horizon_windows, train_model  # noqa: E402
from sepsis.training.settings import TrainSettings  # noqa: E402

HORIZONS = tuple(range(8))
K = (5, 15, 25, 50, 100, 200, 400)
STAYS_AT_ONCE = 64
TOP_M = 10
ASKED = 1500  # training stays, evenly spaced, on which channels are ranked and stacks fitted in the choice


# --- the comparator -----------------------------------------------------------------------------


class EuclideanKNN(DTWKNN):
    """`DTWKNN` with Euclidean distance over the hours that two stays have in common."""

    at_end = True

    def _nearest(self, queries: Queries, train: Train, k: int) -> Neighbours:
        found = Neighbours.none_yet(queries.measured.shape, k)
        for b, p in np.argwhere(queries.length > 0):
            distance = common_hours_distance(queries.prefix(b, p), train, at_end=self.at_end)
            allowed = train.measured & queries.measured[b, p]
            own = (train.subject_id == queries.subject_id[b]) & (train.subject_id != NO_SUBJECT)
            allowed &= ~own[:, None]
            for c, column in enumerate(np.where(allowed, distance, np.inf).T):
                _keep_nearest(column, k, train.vote_weight, found, (b, p, c))
        return found


class AtStart(EuclideanKNN):
    """The first hours that both have: hour i since admission with hour i."""

    at_end = False


def common_hours_distance(query: np.ndarray, train: Train, *, at_end: bool) -> np.ndarray:
    """
    Root mean squared difference over the common hours, shape (N, C).

    Parameters
    ----------
    query : ndarray, shape (T, C)
    at_end : bool
        Align the last hours; else the first.
    """
    squares = _mean_squares(query, train.series.values, train.series.offsets, at_end)
    return np.sqrt(squares[:, : train.series.n_channels])


@numba.njit(nogil=True)
def _mean_squares(query, values, offsets, at_end):
    """Mean squared difference over the common hours, shape (N, C)."""
    n_train, n_channels = len(offsets) - 1, query.shape[1]
    out = np.zeros((n_train, n_channels), np.float32)
    for n in range(n_train):
        length = offsets[n + 1] - offsets[n]
        common = min(length, len(query))
        mine, theirs = 0, offsets[n]
        if at_end:
            mine, theirs = len(query) - common, offsets[n + 1] - common
        for step in range(common):
            for c in range(n_channels):
                gap = query[mine + step, c] - values[theirs + step, c]
                out[n, c] += gap * gap
        out[n] /= common
    return out


def _keep_nearest(distance: np.ndarray, k: int, vote_weight: np.ndarray, found: Neighbours, at) -> None:
    """Enter the k nearest of one channel at `at`, ties by position, what ties beyond them as ties."""
    usable = int(np.isfinite(distance).sum())
    if not usable:
        return
    size = min(k, usable)
    kth = np.partition(distance, size - 1)[size - 1]
    near = np.flatnonzero(distance <= kth)
    near = near[np.argsort(distance[near], kind="stable")]
    found.distance[at][:size] = distance[near[:size]]
    found.neighbour[at][:size] = near[:size]
    found.ties_beyond_k[at] = (len(near) - size, *vote_weight[near[size:]].sum(axis=0))


DISTANCES: dict[str, tuple[type[DTWKNN], dict[str, Any]]] = {
    "dtw": (DTWKNN, {"length_normalise": False}),
    "dtw_normalised": (DTWKNN, {"length_normalise": True}),
    "end": (EuclideanKNN, {}),
    "start": (AtStart, {}),
}


# --- the data -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Study:
    """A cohort with its training windows."""

    events: pd.DataFrame
    onset: pd.DataFrame
    cohort: Cohort
    train: Windows
    y: np.ndarray
    clock: Any
    cpu_s: dict[str, float] = field(default_factory=dict)

    def fitted(self, distance: str, **settings) -> DTWKNN:
        """A model of one of the `DISTANCES`, fitted on the training split."""
        cls, own = DISTANCES[distance]
        held_out = self.members("validation")
        validation = (held_out[0].until(held_out[1][:, 0]), held_out[2])
        began = time.process_time()
        model = cls(**{**own, **settings}).fit(self.train, self.y, validation)
        self.cpu_s[f"fit {distance} {settings}"] = time.process_time() - began
        return model

    def members(self, split: str) -> tuple[Windows, np.ndarray, np.ndarray]:
        """(windows at the reference, prediction times (B, 8), y) of a split."""
        part = self.cohort.members(split)
        end_h = part.reference_h.to_numpy()[:, None] - np.array(HORIZONS, float)
        windows = pack(self.events, part.assign(end_h=part.reference_h), self.train.concepts)
        return windows, end_h, part.is_case.to_numpy(int)


@dataclass(frozen=True)
class Data:
    """Which export is studied, and how it is labelled."""

    path: str
    work: Path  # labels are kept there
    kind: str = "physionet-2019"
    limit: int = 0  # stays drawn with seed 0; 0: all
    preset: str = "physionet2019"
    concept_set: str = "physionet2019"
    min_values: int = 500  # in the training windows


def prepare(data: Data) -> Study:
    """Labels, cohort and windows as the pipelines make them."""
    source = open_source(ExportSettings(path=data.path, kind=data.kind, limit=data.limit, limit_seed=0))
    if not data.work.exists():
        label_export(source, data.work, preset=data.preset, switches={})
    labels = read_labels(data.work)
    events = events_of(source, labels).events
    concepts = concept_set(data.concept_set)
    cohort = select_cohort(labels.onset, events, concepts, CohortSettings(seed=0))
    settings = TrainSettings(concept_set=data.concept_set, min_values=data.min_values)
    clock = train_model(events, cohort, concepts, model="clock", model_settings={}, settings=settings)
    members = cohort.members("train")
    windows = horizon_windows(events, members, clock.concepts_, (0.0,))
    return Study(events, labels.onset, cohort, windows, members.is_case.to_numpy(int), clock)


# --- the choice, on validation ------------------------------------------------------------------


def tried(study: Study, distance: str) -> Iterator[dict[str, Any]]:
    """Every setting of one distance with its AP on validation, averaged over the horizons."""
    began = time.process_time()
    model = study.fitted(distance, k=1)
    windows, end_h, y = study.members("validation")
    shares = shares_of_each_k(model, windows, end_h)
    asked = np.unique(np.linspace(0, len(study.y) - 1, min(ASKED, len(study.y))).astype(int))
    # of training stays; their own subject is passed over
    outside = shares_of_each_k(model, study.train[asked], study.train.end_h[asked, None])
    subjects = own_subjects(model.train_.subject_id)[asked]
    halves = np.empty(len(y), int)
    for label in (0, 1):
        halves[y == label] = np.arange((y == label).sum()) % 2
    for k, share in shares.items():
        ways = {
            "mean": average_share(share, np.ones(share.shape[2]), model.prevalence_),
            "validation_ap": _weighed_by_the_other_half(share, y, halves, model.prevalence_),
        }
        mine, mass = outside[k][:, 0], np.ones(len(asked))
        best = select(mine[None], (k,), study.y[asked], mass, top_m=min(TOP_M, mine.shape[1])).channels
        ways["top_m"] = average_share(share[..., best], np.ones(len(best)), model.prevalence_)
        ways["stacked"] = fit_stack(mine, study.y[asked], mass, subjects, k).risk(share)
        for way, risk in ways.items():
            ap = float(np.mean([average_precision_score(y, one) for one in risk.T]))
            yield {"distance": distance, "k": k, "combine": way, "validation_ap": ap}
    study.cpu_s[f"choose {distance}"] = time.process_time() - began


def shares_of_each_k(model: DTWKNN, windows: Windows, end_h: np.ndarray) -> dict[int, np.ndarray]:
    """Shares of cases (B, P, C) for every k, from one sweep."""
    parts: dict[int, list[np.ndarray]] = {k: [] for k in K}
    most = min(max(K), len(model.y_))
    for begin in range(0, len(windows), STAYS_AT_ONCE):
        part = slice(begin, begin + STAYS_AT_ONCE)
        found = model._nearest(model._queries(windows[part], end_h[part]), model.train_, most)
        for k in parts:
            kept = first_k(found, min(k, most), model.train_.vote_weight)
            parts[k].append(case_share(kept, model.train_.vote_weight))
    return {k: np.concatenate(blocks) for k, blocks in parts.items()}


def _weighed_by_the_other_half(share, y, halves, prevalence: float) -> np.ndarray:
    """`combine="validation_ap"` judged on stays that did not set the weights: each half by the other."""
    risk = np.empty(share.shape[:2])
    for half in (0, 1):
        other = np.where(np.isnan(share[halves != half, 0]), prevalence, share[halves != half, 0])
        both = len(np.unique(y[halves != half])) == 2
        weight = precision_above_chance(other, y[halves != half]) if both else np.ones(share.shape[2])
        risk[halves == half] = average_share(share[halves == half], weight, prevalence)
    return risk


def settings_of(row: dict[str, Any]) -> dict[str, Any]:
    """A setting that was tried, as arguments of the model."""
    chosen = {"k": row["k"]}
    if row["combine"] == "top_m":
        return chosen | {"channels": "top_m", "top_m": TOP_M}
    return chosen | {"combine": row["combine"]}


# --- the test split, once -----------------------------------------------------------------------


def scored(study: Study, models: dict[str, Any]) -> pd.DataFrame:
    """Risks of the test split at every horizon, of every model."""
    parts = []
    for name, model in models.items():
        began = time.process_time()
        scores = score_horizons(model, study.events, study.cohort.members("test"), horizons=HORIZONS)
        study.cpu_s[f"score {name}"] = time.process_time() - began
        parts.append(scores.assign(model=name))
    return pd.concat(parts, ignore_index=True)


def smaller(study: Study, distance: str, chosen: dict[str, Any]) -> dict[str, DTWKNN]:
    """The chosen model with a smaller train set, k in proportion to it."""
    cases = int(study.y.sum())
    controls = len(study.y) - cases
    models = {}
    for name, share in (("half", 2), ("quarter", 4), ("tenth", 10)):
        kept = cases + controls // share
        fewer = chosen | {"k": max(1, round(chosen["k"] * kept / len(study.y)))}
        models[f"drawn_{name}"] = study.fitted(distance, **fewer, max_train=kept)
    return models


def study_dtw(data: Data, *, n_bootstrap: int, with_smaller: bool) -> dict[str, Any]:
    """The whole study as one JSON object."""
    study = prepare(data)
    rows = [row for distance in DISTANCES for row in tried(study, distance)]
    by_distance = {d: max((r for r in rows if r["distance"] == d), key=_judged) for d in DISTANCES}
    best = max((by_distance[d] for d in ("dtw", "dtw_normalised")), key=_judged)
    chosen = settings_of(best)
    models = {
        "clock": study.clock,
        "dtw_default": study.fitted("dtw"),
        "dtw": study.fitted(best["distance"], **chosen),
        "end": study.fitted("end", **chosen),
        "start": study.fitted("start", **chosen),
        "end_own": study.fitted("end", **settings_of(by_distance["end"])),
        "start_own": study.fitted("start", **settings_of(by_distance["start"])),
    }
    if with_smaller:
        models |= smaller(study, best["distance"], chosen)
    scores = scored(study, models)
    metrics = evaluate_scores(scores, study.onset, n_bootstrap=n_bootstrap)
    counts = study.cohort.sets.groupby("split").is_case.agg(["size", "sum"]).astype(int)
    return {
        "limit": data.limit,
        "preset": data.preset,
        "n_variables": len(study.train.concepts),
        "splits": {s: {"stays": int(r["size"]), "cases": int(r["sum"])} for s, r in counts.iterrows()},
        "chosen": best,
        "best_of_each": by_distance,
        "tried": rows,
        "kept": {name: len(m.y_) for name, m in models.items() if name != "clock"},
        "metrics": json.loads(metrics.to_json(orient="records")),
        "cpu_s": study.cpu_s,
    }


def _judged(row: dict[str, Any]) -> float:
    return row["validation_ap"]


def main() -> None:
    """Parse, study, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--export", required=True, help="training_setA.zip")
    parser.add_argument("--kind", default=Data.kind)
    parser.add_argument("--preset", default=Data.preset)
    parser.add_argument("--concept-set", default=Data.concept_set)
    parser.add_argument("--min-values", type=int, default=Data.min_values)
    parser.add_argument("--limit", type=int, default=0, help="stays drawn with seed 0; 0: all")
    parser.add_argument(
        "--work", type=Path, default=Path("build/study_dtw_labels"), help="labels are kept there"
    )
    parser.add_argument("--n-bootstrap", type=int, default=1000)
    parser.add_argument("--smaller", action="store_true", help="smaller train sets as well")
    parser.add_argument("--json", action="store_true", help="one line")
    given = parser.parse_args()
    data = Data(
        given.export, given.work, given.kind, given.limit, given.preset, given.concept_set, given.min_values
    )
    result = study_dtw(data, n_bootstrap=given.n_bootstrap, with_smaller=given.smaller)
    print(json.dumps(result, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
