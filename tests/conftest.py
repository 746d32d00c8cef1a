"""What every test can ask for."""

from pathlib import Path

import pandas as pd
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


def table(text: str) -> pd.DataFrame:
    """
    A table that a clinician can read: columns between bars, comments after `#`.

    Empty cells are gaps; numbers become numbers.
    """
    rows = [line.split("#")[0].strip() for line in text.strip().splitlines()]
    rows = [r for r in rows if r and set(r) - set("-+|= ")]
    head, *body = ([c.strip() for c in r.split("|")] for r in rows)
    frame = pd.DataFrame(body, columns=head).replace({"": None})
    for name in frame:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except (ValueError, TypeError):
            continue
    return frame
