"""
The events of a MEDS dataset in the shape of MIMIC-IV's tables, so that one adapter reads both.

Where the dataset has no column for admissions or stays, an event belongs to the one it lies in.
"""

from __future__ import annotations

import functools
import glob
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core import schema
from sepsis.core.errors import ExportError
from sepsis.sources.engines.engine import Engine
from sepsis.sources.engines.table_store import TableStore
from sepsis.sources.meds.codes import PARTS, CodeMap

STANDARD: dict[str, str] = schema.read_toml("1_export")["meds"]["data"]["columns"]
_TYPES = {
    "int64": (pa.types.is_integer, "whole numbers"),
    "timestamp": (lambda t: pa.types.is_timestamp(t) and t.tz is None, "times without a zone"),
    "string": (lambda t: _is_text(t.value_type if pa.types.is_dictionary(t) else t), "text"),
    "float64": (pa.types.is_floating, "numbers"),
}  # fmt: skip


# a column without any value may have been written without a type
_LINK = (lambda t: pa.types.is_integer(t) or pa.types.is_null(t), "whole numbers")
_LINKS = ("hadm_id", "stay_id")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def data_files(path: Path) -> list[Path]:
    """Parquet files below data/, sorted; ExportError if one is a pipe, a device or a link to nothing."""
    folder = path / "data"
    files = [file for file in folder.rglob("*.parquet") if not file.is_dir()] if folder.is_dir() else []
    if odd := sum(not file.is_file() for file in files):
        raise ExportError(
            str(path),
            f"{odd:,} of {len(files):,} files below data/ are a pipe, a device or a link to nothing",
            "plain files",
            "Copy the data themselves into the folder.",
        )
    return sorted(files)


class MedsTables(TableStore):
    """A dataset on DuckDB; ExportError if it has no data or a file or column is missing or unreadable."""

    forms = "{name}, made from the events"

    def __init__(self, engine: Engine, path: Path, codes: CodeMap):
        self.engine, self.path, self.shown, self.map = engine, path, str(path), codes
        self.files = data_files(path)
        self.header_columns = _columns(path, self.files, [codes.columns[key] for key in _LINKS])

    def __contains__(self, name: str) -> bool:
        return hasattr(self, f"_{name}")

    def paths(self, names) -> list[Path]:
        metadata = self.path / "metadata"
        return self.files + sorted(file for file in metadata.rglob("*") if file.is_file())

    def where(self, name: str) -> str:
        return f"data/*.parquet ({name})"

    def table(self, name: str, whole_numbers: set[str] | None = None) -> ibis.Table:
        return getattr(self, f"_{name}")

    def failure(self, error: Exception, names: tuple[str, ...]) -> ExportError:
        return ExportError(
            f"{self.shown}: data/*.parquet", f"cannot be read ({type(error).__name__})",
            todo="Make or copy the dataset again.",
        )  # fmt: skip

    @functools.cached_property
    def events(self) -> ibis.Table:
        """Every event of every file; a column that only some files have is null in the others."""
        files = [glob.escape(str(file)) for file in self.files]
        return self.engine.connection.read_parquet(files, union_by_name=True, table_name="meds_events")

    @functools.cached_property
    def counted(self) -> pd.DataFrame:
        """Every code once, with its place and parts (`CodeMap.read`) and its number of events."""
        events = self.events
        counts = events.group_by(code=events.code.cast("string").fill_null("")).aggregate(rows=events.count())
        try:
            counts = self.engine.table(counts).to_pandas().sort_values("code", ignore_index=True)
        except self.engine.errors as error:  # asked for outside `Source.explained` too
            raise self.failure(error, ()) from None
        return self.map.read(counts.code).assign(rows=counts.rows.to_numpy())

    @functools.cached_property
    def _codes(self) -> ibis.Table:
        frame = self.counted[~self.counted.place.isin(["", "ignored"])]
        names = ["code", "place", "table", *PARTS]
        arrow = pa.table({name: pa.array(frame[name], pa.string(), from_pandas=True) for name in names})
        return self.engine.connection.create_table("meds_codes", arrow, temp=True, overwrite=True)

    def _at(self, *places: str, table: str | None = None) -> ibis.Table:
        codes = self._codes.filter(self._codes.place.isin(places))
        codes = codes if table is None else codes.filter(codes.table == table)
        codes = codes.rename(from_code="code").rename({f"code_{part}": part for part in (*PARTS, "place")})
        rows = self.events.inner_join(codes, self.events.code.cast("string") == codes.from_code)
        kinds = {"hadm_id": "int64", "stay_id": "int64"}
        further = {
            name: (rows[column] if column in self.header_columns else ibis.null()).cast(
                kinds.get(name, "string")
            )
            for name, column in self.map.columns.items()
        }
        text = rows.text_value.cast("string") if "text_value" in self.header_columns else ibis.null("string")
        # MEDS stores 0.1 as a 32-bit float, which is a little more than 0.1: what was meant is its shortest
        # decimal, and a dose of 0.1 mcg/kg/min is no more than 0.1
        number = rows.numeric_value
        number = (number.cast("string") if number.type().is_float32() else number).cast("float64")
        return rows.select(
            "subject_id", "time", numeric_value=number, text_value=text,
            **{f"code_{part}": rows[f"code_{part}"] for part in PARTS},
            **{f"own_{name}": column for name, column in further.items()},
        )  # fmt: skip

    def _spells(self, begins: str, ends: str, key: str) -> ibis.Table:
        """
        Admissions or stays: subject_id, id, began, ended, hadm_id, type.

        Paired by id where the dataset has a column for it, else each with the next end before the next
        begin; ids are then numbers in the order of subject and time.
        """
        starts, stops = self._at(begins), self._at(ends)
        own = f"own_{key}"
        if self.map.columns[key] in self.header_columns:
            ended = stops.group_by(to_subject="subject_id", to_id=own).aggregate(ended=stops.time.max())
            rows = starts.left_join(
                ended, [starts.subject_id == ended.to_subject, starts[own] == ended.to_id]
            )
            return rows.select(
                "subject_id", "ended", id=rows[own], began=rows.time, hadm_id=rows.own_hadm_id,
                type=rows.code_type,
            )  # fmt: skip
        order = ibis.window(order_by=[starts.subject_id, starts.time])
        mine = ibis.window(group_by=starts.subject_id, order_by=starts.time)
        starts = starts.mutate(id=ibis.row_number().over(order) + 1, next_time=starts.time.lead().over(mine))
        stops = stops.select(to_subject="subject_id", stop="time")
        rows = starts.left_join(
            stops,
            [
                starts.subject_id == stops.to_subject,
                stops.stop >= starts.time,
                (stops.stop <= starts.next_time) | starts.next_time.isnull(),
            ],
        )
        # an end at the moment the next begins belongs to the earlier one
        later, at_once = rows.stop.min(where=rows.stop > rows.time), rows.stop.min()
        return rows.group_by(
            "subject_id", "id", hadm_id="own_hadm_id", type="code_type", began="time"
        ).aggregate(ended=later.coalesce(at_once))

    def _in_admission(self, rows: ibis.Table) -> ibis.Table:
        spans = self._admissions
        start = ibis.least(spans.edregtime.coalesce(spans.admittime), spans.admittime)
        spans = spans.select(to_subject="subject_id", to_hadm="hadm_id", start=start, stop="dischtime")
        rows = rows.mutate(row=ibis.row_number())
        inside = [
            rows.own_hadm_id.isnull(),
            rows.subject_id == spans.to_subject,
            rows.time >= spans.start,
            rows.time <= spans.stop,
        ]
        joined = rows.left_join(spans, inside)
        first = ibis.row_number().over(ibis.window(group_by=joined.row, order_by=joined.to_hadm))
        joined = joined.mutate(first=first)
        joined = joined.filter(joined["first"] == 0)
        return joined.mutate(hadm_id=joined.own_hadm_id.coalesce(joined.to_hadm))

    def _in_stay(self, rows: ibis.Table) -> ibis.Table:
        if self.map.columns["stay_id"] in self.header_columns:
            return rows.mutate(stay_id=rows.own_stay_id)
        spans = self._icustays.select(
            to_subject="subject_id", stay_id="stay_id", start="intime", stop="outtime"
        )
        inside = [rows.subject_id == spans.to_subject, rows.time >= spans.start, rows.time <= spans.stop]
        return rows.left_join(spans, inside)

    @functools.cached_property
    def _admissions(self) -> ibis.Table:
        spells = self._spells("hospital_admission", "hospital_discharge", "hadm_id")
        if not self._has("hospital_admission"):  # a stay is then all that is known of its admission
            spells = self._spells("icu_admission", "icu_discharge", "stay_id")
        mine = ibis.window(group_by=spells.subject_id, order_by=spells.began)
        spells = spells.mutate(before=spells.ended.lag().over(mine))
        arrivals = self._at("emergency_arrival").select(to_subject="subject_id", arrival="time")
        rows = spells.left_join(
            arrivals,
            [
                spells.subject_id == arrivals.to_subject,
                arrivals.arrival <= spells.began,
                (arrivals.arrival > spells.before) | spells.before.isnull(),
            ],
        )
        return rows.group_by(
            "subject_id", hadm_id="id", admittime="began", dischtime="ended", admission_type="type"
        ).aggregate(edregtime=rows.arrival.max())

    @functools.cached_property
    def _icustays(self) -> ibis.Table:
        spells = self._spells("icu_admission", "icu_discharge", "stay_id")
        if not self._has("hospital_admission"):
            spells = spells.mutate(hadm_id=spells.id)
        elif self.map.columns["hadm_id"] not in self.header_columns:
            spells = spells.mutate(own_hadm_id=ibis.null("int64"), time=spells.began).drop("hadm_id")
            spells = self._in_admission(spells)
        return spells.select(
            "subject_id", "hadm_id", stay_id=spells.id, intime=spells.began, outtime=spells.ended
        )

    def _has(self, place: str) -> bool:
        return bool((self.counted.place == place).any())

    @functools.cached_property
    def _patients(self) -> ibis.Table:
        """One row per person; the anchor year is the year of birth, the anchor age 0."""
        people = self.events.select("subject_id").distinct()
        facts = self._at("birth", "gender", "death")
        rows = self._at("gender")
        sex = rows.group_by(of="subject_id").aggregate(gender=rows.code_sex.min())
        rows = self._at("birth")
        born = rows.group_by(born_of="subject_id").aggregate(anchor_year=rows.time.min().year().cast("int64"))
        rows = self._at("death")
        died = rows.group_by(died_of="subject_id").aggregate(dod=rows.time.min().truncate("D"))
        people = facts.select("subject_id").union(people.select("subject_id"), distinct=True)
        people = people.left_join(sex, people.subject_id == sex.of).drop("of")
        people = people.left_join(born, people.subject_id == born.born_of).drop("born_of")
        people = people.left_join(died, people.subject_id == died.died_of).drop("died_of")
        age = ibis.ifelse(people.anchor_year.isnull(), ibis.null("float64"), 0.0)
        return people.select("subject_id", "gender", "anchor_year", "dod", anchor_age=age)

    def _measured(self, table: str) -> ibis.Table:
        return self._at("measured", table=table)

    @functools.cached_property
    def _chartevents(self) -> ibis.Table:
        rows = self._in_stay(self._measured("chartevents"))
        return rows.select(
            "stay_id", itemid=rows.code_item.cast("int64"), charttime=rows.time, value=rows.text_value,
            valuenum=rows.numeric_value, valueuom=rows.code_unit,
        )  # fmt: skip

    @functools.cached_property
    def _labevents(self) -> ibis.Table:
        rows = self._measured("labevents")
        return rows.select(
            "subject_id", hadm_id=rows.own_hadm_id, itemid=rows.code_item.cast("int64"), charttime=rows.time,
            value=rows.text_value, valuenum=rows.numeric_value, valueuom=rows.code_unit,
        )  # fmt: skip

    @functools.cached_property
    def _outputevents(self) -> ibis.Table:
        rows = self._in_stay(self._measured("outputevents"))
        return rows.select(
            "stay_id", itemid=rows.code_item.cast("int64"), charttime=rows.time,
            value=rows.numeric_value, valueuom=rows.code_unit,
        )  # fmt: skip

    @functools.cached_property
    def _procedureevents(self) -> ibis.Table:
        rows = self._in_stay(self._measured("procedureevents"))
        return rows.select(
            "stay_id",
            itemid=rows.code_item.cast("int64"),
            starttime=rows.time,
            statusdescription=rows.own_status,
        )

    @functools.cached_property
    def _inputevents(self) -> ibis.Table:
        """Starts and ends of one order and item paired in the order of their times."""
        keys = ["subject_id", "code_item", "own_order_id", "own_stay_id"]

        def numbered(rows: ibis.Table) -> ibis.Table:
            rows = rows.mutate(
                own_order_id=rows.own_order_id.fill_null(""), own_stay_id=rows.own_stay_id.fill_null(-1)
            )
            turn = ibis.window(group_by=[rows[k] for k in keys], order_by=[rows.time, rows.numeric_value])
            return rows.mutate(turn=ibis.row_number().over(turn))

        starts = numbered(self._at("infusion_start"))
        ends = numbered(self._at("infusion_end"))
        ends = ends.select(
            endtime="time", ended_as="own_status", **{f"to_{k}": ends[k] for k in (*keys, "turn")}
        )
        rows = starts.left_join(ends, [starts[k] == ends[f"to_{k}"] for k in (*keys, "turn")])
        weights = self._at("infusion_weight")
        weights = weights.group_by(to_subject="subject_id", at="time").aggregate(
            patientweight=weights.numeric_value.max()
        )
        rows = rows.left_join(
            weights, [rows.subject_id == weights.to_subject, rows.time == weights["at"]], rname="{name}_w"
        )
        rows = self._in_stay(rows.mutate(own_stay_id=rows.own_stay_id.nullif(-1)))
        return rows.select(
            "stay_id", "endtime", "patientweight", itemid=rows.code_item.cast("int64"), starttime=rows.time,
            rate=rows.numeric_value, rateuom=rows.own_unit, statusdescription=rows.ended_as,
        )  # fmt: skip

    @functools.cached_property
    def _prescriptions(self) -> ibis.Table:
        rows = self._in_admission(self._at("order"))
        return rows.select(
            "subject_id", "hadm_id", starttime=rows.time, drug=rows.code_drug, route=rows.own_route,
            drug_type=rows.own_drug_type.coalesce("MAIN"),
        )  # fmt: skip

    @functools.cached_property
    def _microbiologyevents(self) -> ibis.Table:
        """MEDS does not number specimens: one person, kind and time make one."""
        rows = self._at("culture")
        day = rows.time.truncate("D")
        order = [rows.subject_id, rows.time, rows.code_specimen]
        return rows.select(
            "subject_id", hadm_id=rows.own_hadm_id, chartdate=day,
            micro_specimen_id=ibis.dense_rank().over(ibis.window(order_by=order)).cast("int64"),
            charttime=ibis.ifelse(day == rows.time, ibis.null("timestamp"), rows.time),
            spec_type_desc=rows.code_specimen, org_itemid=ibis.null("int64"),
            org_name=rows.text_value.nullif("NEGATIVE"),
        )  # fmt: skip

    @functools.cached_property
    def _diagnoses_icd(self) -> ibis.Table:
        rows = self._in_admission(self._at("diagnosis"))
        return rows.select("hadm_id", icd_code=rows.code_icd, icd_version=rows.code_version.try_cast("int64"))


def _columns(path: Path, files: list[Path], links: list[str]) -> set[str]:
    """Columns of the dataset, standard ones checked in every file; `links` hold admission and stay ids."""
    if not files:
        raise ExportError(
            str(path), "no Parquet file below data/", "a folder of the Medical Event Data Standard"
        )
    found: set[str] = set()
    for file in files:
        where = file.relative_to(path).as_posix()
        try:
            holds_columns = pq.read_schema(file)
        except (OSError, pa.ArrowException):
            raise ExportError(
                where, "not readable as Parquet", todo="Make or copy the dataset again."
            ) from None
        missing = [column for column in STANDARD if column not in holds_columns.names]
        if missing:
            raise ExportError(where, f"no column {missing[0]}", ", ".join(STANDARD), "See the MEDS schema.")
        held = {column: _TYPES[kind] for column, kind in STANDARD.items()}
        held |= {column: _LINK for column in links if column in holds_columns.names}
        for column, (holds, expected) in held.items():
            if not holds(holds_columns.field(column).type):
                raise ExportError(where, f"{column}: holds {holds_columns.field(column).type}", expected)
        found |= set(holds_columns.names)
    return found
