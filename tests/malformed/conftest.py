"""The sound input of each kind, made once."""

import pytest

from tests.malformed.corpus import KINDS, Sound


@pytest.fixture(scope="session")
def sound(shared, tmp_path_factory):
    """`sound("mimic_iii")`: cut from the open data, or a skip."""
    made = {}

    def of(kind: str) -> Sound:
        if kind not in made:
            for path in KINDS[kind].needs:
                shared(path)
            made[kind] = Sound(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return of
