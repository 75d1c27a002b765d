# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: a bag of every topic, from which the figures come. The bag must be closed to be read."""

import time
from pathlib import Path

import numpy as np
import pytest

from gr00t_bringup.bag_evaluation.recorded_run import open_run
from gr00t_bringup.bag_evaluation.replay import replay
from gr00t_bringup.bag_evaluation.token_latency import token_latency
from gr00t_bringup.measure import measure, read_streams
from gr00t_bringup.nodes import nodes_for
from gr00t_bringup.ros.stack import StackOptions, running_stack
from gr00t_bringup.tracing.trace import Nominal, Trace, trace_bag
from gr00t_policy.data.bag import BagWriter, bag_topics
from gr00t_policy.data.convert_source import TopicNames
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.policy import Gr00tPolicy

_SAME_RAD = 0.01  # a busy machine drops pictures and ticks that the replay has
_BUSY_MACHINE = 0.3  # rates are judged by the benchmark; here a loaded machine may lose most


def test_the_bag_holds_every_topic_of_the_interface_and_gives_the_figures(checkpoint, sentence, tmp_path, as_session):
    options = StackOptions(checkpoint=checkpoint, start_timeout_s=240.0)
    with running_stack(options, tmp_path / "logs", BagWriter(tmp_path / "bag")) as stack:
        stack.wait_active()
        stack.client.wait_listeners(["planner", "bag_recorder"], 20.0)
        stack.client.say(sentence)
        as_session(stack, tmp_path / "bag").wait_driven(60.0)
        time.sleep(8.0)
        pids = stack.processes.pids
    topics = set(bag_topics(tmp_path / "bag"))
    assert topics >= {
        *("/camera/ego_view/image_raw", "/joint_states", "/language_command", "/conditioning_tokens", "/action_chunk"),
        *("/policy/joint_trajectory", "/joint_trajectory", "/planner/state", "/controller/state"),
        *("/command_gate/state", "/sim/task_state", "/sim/qpos", "/clock", "/diagnostics"),
    }
    assert set(pids) == {node.name for node in nodes_for("mujoco")}
    figures = measure(read_streams(tmp_path / "bag"))
    assert 10 * _BUSY_MACHINE < figures.planner_rate_hz < 11
    assert 120 * _BUSY_MACHINE < figures.control_rate_hz < 125
    assert 120 * _BUSY_MACHINE < figures.joint_state_rate_hz < 125
    assert 20 * _BUSY_MACHINE < figures.camera_rate_hz < 21
    assert figures.head_ms.p50 > 0
    assert 0 < figures.joint_state_to_command_ms.p50 < figures.image_to_command_ms.p50 < 1000
    trace = trace_bag(tmp_path / "bag", Nominal())
    assert trace.missing() == {}
    _agrees_with_what_the_controller_says_of_itself(trace)
    ours, exact = figures.joint_state_to_command_ms, trace.chain.spans["joint_state_to_robot"].figures()
    assert exact.p50 == pytest.approx(ours.p50, rel=0.2), (
        "two ways to the same figure, the one without its first second"
    )
    assert mean_difference_of_replay(tmp_path / "bag", checkpoint) < _SAME_RAD


def mean_difference_of_replay(bag: Path, folder: Path) -> float:
    """Between the commands that the live policy sent and those that it would have sent by ``gr00t eval --bag`` [rad]."""
    checkpoint = load_checkpoint(folder)
    names = TopicNames(action="policy/joint_trajectory")
    run = open_run(bag, checkpoint.embodiment, names)
    policy = Gr00tPolicy(checkpoint, load_backend(checkpoint), noise_scale=0.0)
    replayed = replay(run, policy, token_latency("measured", [run], names))
    sent, known = run.done.at(replayed.command_ns)
    assert known.mean() > 0.5
    return float(np.abs(sent - replayed.commands)[known].mean())


def _agrees_with_what_the_controller_says_of_itself(trace: Trace) -> None:
    """It stops its clock before it sends, and looks at the last 17 s; a loaded machine sends late now and then."""
    said = trace.said.figures
    for key, name, abs_ms in (
        ("joint_state_to_policy", "joint_state_to_command_p50_s", 3.0),
        # The recording is shorter than those 17 s, and pictures fall in step with the planner only after a while.
        ("image_to_policy", "image_to_command_p50_s", 15.0),
        ("inference", "head_p50_s", 3.0),
    ):
        found = trace.chain.spans[key].figures().p50
        assert found == pytest.approx(1e3 * said[name], rel=0.1, abs=abs_ms), (key, found, said)
    assert trace.chain.head_rate_hz == pytest.approx(said["head_rate_hz"], rel=0.1)
    assert trace.streams()["/policy/joint_trajectory"].rate_hz == pytest.approx(said["control_rate_hz"], rel=0.1)
