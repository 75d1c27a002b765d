# SPDX-License-Identifier: Apache-2.0
"""One truth: launch file, process starter and packages agree on nodes, files and parameters."""

import ast
import py_compile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

from gr00t_bringup import demo, teleop
from gr00t_bringup.bench import loop, soak
from gr00t_bringup.nodes import (
    BACKENDS,
    DECIDED_AT_START,
    NODES,
    RECORD,
    TASKS,
    TELEOP,
    NodeSpec,
    nodes_for,
    overrides,
    parameter_files,
    settings_type,
    share_folder,
    shipped_checkpoint,
)
from gr00t_bringup.ros.stack import StackOptions, command_of
from gr00t_bringup.teleop import TeleopConfig
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.settings import settings_fields

_LAUNCH_FILE = share_folder() / "launch" / "gr1.launch.py"
_SOURCE = Path(__file__).resolve().parents[3]


def _given(node: NodeSpec) -> dict[str, Any]:
    content = yaml.safe_load(parameter_files("gr1", "mujoco", node.name)[0].read_text())
    parameters: dict[str, Any] = content[f"/**/{node.name}"]["ros__parameters"]
    return parameters


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_each_parameter_file_is_for_its_node_in_any_namespace(node):
    content = yaml.safe_load(parameter_files("gr1", "mujoco", node.name)[0].read_text())
    assert list(content) == [f"/**/{node.name}"]
    assert list(content[f"/**/{node.name}"]) == ["ros__parameters"]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_each_parameter_file_has_every_parameter_that_the_start_does_not_decide(node):
    declared = set(settings_fields(settings_type(node)))
    assert set(_given(node)) == declared - DECIDED_AT_START


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_each_value_in_a_parameter_file_has_the_type_and_range_its_node_demands(node):
    settings = settings_type(node)
    hints = get_type_hints(settings)
    known = settings_fields(settings)
    for name, value in _given(node).items():
        low, high = known[name].metadata.get("range", (float("-inf"), float("inf")))
        assert isinstance(value, list) or type(value) is hints[known[name].name], name
        assert isinstance(value, str | list) or low <= value <= high, name


def test_every_node_that_is_in_time_for_the_gate_knows_its_rate():
    given = {node.name: _given(node) for node in NODES}
    told = {name: values["gate_rate_hz"] for name, values in given.items() if "gate_rate_hz" in values}
    assert told == dict.fromkeys(("controller", "sim", "retargeter"), given["command_gate"]["tick_rate_hz"])


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_each_node_is_installed_as_the_executable_that_launch_starts(node):
    setup = (_SOURCE / node.package / "setup.py").read_text()
    assert f"{node.name} = {node.module}:main" in setup


def test_the_file_of_a_back_end_changes_only_parameters_that_exist():
    by_name = {f"/**/{node.name}": set(settings_fields(settings_type(node))) for node in NODES}
    files = [file for backend in BACKENDS for file in parameter_files("gr1", backend, "planner")[1:]]
    assert files
    for file in files:
        for name, section in yaml.safe_load(file.read_text()).items():
            assert set(section["ros__parameters"]) <= by_name[name], (file, name)


def test_a_real_robot_gets_the_hardware_profile_and_a_watch_on_its_camera():
    content = yaml.safe_load(parameter_files("gr1", "real", "command_gate")[1].read_text())
    assert content["/**/command_gate"]["ros__parameters"]["profile"] == "hardware"
    assert content["/**/planner"]["ros__parameters"]["frozen_images"] > 0


def test_the_simulator_runs_only_where_it_is_the_robot():
    assert {node.name for node in nodes_for("mujoco")} == {"planner", "controller", "sim", "command_gate"}
    for backend in set(BACKENDS) - {"mujoco"}:
        assert {node.name for node in nodes_for(backend)} == {"planner", "controller", "command_gate"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_person_drives_and_records_with_is_added_only_on_request_wherever_the_robot_is(backend):
    alone = nodes_for(backend)
    for additions, more in (
        ((TELEOP,), ["operator", "retargeter"]),
        ((RECORD,), ["recorder"]),
        ((TASKS,), ["task_server"]),
        ((TELEOP, RECORD), ["operator", "retargeter", "recorder"]),
    ):
        assert [node.name for node in nodes_for(backend, additions) if node not in alone] == more
    assert set(nodes_for("mujoco", (TELEOP, RECORD, TASKS))) == set(NODES)


def test_only_the_operator_is_told_the_device_and_only_when_one_is_named():
    def told(device: str) -> dict[str, object]:
        decided = {
            node.name: overrides(node, autostart=True, use_sim_time=False, checkpoint=None, device=device)
            for node in NODES
        }
        return {name: values["device"] for name, values in decided.items() if "device" in values}

    assert told("") == {}
    assert told("vision_pro") == {"operator": "vision_pro"}


def test_an_unknown_back_end_or_robot_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match="no back end 'cardboard'.*mujoco"):
        nodes_for("cardboard")
    with pytest.raises(ConfigError, match="robots with parameter files: gr1"):
        parameter_files("r2d2", "mujoco", "planner")


def test_a_tokenizer_is_given_only_to_the_nodes_that_load_a_checkpoint_and_only_when_one_is_named():
    def told(tokenizer: str) -> dict[str, object]:
        decided = {
            node.name: overrides(node, autostart=True, use_sim_time=False, checkpoint=Path("/c"), tokenizer=tokenizer)
            for node in NODES
        }
        return {name: values["tokenizer"] for name, values in decided.items() if "tokenizer" in values}

    assert told("") == {}
    assert told("/t") == {"planner": "/t", "controller": "/t"}


@pytest.mark.parametrize("verb", [demo, loop, soak], ids=["demo", "bench loop", "bench soak"])
def test_a_checkpoint_in_a_file_of_parameters_is_the_one_that_a_verb_runs(verb, tmp_path):
    """The shipped one was given after the file, and so won over it."""
    file = tmp_path / "mine.yaml"
    mine = "{ros__parameters: {checkpoint: /mine}}"
    file.write_text(f"/**/planner: {mine}\n/**/controller: {mine}")

    def told(**given: Any) -> dict[str, list[str]]:
        config = {demo: demo.DemoConfig, loop: loop.LoopConfig, soak: soak.SoakConfig}[verb](**given)
        options = verb.stack_options(config, "choose_bin") if verb is demo else verb.stack_options(config)
        commands = {node.name: command_of(options, node) for node in options.started if node.loads_checkpoint}
        return {name: [word for word in words if "checkpoint:=" in word] for name, words in commands.items()}

    nodes = ("planner", "controller")
    assert told(params_file=(file,)) == {name: [] for name in nodes}
    assert told() == {name: [f'checkpoint:="{shipped_checkpoint()}"'] for name in nodes}
    assert told(params_file=(file,), checkpoint=Path("/o")) == {name: ['checkpoint:="/o"'] for name in nodes}
    file.write_text("/**/planner: {ros__parameters: {autostart: false}}")
    with pytest.raises(ConfigError, match="autostart: false, and this start true"):
        told(params_file=(file,))


def _of_teleop(folder: Path) -> StackOptions:
    given = TeleopConfig(checkpoint=folder, tokenizer=Path("words"))
    return teleop.stack_options(given, teleop.device_parameters("webxr", ()))


@pytest.mark.parametrize(
    "options_of",
    [
        lambda folder: demo.stack_options(demo.DemoConfig(checkpoint=folder, tokenizer=Path("words")), "choose_bin"),
        lambda folder: loop.stack_options(loop.LoopConfig(checkpoint=folder, tokenizer=Path("words"))),
        lambda folder: soak.stack_options(soak.SoakConfig(checkpoint=folder, tokenizer=Path("words"))),
        _of_teleop,
    ],
    ids=["demo", "bench loop", "bench soak", "teleop"],
)
def test_a_tokenizer_that_is_named_to_a_verb_reaches_planner_and_controller_alone(options_of, tmp_path):
    """Its page promised the option of verbs that had none, so that a folder as released did not start."""
    options = options_of(tmp_path)
    words = {node.name: command_of(options, node) for node in options.started}
    told = {name for name, command in words.items() if 'tokenizer:="words"' in command}
    assert told == {"planner", "controller"}
    assert not any(word.startswith("tokenizer:=") for word in command_of(replace(options, tokenizer=None), NODES[0]))


def test_a_checkpoint_is_given_only_to_the_nodes_that_load_one():
    given = {
        node.name: overrides(node, autostart=True, use_sim_time=False, checkpoint=Path("/c")).get("checkpoint")
        for node in NODES
    }
    assert given == {
        "planner": "/c",
        "controller": "/c",
        **dict.fromkeys(("sim", "command_gate", "operator", "retargeter", "recorder", "task_server")),
    }


def test_launch_and_starter_take_nodes_and_files_from_the_same_functions():
    shared = {"nodes_for", "overrides", "parameter_files"}
    package = _SOURCE / "gr00t_bringup" / "gr00t_bringup"
    for file in (package / "launched_nodes.py", package / "ros" / "stack.py"):
        imported = {
            name.name
            for statement in ast.walk(ast.parse(file.read_text()))
            if isinstance(statement, ast.ImportFrom) and statement.module == "gr00t_bringup.nodes"
            for name in statement.names
        }
        assert shared <= imported, file
        assert not any(node.module in file.read_text() for node in NODES), f"{file} lists a node itself"
    launch_file = _LAUNCH_FILE.read_text()
    assert "LifecycleNode(**node) for node in launched_nodes(" in launch_file
    assert not any(f'"{node.name}"' in launch_file for node in NODES), "the launch file lists a node itself"


def test_the_launch_file_is_short_and_compiles(tmp_path):
    assert len(_LAUNCH_FILE.read_text().splitlines()) <= 120
    py_compile.compile(str(_LAUNCH_FILE), cfile=str(tmp_path / "launch.pyc"), doraise=True)


def test_a_missing_checkpoint_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr("gr00t_bringup.nodes.SHIPPED_CHECKPOINT", "not_there")
    with pytest.raises(ConfigError, match="gr00t train --recipe tiny"):
        shipped_checkpoint()
