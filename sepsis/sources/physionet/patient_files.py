"""What the two PhysioNet challenges share: one file a patient, all of them or a seeded subset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sepsis.sources.base import Source
from sepsis.sources.physionet import archive


class PatientFiles(Source):
    """
    A folder of patients' files (nested or not), or the zip that holds them.

    `limit` takes this many stays, a draw by `seed` from the files sorted by name. Raises UsageError if it is
    not positive; ExportError if a file cannot be read, two are of one patient, or there is none.
    """

    takes = ("limit", "seed")
    suffix: str

    def __init__(self, path: str | Path, limit: int | None = None, seed: int = 0):
        super().__init__(path)
        self.limit, self.seed = limit, seed
        names = [name for name in archive.names_in(self.path, self.suffix) if self._is_record(name)]
        self._numbers = archive.drawn(archive.numbered(self.path, names, self.suffix), limit, seed)

    @staticmethod
    def _is_record(name: str) -> bool:
        return True

    def options(self) -> dict:
        return {} if self.limit is None else {"limit": self.limit, "seed": self.seed}

    def files(self) -> list[Path]:
        return [self.path / name for name in self._numbers] if self.path.is_dir() else [self.path]

    def _contents(self, first: int | None = None) -> Iterator[bytes]:
        return archive.contents(self.path, list(self._numbers)[:first])
