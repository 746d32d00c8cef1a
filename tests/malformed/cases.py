"""
The corpus: every case is one damage of one export, by a name that says where and what.

Damages go round the tables and columns in turn, so that each damage and each column is met without every
pair of them.
"""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core import schema
from tests.malformed.cut import read_rows, written
from tests.malformed.damage import CELL, PACKED_FILE, text_file

UNITS = {"valueuom", "rateuom"}
VOCABULARY = {
    str(item)
    for concept in schema.read_toml("2_concepts")["concept"]
    for kind in ("mimic_iii", "mimic_iv")
    for items in concept.get(kind, {}).values()
    for item in items
}


class Case(NamedTuple):
    """`apply` damages the copy of an export below a folder."""

    name: str
    apply: Callable[[Path], None]


def _file(change: Callable[[bytes], bytes], where: str) -> Callable[[Path], None]:
    def apply(export: Path) -> None:
        for file in sorted(export.glob(where)):
            file.write_bytes(change(file.read_bytes()))

    return apply


def _cells(where: str, column: str, text: str, rows: str) -> Callable[[Path], None]:
    """Put `text` ({}: what was there) into one cell of a CSV file or all of a column's."""

    def apply(export: Path) -> None:
        file = export / where
        table = read_rows(file)
        names = [name.lower() for name in table[0]]
        place = names.index(column)
        chosen = table[1:]
        if rows == "one":
            if "itemid" in names:  # a row that is read
                read = [row for row in chosen if row[names.index("itemid")] in VOCABULARY]
                chosen = read or chosen
            chosen = chosen[len(chosen) // 2 :][:1]
        for row in chosen:
            row[place] = text.replace("{}", row[place])
        content = written(table)
        file.write_bytes(gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)

    return apply


def columns_by_type(kind: str, files: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Type of column: (file, column), for the columns that must be there; of tables in turn."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in CELL}
    contract = schema.read_toml("1_export")[kind]
    for table, file in files.items():
        for column, named in contract[table]["columns"].items():
            found["unit" if column in UNITS else named].append((file, column))
    return found


def cell_cases(kind: str, files: dict[str, str], first: str) -> Iterator[Case]:
    """Every text that may stand in a cell once, in one cell and in all of a column by turns."""
    scopes = {"one": ("one", "all"), "all": ("all", "one")}[first]
    for named, places in columns_by_type(kind, files).items():
        # the other order for the other scope, so that a column meets other damages in each
        turn = cycle(places if first == "one" else places[::-1])
        for k, (damage, text) in enumerate(CELL[named].items()):
            file, column = next(turn)
            rows = scopes[k % 2]
            cells = "all cells" if rows == "all" else "one cell"
            yield Case(f"{file}: {cells} of {column}: {damage}", _cells(file, column, text, rows))


III_FILES = {
    table: f"{table.upper()}.csv"
    for table in (
        "chartevents", "icustays", "labevents", "admissions", "microbiologyevents", "patients",
        "prescriptions", "outputevents", "inputevents_mv", "inputevents_cv",
    )
}  # fmt: skip
IV_FILES = {
    **{t: f"icu/{t}.csv.gz" for t in ("icustays", "chartevents", "inputevents", "outputevents")},
    **{
        t: f"hosp/{t}.csv.gz"
        for t in ("patients", "labevents", "admissions", "prescriptions", "microbiologyevents")
    },
}


def mimic_iii() -> Iterator[Case]:
    """Plain files: bytes and cells."""
    turn = cycle(III_FILES.values())
    for damage, change in text_file(b",").items():
        file = next(turn)
        yield Case(f"{file}: {damage}", _file(change, file))
    yield from islice(cell_cases("mimic_iii", III_FILES, "all"), 1, None, 2)  # the others: MIMIC-IV


def mimic_iv() -> Iterator[Case]:
    """Compressed files, cells, and what can lie in a folder."""
    turn = cycle(IV_FILES.values())
    for damage, change in PACKED_FILE.items():
        for file in (next(turn), next(turn)):
            yield Case(f"{file}: {damage}", _file(change, file))
    yield from islice(cell_cases("mimic_iv", IV_FILES, "all"), 0, None, 2)
    for damage, apply in IN_A_FOLDER.items():
        yield Case(damage, apply)


def _instead(where: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(export: Path) -> None:
        (export / where).unlink()
        make(export / where)

    return apply


def _as_parquet(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Stays as a Parquet file with another schema."""

    def apply(export: Path) -> None:
        file = export / "icu" / "icustays.csv.gz"
        head, *rows = read_rows(file)
        file.unlink()
        table = pa.table({name: [row[k] for row in rows] for k, name in enumerate(head)})
        pq.write_table(change(table), file.with_name("icustays.parquet"))

    return apply


def _column(table: pa.Table, name: str, values: Callable[[list], pa.Array]) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, values(table[name].to_pylist()))


def _of_parquet(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    whole = _as_parquet(lambda table: table)

    def apply(export: Path) -> None:
        whole(export)
        _file(change, "icu/icustays.parquet")(export)

    return apply


IN_A_FOLDER: dict[str, Callable[[Path], None]] = {
    "no stays": lambda export: (export / "icu" / "icustays.csv.gz").unlink(),
    "no folder hosp": lambda export: shutil.rmtree(export / "hosp"),
    "no table of services": lambda export: (export / "hosp" / "services.csv.gz").unlink(),
    "a table twice": lambda export: shutil.copy(
        export / "icu" / "icustays.csv.gz", export / "hosp" / "icustays.csv.gz"
    ),
    "a table twice, in capitals": lambda export: shutil.copy(
        export / "icu" / "icustays.csv.gz", export / "icu" / "ICUSTAYS.csv.gz"
    ),
    "a copy of macOS beside a table": lambda export: (export / "icu" / "._icustays.csv.gz").write_bytes(
        b"Mac"
    ),
    "a folder for a table": _instead("icu/chartevents.csv.gz", Path.mkdir),
    "a pipe for a table": _instead("icu/chartevents.csv.gz", os.mkfifo),
    "a link to nothing for a table": _instead(
        "icu/chartevents.csv.gz", lambda file: file.symlink_to("nothing")
    ),
    "a link to itself for a table": _instead("icu/chartevents.csv.gz", lambda file: file.symlink_to(file)),
    "a link to the device of zeros for a table": _instead(
        "icu/chartevents.csv.gz", lambda file: file.symlink_to("/dev/zero")
    ),
    "files in the wrong folder": lambda export: (export / "icu").rename(export / "unit"),
    "nothing in the folder": lambda export: [shutil.rmtree(p) for p in list(export.iterdir())],
    "stays as Parquet with ids as text": _as_parquet(lambda table: table),
    "stays as Parquet cut short": _of_parquet(lambda content: content[:-20]),
    "stays as Parquet with noise inside": _of_parquet(
        lambda content: content[:40] + bytes(len(content) // 2) + content[40 + len(content) // 2 :]
    ),
    "stays as invalid Parquet": _of_parquet(lambda _: b"PAR1 and no more PAR1"),
    "stays as Parquet with times as numbers": _as_parquet(
        lambda table: _column(table, "intime", lambda cells: pa.array([5.6e9] * len(cells)))
    ),
    "stays as Parquet with ids as fractions": _as_parquet(
        lambda table: _column(table, "stay_id", lambda cells: pa.array([float(c) + 0.5 for c in cells]))
    ),
    "stays as Parquet with lists": _as_parquet(
        lambda table: _column(table, "stay_id", lambda cells: pa.array([[int(c)] for c in cells]))
    ),
    "stays as Parquet without rows": _as_parquet(lambda table: table.slice(0, 0)),
}


def challenge_2019() -> Iterator[Case]:
    """Records of PhysioNet 2019: one damaged or all."""
    yield from _records(b"|", "p000001.psv", "*.psv")
    texts = {**CELL["float64"], **CELL["string"]}
    for column in ("HR", "Age", "ICULOS", "SepsisLabel"):
        for k, (damage, text) in enumerate(texts.items()):
            # each column meets every damage, in one cell or in all
            rows = "all" if (k + len(column)) % 2 else "one"
            yield Case(
                f"one record, {rows} of {column}: {damage}", record_cells("p000001.psv", column, text, rows)
            )
    yield from _names("p000001.psv", ".psv")


def challenge_2012(first: str) -> Iterator[Case]:
    """Records of PhysioNet 2012 and their outcomes."""
    yield from _records(b",", first, f"{first[:4]}*.txt")
    texts = {
        "Time": {**CELL["timestamp"], "negative": "-01:00", "minute 60": "01:60", "999 h": "999:00"},
        "Parameter": {**CELL["string"], "another": "Colour", "in capitals": "LACTATE", "with spaces": " HR "},
        "Value": CELL["float64"],
    }
    for column, damages in texts.items():
        for k, (damage, text) in enumerate(damages.items()):
            rows = "all" if k % 2 else "one"
            yield Case(
                f"one record, {rows} of {column}: {damage}", record_cells(first, column, text, rows, b",")
            )
    for damage, change in text_file(b",").items():
        yield Case(f"Outcomes: {damage}", _file(change, "Outcomes.txt"))
    for column in ("RecordID", "Length_of_stay"):
        for damage, text in CELL["int64"].items():
            yield Case(f"Outcomes: one cell of {column}: {damage}", _outcomes(column, text))
    yield from _names(first, ".txt")


def _records(comma: bytes, one: str, every: str) -> Iterator[Case]:
    for k, (damage, change) in enumerate(text_file(comma).items()):
        yield Case(f"one record: {damage}", _file(change, one))
        if k % 3 == 0:
            yield Case(f"all records: {damage}", _file(change, every))


def file_case(name: str, change: Callable[[bytes], bytes], where: str) -> Case:
    """A damage of one file, or of all that a pattern names."""
    return Case(name, _file(change, where))


def record_cells(file: str, column: str, text: str, rows: str, comma: bytes = b"|") -> Callable:
    """Put `text` into one row of a file without quotes, or into all rows."""

    def change(content: bytes) -> bytes:
        lines = content.rstrip(b"\n").split(b"\n")
        place = lines[0].strip().split(comma).index(column.encode())
        for k in range(1, len(lines)) if rows == "all" else (len(lines) // 2,):
            cells = lines[k].split(comma)
            cells[place] = text.encode().replace(b"{}", cells[place])
            lines[k] = comma.join(cells)
        return b"\n".join(lines) + b"\n"

    return _file(change, file)


def _outcomes(column: str, text: str) -> Callable[[Path], None]:
    def apply(export: Path) -> None:
        file = export / "Outcomes.txt"
        table = read_rows(file)
        row = table[1]
        place = table[0].index(column)
        row[place] = text.replace("{}", row[place])
        file.write_bytes(written(table))

    return apply


def _names(first: str, suffix: str) -> Iterator[Case]:
    """File names that say no patient, or one twice."""

    def renamed(name: str) -> Callable[[Path], None]:
        return lambda export: (export / first).rename(export / name).touch()

    def copied(name: str) -> Callable[[Path], None]:
        def apply(export: Path) -> None:
            (export / name).parent.mkdir(exist_ok=True)
            shutil.copy(export / first, export / name)

        return apply

    yield Case("a name without a number", renamed(f"patient{suffix}"))
    yield Case("a name with thirty digits", renamed(f"{'1234567890' * 3}{suffix}"))
    yield Case("a name in capitals", renamed(f"{Path(first).stem}{suffix.upper()}"))
    yield Case("a patient twice", copied(f"more/{first}"))
    yield Case("a hidden copy", copied(f".{first}"))
    yield Case("a pipe for a record", lambda export: ((export / first).unlink(), os.mkfifo(export / first)))
    yield Case("no record", lambda export: [file.unlink() for file in export.glob(f"*{suffix}")])
