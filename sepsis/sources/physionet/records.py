"""Lines `HH:MM,parameter,value` of PhysioNet 2012 as columns, and the outcomes beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sepsis.core.errors import ExportError
from sepsis.sources.physionet import archive

HEADER = "Time,Parameter,Value"
STAY, LENGTH = "RecordID", "Length_of_stay"
_TIME = r"(?P<hour>\d{1,3}):(?P<minute>[0-5]\d)"


def has_header(content: bytes) -> bool:
    """Whether a file begins with the challenge's header."""
    return _first_line(content) == HEADER


def parse(files: Iterable[bytes], numbers: list[int]) -> pd.DataFrame:
    """
    Every line of every record: stay_id (from `numbers`), time_h, parameter, value, text, ragged.

    A malformed line stays, for the adapter to count: `time_h` (since ICU admission) or `value` is NaN, or
    `ragged` set. ExportError counts the files with another first line.
    """
    lines: list[str] = []
    counts, others = [], 0
    for content in files:
        others += not has_header(content)
        body = content.decode("utf-8", errors="replace").splitlines()[1:]
        body = [line for line in body if line.strip()]
        counts.append(len(body))
        lines += body
    if others:
        raise ExportError(
            "records", f"{others:,} of {len(counts):,} files do not begin with the line {HEADER}",
            "that line first in every file", "Download the files again: they may be empty or cut short.",
        )  # fmt: skip
    stay_id = np.repeat(np.array(numbers, dtype=np.int64), counts)
    text = pa.array(lines, type=pa.string())
    ragged = pc.not_equal(pc.count_substring(text, ","), 2)
    cells = pc.split_pattern(pc.if_else(ragged, ",,", text), ",")
    time, parameter, value = (pc.utf8_trim_whitespace(pc.list_element(cells, k)) for k in range(3))
    clock = pc.extract_regex(time, f"^{_TIME}$")
    hour, minute = (pc.struct_field(clock, part).cast(pa.float64()) for part in ("hour", "minute"))
    return pd.DataFrame(
        {
            "stay_id": stay_id,
            "time_h": pc.add(hour, pc.divide(minute, 60.0)).to_pandas(),
            "parameter": parameter.to_pandas().astype("str"),
            "value": pd.to_numeric(value.to_pandas(), errors="coerce"),
            "text": value.to_pandas().astype("str"),
            "ragged": ragged.to_pandas().astype(bool),
        }
    )


def is_outcomes(name: str) -> bool:
    """Whether a file is the table of outcomes rather than a record."""
    return Path(name).name.lower().startswith("outcomes")


def outcomes_files(path: Path) -> list[Path]:
    """Outcomes below a folder; else the one beside a folder or zip `set-x`, named `Outcomes-x.txt`."""
    if path.is_dir():
        below = [path / name for name in archive.names_in(path, ".txt") if is_outcomes(name)]
        if below:
            return below
    letter = re.fullmatch(r"set-(\w+)", path.stem, re.IGNORECASE)
    beside = path.parent / f"Outcomes-{letter.group(1)}.txt" if letter else path
    return [beside] if letter and beside.is_file() else []


def length_of_stay_h(files: list[Path]) -> pd.Series:
    """Hours from ICU admission to hospital discharge, by stay; NaN for -1. ExportError if malformed."""
    tables = [pd.Series(dtype=float, index=pd.Index([], dtype="int64", name=STAY))]
    for file in files:
        try:
            frame = pd.read_csv(file, dtype="str", encoding_errors="replace")
        except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError):
            raise ExportError(file.name, "not readable as a table", "comma-separated outcomes") from None
        missing = [column for column in (STAY, LENGTH) if column not in frame]
        if missing:
            raise ExportError(file.name, f"has no column {', '.join(missing)}", f"{STAY} and {LENGTH}")
        numbers = frame[[STAY, LENGTH]].apply(pd.to_numeric, errors="coerce").astype(float)
        whole = numbers[STAY] % 1 == 0  # not so where it is a gap or infinite
        bad = int((~whole | ~np.isfinite(numbers[LENGTH])).sum())
        if bad:
            raise ExportError(
                file.name, f"{bad:,} of {len(frame):,} rows: {STAY} or {LENGTH} is not a number", "numbers"
            )
        tables.append(numbers.astype({STAY: "int64"}).set_index(STAY)[LENGTH])
    days = pd.concat([table for table in tables if len(table)] or tables)
    doubled = int(days.index.duplicated().sum())
    if doubled:
        raise ExportError("Outcomes", f"{doubled:,} of {len(days):,} rows repeat a {STAY}", "one row a stay")
    return days.where(days >= 0) * 24.0


def _first_line(content: bytes) -> str:
    return content[:200].split(b"\n", 1)[0].decode("utf-8", errors="replace").strip("\ufeff\r ")
