"""The table of Vincent et al. 1996, band by band."""

import numpy as np
import pytest

from sepsis.labels import (
    cardiovascular_points,
    cns_points,
    coagulation_points,
    liver_points,
    renal_points,
    respiration_points,
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
    given = (np.array([pf]), np.array([GAP])) if ventilated else (np.array([GAP]), np.array([pf]))
    assert respiration_points(*given) == [points]


@pytest.mark.parametrize(("pf", "points"), [(400, 0), (399, 0), (250, 0), (200, 0), (199, 3), (99, 4)])
def test_the_reference_code_gives_a_ventilated_patient_nothing_between_200_and_400(pf, points):
    assert respiration_points(np.array([pf]), np.array([GAP]), ventilated_pf_200_400=False) == [points]


def test_the_worse_of_ventilated_and_unventilated_counts():
    ventilated, unventilated = np.array([120.0, 450.0, 320.0]), np.array([68.0, 250.0, GAP])
    assert list(respiration_points(ventilated, unventilated)) == [3, 2, 1]


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
    drugs = {d: np.array([GAP]) for d in ("norepinephrine", "epinephrine", "dopamine", "dobutamine")}
    assert cardiovascular_points(np.array([90.0]), **(drugs | {drug: np.array([rate])})) == [points]


@pytest.mark.parametrize(("pressure", "points"), [(70, 0), (69.9, 1), (30, 1)])
def test_a_low_pressure_alone_is_one_point(pressure, points):
    gap = np.array([GAP])
    assert cardiovascular_points(np.array([pressure]), gap, gap, gap, gap) == [points]


@pytest.mark.parametrize(
    ("creatinine", "urine", "points"),
    [
        (1.1, GAP, 0), (1.2, GAP, 1), (1.9, GAP, 1), (2.0, GAP, 2), (3.4, GAP, 2), (3.5, GAP, 3),
        (4.9, GAP, 3), (5.0, GAP, 4), (GAP, 500, 0), (GAP, 499, 3), (GAP, 200, 3), (GAP, 199, 4),
        (GAP, 0, 4), (2.0, 300, 3), (5.0, 900, 4),
    ],
)  # fmt: skip
def test_creatinine_in_mg_per_dl_or_urine_in_ml_per_day(creatinine, urine, points):
    assert renal_points(np.array([creatinine]), np.array([urine])) == [points]


def test_nothing_measured_scores_nothing_at_all():
    gap = np.array([GAP])
    for points in (
        coagulation_points(gap),
        liver_points(gap),
        cns_points(gap),
        respiration_points(gap, gap),
        cardiovascular_points(gap, gap, gap, gap, gap),
        renal_points(gap, gap),
    ):
        assert np.isnan(points).all()
