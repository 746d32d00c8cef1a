import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.evaluation.net_benefit import decision_curve, net_benefit, net_benefit_metrics
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study
from tests.oracles import evaluation as oracle


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=30).filter(
        lambda rows: len({c for c, _ in rows}) == 2
    ),
    threshold=st.integers(1, 9),
    prevalence=st.sampled_from([None, 0.02, 0.5]),
)
def test_net_benefit_is_cases_found_less_false_alarms_at_their_price(rows, threshold, prevalence):
    is_case, risk = map(list, zip(*rows, strict=True))
    risk, threshold = [r / 10 for r in risk], threshold / 10
    weight = None if prevalence is None else Target(prevalence, "", 0.3).weights(is_case)
    found = net_benefit(is_case, risk, threshold, weight)
    assert found == pytest.approx([oracle.net_benefit(is_case, risk, threshold, prevalence)])


def test_acting_on_everybody_gains_nothing_at_the_prevalence_and_loses_above_it():
    is_case, everybody = np.arange(10) < 2, np.ones(10)
    assert net_benefit(is_case, everybody, [0.1, 0.2, 0.5]) == pytest.approx([0.2 - 0.8 / 9, 0, -0.6])


def test_a_perfect_risk_gains_the_prevalence_at_every_threshold():
    is_case = np.arange(10) < 2
    assert net_benefit(is_case, is_case.astype(float), [0.01, 0.5, 0.99]) == pytest.approx(0.2)


def test_the_table_holds_what_the_curve_draws():
    risk_set = constant_risk_set(*study())
    found = net_benefit_metrics(risk_set, (0.1, 0.2), None, level=0.95)
    curve = decision_curve(risk_set, None)
    assert set(curve.model) == {"mgp_tcn", "clock", "treat all", "treat none"}
    for metric, name in (("net_benefit", None), ("net_benefit_treat_all", "treat all")):
        for row in found[found.metric == metric].itertuples():
            drawn = curve[
                (curve.model == (name or row.model))
                & (curve.horizon_h == row.horizon_h)
                & np.isclose(curve.threshold, float(row.setting.removeprefix("threshold ")))
            ]
            assert drawn.net_benefit.item() == pytest.approx(row.estimate)
    intervals = found[found.metric == "net_benefit"]
    assert ((intervals.low <= intervals.estimate) & (intervals.estimate <= intervals.high)).all()
    assert (curve[curve.model == "treat none"].net_benefit == 0).all()
