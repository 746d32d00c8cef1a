"""
The kinds of input, the cases of each kind, and the result of each case.

`python -m tests.malformed.corpus [KIND ...]` runs the cases and writes their results to `expected/`.
Read the difference: a changed result is a change for users.
"""

import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sepsis.cohort.settings import CohortSettings
from tests.conftest import SHARED
from tests.malformed import cases, stored_cases
from tests.malformed.cases import Case
from tests.malformed.checked import Arguments, Ended, command, ended, facts_of
from tests.malformed.cut import cut_challenge, cut_mimic_iii, cut_mimic_iv, cut_outcomes, septic
from tests.sources.meds_writer import write_meds
from tests.study import small_study

EXPECTED = Path(__file__).with_name("expected")
SLOW = ("mimic_iii", "mimic_iv", "meds")  # two seconds a case
NO_DAMAGE = Case("no damage", lambda _: None)


class Kind(NamedTuple):
    """
    Attributes
    ----------
    needs : tuple of str
        Paths of the open data.
    make : function of a new folder
        Writes the sound input there.
    cases : function
        The damages.
    arguments : function of the input and the folder of `make`
        The command on it.
    out : str
        Name of the output.
    """

    needs: tuple[str, ...]
    make: Callable[[Path], None]
    cases: Callable[[], Iterator[Case]]
    arguments: Callable[[Path, Path], list[str | Path]]
    out: str = "labels"


def _label(export: Path, _: Path) -> list[str | Path]:
    return ["label", export]


def _model(place: Path) -> None:
    """A model of synthetic stays, next to the input."""
    cohort = CohortSettings(min_history_h=2, min_observations=1)
    small_study(place / "study", "logistic", stays=60, seed=4, part_stays=100, cohort=cohort)


def _with_model(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(place: Path) -> None:
        make(place)
        _model(place)

    return both


def _records_2019(place: Path, to: str = "sound") -> None:
    archive = SHARED / "data/physionet2019/training_setA.zip"
    cut_challenge(archive, place / to, ".psv", {True: 3, False: 3}, septic)


def _records_2012(place: Path) -> None:
    data = SHARED / "data/physionet2012"
    cut_challenge(data / "set-a.zip", place / "sound", ".txt", {True: 6, False: 0}, bool)
    cut_outcomes(data / "Outcomes-a.txt", place / "sound")


def _meds(place: Path) -> None:
    cut_mimic_iv(SHARED / "data/mimic-iv-demo", place / "export")
    write_meds(place / "export", place / "sound")


def _score_hourly(export: Path, place: Path) -> list[str | Path]:
    return ["score", export, "--model", place / "study" / "model", "--hourly"]


def _labels(place: Path) -> None:
    _with_model(lambda place: _records_2019(place, to="records"))(place)
    code, text = command("label", place / "records", "--out", place / "sound")
    assert code == 0, text


def _score_labelled(labels: Path, place: Path) -> list[str | Path]:
    return ["score", place / "records", "--model", place / "study" / "model", "--labels", labels]


def _scores(place: Path) -> None:
    """Made-up stays, scored and written as CSV."""
    _model(place)
    study = place / "study"
    command(
        "score", study / "export", "--model", study / "model", "--labels", study / "labels",
        "--horizons", "0,4", "--out", place / "scores.parquet",
    )  # fmt: skip
    (place / "sound").mkdir()
    pd.read_parquet(place / "scores.parquet").to_csv(place / "sound" / "scores.csv", index=False)


def _evaluate(folder: Path, place: Path) -> list[str | Path]:
    labels = place / "study" / "labels"
    return ["evaluate", folder / "scores.csv", "--labels", labels, "--bootstrap", "0"]


KINDS = {
    "mimic_iii": Kind(
        ("data/mimic-iii-demo",),
        lambda place: cut_mimic_iii(SHARED / "data/mimic-iii-demo", place / "sound"),
        cases.mimic_iii, _label,
    ),
    "mimic_iv": Kind(
        ("data/mimic-iv-demo",),
        lambda place: cut_mimic_iv(SHARED / "data/mimic-iv-demo", place / "sound"),
        cases.mimic_iv, _label,
    ),
    "physionet_2019": Kind(
        ("data/physionet2019",), _records_2019, cases.challenge_2019, _label,
    ),
    "physionet_2012": Kind(
        ("data/physionet2012",), _with_model(_records_2012),
        partial(cases.challenge_2012, "132539.txt"), _score_hourly, "scores.parquet",
    ),
    "meds": Kind(("data/mimic-iv-demo",), _meds, stored_cases.meds, _label),
    "labels": Kind(
        ("data/physionet2019",), _labels, stored_cases.labels, _score_labelled, "scores.parquet"
    ),
    "scores": Kind((), _scores, stored_cases.scores, _evaluate, "report"),
}  # fmt: skip


def named(kind: str) -> list[Case]:
    """Cases of a kind; their names differ."""
    found = list(KINDS[kind].cases())
    assert len({case.name for case in found}) == len(found)
    return found


def chosen(kind: str) -> list[Case]:
    """What the tests run: all, but of slow kinds a third unless `SEPSIS_WHOLE_CORPUS` is set."""
    cases = named(kind)
    return cases[::3] if kind in SLOW and not os.environ.get("SEPSIS_WHOLE_CORPUS") else cases


def expected(kind: str) -> dict[str, Ended]:
    """The recorded result of each case of a kind."""
    with (EXPECTED / f"{kind}.tsv").open(newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {name: Ended(int(code), said) for name, code, said in list(rows)[1:]}


class Sound:
    """The sound input of a kind below `place`, the command for it, and what its output counts."""

    def __init__(self, kind: str, place: Path):
        self.kind, self.place = KINDS[kind], place
        self.kind.make(place)
        out = place / f"of_sound_{self.kind.out}"
        code, text = command(*self.arguments(place / "sound"), "--out", out)
        assert code == 0, text
        self.counts = facts_of(out)

    def arguments(self, copy: Path) -> list[str | Path]:
        """The command on a copy."""
        return self.kind.arguments(copy, self.place)

    def ended(self, case: Case, place: Path) -> Ended:
        """The result of a case."""
        arguments: Arguments = self.arguments
        return ended(case, self.place / "sound", place, arguments, self.kind.out, self.counts)


def main(kinds: list[str]) -> None:
    """Run the cases of these kinds and write their results."""
    EXPECTED.mkdir(exist_ok=True)
    for kind in kinds or KINDS:
        rows, bad = [("case", "exit code", "message, or what the sound input's counts grew by")], 0
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            sound = Sound(kind, place)
            for k, case in enumerate([NO_DAMAGE, *named(kind)]):
                try:
                    rows.append((case.name, *map(str, sound.ended(case, place / str(k)))))
                except BaseException as error:
                    bad += 1
                    print(f"{kind}: {case.name}: {type(error).__name__}: {error}"[:2000], flush=True)
        with (EXPECTED / f"{kind}.tsv").open("w") as file:
            file.writelines("\t".join(row) + "\n" for row in rows)
        print(f"{kind}: {len(rows) - 1} cases, {bad} without a proper end", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
