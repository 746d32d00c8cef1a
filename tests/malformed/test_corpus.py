"""The corpus as a whole, and that it notices."""

from pathlib import Path

import pytest

from tests.malformed.cases import Case
from tests.malformed.checked import DOCUMENTED
from tests.malformed.corpus import KINDS, NO_DAMAGE, chosen, expected, named


def test_there_are_five_hundred_cases_and_each_has_its_end_written_down():
    assert sum(len(chosen(kind)) for kind in KINDS) >= 500
    for kind in KINDS:
        assert list(expected(kind)) == [NO_DAMAGE.name, *(case.name for case in named(kind))]


def test_every_end_that_is_written_down_is_a_documented_one():
    ends = [end for kind in KINDS for end in expected(kind).values()]
    assert {end.code for end in ends} <= DOCUMENTED
    assert all(end.said for end in ends)
    refused = [end for end in ends if end.code]
    assert len(refused) > len(ends) / 2, "most malformed inputs should be refused"


def test_no_damage_changes_nothing_and_a_damage_of_the_output_is_noticed(sound, tmp_path):
    world = sound("physionet_2019")
    assert world.ended(NO_DAMAGE, tmp_path / "sound") == expected("physionet_2019")[NO_DAMAGE.name]

    def litter(copy: Path) -> None:
        (copy.parent / "stray").mkdir()

    with pytest.raises(AssertionError, match="left behind"):
        world.ended(Case("left", litter), tmp_path / "left")
