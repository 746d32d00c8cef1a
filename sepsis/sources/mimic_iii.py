"""MIMIC-III v1.4: one flat folder, two charting systems (CareVue and MetaVision)."""

from __future__ import annotations

import ibis

from sepsis.sources.mimic import DAYS_A_YEAR, Mimic, hours, known_age, unusable

CAREVUE_LONGEST_H = 8.0  # a CareVue rate without a next row is not believed for longer
_CAREVUE_ENDS = ("Stopped", "D/C'd")


class MimicIII(Mimic):
    """
    MIMIC-III tables in one folder.

    Notes
    -----
    Ages over 89 are shifted by 300 years in the export and become 91.4. `PRESCRIPTIONS.STARTDATE`
    is a date: an order's time is its midnight. Laboratory rows are matched by admission.
    """

    kind = "mimic_iii"
    stay_key = "icustay_id"
    sources = {
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
        stays = self.tables["icustays"]
        return stays.select("subject_id", "hadm_id", "intime", stay_id="icustay_id").distinct()

    def _stays(self) -> ibis.Table:
        stays, admissions = self.tables["icustays"], self.tables["admissions"]
        admissions = admissions.select("hadm_id", "admittime", "has_chartevents_data")
        patients = self.tables["patients"].select("subject_id", "gender", "dob")
        rows = stays.left_join(admissions, "hadm_id").left_join(patients, "subject_id")
        seconds = rows.admittime.epoch_seconds().cast("float64") - rows.dob.epoch_seconds().cast("float64")
        return rows.select(
            "subject_id",
            "hadm_id",
            "intime",
            "outtime",
            stay_id=rows.icustay_id,
            stay_h=hours(rows.outtime, rows.intime),
            age=known_age(seconds / (86400.0 * DAYS_A_YEAR)),
            sex=rows.gender.upper(),
            system=rows.dbsource.lower(),
            exclusion=unusable(rows, (rows.has_chartevents_data == 0, "no chart data")),
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
        rows = carevue_rates(self._at_stay(self._wanted("inputevents_cv", items)))
        return rows.select(
            stay_id=rows.known_stay,
            start_h=rows.start_h,
            end_h=rows.end_h,
            item=rows.itemid.cast("string"),
            value=rows.rate,
            unit=rows.unit,
            weight_kg=ibis.null("float64"),
            exclusion=ibis.null("string"),
        )

    def _prescriptions(self) -> ibis.Table:
        return self._orders("startdate", ibis.literal(True))

    def _cultures(self) -> ibis.Table:
        rows = self.tables["microbiologyevents"]
        rows = rows.group_by("hadm_id", "chartdate", "charttime", "spec_type_desc").aggregate(
            positive=(rows.org_name.fill_null("").strip() != "").max()
        )
        rows = self._by_admission(rows)
        rows = rows.filter(rows.known_stay.notnull())
        return rows.select(
            stay_id=rows.known_stay,
            time_h=hours(rows.charttime.coalesce(rows.chartdate), rows.intime),
            date_only=rows.charttime.isnull(),
            specimen=rows.spec_type_desc,
            positive=rows.positive,
        )

    def _diagnoses(self) -> ibis.Table:
        rows = self._by_admission(self.tables["diagnoses_icd"])
        rows = rows.filter(rows.known_stay.notnull())
        return rows.select(stay_id=rows.known_stay, icd_version=ibis.literal(9), code=rows.icd9_code)


def carevue_rates(rows: ibis.Table, longest_h: float = CAREVUE_LONGEST_H) -> ibis.Table:
    """
    CareVue charts a rate now and then: it holds until the next row of its item.

    Reads    rows(known_stay, intime, itemid, charttime, rate, rateuom, stopped)
    Writes   known_stay, itemid, start_h, end_h, rate, unit; rates above 0 only
    Rule     the next row with a rate, or marked as stopped, ends it; without one it ends after
             `longest_h`. Of several rates at one time the highest counts, and a stop at that time
             ends the drug. Rows without a rate chart volumes and are passed over.
    """
    rows = rows.mutate(ends=rows.stopped.isin(_CAREVUE_ENDS).fill_null(False))
    rows = rows.filter(rows.rate.notnull() | rows.ends)
    rows = rows.group_by("known_stay", "intime", "itemid", "charttime").aggregate(
        rate=rows.rate.max(), unit=rows.rateuom.max(), ends=rows.ends.max()
    )
    rows = rows.mutate(start_h=hours(rows.charttime, rows.intime))
    order = ibis.window(group_by=[rows.known_stay, rows.itemid], order_by=rows.charttime)
    rows = rows.mutate(next_h=rows.start_h.lead().over(order), longest=rows.start_h + longest_h)
    rows = rows.mutate(end_h=ibis.least(rows.next_h.fill_null(rows.longest), rows.longest))
    rows = rows.filter(~rows.ends & (rows.rate > 0))
    return rows.select("known_stay", "itemid", "start_h", "end_h", "rate", "unit")
