"""MIMIC-III v1.4: one flat folder, two charting systems (CareVue and MetaVision)."""

from __future__ import annotations

import ibis

from sepsis.sources.base import BAD_NUMBER
from sepsis.sources.mimic.base import (
    DAY_S,
    DAYS_A_YEAR,
    end_of_life,
    first_of,
    hours,
    known_age,
    outside_life,
    seconds,
    unusable,
)
from sepsis.sources.mimic.detail import MimicDetail

CAREVUE_LONGEST_H = 8.0  # a CareVue rate without a next row is not believed for longer
_CAREVUE_ENDS = ("Stopped", "D/C'd")


class MimicIII(MimicDetail):
    """
    MIMIC-III tables in one folder.

    Ages over 89 are shifted by 300 years in the export and become 91.4. `PRESCRIPTIONS.STARTDATE`
    is a date: an order's time is its midnight. Laboratory rows are matched by admission.
    """

    kind = "mimic_iii"
    stay_key = database_key = "icustay_id"
    usual_schemas = ("mimiciii", "mimiciii_clinical", "mimic_iii", "main", "public")
    own_tables = frozenset({"inputevents_mv", "inputevents_cv", "procedureevents_mv"})
    tables_of = {
        "stays": ("icustays", "admissions", "patients"),
        "charted": ("chartevents",),
        "labs": ("labevents",),
        "outputs": ("outputevents",),
        "procedures": ("procedureevents_mv",),
        "infusions": ("inputevents_mv", "inputevents_cv"),
        "prescriptions": ("prescriptions",),
        "cultures": ("microbiologyevents",),
        "diagnoses": ("diagnoses_icd",),
    }

    def _spans(self) -> ibis.Table:
        rows = self._people()
        return rows.select(
            "subject_id",
            "hadm_id",
            "intime",
            stay_id=rows.icustay_id,
            born_s=seconds(rows.dob),
            gone_s=end_of_life(rows.outtime, rows.dod),
        )

    def _stays(self) -> ibis.Table:
        rows = self._people()
        return rows.select(
            "subject_id",
            "hadm_id",
            "intime",
            "outtime",
            stay_id=rows.icustay_id,
            stay_h=hours(rows.outtime, rows.intime),
            age=known_age((seconds(rows.admittime) - seconds(rows.dob)) / (DAY_S * DAYS_A_YEAR)),
            sex=rows.gender.upper(),
            system=rows.dbsource.lower(),
            exclusion=unusable(
                rows,
                (seconds(rows.intime) < seconds(rows.dob), "admission before birth"),
                (rows.has_chartevents_data == 0, "no chart data"),
            ),
        )

    def _labs(self, items: list[int]) -> ibis.Table:
        rows = self._by_admission(self._wanted("labevents", items))
        rows = rows.filter(rows.known_stay.notnull())
        return self._measured(rows, rows.charttime, rows.valuenum, rows.value, rows.valueuom, None)

    def _procedures(self, items: list[int]) -> ibis.Table:
        return self._procedure_rows("procedureevents_mv", items)

    def _infusions(self, items: list[int]) -> ibis.Table:
        return self._timed_infusions("inputevents_mv", items).union(self._carevue_infusions(items))

    def _carevue_infusions(self, items: list[int]) -> ibis.Table:
        charted = self._at_stay(self._wanted("inputevents_cv", items))
        charted = charted.mutate(
            exclusion=first_of(charted.malformed, outside_life(charted, charted.charttime))
        )
        rates = carevue_rates(charted.filter(charted.exclusion.isnull()))
        rates = rates.mutate(exclusion=ibis.null("string"))
        # what cannot be placed in time ends nothing and is counted
        no_number = (charted.malformed == BAD_NUMBER).fill_null(False)
        out = charted.filter(charted.exclusion.notnull() & (charted.rate.notnull() | no_number))
        out = out.select(
            "known_stay", "itemid", start_h=ibis.null("float64"), end_h=ibis.null("float64"), rate=out.rate,
            unit=out.rateuom, exclusion=out.exclusion,
        )  # fmt: skip
        rows = rates.union(out)
        return rows.select(
            stay_id=rows.known_stay,
            start_h=rows.start_h,
            end_h=rows.end_h,
            item=rows.itemid.cast("string"),
            value=rows.rate,
            unit=rows.unit,
            weight_kg=ibis.null("float64"),
            exclusion=rows.exclusion,
        )

    def _prescriptions(self) -> ibis.Table:
        return self._orders("startdate", ibis.literal(True))

    def _cultures(self) -> ibis.Table:
        rows = self.tables["microbiologyevents"]
        keys = ("hadm_id", "chartdate", "charttime", "spec_type_desc", "malformed")
        rows = rows.group_by(*keys).aggregate(positive=(rows.org_name.fill_null("").strip() != "").any())
        rows = self._by_admission(rows)
        rows = rows.filter(rows.known_stay.notnull())
        return rows.select(
            stay_id=rows.known_stay,
            time_h=hours(rows.charttime.coalesce(rows.chartdate), rows.intime),
            date_only=rows.charttime.isnull(),
            specimen=rows.spec_type_desc,
            positive=rows.positive,
            exclusion=first_of(rows.malformed, outside_life(rows, rows.charttime.coalesce(rows.chartdate))),
        )

    def _diagnoses(self) -> ibis.Table:
        rows = self._by_admission(self.tables["diagnoses_icd"])
        rows = rows.filter(rows.known_stay.notnull())
        return rows.select(stay_id=rows.known_stay, icd_version=ibis.literal(9), code=rows.icd9_code)


def carevue_rates(rows: ibis.Table, longest_h: float = CAREVUE_LONGEST_H) -> ibis.Table:
    """
    Infusions of CareVue: a charted rate holds until the next row of its item.

    Reads    rows(known_stay, intime, itemid, charttime, rate, rateuom, stopped)
    Writes   known_stay, itemid, start_h, end_h, rate, unit; rates above 0 only
    Rule     the next row with a rate, or marked as stopped, ends it; without one it ends after
             `longest_h`. Of several rates at one time the highest counts, and a stop at that time
             ends the drug. Rows without a rate chart volumes and are passed over.
    """
    rows = rows.mutate(ends=rows.stopped.isin(_CAREVUE_ENDS).fill_null(False))
    rows = rows.filter(rows.rate.notnull() | rows.ends)
    rows = rows.group_by("known_stay", "intime", "itemid", "charttime").aggregate(
        rate=rows.rate.max(), unit=rows.rateuom.max(), ends=rows.ends.any()
    )
    rows = rows.mutate(start_h=hours(rows.charttime, rows.intime))
    order = ibis.window(group_by=[rows.known_stay, rows.itemid], order_by=rows.charttime)
    rows = rows.mutate(next_h=rows.start_h.lead().over(order), longest=rows.start_h + longest_h)
    rows = rows.mutate(end_h=ibis.least(rows.next_h.fill_null(rows.longest), rows.longest))
    rows = rows.filter(~rows.ends & (rows.rate > 0))
    return rows.select("known_stay", "itemid", "start_h", "end_h", "rate", "unit")
