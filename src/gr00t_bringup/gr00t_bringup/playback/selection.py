# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are played, and under which names. What would move a robot is played only when it is asked for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gr00t_bringup.inspection.report import few
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagTopic

CLOCK_TOPIC = "/clock"
# Messages that drives and their controllers obey, and the last parts of the names they obey them by.
COMMAND_TYPES = frozenset(
    {
        "trajectory_msgs/msg/JointTrajectory",
        "trajectory_msgs/msg/MultiDOFJointTrajectory",
        "control_msgs/msg/JointJog",
        "control_msgs/msg/MultiDOFCommand",
    }
)
COMMAND_NAMES = frozenset({"joint_trajectory", "cmd_vel", "command", "commands", "joint_command", "joint_commands"})
# What makes the nodes of the suite move a robot that they drive: relative names, and where pictures lie.
_FED_NAMES = ("joint_states", "language_command", "conditioning_tokens", "operator_state")
_FED_FOLDER = "camera/"
COMMAND_TOPIC = "joint_trajectory"
_NOT_OBEYED = ("dry_run", "policy", "teleop")  # namespaces whose joint_trajectory goes to the gate, or to nobody


@dataclass(frozen=True)
class Selection:
    """names: topic in the bag -> name it is played under. withheld: topics that would move a robot, and are not played."""

    topics: dict[str, BagTopic]
    names: dict[str, str]
    withheld: tuple[str, ...] = ()


def select(
    topics: Mapping[str, BagTopic],
    *,
    silent: Collection[str] = (),
    wanted: Sequence[str] = (),
    excluded: Sequence[str] = (),
    remap: Sequence[str] = (),
    with_clock: bool = False,
    allow_commands: bool = False,
) -> Selection:
    """silent: topics without messages. wanted: none = all others. remap: 'old:=new'. with_clock: the player tells the time
    itself, so the bag's own is left out.

    Raises ConfigError for names that the bag does not have, for commands that were asked for by name without
    ``allow_commands``, for two topics under one name, and where nothing is left.
    """
    rules = dict(_rule(text) for text in remap)
    for option, names in (("--topics", wanted), ("--exclude-topics", excluded), ("--remap", rules)):
        _require_known(option, names, topics)
    asked = [_absolute(name) for name in wanted]
    left_out = {_absolute(name) for name in excluded} | ({CLOCK_TOPIC} if with_clock else set())
    names = {
        name: rules.get(name, name) for name in (asked or sorted(set(topics) - set(silent))) if name not in left_out
    }
    commands = [name for name in names if is_command(names[name], topics[name].type_name)]
    if commands and not allow_commands:
        named = [name for name in commands if name in asked or name in rules]
        if named:
            raise ConfigError(
                f"{few(named)}: playing this would move a robot that listens to it; it is played only with --allow-commands"
            )
        names = {name: played for name, played in names.items() if name not in commands}
    _require_one_each(names)
    if not names:
        raise ConfigError(f"nothing is left to play; the bag has: {', '.join(sorted(topics))}")
    return Selection({name: topics[name] for name in names}, names, () if allow_commands else tuple(commands))


def is_command(name: str, type_name: str) -> bool:
    """Whether a robot, or the gate in front of it, obeys messages of this name or type."""
    return type_name in COMMAND_TYPES or name.rpartition("/")[2] in COMMAND_NAMES


def is_obeyed(topic: str) -> bool:
    """Whether ``topic`` is where the gate sends what a robot obeys."""
    *place, name = topic.split("/")
    return name == COMMAND_TOPIC and (not place or place[-1] not in _NOT_OBEYED)


def fed(played: Collection[str], command_topic: str) -> list[str]:
    """Those of ``played`` that the nodes which send ``command_topic`` look at: cameras, joints, sentences, tokens, hands."""
    place = command_topic.removesuffix(COMMAND_TOPIC)
    relative = {name: name.removeprefix(place) for name in played if name.startswith(place)}
    return sorted(name for name, rest in relative.items() if rest in _FED_NAMES or rest.startswith(_FED_FOLDER))


def _rule(text: str) -> tuple[str, str]:
    old, separator, new = text.partition(":=")
    if not (separator and old.strip("/ ") and new.strip("/ ")):
        raise ConfigError(f"--remap takes old:=new, e.g. /joint_states:=/recorded/joint_states, got '{text}'")
    return _absolute(old), _absolute(new)


def _absolute(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _require_known(option: str, names: Collection[str], topics: Mapping[str, BagTopic]) -> None:
    unknown = [name for name in names if _absolute(name) not in topics]
    if unknown:
        there = ", ".join(sorted(topics)) or "none"
        raise ConfigError(f"{option}: the bag has no topic {', '.join(unknown)}; it has: {there}")


def _require_one_each(names: Mapping[str, str]) -> None:
    played: dict[str, str] = {}
    for name, new in names.items():
        if new in played:
            raise ConfigError(f"{played[new]} and {name} would both be played as {new}; leave one out, or remap it")
        played[new] = name
