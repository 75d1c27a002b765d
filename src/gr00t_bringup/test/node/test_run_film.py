# SPDX-License-Identifier: Apache-2.0
"""The film of a run from its bag alone: exact pictures from outside, the right length, clear refusals."""

from pathlib import Path

import numpy as np
import pytest
from ament_index_python import get_search_paths
from builtin_interfaces.msg import Time
from gr00t_msgs.msg import ControllerState, GateState, PlannerState, TaskState
from rclpy.serialization import serialize_message
from read_caption import likest
from sensor_msgs.msg import Image
from std_msgs.msg import Float64MultiArray, Header

from gr00t_bringup.run_film import OutsideView, film_run
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.message_definitions import message_definition
from gr00t_policy.data.video import iterate_frames
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

_TASK, _SEED = "pick_named_object", 3
_FRAMES = 15
_TYPES = {
    "/sim/qpos": "std_msgs/msg/Float64MultiArray",
    "/camera/ego_view/image_raw": "sensor_msgs/msg/Image",
    "/sim/task_state": "gr00t_msgs/msg/TaskState",
    "/planner/state": "gr00t_msgs/msg/PlannerState",
    "/controller/state": "gr00t_msgs/msg/ControllerState",
    "/command_gate/state": "gr00t_msgs/msg/GateState",
}


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim(_TASK)
    yield sim
    sim.close()


def _bag(folder: Path, sim: TabletopSim, leave_out: tuple[str, ...] = ()) -> Path:
    """A bag as the stack leaves it: the robot lifts an arm for _FRAMES / 20 s."""
    share = [Path(prefix) / "share" for prefix in get_search_paths()]
    sentence = sim.reset(_SEED)
    with BagWriter(folder) as bag:
        for topic, type_name in _TYPES.items():
            bag.add_topic(BagTopic(topic, type_name, message_definition(type_name, share)))
        for index in range(_FRAMES + 1):
            sim.set_targets(sim.home + 0.02 * index, 0.05)
            sim.step_physics(25)
            head = np.full((224, 224, 3), 10 * index, dtype=np.uint8)
            messages = {
                "/sim/qpos": Float64MultiArray(data=sim.data.qpos.tolist()),
                "/camera/ego_view/image_raw": Image(
                    height=224, width=224, step=672, encoding="rgb8", data=head.tobytes()
                ),
                "/sim/task_state": TaskState(
                    header=Header(stamp=Time(sec=index)), task=_TASK, seed=_SEED, sentence=sentence, success=index > 10
                ),
                "/planner/state": PlannerState(state=PlannerState.ENCODING, rate_hz=10.0, instruction=sentence),
                "/controller/state": ControllerState(state=ControllerState.RUNNING, head_rate_hz=120.0),
                "/command_gate/state": GateState(state=GateState.ACTIVE),
            }
            stamp_ns = 10**18 + index * 50_000_000
            for topic, message in messages.items():
                if topic not in leave_out:
                    bag.write(BagMessage(topic, serialize_message(message), stamp_ns, stamp_ns, index))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, sim):
    """A film's, decoded."""
    folder = tmp_path_factory.mktemp("film")
    frames = film_run(_bag(folder / "bag", sim), folder / "video.mp4")
    decoded = list(iterate_frames(folder / "video.mp4"))
    assert len(decoded) == frames
    return decoded


def test_a_film_has_one_frame_for_each_twentieth_of_a_second(pictures):
    assert abs(len(pictures) - _FRAMES) <= 1
    head = [picture[100:400, 700:1000].mean() for picture in pictures]
    assert np.all(np.diff(head) > 5), "the head view is the one recorded, in order"


def test_the_sentence_the_rates_and_the_outcome_are_written_under_the_picture(pictures, sim):
    sentence = sim.reset(_SEED)
    first, last = pictures[0], pictures[-1]
    sentences = [f"“{said}”" for said in (sentence, sentence.upper(), "close the door")]
    assert likest(first, 0, sentences) == likest(last, 0, sentences) == sentences[0]
    rates = "planner {} Hz   head {} Hz in 0.0 ms   control 0 Hz   image to command 0 ms   gate {}"
    said = [
        rates.format(*words) for words in (("10.0", 120, "active"), ("10.0", 119, "active"), ("10.1", 120, "active"))
    ]
    said.append(rates.format("10.0", 120, "hold"))
    assert likest(last, 1, said) == said[0]
    assert likest(last, 2, ["solved", "failed"]) == "solved"
    assert likest(first, 2, ["solved", "failed"]) == ""


def test_the_view_from_outside_is_the_picture_the_simulator_itself_would_have_made(sim):
    sentence = sim.reset(_SEED)
    sim.step_physics(200)
    outside = OutsideView()
    picture = outside.render(_TASK, _SEED, sentence, sim.data.qpos.copy())
    outside.close()
    assert np.abs(picture.astype(int) - sim.render(OUTSIDE_CAMERA, 640, 480)).max() <= 1


def test_positions_of_another_scene_are_refused(sim):
    outside = OutsideView()
    with pytest.raises(DatasetError, match="simulator positions"):
        outside.render(_TASK, _SEED, "", np.zeros(3))
    outside.close()


@pytest.mark.parametrize("topic", ["/sim/qpos", "/camera/ego_view/image_raw", "/sim/task_state"])
def test_a_bag_without_what_a_film_needs_is_refused(tmp_path, sim, topic):
    with pytest.raises(DatasetError, match="nothing to film"):
        film_run(_bag(tmp_path / "bag", sim, leave_out=(topic,)), tmp_path / "video.mp4")
