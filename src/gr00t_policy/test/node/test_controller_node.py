# SPDX-License-Identifier: Apache-2.0
"""The node ``controller`` over real DDS: it moves on good input alone, and says what is wrong with the rest."""

import os

os.environ["ROS_DOMAIN_ID"] = "163"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from gr00t_msgs.msg import ActionChunk, ConditioningTokens, ControllerState
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from small_checkpoint import save_small_checkpoint
from spinner import Spinner
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.ros import qos
from gr00t_policy.ros.controller_node import ControllerNode
from gr00t_policy.ros.diagnostics import Level
from gr00t_policy.ros.engine_status import engine_status
from gr00t_policy.ros.messages import JointOrder, ns_from_stamp, tokens_to_message
from gr00t_policy.ros.testing import joint_state_message
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.backends import blank_tokens
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.start_check import PartCheck

torch.set_num_threads(1)
GR1 = load_embodiment("gr1")
ORDER = JointOrder(GR1.policy_joints)
RATE_HZ = 30.0
# A loaded machine stalls threads for tenths of seconds; the limits themselves are tested without threads.
PATIENT = {
    "engine": "torch",
    "head_mode": "every_tick",
    "rate_hz": RATE_HZ,
    "thread_priority": 0,
    "process_priority": 0,
    "joint_state_timeout_s": 0.5,
    "token_warn_s": 0.5,
    "token_hold_s": 1.0,
    "token_max_age_s": 2.0,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    init_ros(context)
    yield context
    rclpy.try_shutdown(context=context)


def make_node(context: Context, **parameters) -> ControllerNode:
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return ControllerNode(context=context, parameter_overrides=overrides)


class Bench:
    """A controller and what surrounds it. ``joints`` and ``tokens`` are sent at 60 and 10 Hz until they are None."""

    def __init__(self, context: Context, folder: Path, **parameters) -> None:
        self.node = make_node(context, checkpoint=str(folder), **PATIENT, **parameters)
        self.peer = Node("peer", context=context)
        self.heard: dict[type, list] = {JointTrajectory: [], ActionChunk: [], ControllerState: [], DiagnosticArray: []}
        for kind, topic, profile in (
            (JointTrajectory, "policy/joint_trajectory", qos.COMMAND),
            (ActionChunk, "action_chunk", qos.NEWEST),
            (ControllerState, "controller/state", qos.LATCHED),
            (DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS),
        ):
            self.peer.create_subscription(kind, topic, self.heard[kind].append, profile)
        self._send_joints = self.peer.create_publisher(JointState, "joint_states", qos.SENSOR).publish
        self._send_tokens = self.peer.create_publisher(ConditioningTokens, "conditioning_tokens", qos.NEWEST).publish
        self.joints: JointState | None = None
        self.tokens = None
        self._sequence = 0
        self.peer.create_timer(1 / 60, self._on_joints)
        self.peer.create_timer(0.1, self._on_tokens)
        assert self.node.start()
        self._spinner = Spinner(context, self.node, self.peer)

    def reset(self) -> None:
        """Good input from now on, nothing heard."""
        self.joints = joint_state_message(ORDER, np.zeros(len(ORDER.names)), 0)
        self.tokens = blank_tokens(load_checkpoint(self.node.settings.checkpoint))
        for messages in self.heard.values():
            messages.clear()

    def state(self) -> ControllerState | None:
        return self.heard[ControllerState][-1] if self.heard[ControllerState] else None

    def until(self, true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            state = self.state()
            assert time.monotonic() < deadline, f"waited for {what}; state is {state}"
            time.sleep(0.02)

    def until_state(self, number: int, detail: str = "") -> None:
        self.until(lambda: (s := self.state()) is not None and s.state == number and detail in s.detail, detail)

    def until_running(self) -> None:
        self.reset()
        self.until_state(ControllerState.RUNNING)
        self.until(lambda: len(self.heard[JointTrajectory]) > 3, "commands")

    def assert_silent(self) -> None:
        """No command comes while the controller holds."""
        time.sleep(0.1)
        self.heard[JointTrajectory].clear()
        time.sleep(0.3)
        assert self.heard[JointTrajectory] == []

    def close(self) -> None:
        self._spinner.close()
        self.node.stop()
        for node in (self.node, self.peer):
            node.destroy_node()

    def _on_joints(self) -> None:
        if self.joints is not None:
            self.joints.header.stamp = self.peer.get_clock().now().to_msg()
            self._send_joints(self.joints)

    def _on_tokens(self) -> None:
        if self.tokens is not None:
            self._sequence += 1
            stamp_ns = self.peer.get_clock().now().nanoseconds
            tokens = replace(self.tokens, sequence=self._sequence, stamp_ns=stamp_ns)
            self._send_tokens(tokens_to_message(tokens, ConditioningTokens.DTYPE_BFLOAT16, "camera"))


@pytest.fixture(scope="module")
def bench(context: Context, checkpoint: Path) -> Iterator[Bench]:
    bench = Bench(context, checkpoint)
    yield bench
    bench.close()


def ticks_told(bench) -> float:
    """The loop's rate in the newest diagnostics; the first are of before its first tick on a slow machine."""
    loops = [s for told in bench.heard[DiagnosticArray][-1:] for s in told.status if s.name.endswith("control loop")]
    return max(
        (float(pair.value) for loop in loops for pair in loop.values if pair.key == "periodicity.mean_hz"), default=0.0
    )


def test_commands_name_the_policys_joints_and_are_reached_one_tick_after_now(bench):
    bench.until_running()
    bench.until(
        lambda: bool(bench.heard[ActionChunk]) and ticks_told(bench) > 0, "a chunk and diagnostics of a running loop"
    )
    command = bench.heard[JointTrajectory][-1]
    assert tuple(command.joint_names) == ORDER.names
    assert len(command.points) == 1
    assert np.isfinite(command.points[0].positions).all()
    reach = command.points[0].time_from_start
    assert 1 / RATE_HZ <= reach.sec + reach.nanosec / 1e9 < 1 / RATE_HZ + PATIENT["joint_state_timeout_s"]
    state = bench.state()
    assert state.mode == ControllerState.EVERY_TICK
    assert 0 < state.head_p50_s <= state.head_p99_s
    assert 0 < state.joint_state_to_command_p50_s < 0.5
    chunk = bench.heard[ActionChunk][-1]
    assert ns_from_stamp(chunk.header.stamp) - ns_from_stamp(chunk.state_stamp) == 50_000_000
    assert {status.name for status in bench.heard[DiagnosticArray][-1].status} == {
        f"controller: {name}" for name in ("controller", "control loop", "head", "tokens", "joint states", "engine")
    }
    engine = next(s for s in bench.heard[DiagnosticArray][-1].status if s.name == "controller: engine")
    assert {pair.key: pair.value for pair in engine.values} == {"engine": "torch", "precision": "float32"}
    loop = next(status for status in bench.heard[DiagnosticArray][-1].status if status.name.endswith("control loop"))
    values = {item.key: item.value for item in loop.values}
    assert float(values["desired_rate_hz"]) == RATE_HZ
    assert float(values["periodicity.mean_hz"]) > 0 and float(values["execution_time.max_us"]) > 0
    assert float(values["wake_up_lateness.p50_us"]) <= float(values["wake_up_lateness.max_us"])


def test_the_start_check_and_a_refusal_are_in_the_diagnostics():
    check = PartCheck("head", "int8", 4, 0.05, 0.25, 0.03)
    good = engine_status(EngineReport("openvino", "int8", (check,)))
    assert good.level is Level.OK
    assert "differs from the plain network by 0.05 (0.03 rad), tolerance 0.25" in good.message
    assert good.values["head.max_error"] == 0.05
    assert good.values["head.max_error_rad"] == 0.03
    stand_in = engine_status(EngineReport("torch", "float32", refused="engine 'openvino' is refused"))
    assert stand_in.level is Level.WARN
    assert stand_in.message == "engine 'openvino' is refused"


def test_the_controller_holds_on_nan_joint_states_and_goes_on_after_them(bench):
    bench.until_running()
    bench.joints.position[3] = float("nan")
    bench.until_state(ControllerState.HOLDING, "not finite: left_elbow_pitch_joint")
    bench.assert_silent()
    assert bench.state().rejected_inputs > 0
    bench.until_running()


def test_the_controller_holds_on_joint_states_of_another_robot(bench):
    bench.until_running()
    bench.joints.name[0] = "hip"
    bench.until_state(ControllerState.HOLDING, "missing joint")
    bench.assert_silent()
    bench.until_running()


def test_the_controller_holds_when_joint_states_or_tokens_stop(bench):
    bench.until_running()
    bench.joints = None
    bench.until_state(ControllerState.HOLDING, "no new joint state for 0.5 s")
    bench.assert_silent()
    bench.until_running()
    bench.tokens = None
    bench.until_state(ControllerState.HOLDING, "no new tokens for 1 s")
    bench.assert_silent()


def test_tokens_of_another_checkpoint_are_refused_with_both_names(bench):
    bench.until_running()
    bench.tokens = replace(bench.tokens, checkpoint_hash="f" * 64)
    bench.until_state(ControllerState.HOLDING, "tokens come from checkpoint ffffffffffff")
    bench.assert_silent()


def test_tokens_of_another_shape_are_refused_while_running_and_the_shape_is_told(bench):
    bench.until_running()
    bench.tokens = replace(bench.tokens, features=np.zeros((len(bench.tokens.features), 3), np.float32))
    bench.until_state(ControllerState.HOLDING, ", 3) with mask")
    bench.assert_silent()
    bench.until_running()


def test_a_deactivated_controller_is_silent_and_can_be_activated_again(bench):
    bench.until_running()
    bench.node.trigger_deactivate()
    bench.until_state(ControllerState.INACTIVE)
    bench.assert_silent()
    bench.node.trigger_activate()
    bench.until_running()


def damaged(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    weights = to / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 0xFF
    weights.write_bytes(content)
    return to


def test_a_checkpoint_that_cannot_be_used_fails_configuration_with_one_clear_line(context, checkpoint, tmp_path, capfd):
    cases = [
        ({"checkpoint": ""}, "parameter 'checkpoint' is empty"),
        ({"checkpoint": str(tmp_path / "nowhere")}, "no checkpoint folder"),
        ({"checkpoint": str(damaged(checkpoint, tmp_path / "damaged"))}, "is damaged: model.safetensors differs"),
        ({"checkpoint": str(checkpoint), "embodiment": "g1"}, "was trained for embodiment 'gr1', not 'g1'"),
    ]
    for parameters, expected in cases:
        node = make_node(context, **PATIENT, **parameters)
        assert not node.start()
        node.destroy_node()
        said = capfd.readouterr().err
        assert "cannot configure: " in said
        assert expected in said
        assert "Traceback" not in said


def test_an_unknown_parameter_is_refused_by_name(context):
    with pytest.raises(ConfigError, match="unknown parameter.*hurry.*known: autostart"):
        make_node(context, hurry=True)
