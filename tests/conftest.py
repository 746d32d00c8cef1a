"""What every test can ask for."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """`shared("data/mimic-iii-demo")`: a path of the open data beside the checkout, or a skip."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"open data not found beside the checkout: shared/{relative}")
        return path

    return find
