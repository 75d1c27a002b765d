# SPDX-License-Identifier: Apache-2.0
"""A headset that speaks the page's real protocol over a real TLS socket, and can misbehave."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from made_people import moving, open_hand

from gr00t_teleop.devices.webxr_client import WebXrClient
from gr00t_teleop.devices.webxr_frame import FORMAT, FRAME_FLOATS, HEADER


def frame(t: float, sequence: int, epoch: int = 1, clutch: float = 0.0, time_s: float | None = None) -> np.ndarray:
    """The page's frame of the moving person at t [s], all tracked; sent with the page's clock at ``time_s``."""
    now = t if time_s is None else time_s
    made = np.zeros(FRAME_FLOATS, "<f4")
    made[:HEADER] = [FORMAT, sequence, int(now), now % 1 * 1000, epoch, clutch, 1, 1, 1, 1, 1, 0]
    left, right = moving("left", t), moving("right", t)
    matrices = [moving("head", t), left, right, *(left @ open_hand("left")), *(right @ open_hand("right"))]
    made[HEADER:] = np.swapaxes(np.array(matrices), -1, -2).ravel()
    return made


class FakeHeadset(WebXrClient):
    """One connection; ``answer`` is what the node said to the hello."""

    def __init__(
        self,
        port: int,
        code: str,
        certificate: str,
        origin: str | None = None,
        protocol: int = FORMAT,
        hello: str | None = None,
    ) -> None:
        super().__init__(f"https://localhost:{port}", code, Path(certificate), origin=origin)
        self._hello = json.dumps({"type": "hello", "protocol": protocol, "code": code}) if hello is None else hello

    async def send(self, made: np.ndarray) -> None:
        await super().send(made.tobytes())

    async def vanish(self) -> None:
        """Cut the line without a word."""
        transport = self.socket._response.connection.transport
        transport.abort()

    async def close_code(self) -> int | None:
        """Wait until the node closes; its code."""
        while not self.socket.closed:
            await self.socket.receive(timeout=5)
        return self.socket.close_code

    async def state(self, engaged: bool) -> dict[str, Any]:
        """The first state that says ``engaged`` so."""
        while True:
            told = await self.socket.receive_json(timeout=5)
            if told["type"] == "state" and told["engaged"] == engaged:
                return dict(told)

    async def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        async with self._client.get(self._address + path) as response:
            return response.status, await response.text(), dict(response.headers)
