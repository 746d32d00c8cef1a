"""The vocabulary: complete, without contradictions, and saying so when it is not."""

import copy

import pytest

from sepsis.core import schema
from sepsis.core.errors import SettingsError
from sepsis.events.vocabulary import load_vocabulary, read_vocabulary

PHYSIONET_2019_COLUMNS = (
    "HR, O2Sat, Temp, SBP, MAP, DBP, Resp, EtCO2, BaseExcess, HCO3, FiO2, pH, PaCO2, SaO2, AST, BUN, "
    "Alkalinephos, Calcium, Chloride, Creatinine, Bilirubin_direct, Glucose, Lactate, Magnesium, Phosphate, "
    "Potassium, Bilirubin_total, TroponinI, Hct, Hgb, PTT, WBC, Fibrinogen, Platelets"
)


def changed(edit):
    spec = copy.deepcopy(schema.read_toml("2_concepts"))
    edit(spec)
    return spec


def test_moor_has_44_variables_15_charted_and_29_from_the_laboratory():
    vocabulary = load_vocabulary()
    tables = [next(iter(vocabulary[c].items["mimic_iii"])) for c in vocabulary.set("moor44")]
    assert (tables.count("charted"), tables.count("labs")) == (15, 29)


def test_every_column_of_physionet_2019_is_one_concept_in_its_order():
    vocabulary = load_vocabulary()
    columns = [vocabulary[c].keys("physionet_2019", "charted") for c in vocabulary.set("physionet2019")]
    assert columns == [(name,) for name in PHYSIONET_2019_COLUMNS.split(", ")]


# Concepts that read an item again, for a definition that needs it apart.
SECOND_READINGS = {"hemoglobin_gas", "fio2_share", "fio2_charting"}


@pytest.mark.parametrize("source", ["mimic_iii", "mimic_iv"])
def test_an_item_makes_one_number(source):
    made = {}
    for concept in load_vocabulary().concepts.values():
        if concept.id in SECOND_READINGS or concept.group == "as_charted":
            continue
        for table, items in concept.items.get(source, {}).items():
            assert len(items) == len(set(items)), concept.id
            for item in items if not concept.mark else ():
                assert made.setdefault((table, item), concept.id) == concept.id


def test_rules_for_single_items_name_items_of_the_concept():
    for concept in load_vocabulary().concepts.values():
        known = {item for tables in concept.items.values() for items in tables.values() for item in items}
        for rules in (concept.unit_of, concept.text_in, concept.text_not_in):
            assert set(rules) <= known, concept.id


def test_the_lists_of_antibiotics_have_the_published_lengths():
    lists = load_vocabulary().antibiotics.lists
    sizes = {name: len(names) for name, names in lists.items()}
    assert sizes == {"moor2019": 138, "mimic_iv": 152, "ricu": 48}


def test_a_set_by_name_and_by_ids():
    vocabulary = load_vocabulary()
    assert [c.id for c in vocabulary.chosen(["lactate", "heart_rate"])] == ["heart_rate", "lactate"]
    assert len(vocabulary.chosen("attn24")) == 24
    assert len(vocabulary.chosen(None)) == len(vocabulary.concepts)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s["concept"].append(dict(s["concept"][0])), "concept 'heart_rate' is defined twice"),
        (
            lambda s: s["concept"][0].update(plausibel="(0, 1)"),
            "no setting 'plausibel'. Did you mean 'plausible'",
        ),
        (lambda s: s["concept"][0].update(plausible="0-300"), "Expected: an interval"),
        (
            lambda s: s["concept"][0]["mimic_iii"].update(chartet=[1]),
            "no raw table 'chartet'. Did you mean 'charted'",
        ),
        (lambda s: s["sets"]["moor44"].append("lactat"), "no concept 'lactat'. Did you mean 'lactate'"),
    ],
)
def test_a_mistake_in_the_file_is_named(edit, message):
    with pytest.raises(SettingsError, match=message):
        read_vocabulary(changed(edit))


def test_an_unknown_set_names_the_nearest():
    with pytest.raises(SettingsError, match="no set of concepts 'moor4'. Did you mean 'moor44'"):
        load_vocabulary().chosen("moor4")
