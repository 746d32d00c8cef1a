"""Bedside scores as comparators, by their published rules: SIRS, qSOFA, NEWS2, and SOFA read off a window."""

from __future__ import annotations

import numpy as np

from sepsis.cohort.windows import Windows
from sepsis.models.baselines.bedside_score import ClinicalScore, above, either, met, steps
from sepsis.models.baselines.windows import (
    filled_value,
    highest_value,
    is_any,
    last_value,
    lowest_of,
    lowest_value,
    owners,
    total_value,
    value_in_force,
)

GCS = {"gcs_verbal": 5.0, "gcs_motor": 6.0, "gcs_eye": 4.0}  # each part's normal value
VENTILATOR = ("tidal_volume_set", "peak_insp_pressure", "total_peep")  # charted for ventilated patients
SILENT = 1.0  # verbal response: none
DRUGS = {  # SOFA points of a rate, in mcg/kg/min, above these edges
    "norepinephrine": ((0.0, 0.1), (0, 3, 4)),
    "epinephrine": ((0.0, 0.1), (0, 3, 4)),
    "dopamine": ((0.0, 5.0, 15.0), (0, 2, 3, 4)),
    "dobutamine": ((0.0,), (0, 2)),
}


class SIRS(ClinicalScore):
    """
    Criteria of the systemic inflammatory response syndrome, 0 to 4 points.

    One point each: temperature above 38 or below 36 degC; heart rate above 90/min; respiratory rate above
    20/min or PaCO2 below 32 mmHg; white cells above 12 or below 4 x 10^9/L or more than 10 % bands.
    The last vital sign counts for `vital_h` hours, the last laboratory value for `lab_h`.

    Bone et al., Chest 101 (1992) 1644-1655, doi:10.1378/chest.101.6.1644.
    """

    name = "sirs"
    reads = ("temperature", "heart_rate", "resp_rate", "pco2", "wbc", "bands")
    components = ("temperature", "heart rate", "respiration", "white cells")
    rule = (
        "SIRS criteria met, of four (Bone et al. 1992, doi:10.1378/chest.101.6.1644), each by the last value."
        " PaCO2 may be of venous blood."
    )

    def __init__(self, vital_h: float = 12.0, lab_h: float = 24.0):
        self.vital_h = vital_h
        self.lab_h = lab_h

    def points(self, X: Windows) -> np.ndarray:
        temperature = _to_tenths(last_value(X, "temperature", hours=self.vital_h))
        heart_rate = last_value(X, "heart_rate", hours=self.vital_h)
        resp_rate = last_value(X, "resp_rate", hours=self.vital_h)
        pco2, wbc, bands = (last_value(X, name, hours=self.lab_h) for name in ("pco2", "wbc", "bands"))
        return np.stack(
            [
                either(met(temperature, temperature > 38.0), met(temperature, temperature < 36.0)),
                met(heart_rate, heart_rate > 90.0),
                either(met(resp_rate, resp_rate > 20.0), met(pco2, pco2 < 32.0)),
                either(met(wbc, (wbc > 12.0) | (wbc < 4.0)), met(bands, bands > 10.0)),
            ],
            axis=1,
        )


class QSOFA(ClinicalScore):
    """
    Quick SOFA, 0 to 3 points.

    One point each: respiratory rate of at least 22/min; systolic pressure of at most 100 mmHg; Glasgow coma
    scale below 15. The last value of each counts for `vital_h` hours.

    Singer et al., JAMA 315 (2016) 801-810, doi:10.1001/jama.2016.0287.
    """

    name = "qsofa"
    reads = ("resp_rate", "sbp", *GCS, *VENTILATOR)
    components = ("respiration", "systolic pressure", "consciousness")
    rule = (
        "qSOFA (Singer et al. 2016, doi:10.1001/jama.2016.0287), each part by the last value. Altered"
        " mentation is a coma scale below 15; a part of the scale that was not charted counts as normal. The"
        " scale of a patient with no verbal response on a ventilator counts as missing."
    )

    def __init__(self, vital_h: float = 12.0):
        self.vital_h = vital_h

    def points(self, X: Windows) -> np.ndarray:
        resp_rate, sbp = (last_value(X, name, hours=self.vital_h) for name in ("resp_rate", "sbp"))
        gcs = _last_gcs(X, self.vital_h)
        return np.stack(
            [met(resp_rate, resp_rate >= 22.0), met(sbp, sbp <= 100.0), met(gcs, gcs < 15.0)], axis=1
        )


class NEWS2(ClinicalScore):
    """
    National Early Warning Score 2, 0 to 20 points, SpO2 on its first scale.

    Values are rounded as they are charted: temperature to tenths, all else to whole numbers. The last value
    of each counts for `vital_h` hours; 12 h is the longest time between observations that the score allows.

    Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017,
    https://www.rcp.ac.uk/resources/national-early-warning-score-news-2/.
    """

    name = "news2"
    reads = (
        "resp_rate",
        "spo2",
        "fio2_chart",
        "o2_flow",
        "sbp",
        "heart_rate",
        "temperature",
        *GCS,
        *VENTILATOR,
    )
    components = (
        "respiration", "oxygen saturation", "oxygen given", "systolic pressure", "pulse", "consciousness",
        "temperature",
    )  # fmt: skip
    rule = (
        "NEWS2 (Royal College of Physicians, London 2017), each part by the last value. SpO2 is on scale 1"
        " for all patients: hypercapnic failure is not known. Oxygen is given if FiO2 is above 21 % or a"
        " flow is charted. A coma scale below 15 counts as not alert; with no verbal response on a"
        " ventilator it counts as missing; new confusion is not charted."
    )

    def __init__(self, vital_h: float = 12.0):
        self.vital_h = vital_h

    def points(self, X: Windows) -> np.ndarray:
        whole = ("resp_rate", "spo2", "sbp", "heart_rate", "fio2_chart")
        resp, spo2, sbp, pulse, fio2 = (
            np.floor(last_value(X, name, hours=self.vital_h) + 0.5) for name in whole
        )
        flow = last_value(X, "o2_flow", hours=self.vital_h)
        temperature = _to_tenths(last_value(X, "temperature", hours=self.vital_h))
        gcs = _last_gcs(X, self.vital_h)
        return np.stack(
            [
                steps(resp, (9, 12, 21, 25), (3, 1, 0, 2, 3)),
                steps(spo2, (92, 94, 96), (3, 2, 1, 0)),
                2.0 * either(met(fio2, fio2 > 21.0), met(flow, flow > 0.0)),
                steps(sbp, (91, 101, 111, 220), (3, 2, 1, 0, 3)),
                steps(pulse, (41, 51, 91, 111, 131), (3, 1, 0, 1, 2, 3)),
                3.0 * met(gcs, gcs < 15.0),
                steps(temperature, (35.1, 36.1, 38.1, 39.1), (3, 1, 0, 1, 2)),
            ],
            axis=1,
        )


class WindowSOFA(ClinicalScore):
    """
    SOFA as far as a window shows it, 0 to 24 points: a circular comparator.

    The worst values of the last `worst_h` hours count; drugs by their highest rate. Ventilator settings
    show that a patient is ventilated. A blood gas without an FiO2 in the same hours is left out; urine
    counts once the window is long enough.

    Vincent et al., Intensive Care Med 22 (1996) 707-710, doi:10.1007/BF01709751.
    """

    name = "sofa"
    reads = (
        "po2", "fio2_chart", "fio2_lab", *VENTILATOR, "platelets", "bilirubin_total", "map", *DRUGS, *GCS,
        "creatinine", "urine_output",
    )  # fmt: skip
    components = ("respiration", "coagulation", "liver", "cardiovascular", "cns", "renal")
    rule = (
        "SOFA (Vincent et al. 1996, doi:10.1007/BF01709751) by the worst values in the window. Left out:"
        " urine of the first day, and whether a gas was arterial. Ventilator settings show that a patient is"
        " ventilated; with no verbal response then, the coma scale is 15."
    )

    def __init__(self, worst_h: float = 24.0):
        self.worst_h = worst_h

    def points(self, X: Windows) -> np.ndarray:
        hours = self.worst_h
        renal = np.fmax(
            steps(highest_value(X, "creatinine", hours=hours), (1.2, 2.0, 3.5, 5.0), (0, 1, 2, 3, 4)),
            steps(self._urine_ml_day(X), (200.0, 500.0), (4, 3, 0)),
        )
        return np.stack(
            [
                self._respiration(X),
                steps(lowest_value(X, "platelets", hours=hours), (20, 50, 100, 150), (4, 3, 2, 1, 0)),
                steps(highest_value(X, "bilirubin_total", hours=hours), (1.2, 2, 6, 12), (0, 1, 2, 3, 4)),
                self._cardiovascular(X),
                steps(self._lowest_gcs(X), (6, 10, 13, 15), (4, 3, 2, 1, 0)),
                renal,
            ],
            axis=1,
        )

    def _respiration(self, X: Windows) -> np.ndarray:
        """Points of the lowest PaO2/FiO2; 3 and 4 only for ventilated patients."""
        fio2 = filled_value(X, "fio2_chart", "fio2_lab", hours=self.worst_h)
        owner = owners(X)
        gas = is_any(X, ("po2",)) & (X.time_h > X.end_h[owner] - self.worst_h)
        ratio = lowest_of(X, owner[gas], X.value[gas] / (fio2[gas] / 100.0))
        ventilated = ~np.isnan(last_value(X, *VENTILATOR, hours=self.worst_h))
        points = steps(ratio, (100.0, 200.0, 300.0, 400.0), (4, 3, 2, 1, 0))
        return np.where(ventilated, points, np.minimum(points, 2.0))

    def _cardiovascular(self, X: Windows) -> np.ndarray:
        points = steps(lowest_value(X, "map", hours=self.worst_h), (70,), (1, 0))
        for drug, (edges, per_band) in DRUGS.items():
            begun = highest_value(X, drug, hours=self.worst_h)
            rate = np.fmax(begun, value_in_force(X, drug, hours=self.worst_h))
            points = np.fmax(points, above(rate, edges, per_band))
        return points

    def _lowest_gcs(self, X: Windows) -> np.ndarray:
        """Lowest total at any charting; parts are carried forward, and one never charted is normal."""
        owner = owners(X)
        at = is_any(X, tuple(GCS)) & (X.time_h > X.end_h[owner] - self.worst_h)
        total = np.zeros(int(at.sum()))
        silent = np.zeros(len(total), bool)
        for part, normal in GCS.items():
            held = filled_value(X, part, hours=self.worst_h)[at]
            total += np.where(np.isnan(held), normal, held)
            if part == "gcs_verbal":
                silent = (held == SILENT) & ~np.isnan(filled_value(X, *VENTILATOR, hours=self.worst_h)[at])
        return lowest_of(X, owner[at], np.where(silent, 15.0, total))

    def _urine_ml_day(self, X: Windows) -> np.ndarray:
        """Urine of the last `worst_h` hours, per day; NaN unless the window holds them."""
        urine = total_value(X, "urine_output", hours=self.worst_h) * 24.0 / self.worst_h
        return np.where(X.end_h - X.start_h >= self.worst_h, urine, np.nan)


def _last_gcs(X: Windows, hours: float) -> np.ndarray:
    """
    Coma scale from the last value of each part, shape (B,).

    NaN where no part was charted, or a ventilated patient has no verbal response: the tube and sedation
    hide it.
    """
    parts = np.stack([last_value(X, name, hours=hours) for name in GCS], axis=1)
    total = np.where(np.isnan(parts), list(GCS.values()), parts).sum(axis=1)
    silent = (parts[:, 0] == SILENT) & ~np.isnan(last_value(X, *VENTILATOR, hours=hours))
    return np.where(np.isnan(parts).all(axis=1) | silent, np.nan, total)


def _to_tenths(value: np.ndarray) -> np.ndarray:
    """As charted: 100.4 degF must not exceed 38 degC by rounding."""
    return np.round(value, 1)
