"""
Codes in place of ids: who has the export can tell who is who, nobody else can.

Ids of an export are small whole numbers: a plain hash of one is found by trying them all. Here the hash
is keyed, and the key is made from the export's own list of stays, which is stored nowhere: to try a
number, one needs the admission of every patient of the export to the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError

NOBODY = (-1, np.iinfo(np.int64).min)  # stand for no stay and no person: they stay what they are
_TIMES = ("intime", "outtime")


class Pseudonyms:
    """
    The codes of one export.

    Parameters
    ----------
    stays : DataFrame : stay_id, subject_id, intime, outtime, stay_h
        Every stay of the export, in any order: the table `onset` of its labels, or `Events.stays`. Columns
        of times that are not there count as gaps; an export without times is known by the lengths of
        its stays alone.

    Raises
    ------
    ExportError
        If a stay is listed twice.

    Notes
    -----
    A code is 63 bits of BLAKE2b (RFC 7693) with the key, "stay" or "subject" as its person, and the id
    as eight bytes. The key is BLAKE2b of the sorted list: stay, subject, admission, discharge and
    length of stay in whole seconds.
    """

    def __init__(self, stays: pd.DataFrame):
        self._stays = np.sort(stays["stay_id"].to_numpy(np.int64))
        self._subjects = np.unique(stays["subject_id"].to_numpy(np.int64))
        if (self._stays[1:] == self._stays[:-1]).any():
            raise ExportError("stays", "a stay is listed twice", "one row per stay")
        listed = _listed(stays)
        for turn in range(256):  # the first key under which no two of the export share a code
            key = hashlib.blake2b(listed, digest_size=32, person=b"sepsis-ids", salt=bytes([turn]))
            self._key = key.digest()
            codes = self.of_stays(self._stays), self.of_subjects(self._subjects)
            if all(len(np.unique(code)) == len(code) for code in codes):
                break
        self._stay_of = dict(zip(codes[0].tolist(), self._stays.tolist(), strict=True))
        self._subject_of = dict(zip(codes[1].tolist(), self._subjects.tolist(), strict=True))

    def of_stays(self, stay_id) -> np.ndarray:
        """Codes of stays, int64 from 0 on, of the same shape (N,); -1 stays -1."""
        return self._codes(stay_id, b"stay")

    def of_subjects(self, subject_id) -> np.ndarray:
        """Codes of people, likewise; ids that the export does not have get a code that is nobody's."""
        return self._codes(subject_id, b"subject")

    def stays(self, codes) -> np.ndarray:
        """
        The stays behind codes, shape (N,).

        Raises
        ------
        ExportError
            If a code is of no stay of this export.
        """
        return _behind(codes, self._stay_of, "stays")

    def subjects(self, codes) -> np.ndarray:
        """The people behind codes; errors as `stays`."""
        return _behind(codes, self._subject_of, "people")

    def know(self, codes) -> bool:
        """Whether all codes are of stays of this export."""
        return all(code in self._stay_of for code in np.asarray(codes).tolist() if code not in NOBODY)

    def _codes(self, ids, kind: bytes) -> np.ndarray:
        given = np.asarray(ids, dtype=np.int64)
        known: dict[int, int] = {nobody: nobody for nobody in NOBODY}
        for one in np.unique(given).tolist():
            if one not in known:
                whole = one.to_bytes(8, "little", signed=True)
                digest = hashlib.blake2b(whole, digest_size=8, key=self._key, person=kind).digest()
                known[one] = int.from_bytes(digest, "little") >> 1
        return np.array([known[one] for one in given.ravel().tolist()], np.int64).reshape(given.shape)


def _listed(stays: pd.DataFrame) -> bytes:
    """The list of stays as bytes, whatever the order of its rows and the units of its times."""
    seconds = [_seconds(stays[name]) if name in stays else np.full(len(stays), NOBODY[1]) for name in _TIMES]
    if "stay_h" in stays:
        hours = stays["stay_h"].to_numpy(float, na_value=np.nan)
        known = np.where(np.isfinite(hours), hours, 0.0)
        seconds.append(np.where(np.isfinite(hours), np.rint(known * 3600.0), NOBODY[1]).astype(np.int64))
    ids = [stays[name].to_numpy(np.int64) for name in ("stay_id", "subject_id")]
    rows = np.stack([*ids, *seconds], axis=1).astype("<i8")
    return rows[np.argsort(rows[:, 0], kind="stable")].tobytes()


def _seconds(column: pd.Series) -> np.ndarray:
    """Times as whole seconds; a gap is the least number."""
    times = pd.to_datetime(column).astype("datetime64[s]")
    return np.where(times.isna(), NOBODY[1], times.to_numpy().astype(np.int64))


def _behind(codes: Iterable[int], known: dict[int, int], what: str) -> np.ndarray:
    codes = np.asarray(codes, dtype=np.int64)
    strangers = sum(one not in known and one not in NOBODY for one in codes.tolist())
    if strangers:
        raise ExportError(
            "the model's cohort", f"{strangers:,} of {len(codes):,} codes are of no {what} of this export",
            "the export and labels that the model was fitted on", "Name that export.",
        )  # fmt: skip
    return np.array([known.get(one, one) for one in codes.tolist()], np.int64)
