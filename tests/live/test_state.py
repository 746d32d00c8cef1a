"""Live stays stored and read back: to the bit, or not at all."""

import json

import pandas as pd
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.live import Scorer
from sepsis.live.refusals import TooManyError
from sepsis.models.artifact.read import load_model
from sepsis.models.artifact.write import save_model
from sepsis.models.dtw.knn import DTWKNN
from tests.live.made_up import events_of, same_to_the_bit
from tests.models.made_up import made_up_windows


@pytest.fixture(scope="module")
def model():
    return DTWKNN(k=3).fit(*made_up_windows(30, 1))


@pytest.fixture
def scorer(model):
    scorer = Scorer(model)
    scorer.push(5, events_of([(0.5, "map", 70.0), (1.5, "lactate", 2.0)]), now_h=3.5, subject_id=9)
    scorer.push(5, events_of([(1.2, "map", 50.0), (9.0, "map", 45.0)]), now_h=4.0)
    scorer.push(-6, events_of([(0.1, "lactate", 900.0)]), now_h=0.5)
    return scorer


def test_a_restored_scorer_goes_on_to_the_bit(scorer, model, tmp_path):
    scorer.save(tmp_path / "state")
    save_model(model, tmp_path)
    restored = Scorer.restore(tmp_path / "state", load_model(tmp_path))
    for as_given in (False, True):
        same_to_the_bit(restored.scores(as_given=as_given), scorer.scores(as_given=as_given))
    assert restored.ledger.equals(scorer.ledger)
    for one in (scorer, restored):
        one.push(5, events_of([(2.2, "heart_rate", 120.0)]), now_h=11.0)
    same_to_the_bit(restored.scores(as_given=True), scorer.scores(as_given=True))
    same_to_the_bit(restored.scores(), scorer.scores())


def test_the_same_state_is_the_same_bytes_and_says_what_it_holds(scorer, tmp_path):
    scorer.save(tmp_path / "one")
    scorer.save(tmp_path / "two")
    scorer.save(tmp_path / "two")
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files == ["events.parquet", "manifest.json", "risks.parquet", "stays.parquet"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    facts = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert facts["contains"].startswith("Patients' data: stay and subject ids")


def test_no_stays_are_stored_too(model, tmp_path):
    Scorer(model).save(tmp_path / "state")
    assert Scorer.restore(tmp_path / "state", model).stays == ()


def test_state_of_another_model_is_refused(scorer, tmp_path):
    scorer.save(tmp_path / "state")
    other = DTWKNN(k=4).fit(*made_up_windows(30, 1))
    with pytest.raises(ExportError, match="live stays: were scored with another model"):
        Scorer.restore(tmp_path / "state", other)
    with pytest.raises(TooManyError, match="state: holds 2 stays. Expected: at most 1"):
        Scorer.restore(tmp_path / "state", scorer.model, max_stays=1)


def test_a_changed_or_missing_file_is_refused(scorer, model, tmp_path):
    for name in ("events.parquet", "risks.parquet", "stays.parquet"):
        scorer.save(tmp_path / "state")
        path = tmp_path / "state" / name
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(ExportError, match=f"{name} is missing, damaged or was changed"):
            Scorer.restore(tmp_path / "state", model)
        path.unlink()
        with pytest.raises(ExportError, match=f"{name} is missing"):
            Scorer.restore(tmp_path / "state", model)
    (tmp_path / "state" / "manifest.json").write_text("{")
    with pytest.raises(ExportError, match="no manifest of this kind"):
        Scorer.restore(tmp_path / "state", model)


def test_a_table_that_does_not_fit_is_refused_even_with_its_hash(scorer, model, tmp_path):
    from sepsis.core.provenance import file_hash

    scorer.save(tmp_path / "state")
    path = tmp_path / "state" / "stays.parquet"
    pd.read_parquet(path).assign(clock_h=30.0).to_parquet(path)
    facts = json.loads((tmp_path / "state" / "manifest.json").read_text())
    facts["files"]["stays.parquet"] = file_hash(path)
    (tmp_path / "state" / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(ExportError, match="a table is missing, damaged or was changed"):
        Scorer.restore(tmp_path / "state", model)


def test_a_folder_of_somebody_else_is_left_alone(scorer, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="was not written by this command"):
        scorer.save(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "x"
