# SPDX-License-Identifier: Apache-2.0
"""What code decides how an episode goes, as one digest: what was made by other code is never mixed in."""

import hashlib
import importlib.util
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

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
        "lasting_success.py",
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
# Beside it, of ``gr00t_sim``: what decides how an expert demonstrates, and how demonstrations are multiplied.
DEMONSTRATING = (
    "demonstration.py",
    "experts",
    "generate.py",
    "kinematics.py",
    "production/outcome.py",
    "projection.py",
    "recording.py",
)
MULTIPLYING = (*DEMONSTRATING, "evaluation/seeds.py", "multiplication", "multiply.py")
_SUFFIXES = (".py", ".yaml", ".json")
# nncf rounds weights to int8, pillow scales pictures, transformers has the backbone's layers.
_LIBRARIES = (
    "fourier-robot-descriptions",
    "mujoco",
    "nncf",
    "numpy",
    "openvino",
    "pillow",
    "tokenizers",
    "torch",
    "transformers",
)
_LIBRARIES_OF_EXPERTS = ("daqp", "mink")


def code_digest(beside: Sequence[str] = ()) -> str:
    """sha256 hex over the files that decide how an episode goes, and the versions of the libraries below them.

    beside: DEMONSTRATING or MULTIPLYING, for episodes that are made so.
    """
    libraries = (*_LIBRARIES, *(_LIBRARIES_OF_EXPERTS if beside else ()))
    parts = [f"{name} {_version(name)}".encode() for name in libraries]
    parts += [f"{name} {_sha256(file.read_bytes())}".encode() for name, file in code_files(beside).items()]
    return _sha256(b"\n".join(parts))


def code_files(beside: Sequence[str] = ()) -> dict[str, Path]:
    """Name, from the package on -> file that decides how an episode goes."""
    found: dict[str, Path] = {}
    for package, names in (*_CODE.items(), ("gr00t_sim", beside)):
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
