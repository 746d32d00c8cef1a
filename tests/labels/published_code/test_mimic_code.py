"""
Agreement with mimic-code's own output on both open demos, row by row.

The oracles hold the stays with an even id. Nothing is allowed to differ; what the oracle cannot show
(the odd stays) is held by the totals that others counted on the whole demo.
"""

import numpy as np
import pandas as pd
import pytest

from sepsis.labels import COMPONENTS, label_stays, load_preset

IV = "oracles/mimic_iv_demo_mimic_code"
III = "oracles/mimic_iii_demo_mimic_code"


class Demo:
    """One demo with its labels; `hours` turns wall-clock times of an oracle into hours of the stay."""

    def __init__(self, events, preset):
        self.events = events
        self.labels = label_stays(self.events, load_preset(preset))
        self.intime = self.events.stays.set_index("stay_id")["intime"]

    def hours(self, table, column):
        since = pd.to_datetime(table[column]) - table["stay_id"].map(self.intime)
        return since.dt.total_seconds() / 3600

    def even(self, name):
        table = getattr(self.labels, name)
        return table[table.stay_id % 2 == 0]


@pytest.fixture(scope="module")
def iv(demo_iv):
    return Demo(demo_iv, "mimic_code_iv")


@pytest.fixture(scope="module")
def iii(demo_iii):
    return Demo(demo_iii, "mimic_code_iii")


def oracle(path, key="stay_id"):
    return pd.read_csv(path).rename(columns={key: "stay_id"})


def differ(a, b):
    """Rows in which two columns differ; a gap equals a gap."""
    return int((~np.isclose(a.astype(float), b.astype(float), equal_nan=True)).sum())


def test_iv_every_antibiotic_order_is_paired_as_in_suspicion_of_infection(iv, shared):
    theirs = oracle(shared(f"{IV}/suspicion_of_infection.csv.gz"))
    both = theirs.merge(
        iv.even("orders"), left_on=["stay_id", "ab_id"], right_on=["stay_id", "order"], how="outer",
        indicator=True, suffixes=("_theirs", ""),
    )  # fmt: skip
    assert len(both) == 256
    assert (both._merge == "both").all()
    for column, mine in (
        ("antibiotic_time", "antibiotic_h"),
        ("suspected_infection_time", "suspicion_h"),
        ("culture_time", "culture_h"),
    ):
        assert differ(iv.hours(both, column), both[mine]) == 0
    assert (both.antibiotic_theirs == both.antibiotic).all()
    assert (both.specimen_theirs.fillna("") == both.specimen.astype(object).fillna("")).all()
    assert differ(both.positive_culture, both.positive) == 0
    assert differ(both.suspected_infection, both.suspicion_h.notna()) == 0


def hourly(demo, theirs):
    """The oracle's hours beside ours; every hour is in both."""
    both = theirs.merge(
        demo.even("sofa"), left_on=["stay_id", "hr"], right_on=["stay_id", "hour"], how="outer",
        indicator=True, suffixes=("_theirs", ""),
    )  # fmt: skip
    assert (both._merge == "both").all()
    assert differ(demo.hours(both, "endtime"), both.time_h) == 0
    return both


def test_iv_sofa_agrees_hour_by_hour(iv, shared):
    both = hourly(iv, oracle(shared(f"{IV}/sofa.csv.gz")))
    assert len(both) == 6729
    for c in COMPONENTS:
        assert differ(both[f"{c}_theirs"], both[f"{c}_hour"]) == 0, c
        assert differ(both[f"{c}_24hours"], both[c].fillna(0)) == 0, c
    assert differ(both.sofa_24hours, both.sofa) == 0


def test_iv_onset_is_the_row_of_sepsis3(iv, shared):
    theirs = oracle(shared(f"{IV}/sepsis3.csv.gz"))
    onset = iv.even("onset")
    both = theirs.merge(onset[onset.onset_h.notna()], on="stay_id", how="outer", indicator=True)
    assert len(both) == 30
    assert (both._merge == "both").all()
    for column, mine in (
        ("sofa_time", "onset_h"), ("suspected_infection_time", "suspicion_h"),
        ("antibiotic_time", "antibiotic_h"), ("culture_time", "culture_h"),
    ):  # fmt: skip
        assert differ(iv.hours(both, column), both[mine]) == 0, column
    assert differ(both.sofa_score, both.sofa_at_onset) == 0
    for c in COMPONENTS:
        assert differ(both[c], both[f"{c}_at_onset"]) == 0, c


def test_iii_every_combination_of_suspicion_of_infection_is_there(iii, shared):
    theirs = oracle(shared(f"{III}/suspicion_of_infection.csv.gz"), "ICUSTAY_ID")
    times = {
        "antibiotic_time": "antibiotic_h", "last72_charttime": "culture_before_h",
        "next24_charttime": "culture_after_h", "suspected_infection_time": "suspicion_h",
    }  # fmt: skip
    for column, mine in times.items():
        theirs[mine] = iii.hours(theirs, column)
    theirs = theirs.rename(columns={"antibiotic_name": "antibiotic", "positiveculture": "positive"})
    assert len(theirs) == 1669
    without = theirs[
        theirs.antibiotic.isna()
    ]  # stays without an antibiotic: a row of gaps there, no row here
    assert len(without) == 13
    assert not set(without.stay_id) & set(iii.labels.orders.stay_id)
    columns = ["stay_id", "antibiotic", *times.values(), "specimen", "positive"]

    def counted(table):
        table = table[columns].assign(
            specimen=table.specimen.astype(object).fillna(""),
            positive=table.positive.astype(float).fillna(-1.0),
        )
        table[list(times.values())] = table[list(times.values())].round(4)
        return table.groupby(columns, dropna=False).size()

    difference = counted(theirs[theirs.antibiotic.notna()]).sub(counted(iii.even("orders")), fill_value=0)
    assert (difference == 0).all()


def test_iii_pivoted_sofa_agrees_hour_by_hour_but_for_its_duplicate_rows(iii, shared):
    theirs = oracle(shared(f"{III}/pivoted_sofa.csv.gz"), "ICUSTAY_ID")
    key = ["stay_id", "hr"]
    assert int(theirs.duplicated(key).sum()) == 6
    both = hourly(iii, theirs.drop_duplicates(key))
    assert len(both) == 6685
    for c in COMPONENTS:
        assert differ(both[f"{c}_theirs"], both[f"{c}_hour"]) == 0, c
        assert differ(both[f"{c}_24hours"], both[c].fillna(0)) == 0, c
    assert differ(both.sofa_24hours, both.sofa) == 0


def test_iii_the_whole_demo_gives_the_totals_that_others_counted(iii):
    orders, sofa, stays = iii.labels.orders, iii.labels.sofa, iii.events.stays
    without = set(stays.stay_id) - set(orders.stay_id)
    assert len(orders) + len(without) == 3632
    assert orders[orders.suspicion_h.notna()].stay_id.nunique() == 98
    assert (len(sofa), sofa.stay_id.nunique(), sofa.sofa.max()) == (14_135, 132, 20)
    assert sofa.sofa.mean() == pytest.approx(6.04, abs=0.005)


def test_iv_the_whole_demo_has_every_stay(iv):
    assert list(iv.labels.onset.stay_id) == sorted(iv.events.stays.stay_id)
    assert iv.labels.sofa.groupby("stay_id").size().shape == (140,)
    assert not iv.labels.sofa.duplicated(["stay_id", "hour"]).any()


@pytest.mark.parametrize(
    ("switch", "value", "hours"),
    [
        ("sofa.window_rows", 25, 488),
        ("sofa.ventilation", "state", 154),
        ("sofa.ventilated_pf_200_400", False, 1514),
        ("sofa.labs", "admission_or_time", 258),
        ("sofa.pressure_value", "each", 21),
        ("sofa.vasopressor", "overlap", 171),
    ],
)
def test_iv_each_switch_alone_moves_hours(iv, switch, value, hours):
    changed = label_stays(iv.events, load_preset("mimic_code_iv", **{switch: value}))
    assert int((changed.sofa.sofa != iv.labels.sofa.sofa).sum()) == hours
