# SPDX-License-Identifier: Apache-2.0
"""What came of one seed: an episode as the files of a dataset of its own, or why there is none. Plain data that travels."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.writer import LOCK, LeRobotWriter
from gr00t_sim.recording import Demonstration, add_to


@dataclass(frozen=True)
class SeedOutcome:
    """files: path in the dataset -> content, empty for an episode that is not kept.

    reason: why it is not kept, in words by which failures are counted; detail: more about this one, for people.
    tried: False for a scene that was passed over. source: the demonstration it was made from, if from any.
    """

    seed: int
    reason: str = ""
    detail: str = ""
    tried: bool = True
    source: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return not self.reason


def kept_episode(
    made: Demonstration, task: str, embodiment: Embodiment, scene: Mapping[str, Any], source: int | None = None
) -> SeedOutcome:
    """A successful demonstration of a task, written as a shard of one episode; ``scene`` is kept beside its seed.

    Raises DatasetError when the temporary folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="gr00t-episode-") as folder:
            with LeRobotWriter(folder, embodiment) as writer:
                info = {**scene, **({} if source is None else {"source_episode": source})}
                add_to(writer, made, task, info)
                writer.finish(statistics=False)
            root = Path(folder)
            paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != LOCK)
            files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise DatasetError(
            f"the episode of seed {made.seed} cannot be written in {tempfile.gettempdir()} ({error}); make room there, or "
            "name another folder in TMPDIR; finished episodes are kept and the same command goes on"
        ) from error
    return SeedOutcome(made.seed, source=source, files=files)
