import pytest
import torch

from tests.models.networks.tiny_network import labelled


@pytest.fixture(scope="session")
def train():
    return labelled(50, 0)


@pytest.fixture(scope="session")
def held():
    return labelled(30, 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
