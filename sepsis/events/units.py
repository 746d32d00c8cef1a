"""From an export's items and units to the vocabulary's: small rule tables, joined to the raw rows."""

from __future__ import annotations

import ibis
import pandas as pd

from sepsis.events.vocabulary import Concept, Vocabulary

KEPT = "kept"
UNKNOWN_UNIT = "unknown unit"
OUTSIDE = "outside the stays"
NO_TIME = "no time"
NO_NUMBER = "no number"
IMPLAUSIBLE = "implausible"
OTHER_TEXT = "text does not count"


def normal(unit: str) -> str:
    """A unit as units are compared, lower case and without blanks: "mm Hg" is "MMHG"."""
    return unit.lower().replace(" ", "")


def item_rules(concepts: list[Concept], kind: str, table: str) -> pd.DataFrame:
    """
    Items in one raw table, a row per item and concept: item, number (position in `concepts`), unit_of, unit,
    low, high, with_low, with_high, fraction, is_text, is_mark, is_blank, is_verbatim, text_rule ("any", "in"
    or "not in").
    """
    rows = []
    for number, c in enumerate(concepts):
        for item in c.keys(kind, table):
            text_rule = "in" if item in c.text_in else "not in" if item in c.text_not_in else "any"
            bounds = (c.plausible.low, c.plausible.high, c.plausible.with_low, c.plausible.with_high)
            own_unit = normal(c.unit_of[item]) if item in c.unit_of else None
            flags = (c.fraction, c.text, c.mark, c.blank, c.verbatim)
            rows.append((item, number, own_unit, normal(c.unit), *bounds, *flags, text_rule))
    frame = pd.DataFrame(rows, columns=list(_RULES))
    return frame.astype({"item": "str", "unit_of": "str", "unit": "str", "text_rule": "str"})


_RULES = {
    "item": "string", "number": "int16", "unit_of": "string", "unit": "string", "low": "float64",
    "high": "float64", "with_low": "boolean", "with_high": "boolean", "fraction": "boolean",
    "is_text": "boolean", "is_mark": "boolean", "is_blank": "boolean", "is_verbatim": "boolean",
    "text_rule": "string",
}  # fmt: skip


_UNITS = {
    "number": "int16", "spelling": "string", "factor": "float64", "offset": "float64",
    "per_weight": "boolean",
}  # fmt: skip


def unit_rules(vocabulary: Vocabulary, concepts: list[Concept]) -> pd.DataFrame:
    """
    Conversion of each spelling of each unit to the concept's own, itself included (factor 1, offset 0):
    number, spelling, factor, offset, per_weight.
    """
    rows = []
    for number, c in enumerate(concepts):
        units = {c.unit: (1.0, 0.0), **{unit: (1.0, 0.0) for unit in c.same_unit}, **c.convert}
        for unit, (factor, offset) in units.items():
            for spelling in (unit, *vocabulary.spellings.get(unit, ())):
                per_weight = unit in vocabulary.per_weight and c.unit == "mcg/kg/min"
                rows.append((number, normal(spelling), factor, offset, per_weight))
    frame = pd.DataFrame(rows, columns=list(_UNITS))
    return frame.astype({"spelling": "str"}).drop_duplicates(["number", "spelling"])


def text_rules(concepts: list[Concept]) -> pd.DataFrame:
    """Texts that include or exclude a row: number, item, listed."""
    rows = [
        (number, item, text if concept.verbatim else text.strip())
        for number, concept in enumerate(concepts)
        for texts in (concept.text_in, concept.text_not_in)
        for item, listed in texts.items()
        for text in listed
    ]
    return pd.DataFrame(rows, columns=["number", "item", "listed"]).astype({"item": "str", "listed": "str"})


def harmonise(
    raw: ibis.Table, vocabulary: Vocabulary, concepts: list[Concept], kind: str, table: str
) -> ibis.Table:
    """
    Raw rows in the concepts and units of the vocabulary.

    Reads    raw(stay_id, time_h, item, value, unit, text, exclusion): `table` of this `kind` of export
    Writes   stay_id, time_h, number (position in `concepts`), value, text, reason, unit; a row per raw row
             and concept it makes
    Rule     `reason` is "kept", or the first reason why the row is dropped: the export marks it as
             invalid, no stay, no time, its text does not count, no number (no text either, where texts
             count; kept where the concept says `blank`), unknown unit, implausible. `unit` only with
             "unknown unit".
    """
    rules = ibis.memtable(item_rules(concepts, kind, table), schema=_RULES)
    units = ibis.memtable(unit_rules(vocabulary, concepts), schema=_UNITS)
    texts = ibis.memtable(
        text_rules(concepts), schema={"number": "int16", "item": "string", "listed": "string"}
    )
    units, texts = units.rename(of="number", to="spelling"), texts.rename(of="number", at="item")
    number = raw["value"]  # pandas writes a gap as NaN
    raw = raw.mutate(value=ibis.ifelse(number.isnan().fill_null(False), ibis.null("float64"), number))
    rows = raw.rename(row_unit="unit").inner_join(rules, "item")
    written = rows.row_unit.lower().replace(" ", "").nullif("")
    rows = rows.mutate(
        spelling=ibis.coalesce(rows.unit_of, written, rows.unit),
        text=ibis.ifelse(rows.is_verbatim, rows.text, rows.text.strip()).nullif(""),
    )
    rows = rows.left_join(units, [rows.number == units.of, rows.spelling == units.to]).drop("of")
    rows = rows.left_join(
        texts, [rows.number == texts.of, rows.item == texts["at"], rows.text == texts.listed]
    )
    number = rows.value * rows.factor + rows.offset
    share = rows.fraction & (number > 0) & (number <= 1)
    rows = rows.mutate(in_unit=ibis.ifelse(share.fill_null(False), number * 100.0, number))
    reason = _reason(rows)
    return rows.select(
        stay_id=rows.stay_id,
        time_h=rows.time_h,
        number=rows.number,
        value=ibis.ifelse(rows.is_mark, ibis.null("float64"), rows.in_unit),
        text=ibis.ifelse(rows.is_text, rows.text, ibis.null("string")),
        reason=reason,
        unit=ibis.ifelse(reason == UNKNOWN_UNIT, rows.row_unit, ibis.null("string")),
    )


def _reason(rows: ibis.Table):
    in_list = rows.listed.notnull()
    text_counts = ibis.cases(
        (rows.is_mark & rows.text.isnull(), False),
        (rows.text_rule == "in", in_list),
        (rows.text_rule == "not in", ~in_list),
        else_=True,
    )
    x = rows.in_unit
    above = ibis.ifelse(rows.with_low, x >= rows.low, x > rows.low)
    below = ibis.ifelse(rows.with_high, x <= rows.high, x < rows.high)
    text_alone = rows.is_text & rows.value.isnull() & rows.text.notnull()
    return ibis.cases(
        (rows.exclusion.notnull(), rows.exclusion),
        (rows.stay_id.isnull(), OUTSIDE),
        (rows.time_h.isnull(), NO_TIME),
        (~text_counts, OTHER_TEXT),
        (rows.is_mark | text_alone | (rows.is_blank & rows.value.isnull()), KEPT),
        (rows.value.isnull(), NO_NUMBER),
        (rows.factor.isnull(), UNKNOWN_UNIT),
        ((above & below).fill_null(False), KEPT),
        else_=IMPLAUSIBLE,
    )
