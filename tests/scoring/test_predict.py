"""A risk is the same whether it is asked for at a horizon or hour by hour."""

import pandas as pd
import pytest

from sepsis.scoring.predict import score_horizons, score_hourly
from tests.audit.made_up import made_up_case


def test_a_late_reference_has_the_whole_lookback_at_every_horizon():
    model = made_up_case().model
    # at hour 223 the only lactate is 197 h old; at the reference, hour 230, it is too old
    charted = [
        (26.0, "lactate", 150.0),
        *((float(hour), "heart_rate", 80.0 + hour) for hour in range(1, 240)),
    ]
    events = pd.DataFrame(charted, columns=["time_h", "concept", "value"]).assign(stay_id=1)
    member = {"set_id": 1, "stay_id": 1, "subject_id": 1, "is_case": True, "split": "test", "fold": 0}
    members = pd.DataFrame([member | {"reference_h": 230.0, "n_at_risk": 1}])
    at_horizons = score_horizons(model, events, members, horizons=(0.0, 7.0)).set_index("time_h").risk
    hourly = score_hourly(model, events, pd.DataFrame([{"stay_id": 1, "subject_id": 1, "stay_h": 240.0}]))
    hourly = hourly.set_index("time_h").risk
    assert at_horizons.index.tolist() == [230.0, 223.0]
    assert at_horizons.to_numpy() == pytest.approx(hourly[at_horizons.index].to_numpy(), abs=1e-12)
