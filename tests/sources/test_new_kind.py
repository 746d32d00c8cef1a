"""A new kind of export is a class and one entry in `KINDS`."""

import pandas as pd
import pytest

from sepsis.core.errors import UsageError
from sepsis.events import extract_events
from sepsis.sources import KINDS, Source, open_export


class Notebook(Source):
    """One CSV file of heart rates: stay, hour, value."""

    kind = "notebook"
    items_of = "physionet_2019"  # whose names of variables it uses

    @classmethod
    def recognises(cls, path, tables):
        return path.suffix == ".notebook"

    def files(self):
        return [self.path]

    def check(self):
        row = ("notebook", "", "ok", True, "everything")
        return pd.DataFrame([row], columns=["table", "column", "status", "required", "feeds"])

    def raw(self, name, items=None):
        rows = pd.read_csv(self.path)
        if name == "stays":
            stays = rows.groupby("stay_id", as_index=False).time_h.max().rename(columns={"time_h": "stay_h"})
            return self.table(name, stays.assign(subject_id=stays.stay_id))
        if name == "charted":
            return self.table(name, rows.assign(item="HR"))
        return self.table(name)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A file of a kind that is entered for the length of a test."""
    monkeypatch.setitem(KINDS, "notebook", Notebook)
    file = tmp_path / "ward.notebook"
    file.write_text("stay_id,time_h,value\n7,0.5,80\n7,1.5,84\n9,2.0,120\n")
    return file


def test_a_kind_that_is_entered_is_detected_opened_and_extracted(notebook):
    source = open_export(notebook)
    events = extract_events(source)  # with the tables that this kind does not have
    assert source.kind == "notebook"
    assert list(events.stays.stay_id) == [7, 9]
    assert list(events.events.value) == [80.0, 84.0, 120.0]
    assert set(events.events.concept) == {"heart_rate"}
    assert events.lab_samples is None


def test_what_a_kind_does_not_say_is_refused_for_it(notebook):
    with pytest.raises(UsageError, match="limit: has no meaning for notebook"):
        open_export(notebook, limit=3)
    with pytest.raises(UsageError, match="--engine spark: has no meaning for notebook"):
        open_export(notebook, engine="spark")
