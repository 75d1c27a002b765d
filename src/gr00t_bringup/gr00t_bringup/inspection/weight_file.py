# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint's weight files hold, by half and module, from their headers alone: no tensor is read."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from gr00t_policy.model.weight_files import StoredTensor, open_weight_files

PLANNER, CONTROLLER, OTHER = "planner", "controller", "other"
_TABLES = ("state encoder", "action encoder", "action decoder")  # a row for each robot; a node reads that of its own
# Published prefix -> (half, module); the longest that fits wins.
_MODULES = {
    "backbone.model.vision_model.": (PLANNER, "vision tower"),
    "backbone.model.language_model.": (PLANNER, "language model"),
    "backbone.model.mlp1.": (PLANNER, "connector"),
    "backbone.linear.": (PLANNER, "linear"),
    "backbone.eagle_model.vision_model.": (PLANNER, "vision tower"),  # N1.5 from here
    "backbone.eagle_model.language_model.": (PLANNER, "language model"),
    "backbone.eagle_model.mlp1.": (PLANNER, "connector"),
    "backbone.eagle_model.vision_model.vision_model.head.": (OTHER, "stored, not used"),
    "backbone.eagle_model.language_model.lm_head.": (OTHER, "stored, not used"),
    "action_head.vlln.": (CONTROLLER, "feature mixer"),
    "action_head.vl_self_attention.": (CONTROLLER, "feature mixer"),
    "backbone.": (PLANNER, "rest of the backbone"),
    "action_head.model.": (CONTROLLER, "DiT"),
    "action_head.state_encoder.": (CONTROLLER, "state encoder"),
    "action_head.action_encoder.": (CONTROLLER, "action encoder"),
    "action_head.action_decoder.": (CONTROLLER, "action decoder"),
    "action_head.": (CONTROLLER, "positions and rest"),
    "aux.": (OTHER, "localiser (training)"),
}


@dataclass(frozen=True)
class Module:
    """One part of the network in the file. half: the node that runs it; dtypes: as stored, e.g. ('BF16',).

    parameters: in the file. loaded: of them those that the node reads, of the tables of all robots one row.
    """

    half: str
    name: str
    tensors: int
    parameters: int
    loaded: int
    stored_bytes: int
    dtypes: tuple[str, ...]

    def as_data(self) -> dict[str, object]:
        return {
            "half": self.half,
            "module": self.name,
            "tensors": self.tensors,
            "parameters": self.parameters,
            "bytes": {
                "stored": self.stored_bytes,
                "float32": 4 * self.parameters,
                "bfloat16": 2 * self.parameters,
            },
            "stored_dtypes": list(self.dtypes),
            "loaded_parameters": self.loaded,
            "loaded_bytes": {"float32": 4 * self.loaded, "bfloat16": 2 * self.loaded},
        }


def weight_modules(folder: Path) -> list[Module]:
    """Modules in order of half, then as they come. Raises CheckpointError when a file is missing, cut or no safetensors."""
    tensors: dict[tuple[str, str], list[StoredTensor]] = {}
    for stored in open_weight_files(folder).tensors.values():
        for name, tensor in stored.items():
            tensors.setdefault(_module(name), []).append(tensor)
    modules = [
        Module(
            half,
            name,
            len(items),
            sum(prod(item.shape) for item in items),
            sum(prod(item.shape[1:] if name in _TABLES else item.shape) for item in items),
            sum(item.size for item in items),
            tuple(sorted({item.dtype for item in items})),
        )
        for (half, name), items in tensors.items()
    ]
    order = [name for _, name in _MODULES.values()]
    return sorted(modules, key=lambda module: order.index(module.name) if module.name in order else len(order))


def total(modules: list[Module], half: str, name: str) -> Module:
    """The sum over one half."""
    chosen = [module for module in modules if module.half == half]
    return Module(
        half,
        name,
        sum(module.tensors for module in chosen),
        sum(module.parameters for module in chosen),
        sum(module.loaded for module in chosen),
        sum(module.stored_bytes for module in chosen),
        tuple(sorted({dtype for module in chosen for dtype in module.dtypes})),
    )


def _module(name: str) -> tuple[str, str]:
    for prefix in sorted(_MODULES, key=len, reverse=True):
        if name.startswith(prefix):
            return _MODULES[prefix]
    return OTHER, "unknown names"
