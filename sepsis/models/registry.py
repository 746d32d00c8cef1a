"""
The models by name, and how a fitted one is stored: settings and facts as JSON, arrays as safetensors.

Nothing in a stored model can run code: JSON and safetensors hold numbers and text only, and the
class is looked up here, never named by the file.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from safetensors.numpy import save as save_arrays

from sepsis.core.errors import ExportError, SettingsError, nearest
from sepsis.core.files import whole_file, write_json
from sepsis.models.artifact.arrays import read_arrays
from sepsis.models.artifact.files import FORMAT_VERSION, parsed, read_plain, require_fields, require_version
from sepsis.models.base import WindowClassifier

# name on the command line: (module, class); the module is imported when the model is asked for,
# so that the clock does not wait for torch
MODELS = {
    "mgp_tcn": ("sepsis.models.networks.mgp_tcn", "MGPTCN"),
    "mgp_rnn": ("sepsis.models.networks.mgp_tcn", "MGPRNN"),
    "raw_tcn": ("sepsis.models.networks.raw", "RawTCN"),
    "raw_gru": ("sepsis.models.networks.raw", "RawGRU"),
    "dtw_knn": ("sepsis.models.dtw.knn", "DTWKNN"),
    "logistic": ("sepsis.models.baselines.logistic", "Logistic"),
    "sirs": ("sepsis.models.baselines.bedside", "SIRS"),
    "qsofa": ("sepsis.models.baselines.bedside", "QSOFA"),
    "news2": ("sepsis.models.baselines.bedside", "NEWS2"),
    "sofa": ("sepsis.models.baselines.bedside", "WindowSOFA"),
    "clock": ("sepsis.models.baselines.negative_controls", "Clock"),
    "observation_count": ("sepsis.models.baselines.negative_controls", "ObservationCount"),
    "last_lab": ("sepsis.models.baselines.negative_controls", "LastLab"),
    "demographics": ("sepsis.models.baselines.negative_controls", "Demographics"),
}


def model_class(name: str) -> type[WindowClassifier]:
    """
    The class of a model.

    Raises
    ------
    SettingsError
        For an unknown name, with the nearest known one.
    """
    if name not in MODELS:
        raise SettingsError("--model", f"no model {name!r}", todo=nearest(name, MODELS))
    module, cls = MODELS[name]
    return getattr(importlib.import_module(module), cls)


def make_model(name: str, settings: dict[str, Any]) -> WindowClassifier:
    """
    An unfitted model with settings from a pipeline file.

    Raises
    ------
    SettingsError
        For an unknown model or setting, or one that could not be stored.
    """
    cls = model_class(name)
    known = inspect.signature(cls).parameters
    hints = get_type_hints(cls.__init__)
    for key, value in settings.items():
        where = f"[models.{name}]"
        if key not in known:
            raise SettingsError(where, f"no setting {key!r}", todo=nearest(key, known))
        default = known[key].default
        if not (_fits(value, default) or _is_named(value, hints.get(key))):
            raise SettingsError(f"{where} {key}", f"is {type(value).__name__}", type(default).__name__)
    made = cls(**settings)
    plain_settings(made)  # raises before hours of work, not after them
    return made


def _fits(value: Any, default: Any) -> bool:
    """Whether a setting has the type of its default; a default of None stands for a number to come."""
    if default is None:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, str):
        return isinstance(value, str | list | tuple)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default)) or (value is None and isinstance(default, int))


def _is_named(value: Any, hint: Any) -> bool:
    """Whether an annotation, say `int | Sequence[int]` or `str | None`, names the type of a text or list."""
    named = {get_origin(one) or one for one in get_args(hint)}
    if isinstance(value, str):
        return str in named
    return isinstance(value, list | tuple) and Sequence in named


def save_model(model: WindowClassifier, path: str | Path) -> None:
    """Write `model.json` and `weights.safetensors` into an existing folder."""
    path = Path(path)
    settings = plain_settings(model)
    arrays, facts = model.state()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole_file(path / "weights.safetensors") as temporary:
        temporary.write_bytes(save_arrays(whole))
    write_json(
        {"format_version": FORMAT_VERSION, "model": model.name, "settings": settings, "facts": facts},
        path / "model.json",
    )


def plain_settings(model: WindowClassifier) -> dict[str, Any]:
    """
    A model's settings as JSON can hold them.

    Raises
    ------
    SettingsError
        For one that JSON cannot hold, say infinity or a `RandomState`.
    """
    given = model.get_params(deep=False)
    return {key: _plain(value, f"[models.{model.name}] {key}") for key, value in given.items()}


def load_model(path: str | Path) -> WindowClassifier:
    """
    A fitted model from a folder that `save_model` wrote.

    Raises
    ------
    ExportError
        If a file is missing, damaged, of a newer format, names an unknown model, or holds what that
        model cannot be.
    """
    path = Path(path)
    return restored(read_plain(path, "model.json"), read_plain(path, "weights.safetensors"), path.name)


def restored(note: bytes, weights: bytes, where: str) -> WindowClassifier:
    """
    A fitted model from the bytes of its two files.

    Parameters
    ----------
    where : str
        Name of the folder, for messages.

    Raises
    ------
    ExportError
        As `load_model`.
    """
    name = f"{where}/model.json"
    facts = parsed(note, name)
    require_version(facts.get("format_version", 1), name)
    require_fields(facts, {"model": str, "settings": dict, "facts": dict}, name)
    if facts["model"] not in MODELS:
        raise ExportError(name, "names no known model", ", ".join(MODELS), "Upgrade, or train again.")
    arrays = read_arrays(weights, f"{where}/weights.safetensors")
    try:
        return make_model(facts["model"], facts["settings"]).restore(arrays, facts["facts"])
    except SettingsError as error:
        raise ExportError(name, error.found, error.expected, "Upgrade, or train again.") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        # whatever no check foresaw: its kind is named, since the fault may be ours; content is not repeated
        found = f"does not hold what {facts['model']} stores ({type(error).__name__})"
        raise ExportError(name, found, "a whole model folder", "Copy it again.") from None


def _plain(value: Any, where: str) -> Any:
    """A setting as JSON can hold it."""
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, tuple | list):
        return [_plain(v, where) for v in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    found = f"is {value}" if isinstance(value, float) else f"is {type(value).__name__}"
    raise SettingsError(where, found, "a finite number, a text, or a list of such")
