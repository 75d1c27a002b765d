# SPDX-License-Identifier: Apache-2.0
"""What every device is: a source of operator samples that runs in a thread of its own. Knows no device and no ROS."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.types import OperatorState

Deliver = Callable[[OperatorState], None]
Clock = Callable[[], int]  # nanoseconds of the clock that stamps messages

FRAME = "operator"  # of the poses of all live devices: on the person's floor or the device's origin, x forward, z up
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class DeviceSample:
    """What a device said at one instant, in the operator frame but not yet checked; NaN where it sees nothing.

    stamp_ns: on the device's clock; None: it has none. sequence: the device's own count from 1; 0: it has none.
    epoch: changes when the device's origin or connection is a new one. clutch: the person asks to drive.
    Poses as in ``OperatorState``: head and wrists (7,), hands (25, 7).
    """

    stamp_ns: int | None
    sequence: int
    epoch: int
    clutch: bool
    head: NDArray[np.float64]
    left_wrist: NDArray[np.float64]
    right_wrist: NDArray[np.float64]
    left_hand: NDArray[np.float64]
    right_hand: NDArray[np.float64]


class Device(ABC):
    """A source of ``OperatorState``. Owned by one thread, which starts and stops it; delivers from its own thread.

    Subclasses say in ``run`` what the thread does until ``stopping`` is set. Whatever ``run`` raises ends the thread;
    ``is_running`` is then false and the owner may stop and start the device again.
    """

    source = "device"

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether its thread lives: false before start, after stop, and after it broke."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, deliver: Deliver) -> None:
        """Begin to deliver samples. Raises ConfigError when the device cannot be opened as configured."""
        assert not self.is_running, "started twice"
        self.stopping.clear()
        self.open()
        self._thread = threading.Thread(target=self.run, args=(deliver,), name=self.source, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and release the device. Nothing is delivered afterwards. Also works when it never started."""
        self.stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None
        self.close()

    def open(self) -> None:  # noqa: B027  (most devices have nothing to open)
        """Take what the device needs, in the owner's thread. Raises ConfigError."""

    def wake(self) -> None:  # noqa: B027
        """Make ``run`` notice soon that it is to stop, when it does not look at ``stopping`` by itself."""

    def close(self) -> None:  # noqa: B027
        """Release what ``open`` took."""

    @abstractmethod
    def run(self, deliver: Deliver) -> None:
        """Deliver samples until ``stopping`` is set; runs in the device's thread."""

    @abstractmethod
    def silence(self) -> str:
        """Why no sample comes now, as one sentence; empty when samples come."""

    @abstractmethod
    def counters(self) -> Mapping[str, int]:
        """Samples by what became of them, since the device was made."""
