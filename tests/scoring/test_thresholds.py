"""Stored thresholds have the rates that the evaluation gives them."""

import numpy as np
import pytest

from sepsis.calibration.thresholds import choose_thresholds
from sepsis.evaluation.discrimination import Ranking
from sepsis.evaluation.operating_points import operating_points
from sepsis.models.artifact.operating import learn_operating, operating_from


@pytest.mark.parametrize("digits", [1, 6])
def test_a_threshold_has_the_rates_that_the_evaluation_gives_its_limit(digits):
    rng = np.random.default_rng(0)
    is_case = rng.random(300) < 0.3
    risk = np.round(np.clip(rng.normal(0.4 + 0.2 * is_case, 0.2), 0, 1), digits)
    found = operating_points(Ranking.of(is_case, risk), np.arange(300), np.ones((1, 300), np.int64))
    for one in choose_thresholds(is_case, risk):
        key = (one.kind, one.limit)
        assert one.sensitivity == pytest.approx(found.sensitivity[key][0])
        assert one.false_positive_rate == pytest.approx(found.false_positive_rate[key][0])
        alerts = np.zeros(300, bool) if one.threshold is None else risk >= one.threshold
        assert one.sensitivity == pytest.approx(alerts[is_case].mean())


@pytest.mark.parametrize("spread", [1e-1, 1e-5, 5e-6, 1e-7, 0.0])
def test_stored_calibrators_and_thresholds_are_read_again(spread):
    rng = np.random.default_rng(0)
    is_case = rng.random(400) < 0.3
    made = learn_operating(is_case, 0.05 * (1.0 + spread * (rng.normal(size=400) + 2 * is_case)), (0.0,))
    found = operating_from(made.as_json(), "operating.json")
    assert found.as_json() == made.as_json()
    assert (made.calibrator is None) == bool(made.why_none) == (spread < 1e-5)
