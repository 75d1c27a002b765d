# SPDX-License-Identifier: Apache-2.0
"""The made-up person moves as people do, a headset's checks believe every sample, and their hand works the robot's."""

import numpy as np
import pytest
from fake_headset import frame

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.clutch_gesture import ClutchGesture
from gr00t_teleop.devices.sample_checks import REASONS
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.webxr_frame import WebXrFrame, decode_frame, encode_frame
from gr00t_teleop.person.human_hand import CLUTCH, GRASP, OPEN, RELAXED, HandShape, blend, keypoints, shape_from
from gr00t_teleop.person.movement import POSITION_M, Tremor, reach_time_s, smooth_share
from gr00t_teleop.person.person import Person, random_build
from gr00t_teleop.retargeting.fingers import HandRetargeting
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector
from gr00t_teleop.types import KEYPOINTS, tracked

GR1 = load_embodiment("gr1")
SIDES = ("left", "right")
HZ = 90
SHAPES = (RELAXED, OPEN, GRASP, CLUTCH)
NOWHERE = Pose(np.zeros(3), np.eye(3))


def a_person(seed: int) -> Person:
    rng = np.random.default_rng(seed)
    return Person(random_build(rng, dict.fromkeys(SIDES, np.eye(3))), rng)


def lived(person: Person, seconds: float, first: int = 0) -> list:
    samples = []
    for number in range(first, first + round(seconds * HZ)):
        person.advance(1 / HZ)
        samples.append(person.sample(round(number / HZ * 1e9), number + 1))
    return samples


def test_a_frame_is_decoded_to_what_was_encoded() -> None:
    """To the round-off of the page's numbers, which are float32."""
    sent = lived(a_person(0), 0.2)[-1]
    for has_button in (True, False):
        got = decode_frame(encode_frame(WebXrFrame(sent, has_button)), connection=3)
        assert got.has_button == has_button
        assert (got.sample.sequence, got.sample.epoch) == (sent.sequence, 3_000_001)
        assert got.sample.stamp_ns == pytest.approx(sent.stamp_ns, abs=1e5)
        for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand"):
            before, after = getattr(sent, name), getattr(got.sample, name)
            np.testing.assert_allclose(after[..., :3], before[..., :3], atol=1e-6)
            same = np.abs((after[..., 3:] * before[..., 3:]).sum(axis=-1))
            np.testing.assert_allclose(same, 1.0, atol=1e-6)


def test_what_the_page_sends_is_what_is_encoded_from_it() -> None:
    page = frame(1.25, sequence=7, clutch=1.0).tobytes()
    again = encode_frame(WebXrFrame(decode_frame(page, 0).sample, has_button=True))
    np.testing.assert_allclose(np.frombuffer(again, "<f4"), np.frombuffer(page, "<f4"), atol=1e-6)


def test_a_hand_that_is_not_seen_is_not_sent_and_a_sample_without_time_is_refused() -> None:
    sent = decode_frame(frame(1.0, sequence=1).tobytes(), 0).sample
    sent.left_hand[KEYPOINTS.index("ring_tip")] = np.nan
    got = decode_frame(encode_frame(WebXrFrame(sent, has_button=False)), 0).sample
    assert not tracked(got.left_hand).any() and tracked(got.right_hand).all() and tracked(got.left_wrist)
    with pytest.raises(MessageError, match="needs the time of its sample"):
        encode_frame(WebXrFrame(sent.__class__(None, 1, 1, False, **_poses(sent)), has_button=False))


@pytest.mark.parametrize(
    ("place", "number"), [(0, 1), (1, 1e38), (1, 2**24), (1, np.nan), (2, 1e12), (4, np.inf), (6, -1)]
)
def test_a_frame_whose_header_cannot_be_is_refused(place, number) -> None:
    """A sequence beyond all bounds would be that of every later message, and too large for its field."""
    page = frame(1.0, sequence=7)
    page[place] = number
    with pytest.raises(MessageError, match="expected format 2 and numbers from 0 to 16777216; load the page again"):
        decode_frame(page.tobytes(), 0)


def _poses(sample) -> dict[str, np.ndarray]:
    return {name: getattr(sample, name) for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand")}


def test_a_movement_begins_and_ends_at_rest_and_is_fastest_in_its_middle() -> None:
    share = np.array([smooth_share(part) for part in np.linspace(0.0, 1.0, 201)])
    speed = np.diff(share) * 200
    assert share[0] == 0.0 and share[-1] == 1.0 and speed.min() > 0.0
    assert speed[0] < 0.01 > speed[-1]
    assert speed.argmax() in (99, 100) and speed.max() == pytest.approx(1.875, abs=1e-3)
    assert reach_time_s(0.3, 0.0) < reach_time_s(0.6, 0.0) > reach_time_s(0.0, 0.5)


def test_hands_shake_by_millimetres_whatever_the_rate_of_samples() -> None:
    for rate_hz in (72, 200):
        tremor = Tremor(np.random.default_rng(0), POSITION_M)
        noise = np.array([tremor.step(1 / rate_hz) for _ in range(60 * rate_hz)])
        expected = np.hypot(np.hypot(POSITION_M.drift, POSITION_M.tremor), POSITION_M.tracker)
        assert noise.std() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_a_reach_ends_where_it_was_meant_to_within_a_persons_error_along_their_heading(seed: int) -> None:
    person = a_person(seed)
    before = lived(person, 0.1)[-1]
    shift = np.array([0.2, 0.1, -0.25])
    person.move("right", shift, np.array([0.0, 0.0, 0.5]))
    after = lived(person, 3.0)[-1]
    assert person.rests
    heading = 2.0 * np.arctan2(after.head[5], after.head[6])
    moved = _turned(after.right_wrist[:3] - before.right_wrist[:3], -heading)
    assert np.linalg.norm(moved - shift) < 0.06
    assert np.linalg.norm(after.left_wrist[:3] - before.left_wrist[:3]) < 0.015


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1], vector[2]])


def test_the_same_seed_is_the_same_motion_and_another_seed_another_person() -> None:
    one, same, other = (lived(a_person(seed), 0.1)[-1] for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.right_hand, same.right_hand)
    assert np.abs(one.right_hand - other.right_hand).max() > 0.01


def test_every_sample_of_a_lively_person_passes_the_checks_of_a_device() -> None:
    person, stream, states = a_person(1), SampleStream("test"), []
    rng = np.random.default_rng(2)
    number = 0
    for _ in range(8):
        for side in SIDES:
            person.move(side, rng.uniform(-0.2, 0.2, 3), rng.uniform(-0.8, 0.8, 3))
            person.bend(side, SHAPES[rng.integers(len(SHAPES))], 0.5)
        for sample in lived(person, 0.8, number):
            stream.push(sample, sample.stamp_ns + 10**15, states.append)
            number += 1
    counts = stream.counters()
    assert len(states) == number and all(counts[reason] == 0 for reason in (*REASONS, "late", "repeated"))


@pytest.mark.parametrize("side", SIDES)
def test_key_points_go_with_the_wrist_and_bones_keep_their_length_in_every_shape(side: str) -> None:
    place = Pose(np.array([0.4, -0.2, 1.1]), rotation_from_vector(np.array([0.3, -0.8, 0.5])))
    lengths = []
    for shape in SHAPES:
        there, here = keypoints(side, shape, place), keypoints(side, shape, NOWHERE)
        np.testing.assert_allclose(there[:, :3], here[:, :3] @ place.rotation.T + place.position, atol=1e-12)
        chain = here[KEYPOINTS.index("index_proximal") : KEYPOINTS.index("index_tip") + 1, :3]
        lengths.append(np.linalg.norm(np.diff(chain, axis=0), axis=1))
    np.testing.assert_allclose(lengths, np.tile(lengths[0], (len(SHAPES), 1)), atol=1e-12)


def test_the_left_hand_is_the_right_one_in_a_mirror_and_a_shape_is_its_numbers() -> None:
    for shape in SHAPES:
        left, right = (keypoints(side, shape, NOWHERE)[:, :3] for side in SIDES)
        np.testing.assert_allclose(left * [1, -1, 1], right, atol=1e-12)
        assert shape_from(shape.numbers()) == shape
    half = blend(OPEN, GRASP, 0.5)
    assert isinstance(half, HandShape) and half.knuckles[0] == pytest.approx(0.5 * (0.05 + 0.95))


@pytest.mark.parametrize("size", [0.85, 1.0, 1.15])
def test_the_gesture_of_the_clutch_is_recognised_and_no_other_shape_is(size: float) -> None:
    for shape in SHAPES:
        gesture = ClutchGesture()
        both = [keypoints(side, shape, NOWHERE, size) for side in SIDES]
        closed = [gesture.clutch(*both, round(i * 2e7)) for i in range(1, 60)][-1]
        assert closed == (shape is CLUTCH)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [0.85, 1.15])
def test_a_human_hand_that_closes_around_a_thing_closes_the_robots_and_opens_it(side: str, size: float) -> None:
    """Though neither finger lengths nor the thumb's root are the robot's. A can of 6 cm is to fit between open and closed."""
    hand = HandRetargeting(GR1, side)
    gaps = {}
    for name, shape in (("open", OPEN), ("grasp", GRASP)):
        points = keypoints(side, shape, Pose(np.ones(3), rotation_from_vector(np.array([1.0, -0.5, 2.0]))), size)
        for _ in range(40):
            found = hand.follow(points)
        assert found is not None
        tips = hand.tips(found)
        gaps[name] = np.linalg.norm(tips[0] - tips[1:4].mean(axis=0))
        assert (found[:4].max() < 0.3) if name == "open" else (found[:4].min() > 0.75)
        assert found[4] > 1.2, "the thumb stands against the fingers"
    assert gaps["grasp"] < 0.035 < 0.09 < gaps["open"]
