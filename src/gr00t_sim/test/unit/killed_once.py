# SPDX-License-Identifier: Apache-2.0
"""Work whose worker dies the first time that it does a certain job; importable by worker processes."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class KilledOnce(Generic[Job, Result]):
    """Does ``work``; the first worker that gets ``job`` is killed as by ``kill -9``. marker: a file that does not exist."""

    work: Callable[[Job], Result]
    job: Job
    marker: Path

    def __call__(self, job: Job) -> Result:
        if job == self.job and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.work(job)
