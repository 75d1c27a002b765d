# SPDX-License-Identifier: Apache-2.0
"""What the user's parameter files say of a node, and what a start may still decide then: nothing is replaced in silence."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gr00t_bringup.nodes import NodeSpec, shipped_checkpoint
from gr00t_policy.core.errors import ConfigError

_PARAMETERS = "ros__parameters"
_OF_THE_START = ("autostart", "use_sim_time", "dry_run")  # have a default at each start, so that a file cannot win


def given_parameters(files: Sequence[Path], node: str, namespace: str) -> dict[str, Any]:
    """Parameters that the files give this node, later ones win; names may have ROS's wildcards. Raises ConfigError."""
    name = f"/{namespace.strip('/')}/{node}" if namespace.strip("/") else f"/{node}"
    given: dict[str, Any] = {}
    for file in files:
        for pattern, values in _sections(_content(file), ""):
            if _pattern(pattern).fullmatch(name):
                given |= values
    return given


def checkpoint_to_give(
    nodes: Collection[NodeSpec], files: Sequence[Path], namespace: str, named: Path | None
) -> Path | None:
    """The checkpoint that the start gives to the nodes that load one: the one named, else the shipped one, else None, since the
    files have theirs. Raises ConfigError where these have one for some of the nodes alone."""
    if named is not None:
        return named
    loading = [node.name for node in nodes if node.loads_checkpoint]
    theirs = [node for node in loading if given_parameters(files, node, namespace).get("checkpoint")]
    if theirs and theirs != loading:
        others = ", ".join(node for node in loading if node not in theirs)
        raise ConfigError(
            f"the parameter files name a checkpoint for {', '.join(theirs)} and none for {others}; they need the same: name it "
            "for all, or as the argument 'checkpoint'"
        )
    return None if theirs or not loading else shipped_checkpoint()


def refuse_contradictions(node: NodeSpec, files: Sequence[Path], namespace: str, decided: Mapping[str, object]) -> None:
    """Raises ConfigError where a file says otherwise than the start about what the start alone decides."""
    given = given_parameters(files, node.name, namespace)
    for name in _OF_THE_START:
        if name in given and name in decided and given[name] != decided[name]:
            theirs, ours = _word(given[name]), _word(decided[name])
            raise ConfigError(
                f"a parameter file gives the node '{node.name}' {name}: {theirs}, and this start {ours}; the start decides it "
                f"(ros2 launch: {name}:=...), so take it out of the file"
            )


def _content(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigError(f"the parameter file {file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the parameter file {file} is not YAML: {' '.join(str(error).split())}") from None


def _sections(tree: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of a node, maybe with wildcards, and its parameters; namespaces may be levels of the file."""
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if key != _PARAMETERS:
            yield from _sections(value, f"{path}/{str(key).strip('/')}")
        elif isinstance(value, dict):
            yield path, value


def _pattern(name: str) -> re.Pattern[str]:
    """``*`` is one part between slashes, ``**`` any number of them, none too."""
    words = {"*": "/[^/]+", "**": "(?:/[^/]+)*"}
    return re.compile("".join(words.get(part) or f"/{re.escape(part)}" for part in name.split("/")[1:]))


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
