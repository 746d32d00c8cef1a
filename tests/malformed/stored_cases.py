"""Damages of Parquet data (MEDS) and of what the package itself wrote: labels, and tables of scores."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.malformed.cases import Case, file_case, record_cells
from tests.malformed.damage import CELL, PARQUET_FILE, text_file

SHARD = "data/train/0.parquet"
MEDS_COLUMNS = ("subject_id", "time", "code", "numeric_value", "text_value")
Change = Callable[[pa.Table], pa.Table]


def _table(where: str, change: Change) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        pq.write_table(change(pq.read_table(folder / where)), folder / where)

    return apply


def _column(name: str, change: Callable[[pa.ChunkedArray], Any]) -> Change:
    return lambda table: table.set_column(table.column_names.index(name), name, change(table[name]))


def _one(name: str, value: Any) -> Change:
    """One cell in the middle."""

    def change(column: pa.ChunkedArray) -> pa.Array:
        cells = column.to_pylist()
        cells[len(cells) // 2] = value
        return pa.array(cells, type=column.type)

    return _column(name, change)


def _all(name: str, value: Any, kind: pa.DataType | None = None) -> Change:
    return _column(name, lambda column: pa.array([value] * len(column), type=kind or column.type))


# What may be wrong with a shard of MEDS. {name: table to table}
SHARDS: dict[str, Change] = {
    **{f"no {name}": lambda t, name=name: t.drop_columns([name]) for name in MEDS_COLUMNS},
    "no rows": lambda t: t.slice(0, 0),
    "every row twice": lambda t: pa.concat_tables([t, t]),
    "time as text": _column("time", lambda c: c.cast(pa.string())),
    "time as whole numbers": _column("time", lambda c: c.cast(pa.int64())),
    "time with a zone": _column("time", lambda c: c.cast(pa.timestamp("us", "Asia/Tokyo"))),
    "time as dates": _column("time", lambda c: c.cast(pa.date32(), safe=False)),
    "time a gap": _all("time", None),
    "subject_id as text": _column("subject_id", lambda c: c.cast(pa.string())),
    "subject_id as fractions": _column("subject_id", lambda c: pc.add(c.cast(pa.float64()), 0.5)),
    "subject_id as whole doubles": _column("subject_id", lambda c: c.cast(pa.float64())),
    "subject_id a gap": _all("subject_id", None),
    "one subject_id a gap": _one("subject_id", None),
    "subject_id as lists": _column("subject_id", lambda c: pa.array([[v] for v in c.to_pylist()])),
    "one subject for all": _all("subject_id", 1),
    "code a gap": _all("code", None),
    "one code a gap": _one("code", None),
    "one code empty": _one("code", ""),
    "code as numbers": _all("code", 7, pa.int64()),
    "code unknown": _all("code", "COLOUR//BLUE"),
    "one code with an invalid item": _one("code", "LAB//RESULT//banana//mg/dL"),
    "one code with another unit": _one("code", "LAB//50813//mg/hogshead"),
    "code in categories": _column("code", lambda c: c.combine_chunks().dictionary_encode()),
    "numeric_value as text": _column("numeric_value", lambda c: c.cast(pa.string())),
    "numeric_value NaN": _all("numeric_value", float("nan")),
    "numeric_value infinite": _all("numeric_value", float("inf")),
    "numeric_value negative": _all("numeric_value", -987654.0),
    "icustay_id as invalid text": _all("icustay_id", "unknown", pa.string()),
    "icustay_id a gap": _all("icustay_id", None),
    "hadm_id a gap": _all("hadm_id", None),
}  # fmt: skip


def meds() -> Iterator[Case]:
    """A dataset with one damaged shard of two."""
    for damage, change in PARQUET_FILE.items():
        yield file_case(f"shard: {damage}", change, SHARD)
    for damage, change in SHARDS.items():
        yield Case(f"shard: {damage}", _table(SHARD, change))
    yield Case("no shards", lambda data: [file.unlink() for file in data.rglob("data/**/*.parquet")])
    yield Case("no metadata", lambda data: [file.unlink() for file in (data / "metadata").iterdir()])
    yield Case(
        "a shard twice", lambda data: (data / "data/again.parquet").write_bytes((data / SHARD).read_bytes())
    )


def _manifest(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    def apply(labels: Path) -> None:
        file = labels / "manifest.json"
        file.write_text(json.dumps(change(json.loads(file.read_text()))))

    return apply


ONSET: dict[str, Change] = {
    "no rows": lambda t: t.slice(0, 0),
    "a stay fewer": lambda t: t.slice(1),
    "every row twice": lambda t: pa.concat_tables([t, t]),
    "no stay_id": lambda t: t.drop_columns(["stay_id"]),
    "no onset_h": lambda t: t.drop_columns(["onset_h"]),
    "a further column": lambda t: t.append_column("note", pa.array(["x"] * len(t))),
    "stay_id as text": _column("stay_id", lambda c: c.cast(pa.string())),
    "stay_id of no stay": _column("stay_id", lambda c: pc.add(c, 10_000_000)),
    "one stay_id a gap": _one("stay_id", None),
    "onset_h as text": _column("onset_h", lambda c: c.cast(pa.string())),
    "onset_h infinite": _all("onset_h", float("inf")),
    "onset_h huge": _all("onset_h", 1e300),
    "onset_h negative": _all("onset_h", -5.0),
    "onset_h NaN": _all("onset_h", float("nan")),
    "is_case as numbers": _all("is_case", 7, pa.int64()),
    "everybody a case": _all("is_case", True),
    "stay_h negative": _all("stay_h", -1.0),
}


def labels() -> Iterator[Case]:
    """A folder of labels."""
    for damage, change in PARQUET_FILE.items():
        yield file_case(f"onset: {damage}", change, "onset.parquet")
    for damage, change in ONSET.items():
        yield Case(f"onset: {damage}", _table("onset.parquet", change))
    for damage, change in text_file(b",").items():
        yield file_case(f"attrition: {damage}", change, "attrition.csv")
    for damage, change in {
        "empty": lambda _: b"",
        "no JSON": lambda _: b"{",
        "a list": lambda _: b"[]",
        "a number": lambda _: b"7",
        "noise": lambda _: bytes(range(256)),
        "very deep": lambda _: b"[" * 100_000,
        "a name twice": lambda content: content.replace(b"{", b'{"kind": "labels", ', 1),
    }.items():
        yield file_case(f"manifest: {damage}", change, "manifest.json")
    yield Case("manifest: of a model", _manifest(lambda facts: {**facts, "kind": "model"}))
    yield Case("manifest: of other onsets", _manifest(lambda facts: {**facts, "onset_hash": "0" * 64}))
    yield Case(
        "manifest: of another export", _manifest(lambda facts: {**facts, "inputs": {"export": "0" * 64}})
    )
    yield Case("manifest: nothing in it", _manifest(lambda _: {}))
    for name in ("onset.parquet", "attrition.csv", "manifest.json"):
        yield Case(f"no {name}", lambda folder, name=name: (folder / name).unlink())


def scores() -> Iterator[Case]:
    """A CSV file of scores, as anybody may bring one."""
    for damage, change in text_file(b",").items():
        yield file_case(damage, change, "scores.csv")
    held = {
        "stay_id": "int64",
        "subject_id": "int64",
        "time_h": "float64",
        "risk": "float64",
        "model": "string",
    }
    for column, kind in held.items():
        for k, (damage, text) in enumerate(CELL[kind].items()):
            rows = "all" if k % 2 else "one"
            apply = record_cells("scores.csv", column, text, rows, b",")
            yield Case(f"{rows} of {column}: {damage}", apply)
