# SPDX-License-Identifier: Apache-2.0
"""Apple Vision Pro with the Tracking Streamer app: the headset is a gRPC server in plain text, we are its client.

The stream has no time stamps, no count and no "tracked" flag: samples are dated on arrival, so of those that come in a heap
after a pause only the last is taken; the same numbers twice are one sample, and a wrist that stands still bit for bit is
a lost hand. Joints are relative to the wrist, everything in ARKit's
axes; newer apps append joints and other blocks, of which the first 25 joints are taken.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

import grpc
import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.clutch_gesture import ClutchGesture
from gr00t_teleop.devices.device import Clock, Deliver, Device, DeviceSample
from gr00t_teleop.devices.frames import is_rigid, poses_from_y_up, wrist_axes_of_hand
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.vision_pro_messages import METHOD, HandUpdate, fill, to_array
from gr00t_teleop.types import KEYPOINTS, untracked

_HELLO, _CLIENT_VERSION = 888.0, 25_000.0  # "hello", and 2.50.0: what apps since 2024 accept
_NOT_A_POSE = (
    10.0  # the app uses the first number of a head (at most 1 in a pose) to mark other messages: 666, 777, ...
)
_SILENCE_S, _REST_S, _QUIET_NS = 3.0, 1.0, 500_000_000
# Samples come every 8 to 11 ms. What comes after a longer pause, or sooner than it can have been taken, may have waited, and
# what waited comes in a heap: then the last is taken, behind which nothing comes for a while.
_PAUSE_S, _TOO_SOON_S, _HEAP_S, _LONGEST_HEAP_S = 0.025, 0.004, 0.006, 0.5
_Hand = Literal["left", "right"]


class VisionPro(Device):
    """Reconnects for as long as it runs; each connection is an epoch of its own."""

    source = "vision_pro"

    def __init__(self, address: str, port: int, now_ns: Clock) -> None:
        super().__init__()
        self._address, self._port, self._now_ns = address, port, now_ns
        self._stream = SampleStream(self.source)
        self._counts = {"connections": 0, "updates": 0, "refused": 0, "other": 0, "overtaken": 0}
        self._why = f"connecting to the headset at {address}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None

    def run(self, deliver: Deliver) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._connect_again_and_again(deliver))

    def wake(self) -> None:
        loop, work = self._loop, self._work
        if loop is not None and work is not None and not loop.is_closed():
            loop.call_soon_threadsafe(work.cancel)

    def silence(self) -> str:
        arrived_ns = self._stream.last_arrival_ns
        if self._why or not self.is_running:
            return self._why or "the client of the headset has ended"
        quiet = arrived_ns is None or self._now_ns() - arrived_ns > _QUIET_NS
        return "the headset is connected but sends nothing; is the app in front and the headset worn?" if quiet else ""

    def counters(self) -> Mapping[str, int]:
        return {**self._counts, **self._stream.counters()}

    async def _connect_again_and_again(self, deliver: Deliver) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        while not self.stopping.is_set():
            try:
                await self._connection(deliver)
                self._why = "the headset ended the stream; connecting again"
            except TimeoutError:
                self._why = f"the headset sent nothing for {_SILENCE_S:.0f} s; connecting again"
            except grpc.aio.AioRpcError as error:
                self._why = (
                    f"no stream from {self._address} port {self._port} ({error.code().name.lower()}); "
                    "start Tracking Streamer on the headset and check the address it shows"
                )
            await asyncio.sleep(_REST_S)

    async def _connection(self, deliver: Deliver) -> None:
        """One stream until it ends. Raises AioRpcError, and TimeoutError when nothing comes."""
        options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(f"{self._address}:{self._port}", options) as channel:
            listen = channel.unary_stream(
                METHOD, request_serializer=_to_bytes, response_deserializer=HandUpdate.FromString
            )
            updates = self._newest(listen(hello(_own_address(self._address))))
            reader = _UpdateReader(self._counts["connections"] + 1)
            async with contextlib.aclosing(updates):
                async for update in updates:
                    self._counts["connections"] = reader.epoch
                    self._take(update, reader, deliver)

    async def _newest(self, updates: Any) -> AsyncGenerator[Any]:
        """What comes, until the stream ends; of a heap after a pause the last alone. Raises TimeoutError when nothing comes."""
        reading, before_s = asyncio.ensure_future(updates.read()), float("-inf")
        try:
            while (await asyncio.wait({reading}, timeout=_SILENCE_S))[0]:
                update, came_s = reading.result(), time.monotonic()
                is_heap, before_s = not _TOO_SOON_S < came_s - before_s < _PAUSE_S, came_s
                while update is not grpc.aio.EOF:
                    reading = asyncio.ensure_future(updates.read())
                    if not is_heap or not (await asyncio.wait({reading}, timeout=_HEAP_S))[0]:
                        break
                    self._counts["overtaken"] += 1
                    update, before_s = reading.result(), time.monotonic()
                    is_heap = before_s - came_s < _LONGEST_HEAP_S
                if update is grpc.aio.EOF:
                    return
                yield update
            raise TimeoutError
        finally:
            reading.cancel()

    def _take(self, update: Any, reader: "_UpdateReader", deliver: Deliver) -> None:
        arrival_ns = self._now_ns()
        self._counts["updates"] += 1
        head = to_array(update.Head)
        if abs(head[0, 0]) > _NOT_A_POSE:
            self._counts["other"] += 1
        elif not head.any():
            self._counts["refused"] += 1
            self._why = (
                "the app on the headset refuses this client and sends empty updates; "
                "update Tracking Streamer on the headset to the newest version"
            )
        else:
            self._why = ""
            self._stream.push(reader.sample(update, head, arrival_ns), arrival_ns, deliver)


class _UpdateReader:
    """Updates of one connection -> samples. Finds out once per hand how the app's wrist axes lie."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._axes: dict[_Hand, NDArray[np.float64]] = {}
        self._gesture = ClutchGesture()

    def sample(self, update: Any, head: NDArray[np.float64], arrival_ns: int) -> DeviceSample:
        left_wrist, left_hand = self._hand(update.left_hand, "left")
        right_wrist, right_hand = self._hand(update.right_hand, "right")
        sample = DeviceSample(
            stamp_ns=None,
            sequence=0,
            epoch=self.epoch,
            clutch=False,
            head=poses_from_y_up(head),
            left_wrist=left_wrist,
            right_wrist=right_wrist,
            left_hand=left_hand,
            right_hand=right_hand,
        )
        return self._gesture.read(sample, arrival_ns)

    def _hand(self, hand: Any, side: _Hand) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wrist (7,) and key points (25, 7); NaN where the app sends no hand, or one whose axes are not known yet."""
        wrist, joints = to_array(hand.wristMatrix), hand.skeleton.jointMatrices
        nothing = untracked(), untracked(len(KEYPOINTS))
        if not wrist.any() or len(joints) < len(KEYPOINTS):
            return nothing
        relative = np.stack([to_array(joint) for joint in joints[: len(KEYPOINTS)]])
        if side not in self._axes:
            axes = wrist_axes_of_hand(relative[:, :3, 3], side) if is_rigid(relative).all() else None
            if axes is None:
                return nothing
            self._axes[side] = axes
        with np.errstate(invalid="ignore"):
            points = wrist @ relative
        return poses_from_y_up(wrist, self._axes[side]), poses_from_y_up(points, self._axes[side])


def hello(own_address: str) -> Any:
    """The request: our IPv4 address and version, in fields of a matrix, as the app expects."""
    request = HandUpdate()
    values = np.zeros((4, 4))
    first, *rest = (float(part) for part in own_address.split("."))
    values[0] = [_HELLO, first, *rest[:2]]
    values[1, 0], values[3, 0] = rest[2], _CLIENT_VERSION
    fill(request.Head, values)
    return request


def _own_address(peer: str) -> str:
    """Our IPv4 address on the way to the headset."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))  # UDP: nothing is sent
        except OSError:
            return "0.0.0.0"
        return str(probe.getsockname()[0])


def _to_bytes(request: Any) -> bytes:
    return bytes(request.SerializeToString())
