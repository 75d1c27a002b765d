# SPDX-License-Identifier: Apache-2.0
"""A run folder belongs to one run: its options lie in it, and a run with other ones is not continued there."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_policy.training.loop import RESUME

# Options that may change when a run is continued, without making it another run.
_MAY_DIFFER = {
    "out",
    "threads",
    "device",
    "mixed_precision",
    "save_every",
    "log_every",
    "accumulate",
    "shard",
    "tensorboard",
    "workers",
    "worker_processes",
}


def claim(out: Path, recipe: str, config: Any) -> None:
    """The folder is this run's from now on; its options, a dataclass, are kept in it.

    Raises ConfigError when it holds another run: weights must not carry over what was held out.
    """
    path = out / f"{recipe}_config.json"
    chosen = json.loads(json.dumps(asdict(config), default=str))
    if (out / RESUME).is_file() and path.is_file():
        before = json.loads(path.read_text())
        differing = [key for key in chosen if key not in _MAY_DIFFER and before.get(key) != chosen[key]]
        if differing:
            raise ConfigError(f"{out} holds a run with another {', '.join(differing)}; use another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, chosen)
