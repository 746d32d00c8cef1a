"""What is refused, with which words, and that nothing is changed by it; what is counted."""

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.events.model_inputs import RATES
from sepsis.events.vocabulary import load_vocabulary
from sepsis.live import Scorer
from sepsis.live.incoming import Charted
from sepsis.live.refusals import ConflictError, TooLateError, TooManyError, UnknownStayError
from sepsis.models.baselines.logistic import Logistic
from sepsis.models.dtw.knn import DTWKNN
from tests.live.made_up import batch_scores, events_of, same_to_the_bit
from tests.models.made_up import made_up_windows

MARKER = "Zzyzx-7731"


@pytest.fixture(scope="module", params=["logistic", "dtw_knn"])
def model(request):
    X, y = made_up_windows(30, 1)
    return (Logistic() if request.param == "logistic" else DTWKNN(k=3)).fit(X, y)


@pytest.fixture
def scorer(model):
    scorer = Scorer(model, max_stays=2, max_events=10, max_hours=48)
    scorer.push(5, events_of([(0.5, "map", 70.0), (1.5, "lactate", 2.0)]), now_h=3.5, subject_id=9)
    return scorer


GOOD = {"time_h": [2.5], "concept": ["map"], "value": [80.0]}
BAD = {
    "no value": ({"time_h": [1.0], "concept": ["map"]}, ExportError, "events: no column value."),
    "misspelt": ({**GOOD, "unti": ["mmHg"]}, ExportError, "1 unknown columns.*Did you mean 'unit'"),
    "strange column": ({**GOOD, MARKER: [1]}, ExportError, "1 unknown columns.*Remove the others"),
    "no time": ({**GOOD, "time_h": [np.nan]}, ExportError, "events.time_h: 1 of 1 times are missing"),
    "endless time": ({**GOOD, "time_h": [np.inf]}, ExportError, "1 of 1 times are missing or not finite"),
    "text for a time": ({**GOOD, "time_h": [MARKER]}, ExportError, "time_h: 1 of 1 rows are not numbers"),
    "text for a value": ({**GOOD, "value": [MARKER]}, ExportError, "value: 1 of 1 rows are not numbers"),
    "truth for a value": ({**GOOD, "value": [True]}, ExportError, "value: 1 of 1 rows are not numbers"),
    "huge integer": ({**GOOD, "value": [10**400]}, ExportError, "value: 1 of 1 rows are not numbers"),
    "no concept": ({**GOOD, "concept": [None]}, ExportError, "concept: 1 of 1 rows have no name"),
    "unknown unit": ({**GOOD, "unit": [MARKER]}, ExportError, "convert: 1 map. Expected: map in 'mmHg'"),
    "number for a unit": ({**GOOD, "unit": [7]}, ExportError, "cannot convert: 1 map"),
    "another stay": ({**GOOD, "stay_id": [6]}, ExportError, "1 rows belong to another stay"),
    "late time": ({**GOOD, "time_h": [49.0]}, TooLateError, "1 of 1 times are too late.*at most 48 hours"),
    "many": ({c: v * 9 for c, v in GOOD.items()}, TooManyError, "too many for one stay.*at most 10"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_refused_push_says_why_without_a_value_and_changes_nothing(scorer, model, case):
    columns, error, message = BAD[case]
    before, ledger = scorer.scores(), scorer.ledger
    with pytest.raises(error, match=message) as refused:
        scorer.push(5, pd.DataFrame(columns), now_h=30.0)
    assert MARKER not in str(refused.value)
    same_to_the_bit(scorer.scores(), before)
    assert scorer.ledger.equals(ledger)
    assert (scorer.clock_h(5), scorer.n_events(5)) == (3.5, (2, 0))
    untouched = Scorer(model, max_hours=48)
    untouched.push(5, events_of([(0.5, "map", 70.0), (1.5, "lactate", 2.0)]), now_h=3.5, subject_id=9)
    untouched.push(5, pd.DataFrame(GOOD), now_h=6.0)
    scorer.push(5, pd.DataFrame(GOOD), now_h=6.0)
    same_to_the_bit(scorer.scores(), untouched.scores())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.push(5.5), UsageError, "stay_id: is not a 64-bit integer"),
        (lambda s: s.push(True), UsageError, "stay_id: is not a 64-bit integer"),
        (lambda s: s.push(2**63), UsageError, "stay_id: is not a 64-bit integer"),
        (lambda s: s.push(5, subject_id="a"), UsageError, "subject_id: is not a 64-bit integer"),
        (lambda s: s.push(5, subject_id=8), ConflictError, "subject_id: differs from the first push"),
        (lambda s: s.push(5, now_h=float("nan")), UsageError, "now_h: is negative or not a number"),
        (lambda s: s.push(5, now_h="4"), UsageError, "now_h: is not a number"),
        (lambda s: s.push(5, now_h=49.0), TooLateError, "now_h: is too late. Expected: at most 48 hours"),
        (lambda s: s.discharge(6), UnknownStayError, "stay_id: no such live stay. Push its events first"),
        (lambda s: (s.push(6), s.push(7)), TooManyError, "stays: 2 are live. Expected: at most 2"),
        (lambda s: Scorer(s.model, max_stays=0), UsageError, "Scorer max_stays: is 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(scorer, call, error, message):
    with pytest.raises(error, match=message):
        call(scorer)
    assert scorer.stays[0] == 5
    assert len(scorer.scores(5)) == 3


def test_what_is_not_read_is_counted_as_extraction_counts_it(scorer):
    plausible = load_vocabulary()["lactate"].plausible
    scorer.push(
        5,
        events_of(
            [
                (2.0, "lactate", plausible.high + 1), (2.0, "lactate", np.inf), (2.0, "lactate", np.nan),
                (2.0, "sodium", 140.0), (2.0, MARKER, 1.0), (-1.0, "map", 70.0), (2.0, "map", 71.0),
            ]
        ),
    )  # fmt: skip
    ledger = {(row.concept, row.reason): row.rows for row in scorer.ledger.itertuples()}
    assert ledger == {
        ("lactate", "kept"): 1, ("lactate", "implausible"): 2, ("lactate", "no number"): 1,
        ("sodium", "not read by the model"): 1, ("not in the vocabulary", "not in the vocabulary"): 1,
        ("map", "before admission"): 1, ("map", "kept"): 2,
    }  # fmt: skip
    assert scorer.n_events(5) == (3, 0)


@pytest.mark.parametrize("gap", [None, pd.NA, np.nan, float("nan")])
def test_a_value_that_is_a_gap_has_no_number_however_the_gap_is_written(scorer, gap):
    columns = {"time_h": [2.0, 2.5], "concept": ["map", "map"], "value": [71.0, gap]}
    scorer.push(5, pd.DataFrame(columns))
    scorer.push(5, pd.DataFrame({**columns, "value": pd.Series([71.0, gap], dtype=object)}))
    ledger = {(row.concept, row.reason): row.rows for row in scorer.ledger.itertuples()}
    assert ledger["map", "no number"] == 2
    assert scorer.n_events(5) == (4, 0)


def test_a_value_beyond_all_numbers_after_conversion_is_implausible():
    X, y = made_up_windows(20, 1)
    scorer = Scorer(Logistic().fit(type(X)(**{**vars(X), "concepts": ("glucose", "lactate", "map")}), y))
    scorer.push(
        1, pd.DataFrame({"time_h": [1.0], "concept": ["glucose"], "value": [1.7e308], "unit": ["mmol/L"]})
    )
    assert scorer.ledger.reason.tolist() == ["implausible"]


@pytest.mark.parametrize("drug", RATES)
def test_a_drug_that_stops_is_a_rate_of_0(drug):
    """As batch scoring has it: the end of an infusion is a row of 0."""
    X, y = made_up_windows(20, 1)
    model = Logistic().fit(type(X)(**{**vars(X), "concepts": ("heart_rate", drug, "map")}), y)
    events = events_of([(0.5, drug, 6.0), (2.5, drug, 0.0)])
    scorer = Scorer(model)
    scorer.push(1, events, now_h=4.0, subject_id=1)
    assert scorer.ledger.values.tolist() == [[drug, "kept", 2]]
    same_to_the_bit(scorer.scores(), batch_scores(model, {1: [events]}, {1: 4.0}))


def test_units_are_converted_as_the_vocabulary_says_and_shares_to_percent():
    X, y = made_up_windows(20, 1)
    names = ("temperature", "fio2_chart", "norepinephrine")
    model = Logistic().fit(type(X)(**{**vars(X), "concepts": names}), y)
    celsius, fahrenheit = Scorer(model), Scorer(model)
    celsius.push(
        1, events_of([(0.5, "temperature", (100.4 - 32) * 5 / 9), (0.5, "fio2_chart", 40.0)]), now_h=2
    )
    fahrenheit.push(
        1,
        pd.DataFrame(
            {
                "time_h": [0.5, 0.5], "concept": ["temperature", "fio2_chart"], "value": [100.4, 0.4],
                "unit": [" DEG. f", None],
            }
        ),
        now_h=2,
    )  # fmt: skip
    assert np.allclose(celsius.scores().risk, fahrenheit.scores().risk, rtol=1e-12)
    whole_body = {"time_h": [1.0], "concept": ["norepinephrine"], "value": [4.0], "unit": ["mcg/min"]}
    with pytest.raises(ExportError, match="not per kg: 1 norepinephrine.*patient's weight"):
        celsius.push(1, pd.DataFrame(whole_body))


def test_the_clock_alone_makes_hours_and_never_goes_back(scorer):
    assert scorer.push(5, now_h=5.0).time_h.tolist() == [4.0, 5.0]
    assert scorer.push(5, now_h=2.0).empty
    assert scorer.clock_h(5) == 5.0
    assert not scorer.push(5, events_of([]), now_h=6.0).revised.any()


def test_events_stamped_after_the_clock_wait_for_it(scorer):
    before = scorer.scores(5)
    assert scorer.push(5, events_of([(7.5, "map", 40.0)]), now_h=4.0).time_h.tolist() == [4.0]
    assert scorer.n_events(5) == (3, 1)
    same_to_the_bit(scorer.scores(5).iloc[:3], before)
    assert scorer.push(5, now_h=8.0).time_h.tolist() == [5.0, 6.0, 7.0, 8.0]
    assert scorer.n_events(5) == (3, 0)


def test_what_was_said_of_an_hour_stays_as_it_was_said(scorer):
    said = scorer.scores(5)
    late = scorer.push(5, events_of([(1.2, "heart_rate", 130.0)]), now_h=4.2)
    assert late.time_h.tolist() == [2.0, 3.0, 4.0]
    assert late.revised.tolist() == [True, True, False]
    given = scorer.scores(5, as_given=True)
    assert given.risk.tolist()[:3] == said.risk.tolist()
    assert given.given_at_h.tolist() == [3.5, 3.5, 3.5, 4.2]
    now = scorer.scores(5)
    assert now.risk[0] == said.risk[0]
    assert (now.risk[1:3] != said.risk[1:3]).all()


def test_a_discharged_stay_is_forgotten_and_makes_room(scorer):
    scorer.push(6, now_h=0.5)
    last = scorer.discharge(5)
    assert last.time_h.tolist() == [1.0, 2.0, 3.0]
    assert scorer.stays == (6,)
    assert scorer.scores(6).reason.tolist() == ["stay shorter than one hour, or without times"]
    scorer.push(5, now_h=1.0)
    assert scorer.n_events(5) == (0, 0)
    scorer.discharge(5)
    scorer.discharge(6)
    assert scorer.scores().empty


def test_no_order_of_arrival_is_left_in_what_is_kept():
    random = np.random.default_rng(3)
    rows = [(np.floor(t), int(c), v) for t, c, v in zip(
        random.uniform(0, 3, 40), random.integers(0, 2, 40), random.uniform(0.1, 9, 40), strict=True
    )]  # fmt: skip
    once = Charted.of(*zip(*rows, strict=True))
    pieces = Charted.of([], [], [])
    for at in random.permutation(len(rows)):
        pieces = pieces.with_(Charted.of(*zip(rows[at], strict=True)))
    for name in ("time_h", "concept", "value"):
        assert np.array_equal(getattr(pieces, name), getattr(once, name))
    assert [*zip(once.time_h, once.concept, once.value, strict=True)] == sorted(rows)
