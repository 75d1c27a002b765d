# SPDX-License-Identifier: Apache-2.0
"""``gr00t checkpoint synth``: a checkpoint folder in NVIDIA's released layout with random weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError


@dataclass(frozen=True)
class SynthConfig:
    """What to write. The weights mean nothing; sizes, names, types and files are those of a release."""

    out: Path
    """folder to write; must be new or empty"""
    preset: Literal["n1_2b", "n1_5_3b", "n1_tiny_release", "n1_5_tiny_release"] = "n1_2b"
    """n1_2b: GR00T-N1-2B, 4.4 GB in bfloat16; n1_5_3b: GR00T-N1.5-3B, 5.4 GB; the others: the same forms in a few MB"""
    seed: int = 0
    """of the random weights"""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """number format of the weights"""
    shards: int = 1
    """weight files to share the tensors out to; more than one come with an index"""
    embodiment: str = "gr1"
    """robot whose tag and statistics are written"""
    tokenizer: Path | None = None
    """folder of the Eagle tokenizer of that release, to be copied in; a release has none"""

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ConfigError(f"shards must be at least 1, got {self.shards}")


def run(config: SynthConfig) -> int:
    """Write the folder. Raises Gr00tError."""
    from gr00t_policy.model.config import preset
    from gr00t_policy.model.synthesis import synthesise_release

    robot = load_embodiment(config.embodiment)
    size = synthesise_release(
        config.out,
        preset(config.preset),
        robot,
        seed=config.seed,
        dtype=config.dtype,
        shards=config.shards,
        tokenizer=config.tokenizer,
    )
    print(f"{config.out}: {config.preset} with random weights, {size / 1e9:.3f} GB")
    return 0
