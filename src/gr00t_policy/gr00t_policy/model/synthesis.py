# SPDX-License-Identifier: Apache-2.0
"""A folder in NVIDIA's released layout with random weights: for tests and measurements at sizes whose weights are not here.

Tensors are drawn and written one by one, so that the largest of them is all that is ever in memory.
"""

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.statistics import KeyStatistics, Statistics, VideoModality, save_metadata
from gr00t_policy.model.checkpoint_files import CONFIG, METADATA
from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.eagle_tokenizer import tokenizer_files
from gr00t_policy.model.release import write_eagle, write_release
from gr00t_policy.model.release_forms import form_of, idle_shapes
from gr00t_policy.model.released_checkpoint import EAGLE_FOLDER, released_prompt
from gr00t_policy.model.vla import Vla
from gr00t_policy.model.weight_files import INDEX, WEIGHTS, StoredTensor
from gr00t_policy.model.weights import DTYPES, published_shapes

STORED = {"float32": "F32", "bfloat16": "BF16"}
_MOVED_RAD = 0.1  # random weights answer with up to about three times the largest recorded value
_NORMS = ("norm", "mlp1.0.", "vlln.")  # in the names of layers whose weight scales and does not mix


def synthesise_release(
    folder: Path,
    config: ModelConfig,
    robot: Embodiment,
    *,
    seed: int = 0,
    dtype: str = "bfloat16",
    shards: int = 1,
    tokenizer: Path | None = None,
) -> int:
    """Write the folder and return the bytes of its weights. The weights depend on ``seed`` and names, not on ``shards``.

    By its statistics the robot stays near its home pose, whatever the weights say. tokenizer: folder whose files are copied
    in, of any kind that a release can be loaded with. Nothing is written on an error: CheckpointError when ``folder`` has
    files in it or ``tokenizer`` does not fit the network, ConfigError on other arguments that cannot be.
    """
    if dtype not in STORED:
        raise ConfigError(f"dtype '{dtype}' is unknown; choose one of: {', '.join(STORED)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} exists and is not an empty folder; give another")
    data = write_release(config)
    with torch.device("meta"):
        shapes = published_shapes(Vla(config)) | idle_shapes(config)
    if not 1 <= shards <= len(shapes):
        raise ConfigError(f"shards must lie in 1..{len(shapes)}, got {shards}")
    copied: tuple[Path, ...] = ()
    if tokenizer is not None:
        released_prompt(folder, tokenizer, config)
        copied = tokenizer_files(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    published = preset(form_of(config).preset)
    if (config.vision, config.language) != (published.vision, published.language):
        write_json(folder / EAGLE_FOLDER / CONFIG, write_eagle(config))
    for file in copied:
        (folder / EAGLE_FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(file, folder / EAGLE_FOLDER / file.name)
    save_metadata(folder / METADATA, home_statistics(robot))
    total = _write_weights(
        folder, {key: StoredTensor(STORED[dtype], shape) for key, shape in shapes.items()}, seed, shards
    )
    write_json(folder / CONFIG, data)  # last: a folder without it is nobody's checkpoint
    return total


def home_statistics(robot: Embodiment) -> Statistics:
    """As if the robot had been recorded while it moved a little about its home pose, under the robot's tag."""
    groups = {}
    for name, part in robot.policy_slices.items():
        joints = robot.policy_joints[part]
        home = np.array([robot.home.get(joint.name, 0.0) for joint in joints])
        low = np.maximum(home - _MOVED_RAD, [joint.lower_rad for joint in joints])
        high = np.minimum(home + _MOVED_RAD, [joint.upper_rad for joint in joints])
        middle, spread = (low + high) / 2, (high - low) / 2
        groups[name] = KeyStatistics(min=low, max=high, q01=low, q99=high, mean=middle, std=spread)
    video = {camera.name: VideoModality((camera.width, camera.height), fps=camera.rate_hz) for camera in robot.cameras}
    return Statistics(robot.tag, groups, groups, video)


def _write_weights(folder: Path, tensors: dict[str, StoredTensor], seed: int, shards: int) -> int:
    """One file, or up to ``shards`` of about the same size with an index."""
    total, done = sum(tensor.size for tensor in tensors.values()), 0
    files: list[dict[str, StoredTensor]] = [{} for _ in range(shards)]
    for key, tensor in tensors.items():
        files[min(done * shards // total, shards - 1)][key] = tensor
        done += tensor.size
    if shards == 1:
        _write_file(folder / WEIGHTS, tensors, seed)
        return total
    files = [stored for stored in files if stored]  # a large tensor can leave a shard without any
    weight_map: dict[str, str] = {}
    for number, stored in enumerate(files, start=1):
        name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        _write_file(folder / name, stored, seed)
        weight_map |= dict.fromkeys(stored, name)
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return total


def _write_file(path: Path, tensors: dict[str, StoredTensor], seed: int) -> None:
    """The safetensors format by hand, since its library wants all tensors in memory at once."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for key, tensor in tensors.items():
        header[key] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [place, place + tensor.size]}
        place += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    kinds = {stored: DTYPES[name] for name, stored in STORED.items()}
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key, tensor in tensors.items():
            value = random_weight(key, tensor.shape, seed).to(kinds[tensor.dtype])
            file.write(value.view(torch.uint8).numpy().data if value.dim() else bytes(value))


def random_weight(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """What a weight of this name starts as, in float32: scales about 1, biases about 0, the rest of a size that keeps
    activations within a few orders of magnitude through all layers. The same for the same key and seed."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    noise = torch.randn(shape, generator=generator)
    if len(shape) == 1 and key.endswith("weight") and any(part in key for part in _NORMS):
        return 1 + noise.mul_(0.02)
    fan_in = shape[1] if key.endswith(".W") else math.prod(shape[1:])
    return noise.mul_(0.02 if len(shape) == 1 or key.endswith(".b") else fan_in**-0.5)
