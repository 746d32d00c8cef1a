"""Settings and arguments are checked by their annotations; a mistake says where, what and what instead."""

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Annotated, Any, Literal

import pytest

from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, checked_arguments, read_settings, settings


@settings("model")
class Model:
    k: Annotated[int, between(1, 9)] = 3
    shares: tuple[Annotated[float, between(0, 1, above=True)], ...] = (0.5,)
    kind: Literal["mean", "median"] = "mean"
    cuts: dict[str, tuple[float, ...]] = field(default_factory=dict)
    level: Annotated[float, between(0)] | None = None


@settings("study")
class Study:
    name: str
    model: Model = field(default_factory=Model)


def test_lists_become_tuples_and_whole_numbers_floats():
    read = read_settings(Study, {"name": "x", "model": {"shares": [1], "cuts": {"a": [3]}}}, "x.toml")
    assert read == Study("x", Model(shares=(1.0,), cuts={"a": (3.0,)}))
    assert isinstance(read.model.shares[0], float)
    assert replace(read.model, k=4).k == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kk": 1}, ": no setting 'kk'. Did you mean 'k'?"),
        ({"k": 10}, " k: is 10. Expected: 1 to 9. Correct the value."),
        ({"k": True}, " k: is bool. Expected: int. Correct the value."),
        ({"k": 2.0}, " k: is float. Expected: int. Correct the value."),
        ({"shares": 3}, " shares: is int. Expected: a list. Correct the value."),
        ({"shares": [0.5, 0]}, " shares: is 0. Expected: above 0 to 1. Correct the value."),
        ({"kind": "men"}, " kind: is 'men'. Did you mean 'mean'?"),
        ({"cuts": {"a": 3}}, " cuts.a: is int. Expected: a list. Correct the value."),
        ({"level": float("nan")}, " level: is nan. Expected: 0 or more. Correct the value."),
    ],
)
def test_a_wrong_setting_is_said_from_a_file_and_from_python(values, message):
    with pytest.raises(SettingsError) as caught:
        read_settings(Study, {"name": "x", "model": values}, "x.toml")
    assert str(caught.value) == f"x.toml [model]{message}"
    for make in (lambda: Model(**values), lambda: replace(Model(), **values)):
        with pytest.raises(SettingsError) as caught:
            make()
        assert str(caught.value) == f"[model]{message}"


@pytest.mark.parametrize(
    ("values", "message"),
    [({}, "x.toml: setting 'name' is missing."), ({"name": "x", "model": 3}, "x.toml [model]: is int.")],
)
def test_a_missing_setting_or_section_is_named(values, message):
    with pytest.raises(SettingsError) as caught:
        read_settings(Study, values, "x.toml")
    assert str(caught.value).startswith(message)


class Estimator:
    def __init__(self, *, k: int | Sequence[int] = 15, C: float = 1.0, n_jobs: int | None = None, seed=0):
        self.given: Any = (k, C, n_jobs, seed)


def test_arguments_of_a_constructor_are_checked_by_annotation_or_default():
    given = {"k": [3, 5], "C": 2, "n_jobs": None, "seed": 7}
    checked = checked_arguments(Estimator, given, "[models.x]")
    assert checked == given
    assert isinstance(checked["C"], float)
    for values, message in (
        ({"k": "many"}, "k: is str. Expected: int or a list."),
        ({"seed": 0.5}, "seed: is float. Expected: int."),
        ({"c": 1}, "no setting 'c'. Known: C, k, n_jobs, seed."),
    ):
        with pytest.raises(SettingsError) as caught:
            checked_arguments(Estimator, values, "[models.x]")
        assert message in str(caught.value)
