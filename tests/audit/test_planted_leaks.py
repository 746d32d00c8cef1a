"""
Leaks planted one at a time: each is caught by the check meant for it, and a clean study passes.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.audit import CHECKS, audit_model
from sepsis.audit.after_onset import hours_after_onset
from sepsis.audit.after_stay import prediction_after_stay
from sepsis.audit.at_risk import controls_not_at_risk
from sepsis.audit.batch_invariance import risk_depends_on_batch
from sepsis.audit.case import FAILED, HARD, NOTED, PASSED
from sepsis.audit.duplicates import duplicated_series
from sepsis.audit.future import future_changes_the_risk
from sepsis.audit.identity import identity_changes_the_risk
from sepsis.audit.names import telling_names
from sepsis.audit.prevalence import prevalence_differs
from sepsis.audit.shortcuts import count_alone, gap_alone, length_alone
from sepsis.audit.subjects import subject_in_two_splits
from sepsis.audit.too_good import hourly_too_good
from sepsis.audit.training_data import learned_from_other_splits
from sepsis.models.base import probabilities
from sepsis.models.baselines.logistic import Logistic, window_features
from sepsis.models.registry import make_model
from sepsis.training.fit import fit_horizons, horizon_windows
from tests.audit.made_up import fitted, made_up_case, with_class


@pytest.fixture(scope="module")
def clean():
    return made_up_case()


# --- models that leak ---------------------------------------------------------------------------


class ReadsThePaddedEnd(Logistic):
    """Reads out at the last step of the padded batch: the longest companion dampens the risk."""

    def predict_proba(self, X):
        risk = super().predict_proba(X)[:, 1]
        length = X.end_h - X.start_h
        risk = risk * length / max(length.max(), 1e-9)
        return np.stack([1 - risk, risk], axis=1)


class StandardisesTheBatch(Logistic):
    """Uses the mean and SD of whoever is scored together."""

    def predict_proba(self, X):
        features = np.nan_to_num(window_features(X, self.trend_h, self.recency))
        z = (features - features.mean(axis=0)) / (features.std(axis=0) + 1.0)
        return probabilities(z, self.coef_, self.intercept_)


class RemembersWhoCameBefore(Logistic):
    """Carries a running state from one call to the next."""

    before = 0.0

    def predict_proba(self, X):
        risk = 0.9 * super().predict_proba(X)[:, 1] + 0.1 * self.before
        self.before = float(np.nanmean(risk))
        return np.stack([1 - risk, risk], axis=1)


class FillsBackwards(Logistic):
    """Asked for earlier hours, reads the whole window: later values fill earlier gaps."""

    def predict_earlier(self, X, end_h):
        risk = self.predict_proba(X)[:, [1]]
        return np.where(np.isnan(end_h), np.nan, risk), None


class CarriesTheRecord(Logistic):
    """Holds the whole export and looks up what is charted of a stay after the prediction."""

    events = pd.DataFrame()

    def predict_proba(self, X):
        risk = super().predict_proba(X)[:, 1]
        for b, (stay, end_h) in enumerate(zip(X.stay_id, X.end_h, strict=True)):
            later = self.events[(self.events.stay_id == stay) & (self.events.time_h > end_h)]
            risk[b] = 0.5 * risk[b] + 0.5 * min(1.0, len(later) / 100)
        return np.stack([1 - risk, risk], axis=1)


def carrying(case):
    model = with_class(case.model, CarriesTheRecord)
    model.events = case.events
    return replace(case, model=model)


# --- how each leak is planted -------------------------------------------------------------------


def one_person_in_two_splits(case):
    """The split was made by stay; the cohort itself says that they are different people."""
    test = case.cohort.stay_id[case.cohort.split == "test"].iloc[0]
    trained = case.cohort.stay_id[case.cohort.split == "train"].iloc[0]
    stays = case.stays.set_index("stay_id")
    stays.loc[test, "subject_id"] = stays.loc[trained, "subject_id"]
    return replace(case, stays=stays.reset_index())


def scores_after_discharge(case):
    scores = case.judged.copy()
    scores.loc[scores.index[:3], "time_h"] = 400.0
    return replace(case, scores=scores.assign(horizon_h=np.nan))


def cases_count_from_later(case):
    """Horizons counted from the antibiotic, hours after onset."""
    late = case.cohort.reference_h + 1.5 * case.cohort.is_case
    return replace(case, cohort=case.cohort.assign(reference_h=late))


def risks_given_later_than_they_say(case):
    return replace(case, scores=case.judged.assign(time_h=case.judged.time_h + 1.0))


def statistics_of_everybody(case):
    """Means and SDs of all splits; the coefficients are those of the training split."""
    members = case.cohort
    X = horizon_windows(
        case.events, members, case.model.concepts_, fit_horizons("logistic", case.recipe.settings)
    )
    features = window_features(X)
    arrays, facts = case.model.state()
    arrays = {**arrays, "mean": np.nanmean(features, axis=0)}
    return replace(case, model=Logistic().restore(arrays, facts))


def fitted_on(model):
    """Fitted on training and test stays alike."""

    def plant(_):
        case = made_up_case(model)
        everybody = case.cohort.assign(split=case.cohort.split.replace("test", "train"))
        return replace(fitted(replace(case, cohort=everybody)), cohort=case.cohort)

    return plant


def cases_that_are_later(case):
    """Controls matched to no hour at all."""
    reference = case.cohort.reference_h.where(case.cohort.is_case, case.cohort.reference_h * 0.6)
    return replace(case, cohort=case.cohort.assign(reference_h=reference))


def silent_controls(case):
    """Controls whose record stops hours before their reference."""
    known = case.cohort.set_index("stay_id")
    reference = case.events.stay_id.map(known.reference_h)
    keep = case.events.stay_id.map(known.is_case) | (case.events.time_h < reference - 9.0)
    return replace(case, events=case.events[keep])


def thinly_charted_controls(case):
    is_case = case.events.stay_id.map(case.cohort.set_index("stay_id").is_case)
    return replace(case, events=case.events[is_case | (np.arange(len(is_case)) % 3 == 0)])


def controls_who_had_left(case):
    stay_h = case.stays.stay_h.where(case.cohort.is_case, case.cohort.reference_h - 1.0)
    return replace(case, stays=case.stays.assign(stay_h=stay_h))


def a_treatment_as_a_variable(case):
    renamed = case.events.assign(concept=case.events.concept.replace("lactate", "norepinephrine"))
    recipe = replace(case.recipe, concepts=("heart_rate", "norepinephrine", "map"))
    return fitted(replace(case, events=renamed, recipe=recipe))


def a_variable_that_knows_the_onset(case):
    """An hourly "lactate" that is high whenever the onset is within six hours."""
    hours = case.stays.stay_h.astype(int)
    stay_id = np.repeat(case.stays.stay_id.to_numpy(), hours)
    time_h = np.concatenate([np.arange(1.0, n + 1) for n in hours])
    onset = np.repeat(case.onset.onset_h.fillna(np.inf).to_numpy(), hours)
    value = np.where((time_h >= onset - 6.0) & (time_h < onset), 500.0, 80.0)
    tells = pd.DataFrame({"stay_id": stay_id, "time_h": time_h, "concept": "lactate", "value": value})
    others = case.events[case.events.concept != "lactate"]
    return fitted(replace(case, events=pd.concat([others, tells], ignore_index=True)))


def a_test_split_rich_in_cases(case):
    pair = np.arange(len(case.cohort)) // 2
    fewer = ~(case.cohort.is_case & (case.cohort.split == "train") & (pair % 6 > 0))
    return replace(case, cohort=case.cohort[fewer])


def the_same_record_twice(case):
    """A training stay under a new number in the test split, an hour later."""
    copied = case.cohort[case.cohort.split == "train"].iloc[[0]]
    again = copied.assign(stay_id=999_999, subject_id=999_999, split="test")
    record = case.events[case.events.stay_id == copied.stay_id.iloc[0]]
    record = record.assign(stay_id=999_999, time_h=record.time_h + 1.0)
    stay = case.stays[case.stays.stay_id == copied.stay_id.iloc[0]]
    stay = stay.assign(stay_id=999_999, subject_id=999_999, stay_h=stay.stay_h + 2.0)
    return replace(
        case,
        cohort=pd.concat([case.cohort, again]),
        events=pd.concat([case.events, record]),
        stays=pd.concat([case.stays, stay]),
    )


def leaky(cls):
    return lambda case: replace(case, model=with_class(case.model, cls))


PLANTED = {
    "a person in two splits": (one_person_in_two_splits, subject_in_two_splits),
    "scores after discharge": (scores_after_discharge, prediction_after_stay),
    "controls judged after discharge": (controls_who_had_left, prediction_after_stay),
    "cases counted from after onset": (cases_count_from_later, hours_after_onset),
    "risks later than their horizon": (risks_given_later_than_they_say, hours_after_onset),
    "later values fill earlier gaps": (leaky(FillsBackwards), future_changes_the_risk),
    "the last row of the padded batch": (leaky(ReadsThePaddedEnd), risk_depends_on_batch),
    "standardised by the batch": (leaky(StandardisesTheBatch), risk_depends_on_batch),
    "a state kept between calls": (leaky(RemembersWhoCameBefore), risk_depends_on_batch),
    "the model carries the export": (carrying, identity_changes_the_risk),
    "statistics of all splits": (statistics_of_everybody, learned_from_other_splits),
    "test stays among the neighbours": (fitted_on("dtw_knn"), learned_from_other_splits),
    "coefficients of all splits": (fitted_on("logistic"), learned_from_other_splits),
    "length tells the class": (cases_that_are_later, length_alone),
    "silence tells the class": (silent_controls, gap_alone),
    "counts tell the class": (thinly_charted_controls, count_alone),
    "controls not at risk": (controls_who_had_left, controls_not_at_risk),
    "a treatment as a variable": (a_treatment_as_a_variable, telling_names),
    "a variable that knows the onset": (a_variable_that_knows_the_onset, hourly_too_good),
    "a test split rich in cases": (a_test_split_rich_in_cases, prevalence_differs),
    "the same record in two splits": (the_same_record_twice, duplicated_series),
}


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught_by_the_check_meant_for_it(clean, leak):
    plant, check = PLANTED[leak]
    before, after = check(clean), check(plant(clean))
    assert before.status == PASSED, before.says
    assert after.status == (FAILED if after.severity == HARD else NOTED), after.says
    assert after.found > 0
    assert after.check == before.check


def test_every_check_catches_a_planted_leak():
    assert {check for _, check in PLANTED.values()} == set(CHECKS)
    assert len(PLANTED) >= 12


MODELS = {
    "logistic": {},
    "dtw_knn": {"k": 5},
    "sirs": {},
    "news2": {},
    "sofa": {},
    "clock": {},
    "observation_count": {},
    "last_lab": {},
    "demographics": {},
    "mgp_tcn": {"hidden": 8, "levels": 3, "kernel_size": 3, "n_samples": 2, "max_epochs": 1, "threads": 1},
}


@pytest.mark.parametrize("model", MODELS)
def test_a_clean_model_passes_every_hard_check(model):
    size = {"n_pairs": 30} if model == "mgp_tcn" else {}
    findings = audit_model(made_up_case(model, **size, **MODELS[model]))
    hard = findings[findings.severity == HARD]
    assert (hard.status == PASSED).all(), hard
    assert len(hard) == 7


def test_a_clean_study_passes_the_soft_checks_too(clean):
    findings = audit_model(clean)
    assert (findings.status == PASSED).all(), findings
    assert list(findings.columns) == ["check", "severity", "status", "found", "says"]


def test_the_audit_is_the_same_twice_and_whatever_the_order_of_rows(clean):
    shuffled = replace(
        clean,
        events=clean.events.sample(frac=1.0, random_state=1),
        cohort=clean.cohort.sample(frac=1.0, random_state=2),
        stays=clean.stays.sample(frac=1.0, random_state=3),
    )
    pd.testing.assert_frame_equal(audit_model(clean), audit_model(shuffled))


def test_no_finding_names_a_stay_or_a_person(clean):
    said = " ".join(audit_model(carrying(the_same_record_twice(clean))).says)
    assert not any(
        str(number) in said for number in (*clean.cohort.stay_id, *clean.cohort.subject_id, 999_999)
    )


def test_a_model_of_another_export_is_not_fitted_again(clean):
    finding = learned_from_other_splits(replace(clean, recipe=None))
    assert finding.status == "not checked"
    assert np.isnan(finding.found)


def test_stays_that_were_all_trained_on_cannot_be_renamed(clean):
    trained = replace(clean, cohort=clean.cohort[clean.cohort.split == "train"])
    assert identity_changes_the_risk(trained).status == "not checked"


def test_the_sample_prefers_stays_that_were_not_trained_on(clean):
    sample = clean.drawn(20)
    assert len(sample) == 20
    assert sample.is_case.sum() == 10
    assert (sample.split != "train").all()


def test_a_model_fitted_again_has_the_settings_it_was_stored_with():
    case = made_up_case("logistic", recency=True)
    assert learned_from_other_splits(case).status == PASSED
    other = replace(case, model=fitted(replace(case, recipe=replace(case.recipe, model_settings={}))).model)
    assert learned_from_other_splits(other).status == FAILED
    assert make_model("logistic", {"recency": True}).recency
