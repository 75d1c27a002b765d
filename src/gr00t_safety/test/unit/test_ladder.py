# SPDX-License-Identifier: Apache-2.0
"""The ladder goes down whenever it must and up only as the table allows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr00t_safety.ladder import LATCHING, TRANSITIONS, Event, Ladder, State

# Written out a second time, on purpose: what a person expects of each state, row by row.
EXPECTED = {
    #                  ACTIVATE   DEACTIVATE  INTERRUPT   FAULT      LOSE       STOP       RESUME     RESET
    State.INACTIVE: "HOLD       INACTIVE    INACTIVE    INACTIVE   INACTIVE   INACTIVE   INACTIVE   INACTIVE",
    State.ACTIVE: "ACTIVE     INACTIVE    HOLD        HOLD       DAMPED     STOPPED    ACTIVE     ACTIVE",
    State.HOLD: "HOLD       INACTIVE    HOLD        HOLD       DAMPED     STOPPED    ACTIVE     HOLD",
    State.DAMPED: "DAMPED     INACTIVE    DAMPED      DAMPED     DAMPED     DAMPED     DAMPED     HOLD",
    State.STOPPED: "STOPPED    INACTIVE    STOPPED     STOPPED    STOPPED    STOPPED    STOPPED    HOLD",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_state_answers_every_event_as_expected(state, event):
    assert TRANSITIONS[state, event].name == EXPECTED[state].split()[list(Event).index(event)]


def ladder_after(events: list[Event]) -> Ladder:
    ladder = Ladder()
    for event in events:
        ladder.apply(event, event.value)
    return ladder


event_lists = st.lists(st.sampled_from(list(Event)), max_size=30)


@given(event_lists)
def test_motion_is_only_possible_right_after_resume_with_nothing_latched(events):
    ladder = Ladder()
    for event in events:
        before = ladder.state
        ladder.apply(event, event.value)
        if ladder.state is State.ACTIVE:
            assert ladder.latch is None
            assert before is State.ACTIVE or event is Event.RESUME


@given(event_lists)
def test_nothing_but_a_reset_clears_a_latch(events):
    ladder = Ladder()
    for event in events:
        latched = ladder.latch is not None
        ladder.apply(event, event.value)
        if latched and event is not Event.RESET:
            assert ladder.latch is not None


@given(event_lists, st.sampled_from(sorted(LATCHING, key=str)))
def test_a_latched_ladder_does_not_resume_even_after_deactivation(events, cause):
    ladder = ladder_after([Event.ACTIVATE, cause])
    for event in [e for e in events if e is not Event.RESET] + [Event.DEACTIVATE, Event.ACTIVATE, Event.RESUME]:
        ladder.apply(event, event.value)
        assert ladder.state is not State.ACTIVE


def test_a_stop_requested_while_inactive_holds_after_activation():
    assert ladder_after([Event.STOP, Event.ACTIVATE]).state is State.STOPPED


@pytest.mark.parametrize("causes", list(itertools.permutations(LATCHING)))
def test_after_another_activation_the_gravest_cause_decides_and_all_are_told(causes):
    ladder = ladder_after([Event.ACTIVATE, *causes, Event.DEACTIVATE, Event.ACTIVATE])
    assert ladder.state is State.DAMPED
    assert ladder.reason == "; ".join([*(cause.value for cause in causes), "waits for a reset"])


def test_the_first_cause_of_each_kind_is_told():
    ladder = Ladder()
    ladder.apply(Event.ACTIVATE)
    ladder.apply(Event.FAULT, "first fault")
    ladder.apply(Event.FAULT, "second fault")
    ladder.apply(Event.INTERRUPT, "a stream is missing")
    assert (ladder.state, ladder.reason) == (State.HOLD, "first fault; waits for a reset")
    ladder.apply(Event.STOP, "person")
    assert (ladder.state, ladder.reason) == (State.STOPPED, "first fault; person; waits for a reset")


def test_apply_tells_whether_the_state_changed():
    ladder = Ladder()
    assert ladder.apply(Event.ACTIVATE)
    assert not ladder.apply(Event.INTERRUPT, "still")
    assert ladder.apply(Event.RESUME)
