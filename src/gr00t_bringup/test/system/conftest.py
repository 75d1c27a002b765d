# SPDX-License-Identifier: Apache-2.0
"""The whole stack as processes over DDS, on a domain of its own, with a small checkpoint of random weights."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = "182"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import numpy as np
import pytest
from std_srvs.srv import Trigger

from gr00t_bringup.ros.stack import RunningStack, StackOptions, running_stack
from gr00t_bringup.status import StackStatus
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.bag import BagWriter
from gr00t_policy.data.statistics import KeyStatistics, Statistics
from gr00t_policy.model.checkpoint import save_checkpoint
from gr00t_policy.model.config import preset
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.model.vla import build_vla

SENTENCE = "pick up the red can and place it in the blue bin"
_REACH_RAD = 0.05  # random weights move the robot about its home pose by about this


@dataclass(frozen=True)
class Session:
    """A running stack that obeys a sentence, and the bag that is being written."""

    stack: RunningStack
    bag: Path

    @property
    def status(self) -> StackStatus:
        return self.stack.status()

    def wait(self, condition: Callable[[StackStatus], bool], timeout_s: float = 20.0) -> float:
        """Seconds until the condition held. Fails with the last status."""
        began_s = time.monotonic()
        while not condition(status := self.status):
            assert time.monotonic() - began_s < timeout_s, f"waited in vain; at the end: {status}"
            time.sleep(0.01)
        return time.monotonic() - began_s

    def wait_driven(self, timeout_s: float) -> None:
        """Until the gate follows the policy. A robot that was damped because this machine slept for 0.1 s is reset."""
        deadline = time.monotonic() + timeout_s
        while self.status.gate != "active":
            assert time.monotonic() < deadline, f"waited in vain; at the end: {self.status}"
            if self.status.gate == "damped" and "no joint states" in self.status.gate_reason:
                self.stack.client.call(Trigger, "command_gate/reset", Trigger.Request())
            time.sleep(0.1)


@pytest.fixture(scope="session")
def sentence() -> str:
    """What the robot is asked to do."""
    return SENTENCE


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network with random weights and statistics around the home pose."""
    robot = load_embodiment("gr1")
    config = replace(preset("tiny"), instruction_tokens=24)
    home = robot.positions_by_name(robot.home)
    values = np.array([home[robot.joint_names.index(name)] for name in robot.policy_joint_names])

    def around_home(part: slice) -> KeyStatistics:
        low, high, middle = values[part] - _REACH_RAD, values[part] + _REACH_RAD, values[part]
        return KeyStatistics(min=low, max=high, mean=middle, std=0 * middle + _REACH_RAD, q01=low, q99=high)

    groups = {name: around_home(part) for name, part in robot.policy_slices.items()}
    folder = tmp_path_factory.mktemp("models") / "random"
    tokenizer = train_tokenizer([SENTENCE, "put the green cube into the white bin"])
    save_checkpoint(folder, build_vla(config, seed=0), robot, Statistics("gr1", groups, groups), tokenizer, {})
    return folder


@pytest.fixture(scope="session")
def as_session() -> Callable[[RunningStack, Path], Session]:
    """For a test that starts a stack of its own."""
    return Session


@pytest.fixture(scope="module")
def overrides() -> dict[str, dict[str, object]]:
    """Parameters that a test file gives to nodes of its stack."""
    return {}


@pytest.fixture(scope="module")
def session(
    checkpoint: Path, overrides: dict[str, dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """The stack of one test file: started once, driving when the first test begins."""
    folder = tmp_path_factory.mktemp("run")
    options = StackOptions(checkpoint=checkpoint, start_timeout_s=240.0, overrides=overrides)
    with running_stack(options, folder / "logs", BagWriter(folder / "bag")) as stack:
        stack.wait_active()
        stack.client.wait_listeners(["planner", "bag_recorder"], 20.0)
        stack.client.say(SENTENCE)
        session = Session(stack, folder / "bag")
        session.wait_driven(60.0)
        yield session
