"""Training as a stage: what is kept of a stopped run, and what is refused before the export is read."""

from types import SimpleNamespace

import pandas as pd
import pytest

from sepsis.core.errors import SettingsError
from sepsis.pipeline.settings import Pipeline
from sepsis.pipeline.train import train_export


def test_epochs_of_another_version_are_not_gone_on_from(tmp_path, monkeypatch):
    places = []
    monkeypatch.setenv("RANK", "1")  # writes nothing
    monkeypatch.setattr("sepsis.pipeline.train.events_for", lambda events, reads: None)
    monkeypatch.setattr("sepsis.pipeline.train.finish", lambda *_, **__: None)
    labels = SimpleNamespace(onset=None, manifest=None)
    monkeypatch.setattr(
        "sepsis.pipeline.train.train_model", lambda *_, work_dir, **__: places.append(work_dir)
    )
    cohort = SimpleNamespace(stays=pd.DataFrame({"fold": [0]}))
    study = SimpleNamespace(events=None, cohorts=[cohort])
    for version in ("1", "2", "1"):
        monkeypatch.setattr("sepsis.pipeline.train.versions", lambda version=version: {"sepsis": version})
        train_export(None, labels, tmp_path / "m", model="clock", pipeline=Pipeline("x"), study=lambda: study)
    assert places[0] == places[2] != places[1]
    assert {place.parent.parent for place in places} == {tmp_path / ".m.training"}


@pytest.mark.parametrize(("model", "settings"), [("clok", {}), ("clock", {"knots": 3})])
def test_a_misspelt_model_or_setting_is_refused_before_the_export_is_read(tmp_path, model, settings):
    pipeline = Pipeline("x", models={model: settings})
    with pytest.raises(SettingsError, match="no (model|setting)"):
        train_export(None, None, tmp_path / "m", model=model, pipeline=pipeline)
