# SPDX-License-Identifier: Apache-2.0
"""A folder without what an earlier run of the same verb left in it; nothing else there is touched: it may be anybody's."""

from collections.abc import Iterable
from pathlib import Path

from gr00t_policy.data.durable_folder import remove


def fresh_folder(folder: Path, made: Iterable[str]) -> Path:
    """The folder, which need not exist. made: names of what the verb itself writes there, files or folders; they are gone
    afterwards."""
    for name in made:
        remove(folder / name)
    return folder
