"""What holds for every definition, whatever its numbers: tried on a made-up export in both forms."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from sepsis.events import extract_events
from sepsis.labels import COMPONENTS, label_stays, load_preset, preset_names
from sepsis.sources import open_export
from sepsis.synthetic.export import write_synthetic

PRESETS = [name for name in preset_names() if load_preset(name).onset.source == "sofa_rise"]
TABLES = (
    "events", "infusions", "antibiotics", "cultures", "lab_samples", "orders", "specimens", "carevue_rates",
    "administrations",
)  # fmt: skip
TIMES = [
    "onset_h", "suspicion_h", "sofa_rise_h", "sofa2_h", "label_known_h", "sofa_at_onset", "sofa_baseline",
]  # fmt: skip
VOLUMES = (
    "urine_output", "gu_irrigant_out", "gu_irrigant_in", "tube_feed_residual", "urine_entry",
    "irrigant_entry",
)  # fmt: skip


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Events by form."""
    found = {}
    for layout in ("mimic-iii", "mimic-iv"):
        where = tmp_path_factory.mktemp("made") / layout
        write_synthetic(where, stays=40, seed=11, layout=layout)
        found[layout] = with_doses(extract_events(open_export(where)))
    return found


def with_doses(events):
    """The export with doses, which it lacks: each antibiotic order given at once and again after 12 h."""
    orders = events.antibiotics[["stay_id", "time_h"]].drop_duplicates()
    doses = [orders.time_h + hours for hours in (0.0, 12.0)]
    given = pd.concat([orders.assign(start_h=h, end_h=h + 0.5, item="225798") for h in doses])
    return dataclasses.replace(events, administrations=given.drop(columns="time_h").reset_index(drop=True))


@pytest.fixture(params=PRESETS)
def tried(request, exports):
    """(events, preset, labels) of each definition, in the form it is made for."""
    preset = load_preset(request.param)
    events = exports["mimic-iii" if request.param == "mimic_code_iii" else "mimic-iv"]
    return events, preset, labelled(events, preset)


KNOWN: dict[tuple[int, str], object] = {}


def labelled(events, preset):
    """Labels, worked out once for each export and definition."""
    key = (id(events), repr(preset))
    if key not in KNOWN:
        KNOWN[key] = (events, label_stays(events, preset))  # the export is kept, so its id stays its own
    return KNOWN[key][1]


def changed(events, change, names=TABLES):
    """Events with `change` made to each table that is there."""
    tables = {name: getattr(events, name) for name in names}
    return dataclasses.replace(events, **{n: change(t) for n, t in tables.items() if t is not None})


def same(one, two):
    """The same onsets and the same SOFA."""
    pd.testing.assert_frame_equal(one.onset[["stay_id", *TIMES]], two.onset[["stay_id", *TIMES]])
    assert list(one.onset.exclusion) == list(two.onset.exclusion)
    pd.testing.assert_frame_equal(
        one.sofa[["stay_id", "hour", "sofa"]], two.sofa[["stay_id", "hour", "sofa"]]
    )


def test_the_export_has_suspicions_and_hours(tried):
    _, _, labels = tried
    assert labels.onset.suspicion_h.notna().sum() > 3
    assert len(labels.sofa)


def test_each_stay_has_one_row_and_each_of_its_hours_one(tried):
    events, _, labels = tried
    assert list(labels.onset.stay_id) == sorted(events.stays.stay_id)
    assert not labels.sofa.duplicated(["stay_id", "hour"]).any()


def test_an_onset_lies_in_the_window_of_a_suspicion_and_rose_far_enough(tried):
    _, preset, labels = tried
    reached = labels.onset[labels.onset.onset_h.notna()]
    since = reached.sofa_rise_h - reached.suspicion_h
    assert since.between(-preset.sofa.grid_before_h - 1e-6, preset.sofa.grid_after_h + 1e-6).all()
    assert (reached.sofa_at_onset - reached.sofa_baseline >= preset.onset.rise_points).all()
    assert (reached.label_known_h >= reached.sofa_rise_h).all()
    assert labels.onset.onset_h.notna().sum() == labels.onset.sofa_rise_h.notna().sum()


def test_a_suspicion_is_dated_by_the_earlier_of_its_two_or_by_the_culture(tried):
    _, preset, labels = tried
    pairs = labels.suspicion
    dated = (
        pairs.culture_h
        if preset.suspicion.time == "culture"
        else pairs[["culture_h", "antibiotic_h"]].min(axis=1)
    )
    np.testing.assert_allclose(pairs.suspicion_h, dated)


def test_moving_every_stay_in_time_changes_no_hour(tried):
    events, preset, labels = tried
    later = pd.Timedelta(days=365)
    stays = events.stays.assign(intime=events.stays.intime + later, outtime=events.stays.outtime + later)
    same(labels, label_stays(dataclasses.replace(events, stays=stays), preset))


def test_the_order_of_rows_does_not_matter(tried):
    events, preset, labels = tried
    shuffled = changed(events, lambda t: t.sample(frac=1, random_state=3).reset_index(drop=True))
    same(labels, label_stays(shuffled, preset))


def test_duplicate_rows_do_not_matter_unless_they_are_volumes(tried):
    events, preset, labels = tried
    if preset.sofa.row_repeats:
        pytest.skip("this definition counts an hour once for each gas and infusion in it, copies included")

    def twice(table):
        if "concept" in table:
            more = table[~table.concept.isin(VOLUMES)]
            return pd.concat([table, more], ignore_index=True)
        return pd.concat([table, table], ignore_index=True)

    names = ("events", "antibiotics", "cultures")
    same(labels, label_stays(changed(events, twice, names), preset))


def reached(events, preset, **options):
    """Stays with an onset, by the definition with these options of its sections, none of them lost."""
    changes = {"onset": {"drop_first_onset": False}} | options
    sections = {name: dataclasses.replace(getattr(preset, name), **some) for name, some in changes.items()}
    onset = labelled(events, dataclasses.replace(preset, **sections)).onset
    return set(onset.stay_id[onset.onset_h.notna()])


def test_a_higher_threshold_never_adds_an_onset(tried):
    events, preset, _ = tried
    by_points = [
        reached(events, preset, onset={"rise_points": points, "drop_first_onset": False})
        for points in (preset.onset.rise_points, 3, 4, 25)
    ]
    for lower, higher in itertools.pairwise(by_points):
        assert higher <= lower
    assert by_points[0]
    assert not by_points[-1]  # no SOFA is above 24


def test_a_shorter_window_never_adds_an_onset_over_a_running_minimum(tried):
    events, preset, _ = tried
    if preset.onset.baseline != "running_minimum":
        pytest.skip("another baseline")
    day_shorter = {"grid_after_h": preset.sofa.grid_after_h - 24}
    assert reached(events, preset, sofa=day_shorter) < reached(events, preset)


@pytest.mark.parametrize("missing", ["cultures", "antibiotics"])
def test_without_cultures_or_without_antibiotics_there_is_no_suspicion(tried, missing):
    events, preset, _ = tried
    if missing == "cultures" and not preset.suspicion.culture_needed:
        pytest.skip("this definition needs no culture")
    gone = {
        "cultures": ("cultures", "specimens"),
        "antibiotics": ("antibiotics", "orders", "administrations"),
    }
    labels = label_stays(changed(events, lambda t: t.iloc[:0], gone[missing]), preset)
    assert labels.suspicion.empty
    assert labels.onset.onset_h.isna().all()


def test_less_data_never_raises_a_component(tried):
    events, preset, labels = tried
    if preset.sofa.labs_carried or preset.sofa.grid == "suspicion" and preset.sofa.missing == "exclude_hour":
        pytest.skip("the remaining values hold longer, or the hour is lost with the rest")
    half = {"creatinine", "bilirubin_total", "platelets"}

    def fewer(table):
        return table[~table.concept.isin(half) | (np.arange(len(table)) % 2 == 0)].reset_index(drop=True)

    less = label_stays(changed(events, fewer, ("events", "lab_samples")), preset).sofa
    both = labels.sofa.merge(less, on=["stay_id", "hour"], suffixes=("", "_less"), validate="one_to_one")
    assert len(both) == len(labels.sofa)
    if preset.sofa.lab_value != "mean":
        for component in COMPONENTS:
            assert (both[component].fillna(0) >= both[f"{component}_less"].fillna(0)).all(), component


@pytest.mark.parametrize("name", ["moor2019", "mimic_code_iv"])
def test_a_record_cut_off_when_the_label_is_known_gives_the_same_onset(exports, name):
    """
    Of definitions whose hours hold what came before them; others read half an hour or more ahead. The
    heart rates stay, because in mimic-code they say until when there are hours.
    """
    events, preset = exports["mimic-iv"], load_preset(name)
    base = labelled(events, preset).onset.set_index("stay_id")
    reached = base[base.onset_h.notna()]
    known = base.label_known_h.fillna(np.inf)

    def cut(table):
        start = "start_h" if "start_h" in table else "time_h"
        keep = table[start] <= table.stay_id.map(known) + 1e-9
        if "concept" in table:
            keep |= table.concept == "heart_rate_charted"
        return table[keep].reset_index(drop=True)

    found = label_stays(changed(events, cut), preset).onset.set_index("stay_id").loc[reached.index]
    assert len(reached) > 3
    pd.testing.assert_series_equal(found.onset_h, reached.onset_h)
    pd.testing.assert_series_equal(found.label_known_h, reached.label_known_h)
