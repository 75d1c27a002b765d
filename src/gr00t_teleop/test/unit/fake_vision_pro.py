# SPDX-License-Identifier: Apache-2.0
"""A Vision Pro with the Tracking Streamer app: a gRPC server in plain text that can do what no headset can be asked to do."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from made_people import moving, open_hand, turn

from gr00t_teleop.devices.vision_pro_messages import METHOD, HandUpdate, fill, to_array
from gr00t_teleop.types import KEYPOINTS

# How this app's wrist axes lie in a WebXR wrist: x along the hand, and the right hand upside down against the left.
WRIST_AXES = {"left": turn(1, np.pi / 2), "right": turn(1, np.pi / 2) @ turn(0, np.pi)}
_THUMB_TIP, _LITTLE_TIP = KEYPOINTS.index("thumb_tip"), KEYPOINTS.index("little_tip")


class FakeVisionPro:
    """Streams the moving person. Attributes may be changed while it runs; ``asked`` are the requests it got."""

    def __init__(self, rate_hz: float = 120.0, joints: int = 27) -> None:
        self.rate_hz, self.joints = rate_hz, joints
        self.refuses = self.stalls = self.hangs_up = False
        self.touches = False  # both thumbs their little fingers: the gesture of the clutch
        self.holds_back = False  # what is made meanwhile is sent at once when it ends: a burst
        self.frozen: set[str] = set()  # wrists that stand still while their fingers move
        self.broken: set[str] = set()  # wrists of NaN
        self.offset_m = 0.0  # of the right wrist
        self.marker = 0.0  # a message that is no pose
        self.asked: list[np.ndarray] = []
        self.made: list[float] = []  # when each sample was taken
        self.sent: list[float] = []
        self._frozen_at = 0.0
        self._ending = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_stream_rpc_method_handler(
            self._stream, request_deserializer=HandUpdate.FromString, response_serializer=HandUpdate.SerializeToString
        )
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        self._ending.set()
        self._server.stop(0).wait()

    def update(self, t: float) -> Any:
        update = HandUpdate()
        if self.refuses:
            return update
        fill(update.Head, np.full((4, 4), self.marker) if self.marker else moving("head", t))
        for side, hand in (("left", update.left_hand), ("right", update.right_hand)):
            wrist = moving(side, self._frozen_at if side in self.frozen else t) @ WRIST_AXES[side]
            if side == "right":
                wrist[0, 3] += self.offset_m
            fill(hand.wristMatrix, np.full((4, 4), np.nan) if side in self.broken else wrist)
            native = np.linalg.inv(WRIST_AXES[side]) @ open_hand(side) @ WRIST_AXES[side]
            if self.touches:
                native[_LITTLE_TIP] = native[_THUMB_TIP]
            for i in range(self.joints):
                joint = native[min(i, 24)].copy()
                joint[2, 3] += 1e-3 * np.sin(t) * (i > 0)  # fingers move
                fill(hand.skeleton.jointMatrices.add(), joint)
        return update

    def freeze(self, *sides: str) -> None:
        self._frozen_at = time.monotonic()
        self.frozen = set(sides)

    def _stream(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.asked.append(to_array(request.Head))
        due, waiting = time.monotonic(), []
        while context.is_active() and not self._ending.is_set() and not self.hangs_up:
            if not self.stalls:
                self.made.append(time.monotonic())
                waiting.append(self.update(self.made[-1]))
            if not self.holds_back:
                self.sent += [time.monotonic()] * len(waiting)
                yield from waiting
                waiting = []
            due += 1 / self.rate_hz
            self._ending.wait(max(0.0, due - time.monotonic()))
