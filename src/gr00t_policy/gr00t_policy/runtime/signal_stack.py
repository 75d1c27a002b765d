# SPDX-License-Identifier: Apache-2.0
"""A library that compiles for this process leaves the stack on which the calling thread handles signals as it was.

OpenVINO's CPU plugin gives the thread that loads it a signal stack of its own, and unmaps it when the plugin ends. Of two
plugins the one made first, ended first, leaves the thread with an unmapped stack: the next signal that Python handles (it
asks for this stack: ctrl-c, SIGTERM, an ended child) kills the process. openvino 2026.4.1, ``sigaltstack(2)``.
"""

import ctypes
import ctypes.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


class SignalStack(ctypes.Structure):
    """``stack_t`` of Linux: the address, the flags (2: there is none) and the size in bytes."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> SignalStack:
    """That of the calling thread."""
    stack = SignalStack()
    _call(None, ctypes.byref(stack))
    return stack


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """What is called in here may set another for its thread: afterwards it has the former one again."""
    before = signal_stack()
    try:
        yield
    finally:
        _call(ctypes.byref(before), None)


def _call(new: object, old: object) -> None:
    if _libc.sigaltstack(new, old):
        number = ctypes.get_errno()
        raise OSError(number, f"sigaltstack: {os.strerror(number)}")
