"""What every test can ask for, and which folders hold slow tests."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
SLOW_FOLDERS = {
    "benchmarks",
    "chaos",
    "engines",
    "malformed",
    "privacy",
}  # single slow tests carry the marker


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of slow folders, so that `make test` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in SLOW_FOLDERS:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def shared():
    """`shared("data/mimic-iii-demo")`: a path of the open data beside the checkout, or a skip."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"open data not found beside the checkout: shared/{relative}")
        return path

    return find
