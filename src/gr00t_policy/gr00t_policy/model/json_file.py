# SPDX-License-Identifier: Apache-2.0
"""A JSON file of a checkpoint, read so that whatever is wrong with it has one kind of error."""

import json
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data import json_file


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises CheckpointError naming the file."""
    return json_file.read_json(path, CheckpointError, "copy or download the checkpoint again")


def read_json_object(path: Path) -> dict[str, Any]:
    """The same for a file that must hold an object at its top."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def parse_json(text: bytes) -> Any:
    """JSON in UTF-8. Raises ValueError, also for nesting beyond any use."""
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
