"""
PhysioNet/CinC Challenge 2019: one pipe-separated file a stay, one row an hour, labels included.

Reyna et al., Crit Care Med 48 (2020) 210-217, doi:10.1097/CCM.0000000000004145. A row summarises
the hour that ends at its ICULOS, so a value counts as known from that hour on. There is no clock and
there are no antibiotics or cultures; `SepsisLabel` is 1 from six hours before the onset.
"""

from __future__ import annotations

import functools
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.sources.base import LONGEST_STAY_H
from sepsis.sources.physionet import archive, psv
from sepsis.sources.physionet.patient_files import PatientFiles

SUFFIX = ".psv"
HEADERS_CHECKED = 9  # before all files are read
HOUR, LABEL = "ICULOS", "SepsisLabel"
MEASURED = (
    *("HR", "O2Sat", "Temp", "SBP", "MAP", "DBP", "Resp", "EtCO2"),
    *("BaseExcess", "HCO3", "FiO2", "pH", "PaCO2", "SaO2", "AST", "BUN", "Alkalinephos", "Calcium"),
    *("Chloride", "Creatinine", "Bilirubin_direct", "Glucose", "Lactate", "Magnesium", "Phosphate"),
    *("Potassium", "Bilirubin_total", "TroponinI", "Hct", "Hgb", "PTT", "WBC", "Fibrinogen", "Platelets"),
)
AGE_HIDDEN_FROM, AGE_IF_HIDDEN = 90.0, 91.4  # years; the export writes 100 from 90 on


class PhysioNet2019(PatientFiles):
    """
    A folder of .psv files, or the zip that holds them.

    `raw` raises ExportError for missing columns, ragged rows, text for a number, missing or duplicate hours.
    """

    kind = "physionet_2019"
    suffix = SUFFIX
    brings_labels = True

    @classmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        """Whether there is a .psv file; a damaged .zip counts too, and reading it says what is wrong."""
        if path.is_file() and not zipfile.is_zipfile(path):
            return path.suffix.lower() == ".zip"
        return bool(archive.names_in(path, SUFFIX))

    def check(self) -> pd.DataFrame:
        """Columns that most of the first files have; all files are compared when they are read."""
        first = self._contents(HEADERS_CHECKED)
        there = set(psv.usual(Counter(tuple(psv.columns_of(content)) for content in first)))
        rows = [("*.psv", "", "ok", True, "everything")]
        for column in (HOUR, LABEL, "Age", "Gender", *MEASURED):
            feeds = {HOUR: "times", LABEL: "labels", "Age": "age", "Gender": "sex"}.get(column, "events")
            status = "ok" if column in there else "missing"
            rows.append(("*.psv", column, status, column in (HOUR, LABEL), feeds))
        return pd.DataFrame(rows, columns=["table", "column", "status", "required", "feeds"])

    def raw(self, name: str, items: Iterable[str] | None = None) -> ibis.Table:
        """One of `RAW_TABLES`; everything measured is in "charted", under its column's name."""
        if name == "stays":
            return self.table(name, self._stays())
        if name == "labels":
            return self.table(name, self._labels())
        if name == "charted":
            return self.table(name, self._charted(items))
        return self.table(name)

    def dropped(self) -> pd.DataFrame:
        """Rows whose label falls back from 1 to 0: kept, but the first labelled hour ignores them."""
        rows = self._rows
        seen = rows.groupby("stay_id")[LABEL].cummax()
        fell_back = int((seen > rows[LABEL]).sum())
        found = [("labels", "label falls back from 1 to 0", fell_back)] if fell_back else []
        return pd.DataFrame(found, columns=["concept", "reason", "rows"])

    @functools.cached_property
    def _rows(self) -> pd.DataFrame:
        columns, body, lines = psv.split_files(self._contents())
        self.require_usable()
        frame = psv.parse_rows(body, columns)
        frame.insert(0, "stay_id", np.repeat(np.array(list(self._numbers.values()), dtype=np.int64), lines))
        _require_hours_and_labels(frame)
        return frame.sort_values(["stay_id", HOUR], kind="stable", ignore_index=True)

    def _per_stay(self) -> pd.DataFrame:
        """One row per chosen file, even if it has no hour; index `stay_id`."""
        rows = self._rows
        grouped = rows.groupby("stay_id")
        stays = pd.DataFrame({"first_row_h": grouped[HOUR].min(), "last_row_h": grouped[HOUR].max()})
        stays["first_labelled_h"] = rows[rows[LABEL] == 1].groupby("stay_id")[HOUR].min()
        for column in ("Age", "Gender"):
            stays[column] = grouped[column].first() if column in rows else np.nan
        return stays.reindex(pd.Index(sorted(self._numbers.values()), name="stay_id"))

    def _stays(self) -> pd.DataFrame:
        per_stay = self._per_stay()
        empty = per_stay.last_row_h.isna()
        return pd.DataFrame(
            {
                "stay_id": per_stay.index,
                "subject_id": per_stay.index,
                "stay_h": per_stay.last_row_h,
                "age": per_stay.Age.mask(per_stay.Age >= AGE_HIDDEN_FROM, AGE_IF_HIDDEN),
                "sex": per_stay.Gender.map({0.0: "F", 1.0: "M"}),
                "exclusion": empty.map({True: "no hours", False: None}),
            }
        ).reset_index(drop=True)

    def _labels(self) -> pd.DataFrame:
        """The first labelled hour of a stay (null if none) and the hours that it covers."""
        labels = self._per_stay().dropna(subset=["last_row_h"])
        return labels[["first_labelled_h", "first_row_h", "last_row_h"]].reset_index()

    def _charted(self, items: Iterable[str] | None) -> pd.DataFrame:
        wanted = None if items is None else set(items)
        rows = self._rows
        columns = [c for c in MEASURED if c in rows and (wanted is None or c in wanted)]
        values = rows[columns].to_numpy(float)
        row, column = np.nonzero(~np.isnan(values))
        return pd.DataFrame(
            {
                "stay_id": rows.stay_id.to_numpy()[row],
                "time_h": rows[HOUR].to_numpy(float)[row],
                "item": pd.Categorical.from_codes(column, columns).astype("string"),
                "value": values[row, column],
            }
        )


def _require_hours_and_labels(frame: pd.DataFrame) -> None:
    problems = [
        (frame[HOUR].isna(), f"{HOUR} is empty", "hours since ICU admission"),
        (
            ~frame[HOUR].between(0, LONGEST_STAY_H),
            f"{HOUR} is not an hour of a stay",
            "0 to 5 years, in hours",
        ),
        (frame.duplicated(["stay_id", HOUR]), f"{HOUR} is a duplicate hour of its file", "one row an hour"),
        (~frame[LABEL].isin([0.0, 1.0]), f"{LABEL} is neither 0 nor 1", "0 or 1"),
    ]
    for bad, found, expected in problems:
        if bad.any():
            raise ExportError("*.psv", f"{int(bad.sum()):,} of {len(bad):,} rows: {found}", expected)
