# SPDX-License-Identifier: Apache-2.0
"""``gr00t data mixture FILE``: what a mixture draws how often, whether its datasets belong together, its statistics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.json_file import write_json
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture import Mixture, open_mixture
from gr00t_policy.data.mixture_config import load_mixture_config
from gr00t_policy.data.mixture_statistics import mixture_statistics
from gr00t_policy.data.statistics import save_metadata


@dataclass(frozen=True)
class DataMixtureConfig:
    """Exit code 0 when every dataset could be opened and they belong together; otherwise 2 and the first fault."""

    mixture: Annotated[Path, tyro.conf.Positional]
    """YAML file that lists datasets with embodiment, weight and episodes held out"""
    statistics: Path | None = None
    """write the statistics here, merged for each embodiment tag, as a checkpoint's metadata.json has them"""
    json: Path | None = None
    """write the shares here, with the statistics of each dataset when --statistics is given"""

    def __post_init__(self) -> None:
        if self.statistics is not None and self.statistics.exists():
            raise ConfigError(f"{self.statistics} exists already; remove it or name another file")


def run(config: DataMixtureConfig) -> int:
    """Print the shares. Raises ConfigError, DatasetError and EmbodimentError."""
    mixture = open_mixture(load_mixture_config(config.mixture))
    _show(mixture)
    data = {"fingerprint": mixture.fingerprint, "tags": mixture.tags, "datasets": _as_data(mixture)}
    if config.statistics is not None:
        own, merged = mixture_statistics(mixture)
        for statistics in merged.values():
            save_metadata(config.statistics, statistics)
        data["statistics"] = {name: statistics.to_dict() for name, statistics in own.items()}
        print(f"statistics of {', '.join(merged)}: {config.statistics}")
    if config.json is not None:
        write_json(config.json, data)
    return 0


def _as_data(mixture: Mixture) -> dict[str, dict[str, object]]:
    return {
        part.entry.name: {
            "path": str(part.entry.path),
            "embodiment": part.robot.name,
            "tag": part.tag,
            "fps": part.dataset.fps,
            "episodes": len(part.episodes),
            "held_out": list(part.entry.hold_out),
            "frames": part.frames,
            "weight": part.entry.weight,
            "share": float(share),
        }
        for part, share in zip(mixture.parts, mixture.shares, strict=True)
    }


def _show(mixture: Mixture) -> None:
    width = max(len(part.entry.name) for part in mixture.parts)
    print(
        f"{'dataset':<{width}} {'tag':<16} {'Hz':>5} {'episodes':>8} {'held out':>8} {'hours':>8} {'weight':>8} {'share':>7}"
    )
    for part, share in zip(mixture.parts, mixture.shares, strict=True):
        print(
            f"{part.entry.name:<{width}} {part.tag:<16} {part.dataset.fps:>5g} {len(part.episodes):>8} "
            f"{len(part.entry.hold_out):>8} {part.frames / part.dataset.fps / 3600:>8.3f} {part.entry.weight:>8g} {share:>7.1%}"
        )
