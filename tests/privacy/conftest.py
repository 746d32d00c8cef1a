"""One marked export and everything the commands make of it."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.privacy.desk import sepsis
from tests.privacy.markers import HEART_RATE, WORDS, Markers, marked_export, read, write

SETTINGS = (
    "train.min_values=20",
    "train.fit_horizons_h=[0]",
    "cohort.validation_share=0.2",
    "cohort.test_share=0.25",
)
LABELS = "run/labels"
WITHOUT_IDS = "dtw_knn_without_ids"
MODELS = {  # folder: model, its settings
    "logistic": ("logistic", ()),
    "dtw_knn": ("dtw_knn", ("k=3",)),
    WITHOUT_IDS: ("dtw_knn", ("k=3", "keep_ids=false", "exclude_same_subject=false")),
    "mgp_tcn": (
        "mgp_tcn", ("hidden=4", "levels=1", "kernel_size=2", "n_samples=1", "max_epochs=1", "threads=1"),
    ),
}  # fmt: skip
PIPELINE = """
name = "marked"
[export]
path = "export"
[models.clock]
[score]
horizons = [0]
[evaluate]
n_bootstrap = 5
"""


@dataclass(frozen=True)
class Study:
    """A marked export in `root`/export, and the outputs of the commands next to it."""

    root: Path
    markers: Markers

    def at(self, *parts: str) -> Path:
        """A place of the study."""
        return self.root.joinpath(*parts)

    @property
    def labels(self) -> Path:
        """The pipeline's labels, which the single commands read too."""
        return self.at(LABELS)

    def sepsis(self, *arguments) -> str:
        """A command that goes well; what it says is kept in `messages`."""
        kept = self.at("messages", f"{len(list(self.at('messages').iterdir())):02} {arguments[0]}.txt")
        code, said = sepsis(*arguments, into=kept)
        assert code == 0, said
        return said


def changes(*settings):
    """Options of a command for changed settings."""
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="package")
def study(tmp_path_factory):
    """Labels, models, scores, reports, audit, comparison and a pipeline's run of a marked export."""
    root = tmp_path_factory.mktemp("privacy")
    made = Study(root, marked_export(root / "export", stays=60, seed=3))
    _damage(root / "export")
    made.at("messages").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # files that a library drops in the working directory are searched too
        _every_command(made)
    return made


@pytest.fixture(scope="package")
def small(tmp_path_factory):
    """An export of a few stays, of others, and its labels by single orders."""
    root = tmp_path_factory.mktemp("small")
    made = Study(root, marked_export(root / "export", stays=6, seed=4))
    made.at("messages").mkdir()
    made.sepsis("label", root / "export", "--preset", "mimic_code_iii", "--out", root / "labels")
    return made


def _damage(export: Path) -> None:
    """Single records that cannot be read: they are counted, and the rest is processed."""
    charted, labs, stays = (read(export / f"{t}.csv.gz") for t in ("CHARTEVENTS", "LABEVENTS", "ICUSTAYS"))
    charted.loc[charted.index[charted.ITEMID == HEART_RATE][:1], "VALUENUM"] = WORDS["note"]
    labs.loc[labs.index[:2], "CHARTTIME"] = f"after {WORDS['note']}"
    admissions = sorted(stays.HADM_ID)
    stays.loc[admissions[10] == stays.HADM_ID, "INTIME"] = ""
    twice = stays[admissions[-1] == stays.HADM_ID]
    stays = pd.concat([stays, twice.assign(OUTTIME=twice.INTIME)])
    for name, table in (("CHARTEVENTS", charted), ("LABEVENTS", labs), ("ICUSTAYS", stays)):
        write(table, export / f"{name}.csv.gz")


def _every_command(study: Study) -> None:
    study.sepsis("check", "export")
    study.at("marked.toml").write_text(PIPELINE)
    study.sepsis("run", "marked.toml", "--out", "run", *changes(*SETTINGS))
    study.sepsis("compare", "export", "--presets", "moor2019,moor2019_code", "--out", "comparison")
    for folder, (model, settings) in MODELS.items():
        named = [f"models.{model}.{setting}" for setting in settings]
        study.sepsis(
            "train", "export", "--labels", LABELS, "--model", model, "--out", f"models/{folder}",
            *changes(*SETTINGS, *named),
        )  # fmt: skip
        study.sepsis("model", "show", f"models/{folder}")
        study.sepsis("model", "show", f"models/{folder}", "--json")
    scoring = ("score", "export", "--labels", LABELS, "--model")
    for folder in ("logistic", "dtw_knn"):
        study.sepsis(
            *scoring, f"models/{folder}", "--horizons", "0,7", "--out", f"scores/{folder}.parquet",
            "--meds-out", f"meds/{folder}.parquet",
        )  # fmt: skip
    study.sepsis(*scoring, "models/logistic", "--hourly", "--recalibrated", "--out", "scores/hourly.parquet")
    files = [f"scores/{name}.parquet" for name in ("logistic", "dtw_knn", "hourly")]
    study.sepsis("evaluate", *files, "--labels", LABELS, "--out", "report", "--bootstrap", "5")
    study.sepsis("audit", "models/logistic", "export", "--labels", LABELS, "--out", "audit.json")
