"""Small exports cut from the open demos: few stays, real rows, so that each can be damaged and read again."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

# Places in the table of stays: short ones, with vasoactive infusions
III_STAYS = (41, 71)  # one charted in CareVue, one in MetaVision
IV_STAYS = (44, 54)
Fits = Callable[[bytes], bool]
_UNREAD = {"callout", "transfers", "d_items", "d_labitems"}


def read_rows(file: Path) -> list[list[str]]:
    """Header and rows of a CSV file, plain or compressed."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def written(rows: list[list[str]]) -> bytes:
    """CSV as the exports write it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def kept(rows: list[list[str]], stay_key: str, stays: set[str], hadm: set[str], people: set[str]) -> list:
    """Rows of these stays, admissions or people: by the narrowest id that a table has."""
    names = [name.lower() for name in rows[0]]
    if stay_key in names:
        column, wanted = names.index(stay_key), stays
    elif "hadm_id" in names:
        column, wanted = names.index("hadm_id"), hadm
    else:
        column, wanted = names.index("subject_id"), people
    return [rows[0], *(row for row in rows[1:] if row[column] in wanted)]


def cut_mimic_iii(demo: Path, out: Path) -> None:
    """A flat folder of plain CSV files."""
    keys = _keys(read_rows(demo / "ICUSTAYS.csv.gz"), "icustay_id", III_STAYS)
    out.mkdir()
    for file in sorted(demo.glob("*.csv.gz")):
        if file.name.removesuffix(".csv.gz").lower() not in _UNREAD:
            rows = kept(read_rows(file), "icustay_id", *keys)
            (out / file.name.removesuffix(".gz")).write_bytes(written(rows))


def cut_mimic_iv(demo: Path, out: Path) -> None:
    """Folders hosp and icu with compressed files, of the tables that are read."""
    tables = {
        "icu": ("icustays", "chartevents", "outputevents", "inputevents", "procedureevents"),
        "hosp": (
            "admissions",
            "patients",
            "labevents",
            "prescriptions",
            "microbiologyevents",
            "services",
            "diagnoses_icd",
        ),
    }
    keys = _keys(read_rows(demo / "icu" / "icustays.csv.gz"), "stay_id", IV_STAYS)
    for folder, names in tables.items():
        (out / folder).mkdir(parents=True)
        for name in names:
            rows = kept(read_rows(demo / folder / f"{name}.csv.gz"), "stay_id", *keys)
            content = gzip.compress(written(rows), mtime=0)
            (out / folder / f"{name}.csv.gz").write_bytes(content)


def _keys(rows: list[list[str]], stay_key: str, places: tuple[int, ...]) -> tuple[set[str], ...]:
    """Ids of the stays at these places, of their admissions and of their people."""
    names = [name.lower() for name in rows[0]]
    columns = (names.index(name) for name in (stay_key, "hadm_id", "subject_id"))
    return tuple({rows[1 + place][column] for place in places} for column in columns)


def cut_challenge(archive: Path, out: Path, suffix: str, wanted: dict[bool, int], fits: Fits) -> None:
    """The first records of a challenge: so many that fit, so many that do not."""
    out.mkdir()
    left = dict(wanted)
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(name for name in packed.namelist() if name.endswith(suffix)):
            content = packed.read(name)
            if left[fits(content)] > 0:
                left[fits(content)] -= 1
                (out / Path(name).name).write_bytes(content)
            if not any(left.values()):
                return


def septic(content: bytes) -> bool:
    """Whether a record of PhysioNet 2019 has an hour labelled 1 (the last column)."""
    return any(line.rstrip().endswith(b"|1") for line in content.splitlines())


def cut_outcomes(outcomes: Path, records: Path) -> None:
    """The outcomes of these records of PhysioNet 2012, next to them."""
    head, *rows = outcomes.read_text().splitlines()
    mine = {file.stem for file in records.glob("*.txt")}
    lines = [head, *(row for row in rows if row.split(",")[0] in mine)]
    (records / "Outcomes.txt").write_text("\n".join(lines) + "\n")
