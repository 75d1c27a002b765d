# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector, put off while there is nothing for it to find."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """For imports of large libraries: they make many objects, all of which stay, and looking at them again and again takes a
    tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
