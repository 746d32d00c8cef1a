"""
How long does a push take when a stay of 72 hours comes in hour by hour?

    python tests/benchmarks/bench_live.py [--train 1000] [--json]

Made-up stays of the 44 variables of Moor et al., vital signs every two hours, laboratory values seldom;
one process, models with their default sizes, trained for one epoch (weights do not matter here).
"""

import argparse
import json
import time

import numpy as np
import pandas as pd

from sepsis.cohort.windows import pack
from sepsis.events.vocabulary import load_vocabulary
from sepsis.live import Scorer
from sepsis.models.baselines.logistic import Logistic
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.networks.mgp_tcn import MGPTCN

HOURS = 72
CONCEPTS = load_vocabulary().set("moor44")


def made_up_events(n_stays, hours, seed):
    """Events of stays 0 to n - 1 within the plausible ranges."""
    random = np.random.default_rng(seed)
    parts = []
    for stay_id in range(n_stays):
        for name in CONCEPTS:
            concept = load_vocabulary()[name]
            size = hours // 2 if concept.group == "vital" else random.integers(0, max(2, hours // 8))
            low, high = concept.plausible.low, concept.plausible.high
            value = low + (high - low) * random.uniform(0.25, 0.4, size)
            time_h = np.sort(random.uniform(0, hours, size))
            parts.append(
                pd.DataFrame({"stay_id": stay_id, "time_h": time_h, "concept": name, "value": value})
            )
    return pd.concat(parts, ignore_index=True)


def windows(n_stays, hours=48):
    """(Windows, y) of made-up stays."""
    stays = pd.DataFrame({"stay_id": range(n_stays), "subject_id": range(n_stays), "end_h": float(hours)})
    return pack(made_up_events(n_stays, hours, 1), stays, CONCEPTS), np.arange(n_stays) % 2


def one_stay(model, stay, hours=HOURS, **options):
    """Milliseconds: median and longest push of a new hour, the last hour's, and of an event 60 h late."""
    scorer, took = Scorer(model, **options), []
    for hour in range(1, hours + 1):
        new = stay[(stay.time_h > hour - 1) & (stay.time_h <= hour)]
        began = time.perf_counter()
        scorer.push(1, new, now_h=float(hour))
        took.append(1e3 * (time.perf_counter() - began))
    late = pd.DataFrame({"time_h": [max(0.5, hours - 60.0)], "concept": ["lactate"], "value": [3.0]})
    began = time.perf_counter()
    scorer.push(1, late)
    return {
        "median_ms": float(np.median(took)),
        "longest_ms": max(took[3:]),  # the first ones compile or warm up
        "last_hour_ms": took[-1],
        "late_event_ms": 1e3 * (time.perf_counter() - began),
    }


def measure(n_train, n_network=40, hours=HOURS):
    """Every model's milliseconds."""
    stay = made_up_events(1, hours, 2).drop(columns="stay_id")
    few, many = windows(n_network), windows(n_train)
    networks = {"mgp_tcn, filter": {"conditioning": "filter"}, "mgp_tcn, smooth": {}}
    fitted = {name: MGPTCN(max_epochs=1, **given).fit(*few) for name, given in networks.items()}
    knn = DTWKNN(k=min(15, n_train)).fit(*many)
    result = {name: one_stay(model, stay, hours) for name, model in fitted.items()}
    result["logistic"] = one_stay(Logistic().fit(*few), stay, hours)
    result[f"dtw_knn, {n_train} windows, stream"] = one_stay(knn, stay, hours)
    result[f"dtw_knn, {n_train} windows, whole stay each time"] = one_stay(knn, stay, hours, max_streams=0)
    return {"hours": hours, "events": len(stay), "milliseconds": result}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=1000, help="training windows of 48 h of dtw_knn")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.train)
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['hours']} pushes, {found['events']} events; milliseconds")
        print(pd.DataFrame(found["milliseconds"]).T.round(1).to_string())
