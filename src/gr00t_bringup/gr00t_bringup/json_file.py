# SPDX-License-Identifier: Apache-2.0
"""Strict JSON for people and programs: what is not a number becomes null."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import writing


def write_json(file: Path, data: Mapping[str, Any]) -> None:
    """Write ``data``, making the folder if need be. Raises ConfigError when it cannot be written."""
    text = json.dumps(_finite(data), indent=2, allow_nan=False) + "\n"
    with writing(file, ConfigError, "make room, or name another file"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
