# SPDX-License-Identifier: Apache-2.0
"""A process whose engines came and went in any order still handles its signals."""

import subprocess
import sys
from pathlib import Path

from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.signal_stack import signal_stack

_TWO_ENGINES_THEN_A_SIGNAL = """
import gc, os, signal, sys
from pathlib import Path
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.backends import load_backend

def engine():
    return load_backend(load_checkpoint(Path(sys.argv[1])), "openvino", "fp32", Path(sys.argv[2]), part="head")

came = []
signal.signal(signal.SIGTERM, lambda *_: came.append("SIGTERM"))
first, second = engine(), engine()
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGTERM)
print(*came)
"""


def described() -> tuple[int | None, int, int]:
    stack = signal_stack()
    return stack.address, stack.flags, stack.size


def test_an_engine_leaves_the_signal_stack_of_the_thread_that_made_it(checkpoint: Checkpoint, tmp_path: Path) -> None:
    before = described()
    backend = load_backend(checkpoint, "openvino", "fp32", tmp_path, part="head")
    assert described() == before
    del backend
    assert described() == before


def test_a_signal_after_two_engines_ended_in_the_order_of_their_making_is_handled(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    load_backend(checkpoint, "openvino", "fp32", tmp_path, part="head")  # so that the other process need not build
    words = (sys.executable, "-c", _TWO_ENGINES_THEN_A_SIGNAL, str(checkpoint.folder), str(tmp_path))
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "SIGTERM"), done.stderr[-2000:]
