# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as a policy for the simulator: a GR00T network on the engine that the robot uses, or a baseline.

Observation, normalisation, noise and the life of a chunk are the same for both; only the network differs.
"""

from pathlib import Path

from gr00t_policy.baseline.checkpoint import DiffusionCheckpoint, is_diffusion_policy, load_diffusion_checkpoint
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.runtime.backends import default_cache, load_backend
from gr00t_policy.runtime.policy import Gr00tPolicy

ROBOT = "gr1"


def read_checkpoint(folder: Path, tokenizer: Path | None = None) -> Checkpoint | DiffusionCheckpoint:
    """Everything but the weights. tokenizer: folder of that of a released checkpoint that has none.

    Raises CheckpointError when the folder holds no usable GR-1 checkpoint.
    """
    if is_diffusion_policy(folder):
        return load_diffusion_checkpoint(folder, ROBOT)
    return load_checkpoint(folder, ROBOT, tokenizer=tokenizer)


def own_noise_scale(checkpoint: Checkpoint | DiffusionCheckpoint) -> float:
    """Of the noise that chunks are made from where nobody asks for another: 0 for GR00T, the flow's centre, as on the robot;
    1 for a Diffusion Policy, as published."""
    return 1.0 if isinstance(checkpoint, DiffusionCheckpoint) else 0.0


def load_policy(
    folder: Path,
    engine: str = "openvino",
    precision: str = "int8",
    noise_scale: float | None = None,
    steps: int = 0,
    *,
    staggered: bool = False,
    tokenizer: Path | None = None,
    checkpoint_hash: str = "",
) -> Gr00tPolicy:
    """engine: of all of a GR00T network, of a baseline's head. precision: a baseline has float32 alone.

    noise_scale: None = ``own_noise_scale``. steps: Euler steps of a GR00T network, 0 = the checkpoint's. staggered: a GR00T
    network's chunks may also be in flight, see ``runtime/staggering.py``. tokenizer: as in ``read_checkpoint``.
    checkpoint_hash: of what the folder held when the work began, which a worker's results count for; "" for any. Raises
    CheckpointError when the folder holds no usable GR-1 checkpoint or another one, ConfigError for other steps.
    """
    checkpoint = read_checkpoint(folder, tokenizer)
    if checkpoint_hash and checkpoint.hash != checkpoint_hash:
        raise CheckpointError(
            f"checkpoint {folder} was replaced while it drove: {checkpoint_hash[:12]} before, {checkpoint.hash[:12]} now; "
            "put the first one back and the same command goes on, or begin again with this one"
        )
    scale = own_noise_scale(checkpoint) if noise_scale is None else noise_scale
    if isinstance(checkpoint, DiffusionCheckpoint):
        from gr00t_policy.baseline.backend import DiffusionBackend

        if steps:
            raise ConfigError(f"steps {steps} are Euler steps of a GR00T network; {folder} is a Diffusion Policy")

        baseline = DiffusionBackend(checkpoint, "openvino" if engine == "auto" else engine)
        return Gr00tPolicy(checkpoint, baseline, noise_scale=scale, fresh_noise=True)  # as published
    checkpoint = checkpoint.with_steps(steps)
    backend = load_backend(checkpoint, engine, precision, default_cache(Path.home()), staggered=staggered)
    return Gr00tPolicy(checkpoint, backend, noise_scale=scale)
