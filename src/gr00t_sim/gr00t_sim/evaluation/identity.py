# SPDX-License-Identifier: Apache-2.0
"""What results were made with: checkpoint, settings, code. Results of something else are never mixed with them."""

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from gr00t_policy.baseline.checkpoint import DiffusionCheckpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.checkpoint_policy import own_noise_scale, read_checkpoint
from gr00t_sim.evaluation.episode import EpisodeSettings

# What decides how an episode goes; the rest (experts, ROS, training, reports) may change without making results old.
_CODE = {
    "gr00t_policy": (
        "baseline/backend.py",
        "baseline/checkpoint.py",
        "baseline/config.py",
        "baseline/diffusion.py",
        "baseline/eye.py",
        "baseline/network.py",
        "baseline/sentence_prompt.py",
        "baseline/unet.py",
        "core",
        "data",
        "embodiments",
        "model",
        "runtime",
    ),
    "gr00t_sim": (
        "appearance.py",
        "assets.py",
        "checkpoint_policy.py",
        "furniture.py",
        "looks.py",
        "objects.py",
        "evaluation/episode.py",
        "evaluation/sentences.py",
        "robot.py",
        "rollout.py",
        "scene.py",
        "simulation.py",
        "surfaces.py",
        "tasks",
        "vessels.py",
    ),
}
_SUFFIXES = (".py", ".yaml", ".json")
_LIBRARIES = ("fourier-robot-descriptions", "mujoco", "numpy", "openvino", "torch")


@dataclass(frozen=True)
class Identity:
    """checkpoint_hash: sha256 of its content; code: sha256 of simulator, policy and the libraries' versions."""

    checkpoint: str
    checkpoint_hash: str
    settings: EpisodeSettings
    code: str

    @property
    def digest(self) -> str:
        """Of settings and code together: 16 hex digits that stand in every line of results."""
        return _sha256(json.dumps([asdict(self.settings), self.code], sort_keys=True).encode())[:16]

    @property
    def folder_name(self) -> str:
        """A name that no other checkpoint, setting or code has."""
        return f"{Path(self.checkpoint).name}-{self.checkpoint_hash[:8]}-{self.digest[:8]}"

    def differences(self, other: "Identity") -> dict[str, tuple[object, object]]:
        """What differs by name: (here, in ``other``). The same checkpoint may lie in another folder."""
        pairs: dict[str, tuple[object, object]] = {
            "checkpoint": (self.checkpoint_hash[:12], other.checkpoint_hash[:12])
        }
        here, there = asdict(self.settings), asdict(other.settings)
        pairs |= {name: (here[name], there[name]) for name in here}
        pairs["code of simulator and policy"] = (self.code[:12], other.code[:12])
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def identity_of(checkpoint: Path, settings: EpisodeSettings) -> Identity:
    """Reads and checks the checkpoint; settings that leave the noise to it are filled in. Raises CheckpointError, ConfigError."""
    read = read_checkpoint(checkpoint, Path(settings.tokenizer) if settings.tokenizer else None)
    if settings.chunk_mode == "rtc" and isinstance(read, DiffusionCheckpoint):
        raise ConfigError("--chunk-mode rtc paints into a flow, which a Diffusion Policy does not have; choose another")
    if settings.staggered and isinstance(read, DiffusionCheckpoint):
        raise ConfigError(
            "--staggered advances a flow step by step, which a Diffusion Policy does not have; leave it out"
        )
    if settings.noise_scale is None:
        settings = replace(settings, noise_scale=own_noise_scale(read))
    return Identity(str(checkpoint), read.hash, settings, code_digest())


def identity_to_dict(identity: Identity) -> dict[str, Any]:
    """Of JSON values."""
    return asdict(identity)


def identity_from_dict(data: dict[str, Any]) -> Identity:
    """The inverse of ``identity_to_dict``. Raises KeyError, TypeError."""
    settings = EpisodeSettings(**data["settings"])
    return Identity(data["checkpoint"], data["checkpoint_hash"], settings, data["code"])


def code_digest() -> str:
    """sha256 hex over the files that decide how an episode goes, and the versions of the libraries below them."""
    parts = [f"{name} {_version(name)}".encode() for name in _LIBRARIES]
    parts += [f"{name} {_sha256(file.read_bytes())}".encode() for name, file in code_files().items()]
    return _sha256(b"\n".join(parts))


def code_files() -> dict[str, Path]:
    """Name, from the package on -> file that decides how an episode goes."""
    found: dict[str, Path] = {}
    for package, names in _CODE.items():
        root = _package_folder(package)
        for place in (root / name for name in names):
            files = sorted(place.rglob("*")) if place.is_dir() else [place]
            found |= {f"{package}/{file.relative_to(root)}": file for file in files if file.suffix in _SUFFIXES}
    return found


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None, package
    assert spec.submodule_search_locations, package
    return Path(spec.submodule_search_locations[0])


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
