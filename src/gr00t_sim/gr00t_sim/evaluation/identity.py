# SPDX-License-Identifier: Apache-2.0
"""What results were made with: checkpoint, settings, code. Results of something else are never mixed with them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gr00t_policy.baseline.checkpoint import DiffusionCheckpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.checkpoint_policy import own_noise_scale, read_checkpoint
from gr00t_sim.evaluation.code_digest import code_digest
from gr00t_sim.evaluation.episode import EpisodeSettings


@dataclass(frozen=True)
class Identity:
    """checkpoint_hash: sha256 of its content; code: sha256 of simulator, policy and the libraries' versions.

    written: the settings as a folder says them, without those that there were none of when it was made; None: all. In
    ``settings`` they have their defaults, which is how it was then.
    """

    checkpoint: str
    checkpoint_hash: str
    settings: EpisodeSettings
    code: str
    written: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """Of settings, as written, and code together: 16 hex digits that stand in every line of results."""
        return _sha256(json.dumps([self.settings_said, self.code], sort_keys=True).encode())[:16]

    @property
    def settings_said(self) -> dict[str, Any]:
        """The settings as they are, or were, written."""
        return asdict(self.settings) if self.written is None else dict(self.written)

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
    """Of JSON values; what was read is given as it was."""
    return {
        "checkpoint": identity.checkpoint,
        "checkpoint_hash": identity.checkpoint_hash,
        "settings": identity.settings_said,
        "code": identity.code,
    }


def identity_from_dict(data: dict[str, Any]) -> Identity:
    """The inverse of ``identity_to_dict``. Raises KeyError, TypeError."""
    settings = EpisodeSettings(**data["settings"])
    return Identity(data["checkpoint"], data["checkpoint_hash"], settings, data["code"], data["settings"])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
