# SPDX-License-Identifier: Apache-2.0
"""When a sample was taken, on the receiver's clock, from the device's own stamps and their times of arrival.

The smallest difference of arrival and stamp over some seconds belongs to the sample that waited least; all others are
dated by it. So a sample that the network held up keeps its true age, which ``now()`` at arrival would hide.
"""

from collections import deque

_BUCKETS = 10


class DeviceClock:
    """Minimum-delay filter. What the fastest sample of the window waited stays unknown and is part of every stamp.

    window_s: how long a minimum counts. It bounds how long a drift (typically below 50 ppm: 0.5 ms in 10 s) or a step
    of a clock is believed.
    """

    def __init__(self, window_s: float = 10.0) -> None:
        self._bucket_ns = int(window_s * 1e9) // _BUCKETS
        self.reset()

    def reset(self) -> None:
        """Forget everything: the device's clock has begun anew."""
        self._minima: deque[tuple[int, int]] = deque()  # (bucket of the arrival, smallest arrival minus stamp [ns])
        self._device_ns = -(2**63)
        self._last_ns = -(2**63)

    def to_receiver_ns(self, device_ns: int, arrival_ns: int) -> int:
        """The device's stamp on the receiver's clock: never after the arrival, never before the sample before it."""
        if device_ns < self._device_ns:
            self.reset()
        self._device_ns = device_ns
        self._learn(arrival_ns // self._bucket_ns, arrival_ns - device_ns)
        stamp_ns = device_ns + min(offset_ns for _, offset_ns in self._minima)
        self._last_ns = min(max(stamp_ns, self._last_ns + 1), arrival_ns)
        return self._last_ns

    def _learn(self, bucket: int, offset_ns: int) -> None:
        if self._minima and self._minima[-1][0] == bucket:
            self._minima[-1] = (bucket, min(offset_ns, self._minima[-1][1]))
        else:
            self._minima.append((bucket, offset_ns))
        while abs(bucket - self._minima[0][0]) >= _BUCKETS:
            self._minima.popleft()
