# SPDX-License-Identifier: Apache-2.0
"""Which silence keeps an episode from starting, which raises the alarm while it lasts, and which means nothing."""

import dataclasses

import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagMessage, BagTopic
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.requirement import Requirement, requirements, robot_with_cameras
from gr00t_teleop.recording.watched_topics import WatchedTopics

S = 1_000_000_000
RAW, JPEG = "/camera/ego_view/image_raw", "/camera/ego_view/image_raw/compressed"
CAMERA = Requirement((RAW, JPEG), 20.0, "set require_cameras to false to record without pictures")
JOINTS = Requirement(("/joint_states",), 100.0)
EVENT = Requirement(("/event",))  # any rate will do


class Robot:
    """Topics that are sent at a rate for a time; the clock is the test's."""

    def __init__(self, *required: Requirement, topics: tuple[str, ...] = (), pausing: tuple[str, ...] = ()) -> None:
        self.watched = WatchedTopics(topics, required, pausing, silent_s=1.0)
        self.now_ns = 100 * S
        self._sequences: dict[str, int] = {}

    def publish(self, name: str, *, latched: bool = False) -> None:
        self.watched[name].topic, self.watched[name].latched = BagTopic(name, "std_msgs/msg/String", ""), latched

    def run(self, seconds: float, **rates_hz: float) -> None:
        """rates_hz: by the last word of a topic's name; the others are silent. A message every hundredth of a second at most."""
        for hundredth in range(round(seconds * 100)):
            self.now_ns += S // 100
            for watch in self.watched:
                rate_hz = rates_hz.get(watch.name.rpartition("/")[2], 0.0)
                if rate_hz and hundredth % round(100 / rate_hz) == 0:
                    self.send(watch.name)

    def send(self, name: str) -> None:
        if self.watched[name].topic is None:
            self.publish(name)
        number = self._sequences[name] = self._sequences.get(name, 0) + 1
        self.watched[name].receive(BagMessage(name, b"", self.now_ns, self.now_ns, number), self.now_ns)

    def begin(self) -> None:
        assert self.watched.silent(self.now_ns) == []
        self.watched.begin_episode(self.now_ns)

    @property
    def troubles(self) -> list[str]:
        return self.watched.troubles(self.now_ns)


@pytest.mark.parametrize("sent", ["image_raw", "compressed"])
def test_a_camera_that_stops_in_an_episode_raises_the_alarm_whichever_form_of_its_pictures_is_sent(sent):
    robot = Robot(JOINTS, CAMERA)
    robot.run(3.0, joint_states=100, **{sent: 20})
    robot.begin()
    robot.run(3.0, joint_states=100, **{sent: 20})
    assert robot.troubles == []
    robot.run(10.0, joint_states=100)
    (trouble,) = robot.troubles
    assert sent in trouble and "fell silent 10.0 s ago" in trouble
    robot.run(2.0, joint_states=100, **{sent: 20})
    assert robot.troubles == [], "and it ends when the pictures come again"


def test_pictures_that_come_too_slowly_raise_the_alarm_and_the_faster_form_of_them_counts():
    robot = Robot(CAMERA)
    robot.run(3.0, image_raw=20)
    robot.begin()
    robot.run(3.0, image_raw=20, compressed=5)
    assert robot.troubles == []
    robot.run(3.0, image_raw=10, compressed=5)
    assert robot.troubles == [f"{RAW} comes at 10 Hz instead of 20"]


def test_without_any_form_of_its_pictures_a_camera_is_silent_and_both_names_and_the_way_out_are_said():
    robot = Robot(CAMERA)
    (silent,) = robot.watched.silent(robot.now_ns)
    assert silent == (
        f"{RAW} has no publisher, nor has {JPEG}: start the node that sends it, "
        "or set require_cameras to false to record without pictures"
    )
    robot.publish(JPEG)
    assert robot.watched.silent(robot.now_ns) == [f"{JPEG} is published but nothing came yet: is its sender active?"]


def test_a_required_topic_of_any_rate_raises_the_alarm_when_it_falls_silent():
    robot = Robot(EVENT)
    robot.run(0.5, event=2)
    robot.begin()
    robot.run(10.0)
    assert len(robot.troubles) == 1 and "/event fell silent" in robot.troubles[0]


def test_every_stream_that_stops_is_missed_also_one_that_is_not_required_and_came_only_later():
    robot = Robot(JOINTS, topics=("/operator_state", "/late"))
    robot.run(2.0, joint_states=100, operator_state=50)
    robot.begin()
    robot.run(2.0, joint_states=100, late=50)
    assert [trouble.split()[0] for trouble in robot.troubles] == ["/operator_state"]
    robot.run(2.0, joint_states=100)
    assert [trouble.split()[0] for trouble in robot.troubles] == ["/operator_state", "/late"]


def test_the_silence_of_sentences_states_pausing_topics_and_of_what_was_gone_before_is_no_alarm():
    names = ("/language_command", "/state", "/teleop/joint_trajectory", "/gone")
    robot = Robot(JOINTS, topics=names, pausing=("/teleop/joint_trajectory",))
    robot.publish("/state", latched=True)
    robot.run(2.0, joint_states=100, gone=50)
    robot.run(3.0, joint_states=100, joint_trajectory=100, state=20)
    robot.begin()
    for _ in range(3):
        robot.send("/language_command")
    robot.run(2.0, joint_states=100, joint_trajectory=100, state=20)
    robot.run(10.0, joint_states=100)
    assert robot.troubles == []


def test_a_topic_whose_type_is_not_installed_is_said_as_that_whether_it_is_required_or_not():
    reason = "message type foo_msgs/msg/Bar is not installed: build or install the package 'foo_msgs'"
    robot = Robot(JOINTS, EVENT, topics=("/extra",))
    robot.run(1.0, joint_states=100)
    robot.watched["/event"].refused = robot.watched["/extra"].refused = reason
    assert robot.watched.silent(robot.now_ns) == [f"/event cannot be recorded: {reason}"]
    assert robot.watched.refusals() == [f"/extra cannot be recorded: {reason}"]
    assert f"/extra cannot be recorded: {reason}" in robot.troubles
    assert robot.watched.refused == {"/event": reason, "/extra": reason}


def test_the_cameras_of_the_robot_are_required_at_their_rate_unless_pictures_are_not_wanted_or_it_is_said_otherwise():
    config = RecorderConfig()
    gr1 = load_embodiment("gr1")
    *_, camera = requirements(config, robot_with_cameras(config))
    assert camera.resolved(lambda name: f"/{name}") == CAMERA and gr1.cameras[0].rate_hz == CAMERA.rate_hz
    blind = RecorderConfig(require_cameras=False, embodiment="nobody")
    assert [each.topics for each in requirements(blind, robot_with_cameras(blind))] == [
        (topic,) for topic in config.required_topics
    ]
    named = dataclasses.replace(config, required_topics=(JPEG.lstrip("/"),), required_rates_hz=(30.0,))
    assert requirements(named, gr1) == [Requirement((JPEG.lstrip("/"),), 30.0)]


def test_a_robot_that_is_not_known_is_refused_with_what_to_do():
    config = RecorderConfig(embodiment="nobody")
    with pytest.raises(ConfigError, match="no embodiment 'nobody'.*shipped ones: .*gr1.*require_cameras to false"):
        robot_with_cameras(config)
