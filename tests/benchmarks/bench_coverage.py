"""
How often do intervals hold the truth, and how often is a difference claimed where there is none?

    python tests/benchmarks/bench_coverage.py --json
    python tests/benchmarks/bench_coverage.py --runs 2000 --cases 26

Made-up risks whose truth is an integral: of controls standard normal, of cases shifted by the signal, at
three horizons with 1, 0.8 and 0.6 of it; three models of equal signal and a weak one with half of it, which
share most of their noise. Two designs:

- `matched`: 12, 26 or 97 sets of one case and ten controls, drawn with replacement across sets, so that a
  person is in several, and later cases are among the controls; risks share a part within the person and
  within the set. Prevalence is fixed.
- `stays`: eleven times as many independent stays, some of the same person; each is a case with probability
  1/11. Prevalence is random.

Per measure: the share of 95 % intervals that hold the truth, of those that lie above and below it, and their
median width; `missing` is the share of runs without an interval. `claims`: how often a paired difference of
two equal models excludes zero (of three pairs on average), and any of the three after Holm's adjustment
(goals: 6 and 7 %). `band`: how often a simultaneous band holds the whole curve. The study is evaluated as
`sepsis evaluate` does it.

Prints one JSON object {"coverage": [...], "claims": [...], "band": [...], "machine": {...}}, or a table. Not
a timed test; the figures and their machine are in docs/decisions.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.stats import norm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.evaluation.calibration import calibration_metrics  # noqa: E402 - after the path
from sepsis.evaluation.horizons import horizon_metrics  # noqa: E402
from sepsis.evaluation.multiplicity import holm  # noqa: E402
from sepsis.evaluation.net_benefit import net_benefit_metrics  # noqa: E402
from sepsis.evaluation.operating_points import operating_metrics  # noqa: E402
from sepsis.evaluation.risk_set import RiskSet  # noqa: E402

CASES, SIGNALS, RUNS = (12, 26, 97), (0.0, 0.7, 1.5), 1000
CONTROLS = 10  # of a case
PREVALENCE = 1 / (1 + CONTROLS)
HORIZONS = {0.0: 1.0, 3.0: 0.8, 6.0: 0.6}  # hours: share of the signal
MODELS = {"a": 1.0, "b": 1.0, "c": 1.0, "weak": 0.5}  # share of the signal
EQUAL = ("a", "b", "c")
PERSON, SET, COMMON = 0.4, 0.1, 0.6  # shares of variance: of the person, of the set, and common to models
THRESHOLD = 0.1  # of the net benefit
LEVEL = 0.95


@cache
def truth(metric: str, signal: float) -> float:
    """What a measure is in an endless study, where risks of cases lie `signal` above those of controls."""
    if metric == "auroc":
        return float(norm.cdf(signal / np.sqrt(2)))
    if metric == "concordance":  # a set shares a part, which does not separate its members
        return float(norm.cdf(signal / np.sqrt(2 * (1 - SET))))
    if metric == "auprc":

        def precision_where_found(x):
            found = PREVALENCE * norm.sf(x - signal)
            return norm.pdf(x - signal) * found / (found + (1 - PREVALENCE) * norm.sf(x))

        return float(quad(precision_where_found, -9, 12)[0])
    if metric == "sensitivity":  # at a specificity of 0.9
        return float(norm.sf(norm.ppf(0.9) - signal))
    if metric == "net_benefit":
        at = _where(THRESHOLD, signal)
        odds = THRESHOLD / (1 - THRESHOLD)
        return float(PREVALENCE * norm.sf(at - signal) - (1 - PREVALENCE) * norm.sf(at) * odds)
    if metric == "brier":

        def squares(x):
            risk = float(calibrated(np.array(x), signal))
            return (
                PREVALENCE * norm.pdf(x - signal) * (1 - risk) ** 2 + (1 - PREVALENCE) * norm.pdf(x) * risk**2
            )

        return float(quad(squares, -9, 12)[0])
    return {"observed_expected": 1.0, "calibration_intercept": 0.0, "calibration_slope": 1.0}[metric]


def calibrated(x, signal: float) -> np.ndarray:
    """The risk that goes with a standard normal score: Bayes' rule; without signal any function will do."""
    slope = signal or 1.0
    odds = np.log(PREVALENCE / (1 - PREVALENCE)) + slope * x - slope**2 / 2
    return 1 / (1 + np.exp(-odds))


def _where(risk: float, signal: float) -> float:
    """The score at which a calibrated risk is reached."""
    return float(((np.log(risk / (1 - risk)) - np.log(PREVALENCE / (1 - PREVALENCE))) / signal) + signal / 2)


def made_up(design: str, n_cases: int, signal: float, rng) -> RiskSet:
    """One study."""
    if design == "matched":
        n_persons = n_cases * (1 + CONTROLS)  # the first are the cases
        set_id = np.repeat(np.arange(n_cases), 1 + CONTROLS)
        is_case = np.tile(np.arange(1 + CONTROLS) == 0, n_cases)
        person = np.empty(len(set_id), dtype=np.int64)
        for k in range(n_cases):
            others = rng.choice(n_persons - 1, CONTROLS, replace=False)
            person[set_id == k] = [k, *(others + (others >= k))]
    else:
        n = n_cases * (1 + CONTROLS)
        person = np.where(np.arange(n) < n // 5, np.arange(n) // 2, np.arange(n))
        is_case, set_id = rng.random(n) < PREVALENCE, np.full(n, -1)
    stay, n = np.arange(len(person)), len(person)
    shares = {"person": (PERSON, person), "set": (SET, set_id), "row": (1 - PERSON - SET, stay)}
    risk = np.empty((len(MODELS), len(HORIZONS), n))
    common = _noise(shares, len(HORIZONS), rng)
    for m, of_model in enumerate(MODELS.values()):
        own = _noise(shares, len(HORIZONS), rng)
        score = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own
        for h, of_horizon in enumerate(HORIZONS.values()):
            mine = signal * of_model * of_horizon
            risk[m, h] = calibrated(score[h] + mine * is_case, mine)
    nothing, unknown, no_fold = pd.DataFrame(), np.full(n, np.nan), np.zeros(n, np.int64)
    return RiskSet(
        tuple(MODELS), np.array(list(HORIZONS)), stay, person, set_id, is_case, no_fold, unknown, unknown,
        risk, stay, is_case, 0, 0, nothing, nothing,
    )  # fmt: skip


def _noise(shares, n_horizons: int, rng) -> np.ndarray:
    """Standard normal scores (H, N), whose parts are shared by person and set; half by all horizons."""
    total = 0.0
    for share, of in shares.values():
        size = of.max() + 2  # -1, without a set, is the last
        always, each = rng.normal(size=(1, size)), rng.normal(size=(n_horizons, size))
        free = share if of.min() >= 0 else 0.0
        total = total + np.sqrt(free / 2) * (always + each)[:, of]
    spare = 1.0 - sum(share for share, of in shares.values() if of.min() >= 0)
    return total + np.sqrt(spare) * rng.normal(size=(n_horizons, len(shares["row"][1])))


def evaluated(study: RiskSet, signal: float) -> pd.DataFrame:
    """Metrics of one study, as the evaluator has them; one model and horizon for what is slow or alike."""
    how = {"n_bootstrap": 1, "level": LEVEL, "random_state": 0}
    tables = [horizon_metrics(study, **how)]
    one = replace(study, models=("a",), horizons=study.horizons[:1], risk=study.risk[:1, :1])
    tables.append(operating_metrics(one, None, **{**how, "n_bootstrap": 200}))
    if signal:
        tables += [
            calibration_metrics(one, {}, None, level=LEVEL),
            net_benefit_metrics(one, [THRESHOLD], None, level=LEVEL),
        ]
    return pd.concat(tables, ignore_index=True)


SINGLE = {  # metric: setting
    "auroc": "", "auprc": "", "concordance": "", "sensitivity": "specificity 0.9",
    "net_benefit": f"threshold {THRESHOLD:g}", "observed_expected": "", "calibration_intercept": "",
    "calibration_slope": "", "brier": "",
}  # fmt: skip


@dataclass
class Cell:
    """Runs of one design, number of cases and signal."""

    design: str
    n_cases: int
    signal: float
    found: dict[str, list[tuple]] = field(default_factory=dict)  # measure: (truth, low, high)
    claimed: dict[str, list[float]] = field(default_factory=dict)
    banded: dict[str, list[float]] = field(default_factory=dict)

    def run(self, seed: int) -> None:
        """One study more."""
        rng = np.random.default_rng([seed, self.n_cases, round(10 * self.signal), self.design == "stays"])
        metrics = evaluated(made_up(self.design, self.n_cases, self.signal, rng), self.signal)
        rows = {
            key: part
            for key, part in zip(
                zip(metrics.model, metrics.metric, metrics.setting, metrics.horizon_h, strict=True),
                metrics.itertuples(), strict=True,
            )
        }  # fmt: skip
        for metric, setting in SINGLE.items():
            row = rows.get(("a", metric, setting, 0.0))
            if row is not None:
                self.found.setdefault(metric, []).append((truth(metric, self.signal), row.low, row.high))
        for metric in ("auroc", "auprc", "concordance"):
            if ("a", metric, "", 0.0) not in rows:
                continue
            name = f"{metric}_difference"
            apart = truth(metric, self.signal) - truth(metric, self.signal / 2)
            row = rows["a - weak", name, "", 0.0]
            self.found.setdefault(f"{name}, unequal", []).append((apart, row.low, row.high))
            equal = [rows[f"{a} - {b}", name, "", 0.0] for a, b in combinations(EQUAL, 2)]
            self.found.setdefault(f"{name}, equal", []).append((0.0, equal[0].low, equal[0].high))
            p = np.array([row.p_value for row in equal])
            any_of_three = float((holm(p) < 1 - LEVEL).any())
            for kind, claim in (("a pair", float(np.mean(p < 1 - LEVEL))), ("any, Holm", any_of_three)):
                self.claimed.setdefault(f"{metric}, {kind}", []).append(claim)
            curve = [rows["a", metric, "", h] for h in HORIZONS]
            held = [
                row.band_low <= truth(metric, self.signal * part) <= row.band_high
                for row, part in zip(curve, HORIZONS.values(), strict=True)
            ]
            missing = any(np.isnan(row.band_low) for row in curve)
            self.banded.setdefault(metric, []).append(np.nan if missing else float(all(held)))

    def rows(self) -> dict[str, list[dict]]:
        """The summary of the runs."""
        where = {"design": self.design, "cases": self.n_cases, "auroc": round(truth("auroc", self.signal), 3)}
        coverage = []
        for measure, found in self.found.items():
            at, low, high = np.array(found, dtype=float).T
            there = ~np.isnan(low)
            part = at[there], low[there], high[there]
            held = (part[1] <= part[0]) & (part[0] <= part[2])
            shares = {
                "coverage": held, "above": part[1] > part[0], "below": part[2] < part[0], "missing": ~there,
            }  # fmt: skip
            shares = {k: round(float(np.mean(v)), 3) if len(v) else None for k, v in shares.items()}
            width = round(float(np.median(part[2] - part[1])), 4) if there.any() else None
            coverage.append({**where, "measure": measure, **shares, "width": width, "runs": len(found)})

        def mean(values):
            return round(float(np.nanmean(values)), 3) if not np.isnan(values).all() else None

        claims = [{**where, "measure": k, "share": mean(v), "runs": len(v)} for k, v in self.claimed.items()]
        band = [{**where, "measure": k, "coverage": mean(v), "runs": len(v)} for k, v in self.banded.items()]
        return {"coverage": coverage, "claims": claims, "band": band}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="A few runs, to see that it runs.")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
    parser.add_argument("--runs", type=int, default=RUNS, help="Studies of each kind.")
    parser.add_argument("--cases", type=int, nargs="+", default=CASES, help="Cases of a study.")
    given = parser.parse_args(arguments)
    runs = 2 if given.quick else given.runs
    printed: dict = {"coverage": [], "claims": [], "band": []}
    for design in ("matched", "stays"):
        for n_cases in given.cases:
            for signal in SIGNALS:
                cell = Cell(design, n_cases, signal)
                for seed in range(runs):
                    cell.run(seed)
                for name, rows in cell.rows().items():
                    printed[name] += rows
    printed["machine"] = {
        "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
    }  # fmt: skip
    if given.json:
        print(json.dumps(printed))
        return
    for name in ("coverage", "claims", "band"):
        print(name, pd.DataFrame(printed[name]).to_string(index=False), sep="\n")


if __name__ == "__main__":
    main()
