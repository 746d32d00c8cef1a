"""Events in parts: every stay once, persons whole, and together the same as in one piece."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.core import schema
from sepsis.core.errors import ExportError, UsageError
from sepsis.events.extraction import extract_events, extract_parts
from sepsis.events.parts import EVENTS, MAX_PARTS, PartFiles, partition
from sepsis.events.store import DETAIL, extract_export, keep_events, load_events, load_parts
from sepsis.events.tables import TABLES
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, write_export

CONCEPTS = ["map", "gcs_verbal", "lactate"]


@settings(deadline=None, max_examples=60)
@given(
    subjects=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    part_stays=st.one_of(st.none(), st.integers(1, 9)),
)
def test_a_person_is_never_cut_in_two_and_no_part_is_empty(subjects, part_stays):
    stays = pd.DataFrame({"stay_id": np.arange(len(subjects)) * 3 + 5, "subject_id": subjects})
    parts = partition(stays, part_stays)
    assert set(parts.part) == set(range(parts.count))
    by_person = pd.Series(parts.part).groupby(subjects)
    assert (by_person.nunique() == 1).all()
    assert list(by_person.first()) == sorted(by_person.first())  # in the order of the persons
    assert list(parts.of_stays(np.array([*stays.stay_id, 4, 1000]))) == [*parts.part, -1, -1]
    assert list(parts.of_subjects(np.array([*subjects, 0, 99]))) == [*parts.part, -1, -1]
    if part_stays is None:
        assert parts.count == 1
    else:  # what reaches over is the rest of one person
        longest = pd.Series(subjects).value_counts().max()
        assert np.bincount(parts.part).max() < part_stays + longest


def test_the_number_of_parts_is_bounded():
    ids = np.arange(5_000)
    assert partition(pd.DataFrame({"stay_id": ids, "subject_id": ids}), 2).count <= MAX_PARTS


ROWS = st.lists(
    st.tuples(
        st.sampled_from([11, 12, 13]),
        st.sampled_from([-1.5, 0.0, 2.0]),
        st.integers(0, len(CONCEPTS) - 1),
        st.sampled_from([None, -3.0, 0.5, 7.0]),
        st.sampled_from([None, "b", "a", "ä", "B"]),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, cuts=st.integers(1, 4))
def test_a_part_comes_back_in_full_order(tmp_path_factory, rows, cuts):
    stays = pd.DataFrame({"stay_id": [11, 12, 13], "subject_id": [2, 1, 2]})
    names = ["stay_id", "time_h", "number", "value", "text"]
    frame = pd.DataFrame(rows, columns=names)
    table = pa.table(
        {n: pa.array([row[k] for row in rows], type=t) for k, (n, t) in enumerate(
            zip(names, (pa.int64(), pa.float64(), pa.int16(), pa.float64(), pa.string()), strict=True)
        )}
    )  # fmt: skip
    parts = partition(stays, 1)
    with PartFiles(tmp_path_factory.mktemp("parts"), parts) as part_files:
        for batch in table.to_batches(max_chunksize=cuts):
            part_files.add(batch)
    for k, ids in enumerate(([12], [11, 13])):
        found = part_files.read(k, CONCEPTS)
        expected = frame[frame.stay_id.isin(ids)].sort_values(names, na_position="last")
        assert list(found.columns) == EVENTS
        assert list(found.stay_id) == list(expected.stay_id)
        assert list(found.concept) == [CONCEPTS[number] for number in expected.number]
        assert list(found.concept.cat.categories) == CONCEPTS
        assert list(found.value.fillna(99)) == list(expected.value.astype(float).fillna(99))
        assert list(found.text.fillna("")) == list(expected.text.astype("str").fillna(""))


@pytest.mark.parametrize(
    ("base", "part_stays", "n_parts"), [(III, 1, 2), (III, 2, 2), (III, 1000, 1), (IV, 1, 2), (IV, 1000, 1)]
)
def test_parts_hold_together_what_one_piece_holds(tmp_path, base, part_stays, n_parts):
    source = open_export(write_export(tmp_path / "export", base))
    (tmp_path / "aside").mkdir()
    parts = extract_parts(source, tmp_path / "aside", part_stays=part_stays)
    whole = extract_events(source)
    pieces = list(parts)
    assert len(pieces) == len(parts) == n_parts
    for name in TABLES:
        frame = getattr(whole, name)
        if frame is None or name == "ledger":
            continue
        found = pd.concat([getattr(piece, name) for piece in pieces], ignore_index=True)
        order = [c for c in frame if c not in ("intime", "outtime")]
        found, frame = (t.sort_values(order, ignore_index=True) for t in (found, frame))
        pd.testing.assert_frame_equal(found, frame, check_dtype=len(frame) > 0)
        if "subject_id" in frame:
            of_people = [set(getattr(piece, name).subject_id) for piece in pieces]
            assert sum(map(len, of_people)) == len(set().union(*of_people))
    assert pieces[0].ledger.equals(whole.ledger)
    with pytest.raises(IndexError):
        parts[len(parts)]


def stored(tmp_path, part_stays):
    """The events folder of a made-up export, without what only definitions read."""
    tmp_path.mkdir(parents=True, exist_ok=True)
    source = open_export(write_export(tmp_path / "export", III))
    parts = extract_export(source, tmp_path / "whole", part_stays=part_stays)
    keep_events(tmp_path / "whole", tmp_path / "events")
    return parts, tmp_path / "events"


def test_stored_parts_are_read_as_they_were_made(tmp_path):
    parts, folder = stored(tmp_path / "cut", 1)
    again = load_parts(folder)
    assert pq.ParquetFile(folder / "events.parquet").num_row_groups == len(parts) == len(again) == 2
    for here, there in zip(parts, again, strict=True):
        for name in ("stays", "events", "infusions", "antibiotics", "cultures", "ledger"):
            pd.testing.assert_frame_equal(getattr(here, name), getattr(there, name))
    _, whole = stored(tmp_path / "whole", None)
    one, other = load_events(folder), load_events(whole)
    for name in ("stays", "events", "infusions", "antibiotics", "cultures", "ledger"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert here.lab_samples is not None
    assert all(getattr(again.held, name) is None for name in DETAIL)
    assert list(one.stays.columns) == list(schema.read_toml("3_events")["stays"]["columns"])


@pytest.mark.parametrize("base", [III, IV])
def test_an_events_folder_holds_every_table_that_is_extracted_in_memory(tmp_path, base):
    source = open_export(write_export(tmp_path / "export", base))
    stored, whole = extract_export(source, tmp_path / "events", part_stays=None)[0], extract_events(source)
    assert whole.lab_samples is not None
    for name in TABLES:
        here, there = getattr(stored, name), getattr(whole, name)
        assert (here is None) == (there is None), name
        if there is not None:
            pd.testing.assert_frame_equal(here, there, check_dtype=len(there) > 0)
    assert extract_export(source, tmp_path / "events", detail=False).held.lab_samples is None


def test_a_folder_of_something_else_is_not_replaced_by_events(tmp_path):
    source = open_export(write_export(tmp_path / "export", III))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not written by this command"):
        extract_export(source, tmp_path / "taken")


@pytest.mark.parametrize("name", ["events", "stays", "cultures"])
def test_a_stored_table_that_is_missing_or_damaged_is_named(tmp_path, name):
    _, folder = stored(tmp_path, None)
    (folder / f"{name}.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ExportError, match=rf"events/{name}.parquet: not readable as Parquet"):
        load_events(folder)
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(ExportError, match=f"no {name}"):
        load_events(folder)


@pytest.mark.parametrize("name", ["events", "stays", "labels"])
def test_a_pipe_in_place_of_a_stored_table_is_no_table(tmp_path, name):
    _, folder = stored(tmp_path, None)
    (folder / f"{name}.parquet").unlink(missing_ok=True)
    os.mkfifo(folder / f"{name}.parquet")
    if name == "labels":  # which only some exports bring
        assert load_events(folder).labels is None
        return
    with pytest.raises(ExportError, match=f"no {name}"):
        load_events(folder)
