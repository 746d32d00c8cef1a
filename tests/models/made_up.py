"""Made-up cohorts for the tests of the models."""

import numpy as np
import pandas as pd

from sepsis.cohort.windows import pack

CONCEPTS = ("heart_rate", "lactate", "map")


def made_up_tables(n_stays, seed, *, first_subject=1, cases=0.4):
    """
    (events, stays, y): drifting random walks; cases drift upwards in the first variable.

    Stays last 9 to 30 h and end inside an hour; two stays in turn belong to one subject; about one
    variable in six is never measured in a stay.
    """
    random = np.random.default_rng(seed)
    y = (random.random(n_stays) < cases).astype(int)
    y[:2] = 0, 1
    end_h = random.uniform(9.0, 30.0, n_stays)
    rows = []
    for stay in range(n_stays):
        for c, concept in enumerate(CONCEPTS):
            if c and random.random() < 0.25:
                continue
            time_h = np.sort(random.uniform(0.0, end_h[stay], random.integers(2, 15)))
            drift = 2.0 * y[stay] * time_h / end_h[stay] if c == 0 else 0.0
            value = 80.0 + 10.0 * (drift + 0.3 * random.normal(size=len(time_h)).cumsum())
            rows += [(stay + 1, t, concept, v) for t, v in zip(time_h, value, strict=True)]
    events = pd.DataFrame(rows, columns=["stay_id", "time_h", "concept", "value"])
    stays = pd.DataFrame(
        {
            "stay_id": np.arange(n_stays) + 1,
            "subject_id": first_subject + np.arange(n_stays) // 2,
            "end_h": end_h,
        }
    )
    return events, stays, y


def made_up_windows(n_stays, seed, **options):
    """(Windows, y) of `made_up_tables`."""
    events, stays, y = made_up_tables(n_stays, seed, **options)
    return pack(events, stays, CONCEPTS), y


def windows_of(series, *, subjects=None, end_h=None):
    """
    Windows from a list with, per stay, a dict of concept to [(time_h, value), ...].

    Stays end at the first whole hour from their last value on, at 4 h at the earliest.
    """
    rows = [(b, t, concept, v) for b, stay in enumerate(series) for concept in stay for t, v in stay[concept]]
    events = pd.DataFrame(rows, columns=["stay_id", "time_h", "concept", "value"])
    events = events.astype({"stay_id": int, "time_h": float, "concept": str, "value": float})
    if end_h is None:
        times = [[t for values in stay.values() for t, _ in values] for stay in series]
        end_h = [max(4.0, *(np.ceil(t) for t in one), 0.0) for one in times]
    subjects = np.arange(len(series)) if subjects is None else subjects
    stays = pd.DataFrame({"stay_id": np.arange(len(series)), "subject_id": subjects, "end_h": end_h})
    return pack(events, stays, CONCEPTS)
