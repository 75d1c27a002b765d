# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as a policy for the simulator, on the engine that the robot uses."""

from pathlib import Path

from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.backends import default_cache, load_backend
from gr00t_policy.runtime.policy import Gr00tPolicy


def load_policy(
    folder: Path, engine: str = "openvino", precision: str = "int8", noise_scale: float = 1.0
) -> Gr00tPolicy:
    """Raises CheckpointError when the folder holds no usable GR-1 checkpoint."""
    checkpoint = load_checkpoint(folder, "gr1")
    backend = load_backend(checkpoint, engine, precision, default_cache(Path.home()))
    return Gr00tPolicy(checkpoint, backend, noise_scale=noise_scale)
