# SPDX-License-Identifier: Apache-2.0
"""A run folder belongs to one run: its configuration lies in it, and a run with another one is not continued there."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_policy.training.loop import RESUME

_MAY_DIFFER = {
    "out",
    "threads",
    "device",
    "mixed_precision",
    "save_every",
    "accumulate",
    "tensorboard",
}  # without making it another run


def claim(out: Path, name: str, config: Any) -> None:
    """The folder is this run's: ``config``, a dataclass, is written into it as ``name``.

    Raises ConfigError when it holds another one: weights must not carry over what was held out.
    """
    path = out / name
    chosen = json.loads(json.dumps(asdict(config), default=str))
    if (out / RESUME).is_file() and path.is_file():
        before = json.loads(path.read_text())
        differing = [key for key in chosen if key not in _MAY_DIFFER and before.get(key) != chosen[key]]
        if differing:
            raise ConfigError(f"{out} holds a run with another {', '.join(differing)}; use another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, chosen)
