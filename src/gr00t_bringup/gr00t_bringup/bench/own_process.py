# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own, so that its memory, threads and imports are its own and are gone afterwards."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from gr00t_policy.core.errors import MemoryFullError

_Result = TypeVar("_Result")


def alone(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """The result of ``work`` in a new process, which has imported nothing but its module. Raises what it raises, MemoryFullError
    when the process was killed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool as error:
            raise MemoryFullError(
                "the measuring process was killed, most likely because memory ran out; bfloat16 takes half of float32"
            ) from error
