# SPDX-License-Identifier: Apache-2.0
"""Laws of going on after someone else drove: from where the robot is, without a step, back to the plan in the end."""

import numpy as np
import pytest

from gr00t_policy.runtime.hand_over import HandOver

TICK_NS = 8_333_333
J = 5


def returns(offset_rad: float, plan_speed_rad_s: float = 0.0) -> np.ndarray:
    """Commands (N, J) minus the plan, from the tick on in which the gate passes them; the robot is held ``offset_rad`` away."""
    hand_over, held = HandOver(), np.full(J, offset_rad)
    hand_over.gate(others_drive=True, passes=False)
    for tick in range(10):
        np.testing.assert_array_equal(hand_over.command(np.zeros(J), held, tick * TICK_NS), held)
    hand_over.gate(others_drive=False, passes=False)
    np.testing.assert_array_equal(hand_over.command(np.zeros(J), held, 10 * TICK_NS), held)
    hand_over.gate(others_drive=False, passes=True)
    plans = plan_speed_rad_s * np.arange(600)[:, None] / 120 * np.ones(J)
    commands = [hand_over.command(plan, held, (11 + tick) * TICK_NS) for tick, plan in enumerate(plans)]
    return np.array(commands) - plans


def test_without_a_gate_or_another_driver_the_plan_itself_is_commanded():
    hand_over, plan = HandOver(), np.arange(J, dtype=float)
    assert hand_over.command(plan, np.zeros(J), 0) is plan
    for passes in (True, False, True):  # the gate holds for its own reasons
        hand_over.gate(others_drive=False, passes=passes)
        assert hand_over.command(plan, np.zeros(J), 0) is plan


@pytest.mark.parametrize("offset_rad", [0.01, 0.5, -1.5])
def test_the_first_command_is_where_the_robot_is_held_and_the_last_is_the_plan(offset_rad):
    away = returns(offset_rad)
    np.testing.assert_allclose(away[0], offset_rad)
    np.testing.assert_array_equal(away[-1], np.zeros(J))
    assert (np.abs(np.diff(away, axis=0)) * 120).max() < 0.8, "slower than any joint may move"
    assert (np.abs(np.diff(away, n=2, axis=0)) * 120**2).max() < 15.0, "softer than any joint may be accelerated"


def test_a_plan_that_goes_on_meanwhile_is_followed_all_the_way():
    np.testing.assert_allclose(returns(0.7, plan_speed_rad_s=0.3), returns(0.7), atol=1e-12)


def test_a_gate_that_holds_on_the_way_back_begins_it_anew_from_where_it_holds():
    hand_over, held = HandOver(), np.full(J, 1.0)
    hand_over.gate(others_drive=True, passes=False)
    hand_over.command(np.zeros(J), held, 0)
    hand_over.gate(others_drive=False, passes=True)
    hand_over.command(np.zeros(J), held, TICK_NS)
    hand_over.gate(others_drive=False, passes=False)
    stopped = np.full(J, 0.6)
    np.testing.assert_array_equal(hand_over.command(np.zeros(J), stopped, 60 * TICK_NS), stopped)
    hand_over.gate(others_drive=False, passes=True)
    np.testing.assert_allclose(hand_over.command(np.zeros(J), stopped, 61 * TICK_NS), stopped)


def test_what_the_gate_gives_counts_more_than_where_a_blocked_arm_is_measured_while_it_is_fresh():
    hand_over, given, measured = HandOver(), np.full(J, 0.4), np.full(J, 0.1)
    hand_over.gate(others_drive=True, passes=False)
    assert hand_over.waits
    hand_over.given(given, 0)
    np.testing.assert_array_equal(hand_over.command(np.zeros(J), measured, TICK_NS), given)
    np.testing.assert_array_equal(hand_over.command(np.zeros(J), measured, 20 * TICK_NS), measured)
