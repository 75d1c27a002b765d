# SPDX-License-Identifier: Apache-2.0
"""Every argument of the launch file reaches the nodes that it is for; without the launch library, which few machines have."""

import ast
from pathlib import Path
from typing import Any

import pytest

from gr00t_bringup import teleop
from gr00t_bringup.launched_nodes import launched_nodes
from gr00t_bringup.nodes import NODES, nodes_for, share_folder, shipped_checkpoint
from gr00t_bringup.teleop import TeleopConfig
from gr00t_policy.core.errors import ConfigError

_TREE = ast.parse((share_folder() / "launch" / "gr1.launch.py").read_text())


def _declared() -> dict[str, str]:
    """The arguments that the launch file declares, with their defaults; that of dry_run is an expression: backend == real."""
    found = {}
    for call in ast.walk(_TREE):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "DeclareLaunchArgument":
            default = next(keyword.value for keyword in call.keywords if keyword.arg == "default_value")
            found[ast.literal_eval(call.args[0])] = default.value if isinstance(default, ast.Constant) else "False"
    return found


def _started(**given: str) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in launched_nodes(_declared() | given)}


def _decided(**given: str) -> dict[str, dict[str, Any]]:
    return {name: node["parameters"][-1] for name, node in _started(**given).items()}


def test_the_arguments_that_are_declared_are_those_that_are_handed_on():
    handed = next(
        ast.literal_eval(statement.value)
        for statement in _TREE.body
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "_ARGUMENTS"
    )
    assert len(set(handed)) == len(handed) and set(handed) == set(_declared())


def test_nothing_given_is_the_shipped_checkpoint_in_the_simulator_with_the_robots_files():
    started = _started()
    assert list(started) == [node.name for node in nodes_for("mujoco")]
    assert [node["executable"] for node in started.values()] == list(started)
    for name, node in started.items():
        *files, decided = node["parameters"]
        assert Path(files[0]).parts[-2:] == ("gr1", f"{name}.yaml")
        assert all(Path(file).is_file() for file in files)
        assert decided["autostart"] is True and decided["use_sim_time"] is False
        assert node["namespace"] == "" and "remappings" not in node
        assert node["arguments"] == ["--ros-args", "--log-level", "info"]
    assert started["planner"]["parameters"][-1]["checkpoint"] == str(shipped_checkpoint())
    assert "tokenizer" not in started["planner"]["parameters"][-1]


def test_namespace_and_log_level_are_those_of_every_node():
    for node in _started(namespace="left", log_level="debug").values():
        assert node["namespace"] == "left"
        assert node["arguments"] == ["--ros-args", "--log-level", "debug"]


@pytest.mark.parametrize("word", ["true", "True"])
def test_simulated_time_and_no_start_of_its_own_are_parameters_of_every_node(word):
    for decided in _decided(use_sim_time=word, autostart="False").values():
        assert decided["use_sim_time"] is True and decided["autostart"] is False


@pytest.mark.parametrize(
    ("backend", "given", "expected"),
    [("mujoco", "", False), ("real", "", False), ("gazebo", "", True), ("isaac", "", True), ("isaac", "false", False)],
)
def test_time_is_that_of_a_simulator_that_has_its_own_unless_said_otherwise(backend, given, expected):
    assert {each["use_sim_time"] for each in _decided(backend=backend, use_sim_time=given).values()} == {expected}


def test_a_file_of_parameters_wins_over_the_robots_and_not_over_what_the_start_decides(tmp_path):
    file = _file(tmp_path, "/**/planner: {ros__parameters: {rate_hz: 5.0}}")
    for node in _started(params_file=file, backend="real").values():
        *files, mine, decided = node["parameters"]
        assert mine == file and files and isinstance(decided, dict)
        assert Path(files[-1]).name == "real.yaml"


def _file(folder: Path, content: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(content)
    return str(file)


@pytest.mark.parametrize(
    ("planner", "controller"),
    [("/**/planner", "/**/controller"), ("/left/arm/planner", "left/arm/controller"), ("/left/*/planner", "/left/**")],
)
def test_a_checkpoint_in_a_file_of_parameters_wins_over_the_shipped_one_and_the_argument_over_both(
    planner, controller, tmp_path
):
    mine = "{ros__parameters: {checkpoint: /mine}}"
    file = _file(tmp_path, f"{planner}: {mine}\n{controller}: {mine}")
    loading = [node.name for node in NODES if node.loads_checkpoint]
    decided = _decided(params_file=file, namespace="/left/arm")
    assert [name for name in loading if "checkpoint" in decided[name]] == []
    named = _decided(params_file=file, namespace="/left/arm", checkpoint="/other")
    assert {name: named[name].get("checkpoint") for name in loading} == dict.fromkeys(loading, "/other")
    if "left" in planner:  # another robot's
        others = _decided(params_file=file, namespace="right/arm")
        assert {name: others[name]["checkpoint"] for name in loading} == dict.fromkeys(
            loading, str(shipped_checkpoint())
        )


def test_a_checkpoint_for_the_planner_alone_is_refused_and_names_the_other(tmp_path):
    file = _file(tmp_path, "left:\n  planner: {ros__parameters: {checkpoint: /mine}}")
    with pytest.raises(ConfigError, match="name a checkpoint for planner and none for controller"):
        _started(params_file=file, namespace="left")
    assert _started(params_file=file, namespace="left", checkpoint="/other")


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [("autostart", "true", False), ("use_sim_time", "false", True), ("autostart", "true", 7)],
)
def test_what_the_start_decides_is_refused_in_a_file_that_says_otherwise(name, argument, value, tmp_path):
    word = str(value).lower()
    file = _file(tmp_path, f"/**: {{ros__parameters: {{{name}: {word}}}}}")
    with pytest.raises(
        ConfigError, match=f"node 'planner' {name}: {word}, and this start {argument}; the start decides it"
    ):
        _started(params_file=file)
    if isinstance(value, bool):
        assert _started(params_file=file, **{name: word})


def test_a_file_of_parameters_that_is_not_there_or_no_yaml_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="parameter file /my/file.yaml cannot be read: No such file"):
        _started(params_file="/my/file.yaml")
    file = _file(tmp_path, "a: [")
    with pytest.raises(ConfigError, match="mine.yaml is not YAML"):
        _started(params_file=file)


def test_checkpoint_and_tokenizer_reach_the_nodes_that_load_one_as_absolute_paths():
    decided = _decided(checkpoint="models/mine", tokenizer="words", teleop="webxr", record="true", tasks="true")
    assert set(decided) == {node.name for node in NODES}
    loading = {node.name for node in NODES if node.loads_checkpoint}
    for name, values in decided.items():
        wanted = {"checkpoint": str(Path("models/mine").absolute()), "tokenizer": str(Path("words").absolute())}
        assert {key: values.get(key) for key in wanted} == (wanted if name in loading else dict.fromkeys(wanted))
    assert decided["operator"]["device"] == "webxr"


def test_a_recorder_gets_as_long_to_close_its_episode_as_in_teleop_and_the_others_what_launch_gives():
    given = _started(teleop="webxr", record="true", tasks="true")
    patient = teleop.stack_options(TeleopConfig(), {}).patience.interrupt_s
    assert {name: node["sigterm_timeout"] for name, node in given.items() if "sigterm_timeout" in node} == {
        "recorder": str(round(patient))
    }
    assert patient == 20.0 and not any("sigkill_timeout" in node for node in given.values())


def test_a_robot_without_parameter_files_and_an_unknown_back_end_are_refused_by_name():
    with pytest.raises(ConfigError, match="no parameter file .*r2d2.*robots with parameter files: gr1"):
        _started(robot="r2d2")
    with pytest.raises(ConfigError, match="no back end 'cardboard'"):
        _started(backend="cardboard")


def test_a_dry_run_silences_the_gate_alone():
    for word, silenced in (("true", True), ("False", False)):
        decided = _decided(dry_run=word)
        assert decided.pop("command_gate")["dry_run"] is silenced
        assert not any("dry_run" in each for each in decided.values())
