# SPDX-License-Identifier: Apache-2.0
"""From a headset's sample to the robot's command: the figures of a bag that was made, and the headset that is made up."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gr00t_bringup.bench.headset import RATE_HZ, frame
from gr00t_bringup.bench.teleop import TeleopBenchConfig
from gr00t_bringup.bench.teleop_figures import teleop_figures, teleop_goals
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_teleop.devices.sample_checks import CheckLimits, SampleChecks
from gr00t_teleop.devices.webxr_frame import decode_frame
from gr00t_teleop.types import tracked

MS, S = 1_000_000, 1_000_000_000
START = 1_700_000_000 * S
_MESSAGES = Path(__file__).resolve().parents[3] / "gr00t_msgs" / "msg"
STORE = get_typestore(Stores.ROS2_JAZZY)
for _name in ("HandKeypoints", "OperatorState"):
    STORE.register(get_types_from_msg((_MESSAGES / f"{_name}.msg").read_text(), f"gr00t_msgs/msg/{_name}"))


def made(type_name: str, **fields: object) -> object:
    return STORE.types[type_name](**fields)


def header() -> object:
    return made("std_msgs/msg/Header", stamp=made("builtin_interfaces/msg/Time", sec=0, nanosec=0), frame_id="")


def operator(sequence: int) -> object:
    pose = made(
        "geometry_msgs/msg/Pose",
        position=made("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
        orientation=made("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
    )
    hand = made("gr00t_msgs/msg/HandKeypoints", hand=1, names=[], poses=[], is_valid=np.zeros(0, bool))
    return made(
        "gr00t_msgs/msg/OperatorState", header=header(), source="webxr", sequence=sequence, engaged=True,
        head=pose, head_is_valid=True, left_wrist=pose, left_wrist_is_valid=True, right_wrist=pose,
        right_wrist_is_valid=True, left_hand=hand, right_hand=hand,
    )  # fmt: skip


def diagnostics(_: int) -> object:
    names = [f"{what}_p{share}_s" for what in ("solve", "arms") for share in (50, 95, 99)]
    values = [
        made("diagnostic_msgs/msg/KeyValue", key=name, value=str(0.001 * (k + 1))) for k, name in enumerate(names)
    ]
    values.append(made("diagnostic_msgs/msg/KeyValue", key="target_delay_s", value="0.03"))
    status = made(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=0,
        name="retargeter: retargeter",
        message="",
        hardware_id="",
        values=values,
    )
    return made("diagnostic_msgs/msg/DiagnosticArray", header=header(), status=[status])


def trajectory(_: int) -> object:
    return made("trajectory_msgs/msg/JointTrajectory", header=header(), joint_names=[], points=[])


def bag_of(
    folder: Path, seconds: float = 2.0, driven_s: float = 2.0, lost: tuple[int, ...] = ()
) -> tuple[Path, list[int]]:
    """Samples taken every 10 ms reach the operator 2 ms later; ticks of the retargeter send 5 ms after every tenth, 3 ms after
    them the gate's. Returns the bag and when the samples were taken."""
    times = {
        "operator_state": ("gr00t_msgs/msg/OperatorState", operator, np.arange(0, seconds, 0.01) + 0.002),
        "teleop/joint_trajectory": (
            "trajectory_msgs/msg/JointTrajectory",
            trajectory,
            np.arange(0, driven_s, 0.01) + 0.005,
        ),
        "joint_trajectory": ("trajectory_msgs/msg/JointTrajectory", trajectory, np.arange(0, seconds, 0.01) + 0.008),
        "diagnostics": ("diagnostic_msgs/msg/DiagnosticArray", diagnostics, np.array([0.5])),
    }
    messages = []
    with BagWriter(folder) as writer:
        for name, (kind, make, sent_s) in times.items():
            writer.add_topic(BagTopic(f"/{name}", kind, STORE.generate_msgdef(kind, ros_version=2)[0]))
            for number, at_s in enumerate(sent_s.tolist()):
                if name != "operator_state" or number not in lost:
                    sent = START + round(at_s * S)
                    cdr = bytes(STORE.serialize_cdr(make(number + 1), kind))
                    messages.append(BagMessage(f"/{name}", cdr, sent, sent, number + 1))
        for message in sorted(messages, key=lambda each: each.log_ns):
            writer.write(message)
        writer.close({"messages": str(len(messages)), "messages_lost": "4"})
    return folder, [START + round(number * 10 * MS) for number in range(round(seconds * 100))]


def test_a_command_answers_the_sample_only_when_the_tick_that_made_it_began_after_the_sample_had_come(tmp_path):
    """2 ms on the way, 1 ms of computing: the command 3 ms later is the answer, 3 ms more to the gate's: 8 ms in all."""
    figures = teleop_figures(*bag_of(tmp_path / "bag"))
    assert figures.headset_to_command_ms.p50 == pytest.approx(8.0, abs=0.01)
    assert figures.headset_to_operator_ms.p99 == pytest.approx(2.0, abs=0.01)
    assert figures.command_rate_hz == pytest.approx(100.0, abs=0.01)
    assert (figures.retargeter_tick_ms.p50, figures.ik_ms.p50, figures.ik_ms.p99) == pytest.approx((1.0, 4.0, 6.0))
    assert (figures.target_delay_ms, figures.messages_lost_by_recorder) == (30.0, 4)


def test_samples_that_never_came_are_counted_and_do_not_shift_the_others(tmp_path):
    figures = teleop_figures(*bag_of(tmp_path / "bag", lost=(7, 8, 90)))
    assert (figures.samples_sent, figures.samples_lost_on_the_way) == (200, 3)
    assert figures.headset_to_command_ms.p99 == pytest.approx(8.0, abs=0.01)


def test_a_run_in_which_the_person_did_not_drive_all_along_is_not_measured(tmp_path):
    with pytest.raises(DatasetError, match="drove in only 50%"):
        teleop_figures(*bag_of(tmp_path / "bag", driven_s=1.0))


def test_the_goals_are_those_of_the_figures(tmp_path):
    reached = {goal.name: goal.reached for goal in teleop_goals(teleop_figures(*bag_of(tmp_path / "bag")))}
    assert reached["headset to command p99"]
    assert not reached["messages lost by the recorder"]
    assert not reached["command rate"]


def test_the_made_up_headset_speaks_the_pages_frames_and_moves_like_hands():
    checks = SampleChecks(CheckLimits())
    for number in range(1, 500):
        at_s = 1.0 + number / RATE_HZ
        made_frame = decode_frame(frame(at_s, number, clutch=at_s > 2.0).tobytes(), 1)
        sample = checks.check(made_frame.sample, round(at_s * S))
        assert made_frame.has_button and sample.clutch == (at_s > 2.0)
        assert tracked(sample.left_wrist) and tracked(sample.right_wrist) and np.isfinite(sample.left_hand).all()
    assert not any(checks.counts.values()), "nothing a device check would refuse"


@pytest.mark.parametrize("duration_s", [0.0, 1000.0])
def test_a_duration_that_no_episode_has_is_refused(duration_s):
    with pytest.raises(ConfigError, match="between 2 and 280"):
        TeleopBenchConfig(duration_s=duration_s)
