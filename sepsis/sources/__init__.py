"""One adapter per kind of export; each hands out the same raw tables (`sepsis.sources.base`)."""

from __future__ import annotations

from pathlib import Path

from sepsis.errors import ExportError, UsageError, nearest
from sepsis.sources.base import RAW_TABLES, Source
from sepsis.sources.mimic_iii import MimicIII
from sepsis.sources.mimic_iv import MimicIV
from sepsis.sources.physionet2019 import PhysioNet2019
from sepsis.sources.tables import find_files, read_header

__all__ = ["KINDS", "RAW_TABLES", "Source", "detect", "open_export"]

KINDS: dict[str, type[Source]] = {c.kind: c for c in (MimicIII, MimicIV, PhysioNet2019)}
_ONLY_III = {"inputevents_mv", "inputevents_cv", "procedureevents_mv"}
_ONLY_IV = {"inputevents", "procedureevents"}


def open_export(path: str | Path, kind: str | None = None, **options) -> Source:
    """
    Open an export; nothing but names and headers is read.

    Parameters
    ----------
    path : path
        A folder of MIMIC-III or MIMIC-IV tables (.csv, .csv.gz, .parquet; any letter case; MIMIC-IV
        flat or with hosp/ and icu/), or a folder or zip of PhysioNet 2019.
    kind : str, optional
        "mimic_iii", "mimic_iv" or "physionet_2019"; found out by default.
    **options
        For the adapter: `limit` and `seed` of PhysioNet 2019 (a seeded subset of the stays).

    Raises
    ------
    ExportError
        If nothing that is known is there.
    UsageError
        If the kind is unknown, or the adapter does not take an option.
    """
    kind = kind.replace("-", "_").lower() if kind else detect(path)
    if kind not in KINDS:
        raise UsageError("kind", f"unknown kind of export {kind!r}", todo=nearest(kind, KINDS))
    options = {name: value for name, value in options.items() if value is not None}
    if options and kind != PhysioNet2019.kind:
        raise UsageError(", ".join(options), f"has no meaning for {kind}", todo="Leave it out.")
    return KINDS[kind](path, **options)


def detect(path: str | Path) -> str:
    """
    The kind of an export, from its file names and the header of ICUSTAYS.

    Raises
    ------
    ExportError
        If the path does not exist or holds nothing that is known; the message says what was sought.
    """
    path = Path(path)
    if not path.exists():
        raise ExportError(str(path), "no such file or folder", todo="Check the path you gave.")
    tables = find_files(path) if path.is_dir() else {}
    if "icustays" in tables:
        header = {column.lower() for column in read_header(tables["icustays"])}
        if "icustay_id" in header:
            return MimicIII.kind
        if "stay_id" in header:
            return MimicIV.kind
    if _ONLY_III & set(tables):
        return MimicIII.kind
    if _ONLY_IV & set(tables):
        return MimicIV.kind
    if PhysioNet2019.recognises(path):
        return PhysioNet2019.kind
    raise ExportError(
        str(path),
        "not an export of a known kind",
        "a folder with an ICUSTAYS table (.csv, .csv.gz or .parquet; column ICUSTAY_ID: MIMIC-III, stay_id: "
        "MIMIC-IV), or .psv files in a folder or zip (PhysioNet 2019)",
        "Give the folder that holds the tables.",
    )
