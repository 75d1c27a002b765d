# SPDX-License-Identifier: Apache-2.0
"""Stamped values become an observation only when they are there, fresh, close together and sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_data import HEIGHT, WIDTH, small_robot

from gr00t_policy.core.embodiment import Camera
from gr00t_policy.core.types import Observation
from gr00t_policy.data.streams import ObservationStreams, Reason, Refusal, StreamLimits

MS = 1_000_000
START = 1_000_000 * MS
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def streams(**options) -> ObservationStreams:
    return ObservationStreams(small_robot(), **options)


def ready(at: int = START) -> ObservationStreams:
    """Streams that have seen one image, one state and a sentence at ``at``."""
    made = streams()
    made.set_instruction("pick up the can")
    made.add_image("head", IMAGE, at, at)
    made.add_state(np.zeros(6), at, at)
    return made


def reason(result) -> Reason | None:
    return result.reason if isinstance(result, Refusal) else None


def test_complete_and_fresh_values_make_an_observation():
    observation = ready().observe(START + 10 * MS)
    assert isinstance(observation, Observation)
    assert observation.instruction == "pick up the can"
    assert observation.images["head"].shape == IMAGE.shape
    assert observation.state.dtype == np.float32
    assert (observation.image_stamp_ns, observation.state_stamp_ns) == (START, START)


@pytest.mark.parametrize("missing", ["instruction", "image", "state"])
def test_the_first_thing_missing_is_named(missing):
    made = streams()
    if missing != "instruction":
        made.set_instruction("go")
    if missing != "image":
        made.add_image("head", IMAGE, START, START)
    if missing != "state":
        made.add_state(np.zeros(6), START, START)
    expected = {"instruction": Reason.NO_INSTRUCTION, "image": Reason.NO_IMAGE, "state": Reason.NO_STATE}
    assert reason(made.observe(START)) is expected[missing]


@given(st.integers(0, 1000))
def test_an_observation_is_given_exactly_while_every_age_is_within_its_limit(age_ms):
    made = ready()
    result = made.observe(START + age_ms * MS)
    if age_ms > 300:
        assert reason(result) is Reason.STALE_IMAGE
    elif age_ms > 100:
        assert reason(result) is Reason.STALE_STATE
    else:
        assert isinstance(result, Observation)
    assert made.image_age_s(START + age_ms * MS) == pytest.approx(age_ms / 1000)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True), st.integers(0, 200))
def test_the_state_given_is_the_one_nearest_to_the_image(stamps_ms, image_ms):
    made = streams(limits=StreamLimits(max_skew_s=1.0, max_state_age_s=1.0))
    made.set_instruction("go")
    now = START + 200 * MS
    made.add_image("head", IMAGE, START + image_ms * MS, now)
    for stamp in sorted(stamps_ms):
        made.add_state(np.full(6, stamp), START + stamp * MS, now)
    observation = made.observe(now)
    assert abs(observation.state[0] - image_ms) == min(abs(stamp - image_ms) for stamp in stamps_ms)
    assert observation.state_stamp_ns == START + int(observation.state[0]) * MS


@given(st.permutations(range(8)))
def test_only_the_newest_of_values_in_any_order_counts(order):
    made = streams()
    made.set_instruction("go")
    now, newest = START + 10 * MS, -1
    for value in order:
        taken = made.add_image("head", np.full_like(IMAGE, value), START + value * MS, now)
        assert (taken is None) == (value > newest)
        newest = max(newest, value)
    made.add_state(np.zeros(6), START, now)
    assert made.observe(now).images["head"][0, 0, 0] == 7


def test_a_value_seen_before_is_refused_and_counted():
    made = ready()
    assert reason(made.add_image("head", IMAGE, START, START + MS)) is Reason.OUT_OF_ORDER
    assert reason(made.add_state(np.zeros(6), START - MS, START + MS)) is Reason.OUT_OF_ORDER
    assert made.refused[Reason.OUT_OF_ORDER] == 2


def test_image_and_state_too_far_apart_are_refused():
    made = streams()
    made.set_instruction("go")
    made.add_image("head", IMAGE, START, START)
    made.add_state(np.zeros(6), START + 60 * MS, START + 60 * MS)
    refusal = made.observe(START + 60 * MS)
    assert refusal.reason is Reason.TOO_FAR_APART
    assert "0.060 s apart, at most 0.050 s" in refusal.detail


def test_cameras_too_far_apart_are_refused_and_the_stamp_is_the_older_ones():
    cameras = tuple(Camera(name, WIDTH, HEIGHT, 20.0, name) for name in ("left", "right"))
    made = ObservationStreams(small_robot(cameras=cameras), needs_state=False)
    made.set_instruction("go")
    made.add_image("left", IMAGE, START, START)
    assert reason(made.observe(START)) is Reason.NO_IMAGE
    made.add_image("right", IMAGE, START + 30 * MS, START + 30 * MS)
    assert made.observe(START + 30 * MS).image_stamp_ns == START
    made.add_image("right", IMAGE, START + 90 * MS, START + 90 * MS)
    assert reason(made.observe(START + 90 * MS)) is Reason.TOO_FAR_APART


def test_without_need_of_a_state_images_and_a_sentence_are_enough():
    made = streams(needs_state=False)
    made.set_instruction("go")
    made.add_image("head", IMAGE, START, START)
    assert made.observe(START).state.shape == (0,)
    made.add_state(np.ones(6), START - 80 * MS, START)
    assert made.observe(START).state.tolist() == [1.0] * 6


@pytest.mark.parametrize("ahead_ms", [21, 1000])
def test_a_stamp_from_the_future_is_refused_and_does_not_block_what_follows(ahead_ms):
    made = ready()
    later = START + 10 * MS
    assert reason(made.add_image("head", IMAGE, later + ahead_ms * MS, later)) is Reason.FROM_THE_FUTURE
    assert reason(made.add_state(np.zeros(6), later + ahead_ms * MS, later)) is Reason.FROM_THE_FUTURE
    assert made.add_image("head", IMAGE, later, later) is None
    assert isinstance(made.observe(later), Observation)


def test_after_the_clock_was_set_back_old_values_are_forgotten_and_new_ones_taken():
    made = ready()
    restart = 5 * MS
    assert reason(made.observe(restart)) is Reason.NO_IMAGE
    assert made.add_image("head", IMAGE, restart, restart) is None
    assert made.add_state(np.zeros(6), restart, restart) is None
    assert made.observe(restart).image_stamp_ns == restart


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_joint_that_is_not_finite_is_named_and_the_last_good_state_stays(bad):
    made = ready()
    state = np.ones(6)
    state[4] = bad
    refusal = made.add_state(state, START + MS, START + MS)
    assert refusal.reason is Reason.WRONG_STATE
    assert small_robot().policy_joint_names[4] in refusal.detail
    assert not made.observe(START + MS).state.any()


def test_a_state_of_another_width_is_refused():
    assert reason(ready().add_state(np.zeros(5), START + MS, START + MS)) is Reason.WRONG_STATE


@pytest.mark.parametrize(
    "image",
    [np.zeros((WIDTH, HEIGHT, 3), np.uint8), np.zeros((0, 0, 3), np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.float32)],
)
def test_an_image_of_another_size_or_type_is_refused_with_both(image):
    refusal = ready().add_image("head", image, START + MS, START + MS)
    assert refusal.reason is Reason.WRONG_IMAGE
    assert f"expected ({HEIGHT}, {WIDTH}, 3) uint8 RGB, got {image.shape}" in refusal.detail


def test_an_unknown_camera_is_refused():
    assert reason(ready().add_image("chest", IMAGE, START + MS, START + MS)) is Reason.UNKNOWN_CAMERA


def test_an_empty_sentence_takes_the_old_one_away():
    made = ready()
    assert made.set_instruction("  ") is None
    assert reason(made.observe(START)) is Reason.NO_INSTRUCTION


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("x" * 10_000, "the sentence has 10000 bytes; at most 1000 are taken"),
        ("ü" * 501, "the sentence has 1002 bytes"),
        ("take\u2028it", "the sentence has control characters"),
        ("take \x1b[2J it", "the sentence has control characters"),
        ("take \ufffd it", "the sentence is not UTF-8"),
    ],
)
def test_a_sentence_nobody_may_say_is_refused_and_the_old_one_stays(sentence, why):
    made = ready()
    refusal = made.set_instruction(sentence)
    assert reason(refusal) is Reason.WRONG_INSTRUCTION
    assert why in refusal.detail
    assert made.observe(START).instruction == "pick up the can"


def test_a_stored_state_does_not_follow_the_callers_array():
    made, state = streams(), np.zeros(6, np.float32)
    made.set_instruction("go")
    made.add_image("head", IMAGE, START, START)
    made.add_state(state, START, START)
    state[:] = 9
    assert not made.observe(START).state.any()
