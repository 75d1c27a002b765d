# SPDX-License-Identifier: Apache-2.0
"""Files that our checkpoints and released ones have in common, and hashes of files and facts."""

import hashlib
import json
from pathlib import Path
from typing import Any

CONFIG = "config.json"
METADATA = "experiment_cfg/metadata.json"


def file_digest(path: Path) -> str:
    """sha256 of a file's content, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def total_digest(digests: dict[str, str]) -> str:
    """One hash for a set of files: sha256 over 'name digest' lines in order of name."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def data_digest(data: Any) -> str:
    """sha256 of plain data, hex; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
