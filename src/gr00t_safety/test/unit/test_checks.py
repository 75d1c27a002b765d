# SPDX-License-Identifier: Apache-2.0
"""What is not a command is refused with a reason that names the joint, the value and what would be right."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder as NamesInOrder
from gr00t_safety.checks import JointOrder, Refusal, RefusalKind, check_jump, check_range, check_stamps

GR1 = load_embodiment("gr1")
NAMES = GR1.policy_joint_names


def command(names=NAMES, positions=None):
    positions = np.zeros(len(names)) if positions is None else positions
    return JointOrder(GR1).command(tuple(names), positions)


def assert_refused(found, kind: RefusalKind, *words: str) -> None:
    assert isinstance(found, Refusal) and found.kind is kind, found
    for word in words:
        assert word in found.text


@given(st.permutations(range(len(NAMES))))
def test_permuted_names_give_the_same_vector(order):
    values = np.arange(len(NAMES)) * 0.01
    columns, positions = command(tuple(NAMES[i] for i in order), values[order])
    vector = np.full(len(GR1.joints), np.nan)
    vector[columns] = positions
    for name, value in zip(NAMES, values, strict=True):
        assert vector[GR1.joint_names.index(name)] == value


def test_a_command_may_leave_out_the_neck_but_no_policy_joint():
    assert not isinstance(command(GR1.joint_names), Refusal)
    assert_refused(command(NAMES[1:]), RefusalKind.NAMES, NAMES[0], "nothing is filled in")


def test_an_unknown_joint_is_refused_with_both_names_and_the_known_ones():
    found = command((*NAMES[1:], "left_tail_joint"))
    assert_refused(found, RefusalKind.NAMES, "left_tail_joint", "waist_yaw_joint")


def test_an_absurdly_long_joint_name_is_not_repeated_in_full():
    assert len(command((*NAMES[1:], "x" * 100_000)).text) < 2000


def test_a_repeated_joint_is_refused():
    assert_refused(command((*NAMES, NAMES[3])), RefusalKind.NAMES, "repeats", NAMES[3])


def found_by_name(names, values):
    try:
        return NamesInOrder(GR1.joints).positions(names, values, "joint state")
    except MessageError as error:
        return Refusal(RefusalKind.NAMES, str(error))


@pytest.mark.parametrize("read", [JointOrder(GR1).state, found_by_name])
def test_names_that_are_repeated_thousands_of_times_are_refused_in_the_time_that_it_takes_to_read_them(read):
    names = tuple(f"leg_{number % 3000}" for number in range(6000)) + GR1.joint_names
    began_s = time.thread_time()
    found = read(names, np.zeros(len(names)))
    assert time.thread_time() - began_s < 0.05
    assert_refused(found, RefusalKind.NAMES, "leg_0", "leg_1, leg_10")


def test_names_are_checked_again_after_they_changed():
    order = JointOrder(GR1)
    assert not isinstance(order.command(NAMES, np.zeros(len(NAMES))), Refusal)
    assert isinstance(order.command(NAMES[1:], np.zeros(len(NAMES) - 1)), Refusal)
    assert not isinstance(order.command(NAMES, np.zeros(len(NAMES))), Refusal)


@pytest.mark.parametrize("size", [0, 1, len(NAMES) - 1, len(NAMES) + 1])
def test_a_wrong_number_of_positions_is_refused(size):
    assert_refused(command(positions=np.zeros(size)), RefusalKind.SIZE, str(size))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_its_joint_named(value):
    positions = np.zeros(len(NAMES))
    positions[5] = value
    assert_refused(command(positions=positions), RefusalKind.NOT_FINITE, NAMES[5], str(value))


@pytest.mark.parametrize(
    ("one", "other", "is_like"),
    [
        ("'elbow' = 4.010 rad is 1.2 rad beyond", "'elbow' = -3.999 rad is 11.25 rad beyond", True),
        ("31 names but 30 positions", "32 names but 7 positions", True),
        ("not finite: joint_1=nan", "not finite: joint_2=nan", False),
        ("not finite: 1=nan", "not finite: 2=nan", False),
        ("'1' = 4.0 rad", "'2' = 4.0 rad", False),
        ("lacks 4th_finger", "lacks 3rd_finger", False),
        ("lacks wrist.2", "lacks wrist.3", False),
    ],
)
def test_refusals_are_alike_when_they_differ_in_numbers_and_not_when_they_name_another_joint(one, other, is_like):
    first, second = (Refusal(RefusalKind.UNREADABLE, text) for text in (one, other))
    assert first.like(second) is second.like(first) is is_like
    assert first.like(first) and not first.like(Refusal(RefusalKind.SIZE, one))


def test_a_joint_state_may_hold_more_joints_than_the_suite_drives():
    names = ("left_knee_pitch_joint", *reversed(GR1.joint_names), "L_thumb_distal_joint")
    values = np.concatenate([[9.0], np.arange(32)[::-1] * 0.01, [9.0]])
    assert (JointOrder(GR1).state(names, values) == np.arange(32) * 0.01).all()


def test_a_joint_state_without_a_driven_joint_is_refused():
    assert_refused(JointOrder(GR1).state(GR1.joint_names[1:], np.zeros(31)), RefusalKind.NAMES, GR1.joint_names[0])


def test_a_joint_state_that_repeats_a_joint_is_refused():
    names = (*GR1.joint_names, GR1.joint_names[0])
    assert_refused(JointOrder(GR1).state(names, np.zeros(33)), RefusalKind.NAMES, "repeats")


def test_a_joint_state_with_fewer_values_than_names_is_refused():
    assert_refused(JointOrder(GR1).state(GR1.joint_names, np.zeros(31)), RefusalKind.SIZE, "31")


def test_a_joint_state_that_is_not_finite_is_refused():
    assert_refused(JointOrder(GR1).state(GR1.joint_names, np.full(32, np.nan)), RefusalKind.NOT_FINITE, "nan")


MS = 1_000_000


@pytest.mark.parametrize(
    ("stamp_ms", "reach_ms", "previous_ms", "kind"),
    [
        (0, 8, None, None),
        (15, 23, (0, 8), None),
        (-200, -190, (-210, -200), None),
        (25, 33, None, RefusalKind.STAMP),
        (1000, 1008, None, RefusalKind.STAMP),
        (-300, -292, None, RefusalKind.STAMP),
        (0, -1, None, RefusalKind.STAMP),
        (0, 1001, None, RefusalKind.STAMP),
        (0, 8, (4, 12), RefusalKind.OUT_OF_ORDER),
        (0, 8, (0, 8), RefusalKind.OUT_OF_ORDER),
        (0, 9, (0, 8), None),
    ],
)
def test_a_command_must_answer_a_recent_joint_state_and_follow_the_one_before(stamp_ms, reach_ms, previous_ms, kind):
    newest_ns = 10**18
    previous = None if previous_ms is None else (newest_ns + previous_ms[0] * MS, newest_ns + previous_ms[1] * MS)
    found = check_stamps(newest_ns + stamp_ms * MS, newest_ns + reach_ms * MS, newest_ns, previous, 0.02, 0.25)
    assert (found.kind if found else None) is kind


def test_a_late_answer_may_be_for_now_and_no_command_is_for_much_later():
    newest_ns = 10**18
    slow = newest_ns - 3000 * MS  # a slow network answers a joint state of three seconds ago
    assert check_stamps(slow, newest_ns + 8 * MS, newest_ns, None, 0.02, 4.0) is None
    assert_refused(
        check_stamps(slow, newest_ns + 1001 * MS, newest_ns, None, 0.02, 4.0), RefusalKind.STAMP, "at most 1 s from now"
    )
    assert_refused(check_stamps(slow, newest_ns, newest_ns, None, 0.02, 0.25), RefusalKind.STAMP, "3.000 s older")


def test_a_little_beyond_the_limits_is_for_clamping_and_far_beyond_is_refused_with_a_hint():
    lower, upper = np.array([-1.0, 0.0]), np.array([1.0, 1.5])
    assert check_range(("a", "b"), np.array([1.05, 0.0]), lower, upper, 0.5) is None
    assert_refused(
        check_range(("a", "b"), np.array([0.0, 90.0]), lower, upper, 0.5), RefusalKind.BEYOND_LIMITS, "'b'", "degrees"
    )
    assert_refused(check_range(("a", "b"), np.array([1e308, 0.0]), lower, upper, 0.5), RefusalKind.BEYOND_LIMITS, "'a'")


def test_a_jump_is_refused_with_joint_and_size():
    assert check_jump(("a", "b"), np.array([0.1, 0.9]), np.zeros(2), 1.0, "jump") is None
    assert_refused(
        check_jump(("a", "b"), np.array([0.1, -1.2]), np.zeros(2), 1.0, "jump"), RefusalKind.JUMP, "'b'", "1.20"
    )
