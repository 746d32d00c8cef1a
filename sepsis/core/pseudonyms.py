"""
Codes that replace ids in stored models, resolved only with the export at hand. Ids are small integers, so a
plain hash is found by trying all of them; the key of this one is derived from the export's list of stays and
never stored: trying ids requires every admission time to the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError

NO_ID = (-1, np.iinfo(np.int64).min)  # mean "no stay" and "no person", and are not coded
_TIMES = ("intime", "outtime")


class Pseudonyms:
    """
    The codes of one export.

    Parameters
    ----------
    stays : DataFrame : stay_id, subject_id, intime, outtime, stay_h
        Every stay of the export, in any order: the table `onset` of its labels, or `Events.stays`. Missing
        time columns count as gaps; an export without times is identified by its lengths of stay alone.
        ExportError if a stay is listed twice.

    Notes
    -----
    A code is 63 bits of keyed BLAKE2b (RFC 7693) of the id as eight bytes, with "stay" or "subject" as
    BLAKE2b's `person`. The key is BLAKE2b of the sorted list of stays: stay, subject, admission, discharge
    and length of stay in whole seconds.
    """

    def __init__(self, stays: pd.DataFrame):
        self._stays = np.sort(stays["stay_id"].to_numpy(np.int64))
        self._subjects = np.unique(stays["subject_id"].to_numpy(np.int64))
        if (self._stays[1:] == self._stays[:-1]).any():
            raise ExportError("stays", "a stay is listed twice", "one row per stay")
        listed = _listed(stays)
        for turn in range(256):  # the first key without collisions in this export
            key = hashlib.blake2b(listed, digest_size=32, person=b"sepsis-ids", salt=bytes([turn]))
            self._key = key.digest()
            codes = self.of_stays(self._stays), self.of_subjects(self._subjects)
            if all(len(np.unique(code)) == len(code) for code in codes):
                break
        self._stay_of = dict(zip(codes[0].tolist(), self._stays.tolist(), strict=True))
        self._subject_of = dict(zip(codes[1].tolist(), self._subjects.tolist(), strict=True))

    def of_stays(self, stay_id) -> np.ndarray:
        """Codes of stays, int64 >= 0, shape (N,); -1 stays -1."""
        return self._codes(stay_id, b"stay")

    def of_subjects(self, subject_id) -> np.ndarray:
        """Codes of subjects, as `of_stays`; an id outside the export gets a code that matches no subject."""
        return self._codes(subject_id, b"subject")

    def stays(self, codes) -> np.ndarray:
        """The stay ids of codes, shape (N,); ExportError if a code belongs to no stay of this export."""
        return _resolved(codes, self._stay_of, "stay")

    def subjects(self, codes) -> np.ndarray:
        """The subject ids of codes; errors as `stays`."""
        return _resolved(codes, self._subject_of, "subject")

    def know(self, codes) -> bool:
        """Whether every code belongs to a stay of this export."""
        return all(code in self._stay_of for code in np.asarray(codes).tolist() if code not in NO_ID)

    def _codes(self, ids, kind: bytes) -> np.ndarray:
        given = np.asarray(ids, dtype=np.int64)
        known: dict[int, int] = {missing: missing for missing in NO_ID}
        for one in np.unique(given).tolist():
            if one not in known:
                whole = one.to_bytes(8, "little", signed=True)
                digest = hashlib.blake2b(whole, digest_size=8, key=self._key, person=kind).digest()
                known[one] = int.from_bytes(digest, "little") >> 1
        return np.array([known[one] for one in given.ravel().tolist()], np.int64).reshape(given.shape)


def _listed(stays: pd.DataFrame) -> bytes:
    """The list of stays as bytes, independent of row order and of the unit of its times."""
    seconds = [_seconds(stays[name]) if name in stays else np.full(len(stays), NO_ID[1]) for name in _TIMES]
    if "stay_h" in stays:
        hours = stays["stay_h"].to_numpy(float, na_value=np.nan)
        known = np.where(np.isfinite(hours), hours, 0.0)
        seconds.append(np.where(np.isfinite(hours), np.rint(known * 3600.0), NO_ID[1]).astype(np.int64))
    ids = [stays[name].to_numpy(np.int64) for name in ("stay_id", "subject_id")]
    rows = np.stack([*ids, *seconds], axis=1).astype("<i8")
    return rows[np.argsort(rows[:, 0], kind="stable")].tobytes()


def _seconds(column: pd.Series) -> np.ndarray:
    times = pd.to_datetime(column).astype("datetime64[s]")
    return np.where(times.isna(), NO_ID[1], times.to_numpy().astype(np.int64))


def _resolved(codes: Iterable[int], known: dict[int, int], what: str) -> np.ndarray:
    codes = np.asarray(codes, dtype=np.int64)
    unknown = sum(one not in known and one not in NO_ID for one in codes.tolist())
    if unknown:
        raise ExportError(
            "the model's cohort", f"{unknown:,} of {len(codes):,} codes belong to no {what} of this export",
            "the export and labels that the model was fitted on", "Pass that export.",
        )  # fmt: skip
    return np.array([known.get(one, one) for one in codes.tolist()], np.int64)
