from sepsis.models.registry import entry_of
from sepsis.report.names import SYMBOLS, reference_model, styles
from tests.report.made_up import MANY


def test_models_are_told_apart_without_colour():
    looks = styles((*(f"m{i}" for i in range(2 * len(SYMBOLS))), "clock"))
    assert len({(s.symbol, s.dash) for s in looks}) == len(looks)
    assert looks[-1].role == "series-plain"


def test_negative_controls_are_open_and_dashed_and_a_circular_score_is_flagged():
    by = {look.model: look for look in styles(MANY)}
    assert by["observation_count"].kind == by["clock"].kind == "negative control"
    assert by["clock"].symbol.endswith("-open")
    assert by["clock"].dash == "dash"
    assert by["sofa"].kind == "bedside score"
    assert by["sofa"].flag == f"circular: {entry_of('sofa').circular}"
    assert [m for m, look in by.items() if look.flag] == ["sofa"]


def test_a_crowded_figure_starts_with_the_models_and_the_reference():
    assert all(look.shown for look in styles(MANY[:6]))
    assert [look.model for look in styles(MANY) if look.shown] == ["mgp_tcn", "dtw_knn", "logistic", "clock"]


def test_without_a_clock_the_last_model_is_the_reference():
    assert reference_model(("a", "clock", "b")) == "clock"
    assert reference_model(("a", "b")) == "b"
