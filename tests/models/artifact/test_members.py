"""A model of several members: each verified, all of one study, and read as one."""

import json
import shutil
from hashlib import sha256

import numpy as np
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.models.artifact.members import read_models, write_members
from sepsis.models.artifact.read import read_model
from sepsis.models.artifact.show import model_facts, shown_text
from sepsis.models.fold_mean import FoldMean
from tests.models.artifact.test_hostile_artifacts import written
from tests.models.made_up import CONCEPTS, made_up_windows
from tests.models.test_estimators import ESTIMATORS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two folds, the second with a further run."""
    root = tmp_path_factory.mktemp("members")
    written(ESTIMATORS["logistic"], root / "one")
    members = {(1, 0): root / "one", (2, 0): root / "one", (2, 1): root / "one"}
    write_members(members, root / "model")
    return root / "model"


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def test_members_come_in_order_and_a_plain_folder_is_one(folder):
    found = read_models(folder)
    assert [(m.fold, m.run, m.where) for m in found.members] == [
        (1, 0, "fold-1"), (2, 0, "fold-2"), (2, 1, "fold-2-run-1"),
    ]  # fmt: skip
    assert [m.fold for m in found.folds] == [1, 2]
    assert (found.name, found.manifest["design"]) == ("logistic", "incidence_density")
    plain = read_models(folder / "fold-1")
    assert [(m.fold, m.run) for m in plain.members] == [(0, 0)]
    assert plain.manifest == found.first.manifest


def test_where_one_model_is_wanted_a_folder_to_name_is_told(folder):
    with pytest.raises(UsageError, match="is a model of several members.*fold-1"):
        read_model(folder)
    facts = model_facts(folder)
    assert facts["members"] == ["fold-1", "fold-2", "fold-2-run-1"]
    assert "members      fold-1, fold-2, fold-2-run-1; what follows is the first" in shown_text(facts)


def changed(copy, **facts):
    file = copy / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


def rows(copy):
    return json.loads((copy / "manifest.json").read_text())["members"]


def test_a_member_that_is_gone_changed_or_not_listed_is_refused(copy):
    other = copy / "fold-2" / "manifest.json"
    other.write_text(other.read_text() + " ")
    with pytest.raises(ExportError, match="the manifest of fold-2 was changed"):
        read_models(copy)
    shutil.rmtree(copy / "fold-2")
    with pytest.raises(ExportError, match="fold-2"):
        read_models(copy)
    changed(copy, members=rows(copy)[:1])
    with pytest.raises(ExportError, match="holds 1 files that its manifest does not list"):
        read_models(copy)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([], "members is not a list"),
        ("x", "members is str"),
        ([{"folder": "../x", "fold": 1, "run": 0, "manifest": ""}], "another folder than its fold and run"),
        ([{"folder": "fold-1", "fold": "1", "run": 0, "manifest": ""}], "fold is str"),
    ],
)
def test_a_list_of_members_that_leads_elsewhere_is_refused(copy, members, match):
    changed(copy, members=members)
    with pytest.raises(ExportError, match=match):
        read_models(copy)


def test_members_of_another_study_are_refused(copy):
    changed(copy, inputs={"export": "another", "onset": "o"})
    with pytest.raises(ExportError, match="fold-1 is of another export"):
        read_models(copy)
    changed(copy, members=[*rows(copy), rows(copy)[0]])
    with pytest.raises(ExportError, match="a member is listed twice"):
        read_models(copy)


def test_what_is_listed_is_the_hash_of_the_members_own_manifest(folder):
    for row in rows(folder):
        content = (folder / row["folder"] / "manifest.json").read_bytes()
        assert sha256(content).hexdigest() == row["manifest"]


def test_the_mean_of_folds_reads_for_each_its_own_variables():
    X, y = made_up_windows(40, 1)
    few = X.of(CONCEPTS[1::-1])
    assert few.concepts == tuple(CONCEPTS[1::-1])
    for b in range(40):
        time_h, concept, value = X.observations(b)
        keep = np.isin(concept, [0, 1])
        theirs = sorted(zip(time_h[keep], 1 - concept[keep], value[keep], strict=True))
        assert list(zip(*few.observations(b), strict=True)) == theirs
    models = [type(ESTIMATORS["logistic"])().fit(part, y) for part in (X, few)]
    mean = FoldMean(models)
    assert set(mean.concepts_) == set(CONCEPTS)
    expected = np.mean(
        [m.predict_proba(part)[:, 1] for m, part in zip(models, (X, few), strict=True)], axis=0
    )
    assert np.array_equal(mean.predict_proba(X)[:, 1], expected)
    end_h = np.stack([X.end_h, X.end_h - 1], axis=1)
    assert np.allclose(mean.predict_earlier(X, end_h)[0][:, 0], expected, atol=1e-12)
    halved = FoldMean(models, [lambda risk: risk / 2] * 2)
    assert np.allclose(halved.predict_proba(X)[:, 1], expected / 2)
