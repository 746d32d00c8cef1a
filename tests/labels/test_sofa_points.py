"""The table of Vincent et al. 1996, band by band."""

import numpy as np
import pytest

from sepsis.labels.sofa import Evidence, deciding
from sepsis.labels.sofa_points import (
    cns_points,
    coagulation_points,
    creatinine_points,
    drug_points,
    liver_points,
    pressure_points,
    unventilated_points,
    urine_points,
    ventilated_points,
)

GAP = np.nan


@pytest.mark.parametrize(
    ("platelets", "points"),
    [(400, 0), (150, 0), (149.9, 1), (100, 1), (99.9, 2), (50, 2), (49.9, 3), (20, 3), (19.9, 4), (1, 4)],
)
def test_platelets_in_10_9_per_litre_below_150_100_50_20(platelets, points):
    assert coagulation_points(np.array([platelets])) == [points]


@pytest.mark.parametrize(
    ("bilirubin", "points"),
    [(0.3, 0), (1.1, 0), (1.2, 1), (1.9, 1), (2.0, 2), (5.9, 2), (6.0, 3), (11.9, 3), (12.0, 4), (40, 4)],
)
def test_bilirubin_in_mg_per_dl_from_1_2_2_6_12(bilirubin, points):
    assert liver_points(np.array([bilirubin])) == [points]


@pytest.mark.parametrize(
    ("gcs", "points"), [(15, 0), (14, 1), (13, 1), (12, 2), (10, 2), (9, 3), (6, 3), (5, 4), (3, 4)]
)
def test_coma_scale_15_then_13_10_6(gcs, points):
    assert cns_points(np.array([gcs])) == [points]


@pytest.mark.parametrize(
    ("pf", "ventilated", "points"),
    [
        (400, False, 0), (399, False, 1), (300, False, 1), (299, False, 2), (99, False, 2),
        (400, True, 0), (399, True, 1), (300, True, 1), (299, True, 2), (200, True, 2), (199, True, 3),
        (100, True, 3), (99, True, 4),
    ],
)  # fmt: skip
def test_oxygenation_needs_a_ventilator_for_three_points(pf, ventilated, points):
    score = ventilated_points if ventilated else unventilated_points
    assert score(np.array([pf])) == [points]


@pytest.mark.parametrize(("pf", "points"), [(400, 0), (399, 0), (250, 0), (200, 0), (199, 3), (99, 4)])
def test_the_reference_code_gives_a_ventilated_patient_nothing_between_200_and_400(pf, points):
    assert ventilated_points(np.array([pf]), ventilated_pf_200_400=False) == [points]


@pytest.mark.parametrize(
    ("first", "second", "points", "decided"),
    [
        ((ventilated_points, [120, 450, 320]), (unventilated_points, [68, 250, GAP]), [3, 2, 1], [0, 1, 0]),
        ((creatinine_points, [2.0, 5.0, GAP]), (urine_points, [300, 900, 900]), [3, 4, 0], [1, 0, 1]),
    ],
)
def test_of_two_measurements_of_an_organ_the_one_with_most_points_counts(first, second, points, decided):
    values = [(score, np.array(value, float)) for score, value in (first, second)]
    which, worst = deciding([Evidence("", value, value, score(value)) for score, value in values])
    assert list(worst.points) == points
    assert list(which) == decided


@pytest.mark.parametrize(
    ("drug", "rate", "points"),
    [
        ("norepinephrine", 0.0, 0), ("norepinephrine", 0.001, 3), ("norepinephrine", 0.1, 3),
        ("norepinephrine", 0.11, 4), ("epinephrine", 0.0, 0), ("epinephrine", 0.1, 3),
        ("epinephrine", 0.2, 4), ("dopamine", 0.0, 0), ("dopamine", 5.0, 2), ("dopamine", 5.1, 3),
        ("dopamine", 15.0, 3), ("dopamine", 15.1, 4), ("dobutamine", 0.0, 0), ("dobutamine", 20.0, 2),
    ],
)  # fmt: skip
def test_vasoactive_drugs_in_mcg_per_kg_and_minute(drug, rate, points):
    assert drug_points(np.array([rate]), drug) == [points]


@pytest.mark.parametrize(("pressure", "points"), [(70, 0), (69.9, 1), (30, 1)])
def test_a_low_pressure_alone_is_one_point(pressure, points):
    assert pressure_points(np.array([pressure])) == [points]


@pytest.mark.parametrize(
    ("creatinine", "points"),
    [(1.1, 0), (1.2, 1), (1.9, 1), (2.0, 2), (3.4, 2), (3.5, 3), (4.9, 3), (5.0, 4)],
)
def test_creatinine_in_mg_per_dl(creatinine, points):
    assert creatinine_points(np.array([creatinine])) == [points]


@pytest.mark.parametrize(("urine", "points"), [(500, 0), (499, 3), (200, 3), (199, 4), (0, 4)])
def test_urine_in_ml_per_day(urine, points):
    assert urine_points(np.array([urine])) == [points]


@pytest.mark.parametrize(
    "score",
    [
        ventilated_points, unventilated_points, coagulation_points, liver_points, pressure_points, cns_points,
        creatinine_points, urine_points, lambda rate: drug_points(rate, "dopamine"),
    ],
)  # fmt: skip
def test_a_value_that_was_not_measured_has_no_points(score):
    assert np.isnan(score(np.array([GAP]))).all()
