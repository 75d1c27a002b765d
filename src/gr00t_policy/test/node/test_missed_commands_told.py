# SPDX-License-Identifier: Apache-2.0
"""What the controller's state and its diagnostics say of missed commands is one count, that of the loop's slots."""

import pytest

from gr00t_policy.ros.controller_report import report_to_message
from gr00t_policy.ros.loop_diagnostics import loop_status
from gr00t_policy.runtime.controller import ControllerReport, Mode
from gr00t_policy.runtime.inputs import State, Verdict
from gr00t_policy.runtime.latency import Percentiles
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.pacing import PacedLoop

MS = 1_000_000
NOTHING = Percentiles(0.0, 0.0, 0.0, 0.0, 0)
REPORT = ControllerReport(
    verdict=Verdict(State.RUNNING),
    mode=Mode.EVERY_TICK,
    control_rate_hz=120.0,
    head_rate_hz=120.0,
    head=NOTHING,
    image_to_command=NOTHING,
    joint_state_to_command=NOTHING,
    token_age_s=0.1,
    joint_state_age_s=0.004,
    refused={},
)


def test_state_and_diagnostics_count_late_ticks_and_skipped_slots_alike():
    """Slots on a made clock: one tick in time, one that wakes 6.5 ms late, one that is stopped for 300 ms."""
    loop = PacedLoop("controller", 120.0, lambda _: None)
    slots = loop.slots
    for late_ns, body_ns in ((0, MS), (6_500_000, MS), (0, 300 * MS)):
        began_ns = slots.due_ns + late_ns
        slots.over(began_ns, began_ns + body_ns)
    told = report_to_message(REPORT, 0, loop)
    values = loop_status("control loop", loop, LoopSettings()).values
    assert (told.deadline_misses, told.ticks) == (1 + 37, 3 + 1 + 36)
    assert told.deadline_miss_fraction == pytest.approx(38 / 40)
    assert values["deadline_misses"] == told.deadline_misses == values["late_ticks"] + values["slots_skipped"]
    assert values["ticks"] + values["slots_skipped"] == told.ticks


def test_without_a_loop_nothing_was_due():
    told = report_to_message(REPORT, 0, None)
    assert (told.deadline_misses, told.ticks, told.deadline_miss_fraction) == (0, 0, 0.0)
