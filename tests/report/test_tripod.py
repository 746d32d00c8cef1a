import re

from sepsis.report.context import Results
from sepsis.report.page import FIXED
from sepsis.report.sections import sections
from sepsis.report.tripod import Item, item_map, items
from tests.report.made_up_evaluation import evaluated


def test_there_are_27_items_with_52_parts_in_order():
    assert len(items()) == 52
    whole = [int(re.match(r"\d+", item.number)[0]) for item in items()]
    assert sorted(set(whole)) == list(range(1, 28))
    assert whole == sorted(whole)
    assert len({item.number for item in items()}) == 52


def test_every_item_points_to_a_part_of_the_page_or_says_why_not():
    everything = evaluated()
    results = Results.of(everything)
    names = {section.name for section in sections(results)} | set(FIXED)
    for item in items():
        assert item.remark, item.number
        assert item.section in names | {""}, item.number


def test_an_item_whose_part_has_nothing_to_show_says_so():
    by = {item.number: item for item in item_map({"flow", "manifest"}, {"alarms"})}
    assert by["15"].remark == "not available for these scores; see the section"
    assert by["20a"].section == "flow"
    assert by["26"] == Item("26", by["26"].topic, "not on this page")
