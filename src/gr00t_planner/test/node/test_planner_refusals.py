# SPDX-License-Identifier: Apache-2.0
"""The node ``planner`` is not configured with what it cannot use, and says so in one line; it warns of a late camera."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.parameter import Parameter
from small_checkpoint import save_small_checkpoint

from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner
from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_planner.ros.planner_report import report_to_statuses
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros.diagnostics import Level
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.policy import HoldPolicy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    init_ros(context)
    yield context
    rclpy.try_shutdown(context=context)


def damaged(folder: Path, to: Path) -> Path:
    """A copy with one bit of the weights flipped."""
    shutil.copytree(folder, to)
    content = bytearray((to / "model.safetensors").read_bytes())
    content[-100] ^= 0x01
    (to / "model.safetensors").write_bytes(content)
    return to


def test_a_checkpoint_that_cannot_be_used_fails_configuration_with_one_clear_line(context, checkpoint, tmp_path, capfd):
    cases = [
        ({"checkpoint": ""}, "parameter 'checkpoint' is empty"),
        ({"checkpoint": str(tmp_path / "nowhere")}, "no checkpoint folder"),
        ({"checkpoint": str(damaged(checkpoint, tmp_path / "damaged"))}, "is damaged: model.safetensors differs"),
        ({"checkpoint": str(checkpoint), "embodiment": "g1"}, "was trained for embodiment 'gr1', not 'g1'"),
    ]
    for parameters, expected in cases:
        overrides = [Parameter(name, value=value) for name, value in {"engine": "torch", **parameters}.items()]
        node = PlannerNode(context=context, parameter_overrides=overrides)
        assert not node.start()
        node.destroy_node()
        said = capfd.readouterr().err
        assert said.count("[ERROR]") == 1 and "cannot configure: " in said
        assert expected in said
        assert "Traceback" not in said


def test_diagnostics_warn_of_a_late_picture_before_the_tokens_stop():
    robot = load_embodiment("gr1")
    camera, clock_ns = robot.cameras[0], 10**9
    planner = Planner(HoldPolicy(robot), PlannerConfig(warm_up_evaluations=1), lambda: clock_ns)
    planner.activate()
    planner.instruction("take the can")
    planner.image(camera.name, np.zeros((camera.height, camera.width, 3), np.uint8), clock_ns, clock_ns)
    planner.tick(clock_ns, clock_ns)
    levels = []
    for age_ms in (50, 200, 400):
        now_ns = clock_ns + age_ms * 1_000_000
        planner.tick(now_ns, now_ns)
        status = report_to_statuses(planner.report(now_ns, now_ns))[1]
        levels.append((status.name, status.level, status.message))
    assert levels == [
        ("images", Level.OK, ""),
        ("images", Level.WARN, "the newest image is 0.20 s old"),
        ("images", Level.STALE, "no image of the last 0.3 s"),
    ]
