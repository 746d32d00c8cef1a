"""MIMIC-IV v2 and v3: folders hosp/ and icu/ (or one flat folder), MetaVision throughout."""

from __future__ import annotations

import ibis

from sepsis.sources.mimic.base import (
    DAY_S,
    NOT_AN_ORGANISM,
    end_of_life,
    first_of,
    hours,
    known_age,
    outside_life,
    seconds,
    unusable,
)
from sepsis.sources.mimic.detail import MimicDetail


class MimicIV(MimicDetail):
    """
    MIMIC-IV tables.

    Half of the laboratory rows and some cultures name no admission. They are matched by patient and
    time: from the arrival in the emergency department (else the admission) to the discharge.
    """

    kind = "mimic_iv"
    stay_key = database_key = "stay_id"
    usual_schemas = ("mimiciv_icu", "mimic_icu", "mimiciv", "mimic_iv", "main", "public")
    own_tables = frozenset({"inputevents", "procedureevents"})
    tables_of = {
        "stays": ("icustays", "admissions", "patients"),
        "charted": ("chartevents",),
        "labs": ("labevents",),
        "outputs": ("outputevents",),
        "procedures": ("procedureevents",),
        "infusions": ("inputevents",),
        "prescriptions": ("prescriptions",),
        "cultures": ("microbiologyevents",),
        "diagnoses": ("diagnoses_icd",),
    }

    def _spans(self) -> ibis.Table:
        rows = self._people()
        start = ibis.least(rows.edregtime.coalesce(rows.admittime), rows.admittime)
        return rows.select(
            "stay_id",
            "subject_id",
            "hadm_id",
            "intime",
            start_s=seconds(start),
            end_s=seconds(rows.dischtime),
            born_s=ibis.null("float64"),  # MIMIC-IV has ages, and no dates of birth
            gone_s=end_of_life(rows.outtime, rows.dod),
        )

    def _stays(self) -> ibis.Table:
        rows = self._people()
        return rows.select(
            "stay_id",
            "subject_id",
            "hadm_id",
            "intime",
            "outtime",
            stay_h=hours(rows.outtime, rows.intime),
            age=known_age(rows.anchor_age + (rows.admittime.year() - rows.anchor_year).cast("float64")),
            sex=rows.gender.upper(),
            system=ibis.literal("metavision"),
            exclusion=unusable(rows),
        )

    def _by_patient(self, table: ibis.Table) -> ibis.Table:
        """
        Rows (subject_id, hadm_id, `at_s` in epoch seconds) joined to the ICU stays of their admission.

        `slack_s`: how much earlier than the admission a row without one may lie (a day, if it has only a
        date).
        """
        spans = self._known_spans.select(
            "intime",
            "start_s",
            "end_s",
            "born_s",
            "gone_s",
            known_stay="stay_id",
            known_hadm="hadm_id",
            known_subject="subject_id",
        )
        in_time = (table.at_s > spans.start_s - table.slack_s) & (table.at_s <= spans.end_s)
        same = (table.hadm_id == spans.known_hadm) | (table.hadm_id.isnull() & in_time)
        return table.inner_join(spans, [table.subject_id == spans.known_subject, same])

    def _labs(self, items: list[int]) -> ibis.Table:
        rows = self._wanted("labevents", items)
        rows = rows.mutate(at_s=seconds(rows.charttime), slack_s=ibis.literal(1.0))
        rows = self._by_patient(rows)
        return self._measured(rows, rows.charttime, rows.valuenum, rows.value, rows.valueuom, None)

    def _procedures(self, items: list[int]) -> ibis.Table:
        return self._procedure_rows("procedureevents", items)

    def _infusions(self, items: list[int]) -> ibis.Table:
        return self._timed_infusions("inputevents", items)

    def _prescriptions(self) -> ibis.Table:
        return self._orders("starttime", ibis.literal(False))

    def _cultures(self) -> ibis.Table:
        rows = self.tables["microbiologyevents"]
        organism = rows.org_name.fill_null("").strip()
        named = ~organism.upper().isin(["", "CANCELLED"])
        counts = ~rows.org_itemid.isin(NOT_AN_ORGANISM).fill_null(False)
        specimen = ("subject_id", "hadm_id", "micro_specimen_id", "spec_type_desc")
        rows = rows.group_by(*specimen, "chartdate", "charttime", "malformed").aggregate(
            positive=(named & counts).any()
        )
        rows = rows.mutate(at=rows.charttime.coalesce(rows.chartdate), date_only=rows.charttime.isnull())
        rows = rows.mutate(at_s=seconds(rows["at"]), slack_s=ibis.ifelse(rows.date_only, DAY_S, 1.0))
        rows = self._by_patient(rows)
        return rows.select(
            stay_id=rows.known_stay,
            time_h=hours(rows["at"], rows.intime),
            date_only=rows.date_only,
            specimen=rows.spec_type_desc,
            positive=rows.positive,
            exclusion=first_of(rows.malformed, outside_life(rows, rows["at"])),
        )

    def _diagnoses(self) -> ibis.Table:
        rows = self._by_admission(self.tables["diagnoses_icd"])
        rows = rows.filter(rows.known_stay.notnull())
        return rows.select(stay_id=rows.known_stay, icd_version=rows.icd_version, code=rows.icd_code)
