# SPDX-License-Identifier: Apache-2.0
"""What the launch file starts for its arguments, as plain data: it only declares the arguments and hands this to ``launch``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr00t_bringup.given_parameters import checkpoint_to_give, refuse_contradictions
from gr00t_bringup.nodes import (
    OWN_TIME,
    RECORD,
    TASKS,
    TELEOP,
    NodeSpec,
    nodes_for,
    overrides,
    parameter_files,
)


def launched_nodes(arguments: Mapping[str, str]) -> list[dict[str, Any]]:
    """The keyword arguments of a launch action for each node, in the order of starting.

    arguments: the launch file's, all of them, as texts. Raises ConfigError: a robot without parameter files, an unknown back
    end, no checkpoint named and none shipped, a ``params_file`` that contradicts what the start decides.
    """
    tokenizer = _absolute(arguments["tokenizer"])
    asked = {TELEOP: bool(arguments["teleop"]), RECORD: _true(arguments["record"]), TASKS: _true(arguments["tasks"])}
    nodes = nodes_for(arguments["backend"], [name for name, wanted in asked.items() if wanted])
    mine = [Path(arguments["params_file"])] if arguments["params_file"] else []
    namespace = arguments["namespace"]
    checkpoint = checkpoint_to_give(nodes, mine, namespace, _absolute(arguments["checkpoint"]))
    started = []
    for node in nodes:
        decided = overrides(
            node,
            autostart=_true(arguments["autostart"]),
            use_sim_time=_true(arguments["use_sim_time"] or str(arguments["backend"] in OWN_TIME)),
            checkpoint=checkpoint,
            tokenizer="" if tokenizer is None else str(tokenizer),
            device=arguments["teleop"],
            dry_run=_true(arguments["dry_run"]),
        )
        refuse_contradictions(node, mine, namespace, decided)
        files = [*parameter_files(arguments["robot"], arguments["backend"], node.name), *mine]
        started.append(_action(node, arguments, [*map(str, files), decided]))
    return started


def _action(node: NodeSpec, arguments: Mapping[str, str], parameters: list[Any]) -> dict[str, Any]:
    return {
        "package": node.package,
        "executable": node.name,
        "name": node.name,
        "namespace": arguments["namespace"],
        "parameters": parameters,
        "arguments": ["--ros-args", "--log-level", arguments["log_level"]],
        "output": "screen",
    } | _patience(node)


def _patience(node: NodeSpec) -> dict[str, str]:
    """launch sends SIGTERM 5 s after Ctrl-C and kills 5 s later; a node with more to close gets its time before the first."""
    return {"sigterm_timeout": f"{node.close_s:g}"} if node.close_s else {}


def _absolute(text: str) -> Path | None:
    """Nodes may be started in another folder than the launch."""
    return Path(text).absolute() if text else None


def _true(text: str) -> bool:
    return text.lower() == "true"
