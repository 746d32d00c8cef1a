"""What every adapter answers: tables in hours since ICU admission, whose meaning `sepsis.events` decides."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa

from sepsis.core.errors import ExportError, UsageError
from sepsis.sources.engines.checksums import gzip_error
from sepsis.sources.engines.engine import Engine, connect, shown

BAD_TIME, BAD_NUMBER = "malformed time", "malformed number"  # reasons of `exclusion`
LONGEST_STAY_H = 5 * 365 * 24  # a longer one has a wrong date
TOO_LONG = "longer than 5 years"
MALFORMED_SHARE = 0.01  # of the rows of a table; more stop the run
_MEASURED = {
    "stay_id": "int64",  # null: not a stay of the export
    "time_h": "float64",  # when it was charted or drawn; null if the row has no time
    "item": "string",  # the export's own key, as the vocabulary writes it
    "value": "float64",  # null where the row has no number
    "unit": "string",  # as the export writes it; null or "" if it has no unit
    "text": "string",
    "exclusion": "string",  # why the export itself marks the row as invalid, or null
}

RAW_TABLES: dict[str, dict[str, str]] = {
    "stays": {
        "stay_id": "int64",
        "subject_id": "int64",
        "hadm_id": "int64",
        "intime": "timestamp",  # null where the export has no clock
        "outtime": "timestamp",
        "stay_h": "float64",
        "age": "float64",
        "sex": "string",
        "system": "string",
        "exclusion": "string",  # why the stay cannot be used, or null
    },
    "charted": _MEASURED,
    "labs": _MEASURED,  # one row per lab row and ICU stay of its admission; no row without a stay
    "outputs": _MEASURED,
    "procedures": _MEASURED,  # `time_h` is the start
    "infusions": {
        "stay_id": "int64",
        "start_h": "float64",
        "end_h": "float64",
        "item": "string",
        "value": "float64",  # rate in `unit`
        "unit": "string",
        "weight_kg": "float64",  # charted with the infusion, or null
        "exclusion": "string",
    },
    "prescriptions": {
        "stay_id": "int64",  # null: an order outside the stays' admissions; its drug name still counts
        "time_h": "float64",
        "date_only": "boolean",  # the day alone is known; `time_h` is its midnight
        "drug": "string",
        "route": "string",
        "drug_type": "string",
        "exclusion": "string",
    },
    "cultures": {
        "stay_id": "int64",
        "time_h": "float64",
        "date_only": "boolean",
        "specimen": "string",
        "positive": "boolean",
        "exclusion": "string",
    },
    "diagnoses": {"stay_id": "int64", "icd_version": "int64", "code": "string"},
    "labels": {
        "stay_id": "int64",
        "first_labelled_h": "float64",
        "first_row_h": "float64",
        "last_row_h": "float64",
    },
}

DETAIL_TABLES = {  # rows with links to stays, for definitions that look beyond a stay and its admission
    "stay_links": "one row per stay: known_stay, known_subject, known_hadm, intime, intime_s, outtime_s, and "
    "how far its admission (admission_from_s, admission_to_s) and the stay (stay_from_s, stay_to_s) reach",
    "lab_samples": "laboratory rows near each stay of the person: stay_id, time_h, item, value, text, "
    "sample, named (the row names the stay's admission), near_admission, near_stay",
    "orders": "prescriptions in any admission of the persons: subject_id, hadm_id, start_s, stop_s, "
    "date_only, drug, route, drug_type",
    "specimens": "cultures in any admission of the persons: subject_id, hadm_id, sample, day_s, time_s "
    "(null: the day alone is known), specimen, positive",
    "carevue_rates": "CareVue's chartings of a drug, also without a rate: stay_id, time_h, item, value, "
    "unit, stopped",
    "admissions": "the admission of each stay: stay_id, admit_h, discharge_h, admission_type, service",
    "administrations": "doses as MetaVision charts them: stay_id, start_h, end_h, item",
}  # *_s are seconds since 1970, *_h hours since ICU admission


class Source(ABC):
    """
    One opened export; tables are read when they are needed.

    An adapter overrides `recognises`, `files`, `check` and `raw`; the others if it needs to.

    Attributes
    ----------
    kind, items_of : str
        Key of `sepsis.sources.KINDS`; key of the vocabulary (`data_schema/2_concepts.toml`) that lists the
        raw tables' item keys, by default the kind.
    has_detail, brings_labels : bool
        Whether `detail` answers; whether the export has labels of its own (`raw("labels")`).
    takes : tuple of str
        Options of `open_export` that the adapter accepts.
    database_key, usual_schemas : str, tuple of str
        For releases read from a database: the column that only this kind's ICU stays have, and the schemas
        preferred if several hold it. "" if never read from one.
    connection : ibis backend
        Expressions use nothing that DuckDB, PostgreSQL and Spark read differently.
    """

    kind: str = ""
    items_of: str = ""
    has_detail: bool = False
    brings_labels: bool = False
    takes: tuple[str, ...] = ()
    database_key: str = ""
    usual_schemas: tuple[str, ...] = ()

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "items_of" not in cls.__dict__:
            cls.items_of = cls.kind

    def __init__(self, path: str | Path, engine: Engine | None = None):
        self.path = Path(shown(path))
        self._engine = engine or connect("duckdb")
        self.connection = self._engine.connection

    @property
    def engine(self) -> str:
        """Name of the engine that runs the expressions of `raw`."""
        return self._engine.name

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        """Whether this is such an export, asked in the order of `KINDS`; `tables` come from `find_files`."""

    @classmethod
    def open(cls, path: str | Path, engine: str, **options) -> Source:
        """From a path; UsageError for another engine than DuckDB, unless the kind is read by engines."""
        if engine != "duckdb":
            raise UsageError(f"--engine {engine}", f"has no meaning for {cls.kind}", todo="Leave it out.")
        return cls(path, **options)

    @abstractmethod
    def files(self) -> list[Path]:
        """The files the tables are read from, each below `path` or `path` itself."""

    @abstractmethod
    def check(self) -> pd.DataFrame:
        """
        Which tables and columns are present or missing: table, column, status, required, feeds.

        One row per table (column "") and per column or item the adapter would use. `status` is "ok" or
        "missing"; nothing can be done without what is `required`; `feeds` names what is built from it.
        """

    @abstractmethod
    def raw(self, name: str, items: Iterable[str] | None = None) -> ibis.Table:
        """
        One of `RAW_TABLES`, with exactly its columns; an empty table if the export has none.

        `items` keeps the rows of these item keys only ("charted", "labs", "outputs", "infusions"): the filter
        is applied to the file's own column, before anything else is computed. Raises ExportError if a needed
        file cannot be read, or a needed column is missing or of another type.
        """

    def detail(self, name: str, items: Iterable[str] | None = None) -> pd.DataFrame:
        """One of `DETAIL_TABLES` in memory; `items` filter lab_samples, carevue_rates and administrations."""
        raise AssertionError(f"{self.kind} has no table {name}")

    def explained(self, name: str) -> AbstractContextManager[None]:
        """Wraps the reading of `raw(name)`: where it is lazy, an engine's error becomes an ExportError."""
        return contextlib.nullcontext()

    def refuse_malformed(self, name: str, counts: pd.DataFrame) -> None:
        """Raise ExportError if over `MALFORMED_SHARE` of the `counts` (reason, rows) are malformed."""
        bad = int(counts.rows[counts.reason.isin([BAD_TIME, BAD_NUMBER])].sum())
        total = int(counts.rows.sum())
        if bad > MALFORMED_SHARE * total:
            raise self.malformed(name, bad, total)

    def malformed(self, name: str, bad: int, total: int) -> ExportError:
        """The error of `refuse_malformed`."""
        return ExportError(
            name, f"{bad:,} of {total:,} rows have an unparseable time or number",
            f"at most {MALFORMED_SHARE:.0%} of them", "Correct the export.",
        )  # fmt: skip

    def dropped(self) -> pd.DataFrame:
        """Rows the adapter left out, for the ledger: concept (else the raw table's name), reason, rows."""
        return pd.DataFrame(columns=["concept", "reason", "rows"])

    def options(self) -> dict:
        """What else decides the content (a seeded subset, say); part of the fingerprint."""
        return {}

    @property
    def problems(self) -> list[str]:
        """Why the export cannot be used: one line per required table or column that is missing."""
        return lacking(self.check())

    def require_usable(self) -> None:
        """Raise one ExportError naming everything in `problems`."""
        problems = self.problems
        if problems:
            raise ExportError(
                f"export ({self.kind})",
                "; ".join(problems),
                todo="Add what is missing; 'sepsis check EXPORT' lists every table and what it feeds.",
            )

    def require_whole(self) -> int:
        """Compare the checksum of every compressed file (ExportError if damaged); returns their number."""
        packed = [file for file in self.files() if file.name.lower().endswith(".gz")]
        for file in packed:
            if damage := gzip_error(file):
                raise damage
        return len(packed)

    @property
    def lacks(self) -> str:
        """What labels need and this kind of export never has; empty if nothing is missing."""
        return ""

    def require_labelable(self) -> None:
        """Raise ExportError if no Sepsis-3 onset can be derived from this kind of export."""
        refuse_unlabelable(f"export ({self.kind})", self.lacks)

    def fingerprint(self) -> str:
        """
        sha256 over the options and the relative name, size and bytes of every file of `files`.

        A file is read again only when its size or modification time differs. Raises ExportError if a file is
        gone or may not be read.
        """
        digest = hashlib.sha256(f"{self.kind} {sorted(self.options().items())}".encode())
        root = self.path if self.path.is_dir() else self.path.parent
        for path in sorted(self.files()):
            name = Path(os.path.relpath(path, root)).as_posix()  # outcomes may lie beside the folder
            try:
                found = path.stat()
                content = _content_hash(path.resolve(), found.st_size, found.st_mtime_ns)
            except OSError as error:  # the file is not named: its name may be a patient's id
                raise ExportError(
                    str(self.path), f"one of its files cannot be read ({error.strerror})",
                    "files that you may read", "Ask their owner.",
                ) from None  # fmt: skip
            digest.update(f"\n{name} {found.st_size}\n".encode())
            digest.update(content)
        return digest.hexdigest()

    def require_unchanged(self, fingerprint: str) -> None:
        """Raise ExportError if the export no longer has this fingerprint: it changed while it was read."""
        if self.fingerprint() != fingerprint:
            raise ExportError(
                str(self.path), "changed while it was read", "an export that does not change",
                "Run the command again when it is whole.",
            )  # fmt: skip

    def fetch(self, expression: ibis.Table) -> pd.DataFrame:
        """Rows of an expression over `raw` tables; whole numbers with gaps become floats, flags objects."""
        return self._engine.table(expression).to_pandas()

    def batches(self, expression: ibis.Table) -> Iterator[pa.RecordBatch]:
        """Rows of an expression over `raw` tables, piece by piece, in the types it declares."""
        return self._engine.batches(expression)

    def close(self) -> None:
        """End the connection; the source cannot be read afterwards."""
        self._engine.close()

    def table(self, name: str, frame: pd.DataFrame | None = None) -> ibis.Table:
        """A raw table made from a data frame (or an empty one); columns that `frame` lacks become null."""
        schema = ibis.schema(RAW_TABLES[name]).to_pyarrow()
        frame = pd.DataFrame() if frame is None else frame
        columns = {
            field.name: pa.array(frame[field.name], type=field.type, from_pandas=True)
            if field.name in frame
            else pa.nulls(len(frame), type=field.type)
            for field in schema
        }
        arrow = pa.table(columns, schema=schema)
        if self.engine != "duckdb":
            return ibis.memtable(arrow, schema=RAW_TABLES[name])
        return self.connection.create_table(f"raw_{name}", arrow, temp=True, overwrite=True)


def refuse_unlabelable(where: str, lacks: str) -> None:
    """Raise ExportError if `Source.lacks` names something."""
    if lacks:
        raise ExportError(
            where,
            f"{lacks}: it cannot be labelled",
            "an export with antibiotics and cultures (MIMIC), or with labels (PhysioNet 2019)",
            "A model that was trained elsewhere scores it without labels: "
            "'sepsis score EXPORT --hourly --model MODEL --out FILE'.",
        )


def lacking(check: pd.DataFrame) -> list[str]:
    """One line per required table or column that a table of `Source.check` calls missing."""
    rows = check[(check.status != "ok") & check.required.astype(bool)]
    return [
        f"table {row.table} has no column {row.column}" if row.column else f"table {row.table} is missing"
        for row in rows.itertuples()
    ]


@functools.cache
def _content_hash(path: Path, size: int, mtime_ns: int) -> bytes:
    """sha256 of a file's bytes; size and time of change identify a state of the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
