# SPDX-License-Identifier: Apache-2.0
"""What ``gr00t bench loop`` asks of a run, and what it prints of one."""

import math
from dataclasses import replace

import pytest

from gr00t_bringup.bench.goals import Goal, goals, memory_goal
from gr00t_bringup.bench.loop import Observed, print_figures
from gr00t_bringup.machine import ProcessMemory
from gr00t_bringup.measure import Gaps, Percentiles, RunFigures, WakeUps

GOOD = RunFigures(
    planner_rate_hz=10.0,
    control_rate_hz=120.0,
    head_rate_hz=120.0,
    joint_state_rate_hz=120.0,
    camera_rate_hz=20.0,
    deadline_miss_fraction=0.0,
    deadline_misses=0,
    ticks=72_000,
    realtime_scheduling=True,
    command_gaps=Gaps(0, 0, 9.1, 0),
    wake_up_lateness_ms=WakeUps(0.05, 0.1, 0.3),
    encode_ms=Percentiles(3.0, 4.0, 5.0),
    head_ms=Percentiles(1.8, 2.1, 2.4),
    image_to_command_ms=Percentiles(21.0, 29.0, 33.0),
    joint_state_to_command_ms=Percentiles(5.3, 5.4, 5.5),
    real_time_factor=1.0,
)


def missed(**changes: object) -> list[str]:
    return [goal.name for goal in goals(replace(GOOD, **changes)) if not goal.reached]


def one(name: str, figures: RunFigures) -> Goal:
    return next(goal for goal in goals(figures) if goal.name == name)


def test_a_good_run_reaches_every_goal():
    assert missed() == []


def test_one_missed_command_in_ten_minutes_is_too_many_with_realtime_scheduling_and_is_not_without():
    one_missed = {"deadline_misses": 1, "deadline_miss_fraction": 1 / 72_000}
    assert missed(**one_missed) == ["missed commands"]
    assert missed(**one_missed, realtime_scheduling=False) == []
    assert missed(deadline_miss_fraction=0.006, realtime_scheduling=False) == ["missed commands"]


def test_a_goal_says_which_scheduling_chose_it():
    assert one("missed commands", GOOD).wanted == "0 (SCHED_FIFO)"
    assert one("missed commands", replace(GOOD, realtime_scheduling=False)).wanted == "<= 0.5 (ordinary scheduling)"


def test_commands_that_the_gaps_miss_count_also_when_the_controller_says_none():
    assert missed(command_gaps=Gaps(1, 36, 308.0, 0)) == ["the same, from their gaps"]
    assert one("the same, from their gaps", replace(GOOD, command_gaps=Gaps(1, 36, 308.0, 0))).value == pytest.approx(
        0.05
    )


def test_lateness_is_judged_by_the_whole_run():
    assert missed(wake_up_lateness_ms=WakeUps(0.05, 0.25, 0.3)) == ["wake-up lateness p99"]


def test_a_camera_or_a_robot_that_is_too_slow_is_missed_and_a_quicker_one_is_not():
    assert missed(camera_rate_hz=9.8) == ["camera"]
    assert missed(joint_state_rate_hz=119.5) == ["joint states"]
    assert missed(camera_rate_hz=30.0, joint_state_rate_hz=500.0) == []
    assert one("camera", replace(GOOD, camera_rate_hz=math.nan)).verdict == "unknown"


def test_the_memory_of_all_processes_together_is_judged():
    assert memory_goal([1024.0, 2048.0]).value == 3.0 and memory_goal([1024.0, 2048.0]).reached
    assert not memory_goal([4000.0, 2200.0]).reached
    assert memory_goal([]).verdict == "unknown"


def test_what_is_not_known_is_not_reached():
    unknown = one("wake-up lateness p99", replace(GOOD, wake_up_lateness_ms=WakeUps(math.nan, math.nan, math.nan)))
    assert not unknown.reached and unknown.verdict == "unknown"


def test_the_table_says_what_was_missed_and_by_which_count(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    gaps = Gaps(late=1, missed=36, longest_ms=308.3, pauses=0)
    observed = Observed(
        memory={"sim": ProcessMemory(200.0, 6000.0, 0.0, 0.0), "planner": ProcessMemory(300.0, 400.0, 0.0, 0.0)}
    )
    print_figures(replace(GOOD, deadline_misses=37, deadline_miss_fraction=37 / 72_000, command_gaps=gaps), observed)
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if "missed commands" in line)
    assert "0.051 %" in line and "0 (SCHED_FIFO)" in line and "missed" in line.rpartition("SCHED_FIFO")[2]
    (line,) = (line for line in printed.splitlines() if "peak memory " in line and "<= 6" in line)
    assert "6.25 GB" in line and "missed" in line
    assert "37 of 72000 due" in printed and "gaps of more than 1.5 periods 1, in them 36 not sent" in printed
    assert "longest gap 308.3 ms" in printed
    assert "worst ten seconds: 0.30 ms" in printed
