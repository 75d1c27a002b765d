# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors under the published key names, read strictly. Never pickle.

Files are memory-mapped. Where a file already has the type that is wanted on the CPU, the network uses its pages as they
are; else each tensor is converted as it lands and its pages are given back, so that the weights are never held twice.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.release_forms import idle_shapes
from gr00t_policy.model.weight_files import StoredTensor, WeightFiles, open_weight_file

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PARTS = ("backbone.", "head.", "aux.")  # the network's parts by our prefix; each can be loaded alone
_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MAPPED_AT_ONCE = 1 << 28  # bytes of a file that may stay mapped while they are converted
Part = TypeVar("Part", bound=nn.Module)

# (published, ours): prefixes of whole subtrees. transformers 5 dropped one `vision_model.` level of SigLIP and the `model.`
# level of a bare LlamaModel, so the published names are spelt out here and never taken from the library.
_PREFIXES = (
    ("backbone.model.vision_model.vision_model.", "backbone.vision."),
    ("backbone.model.language_model.model.", "backbone.language."),
    ("backbone.model.mlp1.", "backbone.connector."),
    ("backbone.linear.", "backbone.linear."),
    ("action_head.model.timestep_encoder.timestep_embedder.linear_1.", "head.dit.time_in."),
    ("action_head.model.timestep_encoder.timestep_embedder.linear_2.", "head.dit.time_out."),
    ("action_head.model.transformer_blocks.", "head.dit.blocks."),
    ("action_head.model.proj_out_1.", "head.dit.out_modulation."),
    ("action_head.model.proj_out_2.", "head.dit.out."),
    ("action_head.vlln.", "head.mixer.norm."),
    ("action_head.vl_self_attention.transformer_blocks.", "head.mixer.blocks."),
    ("action_head.", "head."),
    ("aux.", "aux."),  # ours alone: the published model has no such layer
)
# (of N1.5, of N1): what N1.5 calls the same things.
_OF_N1_5 = (("backbone.eagle_model.", "backbone.model."), ("backbone.eagle_linear.", "backbone.linear."))
# (published, ours): names inside one block of the DiT, or of what mixes the features before it (the last two).
_BLOCK_PARTS = (
    ("norm1.linear", "modulation"),
    ("attn1.to_q", "attention.query"),
    ("attn1.to_k", "attention.key"),
    ("attn1.to_v", "attention.value"),
    ("attn1.to_out.0", "attention.out"),
    ("ff.net.0.proj", "ff_in"),
    ("ff.net.2", "ff_out"),
    ("norm1", "norm_in"),
    ("norm3", "norm_ff"),
)
_BLOCK_NAME = re.compile(r"^(head\.(?:dit|mixer)\.blocks\.\d+\.)(.+)(\.(?:weight|bias))$")


def our_name(published: str) -> str:
    """Our parameter name for a published key of N1 or N1.5; unknown keys come back unchanged. Inverse of ``published_name``."""
    name = _swap_prefix(_swap_prefix(published, _OF_N1_5), _PREFIXES)
    return _swap_block_part(name, dict(_BLOCK_PARTS))


def published_name(ours: str, *, n1_5: bool = False) -> str:
    """Published key of one of our parameters, as N1 has it or as N1.5 has it."""
    name = _swap_block_part(ours, {ours_part: part for part, ours_part in _BLOCK_PARTS})
    name = _swap_prefix(name, _turned(_PREFIXES))
    return _swap_prefix(name, _turned(_OF_N1_5)) if n1_5 else name


def published_state(model: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Published key -> tensor of everything the model stores; of the part called ``prefix``, '' = the whole network."""
    n1_5 = _is_n1_5(model)
    return {published_name(prefix + name, n1_5=n1_5): value for name, value in model.state_dict().items()}


def published_shapes(model: nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Published key -> shape of everything the model stores."""
    return {key: tuple(value.shape) for key, value in published_state(model, prefix).items()}


def shapes_to_find(model: nn.Module, found: Iterable[str], prefix: str = "") -> dict[str, tuple[int, ...]]:
    """``published_shapes``, and those of ``idle_shapes`` that are among the keys ``found``: they may be there or not."""
    config = getattr(model, "config", None)
    idle = idle_shapes(config) if isinstance(config, ModelConfig) else {}
    present = set(found)
    return published_shapes(model, prefix) | {key: shape for key, shape in idle.items() if key in present}


def save_weights(
    model: nn.Module, path: Path, *, dtype: str = "float32", metadata: Mapping[str, str] | None = None
) -> None:
    """Write all weights under published names in 'float32' or 'bfloat16'.

    Raises CheckpointError, before anything is written, for NaN or infinity in them: nobody could load that.
    """
    tensors = {
        key: value.detach().to("cpu", DTYPES[dtype]).contiguous() for key, value in published_state(model).items()
    }
    if lost := [key for key, value in tensors.items() if not all_finite(value)]:
        raise CheckpointError(
            f"the network is not saved: {len(lost)} of its {len(tensors)} tensors hold NaN or infinity in {dtype}, the "
            f"first of them '{lost[0]}'"
        )
    save_file(tensors, path, metadata=dict(metadata or {}) | {"format": "pt"})


def load_weights(model: nn.Module, source: Path | WeightFiles) -> None:
    """Fill a whole ``model`` with copies, each tensor in the model's own dtype and on its own device.

    Raises CheckpointError: tensors missing, unexpected or of another shape, before anything is loaded; NaN or infinity in
    a tensor, with the model filled as far as that.
    """
    files = source if isinstance(source, WeightFiles) else open_weight_file(source)
    check_shapes(files.shapes, shapes_to_find(model, files.shapes), files.where)
    state = published_state(model)
    with torch.no_grad():
        for key, value in _stored_tensors(files, state, "cpu"):
            state[key].copy_(value)


def verify_weights(build: Callable[[], nn.Module], files: WeightFiles) -> None:
    """Look at every name, shape and value of the files beside the whole network that ``build`` makes, and keep none.

    Raises CheckpointError like ``load_weights``.
    """
    with torch.device("meta"):
        expected = shapes_to_find(build(), files.shapes)
    check_shapes(files.shapes, expected, files.where)
    for _ in _stored_tensors(files, expected, "cpu"):
        pass


def load_part(
    build: Callable[[], Part],
    files: WeightFiles,
    prefix: str,
    *,
    dtype: str,
    device: str,
    stored_as: Callable[[], nn.Module] | None = None,
    slot: int = 0,
) -> Part:
    """The part of the network called ``prefix`` (one of PARTS) straight from the files, for inference.

    build: makes the part; called on torch's meta device, so that nothing is allocated or drawn at random (buffers that
    are not stored stay there and are the caller's to make). Of the other parts not a byte is read. stored_as: makes the
    part as the files hold it where that has rows for several embodiments, (E, ...), and ``build`` for one, (1, ...);
    ``slot`` is the row to keep. Raises CheckpointError like ``load_weights``.
    """
    with torch.device("meta"):
        part = build()
        expected = shapes_to_find(stored_as() if stored_as else part, files.shapes, prefix)
    others = tuple(published_name(other) for other in PARTS if other != prefix)
    check_shapes(
        {key: shape for key, shape in files.shapes.items() if not key.startswith(others)}, expected, files.where
    )
    wanted = published_shapes(part, prefix)
    rows = {key: slot for key, shape in wanted.items() if shape != expected[key]}
    tensors = {
        our_name(key).removeprefix(prefix): value.to(DTYPES[dtype])
        for key, value in _stored_tensors(files, wanted, device, rows, DTYPES[dtype])
    }
    part.load_state_dict(tensors, assign=True)
    return part.requires_grad_(False).eval()


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill ``model``, the part of the network called ``prefix``, from tensors by published name. Raises CheckpointError."""
    check_shapes(
        {key: tuple(value.shape) for key, value in tensors.items()}, shapes_to_find(model, tensors, prefix), "tensors"
    )
    used = published_shapes(model, prefix)
    model.load_state_dict({our_name(key).removeprefix(prefix): value for key, value in tensors.items() if key in used})


def all_finite(value: Tensor) -> bool:
    """Whether there is neither NaN nor infinity in it. Takes no memory beside the tensor's own."""
    return not value.numel() or all(bool(torch.isfinite(end)) for end in torch.aminmax(value))


def check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises CheckpointError naming every tensor that is missing, unexpected or of another shape, with the shapes."""
    faults = {
        "missing": [f"{key} {expected[key]}" for key in sorted(expected.keys() - found.keys())],
        "unexpected": [f"{key} {found[key]}" for key in sorted(found.keys() - expected.keys())],
        "of another shape": [
            f"{key} {found[key]} instead of {expected[key]}"
            for key in sorted(expected.keys() & found.keys())
            if found[key] != expected[key]
        ],
    }
    named = {kind: tensors for kind, tensors in faults.items() if tensors}
    if named:
        counts = ", ".join(f"{len(tensors)} tensor(s) {kind}" for kind, tensors in named.items())
        lists = "\n".join(_listed(kind, tensors) for kind, tensors in named.items())
        raise CheckpointError(f"{where} does not fit the configuration of the network: {counts}\n{lists}")


def _stored_tensors(
    files: WeightFiles,
    keys: Iterable[str],
    device: str,
    rows: Mapping[str, int] | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """(key, tensor as stored) for each of ``keys``, file by file. rows: take this row of the tensor, as (1, ...).

    dtype: what the caller converts to; what is stored so already on the CPU is handed out as the file's own pages, all
    of the file under one mapping, and must not be written to. Raises CheckpointError for NaN, infinity, a bad file.
    """
    wanted, rows = set(keys), rows or {}
    for path, stored in files.tensors.items():
        names = [name for name in stored if name in wanted]
        lasting = device == "cpu" and all(_STORED[stored[name].dtype] == dtype for name in names)
        for group in [names] if lasting else _groups(stored, names):
            try:
                with safe_open(path, framework="pt", device=device) as file:
                    for name in group:
                        row = rows.get(name)
                        value = file.get_tensor(name) if row is None else file.get_slice(name)[row : row + 1]
                        _check_finite(value, name, path)
                        yield name, value
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{path} cannot be read as safetensors: {error}; copy or download it again"
                ) from error


def _groups(stored: Mapping[str, StoredTensor], names: Iterable[str]) -> Iterator[list[str]]:
    """The names in runs of about ``_MAPPED_AT_ONCE`` bytes."""
    group: list[str] = []
    size = 0
    for name in names:
        group.append(name)
        size += stored[name].size
        if size >= _MAPPED_AT_ONCE:
            yield group
            group, size = [], 0
    yield group


def _check_finite(value: Tensor, name: str, path: Path) -> None:
    if not all_finite(value):
        raise CheckpointError(f"{path}: tensor '{name}' holds NaN or infinity; copy or download it again")


def _listed(kind: str, tensors: list[str]) -> str:
    """All of them, one a line under the first."""
    return f"{kind}: " + f",\n{'':{len(kind) + 2}}".join(tensors)


def _is_n1_5(model: nn.Module) -> bool:
    """Whether keys of System 2 are called as in N1.5; System 1 is called the same in both."""
    config = getattr(model, "config", None)
    return isinstance(config, ModelConfig) and config.prompt_template == "eagle2_5"


def _turned(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((new, old) for old, new in pairs)


def _swap_prefix(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _swap_block_part(name: str, parts: Mapping[str, str]) -> str:
    match = _BLOCK_NAME.match(name)
    return match[1] + parts.get(match[2], match[2]) + match[3] if match else name
