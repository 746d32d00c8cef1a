"""A definition is a file; a mistake in it says where, what, and what to do."""

import dataclasses

import pytest

from sepsis.core.errors import SettingsError, UsageError
from sepsis.labels import load_preset, preset_names


def test_every_preset_of_the_package_can_be_read():
    assert {"moor2019", "moor2019_code", "physionet2019"} <= set(preset_names())
    for name in preset_names():
        assert load_preset(name).name == name


def test_the_code_preset_departs_from_the_prose_in_named_switches_only():
    prose, code = (load_preset(name).settings() for name in ("moor2019", "moor2019_code"))
    changed = {
        f"{section}.{key}"
        for section in prose
        if section != "name"
        for key in prose[section]
        if prose[section][key] != code[section][key]
    }
    assert changed == {
        "antibiotics.route_test", "suspicion.time", "suspicion.date_only_after_antibiotic", "sofa.missing",
        "sofa.ventilated_pf_200_400", "sofa.ventilation", "sofa.arterial_model", "sofa.vasopressor",
        "sofa.circulation_systems", "sofa.urine", "sofa.urine_net_of_irrigant",
        "sofa.urine_includes_tube_feed_residual", "sofa.urine_entries_without_volume",
        "sofa.fio2_last_charting", "sofa.gcs_previous",
    }  # fmt: skip


def test_options_can_be_overridden_by_section_and_key():
    preset = load_preset("moor2019", **{"sofa.lookback_h": 12, "suspicion.time": "culture"})
    assert (preset.sofa.lookback_h, preset.suspicion.time) == (12, "culture")
    assert load_preset("moor2019").sofa.lookback_h == 24


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            {"sofa.lookbak_h": 12},
            "preset moor2019 [sofa]: no setting 'lookbak_h'. Did you mean 'lookback_h'?",
        ),
        ({"sofas.lookback_h": 12}, "preset moor2019: no section 'sofas'. Did you mean 'sofa'?"),
        ({"lookback_h": 12}, "preset moor2019: override 'lookback_h'. Expected: section.option."),
        ({"sofa.arterial_model": "of"}, "[sofa] arterial_model: is 'of'. Did you mean 'off'?"),
        ({"sofa.lookback_h": 1.5}, "preset moor2019 [sofa] lookback_h: is float. Expected: int."),
        ({"sofa.lookback_h": -1}, "preset moor2019 [sofa] lookback_h: is -1. Expected: 0 or more."),
        ({"suspicion.culture_first_h": True}, "culture_first_h: is bool. Expected: float."),
        ({"suspicion.culture_first_h": "72"}, "culture_first_h: is str. Expected: float."),
        ({"suspicion.culture_first_h": float("nan")}, "culture_first_h: is nan. Expected: 0 or more."),
        ({"sofa.ventilated_pf_200_400": 1}, "ventilated_pf_200_400: is int. Expected: bool."),
        ({"cultures.specimens": "BLOOD"}, "specimens: is str. Expected: a list."),
        ({"antibiotics.names": 3}, "names: is int. Expected: str."),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(override, message):
    with pytest.raises(SettingsError) as error:
        load_preset("moor2019", **override)
    assert message in str(error.value)
    assert error.value.exit_code == 10


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(SettingsError, match="no preset 'moor2018'. Did you mean 'moor2019'?"):
        load_preset("moor2018")


def test_a_file_may_be_based_on_a_preset(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('based_on = "moor2019"\n[onset]\nrise_points = 3\n')
    preset = load_preset(mine)
    assert preset.name == "mine"
    assert preset.onset == dataclasses.replace(load_preset("moor2019").onset, rise_points=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('based_on = "moor2019"\n[onsets]\n', r"mine.toml: no section 'onsets'\. Did you mean 'onset'\?"),
        ('based_on = "moor2019"\nonset = 3\n', r"mine.toml onset: is int\. Expected: a section of settings"),
        ("[sofa]\nlookback_h = 24\n", r"preset mine \[antibiotics\]: setting 'names' is missing"),
    ],
)
def test_a_preset_file_with_a_mistake_is_refused(tmp_path, text, message):
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_preset(mine)


def test_a_preset_file_based_on_itself_is_refused(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(f'based_on = "{mine}"\n')
    with pytest.raises(SettingsError, match="circle"):
        load_preset(mine)


def test_a_preset_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_preset(tmp_path / "mine.toml")
