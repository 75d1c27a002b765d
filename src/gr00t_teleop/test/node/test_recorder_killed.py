# SPDX-License-Identifier: Apache-2.0
"""A whole recorder that is killed in an episode: what came over DDS until a quarter of a second before is saved."""

import signal
import time
from pathlib import Path

from gr00t_msgs.msg import RecorderState
from recorder_scene import RATE_HZ, numbers, recorder_process, scene_of

from gr00t_policy.data.bag import read_bag
from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_teleop.recording.recovery import recover_bag

_LOSS_S = 0.25


def test_a_recorder_that_is_killed_in_an_episode_loses_at_most_a_quarter_of_a_second(tmp_path):
    with scene_of(tmp_path) as scene:
        scene.sending.set()
        for recorded_s in (0.7, 1.3):  # from the start of an episode to anywhere between two chunks
            folder = tmp_path / f"episodes_{recorded_s}"
            with recorder_process(folder, instruction="wave") as process:
                scene.ready()
                assert scene.call("start").success
                scene.wait_state(RecorderState.RECORDING)
                time.sleep(recorded_s)
                killed_ns = time.time_ns()
                process.send_signal(signal.SIGKILL)
                process.wait(60)
            (bag,) = folder.glob("episode_*")
            assert not (bag / "metadata.yaml").exists()
            recovery = recover_bag(bag)
            newest_ns = max(message.publish_ns for message in read_bag(recovery.out, ["/joints"]))
            assert (killed_ns - newest_ns) / 1e9 <= _LOSS_S
            _check_content(recovery.out, recorded_s)
            scene.state = RecorderState()  # latched: the next recorder's own word is to be heard


def test_an_episode_in_review_is_kept_by_the_end_of_its_recorder_and_after_a_kill_by_the_next_one(tmp_path):
    folder = tmp_path / "episodes"
    with scene_of(tmp_path) as scene:
        scene.sending.set()
        for end, left in ((signal.SIGKILL, ["pending"]), (signal.SIGINT, ["decided", "decided"])):
            with recorder_process(folder, instruction="wave") as process:
                scene.ready()
                assert scene.call("start").success
                scene.wait_state(RecorderState.RECORDING)
                time.sleep(0.2)
                assert scene.call("stop").success
                scene.wait_state(RecorderState.REVIEW)
                process.send_signal(end)
                process.wait(60)
            bags = sorted(folder.glob("episode_*"))
            assert [read_metadata(bag)["custom_data"]["review"] for bag in bags] == left
            scene.state = RecorderState()


def _check_content(bag: Path, recorded_s: float) -> None:
    joints, modes = numbers(bag)
    assert joints == list(range(joints[0], joints[-1] + 1)), "whole and in order"
    assert len(joints) > (recorded_s - _LOSS_S) * RATE_HZ * 0.5 and modes == ["early"]
    assert read_metadata(bag)["custom_data"]["instruction"] == "wave"


def test_a_recorder_that_can_receive_no_more_ends_and_keeps_what_it_had(tmp_path):
    """A fault in the thread that receives, after 50 messages of the episode; it would look alive and record nothing."""
    (tmp_path / "sitecustomize.py").write_text(
        "from gr00t_teleop.recording.episode_recorder import EpisodeRecorder\n"
        "message, ready = EpisodeRecorder.message, []\n"
        "def failing(self, received, now_ns):\n"
        "    ready.append(received) if self.report(now_ns).state.name == 'RECORDING' else None\n"
        "    return message(self, received, now_ns) if len(ready) < 50 else {}['a fault']\n"
        "EpisodeRecorder.message = failing\n"
    )
    folder = tmp_path / "episodes"
    with scene_of(folder) as scene, recorder_process(folder, tmp_path, instruction="wave") as process:
        scene.ready()
        assert scene.call("start").success
        assert process.wait(60) == 1
    (bag,) = folder.glob("episode_*")
    assert (bag / "metadata.yaml").is_file()
    assert 20 < sum(1 for _ in read_bag(bag, ["/joints"])) <= 50
