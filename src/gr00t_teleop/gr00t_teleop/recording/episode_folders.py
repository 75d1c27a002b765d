# SPDX-License-Identifier: Apache-2.0
"""The folder of the episodes: who may write there, what the next one is called, where discarded ones go."""

import fcntl
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import mcap_files
from gr00t_policy.data.bag_metadata import (
    DECIDED,
    METADATA_FILE,
    PENDING,
    REVIEW,
    ROSBAG2_RECORD,
    read_metadata,
    sync_folder,
    to_yaml,
    write_metadata,
)
from gr00t_policy.data.mcap_append import append_metadata

DISCARDED = "discarded"
_LOCK = ".recorder.lock"
_EPISODE = re.compile(r"episode_(\d+)")


class EpisodeFolders:
    """Owns ``root`` until ``release``: the lock dies with the process, however it ends. Nothing is ever deleted."""

    def __init__(self, root: Path) -> None:
        """Raises ConfigError when another recorder has ``root``, or it cannot be written to."""
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._lock = (root / _LOCK).open("a+")
        except OSError as error:
            raise ConfigError(f"episodes cannot be written to {root}: {error.strerror}; give another folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise ConfigError(
                f"another recorder (process {owner}) writes to {root}; stop it, or give this one another folder"
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    @property
    def free_bytes(self) -> int:
        """Space on the disk that an ordinary user may fill."""
        return shutil.disk_usage(self.root).free

    def next_episode(self) -> Path:
        """A folder that is not there yet; numbers of kept, discarded and unfinished episodes are never used again."""
        places = [self.root, self.root / DISCARDED]
        used = [
            int(match[1])
            for place in places
            if place.is_dir()
            for path in place.iterdir()
            if (match := _EPISODE.match(path.name))
        ]
        return self.root / f"episode_{max(used, default=0) + 1:04d}"

    def snapshot(self, name: str) -> Path:
        """A folder for a snapshot that is not there yet."""
        path, number = self.root / f"snapshot_{name}", 1
        while path.exists():
            path, number = self.root / f"snapshot_{name}_{number}", number + 1
        return path

    def unfinished(self) -> list[Path]:
        """Episodes that were cut off and not recovered yet."""
        found = [path for path in sorted(self.root.iterdir()) if _EPISODE.fullmatch(path.name) and path.is_dir()]
        return [
            path
            for path in found
            if not (path / METADATA_FILE).exists() and not path.with_name(f"{path.name}_recovered").exists()
        ]

    def keep_undecided(self) -> list[Path]:
        """Keep the episodes whose recorder died before they were judged; these. Raises DatasetError and OSError."""
        marked = [
            path
            for path in sorted(self.root.iterdir())
            if _EPISODE.fullmatch(path.name)
            and not path.with_name(f"{path.name}_recovered").exists()
            and is_marked(path)
        ]
        for episode in marked:
            add_custom_data(episode, {REVIEW: DECIDED})
        return marked

    def discard(self, episode: Path) -> Path:
        """Move a closed episode away; returns where it lies now."""
        (self.root / DISCARDED).mkdir(exist_ok=True)
        place = self.root / DISCARDED / episode.name
        episode.rename(place)
        sync_folder(self.root)
        sync_folder(place.parent)
        return place

    def release(self) -> None:
        self._lock.close()


def is_marked(bag: Path) -> bool:
    """Whether the bag of an episode says that nobody has judged it yet."""
    file = bag / METADATA_FILE
    if not file.is_file() or f"{REVIEW}: {PENDING}" not in file.read_text("utf-8", "replace"):
        return False  # parsing takes 50 ms, and there may be thousands
    return (read_metadata(bag).get("custom_data") or {}).get(REVIEW) == PENDING


def add_custom_data(bag: Path, facts: Mapping[str, str]) -> None:
    """Write further facts into ``metadata.yaml`` of a closed bag, and into its last file. Raises DatasetError and OSError.

    First into ``metadata.yaml``, which is replaced as a whole: whatever happens then, they are there.
    """
    metadata = read_metadata(bag)
    said = metadata["custom_data"] or {}
    if facts.items() <= said.items():
        return
    metadata["custom_data"] = {**said, **facts}
    write_metadata(bag, metadata)
    append_metadata(mcap_files(bag)[-1], ROSBAG2_RECORD, {"serialized_metadata": to_yaml(metadata)})
