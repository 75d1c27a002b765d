# SPDX-License-Identifier: Apache-2.0
"""The clutch as a whole: nothing moves by itself, a stop stays, reasons say what to do."""

import random

from gr00t_teleop.retargeting.engagement import Engagement, State


def active() -> Engagement:
    made = Engagement()
    made.activate()
    return made


def test_a_clutch_that_is_closed_at_the_start_must_first_be_opened() -> None:
    made = active()
    assert not made.clutch(closed=True)
    assert (made.state, made.reason) == (State.DISENGAGED, "open the clutch and close it again")
    made.clutch(closed=False)
    assert made.reason == ""
    assert made.clutch(closed=True)
    assert made.state is State.ENGAGED


def test_after_a_drop_a_person_must_open_and_close() -> None:
    made = active()
    made.clutch(closed=False)
    made.clutch(closed=True)
    made.drop("the device was silent")
    assert not made.clutch(closed=True)
    assert made.reason == "the device was silent; open the clutch and close it again"
    made.clutch(closed=False)
    assert made.clutch(closed=True)


def test_a_stop_stays_until_it_is_released_and_release_never_engages() -> None:
    made = active()
    made.clutch(closed=False)
    made.clutch(closed=True)
    made.stop("a person stopped")
    for closed in (False, True, False, True):
        assert not made.clutch(closed=closed)
    assert (made.state, made.reason) == (State.STOPPED, "a person stopped")
    assert made.release()
    assert not made.release()
    assert not made.clutch(closed=True)
    made.clutch(closed=False)
    assert made.clutch(closed=True)


def test_holding_says_why_and_ends_when_all_is_well() -> None:
    made = active()
    made.clutch(closed=False)
    made.clutch(closed=True)
    made.hold("left hand not tracked: held")
    assert (made.state, made.reason) == (State.HOLDING, "left hand not tracked: held")
    made.hold("")
    assert (made.state, made.reason) == (State.ENGAGED, "")


def test_calibration_only_while_disengaged_and_its_result_is_shown_until_the_robot_engages() -> None:
    made = active()
    made.clutch(closed=False)
    assert made.begin_calibration() == ""
    assert not made.clutch(closed=True)
    made.end_calibration("calibrated")
    made.clutch(closed=False)
    assert (made.state, made.reason) == (State.DISENGAGED, "calibrated")
    assert made.clutch(closed=True)
    assert "only a disengaged robot" in made.begin_calibration()
    assert made.reason == ""


def test_whatever_happens_engaging_needs_a_clutch_that_was_open_just_before() -> None:
    rng = random.Random(0)
    for _ in range(300):
        made, opened = Engagement(), False
        for _ in range(60):
            what = rng.choice(["open", "close", "close", "drop", "stop", "release", "activate", "deactivate", "hold"])
            was = made.is_engaged
            if what in ("open", "close"):
                began = made.clutch(closed=what == "close")
                assert not began or opened
                opened = what == "open"
            elif what in ("drop", "stop", "hold"):
                getattr(made, what)("reason")
            else:
                getattr(made, what)()
            assert was or not made.is_engaged or what == "close"
            if what in ("stop", "deactivate") or (what == "drop" and was):
                assert not made.is_engaged
