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
from gr00t_policy.data.json_file import read_json
from gr00t_policy.training.loop import RESUME
from gr00t_policy.training.processes import main_first

_LOCK = ".lock"  # held by the process that writes the folder; whatever ends it lets go
_RECIPES = ("train", "pretrain", "posttrain", "finetune", "diffusion_policy")

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
    others = [out / f"{name}_config.json" for name in _RECIPES if name != recipe]
    chosen = json.loads(json.dumps(asdict(config), default=str))
    if (out / RESUME).is_file():
        _require_same(path, chosen, [other for other in others if other.is_file()])
    try:
        for other in others:
            other.unlink(missing_ok=True)  # of a start that left no resume point: it would pass for this run's
        write_json(path, chosen)
    except OSError as error:
        raise _not_writable(out, error) from error


def _require_same(path: Path, chosen: dict[str, Any], others: list[Path]) -> None:
    """Raises ConfigError unless the resume point beside ``path`` is of a run with these options."""
    if not path.is_file():
        found = f"a run of another recipe ({', '.join(other.name for other in others)})" if others else "a resume point"
        raise ConfigError(f"{path.parent} holds {found} and no {path.name}; use another --out, or remove it")
    before = read_json(path, ConfigError, "it holds the options of the run")
    known = before if isinstance(before, dict) else {}
    differing = [key for key in chosen if key not in _MAY_DIFFER and known.get(key) != chosen[key]]
    if differing:
        raise ConfigError(
            f"{path.parent} holds a run with another {', '.join(differing)}; use another --out, or remove it"
        )
