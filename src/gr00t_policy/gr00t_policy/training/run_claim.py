# SPDX-License-Identifier: Apache-2.0
"""A run folder belongs to one run at a time: its options lie in it, a run with other ones is not continued there."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import lock, write_json
from gr00t_policy.training.loop import RESUME
from gr00t_policy.training.processes import main_first

_LOCK = ".lock"  # held by the process that writes the folder; whatever ends it lets go

# Options that may change when a run is continued, without making it another run.
_MAY_DIFFER = {
    "out",
    "threads",
    "device",
    "mixed_precision",
    "save_every",
    "log_every",
    "checkpoint_every",
    "keep",
    "accumulate",
    "shard",
    "tensorboard",
    "workers",
    "worker_processes",
}


@contextmanager
def claimed(out: Path, recipe: str, config: Any, device: str) -> Iterator[None]:
    """Inside, the folder is this run's alone, and its options, a dataclass, are kept in it.

    Of several processes that train together the main one claims, before the others go on. Raises ConfigError when another
    training writes there, or when it holds another run: weights must not carry over what was held out.
    """
    with ExitStack() as held:
        with main_first(device) as is_main:
            if is_main:
                held.enter_context(_locked(out))
                _claim(out, recipe, config)
        yield


def _locked(out: Path) -> TextIO:
    refusal = ConfigError(f"another training is writing to {out}; wait for it, stop it, or use another --out")
    try:
        return lock(out / _LOCK, refusal)
    except OSError as error:
        raise _not_writable(out, error) from error


def _not_writable(out: Path, error: OSError) -> ConfigError:
    return ConfigError(f"run folder {out} cannot be written ({error}); make room, or choose another --out")


def _claim(out: Path, recipe: str, config: Any) -> None:
    path = out / f"{recipe}_config.json"
    chosen = json.loads(json.dumps(asdict(config), default=str))
    if (out / RESUME).is_file() and path.is_file():
        before = json.loads(path.read_text())
        differing = [key for key in chosen if key not in _MAY_DIFFER and before.get(key) != chosen[key]]
        if differing:
            raise ConfigError(f"{out} holds a run with another {', '.join(differing)}; use another --out, or remove it")
    try:
        write_json(path, chosen)
    except OSError as error:
        raise _not_writable(out, error) from error
