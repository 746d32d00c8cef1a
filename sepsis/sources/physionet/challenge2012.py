"""
PhysioNet/CinC Challenge 2012: one text file a stay, one line a measurement, the first 48 hours.

Silva et al., Comput Cardiol 39 (2012) 245-248. Lines at 00:00 also describe the patient; -1 means "not
known". There are no antibiotics and no cultures, so no Sepsis-3 onset can be derived; risks can.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from sepsis.core import schema
from sepsis.core.errors import ExportError
from sepsis.sources.base import BAD_NUMBER, BAD_TIME, MALFORMED_SHARE
from sepsis.sources.physionet import archive, records
from sepsis.sources.physionet.patient_files import PatientFiles

SUFFIX = ".txt"
RECORD_H = 48.0  # a record covers so many hours; Length_of_stay counts on to discharge from hospital
UNKNOWN = -1.0
AGE_HIDDEN_FROM, AGE_IF_HIDDEN = 90.0, 91.4  # years; the export writes 90 from 90 on
DESCRIBING = ("RecordID", "Age", "Gender")  # what `stays` is made of
NOT_KNOWN = "-1: not known"
NO_CONCEPT = "no concept in the vocabulary"
NO_PARAMETER = "not a parameter of the challenge"
RAGGED = "row without its three cells"
HEADERS_CHECKED = 9  # to recognise the folder
_OUTPUTS = ("Urine",)


class PhysioNet2012(PatientFiles):
    """
    A folder of record files, or the zip that holds them.

    `Outcomes*.txt` is read below the folder, or beside `set-a.zip` or `set-a/` as `Outcomes-a.txt`. `raw`
    raises ExportError for another header, a RecordID that is not the file's, more than 1 % malformed rows, or
    outcomes that break their contract.
    """

    kind = "physionet_2012"
    suffix = SUFFIX

    def __init__(self, path: str | Path, limit: int | None = None, seed: int = 0):
        super().__init__(path, limit, seed)
        self.units: dict[str, str] = schema.read_toml("1_export")[self.kind]["records"]["units"]

    @staticmethod
    def _is_record(name: str) -> bool:
        return not records.is_outcomes(name)

    @classmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        if path.is_file() and not zipfile.is_zipfile(path):
            return False
        names = [name for name in archive.names_in(path, SUFFIX) if Path(name).stem.isdigit()]
        return any(records.has_header(content) for content in archive.contents(path, names[:HEADERS_CHECKED]))

    @property
    def lacks(self) -> str:
        return "there are no antibiotics and no cultures, so no suspicion of infection and no Sepsis-3 onset"

    def files(self) -> list[Path]:
        return [*super().files(), *records.outcomes_files(self.path)]

    def check(self) -> pd.DataFrame:
        """Parameters that are charted in any record, and those that the challenge lacks."""
        there = set(self._rows.parameter.unique())
        feeds = self._feeds()
        described = {"RecordID": "stays", "Age": "age", "Gender": "sex"}
        rows = [("records", "", "ok", True, "everything")]
        for parameter in self.units:
            status = "ok" if parameter in there else "missing"
            use = described.get(parameter) or ", ".join(feeds.get(parameter, ())) or f"nothing: {NO_CONCEPT}"
            rows.append(("records", parameter, status, False, use))
        status = "ok" if records.outcomes_files(self.path) else "missing"
        rows.append(("Outcomes", "", status, False, "length of stay (else: up to the last measurement)"))
        rows.append(("antibiotics", "", "missing", False, "labels: none can be derived from this challenge"))
        rows.append(("cultures", "", "missing", False, "labels: none can be derived from this challenge"))
        return pd.DataFrame(rows, columns=["table", "column", "status", "required", "feeds"])

    def raw(self, name: str, items: Iterable[str] | None = None) -> ibis.Table:
        """One of `RAW_TABLES`; urine is in "outputs", everything else measured in "charted"."""
        if name == "stays":
            return self.table(name, self._stays())
        if name in ("charted", "outputs"):
            return self.table(name, self._measured(name, items))
        return self.table(name)

    def dropped(self) -> pd.DataFrame:
        """Rows without a concept: by parameter if the challenge has it, else together."""
        rows, known = self._rows, self._feeds()
        ragged = int((rows.exclusion == RAGGED).sum())
        whole = rows[rows.exclusion != RAGGED]
        counts = whole.parameter[~whole.parameter.isin([*known, *DESCRIBING])].value_counts()
        named = counts[counts.index.isin(self.units)]
        found = [(parameter, NO_CONCEPT, int(n)) for parameter, n in sorted(named.items())]
        others = int(counts.sum() - named.sum())
        found += [("charted", NO_PARAMETER, others)] if others else []
        found += [("charted", RAGGED, ragged)] if ragged else []
        return pd.DataFrame(found, columns=["concept", "reason", "rows"])

    def _feeds(self) -> dict[str, list[str]]:
        feeds: dict[str, list[str]] = {}
        for concept in schema.read_toml("2_concepts")["concept"]:
            for items in concept.get(self.kind, {}).values():
                for item in items:
                    feeds.setdefault(item, []).append(concept["id"])
        return feeds

    @functools.cached_property
    def _rows(self) -> pd.DataFrame:
        rows = records.parse(self._contents(), list(self._numbers.values()))
        # Of several grounds the first counts.
        grounds = [
            (rows.ragged, RAGGED),
            (~(rows.time_h <= RECORD_H), BAD_TIME),  # a record ends there: a later time is a slip
            (~np.isfinite(rows.value.to_numpy(float)), BAD_NUMBER),
            (rows.value == UNKNOWN, NOT_KNOWN),
        ]
        rows["exclusion"] = np.select([bad for bad, _ in grounds], [why for _, why in grounds], default="")
        rows["exclusion"] = rows.exclusion.replace({"": None})
        bad = int(rows.exclusion.isin([RAGGED, BAD_TIME, BAD_NUMBER]).sum())
        if bad > MALFORMED_SHARE * len(rows):
            raise self.malformed("records", bad, len(rows))
        other = (rows.parameter == "RecordID") & (rows.value != rows.stay_id)
        if other.any():
            raise ExportError(
                "records",
                f"{int(other.sum()):,} of {len(self._numbers):,} files have another RecordID than their name",
                "the number of the file's name",
                "Give the files their own names back.",
            )
        return rows.drop(columns="ragged")

    def _described(self, parameter: str) -> pd.Series:
        """The first known value of a describing parameter, by stay."""
        rows = self._rows
        rows = rows[(rows.parameter == parameter) & rows.exclusion.isna()]
        return rows.groupby("stay_id").value.first()

    def _stays(self) -> pd.DataFrame:
        """
        One row per chosen record, even if it is empty.

        The stay lasts until the last measurement; where outcomes are known, until the record ends after
        48 h, or until discharge from hospital if that is earlier and nothing was measured after it.
        """
        stays = pd.DataFrame(index=pd.Index(sorted(self._numbers.values()), name="stay_id"))
        within = self._rows.time_h.where(self._rows.time_h <= RECORD_H)
        last = within.groupby(self._rows.stay_id).max().reindex(stays.index)
        known = records.length_of_stay_h(records.outcomes_files(self.path)).reindex(stays.index)
        age = self._described("Age").reindex(stays.index)
        stays["subject_id"] = stays.index
        stays["stay_h"] = np.fmax(last, known.clip(upper=RECORD_H)).where(last.notna())
        stays["age"] = age.mask(age >= AGE_HIDDEN_FROM, AGE_IF_HIDDEN)
        stays["sex"] = self._described("Gender").reindex(stays.index).map({0.0: "F", 1.0: "M"})
        stays["exclusion"] = last.isna().map({True: "no hours", False: None})
        return stays.reset_index()

    def _measured(self, name: str, items: Iterable[str] | None) -> pd.DataFrame:
        rows = self._rows
        mine = rows.parameter.isin(_OUTPUTS) == (name == "outputs")
        mine &= rows.parameter.isin(self.units if items is None else list(items))
        mine &= ~rows.parameter.isin(DESCRIBING) & (rows.exclusion != RAGGED)
        rows = rows[mine].rename(columns={"parameter": "item"})
        rows = rows.assign(unit=rows["item"].map(self.units))
        return rows.sort_values(["stay_id", "time_h", "item", "value"], kind="stable")
