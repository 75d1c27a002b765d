# SPDX-License-Identifier: Apache-2.0
"""Every time-out that is shipped is on the page of safety, and none on the robot is longer than systems in the field allow."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gr00t_bringup.nodes import NODES, NodeSpec, parameter_files, settings_type, share_folder
from gr00t_planner.config import PlannerConfig
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.settings import settings_fields
from gr00t_teleop.retargeting.config import RetargeterConfig

_PAGE = (Path(__file__).resolve().parents[4] / "docs" / "safety.md").read_text()
_ROW = re.compile(r"^\| [^|]+ \| `(\w+\.\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+|-) \| [^|]+ \|$", re.MULTILINE)
_SUM = re.compile(r"^\| ([^|]+) \| ([^|]*`[^|]+a tick[^|]*) \| ([\d.]+) s", re.MULTILINE)
_TICK_S = 1 / 120
# Durations that are no time-outs: pauses, smoothing, files.
_NO_TIME_OUTS = {
    "controller.tick_lead_s", "controller.blend_time_s", "sim.joint_state_lead_s", "operator.restart_s",
    "retargeter.tick_lead_s", "retargeter.settle_s", "retargeter.gentle_s", "retargeter.calibration_s",
}  # fmt: skip
# What systems in the field allow: MoveIt Servo 100 ms, Unitree A1 50 ms, Franka and UR 20 ms; three periods of planner, camera.
_FIELD_S = {
    "planner.max_image_age_s": 0.3,
    "controller.token_warn_s": 0.2,
    "controller.token_hold_s": 0.3,
    "controller.token_max_age_s": 0.5,
    "controller.joint_state_timeout_s": 0.05,
    "command_gate.command_warn_s": 0.025,
    "command_gate.command_hold_s": 0.05,
    "command_gate.teleop_warn_s": 0.05,
    "command_gate.teleop_hold_s": 0.1,
    "command_gate.joint_state_warn_s": 0.025,
    "command_gate.joint_state_hold_s": 0.05,
    "command_gate.joint_state_damp_s": 0.1,
    "command_gate.max_lead_s": 0.02,
    "retargeter.joint_state_timeout_s": 0.05,
    "retargeter.operator_hold_s": 0.1,
    "sim.command_timeout_s": 0.1,
}
_MOVING = (
    "planner",
    "controller",
    "sim",
    "command_gate",
    "operator",
    "retargeter",
)  # recorder and task server move nothing


def _shipped(node: NodeSpec, backend: str) -> dict[str, Any]:
    """The parameters of a node as its files say."""
    values: dict[str, Any] = {}
    for file in parameter_files("gr1", backend, node.name):
        values |= yaml.safe_load(file.read_text()).get(f"/**/{node.name}", {}).get("ros__parameters", {})
    return values


def _durations() -> dict[str, tuple[float, float, float]]:
    """In code, simulator and robot: every parameter in seconds of the nodes that can move the robot."""
    found = {}
    for node in (node for node in NODES if node.name in _MOVING):
        sim, real = _shipped(node, "mujoco"), _shipped(node, "real")
        for name, item in settings_fields(settings_type(node)).items():
            if item.metadata.get("unit") == "s":
                robot = real[name] if "real" in node.backends else math.nan
                found[f"{node.name}.{name}"] = (item.default, sim[name], robot)
    return found


def _told() -> dict[str, tuple[float, float, float]]:
    """The same as the page has it."""
    rows = _ROW.findall(_PAGE)
    assert len(rows) == len({row[0] for row in rows}), "a parameter has two rows"
    return {row[0]: tuple(math.nan if cell == "-" else float(cell) for cell in row[1:]) for row in rows}  # type: ignore[misc]


def test_the_table_of_time_outs_has_every_one_and_the_values_that_are_shipped():
    durations = _durations()
    assert set(_told()) == set(durations) - _NO_TIME_OUTS
    assert set(durations) >= _NO_TIME_OUTS
    different = {
        name: (told, durations[name])
        for name, told in _told().items()
        if not all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(told, durations[name], strict=True))
    }
    assert different == {}, "name: (the page, code and files)"


def test_no_time_out_on_the_robot_is_longer_than_what_the_field_allows():
    durations = _durations()
    for name, field_s in _FIELD_S.items():
        in_code, _, robot = durations[name]
        assert in_code <= field_s, name
        assert not robot > field_s, name


def test_the_sums_on_the_page_are_those_of_the_shipped_values():
    rows = _SUM.findall(_PAGE)
    assert [what for what, _, _ in rows] == [
        "the camera", "the planner", "the controller", "joint states: held", "joint states: damped",
    ]  # fmt: skip
    durations = _durations()
    for what, parts, at_most in rows:
        added_s = (
            sum(durations[name][1] for name in re.findall(r"`(\w+\.\w+)`", parts)) + parts.count("a tick") * _TICK_S
        )
        assert added_s <= float(at_most) < added_s + 0.01, what


def test_warnings_come_before_holds_and_holds_before_damping():
    told = {name: values[2] for name, values in _told().items()}
    for ladder in (
        ("planner.image_warn_s", "planner.max_image_age_s", "controller.token_max_age_s"),
        ("controller.token_warn_s", "controller.token_hold_s", "controller.token_max_age_s"),
        ("command_gate.command_warn_s", "command_gate.command_hold_s", "command_gate.teleop_hold_s"),
        ("command_gate.joint_state_warn_s", "command_gate.joint_state_hold_s", "command_gate.joint_state_damp_s"),
        ("retargeter.operator_hold_s", "retargeter.operator_disengage_s"),
    ):
        assert sorted(ladder, key=told.__getitem__) == list(ladder)


@pytest.mark.parametrize("node", ["planner", "controller", "command_gate", "retargeter"])
def test_on_the_robot_each_node_that_can_move_it_has_the_profile_hardware(node):
    spec = next(spec for spec in NODES if spec.name == node)
    assert _shipped(spec, "real")["profile"] == "hardware"
    assert all(_shipped(spec, backend)["profile"] == "sim" for backend in ("mujoco", "gazebo", "isaac"))


@pytest.mark.parametrize("backend", ["mujoco", "real"])
def test_what_is_shipped_is_accepted_by_the_nodes_themselves(backend):
    for node in (node for node in NODES if backend in node.backends):
        fields = {name: item.name for name, item in settings_fields(settings_type(node)).items()}
        given = {fields[name]: value for name, value in _shipped(node, backend).items()}
        assert settings_type(node)(**given)


@pytest.mark.parametrize(
    ("settings", "name", "loose_s", "tight_s"),
    [
        (PlannerConfig, "max_image_age_s", 0.31, 0.2),
        (PlannerConfig, "image_warn_s", 0.2, 0.1),
        (ControllerConfig, "token_max_age_s", 0.6, 0.4),
        (ControllerConfig, "joint_state_timeout_s", 0.1, 0.03),
        (ControllerConfig, "chunk_max_age_s", 4.0, 0.2),
        (RetargeterConfig, "operator_hold_s", 0.2, 0.05),
        (RetargeterConfig, "joint_state_timeout_s", 0.1, 0.03),
    ],
)
def test_the_profile_hardware_takes_shorter_ages_and_refuses_longer_ones_that_a_simulation_may_have(
    settings, name, loose_s, tight_s
):
    assert getattr(settings(profile="hardware", **{name: tight_s}), name) == tight_s
    assert getattr(settings(**{name: loose_s}), name) == loose_s
    with pytest.raises(ConfigError, match=f"{name} = {loose_s} s is looser than .* which the hardware profile forbids"):
        settings(profile="hardware", **{name: loose_s})
    with pytest.raises(ConfigError, match="profile 'lab' is unknown; known: sim, hardware"):
        settings(profile="lab")


def test_the_file_for_networks_that_take_seconds_is_refused_on_the_robot_by_controller_and_gate():
    slow = yaml.safe_load((share_folder() / "config" / "gr1" / "large_network.yaml").read_text())
    for node in (spec for spec in NODES if spec.name in ("controller", "command_gate")):
        given = slow[f"/**/{node.name}"]["ros__parameters"]
        assert settings_type(node)(**given).profile == "sim"
        with pytest.raises(ConfigError, match="the hardware profile forbids"):
            settings_type(node)(profile="hardware", **given)
