# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint holds, for people and for programs: network, robot, statistics joint by joint, weights by half."""

from pathlib import Path
from typing import Any, Protocol

from gr00t_bringup.inspection.report import Grid, Problem, Report, megabytes, number
from gr00t_bringup.inspection.weight_file import CONTROLLER, PLANNER, Module, total, weight_modules
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.data.statistics import KeyStatistics, Statistics
from gr00t_policy.model.config import ModelConfig

STATISTICS = ("min", "q01", "mean", "std", "q99", "max")
_HALVES = {PLANNER: "planner half", CONTROLLER: "controller half"}


class Described(Protocol):
    """As ``Checkpoint``, without its weights and its prompt."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def embodiment(self) -> Embodiment: ...

    @property
    def statistics(self) -> Statistics: ...

    @property
    def hash(self) -> str: ...

    @property
    def card(self) -> dict[str, Any]: ...

    @property
    def robots(self) -> tuple[str, ...]: ...

    @property
    def slot(self) -> int: ...


def add_weights(report: Report, folder: Path, *, details: bool) -> None:
    """Facts and data of the weight files; damage where they cannot be read."""
    try:
        modules = weight_modules(folder)
    except Gr00tError as error:
        if all(problem.detail != str(error) for problem in report.problems):
            report.problems.append(Problem("damage", "weights", str(error)))
        return
    halves = [total(modules, half, title) for half, title in _HALVES.items()]
    for half in halves:
        stored, float32, bfloat16 = _sizes(half)
        kept = f"{half.parameters:,} parameters, {stored} ({', '.join(half.dtypes)})"
        own = "" if half.loaded == half.parameters else f" {half.loaded:,}:"
        report.facts.append(
            (half.name, f"in the file {kept}; loaded{own} {float32} in float32, {bfloat16} in bfloat16")
        )
    report.data["weights"] = {
        "halves": [half.as_data() for half in halves],
        "modules": [module.as_data() for module in modules],
    }
    if details:
        header = ("half", "module", "tensors", "parameters", "stored", "loaded", "in float32", "in bfloat16")
        rows = []
        for m in modules:
            stored, *loaded = _sizes(m)
            rows.append((m.half, m.name, str(m.tensors), f"{m.parameters:,}", stored, f"{m.loaded:,}", *loaded))
        report.grids.append(Grid("weights by module; loaded: of the tables of all robots one row", header, rows))


def _sizes(part: Module) -> tuple[str, str, str]:
    """As stored, and what is loaded of it in float32 and in bfloat16."""
    return megabytes(part.stored_bytes), megabytes(4 * part.loaded), megabytes(2 * part.loaded)


def network_facts(checkpoint: Described, hash_covers: str) -> list[tuple[str, str]]:
    """Lines for people. hash_covers: what the hash says of the weights."""
    config, robot = checkpoint.config, checkpoint.embodiment
    head, duration_s = config.head, config.head.horizon / robot.rate_hz
    state, action = (robot.encoded_width(side) for side in ("state", "action"))
    others = [name for name in checkpoint.robots if name != robot.name]
    also = [("also for", f"{', '.join(others)} (see with --robot NAME)")] if others else []
    cameras = ", ".join(f"{c.name} {c.width}x{c.height} at {c.rate_hz:g} Hz" for c in robot.cameras)
    return [
        ("embodiment", f"{robot.name}, weight slot {checkpoint.slot} of {head.embodiments}"),
        *also,
        (
            "acts",
            f"{head.horizon} steps at {robot.rate_hz:g} Hz = {duration_s:.2f} s a chunk, {head.steps} Euler steps",
        ),
        ("groups", ", ".join(f"{name} {part.stop - part.start}" for name, part in robot.policy_slices.items())),
        (
            "widths",
            f"action {action} of {head.action_dim}, state {state} of {head.state_dim} ({robot.state_encoding})",
        ),
        (
            "sees",
            f"{cameras}; the network {config.vision.image_size}x{config.vision.image_size} in "
            f"{config.vision.tokens} tokens, crop {config.crop_fraction:g}",
        ),
        ("reads", f"prompt '{config.prompt_template}', {_sentence_limit(checkpoint)}"),
        ("trained", card_line(checkpoint.card)),
        ("hash", f"{checkpoint.hash[:16]} ({hash_covers})"),
    ]


def _sentence_limit(checkpoint: Described) -> str:
    config = checkpoint.config
    order = "sentence first" if config.text_first else "image first"
    if config.instruction_tokens:
        return f"{order}, sentences up to {config.instruction_tokens} tokens (longer ones lose their end)"
    return f"{order}, prompts up to {config.language.max_positions} tokens with the images"


def card_line(card: dict[str, Any]) -> str:
    """What the training card says that one wants to know first."""
    datasets = card.get("datasets")
    words = []
    if isinstance(card.get("recipe"), str):
        words.append(f"recipe {card['recipe']}")
    if isinstance(card.get("steps"), int):
        words.append(f"{card['steps']} steps")
    if isinstance(datasets, list) and datasets:
        episodes = sum(item.get("episodes", 0) for item in datasets if isinstance(item, dict))
        words.append(f"{episodes} episodes of {len(datasets)} dataset(s)")
    if isinstance(card.get("average_success"), int | float):
        words.append(f"success {100 * card['average_success']:.1f} %")
    return ", ".join(words) or "no training card"


def joint_grid(robot: Embodiment, side: str, statistics: dict[str, KeyStatistics]) -> Grid:
    """The network's vector, slot by slot."""
    rows = []
    for group, part in robot.policy_slices.items():
        for index, joint in enumerate(robot.policy_joints[part]):
            values = statistics_cells(statistics[group], index)
            limits = f"{number(joint.lower_rad)} .. {number(joint.upper_rad)}"
            slot = str(part.start + index)
            rows.append((slot, "" if index else group, joint.name, f"{joint.sign:+d}", limits, *values))
    title = f"joints in the network's order; limits and the training data's {side}s [rad], in the model's sign"
    return Grid(title, ("slot", "group", "ROS joint", "sign", "limits", *STATISTICS), rows)


def statistics_cells(statistics: KeyStatistics, index: int) -> list[str]:
    """Of one joint of a group, in the order of ``STATISTICS``."""
    return [number(getattr(statistics, key)[index]) for key in STATISTICS]


def network_data(checkpoint: Described) -> dict[str, Any]:
    """The same for programs, and every joint."""
    config, robot = checkpoint.config, checkpoint.embodiment
    state, action = (robot.encoded_width(side) for side in ("state", "action"))
    return {
        "hash": checkpoint.hash,
        "embodiment": robot.name,
        "robots": list(checkpoint.robots),
        "weight_slot": checkpoint.slot,
        "projector_index": robot.projector_index,
        "rate_hz": robot.rate_hz,
        "horizon": config.head.horizon,
        "chunk_s": config.head.horizon / robot.rate_hz,
        "euler_steps": config.head.steps,
        "widths": {
            "action": {"used": action, "available": config.head.action_dim},
            "state": {"used": state, "available": config.head.state_dim, "encoding": robot.state_encoding},
        },
        "cameras": [dict(vars(camera)) for camera in robot.cameras],
        "network_image": {
            "size": config.vision.image_size,
            "tokens": config.vision.tokens,
            "crop_fraction": config.crop_fraction,
        },
        "prompt": {
            "template": config.prompt_template,
            "text_first": config.text_first,
            "instruction_tokens": config.instruction_tokens or None,
            "max_positions": config.language.max_positions,
        },
        "joints": joint_data(robot, checkpoint.statistics),
        "training_card": checkpoint.card,
    }


def joint_data(robot: Embodiment, statistics: Statistics) -> list[dict[str, Any]]:
    """The same as data."""
    return [
        {
            "slot": part.start + index,
            **dict(vars(joint)),
            "unit": "rad",
            "action": _one(statistics.action[group], index),
            "state": _one(statistics.state[group], index),
        }
        for group, part in robot.policy_slices.items()
        for index, joint in enumerate(robot.policy_joints[part])
    ]


def _one(statistics: KeyStatistics, index: int) -> dict[str, float]:
    return {key: float(getattr(statistics, key)[index]) for key in STATISTICS}
