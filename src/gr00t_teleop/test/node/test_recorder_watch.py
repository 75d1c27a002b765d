# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process: a camera that dies in an episode, topics of a type that is not installed."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geometry_msgs.msg import PointStamped
from gr00t_msgs.msg import RecorderState
from recorder_scene import Scene, recorder_process, scene_of, wait_until
from sensor_msgs.msg import CompressedImage

from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.ros import qos

_CAMERA = "camera/ego_view/image_raw/compressed"


@contextmanager
def camera(scene: Scene) -> Iterator[None]:
    """Pictures at 40 Hz, as long as it lives."""
    publisher, over = scene.node.create_publisher(CompressedImage, _CAMERA, qos.SENSOR), threading.Event()

    def send() -> None:
        while not over.wait(0.025):
            publisher.publish(CompressedImage(format="jpeg", data=bytes(1000)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        scene.node.destroy_publisher(publisher)


def test_no_episode_starts_without_the_robots_camera_and_one_that_dies_in_an_episode_raises_the_alarm(tmp_path):
    settings = {"require_cameras": "true", "instruction": "wave"}
    with recorder_process(tmp_path, **settings), scene_of(tmp_path) as scene:
        scene.sending.set()
        wait_until(lambda: "/joints" not in scene.state.detail and scene.state.state == RecorderState.IDLE)
        refused = scene.call("start")
        assert not refused.success and f"nor has /{_CAMERA}" in refused.message
        assert "require_cameras" in refused.message
        with camera(scene):
            scene.wait_state(RecorderState.READY)
            assert scene.call("start").success
            scene.wait_state(RecorderState.RECORDING)
            time.sleep(1.0)
        died_s = time.monotonic()
        wait_until(lambda: scene.state.alarm and f"/{_CAMERA} fell silent" in scene.state.detail)
        assert time.monotonic() - died_s < 4.0, "silent_s is 0.5 here, and the state comes twice a second"
        assert scene.state.state == RecorderState.RECORDING
        with camera(scene):
            wait_until(lambda: "fell silent" not in scene.state.detail)
        assert scene.call("stop").success


def test_a_type_that_is_not_installed_is_named_and_noted_in_the_bag(tmp_path):
    """Its package is hidden from the recorder alone; whoever sends it has it."""
    hidden = tmp_path / "hidden" / "geometry_msgs" / "msg"
    hidden.mkdir(parents=True)
    for package in (hidden.parent, hidden):
        (package / "__init__.py").touch()
    why = "message type geometry_msgs/msg/PointStamped is not installed: build or install the package 'geometry_msgs'"
    settings = {"topics": "[mode, ground]", "instruction": "wave"}
    with scene_of(tmp_path) as scene:
        scene.node.create_publisher(PointStamped, "target", qos.SENSOR)
        scene.node.create_publisher(PointStamped, "ground", qos.SENSOR)
        needs = {"required_topics": "[joints, target]", "required_rates_hz": "[60.0, 0.0]"}
        with recorder_process(tmp_path / "a", hidden.parents[1], **settings, **needs):
            scene.sending.set()
            wait_until(lambda: f"/target cannot be recorded: {why}" in scene.state.detail)
            refused = scene.call("start")
            assert not refused.success and f"/target cannot be recorded: {why}" in refused.message
            assert "no publisher" not in refused.message
        with recorder_process(tmp_path / "b", hidden.parents[1], **settings):
            wait_until(lambda: _is_ready_without(scene, f"/ground cannot be recorded: {why}"))
            wait_until(lambda: scene.call("start").success)
            wait_until(lambda: scene.state.alarm and "/ground cannot be recorded" in scene.state.detail)
            bag = Path(scene.state.bag_path)
            assert scene.call("keep").success
            wait_until((bag / "metadata.yaml").exists)
    assert read_metadata(bag)["custom_data"]["unrecorded./ground"].startswith(why)


def _is_ready_without(scene: Scene, words: str) -> bool:
    return scene.state.state == RecorderState.READY and words in scene.state.detail
