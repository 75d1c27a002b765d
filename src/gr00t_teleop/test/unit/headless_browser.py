# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium over its DevTools protocol, with an emulated headset (iwer) in every page."""

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

CHROMIUM = os.environ.get("GR00T_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
EMULATOR = os.environ.get("GR00T_IWER", "")  # iwer.min.js of the npm package iwer
MISSING = (
    "no Chromium here: install it, or name one in GR00T_CHROMIUM"
    if not CHROMIUM
    else "no emulated headset here: npm install iwer, and name its build/iwer.min.js in GR00T_IWER"
    if not Path(EMULATOR).is_file()
    else ""
)
# Head and hands swing slowly; the numbers are those of the emulator's own space (y up).
_HEADSET = """
const device = new IWER.XRDevice(IWER.metaQuest3);
device.installRuntime({ forceInstall: true });
device.primaryInputMode = MODE;
window.emulated = device;
setInterval(() => {
  const t = performance.now() / 1000, inputs = [device.controllers, device.hands];
  device.position.set(0.05 * Math.sin(t), 1.6, 0);
  for (const input of inputs) {
    input.left.position.set(-0.25, 1.1 + 0.05 * Math.sin(2 * t), -0.4);
    input.right.position.set(0.25, 1.2 + 0.05 * Math.cos(2 * t), -0.5);
  }
}, 4);
"""


class Browser(AbstractAsyncContextManager):
    """One page of a browser of its own. inputs: 'hand' or 'controller'."""

    def __init__(self, url: str, folder: Path, inputs: str) -> None:
        self._url, self._folder, self._inputs = url, folder, inputs
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                str(CHROMIUM),
                "--headless=new",
                "--no-sandbox",
                "--ignore-certificate-errors",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
                "--no-first-run",
                "--disable-background-networking",
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
        await self.command("Page.enable")
        source = Path(EMULATOR).read_text() + _HEADSET.replace("MODE", repr(self._inputs))
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=source)
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tools.close()
        await self._client.close()
        self._process.kill()
        self._process.wait()

    async def open(self) -> None:
        """Load the page, also again."""
        await self.command("Page.navigate", url=self._url)
        await self.until("document.readyState === 'complete' && typeof connect === 'function'")

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
            message = await self._tools.receive_json(timeout=20)
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    async def _port(self) -> str:
        file = self._folder / "DevToolsActivePort"
        deadline = time.monotonic() + 20
        while not (file.exists() and file.read_text()):
            assert self._process.poll() is None and time.monotonic() < deadline, "Chromium did not start"
            await asyncio.sleep(0.05)
        return file.read_text().splitlines()[0]
