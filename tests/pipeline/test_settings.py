"""Pipeline files and --set."""

import numpy as np
import pytest
from typer.main import get_command

from sepsis.cli import app
from sepsis.core.errors import SettingsError, UsageError
from sepsis.core.schema import folder
from sepsis.core.settings import read_settings
from sepsis.evaluation.settings import EvaluationSettings
from sepsis.pipeline.settings import Pipeline, change_settings, read_pipeline

PIPELINES = sorted((folder().parent / "pipelines").glob("*.toml"))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda p: p.stem)
def test_every_pipeline_file_is_read(path):
    assert read_pipeline(path).name == path.stem
    assert read_pipeline(path).models


def test_a_setting_is_changed_from_the_command_line():
    pipeline = read_pipeline("demo", ("cohort.seed=9", "export.path=a/b", "models.dtw_knn.k=3"))
    assert pipeline.cohort.seed == 9
    assert pipeline.export.path == "a/b"
    assert pipeline.models["dtw_knn"]["k"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cohort.sed=9", "[cohort]: no setting 'sed'. Did you mean 'seed'?"),
        ("cohrt.seed=9", "no setting 'cohrt'. Did you mean 'cohort'?"),
        ("cohort.seed=many", "is str. Expected: int"),
        ("cohort.seed=true", "is bool. Expected: int"),
        ("score.horizons=3", "is int. Expected: a list"),
        ("name.x=3", "'name' is not a section"),
        (
            "evaluate.control_reference=match",
            "control_reference: is 'match'. Did you mean 'matched'?",
        ),
        ("evaluate.recalls=[1.2]", "[evaluate] recalls: is 1.2. Expected: 0.01 to 1"),
        ("evaluate.windows_h=[0]", "[evaluate] windows_h: is 0. Expected: 1 to 200"),
        ("evaluate.target_prevalence=1", "[evaluate] target_prevalence: is 1. Expected: 0 to 0.99"),
        ("score.horizons=[0, 3, 0]", "[score] horizons: has a duplicate hour"),
        ("score.hourly_stays=-1", "[score] hourly_stays: is -1. Expected: 0 or more"),
    ],
)
def test_a_wrong_setting_is_named_with_the_nearest(change, message):
    with pytest.raises(SettingsError) as caught:
        read_pipeline("demo", (change,))
    assert message in str(caught.value)
    assert caught.value.exit_code == 10


def test_a_change_without_a_value_is_a_usage_error():
    with pytest.raises(UsageError, match="section.key=value"):
        read_pipeline("demo", ("cohort.seed",))


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such pipeline file"):
        read_pipeline(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[cohort\nseed = 1")
    with pytest.raises(SettingsError, match="not readable as TOML.*line 1"):
        read_pipeline(tmp_path / "broken.toml")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 5000)
    with pytest.raises(SettingsError, match="deep.toml: not readable as TOML"):
        read_pipeline(tmp_path / "deep.toml")


def test_the_help_of_evaluate_names_the_defaults_of_its_settings():
    options = {option.name: option.help for option in get_command(app).commands["evaluate"].params}
    named = {
        "split": "split", "bootstrap": "n_bootstrap", "level": "level", "seed": "seed", "window": "windows_h",
        "reference": "control_reference", "recall": "recalls", "alert_budget": "alert_budgets",
    }  # fmt: skip
    for option, setting in named.items():
        default = getattr(EvaluationSettings(), setting)
        values = default if isinstance(default, tuple) else (default,)
        text = ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)
        assert f"({text}" in options[option], option


def test_an_old_name_of_a_setting_is_read_wherever_it_comes_from():
    assert change_settings(Pipeline("x"), ("evaluate.silence_h=3",)).evaluate.refractory_h == 3.0
    assert read_settings(EvaluationSettings, {"silence_h": 2}, "[evaluate]").refractory_h == 2.0
    assert EvaluationSettings(silence_h=1).refractory_h == 1.0
    with pytest.raises(SettingsError, match="has 'refractory_h' and its old name 'silence_h'"):
        read_settings(EvaluationSettings, {"silence_h": 2, "refractory_h": 3}, "[evaluate]")


def test_numbers_of_numpy_are_numbers_and_a_mistake_names_its_setting():
    assert type(EvaluationSettings(n_bootstrap=np.int64(5)).n_bootstrap) is int
    with pytest.raises(SettingsError, match=r"\[evaluate\] split: is 'autoo'"):
        EvaluationSettings("autoo")
    with pytest.raises(SettingsError, match=r"\[evaluate\] min_group_stays: is 0. Expected: 1 or more"):
        EvaluationSettings(min_group_stays=0)
    with pytest.raises(SettingsError, match=r"\[train.fit_horizons_of\] clock: is empty"):
        change_settings(Pipeline("x"), ("train.fit_horizons_of.clock=[]",))
