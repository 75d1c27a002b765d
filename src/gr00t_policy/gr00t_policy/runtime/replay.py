# SPDX-License-Identifier: Apache-2.0
"""A tensor function whose inputs and outputs stay where they are in memory, so that a GPU can replay its kernels.

Eager torch starts every kernel from Python: for the four steps of GR00T N1's head, hundreds, each shorter than its start.
Captured as a CUDA graph they are started once.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WARM_UP_CALLS = 3  # before a capture, as torch asks for: kernels are chosen and memory of libraries is taken


class Replayed:
    """``function`` of named inputs, all float32 or int64 as given, to one output (float32 on the host).

    Inputs are written into host memory of fixed place, their copies to the device and the output's copy back are part of
    what is replayed. Not for two threads at a time.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        inputs: Mapping[str, NDArray],
        device: torch.device | str,
        *,
        capture: bool,
    ) -> None:
        """inputs: examples of the right shapes and types. capture: as a CUDA graph, which needs a GPU; without it ``function`` is
        called anew each time, on the same memory, which is the same but for the time it takes. Raises RuntimeError when
        torch cannot capture the function.
        """
        self._function, self._capture = function, capture
        self._host = {name: _host_tensor(value, pinned=capture) for name, value in inputs.items()}
        self._on_device = {name: value.to(device) for name, value in self._host.items()}
        self._views = {name: value.numpy() for name, value in self._host.items()}
        self._graph: torch.cuda.CUDAGraph | None = None
        with torch.inference_mode():
            first = self._compute()
            self._result = torch.empty(first.shape, dtype=torch.float32, pin_memory=capture)
            if capture:
                self._stream = torch.cuda.Stream()
                self._record()

    def __call__(self, **inputs: NDArray) -> NDArray[np.float32]:
        """A new array. Inputs that are not given keep their values."""
        for name, value in inputs.items():
            self._views[name][...] = value
        if self._graph is not None:
            with torch.cuda.stream(self._stream):
                self._graph.replay()
            self._stream.synchronize()
        else:
            with torch.inference_mode():
                self._result.copy_(self._compute())
        return self._result.numpy().copy()

    def _compute(self) -> Tensor:
        for name, value in self._host.items():
            self._on_device[name].copy_(value, non_blocking=True)
        return self._function(**self._on_device)

    def _record(self) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP_CALLS):
                self._compute()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._result.copy_(self._compute(), non_blocking=True)
        self._graph = graph


def _host_tensor(value: NDArray, *, pinned: bool) -> Tensor:
    tensor = torch.from_numpy(np.array(value))
    return tensor.pin_memory() if pinned else tensor
