# SPDX-License-Identifier: Apache-2.0
"""The page's side of the connection without a browser: pairs, sends frames, hears whether the robot follows.

For whatever stands in for a headset: a program, a test, another device. What it speaks is what ``webxr_page/operator.js``
speaks, over TLS, with the pairing code.
"""

import json
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

import aiohttp

from gr00t_policy.core.errors import Gr00tError
from gr00t_teleop.devices.webxr_frame import FORMAT

_ANSWER_S = 5.0


class HeadsetRefusedError(Gr00tError):
    """The operator node did not let the headset in; the message has its reason."""


class WebXrClient(AbstractAsyncContextManager["WebXrClient"]):
    """One connection. ``answer``: what the node said to the hello; ``told``: its newest word about driving.

    Entering raises aiohttp.ClientError when nobody answers; a refusal is an ``answer``, see ``accepted``.
    """

    def __init__(self, address: str, code: str, certificate: Path, *, origin: str | None = None) -> None:
        """address: of the page, as "https://localhost:8443". certificate: the node's own, which is trusted."""
        self._address = address.rstrip("/")
        self._hello = json.dumps({"type": "hello", "protocol": FORMAT, "code": code})
        self._tls = ssl.create_default_context(cafile=str(certificate))
        self._origin = origin or self._address
        self.answer: dict[str, Any] = {}
        self.told: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
        try:
            self.socket = await self._client.ws_connect(
                self._address + "/connection", headers={"Origin": self._origin}, max_msg_size=2**20
            )
        except aiohttp.ClientError:
            await self._client.close()
            raise
        await self.socket.send_str(self._hello)
        self.answer = await self.socket.receive_json(timeout=_ANSWER_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self._client.close()

    def accepted(self) -> Self:
        """This client, when it was let in. Raises HeadsetRefusedError."""
        if self.answer.get("type") != "accepted":
            raise HeadsetRefusedError(
                f"the operator node refused the headset: {self.answer.get('reason', self.answer)}"
            )
        return self

    async def send(self, frame: bytes) -> None:
        """One frame, see ``webxr_frame``. Raises ConnectionError when the node is gone."""
        await self.socket.send_bytes(frame)

    async def listen(self) -> None:
        """Keep ``told`` up to date until the node closes the connection."""
        async for message in self.socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                self.told = json.loads(message.data)
