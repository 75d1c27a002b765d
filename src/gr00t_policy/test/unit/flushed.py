# SPDX-License-Identifier: Apache-2.0
"""Which files and folders would be there after a power cut, for the tests of what must be."""

import os
from pathlib import Path


class Flushed:
    """What the system was told to write to the disk: files as long, and folders with the names, as they were then."""

    def __init__(self, monkeypatch) -> None:
        self._known: dict[int, object] = {}
        sync = os.fsync

        def noted(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self._known[path.stat().st_ino] = self._content(path)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)

    def holds(self, path: Path) -> bool:
        return self._known.get(path.stat().st_ino) == self._content(path)

    @staticmethod
    def _content(path: Path) -> object:
        return sorted(os.listdir(path)) if path.is_dir() else path.stat().st_size
