"""
Leaks planted one at a time: each is caught by the check meant for it, and a clean study passes.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepsis.audit import CHECKS, audit_model
from sepsis.audit.after_onset import hours_after_onset
from sepsis.audit.after_stay import prediction_after_stay
from sepsis.audit.at_risk import controls_not_at_risk
from sepsis.audit.batch_invariance import risk_depends_on_batch
from sepsis.audit.case import FAILED, HARD, NOTED, PASSED, UNCHECKED
from sepsis.audit.duplicates import duplicated_records
from sepsis.audit.future import future_changes_the_risk
from sepsis.audit.identity import identity_changes_the_risk
from sepsis.audit.laboratory import results_before_known, results_repeated
from sepsis.audit.matching import cohort_not_of_its_seed
from sepsis.audit.missing import missing_in_the_scores
from sepsis.audit.names import telling_names
from sepsis.audit.operating import operating_not_of_validation
from sepsis.audit.prevalence import prevalence_differs
from sepsis.audit.references import controls_not_drawn_at_random, reference_tells_the_class
from sepsis.audit.rescore import scores_not_of_the_model
from sepsis.audit.shortcuts import (
    count_alone,
    density_alone,
    gap_alone,
    length_alone,
    presence_alone,
    repeats_alone,
    rows_alone,
    static_alone,
    time_left_alone,
)
from sepsis.audit.subjects import subject_in_two_splits
from sepsis.audit.too_good import hourly_too_good
from sepsis.audit.training_data import learned_from_other_splits
from sepsis.cohort import Cohort
from sepsis.models.artifact.operating import Operating
from sepsis.models.base import probabilities
from sepsis.models.baselines.logistic import Logistic, window_features
from sepsis.models.registry import make_model
from sepsis.scoring.predict import score_horizons
from sepsis.training.finish import operating_of
from sepsis.training.fit import fit_horizons, horizon_windows
from tests.audit.made_up import COHORT, fitted, made_up_case, scored, with_class, with_sets, with_stays

HARD_CHECKS = 15
DOCS = Path(__file__).parents[2] / "docs" / "audit.md"


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


# --- how each leak is planted: people, splits and sets ------------------------------------------


def a_stay(case, split, is_case=False):
    """The first stay of a split, of a class."""
    stays = case.cohort.stays
    return stays.stay_id[(stays.split == split) & (stays.is_case == is_case)].iloc[0]


def one_person_in_two_splits(case):
    """The split was made by stay; the cohort itself says that they are different people."""
    stays = case.stays.set_index("stay_id")
    stays.loc[a_stay(case, "test"), "subject_id"] = stays.subject_id[a_stay(case, "train")]
    return replace(case, stays=stays.reset_index())


def copied(alter):
    """Three training records again in the test split, under new numbers, altered."""

    def plant(case):
        stays = case.cohort.stays
        originals = stays[stays.split == "train"].head(3)
        renamed = dict(zip(originals.stay_id, 990_000 + np.arange(3), strict=True))
        again = originals.assign(
            stay_id=originals.stay_id.map(renamed), subject_id=990_000 + np.arange(3), split="test"
        )
        records = case.events[case.events.stay_id.isin(originals.stay_id)]
        records = alter(records.assign(stay_id=records.stay_id.map(renamed)), np.random.default_rng(0))
        of_them = case.stays[case.stays.stay_id.isin(originals.stay_id)]
        of_them = of_them.assign(
            stay_id=of_them.stay_id.map(renamed), subject_id=of_them.stay_id.map(renamed), stay_h=500.0
        )
        planted = with_stays(case, pd.concat([stays, again], ignore_index=True))
        return replace(
            planted, events=pd.concat([case.events, records]), stays=pd.concat([case.stays, of_them])
        )

    return plant


def later(records, _):
    return records.assign(time_h=records.time_h + 1.0)


def rounded_and_later(records, _):
    two_digits = [float(f"{value:.2g}") for value in records.value]
    return records.assign(value=two_digits, time_h=np.round(records.time_h + 5.25))


def jittered_in_part(records, rng):
    kept = records[rng.random(len(records)) < 0.8]
    return kept.assign(value=kept.value * (1 + 0.02 * rng.normal(size=len(kept))))


def controls_chosen_by_hand(case):
    """One control in five is another stay of the split at risk at that hour."""
    sets = case.cohort.sets.copy()
    for row in np.flatnonzero(~sets.is_case)[::5]:
        mine = sets[sets.set_id == sets.set_id[row]]
        pool = case.included[(case.included.split == sets.split[row]) & case.included.onset_h.isna()]
        pool = pool[(pool.stay_h >= sets.reference_h[row]) & ~pool.stay_id.isin(mine.stay_id)]
        sets.loc[row, "stay_id"] = pool.stay_id.iloc[0] if len(pool) else sets.stay_id[row]
    return with_sets(case, sets)


def sets_of_late_cases_left_out(case):
    sets = case.cohort.sets
    return with_sets(case, sets[sets.reference_h < sets.reference_h.quantile(0.8)].reset_index(drop=True))


def a_test_stay_moved_to_training(case):
    stays = case.cohort.stays
    moved = stays.stay_id == a_stay(case, "test")
    return with_stays(case, stays.assign(split=stays.split.mask(moved, "train")))


def controls_ordered_by(key):
    """For each case the controls at risk with the smallest `key`, as a draw that is none may choose."""

    def plant(case):
        rows = []
        for one in case.members[case.members.is_case].itertuples():
            pool = case.included[case.included.split == one.split]
            pool = pool[(pool.stay_h >= one.reference_h) & pool.onset_h.isna()]
            order = key(pool.stay_h - one.reference_h, pool.stay_h).sort_values().index[:2]
            chosen = pool.loc[order, ["stay_id", "subject_id", "split", "fold"]]
            rows.append(
                chosen.assign(set_id=one.set_id, is_case=False, reference_h=one.reference_h, n_at_risk=9)
            )
        cases = case.cohort.sets[case.cohort.sets.is_case]
        return with_sets(case, pd.concat([cases, *rows], ignore_index=True)[list(cases.columns)])

    return plant


def the_draw_of_earlier_versions(case):
    """One permutation of the controls; cases, the latest first, take the first that are at risk and free."""
    rows = []
    for split in ("train", "validation", "test"):
        pool = case.included[(case.included.split == split) & case.included.onset_h.isna()]
        pool = pool.sample(frac=1.0, random_state=0)
        cases = case.members[case.members.is_case & (case.members.split == split)]
        for one in cases.sort_values("reference_h", ascending=False).itertuples():
            chosen = pool[pool.stay_h >= one.reference_h].head(1)
            pool = pool.drop(chosen.index)
            rows.append(
                chosen.assign(set_id=one.set_id, is_case=False, reference_h=one.reference_h, n_at_risk=9)
            )
    cases = case.cohort.sets[case.cohort.sets.is_case]
    return with_sets(case, pd.concat([cases, *rows], ignore_index=True)[list(cases.columns)])


def scores_after_discharge(case):
    scores = case.judged.copy()
    scores.loc[scores.index[:3], "time_h"] = 400.0
    return replace(case, scores=scores)


def cases_count_from_later(case):
    """Horizons counted from the antibiotic, hours after onset."""
    sets = case.cohort.sets
    return with_sets(case, sets.assign(reference_h=sets.reference_h + 1.5 * sets.is_case))


def a_control_after_its_own_onset(case):
    """The latest case becomes a control of the set that follows."""
    sets = case.cohort.sets.sort_values("reference_h", ignore_index=True)
    first = sets.loc[sets.index[sets.is_case][0], ["stay_id", "subject_id"]].tolist()
    row = sets.index[~sets.is_case][-1]
    sets.loc[row, ["stay_id", "subject_id"]] = first
    return with_sets(case, sets)


def risks_given_later_than_they_say(case):
    return replace(case, scores=case.judged.assign(time_h=case.judged.time_h + 1.0))


def cases_judged_at_the_minute_of_onset(case):
    sets = case.cohort.sets
    minute = case.onset_h.reindex(sets.set_id).to_numpy()
    return with_sets(case, sets.assign(reference_h=np.where(sets.is_case, minute, sets.reference_h)))


def hourly_risks_of_cases_at_the_minute(case):
    hourly = case.scores.horizon_h.isna() & case.scores.stay_id.isin(case.onset_h.index)
    return replace(case, scores=case.scores.assign(time_h=case.scores.time_h + 0.3 * hourly))


def cases_that_are_later(case):
    """Controls matched to no hour at all."""
    sets = case.cohort.sets
    return with_sets(
        case, sets.assign(reference_h=sets.reference_h.where(sets.is_case, sets.reference_h * 0.6))
    )


def controls_who_had_left(case):
    controls = case.cohort.sets[~case.cohort.sets.is_case].set_index("stay_id").reference_h
    left_h = case.stays.stay_id.map(controls.groupby(level=0).min()) - 1.0
    return replace(case, stays=case.stays.assign(stay_h=left_h.fillna(case.stays.stay_h)))


def a_test_split_rich_in_cases(case):
    stays = case.cohort.stays
    gone = stays.is_case & (stays.split == "train") & (np.arange(len(stays)) % 6 > 0)
    return with_stays(case, stays[~gone])


# --- models and their operating point -----------------------------------------------------------


def leaky(cls):
    return lambda case: replace(case, model=with_class(case.model, cls))


def carrying(case):
    model = with_class(case.model, CarriesTheRecord)
    model.events = case.events
    return replace(case, model=model)


def statistics_of_everybody(case):
    """Means and SDs of all splits; the coefficients are those of the training split."""
    cuts = fit_horizons("logistic", case.recipe.settings)
    features = window_features(horizon_windows(case.events, case.cohort.sets, case.model.concepts_, cuts))
    arrays, facts = case.model.state()
    arrays = {**arrays, "mean": np.nanmean(features, axis=0)}
    return replace(case, model=Logistic().restore(arrays, facts))


def everybody_trained_on(case):
    """The cohort with the test split among the training split."""
    stays, sets = (
        table.assign(split=table.split.replace("test", "train"))
        for table in (case.cohort.stays, case.cohort.sets)
    )
    return Cohort(stays, sets)


def fitted_on(model):
    """Fitted on training and test stays alike."""

    def plant(_):
        case = made_up_case(model)
        return replace(fitted(replace(case, cohort=everybody_trained_on(case))), cohort=case.cohort)

    return plant


def swapped(case, a, b):
    """The cohort with two splits exchanged."""
    stays, sets = (
        table.assign(split=table.split.replace({a: b, b: a}))
        for table in (case.cohort.stays, case.cohort.sets)
    )
    return Cohort(stays, sets)


def calibrated_on(split):
    def plant(case):
        exchanged = swapped(case, "validation", split)
        return replace(case, operating=operating_of(case.model, case.events, exchanged, COHORT))

    return plant


def a_threshold_moved(case):
    first, *others = case.operating.thresholds
    moved = replace(first, threshold=first.threshold + 0.01)
    return replace(case, operating=replace(case.operating, thresholds=(moved, *others)))


# --- score files --------------------------------------------------------------------------------


def rescored(risk):
    """Other risks in the score file."""
    return lambda case: replace(case, scores=case.scores.assign(risk=risk(case, case.scores).clip(0.0, 1.0)))


def of_an_hour_later(case, scores):
    """At horizons, the risk an hour before the reference is said to be that of three hours before."""
    sooner = score_horizons(case.model, case.events, case.cohort.sets, horizons=[1.0])
    sooner = sooner.set_index(["matched_to", "stay_id"]).risk
    keys = pd.MultiIndex.from_frame(scores[["matched_to", "stay_id"]])
    return scores.risk.where(scores.horizon_h != 3.0, sooner.reindex(keys).to_numpy())


def some_edited(_, scores):
    return scores.risk + 0.05 * (np.arange(len(scores)) % 20 == 0) * np.where(scores.is_case, 1, -1)


def highest_of_the_stay(_, scores):
    highest = scores.groupby("stay_id").risk.transform("max")
    return scores.risk.where(scores.horizon_h.notna(), highest)


def halved_in_controls(_, scores):
    return scores.risk * np.where(scores.is_case, 1.0, 0.5)


def ties_broken_by_class(_, scores):
    return scores.risk + 1e-7 * scores.is_case


def of_another_model(case, scores):
    other = fitted(replace(case, recipe=replace(case.recipe, model="observation_count")))
    return scored(other).scores.risk


def recalibrated_in_silence(case, scores):
    return pd.Series(case.operating.calibrator.apply(scores.risk), scores.index)


def one_horizon_sooner(case):
    """Each horizon is called the next longer one; so are its times."""
    named = case.scores.horizon_h.replace(dict(zip(case.horizons, [*case.horizons[1:], 8.0], strict=True)))
    return replace(case, scores=case.scores.assign(horizon_h=named))


def classes_exchanged(case):
    row = np.arange(len(case.scores)) % 25 == 0
    return replace(case, scores=case.scores.assign(is_case=case.scores.is_case ^ row))


def without(rows):
    """The score file without some rows."""
    return lambda case: replace(case, scores=case.scores[~rows(case, case.scores)].reset_index(drop=True))


def late_cases(case, scores):
    late = case.members.reference_h > case.members.reference_h.quantile(0.8)
    return scores.matched_to.isin(case.members.set_id[late]) & scores.is_case


def two_stays(case, scores):
    return scores.stay_id.isin([a_stay(case, "test"), a_stay(case, "validation", True)])


def hours_before_onset(case, scores):
    left_h = case.onset_h.reindex(scores.stay_id).to_numpy() - scores.time_h
    return scores.horizon_h.isna() & (left_h < 3.0)


def a_reason_instead_of_a_risk(case):
    gone = two_stays(case, case.scores)
    return replace(
        case,
        scores=case.scores.assign(
            risk=case.scores.risk.mask(gone), reason=case.scores.reason.mask(gone, "transferred")
        ),
    )


# --- what is charted ----------------------------------------------------------------------------


def reference_of(case):
    """The first reference of the stay of each event; infinite for a stay in no set."""
    first = case.cohort.sets.groupby("stay_id").reference_h.min()
    return case.events.stay_id.map(first).fillna(np.inf)


def of_cases(case):
    return case.events.stay_id.isin(case.onset_h.index)


def silent_controls(case):
    """Controls whose record stops hours before their reference."""
    keep = of_cases(case) | (case.events.time_h < reference_of(case) - 9.0)
    return replace(case, events=case.events[keep])


def thinly_charted_controls(case):
    return replace(case, events=case.events[of_cases(case) | (np.arange(len(case.events)) % 3 == 0)])


def charted_after_the_reference(case):
    """Cases are charted three times after onset; nothing of it is in a window."""
    more = case.events[of_cases(case) & (case.events.time_h > reference_of(case))]
    copies = [more.assign(time_h=more.time_h + 0.001 * k) for k in range(1, 5)]
    return replace(case, events=pd.concat([case.events, *copies], ignore_index=True))


def an_order_of_cases(case):
    """Lactate is measured in cases, and in one control of four."""
    drop = (case.events.concept == "lactate") & ~of_cases(case) & (case.events.stay_id % 4 > 0)
    return replace(case, events=case.events[~drop])


def a_unit_as_a_variable(case):
    """A code charted at admission; unit 2 of 4 admits the septic."""
    stays = case.stays.stay_id
    septic = stays.isin(case.onset_h.index)
    unit = np.where(septic & (stays % 5 > 0), 2.0, 1.0 + stays % 4)
    coded = pd.DataFrame({"stay_id": stays, "time_h": 0.0, "concept": "map", "value": unit})
    others = case.events[case.events.concept != "map"]
    return replace(case, events=pd.concat([others, coded], ignore_index=True))


def a_site_that_admits_the_septic(case):
    septic = case.stays.stay_id.isin(case.onset_h.index)
    return replace(case, stays=case.stays.assign(site=np.where(septic, "A", "B")))


def of_everybody(case):
    return np.ones(len(case.events), bool)


def laboratory(copies, whose=of_everybody):
    """Copies of the lactate values of some stays, at other times."""

    def plant(case):
        lactate = case.events[(case.events.concept == "lactate") & whose(case)]
        return replace(case, events=pd.concat([case.events, copies(lactate)], ignore_index=True))

    return plant


def hourly_back_to_admission(lactate):
    """From each result back to the one before it, or to admission."""
    ordered = lactate.sort_values(["stay_id", "time_h"])
    before = ordered.groupby("stay_id").time_h.shift().fillna(0.0)
    steps = np.floor(ordered.time_h - before - 1e-6).astype(int).clip(lower=0)
    copies = ordered.loc[ordered.index.repeat(steps)]
    back = copies.groupby(level=0).cumcount() + 1
    return copies.assign(time_h=copies.time_h - back)


def six_hours_before(lactate):
    back = lactate.assign(time_h=lactate.time_h - 6.0)
    return back[back.time_h > 0]


def the_hour_before(lactate):
    return lactate.assign(time_h=np.maximum(lactate.time_h - 0.01, 0.0))


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
    return scored(fitted(replace(case, events=pd.concat([others, tells], ignore_index=True))))


PLANTED = {
    "a person in two splits": (one_person_in_two_splits, subject_in_two_splits),
    "a copy an hour later": (copied(later), duplicated_records),
    "a rounded copy at other hours": (copied(rounded_and_later), duplicated_records),
    "a jittered copy of a part": (copied(jittered_in_part), duplicated_records),
    "controls chosen by hand": (controls_chosen_by_hand, cohort_not_of_its_seed),
    "late cases without a set": (sets_of_late_cases_left_out, cohort_not_of_its_seed),
    "a test stay moved to training": (a_test_stay_moved_to_training, cohort_not_of_its_seed),
    "controls about to leave": (controls_ordered_by(lambda left_h, _: left_h), controls_not_drawn_at_random),
    "the draw of earlier versions": (the_draw_of_earlier_versions, controls_not_drawn_at_random),
    "controls far from their end": (
        controls_ordered_by(lambda left_h, _: -left_h),
        controls_not_drawn_at_random,
    ),
    "controls at the middle of their record": (
        controls_ordered_by(lambda left_h, stay_h: abs(left_h / stay_h - 0.3)),
        controls_not_drawn_at_random,
    ),
    "cases at the minute of onset": (cases_judged_at_the_minute_of_onset, reference_tells_the_class),
    "hourly risks of cases at a minute": (hourly_risks_of_cases_at_the_minute, reference_tells_the_class),
    "controls at hours of their own": (cases_that_are_later, reference_tells_the_class),
    "scores after discharge": (scores_after_discharge, prediction_after_stay),
    "controls judged after discharge": (controls_who_had_left, prediction_after_stay),
    "cases counted from after onset": (cases_count_from_later, hours_after_onset),
    "a control after its own onset": (a_control_after_its_own_onset, hours_after_onset),
    "risks later than their horizon": (risks_given_later_than_they_say, hours_after_onset),
    "later values fill earlier gaps": (leaky(FillsBackwards), future_changes_the_risk),
    "the last row of the padded batch": (leaky(ReadsThePaddedEnd), risk_depends_on_batch),
    "standardised by the batch": (leaky(StandardisesTheBatch), risk_depends_on_batch),
    "a state kept between calls": (leaky(RemembersWhoCameBefore), risk_depends_on_batch),
    "the model carries the export": (carrying, identity_changes_the_risk),
    "statistics of all splits": (statistics_of_everybody, learned_from_other_splits),
    "test stays among the neighbours": (fitted_on("dtw_knn"), learned_from_other_splits),
    "coefficients of all splits": (fitted_on("logistic"), learned_from_other_splits),
    "calibrated on the test split": (calibrated_on("test"), operating_not_of_validation),
    "calibrated on the training split": (calibrated_on("train"), operating_not_of_validation),
    "a threshold moved by hand": (a_threshold_moved, operating_not_of_validation),
    "risks of an hour later": (rescored(of_an_hour_later), scores_not_of_the_model),
    "horizons renamed": (one_horizon_sooner, scores_not_of_the_model),
    "some risks edited": (rescored(some_edited), scores_not_of_the_model),
    "the highest risk of the stay": (rescored(highest_of_the_stay), scores_not_of_the_model),
    "risks of controls halved": (rescored(halved_in_controls), scores_not_of_the_model),
    "ties broken by the class": (rescored(ties_broken_by_class), scores_not_of_the_model),
    "risks of another model": (rescored(of_another_model), scores_not_of_the_model),
    "recalibrated in silence": (rescored(recalibrated_in_silence), scores_not_of_the_model),
    "classes exchanged": (classes_exchanged, scores_not_of_the_model),
    "late cases not in the file": (without(late_cases), missing_in_the_scores),
    "two stays not in the file": (without(two_stays), missing_in_the_scores),
    "hours before onset not in the file": (without(hours_before_onset), missing_in_the_scores),
    "a reason instead of a risk": (a_reason_instead_of_a_risk, missing_in_the_scores),
    "length tells the class": (cases_that_are_later, length_alone),
    "silence tells the class": (silent_controls, gap_alone),
    "counts tell the class": (thinly_charted_controls, count_alone),
    "density tells the class": (thinly_charted_controls, density_alone),
    "an order tells the class": (an_order_of_cases, presence_alone),
    "a unit tells the class": (a_unit_as_a_variable, static_alone),
    "a site tells the class": (a_site_that_admits_the_septic, static_alone),
    "rows after the reference tell the class": (charted_after_the_reference, rows_alone),
    "a short rest of the stay tells the class": (
        controls_ordered_by(lambda left_h, _: left_h),
        time_left_alone,
    ),
    "results back to admission": (laboratory(hourly_back_to_admission), results_before_known),
    "results hour by hour": (laboratory(hourly_back_to_admission), results_repeated),
    "results six hours before": (laboratory(six_hours_before), results_repeated),
    "results of cases hour by hour": (laboratory(hourly_back_to_admission, of_cases), repeats_alone),
    "results of cases twice": (laboratory(the_hour_before, of_cases), repeats_alone),
    "controls not at risk": (controls_who_had_left, controls_not_at_risk),
    "a treatment as a variable": (a_treatment_as_a_variable, telling_names),
    "a variable that knows the onset": (a_variable_that_knows_the_onset, hourly_too_good),
    "a test split rich in cases": (a_test_split_rich_in_cases, prevalence_differs),
}


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught_by_the_check_meant_for_it(clean, leak):
    plant, check = PLANTED[leak]
    before, after = check(clean), check(plant(clean))
    assert before.status == PASSED, before.says
    assert after.status == (FAILED if after.severity == HARD else NOTED), after.says
    assert after.found > 0
    assert after.check == before.check


def test_the_docs_list_every_check_with_its_severity(clean):
    listed = re.findall(r"^\| (.+?) \| (hard|soft) \|", DOCS.read_text(), re.M)
    assert listed == list(audit_model(clean)[["check", "severity"]].itertuples(index=False, name=None))


def test_every_check_catches_a_planted_leak():
    assert {check for _, check in PLANTED.values()} == set(CHECKS)
    assert len(PLANTED) >= 60


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

NO_LABORATORY = {"results before they are known"}
NOT_READ = {
    "sirs": NO_LABORATORY,
    "news2": NO_LABORATORY,
    "sofa": NO_LABORATORY,
    "demographics": {*NO_LABORATORY, "duplicated records"},
}


@pytest.mark.parametrize("model", MODELS)
def test_a_clean_model_passes_every_hard_check(model):
    size = {"n_stays": 60} if model == "mgp_tcn" else {}
    findings = audit_model(made_up_case(model, **size, **MODELS[model]))
    hard = findings[findings.severity == HARD]
    passed = hard[~hard.check.isin(NOT_READ.get(model, ()))]
    assert (passed.status == PASSED).all(), passed
    assert set(hard.status) <= {PASSED, UNCHECKED}
    assert len(hard) == HARD_CHECKS


def test_a_clean_study_passes_the_soft_checks_too(clean):
    findings = audit_model(clean)
    assert (findings.status == PASSED).all(), findings
    assert list(findings.columns) == ["check", "severity", "status", "found", "says"]


def test_the_audit_is_the_same_twice_and_whatever_the_order_of_rows(clean):
    shuffled = replace(
        clean,
        events=clean.events.sample(frac=1.0, random_state=1),
        cohort=Cohort(
            clean.cohort.stays.sample(frac=1.0, random_state=2),
            clean.cohort.sets.sample(frac=1.0, random_state=4),
        ),
        stays=clean.stays.sample(frac=1.0, random_state=3),
        onset=clean.onset.sample(frac=1.0, random_state=6),
        scores=clean.scores.sample(frac=1.0, random_state=5),
    )
    pd.testing.assert_frame_equal(audit_model(clean), audit_model(shuffled))


def test_no_finding_names_a_stay_or_a_person(clean):
    said = " ".join(audit_model(carrying(copied(later)(clean))).says)
    stays = clean.cohort.stays
    assert not any(str(number) in said for number in (*stays.stay_id, *stays.subject_id, 990_000))


def test_a_model_of_another_export_is_not_fitted_again(clean):
    for check in (learned_from_other_splits, cohort_not_of_its_seed, operating_not_of_validation):
        finding = check(replace(clean, recipe=None))
        assert finding.status == UNCHECKED
        assert np.isnan(finding.found)


def test_controls_of_an_earlier_draw_cannot_be_drawn_again(clean):
    old = replace(clean, recipe=replace(clean.recipe, cohort=None))
    assert "earlier version" in cohort_not_of_its_seed(old).says


def test_without_a_score_file_nothing_is_compared_with_it(clean):
    bare = replace(clean, scores=None)
    assert {check(bare).status for check in (scores_not_of_the_model, missing_in_the_scores)} == {UNCHECKED}


def test_risks_that_are_said_to_be_recalibrated_are_compared_after_it(clean):
    mapped = rescored(recalibrated_in_silence)(clean)
    said = replace(mapped, scores=mapped.scores.assign(recalibrated=True))
    assert scores_not_of_the_model(said).status == PASSED


def test_a_calibrator_without_a_case_to_learn_from_is_refused(clean):
    stays, sets = clean.cohort.stays, clean.cohort.sets
    without_cases = Cohort(stays, sets[sets.split != "validation"])
    finding = operating_not_of_validation(replace(clean, cohort=without_cases))
    assert finding.status == FAILED
    assert "no calibrator can be learned" in finding.says
    honest = operating_of(clean.model, clean.events, without_cases, COHORT)
    assert (
        operating_not_of_validation(replace(clean, cohort=without_cases, operating=honest)).status == PASSED
    )


def test_a_folder_that_stores_no_operating_point_is_not_compared(clean):
    assert operating_not_of_validation(replace(clean, operating=Operating())).status == UNCHECKED


def test_stays_that_were_not_asked_for_hour_by_hour_are_not_missing(clean):
    gone = two_stays(clean, clean.scores) & clean.scores.horizon_h.isna()
    partial = replace(clean, scores=clean.scores[~gone])
    assert missing_in_the_scores(partial).found == 2
    asked = partial.scores.stay_id[partial.scores.horizon_h.isna()].unique()
    assert missing_in_the_scores(replace(partial, hourly=asked)).status == PASSED


def test_missing_stays_are_counted_by_class_and_split(clean):
    says = missing_in_the_scores(without(late_cases)(clean)).says
    assert "cases of train" in says
    assert "controls" not in says


def test_stays_that_were_all_trained_on_cannot_be_renamed(clean):
    trained = Cohort(*(table[table.split == "train"] for table in (clean.cohort.stays, clean.cohort.sets)))
    assert identity_changes_the_risk(replace(clean, cohort=trained)).status == UNCHECKED


def test_the_sample_prefers_stays_that_were_not_trained_on(clean):
    sample = clean.drawn(20)
    assert len(sample) == 20
    assert sample.is_case.sum() == 10
    assert (sample.split != "train").all()
    assert sample.stay_id.is_unique


@pytest.mark.parametrize("design", ["incidence_density", "paper"])
def test_random_draws_of_either_design_pass(design):
    settings = replace(COHORT, design=design, controls_per_case=1)
    for seed in range(5):
        finding = controls_not_drawn_at_random(made_up_case(seed=seed, cohort=settings))
        assert finding.status == PASSED, finding.says


def test_a_model_fitted_again_has_the_settings_it_was_stored_with():
    case = made_up_case("logistic", recency=True)
    assert learned_from_other_splits(case).status == PASSED
    other = replace(case, model=fitted(replace(case, recipe=replace(case.recipe, model_settings={}))).model)
    assert learned_from_other_splits(other).status == FAILED
    assert make_model("logistic", {"recency": True}).recency
