"""A service around a small model, asked in process."""

import pandas as pd
import pytest
from starlette.testclient import TestClient

from sepsis.models.artifact.read import Trained
from sepsis.models.baselines.logistic import Logistic
from sepsis.serve.app import make_app
from sepsis.serve.service import Service
from sepsis.serve.settings import Limits
from tests.models.made_up import made_up_windows

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def trained():
    model = Logistic().fit(*made_up_windows(40, 1))
    return Trained(model, pd.DataFrame(), {"definition": "moor2019"})


@pytest.fixture
def serve(trained):
    """`serve(token=..., state=..., **limits)`: a client of a new service."""
    clients = []

    def start(token=None, state=None, base_url=HERE, **limits):
        client = TestClient(make_app(Service(trained, Limits(**limits), state), token), base_url=base_url)
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def client(serve):
    return serve()
