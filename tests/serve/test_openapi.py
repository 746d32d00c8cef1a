"""The service held to its own OpenAPI by generated requests, all checks of schemathesis."""

import pandas as pd
import schemathesis
from hypothesis import HealthCheck, settings

from sepsis.models.artifact.read import Trained
from sepsis.models.baselines.logistic import Logistic
from sepsis.serve.app import make_app
from sepsis.serve.service import Service
from sepsis.serve.settings import Limits
from tests.models.made_up import made_up_windows

TOKEN = "a-token-of-more-than-16"
CODES = {
    ("get", "/model"): {"200"},
    ("post", "/score"): {"200", "422"},
    ("post", "/stays/{stay_id}/events"): {"200", "409", "422", "429"},
    ("get", "/stays/{stay_id}"): {"200", "404", "422"},
    ("delete", "/stays/{stay_id}"): {"200", "404", "422"},
}


def make():
    trained = Trained(Logistic().fit(*made_up_windows(20, 1)), pd.DataFrame(), {"definition": "moor2019"})
    return make_app(Service(trained, Limits(max_stays=5000)), TOKEN)


APP = make()
# what OpenAPI cannot say (a unit that goes with its variable, a stay named twice) is answered 422, and
# a full house 429
CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "404", "409", "422", "429"]}
        },
        "generation": {"deterministic": True, "no-shrink": True},
    }
)
schema = schemathesis.openapi.from_dict(APP.openapi(), config=CONFIG)
schema.app = APP


@schema.auth()
class Bearer:
    """Schemathesis leaves it out again where it asks without a token."""

    def get(self, case, context):
        return TOKEN

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schema.parametrize()
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_openapi_says(case):
    case.call_and_validate()


def test_every_answer_that_can_occur_is_declared():
    paths = APP.openapi()["paths"]
    always = {"400", "401", "408", "413", "500", "503"}
    found = {
        (method, path): set(one["responses"]) for path, of in paths.items() for method, one in of.items()
    }
    assert found.pop(("get", "/health")) == {"200", "400", "500"}
    assert found == {key: codes | always for key, codes in CODES.items()}
    for method, path in found:
        assert paths[path][method]["responses"]["503"]["headers"].keys() == {"Retry-After"}


class TestOneAfterTheOther(schema.as_state_machine().TestCase):
    """The same checks where requests follow from each other's answers, as far as schemathesis links them."""

    settings = settings(
        max_examples=25, stateful_step_count=6, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
