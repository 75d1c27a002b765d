# SPDX-License-Identifier: Apache-2.0
"""Which of the three things a path is, from the names of the files alone."""

from pathlib import Path
from typing import Literal

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag_reading import why_no_mcap

Kind = Literal["checkpoint", "dataset", "bag"]
_SIGNS = (
    "a checkpoint (folder with config.json or *.safetensors), a LeRobot dataset (folder with meta/info.json), "
    "a bag (folder with metadata.yaml or *.mcap, or one .mcap file)"
)


def recognise(path: Path) -> Kind:
    """Raises ConfigError naming what was looked for, and what lies one folder below."""
    if not path.exists():
        raise ConfigError(f"there is nothing at {path}; give {_SIGNS}")
    kind = _kind(path)
    if kind is not None:
        return kind
    if path.suffix == ".safetensors" or (path.is_file() and _kind(path.parent) is not None):
        raise ConfigError(
            f"{path} is one file of a {_kind(path.parent) or 'checkpoint'}; give its folder {path.parent}"
        )
    if path.is_dir() and any(path.glob("*.db3")):
        raise ConfigError(f"{path} is not a bag that is read here: {why_no_mcap(path)}")
    raise ConfigError(f"{path} is none of: {_SIGNS}{_below(path)}")


def _kind(path: Path) -> Kind | None:
    if path.is_file():
        return "bag" if path.suffix == ".mcap" else None
    if (path / "meta").is_dir():
        return "dataset"
    if any(path.glob("*.mcap")):
        return "bag"
    if (path / "config.json").is_file() or any(path.glob("*.safetensors")):
        return "checkpoint"
    return None


def _below(path: Path) -> str:
    if not path.is_dir():
        return ""
    inside = [f"{child.name} ({kind})" for child in sorted(path.iterdir()) if child.is_dir() and (kind := _kind(child))]
    return f"; but it holds {', '.join(inside[:5])}" if inside else ""
