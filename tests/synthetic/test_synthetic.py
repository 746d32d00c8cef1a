"""The made-up export: whole, repeatable, like a release, and neither trivial nor hopeless to predict."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepsis.core.errors import UsageError
from sepsis.events import extract_events
from sepsis.labels import label_stays, load_preset
from sepsis.sources import open_export
from sepsis.synthetic import export as synthetic
from sepsis.synthetic.export import write_synthetic

STAYS, SEED = 1500, 20
LAYOUTS = ("mimic-iii", "mimic-iv")
LIMIT = 0.60  # AUROC that nothing but physiology may reach
VITALS = ("heart_rate", "map", "sbp", "resp_rate", "spo2", "temperature")


class Export:
    """One export with its truth, and what it becomes when read and labelled (once, when asked)."""

    def __init__(self, folder, layout):
        self.path = write_synthetic(folder / layout, stays=STAYS, seed=SEED, layout=layout)
        self.truth = pd.read_parquet(self.path / "truth.parquet")
        self.events = extract_events(open_export(self.path))
        self.labels = label_stays(self.events, load_preset("moor2019"))

    def csv(self, name, **options):
        return pd.read_csv(self.path / f"{name}.csv.gz", **options)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    return {layout: Export(folder, layout) for layout in LAYOUTS}


@pytest.fixture(scope="module", params=LAYOUTS)
def export(request, exports):
    return exports[request.param]


@pytest.fixture(scope="module")
def matched(exports):
    """Each case, and three controls that are still in the unit at its onset hour: `reference_h`."""
    truth = exports["mimic-iii"].truth
    rng = np.random.default_rng(0)
    cases, controls = truth[truth.is_case], truth[~truth.is_case]
    free, parts = controls, []
    for onset_h in cases.onset_h.sort_values(ascending=False):
        chosen = free[free.stay_h >= onset_h].sample(3, random_state=rng)
        parts.append(chosen.assign(reference_h=onset_h))
        free = free.drop(chosen.index)
    return pd.concat([cases.assign(reference_h=cases.onset_h), *parts], ignore_index=True)


def seen(export, matched, horizon_h):
    """What was charted from admission until `horizon_h` before the reference, and when that is."""
    end_h = pd.Series((matched.reference_h - horizon_h).to_numpy(), index=matched.stay_id)
    events = export.events.events
    events = events[events.stay_id.isin(matched.stay_id) & (events.time_h >= 0)]
    return events[events.time_h.to_numpy() <= end_h.reindex(events.stay_id).to_numpy()], end_h


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# --- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(tmp_path, layout):
    one = digests(write_synthetic(tmp_path / "one", stays=40, seed=7, layout=layout))
    again = digests(write_synthetic(tmp_path / "again", stays=40, seed=7, layout=layout))
    other = digests(write_synthetic(tmp_path / "other", stays=40, seed=8, layout=layout))
    assert one == again
    assert set(one) == set(other)
    same = {name for name in one if one[name] == other[name]}
    assert same <= {"INPUTEVENTS_CV.csv.gz"}  # a header alone


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="is not empty") as caught:
        write_synthetic(tmp_path, stays=5, seed=0)
    assert caught.value.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="is not empty"):
        write_synthetic(tmp_path / "mine.txt", stays=5, seed=0)


def test_an_empty_folder_is_filled_and_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert len(digests(write_synthetic(tmp_path / "empty", stays=3, seed=0))) == 13
    assert len(digests(write_synthetic(tmp_path / "a" / "b", stays=3, seed=0, layout="mimic-iv"))) == 12


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    def full(self, batch):
        raise OSError("no space left on device")

    monkeypatch.setattr(synthetic.ExportWriter, "add", full)
    with pytest.raises(OSError, match="no space left"):
        write_synthetic(tmp_path / "out", stays=5, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_synthetic(tmp_path / "file" / "out", stays=5, seed=0)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"layout": "mimic-v"}, "layout: no layout 'mimic-v'. Did you mean 'mimic-i"),
        ({"stays": 0}, "stays: 0. Expected: at least 1"),
        ({"seed": -1}, "seed: -1. Expected: 0 or more"),
        ({"case_share": 1.5}, "case_share: 1.5. Expected: a share from 0 to 1"),
    ],
)
def test_an_argument_without_meaning_is_a_mistake_of_usage(tmp_path, argument, message):
    with pytest.raises(UsageError, match=message):
        write_synthetic(tmp_path / "out", **{"stays": 5, "seed": 0, **argument})
    assert list(tmp_path.iterdir()) == []


def test_one_stay_and_no_cases_can_be_asked_for(tmp_path):
    truth = pd.read_parquet(write_synthetic(tmp_path / "one", stays=1, seed=0) / "truth.parquet")
    assert len(truth) == 1
    path = write_synthetic(tmp_path / "none", stays=60, seed=0, case_share=0.0)
    truth = pd.read_parquet(path / "truth.parquet")
    assert not truth.is_case.any()
    assert truth.onset_h.isna().all()


# --- like a release --------------------------------------------------------------------------------


def test_it_is_recognised_and_nothing_is_missing(export):
    source = open_export(export.path)
    assert source.kind == export.path.name.replace("-", "_")
    assert source.problems == []
    assert len(export.events.stays) == STAYS
    assert set(export.events.stays.stay_id) == set(export.truth.stay_id)
    assert export.events.stays.exclusion.isna().all()


# concepts that the vocabulary reads from one of the two releases only
OF_ONE_RELEASE = {
    "fio2_charting", "ventilator_mode", "oxygen_device", "oxygen_flow_mark", "oxygen_device_verbatim_mark",
}  # fmt: skip


def test_both_layouts_carry_the_same_patients(exports):
    iii, iv = exports["mimic-iii"], exports["mimic-iv"]
    shift = {"stay_id": 30_000_000, "subject_id": 10_000_000, "hadm_id": 20_000_000}
    pd.testing.assert_frame_equal(
        iii.truth.assign(**{c: iii.truth[c] + n for c, n in shift.items()}), iv.truth
    )
    order = ["stay_id", "time_h", "concept", "value"]
    one, two = (
        export.events.events[order]
        .assign(concept=lambda f: f.concept.astype(str))
        .loc[lambda f: ~f.concept.isin(OF_ONE_RELEASE)]
        .sort_values(order, ignore_index=True)
        for export in (iii, iv)
    )
    assert set(one.concept) == set(two.concept)
    pd.testing.assert_frame_equal(one.assign(stay_id=one.stay_id + shift["stay_id"]), two)


def test_antibiotics_have_a_day_in_mimic_iii_and_an_hour_in_mimic_iv(exports):
    day = exports["mimic-iii"].csv("PRESCRIPTIONS", parse_dates=["STARTDATE"]).STARTDATE
    hour = exports["mimic-iv"].csv("hosp/prescriptions", parse_dates=["starttime"]).starttime
    assert (day == day.dt.normalize()).all()
    assert (hour.dt.normalize() == day).all()
    assert (hour != day).mean() > 0.99


def test_subjects_have_several_stays_that_do_not_overlap(exports):
    stays = exports["mimic-iii"].csv("ICUSTAYS", parse_dates=["INTIME", "OUTTIME"])
    admissions = exports["mimic-iii"].csv("ADMISSIONS", parse_dates=["ADMITTIME", "DISCHTIME"])
    per_subject = stays.groupby("SUBJECT_ID").size()
    assert per_subject.max() >= 3
    assert 1.2 < per_subject.mean() < 1.8
    assert (stays.groupby("HADM_ID").size() == 2).sum() > 0.05 * len(stays)
    stays = stays.sort_values(["SUBJECT_ID", "INTIME"])
    before = stays.groupby("SUBJECT_ID").OUTTIME.shift()
    assert (before < stays.INTIME)[before.notna()].all()
    both = stays.merge(admissions, on=["SUBJECT_ID", "HADM_ID"])
    assert len(both) == len(stays)
    assert (both.INTIME >= both.ADMITTIME).all()
    assert (both.OUTTIME <= both.DISCHTIME).all()
    for name, ids in (("SUBJECT_ID", 99_999), ("HADM_ID", 199_999), ("ICUSTAY_ID", 299_999)):
        assert stays[name].max() <= ids


def test_all_are_adults_and_ages_over_89_are_hidden_the_way_each_release_does_it(exports):
    birth = exports["mimic-iii"].csv("PATIENTS").DOB.str[:4].astype(int)
    assert 0 < (birth < 1950).sum() < 0.15 * len(birth)  # 300 years old
    shown = exports["mimic-iv"].csv("hosp/patients").anchor_age
    assert shown.between(18, 91).all()
    assert (shown == 91).any()
    for export in exports.values():
        age = export.events.stays.age
        assert age.between(18, 95).all()
        assert (age == 91.4).any()


def test_readings_lie_in_their_stay_and_laboratory_values_in_their_admission(exports):
    iii = exports["mimic-iii"]
    stays = iii.csv("ICUSTAYS", parse_dates=["INTIME", "OUTTIME"])
    chart = iii.csv("CHARTEVENTS", parse_dates=["CHARTTIME"], usecols=["ICUSTAY_ID", "CHARTTIME"])
    chart = chart.merge(stays, on="ICUSTAY_ID")
    minute = pd.Timedelta(minutes=1)
    assert chart.CHARTTIME.between(chart.INTIME - minute, chart.OUTTIME).all()
    admissions = iii.csv("ADMISSIONS", parse_dates=["ADMITTIME", "DISCHTIME"])
    labs = iii.csv("LABEVENTS", parse_dates=["CHARTTIME"], usecols=["HADM_ID", "CHARTTIME"])
    labs = labs.merge(admissions, on="HADM_ID")
    assert labs.CHARTTIME.between(labs.ADMITTIME, labs.DISCHTIME).all()
    before = labs.merge(stays, on="HADM_ID")
    assert (before.CHARTTIME < before.INTIME).mean() > 0.02


def test_nearly_all_values_are_plausible_and_everything_moor_needs_is_there(export):
    ledger = export.events.ledger.groupby("reason").rows.sum()
    assert ledger["implausible"] < 0.001 * ledger["kept"]
    assert ledger["implausible"] > 0  # slips of the keyboard, to be dropped and counted
    concepts = set(export.events.events.concept)
    assert {*VITALS, "lactate", "creatinine", "platelets", "bilirubin_total", "po2", "fio2_lab"} <= concepts
    assert {"gcs_verbal", "urine_output", "gu_irrigant_in", "ventilator_mark", "weight"} <= concepts
    assert {"norepinephrine", "dopamine", "vasopressin"} <= set(export.events.infusions.concept)


def test_vital_signs_come_about_hourly_with_gaps_and_panels_every_few_hours(export):
    events = export.events.events
    hours = export.truth.stay_h.sum()

    def per_day(concept):
        return 24 * (events.concept == concept).sum() / hours

    assert 20 < per_day("heart_rate") < 30
    assert 4 < per_day("temperature") < 9
    assert 1.5 < per_day("creatinine") < 4
    assert 0.2 < per_day("bilirubin_total") < 1.5
    heart = events[events.concept == "heart_rate"].sort_values(["stay_id", "time_h"])
    step = heart.groupby("stay_id").time_h.diff().dropna()
    assert step.std() > 0.25
    assert (step > 2.5).mean() > 0.002


# --- the truth ------------------------------------------------------------------------------------


def test_the_label_rule_finds_the_onsets_and_finds_none_in_controls(export):
    both = export.truth.merge(export.labels.onset, on="stay_id", suffixes=("_true", ""))
    cases = both[both.is_case_true]
    late_h = cases.onset_h - cases.onset_h_true
    assert len(cases) > 200
    assert late_h.between(0.0, 1.0).mean() > 0.97  # at the first hour of the grid that can see it
    assert both[~both.is_case_true].is_case.sum() == 0


def test_the_intended_culture_and_antibiotic_make_the_suspicion(exports):
    iv = exports["mimic-iv"]  # where the antibiotic has an hour
    both = iv.truth.merge(iv.labels.onset, on="stay_id", suffixes=("_true", ""))
    intended = both[both.culture_h_true.notna()]
    suspicion_h = intended[["culture_h_true", "antibiotic_h_true"]].min(axis=1)
    assert (intended.suspicion_h - suspicion_h).abs().lt(0.02).mean() > 0.97
    assert (intended.culture_h_true > intended.antibiotic_h_true).mean() > 0.1  # either comes first


def test_controls_are_of_every_kind_and_have_suspicions_and_failing_organs_apart(export):
    both = export.truth.merge(export.labels.onset, on="stay_id", suffixes=("_true", ""))
    kinds = both.groupby("kind").size()
    assert set(kinds.index) == {"case", "plain", "infection", "organ", "chronic"}
    assert 0.15 < kinds["case"] / STAYS < 0.25
    suspected = both.suspicion_h.notna().groupby(both.kind).mean()
    assert suspected["infection"] > 0.95
    assert 0.02 < suspected["organ"] < 0.5
    antibiotics, cultures = set(export.events.antibiotics.stay_id), set(export.events.cultures.stay_id)
    plain = set(export.truth.stay_id[export.truth.kind == "plain"])
    assert len(plain & antibiotics - cultures) > 20
    assert len(plain & cultures - antibiotics) > 20


def test_onsets_spread_over_four_days_and_the_stay_goes_on_after_them(export):
    cases = export.truth[export.truth.is_case]
    assert cases.onset_h.between(8, 96.1).all()
    assert cases.onset_h.quantile(0.1) < 16
    assert cases.onset_h.quantile(0.9) > 55
    assert (cases.stay_h - cases.onset_h).min() > 12
    drift_h = cases.onset_h - cases.drift_start_h
    assert drift_h.between(4, 12.1).all()


# --- what may, and what may not, tell cases from controls -------------------------------------------


def test_length_of_stay_and_hour_tell_nothing(exports, matched):
    truth = exports["mimic-iii"].truth
    assert abs(roc_auc_score(truth.is_case, truth.stay_h) - 0.5) < LIMIT - 0.5
    assert abs(roc_auc_score(truth.is_case, truth.event_h) - 0.5) < LIMIT - 0.5
    assert abs(roc_auc_score(matched.is_case, matched.stay_h) - 0.5) < LIMIT - 0.5


@pytest.mark.parametrize("horizon_h", [0, 1, 4, 7])
def test_the_number_of_observations_tells_nothing(exports, matched, horizon_h):
    events, _ = seen(exports["mimic-iii"], matched, horizon_h)
    count = events.groupby("stay_id").size().reindex(matched.stay_id).fillna(0)
    assert abs(roc_auc_score(matched.is_case, count) - 0.5) < LIMIT - 0.5


@pytest.mark.parametrize("horizon_h", [1, 4, 7])
def test_the_time_since_the_last_laboratory_value_tells_nothing(exports, matched, horizon_h):
    events, end_h = seen(exports["mimic-iii"], matched, horizon_h)
    labs = events[events.concept.isin(["creatinine", "platelets", "bilirubin_total", "po2"])]
    since = end_h - labs.groupby("stay_id").time_h.max().reindex(end_h.index)
    assert abs(roc_auc_score(matched.is_case, since.fillna(1000.0)) - 0.5) < LIMIT - 0.5


def last_value_auroc(export, matched, horizon_h, concepts=None):
    events, _ = seen(export, matched, horizon_h)
    events = events[events.value.notna()].sort_values("time_h", kind="stable")
    last = events.groupby(["stay_id", events.concept.astype(str)]).value.last().unstack()
    last = last.reindex(matched.stay_id)
    last = last[[c for c in concepts or last if last[c].notna().mean() > 0.05]]
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
    folds = GroupKFold(5)
    risk = cross_val_predict(
        model, last, matched.is_case, groups=matched.subject_id, cv=folds, method="predict_proba"
    )
    return roc_auc_score(matched.is_case, risk[:, 1])


def test_last_values_predict_onset_better_the_nearer_it_is_but_never_well(exports, matched):
    auroc = {h: last_value_auroc(exports["mimic-iii"], matched, h) for h in (0, 4, 12)}
    assert 0.64 < auroc[4] < 0.84
    assert auroc[4] + 0.05 < auroc[0] < 0.93
    assert abs(auroc[12] - 0.5) < LIMIT - 0.5  # before the drift begins


def test_a_drift_shows_in_cases_and_not_in_controls(exports, matched):
    events = exports["mimic-iii"].events.events
    events = events.merge(matched[["stay_id", "is_case", "reference_h"]], on="stay_id")
    before_h = events.reference_h - events.time_h

    def change(concept, is_case):
        mine = events[(events.concept == concept) & (events.is_case == is_case)]
        when = before_h[mine.index]
        late = mine.value[when.between(0.01, 2)].groupby(mine.stay_id).mean()
        early = mine.value[when.between(12, 20)].groupby(mine.stay_id).mean()
        return (late - early).mean()

    assert change("heart_rate", True) > 8
    assert change("resp_rate", True) > 2
    assert change("map", True) < -4
    assert abs(change("heart_rate", False)) < 2
    assert abs(change("map", False)) < 2
