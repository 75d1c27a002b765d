# SPDX-License-Identifier: Apache-2.0
"""The one table of nodes, and where their parameter files lie. Launch file and process starter both read it."""

import importlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.config import DEVICES

BACKENDS = ("mujoco", "gazebo", "isaac", "real")
OWN_TIME = ("gazebo", "isaac")  # back ends whose stamps are of /clock
# What may be added to a robot: a person who drives, a recorder of episodes, a server of tasks.
TELEOP, RECORD, TASKS = "teleop", "record", "tasks"
PERSONS_DEVICES = DEVICES  # what the person may hold or wear
SHIPPED_CHECKPOINT = "gr1_tabletop_tiny"
DECIDED_AT_START = frozenset({"autostart", "use_sim_time", "checkpoint", "dry_run"})


@dataclass(frozen=True)
class NodeSpec:
    """One lifecycle node. name is also its executable; module has ``main()``; settings: 'module:class' of its parameters.

    backends: the back ends it is started for. addition: started only where this is asked for.
    loads_checkpoint: it has the parameter ``checkpoint``. close_s: how long it may take to end once it is asked to; 0: as others.
    """

    name: str
    package: str
    module: str
    settings: str
    backends: tuple[str, ...] = BACKENDS
    addition: str = ""
    loads_checkpoint: bool = False
    close_s: float = 0.0


# In the order they are started: what takes longest to be ready comes first.
NODES = (
    NodeSpec(
        "planner",
        "gr00t_planner",
        "gr00t_planner.ros.planner_node",
        "gr00t_planner.config:PlannerConfig",
        loads_checkpoint=True,
    ),
    NodeSpec(
        "controller",
        "gr00t_policy",
        "gr00t_policy.ros.controller_node",
        "gr00t_policy.runtime.config:ControllerConfig",
        loads_checkpoint=True,
    ),
    NodeSpec("sim", "gr00t_sim", "gr00t_sim.ros.sim_node", "gr00t_sim.ros.config:SimConfig", backends=("mujoco",)),
    NodeSpec("command_gate", "gr00t_safety", "gr00t_safety.ros.command_gate_node", "gr00t_safety.config:GateConfig"),
    NodeSpec(
        "operator",
        "gr00t_teleop",
        "gr00t_teleop.ros.operator_node",
        "gr00t_teleop.devices.config:OperatorConfig",
        addition=TELEOP,
    ),
    NodeSpec(
        "retargeter",
        "gr00t_teleop",
        "gr00t_teleop.ros.retargeter_node",
        "gr00t_teleop.retargeting.config:RetargeterConfig",
        addition=TELEOP,
    ),
    NodeSpec(
        "recorder",
        "gr00t_teleop",
        "gr00t_teleop.ros.recorder_node",
        "gr00t_teleop.recording.config:RecorderConfig",
        addition=RECORD,
        close_s=20.0,  # its disk may be slow, and an episode that is cut off must be recovered
    ),
    NodeSpec(
        "task_server",
        "gr00t_bringup",
        "gr00t_bringup.ros.task_server_node",
        "gr00t_bringup.task_execution.config:TaskServerConfig",
        addition=TASKS,
    ),
)


def nodes_for(backend: str, additions: Collection[str] = ()) -> tuple[NodeSpec, ...]:
    """The nodes to start when the robot is ``backend``. additions: of ``TELEOP``, ``RECORD``, ``TASKS``. Raises ConfigError."""
    if backend not in BACKENDS:
        raise ConfigError(f"there is no back end '{backend}'; choose one of: {', '.join(BACKENDS)}")
    return tuple(node for node in NODES if backend in node.backends and node.addition in ("", *additions))


def settings_type(node: NodeSpec) -> type[Any]:
    """The dataclass that declares the node's parameters."""
    module, name = node.settings.split(":")
    settings: type[Any] = getattr(importlib.import_module(module), name)
    return settings


def overrides(
    node: NodeSpec,
    *,
    autostart: bool,
    use_sim_time: bool,
    checkpoint: Path | None,
    tokenizer: str = "",
    device: str = "",
    dry_run: bool = False,
) -> dict[str, object]:
    """The parameters that a start decides, on top of the files: ``DECIDED_AT_START``, and tokenizer and the person's device
    where they are given.

    dry_run: everything works, but the gate's commands go to a topic that no robot obeys. A parameter, for a renamed topic would
    go where ``SetRemap`` around the launch file says.
    """
    decided: dict[str, object] = {"autostart": autostart, "use_sim_time": use_sim_time}
    if node.name == "command_gate":
        decided["dry_run"] = dry_run
    if node.loads_checkpoint and checkpoint is not None:
        decided["checkpoint"] = str(checkpoint)
    if node.loads_checkpoint and tokenizer:
        decided["tokenizer"] = tokenizer
    if node.name == "operator" and device:
        decided["device"] = device
    return decided


def share_folder() -> Path:
    """The folder that holds ``launch/`` and ``config/``: the source folder, or share/gr00t_bringup when installed."""
    for place in _places():
        if (place / "launch").is_dir() and (place / "config").is_dir():
            return place
    raise ConfigError("launch/ and config/ of gr00t_bringup are not installed; build the workspace again")


def shipped_checkpoint() -> Path:
    """The checkpoint in ``models/`` of the workspace this package lies in. Raises ConfigError."""
    for place in _places():
        folder = place / "models" / SHIPPED_CHECKPOINT
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"there is no models/{SHIPPED_CHECKPOINT} here; name a checkpoint, or train one with `gr00t train --recipe tiny`"
    )


def parameter_files(robot: str, backend: str, node: str) -> list[Path]:
    """The YAML files of one node, later ones win: of the robot, then of its back end if there is one. Raises ConfigError."""
    config = share_folder() / "config"
    file = config / robot / f"{node}.yaml"
    if not file.is_file():
        robots = ", ".join(sorted(folder.name for folder in config.iterdir() if folder.is_dir()))
        raise ConfigError(f"no parameter file {file}; robots with parameter files: {robots}")
    of_backend = config / robot / "backends" / f"{backend}.yaml"
    return [file, of_backend] if of_backend.is_file() else [file]


def _places() -> Iterator[Path]:
    for folder in Path(__file__).resolve().parents:
        yield folder
        yield folder / "share" / "gr00t_bringup"
