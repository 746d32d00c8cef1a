"""
The Medical Event Data Standard (MEDS): one long table of coded events, in Parquet files below data/.

Arnrich et al., MEDS (2024), github.com/Medical-Event-Data-Standard. A map of codes gives the events the shape
of MIMIC-IV's tables (`mimic_tables`); the same rules read them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from sepsis.core import schema
from sepsis.sources.base import Source, lacking
from sepsis.sources.engines.engine import connect
from sepsis.sources.meds.codes import ITEMS_OF, load_codes
from sepsis.sources.meds.mimic_tables import STANDARD, MedsTables, data_files
from sepsis.sources.mimic.iv import MimicIV
from sepsis.sources.table_source import TableSource

_FEEDS = {
    "icu_admission": "stays", "icu_discharge": "stays", "hospital_admission": "link of events to stays, age",
    "hospital_discharge": "link of events to stays", "emergency_arrival": "link of events to stays",
    "birth": "age", "gender": "sex", "death": "what was charted after death", "measured": "every variable",
    "infusion_start": "vasoactive infusions (SOFA cardiovascular)",
    "infusion_end": "vasoactive infusions (SOFA cardiovascular)", "infusion_weight": "doses by weight",
    "order": "antibiotics (suspected infection)", "culture": "cultures (suspected infection)",
    "diagnosis": "sepsis diagnosis codes",
}  # fmt: skip
_NEEDED = ("icu_admission", "icu_discharge", "measured")
NO_PLACE = "code not in the map"


class Meds(MimicIV):
    """
    A folder with data/**/*.parquet and metadata/.

    `codes` is a map of codes to use before the package's own; see `data_schema/meds_codes.toml`. Raises
    ExportError as `MedsTables`, SettingsError for a map with an unknown place, concept or setting.
    """

    kind = "meds"
    takes = ("codes",)
    items_of = ITEMS_OF
    database_key = ""

    def __init__(self, path: str | Path, codes: str | Path | None = None):
        self.codes_file = Path(codes) if codes is not None else None
        self.store = MedsTables(connect("duckdb"), Path(path), load_codes(codes))
        super().__init__(path, self.store)

    @classmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        return bool(data_files(path))

    @classmethod
    def open(cls, path: str | Path, engine: str, **options) -> Source:
        return super(TableSource, cls).open(path, engine, **options)

    @property
    def lacks(self) -> str:
        places = set(self.store.counted.place)
        wanted = (("order", "orders of drugs"), ("culture", "cultures"))
        missing = [what for place, what in wanted if place not in places]
        if not missing:
            return ""
        return (
            f"the map has no code for {' or '.join(missing)}, so there is no suspicion of infection and no "
            "Sepsis-3 onset (a map of codes can name them: data_schema/meds_codes.toml)"
        )

    def options(self) -> dict:
        if self.codes_file is None:
            return {}
        return {"codes": hashlib.sha256(self.codes_file.read_bytes()).hexdigest()}

    def check(self) -> pd.DataFrame:
        rows = [("data", column, "ok", True, "everything") for column in STANDARD]
        for name, column in self.store.map.columns.items():
            status = "ok" if column in self.store.header_columns else "missing"
            rows.append(("data", column, status, False, f"{name} of an event"))
        places = set(self.store.counted.place)
        for place, feeds in _FEEDS.items():
            status = "ok" if place in places else "missing"
            rows.append((place, "", status, place in _NEEDED, feeds))
        present = set(self.store.counted["item"].dropna())
        for concept, items in self._concepts().items():
            status = "ok" if present & items else "missing"
            rows.append(("codes", concept, status, False, "events"))
        return pd.DataFrame(rows, columns=["table", "column", "status", "required", "feeds"])

    @property
    def problems(self) -> list[str]:
        return lacking(self.check())

    def dropped(self) -> pd.DataFrame:
        copies = super().dropped()
        unplaced = int(self.store.counted.rows[self.store.counted.place == ""].sum())
        if not unplaced:
            return copies
        more = pd.DataFrame([("codes", NO_PLACE, unplaced)], columns=["concept", "reason", "rows"])
        return pd.concat([copies, more], ignore_index=True) if len(copies) else more

    def _concepts(self) -> dict[str, set[str]]:
        return {
            concept["id"]: {str(item) for items in concept[ITEMS_OF].values() for item in items}
            for concept in schema.read_toml("2_concepts")["concept"]
            if ITEMS_OF in concept and concept["group"] != "as_charted"
        }
