"""The items of TRIPOD+AI (`data_schema/tripod_ai.toml`), and the section of the page that reports each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache

from sepsis.core.schema import read_toml


@dataclass(frozen=True)
class Item:
    """
    One item or part of an item.

    `section` is the section of the page that reports it, "" if none does. `remark`: what is reported there,
    or why nothing is.
    """

    number: str
    topic: str
    remark: str
    section: str = ""


@cache
def items() -> tuple[Item, ...]:
    """All items, in the order of the statement."""
    return tuple(Item(**item) for item in read_toml("tripod_ai")["item"])


def item_map(shown: Collection[str], missing: Collection[str]) -> list[Item]:
    """
    The items as this page reports them.

    An item of a section in `missing` says so; an item whose section does not exist is not on the page.
    """
    reported = []
    for item in items():
        if item.section in missing:
            reported.append(replace(item, remark="not available for these scores; see the section"))
        elif item.section in shown or not item.section:
            reported.append(item)
        else:
            reported.append(replace(item, section="", remark="not on this page"))
    return reported
