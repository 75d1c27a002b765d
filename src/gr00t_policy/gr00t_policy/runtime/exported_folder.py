# SPDX-License-Identifier: Apache-2.0
"""The folder that ``gr00t export`` writes: ONNX files, what goes in and out of them, and what the plain network answers.

Reading it needs no torch. ``network.json`` is for programs in any language: see docs/export.md.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openvino as ov

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.json_file import read_json_object
from gr00t_policy.runtime.engine_cache import GRAPHS, BuiltPart
from gr00t_policy.runtime.exported_inputs import image_facts, prompt_facts
from gr00t_policy.runtime.start_check import ReferenceAnswers

OPSET = 17  # the newest that the exporter writes without further packages; TensorRT 8.6 and later read it
DESCRIPTION, REFERENCE = "network.json", "reference.npz"


@dataclass(frozen=True)
class ExportedValue:
    """An input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ExportedPart:
    """One graph. inputs, outputs: in the graph's order."""

    name: str
    file: str
    inputs: tuple[ExportedValue, ...]
    outputs: tuple[ExportedValue, ...]


def write_description(folder: Path, checkpoint: Checkpoint, parts: tuple[ExportedPart, ...]) -> None:
    """``network.json``: everything that a program without this suite needs to use the graphs."""
    config, robot = checkpoint.config, checkpoint.embodiment
    data: dict[str, Any] = {
        "format": "onnx",
        "opset": OPSET,
        "checkpoint_hash": checkpoint.hash,
        "embodiment": robot.name,
        "euler_steps": config.head.steps,
        "parts": [asdict(part) for part in parts],
        "image": image_facts(checkpoint),
        "prompt": prompt_facts(checkpoint),
        "joints": list(robot.policy_joint_names),
        "groups": {name: [part.start, part.stop] for name, part in robot.policy_slices.items()},
        "encodings": {
            side: {name: asdict(robot.encoding(side, name)) for name in robot.policy_slices}
            for side in ("state", "action")
        },
        "statistics": checkpoint.statistics.to_dict()["statistics"],
        "step_dt_s": 1.0 / robot.rate_hz,
        "horizon": config.head.horizon,
        "noise": "normal, (1, T, A); zeros give the flow's centre, as on the robot",
    }
    (folder / DESCRIPTION).write_text(json.dumps(data, indent=2) + "\n")


def exported_part(checkpoint: Checkpoint, part: str, folder: Path) -> BuiltPart:
    """The graphs of 'encoder' or 'head'. Raises CheckpointError when the folder is none of ``gr00t export``, was made from
    another checkpoint or for another robot or other Euler steps, or cannot be read."""
    if not (folder / DESCRIPTION).is_file():
        raise CheckpointError(f"{folder} was not written by `gr00t export`: it has no {DESCRIPTION}")
    said = read_json_object(folder / DESCRIPTION)
    wanted = {
        "checkpoint_hash": checkpoint.hash,
        "embodiment": checkpoint.embodiment.name,
        "euler_steps": checkpoint.config.head.steps,
    }
    if wrong := [name for name, value in wanted.items() if said.get(name) != value]:
        name = wrong[0]
        raise CheckpointError(
            f"{folder} was exported with {name} {said.get(name)}, asked for is {wanted[name]}; export it again"
        )
    try:
        files = {entry["name"]: entry["file"] for entry in said["parts"]}
        graphs = {name: ov.Core().read_model(folder / files[name]) for name in GRAPHS[part]}
    except (RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(f"a graph in {folder} cannot be read; export it again: {error}") from error
    return BuiltPart(graphs, ReferenceAnswers.load(folder / REFERENCE), folder)
