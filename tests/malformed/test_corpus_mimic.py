"""Damaged tables of MIMIC-III and MIMIC-IV: each ends as recorded under `expected/`."""

import pytest

from tests.malformed.corpus import chosen, expected

CASES = [(kind, case) for kind in ("mimic_iii", "mimic_iv") for case in chosen(kind)]


@pytest.mark.parametrize(("kind", "case"), CASES, ids=[f"{kind}: {case.name}" for kind, case in CASES])
def test_a_damage_ends_in_a_message_or_is_counted(sound, tmp_path, kind, case):
    assert sound(kind).ended(case, tmp_path / "case") == expected(kind)[case.name]
