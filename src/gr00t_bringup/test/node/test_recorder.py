# SPDX-License-Identifier: Apache-2.0
"""The recorder over real DDS: nothing missing, stamps and QoS kept, latched and hidden topics treated rightly."""

import time

import pytest
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from gr00t_bringup.ros.recorder import TopicRecorder
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagWriter, read_bag
from gr00t_policy.ros import qos


def _wait(condition, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def sender(context):
    node = Node("sender", context=context)
    yield node
    node.destroy_node()


def test_every_message_of_a_fast_and_a_big_topic_is_in_the_bag(context, sender, tmp_path):
    joints = sender.create_publisher(JointState, "joint_states", qos.SENSOR)
    images = sender.create_publisher(Image, "camera/ego_view/image_raw", qos.SENSOR)
    with BagWriter(tmp_path / "bag") as bag:
        recorder = TopicRecorder(context, bag)
        _wait(lambda: joints.get_subscription_count() and images.get_subscription_count())
        picture = Image(height=224, width=224, step=672, encoding="rgb8", data=bytes(224 * 224 * 3))
        for index in range(240):
            joints.publish(JointState(name=["a"], position=[float(index)]))
            if index % 6 == 0:
                images.publish(picture)
            time.sleep(1 / 240)
        time.sleep(0.3)
        recorder.close()
    assert recorder.lost["/joint_states"] == 0
    with AnyReader([tmp_path / "bag"]) as reader:
        values = [
            reader.deserialize(raw, connection.msgtype).position[0]
            for connection, _, raw in reader.messages()
            if connection.topic == "/joint_states"
        ]
        by_topic = {connection.topic: connection for connection in reader.connections}
    assert values == [float(index) for index in range(240)]
    assert bag.counts["/camera/ego_view/image_raw"] == 40
    assert by_topic["/joint_states"].ext.offered_qos_profiles[0].reliability.name == "BEST_EFFORT"


def test_stamps_say_when_a_message_was_sent_and_received(context, sender, tmp_path):
    publisher = sender.create_publisher(String, "language_command", qos.LANGUAGE)
    with BagWriter(tmp_path / "bag") as bag:
        recorder = TopicRecorder(context, bag)
        _wait(publisher.get_subscription_count)
        before_ns = time.time_ns()
        publisher.publish(String(data="stop"))
        _wait(lambda: recorder.newest("language_command") is not None)
        after_ns = time.time_ns()
        recorder.close()
    message = next(read_bag(tmp_path / "bag", ["/language_command"]))
    assert before_ns <= message.publish_ns <= message.log_ns <= after_ns
    assert message.sequence == 1


def test_a_latched_message_from_before_is_recorded_and_the_newest_is_kept_for_display(context, sender, tmp_path):
    publisher = sender.create_publisher(String, "state", qos.LATCHED)
    publisher.publish(String(data="early"))
    with BagWriter(tmp_path / "bag") as bag:
        recorder = TopicRecorder(context, bag, namespace="/")
        _wait(lambda: recorder.newest("state") is not None)
        publisher.publish(String(data="late"))
        _wait(lambda: recorder.newest("state").data == "late")
        assert recorder.newest("never_seen") is None
        recorder.close()
    assert bag.counts["/state"] == 2


def test_a_publisher_that_offers_less_than_the_one_before_is_still_recorded(context, sender, tmp_path):
    first = sender.create_publisher(String, "words", qos.LATCHED)
    with BagWriter(tmp_path / "bag") as bag:
        recorder = TopicRecorder(context, bag)
        first.publish(String(data="reliable"))
        _wait(lambda: recorder.newest("words") is not None)
        sender.destroy_publisher(first)
        second = sender.create_publisher(String, "words", qos.SENSOR)

        def heard() -> bool:
            second.publish(String(data="best effort"))
            return recorder.newest("words").data == "best effort"

        _wait(heard)
        recorder.close()


def test_without_a_bag_the_newest_messages_are_still_kept(context, sender):
    publisher = sender.create_publisher(String, "state", qos.LATCHED)
    publisher.publish(String(data="here"))
    recorder = TopicRecorder(context, None)
    _wait(lambda: recorder.newest("state") is not None)
    recorder.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of a fault; the log has it
@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(28, "No space left on device"), "No space left"), (KeyError("/state"), "KeyError: '/state'")],
)
def test_a_disk_or_a_program_that_fails_is_reported_at_the_end_and_does_not_stop_the_run(
    context, sender, tmp_path, error, said
):
    class FullDisk(BagWriter):
        def write(self, message):
            raise error

    publisher = sender.create_publisher(String, "state", qos.LATCHED)
    publisher.publish(String(data="here"))
    recorder = TopicRecorder(context, FullDisk(tmp_path / "bag"))
    _wait(lambda: recorder.failure is not None)
    with pytest.raises(DatasetError, match=said):
        recorder.close()
