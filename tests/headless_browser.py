# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, over its DevTools protocol: opens pages, acts as a person would, notes what goes wrong."""

import asyncio
import itertools
import os
import shutil
import subprocess
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

import aiohttp

PACKAGE = "chromium-headless-shell"
# Not Debian's start script of it, a shell that would leave its browser behind when killed; setup/browser.sh has the same list.
NAMES = (f"/usr/lib/chromium/{PACKAGE}", "chromium", "google-chrome", "google-chrome-stable")
_FOUND = [
    path for path in map(shutil.which, NAMES) if path and not path.startswith("/snap/")
]  # a snap sees no profile in /tmp
CHROMIUM = os.environ.get("GR00T_CHROMIUM") or (_FOUND[0] if _FOUND else "")
NO_BROWSER = (
    ""
    if CHROMIUM
    else f"no Chromium here: apt-get install --no-install-recommends {PACKAGE}, or name one in GR00T_CHROMIUM"
)
_OWN_SCHEMES = ("file:", "data:", "blob:")


class Browser(AbstractAsyncContextManager):
    """One page of a browser of its own. folder: an empty one, for its profile; script: runs first in each page."""

    def __init__(self, folder: Path, script: str = "") -> None:
        self._folder, self._script = folder, script
        self._numbers = itertools.count(1)
        self._loaded: set[str] = set()
        self.faults: list[str] = []  # errors in the console, exceptions, requests that failed
        self.asked: list[str] = []  # what was requested from anywhere but the page itself and its folder

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",  # root may not run it with one; only pages of these tests are opened
                "--ignore-certificate-errors",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
                "--no-first-run",
                "--disable-background-networking",
                "--hide-scrollbars",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = aiohttp.ClientSession()
        port = await self._port()
        async with self._client.get(f"http://127.0.0.1:{port}/json/list") as response:
            pages = [target for target in await response.json() if target["type"] == "page"]
        self._tools = await self._client.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.command(f"{domain}.enable")
        await self.command("Page.setLifecycleEventsEnabled", enabled=True)
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=self._script)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tools.close()
        await self._client.close()
        self._process.kill()
        self._process.wait()

    async def open(self, url: str) -> None:
        """Load a page, also again, until all of it is there."""
        answer = await self.command("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        while answer["loaderId"] not in self._loaded:
            await self._receive()

    async def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """How large the page is shown [CSS pixels], and which colours the person prefers."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def do(self, script: str) -> Any:
        """The value of an expression, evaluated as if a person had clicked."""
        answer = await self.command(
            "Runtime.evaluate", expression=script, userGesture=True, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not await self.do(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition}: {await self.do('document.body.innerText')}"
            await asyncio.sleep(0.05)

    async def text(self, element: str) -> str:
        return str(await self.do(f"document.getElementById('{element}').textContent"))

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._tools.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._tools.receive_json(timeout=20)
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, event: str, told: dict[str, Any]) -> None:
        match event:
            case "Page.lifecycleEvent" if told["name"] == "load":
                self._loaded.add(told["loaderId"])
            case "Runtime.exceptionThrown":
                self.faults.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert"):
                self.faults.append(f"console: {[part.get('value', part.get('description')) for part in told['args']]}")
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.faults.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Network.loadingFailed" if not told.get("canceled"):  # a film's player cancels what it needs no more
                self.faults.append(f"{told['type']}: {told['errorText']}")
            case "Network.requestWillBeSent" if not told["request"]["url"].startswith(_OWN_SCHEMES):
                self.asked.append(told["request"]["url"])

    async def _port(self) -> str:
        file = self._folder / "DevToolsActivePort"
        deadline = time.monotonic() + 20
        while not (file.exists() and file.read_text()):
            assert self._process.poll() is None and time.monotonic() < deadline, "Chromium did not start"
            await asyncio.sleep(0.05)
        return file.read_text().splitlines()[0]
