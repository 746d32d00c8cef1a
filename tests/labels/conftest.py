"""Events of the open demos, read once for all tests of labels."""

import pytest

from sepsis.events import extract_events
from sepsis.sources import open_export


@pytest.fixture(scope="session")
def demo_iii(shared):
    return extract_events(open_export(shared("data/mimic-iii-demo")))


@pytest.fixture(scope="session")
def demo_iv(shared):
    return extract_events(open_export(shared("data/mimic-iv-demo")))
