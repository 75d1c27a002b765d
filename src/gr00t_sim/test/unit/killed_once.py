# SPDX-License-Identifier: Apache-2.0
"""Work whose worker dies the first time that it does a certain seed; importable by worker processes."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class KilledOnce(Generic[Result]):
    """Does ``work``; the first worker that gets ``seed`` is killed as by ``kill -9``. marker: a file that does not exist."""

    work: Callable[[int], Result]
    seed: int
    marker: Path

    def __call__(self, seed: int) -> Result:
        if seed == self.seed and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(seed)
