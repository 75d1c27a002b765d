# SPDX-License-Identifier: Apache-2.0
"""Any headset with a browser: a page served over HTTPS sends head and hands through a WebSocket.

One headset at a time, after it gave the pairing code. What it sends is in ``webxr_frame``; texts are JSON objects with
a ``type``: the page says ``hello`` (protocol, code); the answer is ``accepted`` or ``refused`` (reason), then ``state``
twice a second.
"""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_teleop.devices.certificate import certificate_in, own_addresses, server_context, utc_now
from gr00t_teleop.devices.clutch_gesture import HINT, ClutchGesture
from gr00t_teleop.devices.device import Clock, Deliver, Device
from gr00t_teleop.devices.pairing import Pairing, new_code
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.webxr_frame import FORMAT, FRAME_BYTES, decode_frame

REFUSED = 4403  # WebSocket close code of ours
MAX_MESSAGE_BYTES = FRAME_BYTES + 512
_HEARTBEAT_S = 1.0  # a headset that vanished is noticed, and its place free, within one and a half
_HELLO_S, _STATE_S, _QUIET_NS = 5.0, 0.5, 500_000_000
_MAX_WAITING = 8  # connections that have not said hello
_PAGE = {
    "/": ("index.html", "text/html"),
    "/operator.js": ("operator.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Permissions-Policy": "xr-spatial-tracking=(self)",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class WebXrOptions:
    """host and port: where to listen; port 0: any free one. code: empty for one that is drawn at each start."""

    host: str
    port: int
    certificate_folder: Path
    code: str = ""
    max_age_s: float = 0.15


class WebXr(Device):
    """Serves the page and takes one headset's frames. ``log`` takes address, code and events for the person."""

    source = "webxr"

    def __init__(self, options: WebXrOptions, now_ns: Clock, log: Callable[[str], None]) -> None:
        super().__init__()
        self._options, self._now_ns, self._log = options, now_ns, log
        self._stream = SampleStream(self.source, max_age_s=options.max_age_s)
        self._gesture, self._epoch = ClutchGesture(), -1
        self._counts = {"connections": 0, "refused": 0, "malformed": 0}
        self._headset: web.WebSocketResponse | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._waiting = 0
        self._engaged = False
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None

    @property
    def port(self) -> int:
        """The port it listens on, known once started."""
        assert self._listener is not None, "not started"
        return int(self._listener.getsockname()[1])

    def open(self) -> None:
        options = self._options
        certificate = certificate_in(options.certificate_folder, utc_now())
        self._tls: ssl.SSLContext = server_context(certificate)
        self._pairing = Pairing(options.code or (code := new_code()))
        try:
            self._listener = socket.create_server((options.host, options.port), backlog=16)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {options.host} port {options.port}: {error.strerror or error}; "
                "give another host or port, or stop who has it"
            ) from error
        self._log(f"operator page: {self._address()}  (certificate SHA-256 {certificate.fingerprint})")
        self._log(f"pairing code: {'as configured' if options.code else code}")

    def wake(self) -> None:
        loop, ending = self._loop, self._ending
        if loop is not None and ending is not None and not loop.is_closed():
            loop.call_soon_threadsafe(ending.set)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def run(self, deliver: Deliver) -> None:
        asyncio.run(self._serve(deliver))

    def silence(self) -> str:
        if not self.is_running:
            return "the server of the page has ended"
        if self._headset is None:
            return f"no headset is connected; open {self._address()} in its browser"
        arrived_ns = self._stream.last_arrival_ns
        if arrived_ns is None or self._now_ns() - arrived_ns > _QUIET_NS:
            return "the headset is connected but sends no frames; press 'Start' on its page and put it on"
        return ""

    def counters(self) -> Mapping[str, int]:
        return {**self._counts, **self._stream.counters()}

    async def _serve(self, deliver: Deliver) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        if self.stopping.is_set():
            return
        self._deliver = deliver
        app = web.Application()
        app.router.add_get("/connection", self._connection)
        for path in _PAGE:
            app.router.add_get(path, _page)
        app.on_response_prepare.append(_secure)
        runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await runner.setup()
        assert self._listener is not None
        await web.SockSite(runner, self._listener, ssl_context=self._tls).start()
        await self._ending.wait()
        for websocket in list(self._sockets):
            await websocket.close(code=WSCloseCode.GOING_AWAY, message=b"the operator node stops")
        await runner.cleanup()

    async def _connection(self, request: web.Request) -> web.StreamResponse:
        """One WebSocket from hello to end. Another page in the same browser must not use the person's network place."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"https://{request.host}":
            raise web.HTTPForbidden(text="this is not the operator's page")
        if self._waiting >= _MAX_WAITING:
            raise web.HTTPServiceUnavailable(text="too many connections wait for their code")
        websocket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, heartbeat=_HEARTBEAT_S, compress=False)
        await websocket.prepare(request)
        self._sockets.add(websocket)
        try:
            refusal = await self._refusal(websocket)
            if refusal:
                self._counts["refused"] += 1
                self._log(f"a headset at {request.remote} was refused: {refusal}")
                await websocket.send_json({"type": "refused", "reason": refusal})
                await websocket.close(code=REFUSED)
            else:
                await self._headset_session(websocket, str(request.remote))
        except ConnectionError:
            pass  # it went away while it was told something
        finally:
            self._sockets.discard(websocket)
            if self._headset is websocket:
                self._headset, self._engaged = None, False
                self._log(f"the headset at {request.remote} is gone")
        return websocket

    async def _refusal(self, websocket: web.WebSocketResponse) -> str:
        """Empty when the hello is right and the place is free (it is then taken), else why not."""
        self._waiting += 1
        try:
            message = await asyncio.wait_for(websocket.receive(), _HELLO_S)
        except TimeoutError:
            return f"no hello within {_HELLO_S:.0f} s"
        finally:
            self._waiting -= 1
        try:
            hello = json.loads(message.data) if message.type == WSMsgType.TEXT else None
        except (json.JSONDecodeError, RecursionError):
            hello = None
        if not isinstance(hello, dict) or hello.get("type") != "hello":
            return "the first message must be a hello"
        if refusal := self._pairing.refusal(str(hello.get("code")), time.monotonic_ns()):
            return refusal
        if hello.get("protocol") != FORMAT:
            return f"the page speaks protocol {hello.get('protocol')}, this node {FORMAT}; load the page again"
        if self._headset is not None:
            return "another headset is connected; only one may drive"
        self._headset = websocket
        return ""

    async def _headset_session(self, websocket: web.WebSocketResponse, remote: str) -> None:
        self._counts["connections"] += 1
        connection = self._counts["connections"]
        self._log(f"the headset at {remote} is connected")
        await websocket.send_json({"type": "accepted"})
        telling = asyncio.create_task(self._tell_state(websocket))
        try:
            async for message in websocket:
                if message.type != WSMsgType.BINARY:  # also a frame that is too big, for which aiohttp closes
                    raise MessageError("expected binary frames of one size")
                self._take(message.data, connection)
        except MessageError as error:
            self._counts["malformed"] += 1
            self._log(f"the headset at {remote} is disconnected: {error}")
            await websocket.close(code=WSCloseCode.INVALID_TEXT, message=str(error).encode()[:120])
        finally:
            telling.cancel()

    def _take(self, data: bytes, connection: int) -> None:
        """One frame, to whoever listens. Raises MessageError."""
        arrival_ns = self._now_ns()
        frame = decode_frame(data, connection)
        sample = frame.sample
        if sample.epoch != self._epoch or frame.has_button:  # who lays controllers down has not asked with bare hands
            self._gesture.reset()
            self._epoch = sample.epoch
        if not frame.has_button:
            sample = self._gesture.read(sample, arrival_ns)
        state = self._stream.push(sample, arrival_ns, self._deliver)
        self._engaged = self._engaged if state is None else state.engaged

    async def _tell_state(self, websocket: web.WebSocketResponse) -> None:
        while not websocket.closed:
            await asyncio.sleep(_STATE_S)
            lost = self._stream.counters()["lost"]
            text = "the robot follows you" if self._engaged else f"not driving: hold the grip button, or {HINT}"
            try:
                await websocket.send_json({"type": "state", "engaged": self._engaged, "text": text, "lost": lost})
            except ConnectionError:
                return  # the session notices it too

    def _address(self) -> str:
        host = self._options.host
        shown = own_addresses()[-1] if host in ("0.0.0.0", "::", "") else host
        return f"https://{shown}:{self.port if self._listener is not None else self._options.port}/"


async def _page(request: web.Request) -> web.Response:
    name, kind = _PAGE[request.path]
    text = files("gr00t_teleop.devices").joinpath("webxr_page", name).read_text("utf-8")
    return web.Response(text=text, content_type=kind)


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
