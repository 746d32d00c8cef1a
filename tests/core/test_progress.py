"""The remaining time of a long run."""

import io

import pytest
from rich.console import Console

from sepsis.core.progress import _with_log, bar
from sepsis.core.work import resumable
from sepsis.scoring.parts import unscored


@pytest.mark.parametrize("step_s", [2.0, 45.0, 600.0])
def test_the_remaining_time_is_told_however_long_a_step_takes(step_s):
    now = [0.0]
    with bar(Console(file=io.StringIO(), get_time=lambda: now[0])) as shown:
        task = shown.add_task("score", total=10)
        for _ in range(5):
            now[0] += step_s
            shown.advance(task)
        assert shown.tasks[0].time_remaining == pytest.approx(5 * step_s, rel=0.01)


def test_without_a_terminal_a_line_a_minute_says_what_is_left(caplog):
    now = [0.0]
    with caplog.at_level("INFO", logger="sepsis"):
        for _ in _with_log(list(range(5)), "score clock", now=lambda: now[0]):
            now[0] += 40.0
    assert caplog.messages == [
        "score clock: 3 of 5 left, about 2 min 0 s",  # after 80 s
        "score clock: 1 of 5 left, about 40 s",
    ]


def test_what_a_stopped_run_has_finished_is_no_part_of_it(tmp_path):
    with resumable(tmp_path / "out", 1) as work:
        with work.step("scores-00001"):
            pass
        assert unscored(work, 3) == [0, 2]
