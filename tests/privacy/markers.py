"""
Markers planted in a made-up export, and a search that finds them in any file.

Every id of the export is a marker, a distinctive number of nine or ten digits, and so is every date and every
length of stay; values and words are planted in some stays. A marker is looked for as text, as bytes of whole
numbers and floats in both byte orders, inside gzip and Parquet, and in arrays that are written in base64.
"""

import base64
import gzip
import re
import struct
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from sepsis.synthetic.export import TRUTH, write_synthetic

# kind of id: its column, and where its numbers begin
IDS = {
    "subject": ("SUBJECT_ID", 800_000_000),
    "admission": ("HADM_ID", 1_000_000_000),
    "stay": ("ICUSTAY_ID", 1_400_000_000),
}
APART = 1009
HEART_RATE, LACTATE, PLATELETS, CREATININE, RARE = "220045", "50813", "51265", "50912", "220088"
# each throughout several stays; the first six digits are looked for in text
VALUES = {
    PLATELETS: (151.2734, 163.8412, 177.4923, 193.6714),
    CREATININE: (1.318251, 1.643152, 1.742913, 1.936714),
}
EXTREMES = {HEART_RATE: 271.8134, LACTATE: 26.31824, PLATELETS: 931.6423}  # once each, beyond all others
RARE_VALUES = (
    4.113214,
    4.523413,
    4.874312,
    5.263214,
    5.732413,
)  # of a variable that one stay alone has, often
WORDS = {
    "note": "Kvormscripta",  # organism, test, unit of the hospital, ethnicity, remark on a laboratory value
    "drug": "Zyxomycin",
    "specimen": "Xenohumour",
}
_ID = re.compile(r"(?<![\d.])(?:\d{9,10}|\d{1,3}(?:,\d{3}){2,3})(?!\d)")
_DATE = re.compile(r"(?<![\d.])(\d{4})[-/]?(\d\d)[-/]?(\d\d)(?!\d)")
_NUMBER = re.compile(r"\d+\.\d{3,}")
_ARRAY = re.compile(rb'"bdata": ?"([A-Za-z0-9+/=]+)"')


@dataclass(frozen=True, eq=False)
class Markers:
    """
    What is looked for.

    Attributes
    ----------
    ids : dict of kind to list of int
    values : list of float
    lengths, ages : list of float
        Of stays, in hours; at admission, in years.
    moments : list of int
        ICU admissions and discharges, in seconds since 1970.
    dates : frozenset of str
        Every date of the export, as "21480131".
    """

    ids: dict[str, list[int]]
    values: list[float]
    lengths: list[float]
    ages: list[float]
    moments: list[int]
    dates: frozenset[str]

    @cached_property
    def _bytes(self) -> dict[int, dict[int, str]]:
        """Kind of each marker by its bytes, read as a whole number: of 4 bytes and of 8."""
        units = (1, 10**3, 10**6, 10**9)
        moments = [moment * unit for moment in self.moments for unit in units]
        packed = [(kind, some, "<i >i <q >q <f >f <d >d") for kind, some in self.ids.items()]
        packed += [(kind, some, "<f >f <d >d") for kind, some in self._decimals.items()]
        packed.append(("time", moments, "<q >q"))
        known: dict[int, dict[int, str]] = defaultdict(dict)
        for kind, some, forms in packed:
            for form in forms.split():
                for number in some:
                    raw = struct.pack(form, number)
                    known[len(raw)][int.from_bytes(raw, "little")] = kind
        return known

    @cached_property
    def _written(self) -> dict[str, str]:
        """Kind of each marker with decimals by its first digits: six of a value, eight of the others."""
        return {
            str(one)[: 7 if kind == "value" else 9]: kind
            for kind, some in self._decimals.items()
            for one in some
        }

    @property
    def _decimals(self) -> dict[str, list[float]]:
        return {"value": self.values, "length": self.lengths, "age": self.ages}

    def found(self, content: bytes | str) -> set[str]:
        """Kinds of the markers in some bytes or text."""
        raw = content.encode() if isinstance(content, str) else content
        text = raw.decode("latin-1")
        small, numbers = text.lower(), {int(one.replace(",", "")) for one in _ID.findall(text)}
        kinds = {kind for kind, some in self.ids.items() if not numbers.isdisjoint(some)}
        kinds |= {kind for kind, word in WORDS.items() if word.lower() in small}
        begun = {one[:n] for one in _NUMBER.findall(text) for n in (7, 9)}
        kinds |= {kind for one, kind in self._written.items() if one in begun}
        if not self.dates.isdisjoint("".join(date) for date in _DATE.findall(text)):
            kinds.add("time")
        parts = [base64.b64decode(one) for one in _ARRAY.findall(raw)]
        parts += [raw] if b"\0" in raw else []  # text holds no numbers as bytes
        return kinds.union(*map(self._found_as_bytes, parts))

    def _found_as_bytes(self, part: bytes) -> set[str]:
        kinds = set()
        for size, known in self._bytes.items():
            wanted = np.array(sorted(known), f"<u{size}")
            for first in range(min(size, len(part))):
                there = np.frombuffer(part[first : first + (len(part) - first) // size * size], f"<u{size}")
                kinds |= {known[int(one)] for one in there[np.isin(there, wanted)]}
        return kinds

    def found_in(self, file: Path) -> set[str]:
        """Kinds of the markers in a file: its name, its bytes, and what is packed in them."""
        content = file.read_bytes()
        kinds = self.found(content) | self.found(file.name)
        if file.suffix == ".gz":
            kinds |= self.found(gzip.decompress(content))
        if content[:4] == b"PAR1":
            table = pq.read_table(file)
            kinds |= self.found(str(table.schema.metadata))
            for column in table.columns:
                kinds |= self.found("\n".join(map(str, column.unique().to_pylist())))
        return kinds

    def by_file(self, folder: Path) -> dict[str, set[str]]:
        """Kinds found in each file below a folder, hidden ones too; files without any are left out."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        found = {file.relative_to(folder).as_posix(): self.found_in(file) for file in files}
        return {name: kinds for name, kinds in found.items() if kinds}


def marked_export(folder: Path, *, stays: int, seed: int) -> Markers:
    """Write a made-up export in MIMIC-III form, with markers; its truth is left out."""
    export = write_synthetic(folder, stays=stays, seed=seed, case_share=0.5)
    (export / TRUTH).unlink()
    dates: set[str] = set()
    for file in sorted(export.glob("*.csv.gz")):
        frame = _marked(read(file), file.name.partition(".")[0])
        for name in frame.columns[frame.columns.str.contains("TIME|DATE|^DO[BD]$")]:
            dates |= set(frame[name].str[:10].str.replace("-", "")) - {""}
        write(frame, file)
    icu = read(export / "ICUSTAYS.csv.gz")
    begin, end = (_seconds(icu[name]) for name in ("INTIME", "OUTTIME"))
    people = read(export / "ADMISSIONS.csv.gz").merge(read(export / "PATIENTS.csv.gz"), on="SUBJECT_ID")
    ages = (_seconds(people.ADMITTIME) - _seconds(people.DOB)) / (86_400 * 365.242)
    return Markers(
        ids={kind: sorted(set(icu[column].astype(int))) for kind, (column, _) in IDS.items()},
        values=[v for some in VALUES.values() for v in some] + list(EXTREMES.values()) + list(RARE_VALUES),
        lengths=[h for h in ((end - begin) / 3600.0).tolist() if len(str(h)) > 9],
        ages=[age for age in ages.tolist() if age < 89.0],
        moments=[*begin.tolist(), *end.tolist()],
        dates=frozenset(dates),
    )


def _seconds(times: pd.Series) -> np.ndarray:
    return times.to_numpy("datetime64[s]").astype(np.int64)


def read(file: Path) -> pd.DataFrame:
    """A table of an export, all of it text."""
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def write(frame: pd.DataFrame, file: Path) -> None:
    """Write a table of an export."""
    frame.to_csv(file, index=False, compression={"method": "gzip", "compresslevel": 1, "mtime": 0})


def _marked(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """A table with its markers."""
    for column, begin in IDS.values():
        if column in frame:
            frame[column] = [str(int(one) * APART + begin) for one in frame[column]]
    if "VALUENUM" in frame:
        frame = _with_values(frame)
    note, drug, specimen = WORDS.values()
    if table == "LABEVENTS":
        frame["VALUE"] += f" {note}"
    if table == "MICROBIOLOGYEVENTS":
        frame["ORG_NAME"] = frame.ORG_NAME.where(frame.ORG_NAME == "", note)
        frame["TEST_NAME"] = note
        frame["SPEC_TYPE_DESC"] = frame.SPEC_TYPE_DESC.where(frame.index % 4 > 0, specimen)
    if table == "PRESCRIPTIONS":
        frame["DRUG"] = frame.DRUG.where(frame.index % 4 > 0, frame.DRUG + f" {drug}")
    for column in frame.columns.intersection(["ETHNICITY", "FIRST_CAREUNIT", "LAST_CAREUNIT"]):
        frame[column] = note
    return frame


def _with_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Values throughout every third admission, an extreme in one row each, a variable of one stay alone."""
    admissions = sorted(frame.HADM_ID.unique())
    cells = ["VALUENUM", "VALUE"]
    for item, values in VALUES.items():
        for k, admission in enumerate(admissions[::3]):
            frame.loc[(admission == frame.HADM_ID) & (item == frame.ITEMID), cells] = str(
                values[k % len(values)]
            )
    for k, (item, value) in enumerate(EXTREMES.items()):
        mine = frame.index[
            (admissions[(3 * k + 1) % len(admissions)] == frame.HADM_ID) & (item == frame.ITEMID)
        ]
        frame.loc[mine[:1], cells] = str(value)
    rare = frame[(admissions[15 % len(admissions)] == frame.HADM_ID) & (frame.ITEMID == HEART_RATE)]
    values = [str(RARE_VALUES[k % len(RARE_VALUES)]) for k in range(len(rare))]
    return pd.concat([frame, rare.assign(ITEMID=RARE, VALUENUM=values, VALUE=values, VALUEUOM="L/min")])
