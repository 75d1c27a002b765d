# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process among real publishers: gating, episodes by action and by service, losses, discarding."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gr00t_msgs.action import RecordEpisode
from gr00t_msgs.msg import RecorderState
from gr00t_msgs.srv import FinishEpisode
from recorder_scene import Scene, command, numbers, recorder_process, scene_of, wait_until
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.ros import qos
from gr00t_teleop.recording.software import software_versions


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recorder") / "episodes"


@pytest.fixture(scope="module")
def scene(folder: Path) -> Iterator[Scene]:
    with recorder_process(folder), scene_of(folder) as made:
        yield made


def test_without_the_required_topic_the_recorder_is_idle_and_names_it(scene):
    scene.sending.clear()
    scene.wait_state(RecorderState.IDLE)
    result = scene.outcome(scene.record(instruction="wave"))
    assert (result.success, result.error_code) == (False, RecordEpisode.Result.ERROR_NO_DATA)
    assert result.error_msg.startswith("/joints ")
    assert scene.state.topics[-1].name == "/joints" and scene.state.topics[-1].required
    assert not list(scene.folder.glob("episode_*"))


def test_an_episode_by_the_action_holds_every_message_and_the_latched_one_from_before(scene):
    scene.ready()
    feedback = []
    goal = scene.record(feedback.append, instruction="wave", operator_name="Ada", max_duration_s=1.2)
    assert goal.accepted
    scene.wait_state(RecorderState.RECORDING)
    busy = scene.outcome(scene.record(instruction="again"))
    assert busy.error_code == RecordEpisode.Result.ERROR_BUSY
    result = scene.outcome(goal)
    assert result.success and result.error_code == RecordEpisode.Result.ERROR_NONE
    joints, modes = numbers(Path(result.bag_path))
    assert joints == list(range(joints[0], joints[-1] + 1)) and len(joints) > 80
    assert modes == ["early"] and result.messages == len(joints) + 1
    assert feedback
    facts = read_metadata(Path(result.bag_path))["custom_data"]
    assert (facts["instruction"], facts["operator"], facts["messages_lost"]) == ("wave", "Ada", "0")
    assert facts["embodiment"] == "gr1"
    software = {f"version.{name}": number for name, number in software_versions().items()}
    assert facts.items() >= software.items() and "version.gr00t_policy" in software
    scene.wait_state(RecorderState.REVIEW)
    finished = scene.call("finish", FinishEpisode, keep=True, outcome="success")
    assert finished.success and finished.bag_path == result.bag_path
    assert read_metadata(Path(result.bag_path))["custom_data"]["outcome"] == "success"


def test_cancelling_ends_and_keeps_what_was_recorded(scene):
    scene.ready()
    goal = scene.record(instruction="wave")
    scene.wait_state(RecorderState.RECORDING)
    time.sleep(0.3)
    scene.asked(goal.cancel_goal_async)
    result = scene.outcome(goal)
    assert result.success and result.error_code == RecordEpisode.Result.ERROR_CANCELED
    assert len(numbers(Path(result.bag_path))[0]) == result.messages - 1 > 0
    assert scene.call("keep").success
    scene.wait_state(RecorderState.READY)


def test_services_start_stop_discard_and_snapshot_and_a_required_topic_that_stops_raises_the_alarm(scene):
    scene.ready()
    assert "needs a sentence" in scene.call("start").message
    sentences = scene.node.create_publisher(String, "language_command", qos.LANGUAGE)
    wait_until(lambda: sentences.get_subscription_count() >= 1)
    sentences.publish(String(data="put it down"))
    wait_until(lambda: scene.call("start").success)
    scene.wait_state(RecorderState.RECORDING)
    assert scene.state.instruction == "put it down"
    scene.alarms.clear()
    scene.sending.clear()
    wait_until(lambda: any("/joints fell silent" in alarm for alarm in scene.alarms))
    scene.sending.set()
    saved = scene.call("snapshot")
    assert saved.success and scene.call("stop").success
    wait_until((Path(saved.message) / "metadata.yaml").exists)
    assert len(numbers(Path(saved.message))[0]) > 10
    scene.wait_state(RecorderState.REVIEW)
    discarded = scene.call("discard")
    assert discarded.success and "/discarded/episode_" in discarded.message
    assert numbers(Path(discarded.message))[0]
    scene.wait_state(RecorderState.READY)


def test_a_second_recorder_on_the_same_folder_is_refused_clearly(scene):
    second = subprocess.run(
        [*command(scene.folder), "-r", "__node:=second"], capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 1
    assert "another recorder (process" in second.stderr and "give this one another folder" in second.stderr


def test_a_recorder_that_is_told_to_stop_closes_and_keeps_its_episode(scene, tmp_path):
    with subprocess.Popen([*command(tmp_path), "-p", "instruction:=wave", "-r", "__ns:=/other"]) as process:
        try:
            start = scene.node.create_client(Trigger, "/other/recorder/start")
            joints = scene.node.create_publisher(Float64MultiArray, "/other/joints", qos.SENSOR)
            timer = scene.node.create_timer(0.01, lambda: joints.publish(Float64MultiArray(data=[1.0])))
            assert start.wait_for_service(60.0)
            wait_until(lambda: scene.result(start.call_async(Trigger.Request())).success)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            scene.node.destroy_timer(timer)
    (bag,) = tmp_path.glob("episode_*")
    assert len(numbers(bag)[0]) > 20
    assert read_metadata(bag)["custom_data"]["end"] == "the recorder ended"
