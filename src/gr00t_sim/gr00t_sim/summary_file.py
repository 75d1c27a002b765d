# SPDX-License-Identifier: Apache-2.0
"""What a command writes to ``--json`` when all else is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import write_json, writing


def write_summary(file: Path, summary: Mapping[str, Any]) -> None:
    """Raises ConfigError when it cannot be written; its figures must have been printed by then."""
    with writing(file, ConfigError, "all else is done, and the figures are printed above; name another file in --json"):
        write_json(file, summary)
