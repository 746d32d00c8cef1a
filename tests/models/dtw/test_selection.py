import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.core.errors import SettingsError
from sepsis.models.base import Standardiser
from sepsis.models.dtw import selection as dtw_selection
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.selection import out_of_subject_shares, own_subjects, select
from sepsis.models.dtw.series import NO_SUBJECT
from sepsis.models.dtw.stacking import C_GRID, fit_stack
from sepsis.models.dtw.votes import case_share, first_k
from tests.models.made_up import made_up_windows, windows_of
from tests.oracles import discrimination as ap_oracle
from tests.oracles import dtw as oracle


def hours(*values):
    return [(hour + 0.5, value) for hour, value in enumerate(values)]


# --- a smaller k from the sweep for a greater one -----------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 7), levels=st.integers(1, 4))
def test_a_smaller_k_read_off_a_wider_sweep_is_what_its_own_sweep_finds(seed, k, levels):
    # Few levels make many ties, at the k-th place and beyond the last one kept.
    random = np.random.default_rng(seed)
    X = random.integers(0, levels, (12, 3, 2)).astype(float)
    y = np.r_[0, 1, random.integers(0, 2, 10)]
    asked = random.integers(0, levels, (4, 3, 2)).astype(float)
    model = DTWKNN(k=k).fit(X, y)
    queries = model._queries(asked, None)
    own = model._nearest(queries, model.train_, k)
    read_off = first_k(model._nearest(queries, model.train_, 8), k, model.train_.vote_weight)
    for a, b in zip(own, read_off, strict=True):
        assert np.array_equal(a, b)


# --- leaving one subject out --------------------------------------------------------------------


def plain_shares(X, y, k):
    """Out-of-subject shares, written out: (N, C), NaN where a channel abstains."""
    standardiser = Standardiser.learn(X)
    z = [(one - standardiser.mean) / standardiser.sd for one in X.hourly()]
    out = np.full((len(X), len(X.concepts)), np.nan)
    for b, c in np.ndindex(out.shape):
        if np.isnan(z[b][:, c]).all():
            continue
        distances = [
            None
            if X.subject_id[n] == X.subject_id[b] or np.isnan(z[n][:, c]).all()
            else oracle.distance(oracle.filled(z[b][:, c]), oracle.filled(z[n][:, c]))
            for n in range(len(X))
        ]
        share = oracle.share_of_cases(distances, y, [1.0] * len(X), k)
        out[b, c] = np.nan if share is None else share
    return out


def test_shares_are_those_of_models_fitted_without_the_subject():
    X, y = made_up_windows(14, 21)
    model = DTWKNN(k=3, combine="stacked").fit(X, y)
    assert model.selection_.share == pytest.approx(plain_shares(X, y, 3), nan_ok=True)
    assert model.selection_.share.shape == (14, 3)


def test_the_k_with_the_best_average_precision_is_taken():
    X, y = made_up_windows(40, 22)
    model = DTWKNN(k=[9, 1, 3]).fit(X, y)
    expected = []
    for k in (1, 3, 9):
        share = plain_shares(X, y, k)
        mean = [np.nanmean(row) if not np.isnan(row).all() else y.mean() for row in share]
        expected.append(ap_oracle.average_precision(y, mean))
    assert model.selection_.candidates == (1, 3, 9)
    assert model.selection_.ensemble_ap == pytest.approx(expected)
    assert model.k_ == (1, 3, 9)[int(np.argmax(expected))]
    chosen = DTWKNN(k=model.k_).fit(X, y)
    asked, _ = made_up_windows(6, 23, first_subject=500)
    assert np.array_equal(model.predict_proba(asked), chosen.predict_proba(asked))


def test_every_k_comes_from_one_sweep(monkeypatch):
    X, y = made_up_windows(12, 24)
    asked = []
    sweep = DTWKNN._nearest

    def counted(self, queries, train, k):
        asked.append(k)
        return sweep(self, queries, train, k)

    monkeypatch.setattr(DTWKNN, "_nearest", counted)
    DTWKNN(k=(1, 2, 3, 5), channels="top_m", top_m=2, combine="stacked").fit(X, y)
    assert asked == [5]
    DTWKNN(k=3).fit(X, y)
    assert asked == [5]  # nothing to choose: no sweep at all


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    X, y = made_up_windows(15, 25)
    whole = DTWKNN(k=(1, 4)).fit(X, y).selection_
    monkeypatch.setattr(dtw_selection, "QUERIES_AT_ONCE", 4)
    parts = DTWKNN(k=(1, 4)).fit(X, y).selection_
    assert np.array_equal(whole.ensemble_ap, parts.ensemble_ap)


def test_two_stays_of_one_person_do_not_vouch_for_each_other():
    # Every person has two equal stays of one class. Asked about its twin, 1-NN would always be right;
    # the nearest of another person is always of the other class.
    series = [hours(v, v, v) for v in (1, 1, 2, 2, 10, 10, 11, 11)]
    y = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    X = windows_of([{"lactate": s} for s in series], subjects=np.arange(8) // 2)
    model = DTWKNN(k=1, channels=["lactate"], combine="stacked").fit(X, y)
    assert model.selection_.share[:, 0].tolist() == (1 - y).tolist()
    # whether or not the finished model passes over subjects
    naive = DTWKNN(k=1, channels=["lactate"], combine="stacked", exclude_same_subject=False).fit(X, y)
    assert np.array_equal(naive.selection_.share, model.selection_.share)


def test_each_series_of_an_array_is_a_subject_of_its_own():
    assert own_subjects(np.array([NO_SUBJECT, 7, 7, NO_SUBJECT])).tolist() == [4, 1, 1, 7]
    values = np.array([1.0, 1.0, 5.0, 5.1])[:, None, None] * np.ones((4, 3, 1))
    model = DTWKNN(k=(1, 2)).fit(values, [0, 0, 1, 1])
    assert model.k_ == 1  # two neighbours of the three others are one of each class
    assert model.selection_.ensemble_ap[0] == 1.0


# --- channels -----------------------------------------------------------------------------------


def test_the_channels_that_are_best_alone_vote():
    X, y = made_up_windows(60, 26)  # cases differ in the first variable only
    model = DTWKNN(k=5, channels="top_m", top_m=1).fit(X, y)
    assert model.channels_ == ("heart_rate",)
    assert model.concepts_ == X.concepts
    asked, _ = made_up_windows(6, 27, first_subject=500)
    named = DTWKNN(k=5, channels=["heart_rate"]).fit(X, y)
    assert np.array_equal(model.predict_proba(asked), named.predict_proba(asked))
    assert np.array_equal(model.kneighbors(asked)[0], named.kneighbors(asked)[0])


def test_channels_of_arrays_can_be_chosen_too():
    random = np.random.default_rng(28)
    y = np.tile([0, 1], 15)
    X = random.normal(size=(30, 6, 3))
    X[..., 1] += 3 * y[:, None]
    model = DTWKNN(k=3, channels="top_m", top_m=1).fit(X, y)
    assert model.channels_ == ("channel_1",)
    cut = DTWKNN(k=3).fit(X[..., 1:2], y)
    assert np.array_equal(model.predict_proba(X), cut.predict_proba(X[..., 1:2]))


def test_earlier_channels_and_smaller_k_win_ties():
    share = np.tile([0.9, 0.1, 0.9, 0.1], (2, 3, 1)).transpose(0, 2, 1)  # two k, four windows, three channels
    chosen = select(share, (3, 7), np.array([1, 0, 1, 0]), np.ones(4), top_m=2)
    assert chosen.k == 3
    assert chosen.channels.tolist() == [0, 1]


def test_average_precision_counts_windows_by_what_they_stand_for():
    y, mass = np.array([1, 0, 1, 0]), np.array([1.0, 3.0, 1.0, 3.0])
    share = np.array([0.9, 0.6, 0.5, 0.1])
    chosen = select(share[None, :, None], (1,), y, mass)
    copies = np.repeat(np.arange(4), mass.astype(int))
    assert chosen.ensemble_ap[0] == pytest.approx(ap_oracle.average_precision(y[copies], share[copies]))


def test_a_channel_nobody_measured_abstains():
    X, y = made_up_windows(12, 29)
    X = windows_of([{"lactate": hours(v, v)} for v in range(12)], subjects=np.arange(12))
    y = np.arange(12) % 2
    model = DTWKNN(k=(1, 3), combine="stacked").fit(X, y)
    assert np.isnan(model.selection_.share[:, [0, 2]]).all()
    risk = model.predict_proba(X)
    assert np.isfinite(risk).all()
    assert np.array_equal(model.kneighbors(X)[1][:, [0, 2]], np.full((12, 2, model.k_), -1))


# --- the stack ----------------------------------------------------------------------------------


def test_a_stack_learns_which_channel_knows_something():
    X, y = made_up_windows(80, 30)
    model = DTWKNN(k=5, combine="stacked").fit(X, y)
    assert model.stack_.coef[0] > 2 * np.abs(model.stack_.coef[1:]).max()
    asked, truth = made_up_windows(60, 31, first_subject=1000)
    stacked = model.predict_proba(asked)[:, 1]
    assert stacked[truth == 1].mean() > stacked[truth == 0].mean() + 0.15


def test_a_stack_is_a_logistic_regression_on_shares():
    X, y = made_up_windows(30, 32)
    model = DTWKNN(k=5, combine="stacked").fit(X, y)
    asked, _ = made_up_windows(5, 33, first_subject=1000)
    share = case_share(
        model._nearest(model._queries(asked, None), model.train_, 5), model.train_.vote_weight
    )[:, 0]
    sd = np.sqrt(y.mean() * (1 - y.mean()) / 5)
    log_odds = [
        model.stack_.intercept
        + sum(
            coef * (one - y.mean()) / sd
            for coef, one in zip(model.stack_.coef, row, strict=True)
            if not np.isnan(one)
        )
        for row in share
    ]
    assert model.predict_proba(asked)[:, 1] == pytest.approx(1 / (1 + np.exp(-np.array(log_odds))))


def test_where_no_channel_votes_a_stack_says_the_prevalence():
    X, y = made_up_windows(20, 34)
    model = DTWKNN(k=3, combine="stacked").fit(X, y)
    assert model.predict_proba(windows_of([{}], subjects=[99]))[0, 1] == pytest.approx(y.mean())


def test_a_stack_keeps_to_the_scale_of_the_prevalence_when_controls_are_drawn():
    X, y = made_up_windows(200, 35, cases=0.15)
    asked, truth = made_up_windows(100, 36, first_subject=1000, cases=0.15)
    model = DTWKNN(k=5, combine="stacked", max_train=80).fit(X, y)
    assert model.predict_proba(asked)[:, 1].mean() == pytest.approx(truth.mean(), abs=0.06)


def test_too_few_subjects_for_folds_mean_the_strongest_penalty():
    share, y = np.array([[0.2], [0.9]]), np.array([0, 1])
    weak = fit_stack(share, y, np.ones(2), np.array([1, 2]), 5)
    many = fit_stack(np.tile(share, (40, 1)), np.tile(y, 40), np.ones(80), np.arange(80), 5)
    assert 0 < weak.coef[0] < many.coef[0]
    assert C_GRID[0] == min(C_GRID)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": []}, r"k = \[\]. Expected: 1 or more, or a list"),
        ({"k": [3, 0]}, r"k = \[3, 0\]. Expected: 1 or more"),
        ({"k": 2.5}, "k = 2.5. Expected: 1 or more"),
        ({"k": "five"}, "k = 'five'. Expected: 1 or more"),
        ({"k": [3, 13]}, "k = 13. Expected: at most the 12 training windows."),
        ({"channels": "top_m"}, "channels = 'top_m' and top_m = None. Expected: channels = 'top_m' and a"),
        ({"top_m": 2}, "channels = 'all' and top_m = 2"),
        ({"channels": "top_m", "top_m": 0}, "top_m = 0. Expected: 1 or more, or none."),
        ({"channels": "top_m", "top_m": 4}, "top_m = 4. Expected: at most the 3 variables there are."),
        (
            {"channels": "top_m", "top_m": 2, "metric": "dependent"},
            "One distance over all channels says nothing about a single one",
        ),
        ({"metric": "soft"}, "metric = 'soft'. Expected: 'independent' or 'dependent'."),
        ({"radius_h": -1}, "radius_h = -1. Expected: 0 or more, or none."),
    ],
)
def test_a_setting_that_makes_no_sense_says_what_would(options, message):
    X, y = made_up_windows(12, 19)
    with pytest.raises(SettingsError, match=message):
        DTWKNN(**{"k": 3, **options}).fit(X, y)


def test_out_of_subject_shares_need_nothing_but_the_train_set():
    X, y = made_up_windows(10, 37)
    model = DTWKNN(k=2).fit(X, y)
    shares = out_of_subject_shares(model.train_, (1, 2), model._nearest)
    assert shares.shape == (2, 10, 3)
    assert ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all()
