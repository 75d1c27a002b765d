# SPDX-License-Identifier: Apache-2.0
"""Actions that are known before the network is asked, and how they are painted into a flow that is being integrated.

After each Euler step, at flow time t, the part of the actions that is known is put where it would be at that time if it came
from the same noise: on the straight line (1 - t) noise + t known, which is the path the network was trained on. What is not
known moves on freely, but next to it: the network sees both. A weight between 0 and 1 takes that share.
"""

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class KnownActions:
    """actions (T, A) normalised as the network's; weights (T, 1): 1 is known, 0 is free."""

    actions: NDArray[np.float32]
    weights: NDArray[np.float32]


class _Array(Protocol):
    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...
    def __rmul__(self, other: float, /) -> Self: ...


_T = TypeVar("_T", bound=_Array)


def painted_in(x: _T, noise: _T, known: _T, weights: _T, flow_time: float) -> _T:
    """The flow's state x at ``flow_time`` with what is known in its place; exactly x where the weight is 0."""
    return x + weights * ((1.0 - flow_time) * noise + flow_time * known - x)
