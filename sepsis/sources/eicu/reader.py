"""
eICU Collaborative Research Database v2.0: one flat folder of tables, times in minutes since admission.

Pollard et al., Sci Data 5 (2018) 180178, doi:10.1038/sdata.2018.178. The vital signs of the monitor lie in
wide tables; an infusion is charted as a rate at a time; there is no clock.
"""

from __future__ import annotations

from pathlib import Path

import ibis

from sepsis.sources.base import LONGEST_STAY_H, TOO_LONG
from sepsis.sources.engines.files import read_header
from sepsis.sources.table_source import TableSource

AGE_IF_HIDDEN = 91.4  # years; the export writes "> 89"
RATE_HOLDS_H = 24.0  # a rate that is not charted again within a day has ended unseen
_WIDE = {"vitalperiodic": "observationoffset", "vitalaperiodic": "observationoffset"}
_NO_ORGANISM = ("", "no growth")
NOT_CONVERTIBLE = "rate by volume"
CANCELLED = "order cancelled"


class EICU(TableSource):
    """
    A folder of eICU tables (.csv, .csv.gz or .parquet; any letter case).

    Item keys: "heartrate" and the like, columns of the two wide tables; the laboratory's own names; label and
    name of a nurse's charting, "Glasgow coma score|Eyes"; the label of an output; an infusion's drug in lower
    case. `subject_id` numbers `uniquepid` in the order of its text: it means nothing beyond the export.
    """

    kind = "eicu"
    tables_of = {
        "stays": ("patient",), "charted": ("vitalperiodic", "vitalaperiodic", "nursecharting"),
        "labs": ("lab",), "outputs": ("intakeoutput",), "infusions": ("infusiondrug",),
        "prescriptions": ("medication",), "cultures": ("microlab",),
    }  # fmt: skip

    @classmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        return "patient" in tables and "patientunitstayid" in {
            column.lower() for column in read_header(tables["patient"])
        }

    def _stays(self) -> ibis.Table:
        rows = self.tables["patient"]
        hidden = rows.age.strip().startswith(">")
        person = ibis.dense_rank().over(ibis.window(order_by=rows.uniquepid)) + 1
        return rows.select(
            stay_id=rows.patientunitstayid,
            subject_id=ibis.ifelse(rows.uniquepid.isnull(), ibis.null("int64"), person),
            hadm_id=rows.patienthealthsystemstayid,
            intime=ibis.null("timestamp"),
            outtime=ibis.null("timestamp"),
            stay_h=rows.unitdischargeoffset / 60.0,
            age=ibis.ifelse(hidden, AGE_IF_HIDDEN, rows.age.strip().try_cast("float64")),
            sex=ibis.cases((rows.gender.lower() == "female", "F"), (rows.gender.lower() == "male", "M")),
            system=ibis.literal("eicu"),
            exclusion=ibis.cases(
                (rows.malformed.notnull(), rows.malformed),
                (rows.unitdischargeoffset.isnull(), "no outtime"),
                (rows.unitdischargeoffset < 0, "outtime before intime"),
                (rows.unitdischargeoffset / 60.0 > LONGEST_STAY_H, TOO_LONG),
            ),
        )

    def _at_stay(self, name: str) -> ibis.Table:
        """Rows of a table with `known_stay`, null where the export has no such stay."""
        stays = self.tables["patient"].select(known_stay="patientunitstayid").distinct()
        rows = self.tables[name]
        return rows.left_join(stays, rows.patientunitstayid == stays.known_stay)

    @staticmethod
    def _measured(rows: ibis.Table, offset, item, value, unit=None, text=None) -> ibis.Table:
        return rows.select(
            stay_id=rows.known_stay,
            time_h=offset / 60.0,
            item=item,
            value=value,
            unit=ibis.null("string") if unit is None else unit,
            text=ibis.null("string") if text is None else text,
            exclusion=rows.malformed,
        )

    def _charted(self, items: list[str] | None = None) -> ibis.Table:
        parts = [self._wide(name, items) for name in _WIDE]
        rows = self._at_stay("nursecharting")
        item = rows.nursingchartcelltypevallabel.concat("|", rows.nursingchartcelltypevalname)
        rows = rows.mutate(item=item)
        rows = rows if items is None else rows.filter(rows["item"].isin(items))
        text = rows.nursingchartvalue.strip().nullif("")
        parts.append(
            self._measured(rows, rows.nursingchartoffset, rows["item"], text.try_cast("float64"), text=text)
        )
        return ibis.union(*parts)

    def _wide(self, name: str, items: list[str] | None = None) -> ibis.Table:
        rows = self._at_stay(name)
        contract = self.tables.contract[name]
        columns = [
            c
            for c in (*contract["columns"], *contract["optional"])
            if c not in ("patientunitstayid", _WIDE[name])
        ]
        columns = columns if items is None else [c for c in columns if c in items]
        if not columns:
            return self.table("charted").filter(ibis.literal(False))
        rows = rows.select("known_stay", "malformed", _WIDE[name], *columns)
        rows = rows.pivot_longer(columns, names_to="item", values_to="value")
        rows = rows.filter(rows["value"].notnull() | rows.malformed.notnull())
        return self._measured(rows, rows[_WIDE[name]], rows["item"], rows["value"])

    def _labs(self, items: list[str] | None = None) -> ibis.Table:
        rows = self._at_stay("lab")
        rows = rows if items is None else rows.filter(rows.labname.isin(items))
        return self._measured(
            rows,
            rows.labresultoffset,
            rows.labname,
            rows.labresult,
            rows.labmeasurenamesystem,
            rows.labresulttext,
        )

    def _outputs(self, items: list[str] | None = None) -> ibis.Table:
        rows = self._at_stay("intakeoutput")
        rows = rows.filter(rows.cellpath.lower().contains("output"))
        rows = rows if items is None else rows.filter(rows.celllabel.isin(items))
        return self._measured(rows, rows.intakeoutputoffset, rows.celllabel, rows.cellvaluenumeric)

    def _infusions(self, items: list[str] | None = None) -> ibis.Table:
        """
        A rate holds until the drug's next dose at a later time, at most `RATE_HOLDS_H`.

        The unit is part of the drug's name, "Norepinephrine (mcg/kg/min)"; a rate by volume
        does not give the dose: beside or after a dose it does not end it.
        """
        rows = self._at_stay("infusiondrug")
        name = rows.drugname.strip()
        unit = name.re_extract(r"\(([^()]*)\)\s*$", 1).nullif("")
        rows = rows.mutate(item=name.lower().re_replace(r"\s*\([^()]*\)\s*$", ""), unit=unit)
        rows = rows if items is None else rows.filter(rows["item"].isin(items))
        rows = rows.mutate(by_volume=rows["unit"].isnull() | rows["unit"].lower().startswith("ml/"))
        keys = ["known_stay", "item", "by_volume", "infusionoffset"]
        times = rows.select(*keys).distinct()  # two rates at one time end together
        times = times.filter(times.infusionoffset.notnull())
        mine = ibis.window(group_by=[times[key] for key in keys[:-1]], order_by=times.infusionoffset)
        times = times.mutate(following=times.infusionoffset.lead().over(mine) / 60.0)
        rows = rows.left_join(times, keys, rname="{name}_t")
        start = rows.infusionoffset / 60.0
        return rows.select(
            "item",
            "unit",
            stay_id=rows.known_stay,
            start_h=start,
            end_h=ibis.least(rows.following.coalesce(start + RATE_HOLDS_H), start + RATE_HOLDS_H),
            value=rows.drugrate.strip().try_cast("float64"),
            weight_kg=rows.patientweight,
            exclusion=ibis.cases(
                (rows.malformed.notnull(), rows.malformed), (rows.by_volume, NOT_CONVERTIBLE)
            ),
        )

    def _prescriptions(self) -> ibis.Table:
        rows = self._at_stay("medication")
        cancelled = rows.drugordercancelled.lower() == "yes"
        return rows.select(
            stay_id=rows.known_stay,
            time_h=rows.drugstartoffset / 60.0,
            date_only=ibis.literal(False),
            drug=rows.drugname,
            route=rows.routeadmin,
            drug_type=ibis.literal("MAIN"),
            exclusion=ibis.cases(
                (rows.malformed.notnull(), rows.malformed), (cancelled.fill_null(False), CANCELLED)
            ),
        )

    def _cultures(self) -> ibis.Table:
        """A specimen is one site at one time; its rows are organisms and their antibiotics."""
        rows = self._at_stay("microlab")
        grew = ~rows.organism.fill_null("").strip().lower().isin(_NO_ORGANISM)
        rows = rows.group_by("known_stay", "culturetakenoffset", "culturesite", "malformed").aggregate(
            positive=grew.any()
        )
        return rows.select(
            stay_id=rows.known_stay,
            time_h=rows.culturetakenoffset / 60.0,
            date_only=ibis.literal(False),
            specimen=rows.culturesite,
            positive=rows.positive,
            exclusion=rows.malformed,
        )
